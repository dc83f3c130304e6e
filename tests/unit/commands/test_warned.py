"""Warnings about goods are put into words once they are opened, and what stays closed says so."""

from __future__ import annotations

from typing import Any

import pytest

from services.distribution.contract import (
    Warned,
    Warning,  # noqa: A004 - the field's own word
    warnings_said,
)
from services.queries import Column, QueryResult
from services.queries.distribution import check_in_told, packing_told, review_told

WARNED = (
    Warned(item="stew", warning=Warning.ALLERGENS_UNKNOWN),
    Warned(item="peanut-butter", warning=Warning.ALLERGEN),
)
SOME = warnings_said(WARNED, ["stew", "peanut-butter", "rice"])
NONE = warnings_said((), ["rice"])


def _told(tell: Any, columns: tuple[str, ...], *rows: tuple[Any, ...]) -> list[dict[str, Any]]:
    found = QueryResult("x", tuple(Column(name, name) for name in columns), list(rows), ("DISTRIBUTION", 1))
    told = tell(found).records()
    return list(told)


@pytest.mark.parametrize(
    ("look", "goods", "said"),
    [
        (None, SOME, "stew allergens unknown, peanut-butter allergen"),
        ("1 items are short", SOME, "1 items are short; stew allergens unknown, peanut-butter allergen"),
        ("1 items are short", NONE, "1 items are short"),
        (None, NONE, None),
        (None, None, None),
        ("its order has no claim", "(sealed)", "its order has no claim; (sealed)"),
    ],
)
def test_a_check_in_ends_with_what_the_order_s_goods_warn_of(
    look: str | None, goods: str | None, said: str | None
) -> None:
    row = ("h1", look, goods, ["peanuts"])
    (told,) = _told(check_in_told, ("household", "warnings", "goods_warnings", "avoids"), row)
    assert told == {"household": "h1", "warnings": said, "avoids": ["peanuts"]}


def test_a_packing_sheet_warns_of_each_item_beside_it() -> None:
    rows = [("rice", SOME), ("stew", SOME), ("peanut-butter", SOME), ("stew", NONE), ("stew", "(erased)")]
    told = _told(packing_told, ("item", "warning"), *rows)
    assert [row["warning"] for row in told] == [None, "allergens unknown", "allergen", None, "(erased)"]


def test_a_review_lists_no_serving_that_warns_of_nothing_that_nobody_has_seen() -> None:
    unseen = warnings_said(WARNED, ["stew", "peanut-butter"], unseen=True)
    texts = [unseen, SOME, NONE, "(erased)", "(sealed)"]
    rows = [*(("look_at_warnings", text) for text in texts), ("limit_reached", "none"), ("card_shared", None)]
    assert [tuple(row.values()) for row in _told(review_told, ("kind", "detail"), *rows)] == [
        ("look_at_warnings", "stew allergens unknown, peanut-butter allergen"), ("look_at_warnings", "(sealed)"),
        ("limit_reached", "none"), ("card_shared", None),
    ]  # fmt: skip
