"""What is said in words beside a household: sealed in every event that has it, and warnings in a text of their own."""

from __future__ import annotations

import dataclasses
from typing import get_type_hints

import pytest
from hypothesis import given as each
from hypothesis import strategies as st

from services.distribution.contract import (
    REMARK,
    Note,
    Text,
    VisitReversed,
    Warned,
    Warning,  # noqa: A004 - the field's own word
    distribution,
    warnings_in,
    warnings_said,
    warnings_unseen,
)
from shared.erasure import CATEGORY
from shared.sealing import sealed_length
from tests.support.hall import WEEK, Hall

IDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", fullmatch=True)
WARNED = st.dictionaries(IDS, st.none() | st.sampled_from(Warning), min_size=1, max_size=9)

_OF_NOBODY = {"asked_by"}
"""Who of the staff it was, as `claimed_by` and the actor are."""


def test_no_event_has_words_in_clear_beside_a_household() -> None:
    """An erasure's own reasons outlive it, and name nobody (docs/decisions/0020)."""
    for spec in distribution.events.values():
        if spec.category == CATEGORY or "household" not in {field.name for field in dataclasses.fields(spec.cls)}:
            continue
        for name, hint in get_type_hints(spec.cls, include_extras=True).items():
            if name not in _OF_NOBODY:
                assert hint not in (Note, Text, Note | None, Text | None), f"{spec.name}.{name} stands in clear"


@each(WARNED)
def test_warnings_come_back_as_they_were_said(items: dict[str, Warning | None]) -> None:
    warned = tuple(Warned(item=item, warning=warning) for item, warning in items.items() if warning is not None)
    assert warnings_in(warnings_said(warned, items)) == warned
    unseen = warnings_said(warned, items, unseen=True)
    assert warnings_in(unseen) == warned
    assert warnings_unseen(unseen) is bool(warned)
    assert not warnings_unseen(warnings_said(warned, items))


@each(WARNED)
def test_how_long_a_sealed_text_is_says_nothing_of_warnings(items: dict[str, Warning | None]) -> None:
    warned = [Warned(item=item, warning=warning) for item, warning in items.items() if warning is not None]
    said, unseen, none = (
        sealed_length("household/h1", "warnings", text)
        for text in (warnings_said(warned, items), warnings_said(warned, items, unseen=True), warnings_said((), items))
    )
    assert said == unseen == none


def test_what_warnings_look_like() -> None:
    peanuts = Warned(item="peanut-butter", warning=Warning.ALLERGEN)
    assert warnings_said([peanuts], ["peanut-butter", "rice"]).rstrip() == "peanut-butter=allergen"
    assert warnings_said([], ["rice"]).rstrip() == "none"
    for other in ("(sealed)", "rice", "rice=", "rice=nuts", "unseen", ""):
        if other:
            with pytest.raises(ValueError, match="Warning"):
                warnings_in(other)


def test_a_remark_about_nobody_stands_in_clear_and_one_about_somebody_does_not() -> None:
    hall = Hall()
    for household in ("h1", None):
        back = hall.record(
            VisitReversed(
                visit="v1", household=household, programme="box", period=WEEK, reason="typed twice", session="monday",
                site="hall", used=0, occurred_at=hall.now,
            )
        )  # fmt: skip
        assert (b"typed twice" in back.raw) is (household is None)
    assert REMARK.remark
