"""Commands and events of `party`: people and organisations that give to the organisation, owe it, or are paid by it.

Entries, donations and expenses name a party by its opaque id. Who that is stands here alone, encrypted under the
party's own key: when that is destroyed, the figures remain and nobody can be read out of them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from services.treasury.contract.base import Id, Moment, Note, Text, command, event
from shared.personal import Sealed


class PartyKind(StrEnum):
    PERSON = "person"
    ORGANISATION = "organisation"


@event(category="party")
class PartyRegistered:
    """A party became known. `login_index` is a keyed hash of the login under which they act, for comparing alone."""

    party: Id
    kind: PartyKind = PartyKind.PERSON
    name: Annotated[str, Sealed(of="party")]
    contact: Annotated[str | None, Sealed(of="party")] = None
    bank_account: Annotated[str | None, Sealed(of="party")] = None
    login: Annotated[str | None, Sealed(of="party")] = None
    note: Annotated[str | None, Sealed(of="party")] = None
    login_index: str | None = None
    occurred_at: Moment


@command(category="party", aggregate="party", makes=(PartyRegistered,))
class RegisterParty:
    """Register a donor, a member, a supplier or anyone who is paid; sealed under a key of their own.

    `login` is the name under which they act on this ledger, if they do: nobody approves or pays what they receive.
    """

    party: Id
    kind: PartyKind = PartyKind.PERSON
    name: Text
    contact: Text | None = None
    bank_account: Text | None = None
    login: Text | None = None
    note: Note | None = None
    occurred_at: Moment | None = None


@event(category="party")
class PartyChanged:
    """What is known of a party is this from now on; what is left out is not known any more."""

    party: Id
    kind: PartyKind = PartyKind.PERSON
    name: Annotated[str, Sealed(of="party")]
    contact: Annotated[str | None, Sealed(of="party")] = None
    bank_account: Annotated[str | None, Sealed(of="party")] = None
    login: Annotated[str | None, Sealed(of="party")] = None
    note: Annotated[str | None, Sealed(of="party")] = None
    login_index: str | None = None
    occurred_at: Moment


@command(category="party", aggregate="party", makes=(PartyChanged,))
class ChangeParty:
    """Correct or complete what is known of a party, as a whole."""

    party: Id
    kind: PartyKind = PartyKind.PERSON
    name: Text
    contact: Text | None = None
    bank_account: Text | None = None
    login: Text | None = None
    note: Note | None = None
    occurred_at: Moment | None = None


__all__ = ["ChangeParty", "PartyChanged", "PartyKind", "PartyRegistered", "RegisterParty"]
