"""Why the ledger refused an entry of a file, in a sentence that names the account, the fund and the figure.

The answer to many entries has a code for each. What it is about is read off the entry and the chart as the read model
has it; where that does not tell which of several is meant, all are named.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

import asyncpg

from services.imports.books import Units
from services.treasury.contract import DEFAULT_FUND, TreasuryError
from services.treasury.units import as_decimal, decimals_of

_FACTS: Final = "--facts records what has happened"


@dataclass(frozen=True, slots=True)
class Account:
    kind: str
    guarded: bool = False
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Fund:
    """`pays_for` is empty when it pays for whatever its purpose is."""

    restricted: bool = False
    pays_for: tuple[str, ...] = ()
    available_from: date | None = None
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """What a book has, as far as it is known."""

    starts: date | None = None
    closed_through: date | None = None
    accounts: Mapping[str, Account] = field(default_factory=dict)
    funds: Mapping[str, Fund] = field(default_factory=dict)
    scales: Mapping[str, int] = field(default_factory=dict)


async def chart_of(pool: asyncpg.Pool, units: Units) -> Chart:
    """The chart of a book as the read model has it."""
    book = await pool.fetchrow("SELECT starts, closed_through FROM read.books WHERE book = $1", units.book)
    accounts: Iterable[Any] = await pool.fetch(
        "SELECT account, kind, guarded, closed_at FROM read.accounts WHERE book = $1", units.book
    )
    funds: Iterable[Any] = await pool.fetch(
        "SELECT fund, restriction, ARRAY(SELECT jsonb_array_elements_text(coalesce(nullif(pays_for, 'null'), '[]')))"
        " AS pays_for, available_from, closed_at FROM read.funds WHERE book = $1",
        units.book,
    )
    return Chart(
        book["starts"] if book else None,
        book["closed_through"] if book else None,
        {a["account"]: Account(a["kind"], bool(a["guarded"]), a["closed_at"] is not None) for a in accounts},
        {
            f["fund"]: Fund(
                f["restriction"] != "none", tuple(f["pays_for"]), f["available_from"], f["closed_at"] is not None
            )
            for f in funds
        },
        units.scales,
    )  # fmt: skip


def reason(code: str, entry: Mapping[str, Any], chart: Chart) -> str:
    """Why an entry (the data of an Entry) was refused with `code`, and what to do."""
    said = _SENTENCES.get(code)
    return f"{code}: {said(entry, chart) if said is not None else 'the ledger refused it.'}"


def _postings(entry: Mapping[str, Any]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for sign, side in ((1, "debits"), (-1, "credits")):
        for posting in entry[side]:
            yield sign, posting


def _each(entry: Mapping[str, Any], name: str, default: str = "") -> list[str]:
    return list(dict.fromkeys(str(posting.get(name, default)) for _, posting in _postings(entry)))


def _named(what: str, ids: Iterable[str], meant: Callable[[str], bool], then: tuple[str, str]) -> str:
    """`account a is not there`, of those that are meant; of all when none of them seems to be."""
    listed = list(ids)
    found = [id_ for id_ in listed if meant(id_)]
    if not found and len(listed) > 1:
        return f"one of the {what}s {', '.join(listed)} {then[0]}"
    found = found or listed
    return f"{what}{'s' * (len(found) > 1)} {', '.join(found)} {then[len(found) > 1]}"


def _unknown_account(entry: Mapping[str, Any], chart: Chart) -> str:
    found = _named(
        "account", _each(entry, "account"), lambda a: bool(chart.accounts) and a not in chart.accounts, _NOT_THERE
    )
    return f"{found}; open it with OpenAccount."


def _account_closed(entry: Mapping[str, Any], chart: Chart) -> str:
    def meant(id_: str) -> bool:
        return id_ in chart.accounts and chart.accounts[id_].closed

    return f"{_named('account', _each(entry, 'account'), meant, _CLOSED)}; post it to another."


def _unknown_fund(entry: Mapping[str, Any], chart: Chart) -> str:
    found = _named(
        "fund", _each(entry, "fund", DEFAULT_FUND), lambda f: bool(chart.funds) and f not in chart.funds, _NOT_THERE
    )
    return f"{found}; open it with OpenFund."


def _fund_closed(entry: Mapping[str, Any], chart: Chart) -> str:
    def meant(id_: str) -> bool:
        return id_ in chart.funds and chart.funds[id_].closed

    return f"{_named('fund', _each(entry, 'fund', DEFAULT_FUND), meant, _CLOSED)}; post it for another."


def _unknown_unit(entry: Mapping[str, Any], chart: Chart) -> str:
    then = ("is not registered in the book", "are not registered in the book")
    found = _named("unit", _each(entry, "unit"), lambda u: bool(chart.scales) and u not in chart.scales, then)
    return f"{found}; RegisterUnit registers it."


def _period_closed(entry: Mapping[str, Any], chart: Chart) -> str:
    through = f" (the book is closed through {chart.closed_through})" if chart.closed_through else ""
    return f"its day, {entry['date']}, is closed{through}; ReopenPeriod opens it, or date it later."


def _outside(entry: Mapping[str, Any], chart: Chart) -> str:
    day = str(entry["date"])
    if chart.starts is not None:
        how = f"is before the book's first, {chart.starts}" if day < str(chart.starts) else "is yet to come"
        return f"its day, {day}, {how}."
    return f"its day, {day}, is before the book's first, or is yet to come."


def _purpose(entry: Mapping[str, Any], chart: Chart) -> str:
    for _, posting in _postings(entry):
        fund = chart.funds.get(posting.get("fund", DEFAULT_FUND))
        account = chart.accounts.get(posting["account"])
        if fund and account and account.kind == "expense" and fund.pays_for and posting["account"] not in fund.pays_for:
            allowed = ", ".join(fund.pays_for)
            return f"fund {posting['fund']} pays for {allowed}, not for {posting['account']}; take another fund."
    return f"a fund of it ({', '.join(_each(entry, 'fund', DEFAULT_FUND))}) does not pay for one of its accounts."


def _not_yet(entry: Mapping[str, Any], chart: Chart) -> str:
    for id_ in _each(entry, "fund", DEFAULT_FUND):
        first = chart.funds[id_].available_from if id_ in chart.funds else None
        if first is not None and str(entry["date"]) < str(first):
            return f"fund {id_} may not be spent before {first}; date it later, or take another fund."
    return f"a fund of it ({', '.join(_each(entry, 'fund', DEFAULT_FUND))}) may not be spent before its time."


def _taken(entry: Mapping[str, Any], chart: Chart, *, funds: bool, accounts: bool) -> str:
    """What an entry takes out of restricted funds and guarded accounts: `50.00 EUR from fund youth`."""
    moved: dict[tuple[str, str, str], int] = defaultdict(int)
    for sign, posting in _postings(entry):
        account, id_, unit = chart.accounts.get(posting["account"]), posting["account"], posting["unit"]
        fund = posting.get("fund", DEFAULT_FUND)
        if account is None:
            continue
        if accounts and account.guarded:
            grows = 1 if account.kind in ("asset", "expense") else -1
            moved["account", id_, unit] += grows * sign * posting["amount"]
        if funds and account.kind in ("asset", "liability") and fund in chart.funds and chart.funds[fund].restricted:
            moved["fund", fund, unit] += sign * posting["amount"]
    return ", ".join(
        f"{as_decimal(-much, chart.scales.get(unit, decimals_of(unit) or 0))} {unit} from {what} {id_}"
        for (what, id_, unit), much in moved.items()
        if much < 0
    )


def _fund_limit(entry: Mapping[str, Any], chart: Chart) -> str:
    taken = _taken(entry, chart, funds=True, accounts=False) or "more from a restricted fund"
    return f"it takes {taken}, and more would be spent than the fund has on {entry['date']}; {_FACTS}."


def _account_limit(entry: Mapping[str, Any], chart: Chart) -> str:
    taken = _taken(entry, chart, funds=False, accounts=True) or "more from a guarded account"
    return f"it takes {taken}, and the account would go below zero on {entry['date']}; {_FACTS}."


def _later_day(entry: Mapping[str, Any], chart: Chart) -> str:
    taken = _taken(entry, chart, funds=True, accounts=True) or "more from a fund or an account"
    return f"it takes {taken}, and a day after {entry['date']} would go below its limit; {_FACTS}."


def _unbalanced(_entry: Mapping[str, Any], _chart: Chart) -> str:
    return "its debits are not its credits, for each unit within each fund."


_NOT_THERE: Final = ("is not in the chart", "are not in the chart")
_CLOSED: Final = ("is closed", "are closed")
_SENTENCES: Final[Mapping[str, Callable[[Mapping[str, Any], Chart], str]]] = {
    TreasuryError.UNKNOWN_ACCOUNT: _unknown_account, TreasuryError.ACCOUNT_CLOSED: _account_closed,
    TreasuryError.UNKNOWN_FUND: _unknown_fund, TreasuryError.FUND_CLOSED: _fund_closed,
    TreasuryError.UNKNOWN_UNIT: _unknown_unit, TreasuryError.PERIOD_CLOSED: _period_closed,
    TreasuryError.DATE_OUTSIDE_BOOK: _outside, TreasuryError.UNBALANCED: _unbalanced,
    TreasuryError.FUND_PURPOSE: _purpose, TreasuryError.FUND_NOT_YET_AVAILABLE: _not_yet,
    TreasuryError.FUND_LIMIT: _fund_limit, TreasuryError.ACCOUNT_LIMIT: _account_limit,
    TreasuryError.BREAKS_LATER_DAY: _later_day,
}  # fmt: skip
