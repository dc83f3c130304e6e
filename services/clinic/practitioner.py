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
    PractitionerRemoved,
    RemovePractitioner,
    Role,
    clinic,
)
from services.clinic.refusals import rejected, when
from shared.contract import fields_of
from shared.decider import Context, Decider
from shared.errors import Forbidden, Rejected
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
    """Somebody who works at the clinic; without roles they were never added, or do not any more."""

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


RosterCommand = AddPractitioner | ChangeLicence | RemovePractitioner
RosterEvent = PractitionerAdded | LicenceChanged | PractitionerRemoved


def evolve(roster: Roster, event: RosterEvent) -> Roster:
    roster.count += 1
    if isinstance(event, PractitionerRemoved):
        roster.people[event.practitioner] = Practitioner(number=roster.count)
    else:
        roster.people[event.practitioner] = Practitioner(list(event.roles), event.licence, roster.count)
    return roster


def decide(command: RosterCommand, roster: Roster, context: Context) -> RosterEvent | None:
    practitioner = roster.find(command.practitioner)
    _manages(command, roster, context)
    fields = dict(fields_of(command)) | {"occurred_at": when(command.occurred_at, context)}
    if isinstance(command, RemovePractitioner):
        if command.practitioner not in roster.people:
            raise unknown(command.practitioner)
        _another(command, roster, context)  # whoever removes another is a clinician, and stays: there always is one
        return PractitionerRemoved(**fields) if practitioner.roles else None
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
        raise unknown(command.practitioner)
    _in_order(command.licence)
    _another(command, roster, context)
    same = (practitioner.roles, practitioner.licence) == (list(command.roles), command.licence)
    return None if same else LicenceChanged(**fields)


def _manages(command: RosterCommand, roster: Roster, context: Context) -> None:
    """Refuse who may not say who works here: once somebody does, only clinicians may. There is one from the first on,
    as nobody takes the role from themselves."""
    if roster.people:
        _in_role(_acting(roster, context), _MANAGERS, "say who works here, and under which licence", context)
    elif context.roles is not None and Role.CLINICIAN not in context.roles:
        raise Forbidden(
            "Nobody works here yet. The first is a clinician, added by a token that carries that role.",
            actor=context.actor, command=type(command).__name__, needs=[str(Role.CLINICIAN)], granted=[],
        )  # fmt: skip
    elif isinstance(command, AddPractitioner) and Role.CLINICIAN not in command.roles:
        raise rejected(
            ClinicError.WRONG_ROLE,
            f"{command.practitioner} would be the first who works here, and nobody could add others. Add a clinician "
            "first, who does.",
            practitioner=command.practitioner, roles=[str(Role.CLINICIAN)],
        )  # fmt: skip


def _another(command: RosterCommand, roster: Roster, context: Context) -> None:
    """Refuse who would give themselves a licence, or leave, under whichever spelling; the first of all may be added."""
    if roster.people and is_among(context.actor, (command.practitioner,)):
        raise rejected(
            ClinicError.SECOND_PERSON_REQUIRED,
            f"{context.actor} cannot change their own roles and licence, nor take themselves off the roster. Let "
            "another clinician.",
            practitioner=command.practitioner,
        )  # fmt: skip


def _in_order(licence: Licence | None) -> None:
    if licence is not None and licence.valid_until is not None and licence.valid_until < licence.valid_from:
        raise rejected(
            ClinicError.INVALID_RANGE,
            f"The licence ends on {licence.valid_until}, before it begins on {licence.valid_from}.",
        )


def unknown(id: str) -> Rejected:
    """The refusal of somebody who does not work here."""
    return rejected(
        ClinicError.UNKNOWN_PRACTITIONER,
        f"{id} is nobody who works here. Add them with AddPractitioner, or act under the name that was added (--as).",
        practitioner=id,
    )  # fmt: skip


# -- for the decisions that somebody must be entitled to --------------------------------------------------------------


def roles_of(practitioner: Practitioner, carried: frozenset[str] | None, mandate: str | None) -> list[Role]:
    """Those of somebody's roles in which they act: that their token carries, and that their mandate names, if it names
    a role. A body's minute names none."""
    named = None if mandate is None or "/" in mandate else mandate
    return [
        role for role in practitioner.roles
        if (carried is None or role in carried) and (named is None or role == named)
    ]  # fmt: skip


def acting(context: Context) -> Practitioner:
    """Who acts, in the roles in which they do. Refuses somebody who does not work here."""
    return _acting(context.read("practitioner", ROSTER), context)


def _acting(roster: Roster, context: Context) -> Practitioner:
    found = roster.find(context.actor)
    if not found.roles:
        raise unknown(context.actor)
    return replace(found, roles=roles_of(found, context.roles, context.mandate))


def in_role(context: Context, roles: Iterable[Role], what: str) -> Role:
    """The first of the roles that who acts is in. Refuses others; `what` is the deed, in words."""
    return _in_role(acting(context), roles, what, context)


def _in_role(practitioner: Practitioner, roles: Iterable[Role], what: str, context: Context) -> Role:
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
    roster: Roster = context.read("practitioner", ROSTER)
    found = roster.find(id)
    if not found.roles:
        raise unknown(id)
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


def in_words(roles: Iterable[Role]) -> str:
    """What somebody works here as, in a sentence."""
    return " and as ".join(_NAMES[role] for role in roles)


def check(roster: Roster) -> list[str]:
    broken = [
        f"{id} has a licence here, and no role" for id, one in roster.people.items() if one.licence and not one.roles
    ]
    if roster.people and not any(Role.CLINICIAN in one.roles for one in roster.people.values()):
        broken.append("people work here, and nobody may say who")
    return broken


practitioner: Final = Decider(clinic, "practitioner", Roster, Roster, decide, evolve, check)
