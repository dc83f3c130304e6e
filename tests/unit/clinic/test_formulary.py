"""What the clinic knows of an item, whichever of inventory's events it hears of first."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from services.clinic.contract import ClinicError, FormularyEntrySet, ItemNoted, NoteRecall, RecallNoted
from services.clinic.formulary import recalls_of
from services.inventory.contract import RecallScope
from tests.support.clinic import CLINIC, rxnorm
from tests.support.pharmacy import PHARMACY, amoxicillin, amoxicillin_500, entry, given, noted, request, sam
from tests.support.sentences import NOW

E = ClinicError


def recall(revision: int, *lots: str, standing: bool = True, **scope: Any) -> NoteRecall:
    return NoteRecall(
        item="amox", recall="r", revision=revision, scope=RecallScope(lots=lots, **scope), reason="Glass in it.",
        standing=standing,
    )  # fmt: skip


def test_a_clinician_or_a_pharmacist_says_which_medicine_an_item_is() -> None:
    there = given(*CLINIC, noted("amox"))
    for actor in ("osei", "lind"):
        there.when(entry("amox", amoxicillin_500, amoxicillin), actor=actor).then(FormularyEntrySet, item="amox")
    for actor in ("tam", "rui"):
        there.when(entry("amox", amoxicillin_500, amoxicillin), actor=actor).then_rejected(E.WRONG_ROLE)


def test_the_same_entry_again_changes_nothing() -> None:
    given(*PHARMACY).when(entry("amox", amoxicillin_500, amoxicillin)).then_nothing()


def test_an_entry_is_of_a_medicine_in_the_catalogue_and_says_if_it_is_controlled() -> None:
    given(*CLINIC, sam).when(entry("amox", amoxicillin_500, amoxicillin)).then_rejected(E.UNKNOWN_ITEM)
    rice = given(*CLINIC, sam, noted("rice", medicine=False))
    rice.when(entry("rice", amoxicillin_500, amoxicillin)).then_rejected(E.NOT_A_MEDICINE)
    codeine = rxnorm("2670", "codeine")
    there = given(*CLINIC, sam, noted("cough"))
    there.when(entry("cough", codeine, codeine)).then_rejected(E.CONTROLLED_SUBSTANCE)
    there.when(entry("cough", codeine, codeine, controlled=True)).then(FormularyEntrySet, controlled=True)


def test_what_is_older_than_what_is_known_of_an_item_changes_nothing() -> None:
    known = given(noted("amox", revision=3))
    known.when(noted("amox", revision=2, retired=True)).then_nothing()
    known.when(noted("amox", revision=3, retired=True)).then_nothing()
    known.when(noted("amox", revision=4, retired=True)).then(ItemNoted, retired=True)


def test_a_recall_and_its_end_may_come_in_any_order() -> None:
    lifted = given(recall(5, "L1", standing=False))
    lifted.when(recall(3, "L1")).then_nothing()
    lifted.when(recall(7, "L1")).then(RecallNoted, standing=True)


@pytest.mark.parametrize(
    ("scope", "lot", "day", "covered"),
    [
        ({"lots": ("L1",)}, "l-1", None, True),
        ({"lots": ("L1",)}, "L2", None, False),
        ({"lots": ("L1",)}, "UNKNOWN", None, True),
        ({"lots": ("L1",)}, None, None, True),
        ({}, "L2", None, True),
        ({"first_date": date(2027, 1, 1)}, "L2", date(2026, 12, 31), False),
        ({"first_date": date(2027, 1, 1)}, "L2", date(2027, 1, 1), True),
        ({"last_date": date(2027, 1, 1)}, "L2", None, True),
        ({"lots": ("L1",), "last_date": date(2027, 1, 1)}, "L2", date(2027, 1, 2), False),
    ],
)
def test_what_is_not_known_of_goods_counts_as_recalled(scope: Any, lot: str, day: Any, covered: bool) -> None:
    lots = scope.pop("lots", ())
    state = given(recall(1, *lots, **scope)).state("formulary", "amox")
    assert bool(recalls_of(state, [(lot, day)], NOW)) is covered


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (noted("amox", revision=2, retired=True), E.NOT_ON_FORMULARY),
        (noted("amox", revision=2, medicine=False), E.NOT_A_MEDICINE),
        (noted("amox", revision=2, controlled=True), E.CONTROLLED_SUBSTANCE),
        (entry("amox", amoxicillin_500, amoxicillin, controlled=True), E.CONTROLLED_SUBSTANCE),
    ],
)
def test_what_may_not_be_given_is_not_requested(change: Any, code: E) -> None:
    given(*PHARMACY, change).when(request()).then_rejected(code)
    given(*PHARMACY, noted("new")).when(request(item="new")).then_rejected(E.NOT_ON_FORMULARY)
    given(*PHARMACY).when(request(item="nothing")).then_rejected(E.UNKNOWN_ITEM)
