"""Referrals: to whom a patient was sent, and whether it is known what came of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from services.clinic.contract import (
    ClinicError,
    CloseReferral,
    MakeReferral,
    ReferralClosed,
    ReferralMade,
    clinic,
)
from services.clinic.contract.referral import Referral as Content
from services.clinic.encounter import in_encounter
from services.clinic.patient import itself, known, not_erased
from services.clinic.practitioner import CARE, in_role
from services.clinic.refusals import rejected, when
from shared.contract import fields_of
from shared.decider import Context, Decider, Ref
from shared.types import Date


@dataclass
class Referral:
    """A referral; its content and outcome as they are stored, sealed."""

    patient: str = ""
    encounter: str | None = None
    due_on: Date | None = None
    content: str = ""
    outcome: str | None = None


def evolve(referral: Referral, event: ReferralMade | ReferralClosed) -> Referral:
    match event:
        case ReferralMade():
            referral.patient, referral.encounter, referral.due_on = event.patient, event.encounter, event.due_on
            referral.content = event.content
        case ReferralClosed():
            referral.outcome = event.outcome
    return referral


def reads(command: MakeReferral | CloseReferral) -> Iterable[Ref]:
    return (Ref("patient", command.patient),) if isinstance(command, MakeReferral) else ()


def decide(
    command: MakeReferral | CloseReferral, referral: Referral, context: Context
) -> ReferralMade | ReferralClosed | None:
    fields = dict(fields_of(command)) | {"occurred_at": when(command.occurred_at, context)}
    if isinstance(command, MakeReferral):
        in_role(context, CARE, "refer a patient")
        return _make(command, referral, context, fields)
    in_role(context, CARE, "close a referral")
    not_erased(command.patient, context)
    if not referral.patient:
        raise rejected(
            ClinicError.UNKNOWN_REFERRAL, f"There is no referral {command.referral}. Check the id.",
            referral=command.referral,
        )  # fmt: skip
    if command.patient != referral.patient:
        raise rejected(
            ClinicError.WRONG_PATIENT,
            f"Referral {command.referral} is not one of patient {command.patient}. Check both ids.",
            referral=command.referral, patient=command.patient,
        )  # fmt: skip
    if referral.outcome is None:
        return ReferralClosed(**fields)
    if context.unseal(referral.outcome) == command.outcome:
        return None
    raise rejected(
        ClinicError.REFERRAL_CLOSED,
        f"Referral {command.referral} is closed, with another outcome. Write down what is known since in a note.",
        referral=command.referral,
    )  # fmt: skip


def _make(
    command: MakeReferral, referral: Referral, context: Context, fields: dict[str, object]
) -> ReferralMade | None:
    patient = context.read("patient", command.patient)
    known(patient, command.patient, context)
    if referral.patient:
        said = (command.patient, command.encounter, command.due_on)
        if said == (referral.patient, referral.encounter, referral.due_on) and (
            context.unseal_as(referral.content, Content) == command.content
        ):
            return None
        raise rejected(
            ClinicError.ALREADY_EXISTS, f"There is a referral {command.referral} already. Choose another id.",
            referral=command.referral,
        )  # fmt: skip
    itself(patient, command.patient)
    in_encounter(command.encounter, command.patient, context)
    return ReferralMade(**fields)  # type: ignore[arg-type]


def check(referral: Referral) -> list[str]:
    return ["a referral was closed that nobody made"] if referral.outcome is not None and not referral.patient else []


referral: Final = Decider(clinic, "referral", Referral, Referral, decide, evolve, check, reads)
