"""Parties and their sealed particulars, pledges, and refused steps that wait for a person."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from services.treasury.contract import (
    ChangeParty,
    CloseFund,
    EndPledge,
    Every,
    NoteRefusal,
    OpenFund,
    PartyChanged,
    PartyKind,
    PartyRegistered,
    Pledge,
    PledgeEnded,
    PledgeMade,
    ProcessStepRefused,
    ProcessStepResolved,
    RegisterParty,
    ResolveStep,
    TreasuryError,
)
from shared.decider import Ref
from shared.sealing import is_sealed
from tests.support.sentences import NOW, blind
from tests.unit.treasury.office import BOOK, IN, OFFICE, TOMORROW, given, party

E = TreasuryError
SECRETS = ("name", "contact", "bank_account", "login", "note")
ADA = RegisterParty(
    party="p1", kind=PartyKind.PERSON, name="Ada Lovelace", contact="ada@example.org", bank_account="DE89 3704",
    login="ada", note="Knows the mill",
)  # fmt: skip
CHANGED = ChangeParty(party="p1", kind=PartyKind.ORGANISATION, name="Ada's Engines")
PLEDGE = Pledge(
    **IN, pledge="pl", donor="ada", amount=1_000, unit="EUR", every=Every.MONTH, starts=date(2026, 12, 1),
    ends=date(2027, 12, 1),
)  # fmt: skip
END = EndPledge(pledge="pl", reason="She moved away")
NOTE = NoteRefusal(
    step="st-1", manager="expenses", cause="c-1", service="treasury", command="PlaceHold", target="book/club",
    code="ACCOUNT_LIMIT", detail="Account bank would stand at -1.",
)  # fmt: skip
RESOLVE = ResolveStep(step="st-1", note="Held by hand.")


# -- parties ----------------------------------------------------------------------------------------------------------


def test_who_a_party_is_cannot_be_read() -> None:
    known = given().when(ADA).then(PartyRegistered, party="p1", kind=PartyKind.PERSON)
    stored = known.world.history[Ref("party", "p1")][-1]
    assert all(is_sealed(getattr(stored, name)) for name in SECRETS)
    assert stored.login_index == blind("login", "ada")
    assert known.state("party", "p1").login_index == stored.login_index


def test_what_is_not_said_is_not_sealed() -> None:
    stored = given().when(party("p2")).then_event().world.history[Ref("party", "p2")][-1]
    assert [getattr(stored, name) for name in (*SECRETS[1:], "login_index")] == [None] * 5


def test_a_party_is_registered_once_and_changed_as_a_whole() -> None:
    known = given().when(ADA).then_event()
    known.when(ADA).then_rejected(E.ALREADY_EXISTS, party="p1")
    changed = known.when(CHANGED).then(PartyChanged, kind=PartyKind.ORGANISATION, login=None, login_index=None)
    assert changed.state("party", "p1").login_index is None
    back = changed.when(replace(CHANGED, login=" ADA ")).then(PartyChanged, login_index=blind("login", "ada"))
    back.when(replace(CHANGED, login=" ADA ")).then(PartyChanged)


def test_only_a_registered_party_is_changed() -> None:
    given().when(CHANGED).then_rejected(E.UNKNOWN_PARTY, party="p1")
    for command in (ADA, CHANGED):
        given().when(replace(command, occurred_at=TOMORROW)).then_rejected(E.OCCURRED_IN_FUTURE)


# -- pledges ----------------------------------------------------------------------------------------------------------


def test_a_pledge_is_made_once_and_kept_until_it_is_ended() -> None:
    made = given(*OFFICE).when(PLEDGE).then(PledgeMade, donor="ada", amount=1_000, fund="general")
    made.when(PLEDGE).then_nothing()
    made.when(replace(PLEDGE, amount=1_001)).then_rejected(E.ALREADY_EXISTS, field="amount")
    ended = made.when(END).then(PledgeEnded)
    ended.when(END).then_nothing()
    ended.when(PLEDGE).then_nothing()
    assert ended.state("pledge", "pl").ended


def test_a_pledge_without_an_end_is_one() -> None:
    given(*OFFICE).when(replace(PLEDGE, ends=None)).then(PledgeMade, ends=None)
    given(*OFFICE).when(replace(PLEDGE, ends=PLEDGE.starts)).then(PledgeMade)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"book": "moon", "donor": "nobody", "occurred_at": TOMORROW}, E.OCCURRED_IN_FUTURE),
        ({"book": "moon", "donor": "nobody"}, E.UNKNOWN_BOOK),
        ({"donor": "nobody", "pledge": "old", "ends": date(2026, 1, 1)}, E.UNKNOWN_PARTY),
        ({"pledge": "old", "ends": date(2026, 1, 1)}, E.ALREADY_EXISTS),
        ({"ends": date(2026, 11, 30), "fund": "mars", "unit": "XTS"}, E.INVALID_RANGE),
        ({"fund": "mars", "unit": "XTS"}, E.UNKNOWN_FUND),
        ({"fund": "spare", "unit": "XTS"}, E.FUND_CLOSED),
        ({"unit": "XTS"}, E.UNKNOWN_UNIT),
    ],
)  # fmt: skip
def test_the_first_reason_against_a_pledge_is_answered(changes: dict[str, Any], code: TreasuryError) -> None:
    spare = OpenFund(**IN, fund="spare", name="Spare", net_assets="net")
    world = given(*OFFICE, spare, CloseFund(**IN, fund="spare"), replace(PLEDGE, pledge="old"))
    world.when(replace(PLEDGE, **changes)).then_rejected(code)


def test_only_a_pledge_that_was_made_is_ended() -> None:
    given(*BOOK).when(END).then_rejected(E.UNKNOWN_PLEDGE, pledge="pl")
    given(*BOOK).when(replace(END, occurred_at=TOMORROW)).then_rejected(E.OCCURRED_IN_FUTURE)


# -- refused steps ----------------------------------------------------------------------------------------------------


def test_a_refused_step_is_noted_and_resolved_once() -> None:
    noted = given().when(NOTE, actor="expenses").then(ProcessStepRefused, code="ACCOUNT_LIMIT", occurred_at=NOW)
    noted.when(NOTE).then_nothing()
    noted.when(replace(NOTE, detail="In other words.")).then_nothing()
    resolved = noted.when(RESOLVE).then(ProcessStepResolved, note="Held by hand.")
    resolved.when(RESOLVE).then_nothing()
    resolved.when(NOTE).then_nothing()


def test_only_a_refused_step_is_resolved() -> None:
    given().when(RESOLVE).then_rejected(E.UNKNOWN_STEP, step="st-1")
    given().when(replace(RESOLVE, occurred_at=TOMORROW)).then_rejected(E.OCCURRED_IN_FUTURE)
