"""Commands and events of `practitioner`: who works at the clinic, in which roles, and under which licence.

All of them are one aggregate, `roster`, so that it is known who came first: whoever's token carries that role may add
them, as a clinician. From then on clinicians add others, change their roles and licences, and take them off again, and
nobody themselves: so there always is a clinician. Who is not on it sends nothing, whatever their token carries. A
practitioner's id is the name by which they act (an event's `authid`): what they may sign is decided by it. A licence is
valid on days of UTC.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field

from services.clinic.contract.base import Date, Id, Moment, Role, Text, command, event, value
from shared.personal import Sealed

ROSTER: Final = "roster"
"""The id of the one aggregate."""


def roster_id(command: Any) -> str:
    return ROSTER


@value
class Licence:
    """What somebody is licensed as, and from when until when. `number` is public, as registers of licences are."""

    title: Text
    number: Text | None = None
    valid_from: Date
    valid_until: Date | None = None


_Roles = Annotated[tuple[Role, ...], Field(min_length=1, max_length=5)]


@event(category="practitioner")
class PractitionerAdded:
    """Somebody works at the clinic. `identifiers` are numbers that others know them by, as an NPI."""

    practitioner: Id
    name: Annotated[str, Sealed(of="practitioner")]
    roles: tuple[Role, ...]
    licence: Licence | None = None
    identifiers: tuple[Text, ...] = ()
    occurred_at: Moment


@command(category="practitioner", aggregate=roster_id, makes=(PractitionerAdded,))
class AddPractitioner:
    """Add somebody who works at the clinic, by the name that they act under. Whoever sends it is a clinician; the first
    of all is one, and is added by whoever's token carries that role."""

    practitioner: Id
    name: Text
    roles: _Roles
    licence: Licence | None = None
    identifiers: Annotated[tuple[Text, ...], Field(max_length=5)] = ()
    occurred_at: Moment | None = None


@event(category="practitioner")
class LicenceChanged:
    """Somebody's roles and licence are these from now on; what they signed before stays signed."""

    practitioner: Id
    roles: tuple[Role, ...]
    licence: Licence | None = None
    occurred_at: Moment


@command(category="practitioner", aggregate=roster_id, makes=(LicenceChanged,))
class ChangeLicence:
    """Set somebody's roles and licence, as a whole, as another clinician. Without a licence they sign and override
    nothing."""

    practitioner: Id
    roles: _Roles
    licence: Licence | None = None
    occurred_at: Moment | None = None


@event(category="practitioner")
class PractitionerRemoved:
    """Somebody does not work here any more; what they signed stays signed, and what they did stays theirs."""

    practitioner: Id
    occurred_at: Moment


@command(category="practitioner", aggregate=roster_id, makes=(PractitionerRemoved,))
class RemovePractitioner:
    """Take somebody off the roster, as another clinician: they act here no more, at once. AddPractitioner adds them
    again."""

    practitioner: Id
    occurred_at: Moment | None = None


__all__ = [
    "ROSTER", "AddPractitioner", "ChangeLicence", "Licence", "LicenceChanged", "PractitionerAdded",
    "PractitionerRemoved", "RemovePractitioner", "roster_id",
]  # fmt: skip
