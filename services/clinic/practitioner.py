"""Practitioners: in which roles somebody acts, and whether a licence of theirs is valid on a day."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Final

from services.clinic.contract import (
    ROSTER,
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
from shared.errors import Forbidden
from shared.persons import is_among

CARE: Final = (Role.CLINICIAN, Role.TRAINEE, Role.PHARMACIST)
"""Who cares for patients."""
DESK: Final = (*CARE, Role.FRONT_DESK)
"""Who meets patients."""
STAFF: Final = tuple(Role)
_MANAGERS: Final = (Role.CLINICIAN,)
"""Who says who works here."""


@dataclass
class Practitioner:
    """Somebody who works at the clinic; without roles they were never added."""

    roles: list[Role] = field(default_factory=list)
    licence: Licence | None = None
    number: int = 0
    """Of the roster's event that says so: by it, as `roster#3`, the events of what they do name their grant."""


@dataclass
class Roster:
    """Everybody who works, or worked, at the clinic, by the name that they act under."""

    people: dict[str, Practitioner] = field(default_factory=dict)
    count: int = 0

    def find(self, id: str) -> Practitioner:
        return self.people.get(id, Practitioner())


def evolve(roster: Roster, event: PractitionerAdded | LicenceChanged) -> Roster:
    roster.count += 1
    roster.people[event.practitioner] = Practitioner(list(event.roles), event.licence, roster.count)
    return roster


def decide(
    command: AddPractitioner | ChangeLicence, roster: Roster, context: Context
) -> PractitionerAdded | LicenceChanged | None:
    practitioner = roster.find(command.practitioner)
    _manages(command, roster, context)
    fields = dict(fields_of(command)) | {"occurred_at": when(command.occurred_at, context)}
    if isinstance(command, AddPractitioner):
        if practitioner.roles:
            raise rejected(
                ClinicError.ALREADY_EXISTS,
                f"There is a practitioner {command.practitioner} already. Change their licence, or choose another id.",
                practitioner=command.practitioner,
            )  # fmt: skip
        _in_order(command.licence)
        _another(command, roster, context)
        return PractitionerAdded(**fields)
    if not practitioner.roles:
        raise _unknown(command.practitioner)
    _in_order(command.licence)
    _another(command, roster, context)
    same = (practitioner.roles, practitioner.licence) == (list(command.roles), command.licence)
    return None if same else LicenceChanged(**fields)


def _manages(command: AddPractitioner | ChangeLicence, roster: Roster, context: Context) -> None:
    """Refuse who may not say who works here: once somebody does, only clinicians may. There is one from the first on,
    as nobody takes the role from themselves."""
    if roster.people:
        one = _by_token(roster.find(context.actor), context)
        _in_role(one, _MANAGERS, "say who works here, and under which licence", context)
    elif context.roles is not None and Role.CLINICIAN not in context.roles:
        raise Forbidden(
            "Nobody works here yet. The first is a clinician, added by a token that carries that role.",
            actor=context.actor, needs=[str(Role.CLINICIAN)],
        )  # fmt: skip
    elif isinstance(command, AddPractitioner) and Role.CLINICIAN not in command.roles:
        raise rejected(
            ClinicError.WRONG_ROLE,
            f"{command.practitioner} would be the first who works here, and nobody could add others. Add a clinician "
            "first, who does.",
            practitioner=command.practitioner, roles=[str(Role.CLINICIAN)],
        )  # fmt: skip


def _another(command: AddPractitioner | ChangeLicence, roster: Roster, context: Context) -> None:
    """Refuse who would give themselves a licence, under whichever spelling; the first of all may."""
    if roster.people and is_among(context.actor, (command.practitioner,)):
        raise rejected(
            ClinicError.SECOND_PERSON_REQUIRED,
            f"{context.actor} cannot change their own roles and licence. Let another clinician.",
            practitioner=command.practitioner,
        )  # fmt: skip


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
    found = _find(context.actor, context)
    if not found.roles:
        raise _unknown(context.actor)
    return _by_token(found, context)


def _by_token(practitioner: Practitioner, context: Context) -> Practitioner:
    """Somebody in those of their roles that their token carries. Refuses who is in none by it."""
    if context.roles is None or not practitioner.roles:
        return practitioner
    roles = [role for role in practitioner.roles if role in context.roles]
    if not roles:
        raise Forbidden(
            f"{context.actor} works here as {' and as '.join(_NAMES[role] for role in practitioner.roles)}, and the "
            "token carries no such role. Make one that does.",
            actor=context.actor, needs=[str(role) for role in practitioner.roles],
        )  # fmt: skip
    return replace(practitioner, roles=roles)


def _find(id: str, context: Context) -> Practitioner:
    roster: Roster = context.read("practitioner", ROSTER)
    return roster.find(id)


def in_role(context: Context, roles: Iterable[Role], what: str) -> Role:
    """The first of the roles that who acts is in. Refuses others; `what` is the deed, in words."""
    return _in_role(acting(context), roles, what, context)


def _in_role(practitioner: Practitioner, roles: Iterable[Role], what: str, context: Context) -> Role:
    if not practitioner.roles:
        raise _unknown(context.actor)
    wanted = tuple(roles)
    found = next((role for role in wanted if role in practitioner.roles), None)
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
    found = _find(id, context)
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


def check(roster: Roster) -> list[str]:
    broken = [f"{id} works here in no role" for id, one in roster.people.items() if not one.roles]
    if roster.people and not any(Role.CLINICIAN in one.roles for one in roster.people.values()):
        broken.append("people work here, and nobody may say who")
    return broken


practitioner: Final = Decider(clinic, "practitioner", Roster, Roster, decide, evolve, check)
