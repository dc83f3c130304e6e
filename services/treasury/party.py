"""Parties: who gives, owes, or is paid. What is personal of them is sealed, and no decision looks into it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from services.treasury import rules
from services.treasury.contract import (
    ChangeParty,
    PartyChanged,
    PartyRegistered,
    RegisterParty,
    TreasuryError,
    treasury,
)
from services.treasury.posting import rejected
from shared.contract import fields_of
from shared.decider import Context, Decider


@dataclass
class Party:
    """Whether a party is registered, and the keyed hash of the login under which they act, if they do."""

    registered: bool = False
    login_index: str | None = None


def evolve(party: Party, event: PartyRegistered | PartyChanged) -> Party:
    party.registered, party.login_index = True, event.login_index
    return party


def decide(
    command: RegisterParty | ChangeParty, party: Party, context: Context
) -> PartyRegistered | PartyChanged | None:
    at = rules.when(command.occurred_at, context)
    match command:
        case RegisterParty():
            if party.registered:
                raise rejected(
                    TreasuryError.ALREADY_EXISTS,
                    f"Party {command.party} is registered already. Change it with ChangeParty, or choose another id.",
                    party=command.party,
                )  # fmt: skip
            return PartyRegistered(**_said(command, at, context))
        case ChangeParty():
            known(party, command.party)
            return PartyChanged(**_said(command, at, context))


def _said(command: RegisterParty | ChangeParty, at: datetime, context: Context) -> dict[str, Any]:
    """What a command says of a party, with the hash of the login."""
    index = context.blind("login", command.login) if command.login is not None else None
    return dict(fields_of(command)) | {"occurred_at": at, "login_index": index}


def known(party: Party, id: str) -> None:
    """Refuse a party that was never registered."""
    if not party.registered:
        raise rejected(
            TreasuryError.UNKNOWN_PARTY, f"There is no party {id}. Register it first, with RegisterParty.", party=id
        )


def check(party: Party) -> list[str]:
    return [] if party.registered or party.login_index is None else ["a party that is not registered has a login"]


party: Final = Decider(treasury, "party", Party, Party, decide, evolve, check)
