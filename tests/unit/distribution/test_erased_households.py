"""A household that was erased is served no more, and nobody decides for it; that it was served is recorded."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from services.distribution.contract import (
    AddMember,
    AuthoriseProxy,
    BoxHandedOut,
    BoxPacked,
    CancelOrder,
    ChangeHousehold,
    DistributionError,
    EntitlementClaimed,
    MergeHouseholds,
    OrderCancelled,
    RenewEligibility,
    VisitRecorded,
    warnings_said,
)
from tests.support.distribution import (
    HALL,
    ORDERED,
    PACKED,
    ago,
    claim,
    confirm,
    given,
    hand_out,
    pack,
    place,
    some,
    visit,
    yilmaz,
)

E = DistributionError
WHO = {"household": "yilmaz"}
OWNER = "household/yilmaz"
into = MergeHouseholds(household="okafor", into="yilmaz", reason="Twice.")


@pytest.mark.parametrize(
    ("steps", "command"),
    [
        (HALL, place()),
        ((*HALL, place()), confirm),
        (HALL, visit()),
        (HALL, claim()),
        (ORDERED, pack()),
        (PACKED, hand_out()),
        (HALL, AddMember(**WHO, member="m9")),
        (HALL, ChangeHousehold(**WHO, card="c-9")),
        (HALL, RenewEligibility(**WHO)),
        (HALL, AuthoriseProxy(**WHO, proxy="p", since=date(2026, 11, 1))),
        (HALL, MergeHouseholds(**WHO, into="okafor", reason="Twice.")),
        (HALL, into),
    ],
)
def test_nothing_more_is_allowed_to_it(steps: tuple[Any, ...], command: Any) -> None:
    given(*steps).when(command).then_event()
    outcome = given(*steps).erased(OWNER).when(command)
    outcome.then_rejected(E.HOUSEHOLD_ERASED, household="yilmaz")
    assert outcome.refusal is not None
    assert outcome.refusal.detail == "Household yilmaz was erased. Register it anew, under another id."
    given(*steps).erased("household/silva").when(command).then_event()


def test_its_id_is_not_used_again() -> None:
    given(yilmaz).erased(OWNER).when(yilmaz).then_rejected(E.ALREADY_EXISTS, household="yilmaz")


def test_that_it_was_served_is_recorded_and_looked_into() -> None:
    hall = given(*HALL).erased(OWNER)
    hall.when(visit(fact=True)).then(VisitRecorded, breaches=(E.HOUSEHOLD_ERASED,))
    hall.when(visit(occurred_at=ago(minutes=30))).then(VisitRecorded, breaches=(E.HOUSEHOLD_ERASED,))
    hall.when(claim(fact=True)).then(EntitlementClaimed)
    boxed = given(*ORDERED).erased(OWNER).when(pack(occurred_at=ago(minutes=30))).then(BoxPacked)
    boxed.when(hand_out(fact=True)).then(BoxHandedOut, breaches=(E.HOUSEHOLD_ERASED,))


def test_nobody_is_warned_for_it_as_nobody_knows_what_it_avoids() -> None:
    served = visit(lines=some(stew=1), fact=True)
    given(*HALL).erased(OWNER).when(served).then(VisitRecorded, warnings=warnings_said((), ["stew"]))


def test_its_order_can_still_be_cancelled() -> None:
    given(*HALL, place()).erased(OWNER).when(CancelOrder(order="o1", reason="Erased.")).then(OrderCancelled)


def test_another_is_served_as_before() -> None:
    given(*HALL).erased(OWNER).when(visit(household="okafor")).then(VisitRecorded, breaches=())
    given(*HALL).erased(OWNER).when(replace(into, into="nobody")).then_rejected(E.UNKNOWN_HOUSEHOLD)
