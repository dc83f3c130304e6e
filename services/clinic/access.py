"""Accesses to one patient's chart, and disclosures of it: what waits for a review.

Accesses are many, so the state holds only those that somebody looks into; the others are found by their names.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from services.clinic.contract import (
    AccessReviewed,
    ChartAccessed,
    ClinicError,
    Disclosure,
    DisclosureReviewed,
    Purpose,
    RecordAccess,
    RecordDisclosed,
    RecordDisclosure,
    ReviewAccess,
    ReviewDisclosure,
    Role,
    clinic,
)
from services.clinic.patient import Patient, consents_to, everyone, known, not_erased, registered
from services.clinic.practitioner import STAFF, acting, in_role
from services.clinic.refusals import rejected, says, waits, when
from shared.contract import fields_of
from shared.decider import Context, Decider, Ref
from shared.persons import is_among


@dataclass
class Access:
    """What of one chart waits for a review: broken glasses with who read, disclosures with who recorded them."""

    glasses: dict[str, str] = field(default_factory=dict)
    disclosures: dict[str, str] = field(default_factory=dict)


AccessCommand = RecordAccess | ReviewAccess | RecordDisclosure | ReviewDisclosure
AccessEvent = ChartAccessed | AccessReviewed | RecordDisclosed | DisclosureReviewed

_REVIEWERS: Final = (Role.CLINICIAN, Role.AUDITOR)
_NEEDS_CONSENT: Final = (Purpose.RESEARCH,)
"""45 CFR 164.508."""
_NEEDS_GROUND: Final = (Purpose.PUBLIC_HEALTH, Purpose.LEGAL)
"""45 CFR 164.512: permitted without the patient's word, by a law or an order that is named."""


def evolve(access: Access, event: AccessEvent) -> Access:
    match event:
        case ChartAccessed():
            if event.break_glass:
                access.glasses[event.access] = event.reader
        case AccessReviewed():
            access.glasses.pop(event.access, None)
        case RecordDisclosed():
            if event.breaches:
                access.disclosures[event.disclosure] = event.recorded_by
        case DisclosureReviewed():
            access.disclosures.pop(event.disclosure, None)
    return access


def reads(command: AccessCommand) -> Iterable[Ref]:
    return (Ref("patient", command.patient),)


def names(event: AccessEvent) -> Iterable[str]:
    """An access and a disclosure, for whoever sends one again; what reviewed them has other names."""
    match event:
        case ChartAccessed():
            return (f"access:{event.access}",)
        case RecordDisclosed():
            return (f"disclosure:{event.disclosure}",)
    return ()


def recalls(command: AccessCommand) -> Iterable[tuple[Ref, str]]:
    return ((Ref("access", command.patient), _name(command)),)


def _name(command: AccessCommand) -> str:
    match command:
        case RecordAccess() | ReviewAccess():
            return f"access:{command.access}"
        case RecordDisclosure() | ReviewDisclosure():
            return f"disclosure:{command.disclosure}"


def decide(command: AccessCommand, access: Access, context: Context) -> AccessEvent | None:
    at = when(command.occurred_at, context)
    fields = dict(fields_of(command)) | {"occurred_at": at}
    match command:
        case RecordAccess():
            return _accessed(command, context, fields)
        case RecordDisclosure():
            return _disclosed(command, context, at, fields)
        case ReviewAccess():
            return _reviewed(command, access, context, fields)
        case ReviewDisclosure():
            return _looked_into(command, access, context, fields)


def _accessed(command: RecordAccess, context: Context, fields: dict[str, object]) -> ChartAccessed | None:
    if context.authtype == "user":  # a service that shows charts names who read, and in which role
        _own(command, context)
    registered(context.read("patient", command.patient), command.patient)
    if command.reason is not None:
        not_erased(command.patient, context)
    before = context.recalled(Ref("access", command.patient), _name(command))
    if before is not None:
        said = ("reader", "role", "purpose", "parts", "break_glass")
        same = says(before.event.reason, command.reason, context)
        if same and all(getattr(before.event, one) == getattr(command, one) for one in said):
            return None
        raise rejected(
            ClinicError.ALREADY_EXISTS, f"There is an access {command.access} already. Choose another id.",
            access=command.access,
        )  # fmt: skip
    if command.break_glass and command.reason is None:
        raise rejected(
            ClinicError.REASON_NEEDED,
            f"{command.reader} is shown more of patient {command.patient} than their role is only with a reason. Give "
            "one (reason).",
            access=command.access, patient=command.patient,
        )  # fmt: skip
    return ChartAccessed(**fields)  # type: ignore[arg-type]


