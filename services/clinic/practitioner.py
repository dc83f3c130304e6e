"""Practitioners: in which roles somebody acts, and whether a licence of theirs is valid on a day."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final

from services.clinic.contract import (
    AddPractitioner,
    ChangeLicence,
    ClinicError,
    Licence,
    LicenceChanged,
    PractitionerAdded,
    Role,
    clinic,
)
from services.clinic.refusals import rejected, when
from shared.contract import fields_of
from shared.decider import Context, Decider
from shared.types import is_id

CARE: Final = (Role.CLINICIAN, Role.TRAINEE, Role.PHARMACIST)
"""Who cares for patients."""
DESK: Final = (*CARE, Role.FRONT_DESK)
"""Who meets patients."""
STAFF: Final = tuple(Role)


@dataclass
class Practitioner:
    """Somebody who works at the clinic; without roles they were never added."""

    roles: list[Role] = field(default_factory=list)
    licence: Licence | None = None


def evolve(practitioner: Practitioner, event: PractitionerAdded | LicenceChanged) -> Practitioner:
    practitioner.roles, practitioner.licence = list(event.roles), event.licence
    return practitioner


def decide(
    command: AddPractitioner | ChangeLicence, practitioner: Practitioner, context: Context
) -> PractitionerAdded | LicenceChanged | None:
    fields = dict(fields_of(command)) | {"occurred_at": when(command.occurred_at, context)}
    if isinstance(command, AddPractitioner):
        if practitioner.roles:
            raise rejected(
                ClinicError.ALREADY_EXISTS,
                f"There is a practitioner {command.practitioner} already. Change their licence, or choose another id.",
                practitioner=command.practitioner,
            )  # fmt: skip
        _in_order(command.licence)
        return PractitionerAdded(**fields)
    if not practitioner.roles:
        raise _unknown(command.practitioner)
    _in_order(command.licence)
    same = (practitioner.roles, practitioner.licence) == (list(command.roles), command.licence)
    return None if same else LicenceChanged(**fields)


def _in_order(licence: Licence | None) -> None:
    if licence is not None and licence.valid_until is not None and licence.valid_until < licence.valid_from:
        raise rejected(
            ClinicError.INVALID_RANGE,
            f"The licence ends on {licence.valid_until}, before it begins on {licence.valid_from}.",
        )


def _unknown(id: str) -> Exception:
    return rejected(
        ClinicError.UNKNOWN_PRACTITIONER,
        f"{id} is nobody who works here. Add them with AddPractitioner, or act under the name that was added (--as).",
        practitioner=id,
    )  # fmt: skip


# -- for the decisions that somebody must be entitled to --------------------------------------------------------------


def acting(context: Context) -> Practitioner:
    """Who acts. Refuses somebody who was never added."""
    found: Practitioner = context.read("practitioner", context.actor) if is_id(context.actor) else Practitioner()
    if not found.roles:
        raise _unknown(context.actor)
    return found


def in_role(context: Context, roles: Iterable[Role], what: str) -> Role:
    """The first of the roles that who acts is in. Refuses others; `what` is the deed, in words."""
    wanted = tuple(roles)
    found = next((role for role in wanted if role in acting(context).roles), None)
    if found is None:
        raise rejected(
            ClinicError.WRONG_ROLE,
            f"{context.actor} cannot {what}: only {' or '.join(_NAMES[role] for role in wanted)} may.",
            actor=context.actor, roles=[str(role) for role in wanted],
        )  # fmt: skip
    return found


def licensed(context: Context, roles: Iterable[Role], what: str, at: datetime) -> Role:
    """As `in_role`, and with a licence that is valid on the day. Refuses who has none.

    Whoever acts needs it now (`context.now`): a command that says it was yesterday gives no authority that is over. Of
    what has happened it is asked at its own moment.
    """
    role = in_role(context, roles, what)
    licence = acting(context).licence
    if licence is None or not valid_on(licence, at.date()):
        until = "" if licence is None else f" (theirs is valid from {licence.valid_from} to {licence.valid_until})"
        raise rejected(
            ClinicError.NOT_LICENSED,
            f"{context.actor} cannot {what} without a licence that is valid on {at.date()}{until}. Ask somebody who "
            "has one, or record the licence with ChangeLicence.",
            actor=context.actor,
        )  # fmt: skip
    return role


def imports(context: Context) -> None:
    """Refuse what is said to come from elsewhere and is sent by somebody who does not work here."""
    in_role(context, STAFF, "record what comes from elsewhere")


def valid_on(licence: Licence, day: date) -> bool:
    return licence.valid_from <= day and (licence.valid_until is None or day <= licence.valid_until)


def sees_patients(id: str, context: Context) -> None:
    """Refuse somebody as the one whom a patient sees: who does not work here, or not in a role that cares for them."""
    found: Practitioner = context.read("practitioner", id)
    if not found.roles:
        raise _unknown(id)
    if not set(CARE) & set(found.roles):
        raise rejected(
            ClinicError.WRONG_ROLE,
            f"Nobody is seen by {id}: only by {' or '.join(_NAMES[role] for role in CARE)}. Name another.",
            practitioner=id, roles=[str(role) for role in CARE],
        )  # fmt: skip


_NAMES: Final = {
    Role.FRONT_DESK: "the front desk", Role.TRAINEE: "a trainee", Role.CLINICIAN: "a clinician",
    Role.PHARMACIST: "a pharmacist", Role.AUDITOR: "an auditor",
}  # fmt: skip


def check(practitioner: Practitioner) -> list[str]:
    return ["somebody was never added and has a licence"] if practitioner.licence and not practitioner.roles else []


practitioner: Final = Decider(clinic, "practitioner", Practitioner, Practitioner, decide, evolve, check)
