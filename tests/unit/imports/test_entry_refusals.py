"""A refused entry of a file is told with the account, the fund and the figure that it is about."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from services.imports.entry_refusals import Account, Chart, Fund, reason
from services.treasury.contract import TreasuryError

CHART = Chart(
    date(2026, 1, 1), date(2026, 3, 31),
    {
        "bank": Account("asset", guarded=True), "food": Account("expense"), "rent": Account("expense"),
        "old": Account("asset", closed=True),
    },
    {
        "general": Fund(), "youth": Fund(restricted=True, pays_for=("food",)), "gone": Fund(closed=True),
        "winter": Fund(restricted=True, available_from=date(2026, 11, 1)),
    },
    {"EUR": 2},
)  # fmt: skip


def entry(debit: str, credit: str, fund: str = "general", day: str = "2026-05-01", unit: str = "EUR") -> dict[str, Any]:
    def posting(account: str) -> list[dict[str, Any]]:
        return [{"account": account, "fund": fund, "unit": unit, "amount": 5000}]

    return {"entry": "e-1", "date": day, "debits": posting(debit), "credits": posting(credit)}


@pytest.mark.parametrize(
    ("code", "of", "said"),
    [
        ("UNKNOWN_ACCOUNT", entry("food", "nowhere"), "account nowhere is not in the chart; open it with OpenAccount."),
        ("UNKNOWN_ACCOUNT", entry("here", "nowhere"), "accounts here, nowhere are not in the chart"),
        ("UNKNOWN_ACCOUNT", entry("food", "bank"), "one of the accounts food, bank is not in the chart"),
        ("ACCOUNT_CLOSED", entry("food", "old"), "account old is closed"),
        ("UNKNOWN_FUND", entry("food", "bank", "none-such"), "fund none-such is not in the chart"),
        ("FUND_CLOSED", entry("food", "bank", "gone"), "fund gone is closed"),
        ("UNKNOWN_UNIT", entry("food", "bank", unit="USD"), "unit USD is not registered in the book"),
        (
            "PERIOD_CLOSED",
            entry("food", "bank", day="2026-02-01"),
            "2026-02-01, is closed (the book is closed through 2",
        ),
        (
            "DATE_OUTSIDE_BOOK",
            entry("food", "bank", day="2025-02-01"),
            "2025-02-01, is before the book's first, 2026-01",
        ),
        ("DATE_OUTSIDE_BOOK", entry("food", "bank", day="2036-02-01"), "its day, 2036-02-01, is yet to come."),
        ("FUND_PURPOSE", entry("rent", "bank", "youth"), "fund youth pays for food, not for rent"),
        ("FUND_NOT_YET_AVAILABLE", entry("food", "bank", "winter"), "fund winter may not be spent before 2026-11-01"),
        ("FUND_LIMIT", entry("food", "bank", "youth"), "it takes 50.00 EUR from fund youth, and more would be spent"),
        (
            "ACCOUNT_LIMIT",
            entry("food", "bank"),
            "it takes 50.00 EUR from account bank, and the account would go below",
        ),
        ("BREAKS_LATER_DAY", entry("food", "bank", "youth"), "50.00 EUR from account bank, 50.00 EUR from fund youth"),
    ],
)
def test_a_refusal_names_what_it_is_about(code: str, of: dict[str, Any], said: str) -> None:
    assert TreasuryError(code)
    assert said in reason(code, of, CHART)


@pytest.mark.parametrize("code", list(TreasuryError))
def test_every_code_has_a_sentence_even_when_the_chart_is_not_known(code: str) -> None:
    assert reason(code, entry("food", "bank"), Chart()).startswith(f"{code}: ")