def _own(command: RecordAccess, context: Context) -> None:
    """Refuse who records a reading of another's, or one in a role that they are not in."""
    acting(context)
    if not is_among(context.actor, (command.reader,)):
        raise rejected(
            ClinicError.NOT_THE_READER,
            f"{context.actor} cannot record that {command.reader} read a chart: everybody records what they read "
            "themselves. Name yourself as the reader.",
            actor=context.actor, reader=command.reader,
        )  # fmt: skip
    if command.role is not None:
        in_role(context, (command.role,), "read a chart in that role")


def _disclosed(
    command: RecordDisclosure, context: Context, at: datetime, fields: dict[str, object]
) -> RecordDisclosed | None:
    in_role(context, STAFF, "record a disclosure")
    patient: Patient = context.read("patient", command.patient)
    known(patient, command.patient, context)
    before = context.recalled(Ref("access", command.patient), _name(command))
    if before is not None:
        content = context.unseal_as(before.event.content, Disclosure)
        if (before.event.purpose, before.event.consent, content) == (command.purpose, command.consent, command.content):
            return None
        raise rejected(
            ClinicError.ALREADY_EXISTS, f"There is a disclosure {command.disclosure} already. Choose another id.",
            disclosure=command.disclosure,
        )  # fmt: skip
    return RecordDisclosed(
        **fields, recorded_by=context.actor, breaches=_breaches(command, patient, context, at)  # type: ignore[arg-type]
    )  # fmt: skip


def _breaches(command: RecordDisclosure, patient: Patient, context: Context, at: datetime) -> tuple[ClinicError, ...]:
    """What a disclosure broke: the consent that it rests on, or the purpose that permits none without one."""
    if command.consent is not None:
        theirs = everyone(patient, command.patient, context).values()
        stood = any(consents_to(one, command.consent, context, at) for one in theirs)
        return () if stood else (ClinicError.UNKNOWN_CONSENT,)
    unfounded = command.purpose in _NEEDS_GROUND and command.content.ground is None
    return (ClinicError.NO_PURPOSE,) if unfounded or command.purpose in _NEEDS_CONSENT else ()


def _reviewed(
    command: ReviewAccess, access: Access, context: Context, fields: dict[str, object]
) -> AccessReviewed | None:
    in_role(context, _REVIEWERS, "review an access")
    registered(context.read("patient", command.patient), command.patient)
    before = context.recalled(Ref("access", command.patient), _name(command))
    known_of = before is not None and before.event.break_glass
    if not waits(command.access in access.glasses if known_of else None, f"Access {command.access}"):
        return None
    _another(context, access.glasses[command.access], f"Access {command.access}")
    return AccessReviewed(**fields)  # type: ignore[arg-type]


def _looked_into(
    command: ReviewDisclosure, access: Access, context: Context, fields: dict[str, object]
) -> DisclosureReviewed | None:
    in_role(context, _REVIEWERS, "review a disclosure")
    registered(context.read("patient", command.patient), command.patient)
    before = context.recalled(Ref("access", command.patient), _name(command))
    known_of = before is not None and bool(before.event.breaches)
    if not waits(command.disclosure in access.disclosures if known_of else None, f"Disclosure {command.disclosure}"):
        return None
    _another(context, access.disclosures[command.disclosure], f"Disclosure {command.disclosure}")
    return DisclosureReviewed(**fields)  # type: ignore[arg-type]


def _another(context: Context, who: str, what: str) -> None:
    if is_among(context.actor, (who,)):
        raise rejected(
            ClinicError.SECOND_PERSON_REQUIRED, f"{what} is {who}'s own, who cannot review it. Let somebody else look.",
            actor=context.actor,
        )  # fmt: skip


def check(_: Access) -> list[str]:
    return []


access: Final = Decider(clinic, "access", Access, Access, decide, evolve, check, reads, names, recalls)
