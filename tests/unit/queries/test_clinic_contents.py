"""What is sealed of patients is said in words, each kind by a function of its own."""

from __future__ import annotations

import dataclasses
from typing import get_args

import msgspec
import pytest

from services.clinic.contract import (
    Allergy,
    AllergyCategory,
    AllergyStatus,
    Check,
    CodeSystem,
    Coding,
    Contact,
    Disclosure,
    Override,
    Role,
    Verification,
)
from services.queries.answer import Column, QueryResult
from services.queries.clinic.chart import banner
from services.queries.clinic.contents import _WORDS, HOLDS, words
from services.queries.clinic.roles import sight
from shared.keyreader import Closed


@pytest.mark.parametrize("holds", [*HOLDS.values(), Check, Disclosure, Override], ids=str)
def test_every_value_of_a_chart_has_words_of_its_own(holds: type) -> None:
    each = (get_args(holds) or (holds,))[0]
    assert each is str or (dataclasses.is_dataclass(each) and each in _WORDS)


def test_a_text_is_its_own_words_and_a_closed_one_says_why() -> None:
    assert words("seen today") == "seen today"
    assert words(Closed.ERASED) == "(erased)"
    assert words(("a", "", "b")) == "a; b"


def test_an_allergy_that_is_not_sure_or_is_over_elsewhere_says_so() -> None:
    fish = Coding(system=CodeSystem.TEXT, display="fish")
    said = {
        (sure, lasts): words(
            Allergy(substance=fish, category=AllergyCategory.FOOD, verification=sure, clinical_status=lasts)
        )
        for sure, lasts in (
            (Verification.PRESUMED, AllergyStatus.RESOLVED), (Verification.CONFIRMED, AllergyStatus.ACTIVE),
        )
    }  # fmt: skip
    assert list(said.values()) == ["fish; presumed; said to be resolved", "fish"]


def _entries(*allergies: Allergy | None) -> tuple[QueryResult, dict[str, str]]:
    """A chart with these allergies; None is one that nobody can read."""
    texts = {f"sealed:{n}": msgspec.json.encode(one).decode() for n, one in enumerate(allergies) if one is not None}
    columns = tuple(Column(name, name) for name in ("kind", "status", "content"))
    rows = [("allergy", "active", f"sealed:{n}") for n in range(len(allergies))]
    return QueryResult("Chart", columns, rows, ("CLINIC", 1)), texts


def test_the_banner_counts_what_nobody_can_read_and_ends_each_sentence_once() -> None:
    said = Allergy(
        substance=Coding(system=CodeSystem.RXNORM, code="7980", display="penicillin G"),
        category=AllergyCategory.MEDICATION, note="Not confirmed.",
    )  # fmt: skip
    assert banner(*_entries(said)) == "ALLERGIES: penicillin G (RxNorm 7980); Not confirmed."
    assert "1 recorded allergy cannot be read: take nothing for safe." in banner(*_entries(said, None))
    assert "2 recorded allergies cannot be read: take nothing for safe." in banner(*_entries(None, None))


def test_a_language_is_named_as_one_and_each_role_has_its_article() -> None:
    assert words(Contact(phone="555-0126", language="it")) == "555-0126; language: it"
    assert {sight([role]).told for role in Role} == {
        "the front desk", "a trainee", "a clinician", "a pharmacist", "an auditor",
    }  # fmt: skip
