"""What is sealed of patients is said in words, each kind by a function of its own."""

from __future__ import annotations

import dataclasses
from typing import get_args

import pytest

from services.clinic.contract import (
    Allergy,
    AllergyCategory,
    AllergyStatus,
    Check,
    CodeSystem,
    Coding,
    Disclosure,
    Override,
    Verification,
)
from services.queries.clinic.contents import _WORDS, HOLDS, words
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
