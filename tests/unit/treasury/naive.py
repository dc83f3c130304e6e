"""A book as the plainest bookkeeper would keep it: a list of entries, and everything added up anew for each question.

It shares no code with the deciders. What it says of a command is the code of the refusal, or None.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date

from services.treasury.contract import (
    AccountKind,
    EntriesPosted,
    EntryReversed,
    HoldExpired,
    HoldPlaced,
    HoldPosted,
    HoldVoided,
    OpenAccount,
    OpenFund,
    PeriodClosed,
    PeriodReopened,
    Posting,
    Restriction,
    YearClosed,
    entries_of,
)

Postings = tuple[Posting, ...]
Key = tuple[str, str, str]
GROWS_BY_DEBITS = (AccountKind.ASSET, AccountKind.EXPENSE)
RESULT = (AccountKind.INCOME, AccountKind.EXPENSE)


@dataclass
class Posted:
    """One entry, in the order in which entries were recorded."""

    id: str
    day: date
    debits: Postings
    credits: Postings
    fact: bool = False


@dataclass
class NaiveBook:
    """The journal, the open holds, and how far it is closed."""

    accounts: dict[str, OpenAccount]
    funds: dict[str, OpenFund]
    units: set[str]
    starts: date
    closed: date | None = None
    entries: list[Posted] = field(default_factory=list)
    holds: dict[str, tuple[Postings, Postings]] = field(default_factory=dict)
    years: list[tuple[date, str]] = field(default_factory=list)
    taken_back: dict[str, str] = field(default_factory=dict)
    """What took each entry back that was."""
    gone: set[str] = field(default_factory=set)
    """Accounts and funds that are closed: `account cash`."""

    # -- adding up --------------------------------------------------------------------------------------------------

    def balance(self, account: str, fund: str, unit: str, until: date | None = None) -> int:
        total = 0
        for entry in self.entries:
            if until is None or entry.day <= until:
                for sign, postings in ((1, entry.debits), (-1, entry.credits)):
                    for one in postings:
                        if (one.account, one.fund, one.unit) == (account, fund, unit):
                            total += sign * one.amount
        return total

    def keys(self, debits: Postings, credits: Postings) -> list[Key]:  # noqa: A002
        """The limits that postings may touch."""
        found: list[Key] = []
        for one in (*debits, *credits):
            if self.accounts[one.account].guarded:
                found.append(("account", one.account, one.unit))
            if self.funds[one.fund].restriction is not Restriction.NONE:
                found.append(("fund", one.fund, one.unit))
        return list(dict.fromkeys(found))

    def effect(self, key: Key, debits: Postings, credits: Postings) -> int:  # noqa: A002
        """What postings do to a guarded account, or to what a fund owns less what it owes; good is positive."""
        kind, id, unit = key
        total = 0
        for sign, postings in ((1, debits), (-1, credits)):
            for one in postings:
                of = self.accounts[one.account].kind
                if one.unit != unit:
                    continue
                if kind == "account" and one.account == id:
                    total += sign * one.amount * (1 if of in GROWS_BY_DEBITS else -1)
                if kind == "fund" and one.fund == id and of in (AccountKind.ASSET, AccountKind.LIABILITY):
                    total += sign * one.amount
        return total

    def floor(self, key: Key) -> int:
        return -self.funds[key[1]].advance if key[0] == "fund" and key[2] == "EUR" else 0

    def held(self, key: Key, but: str | None = None) -> int:
        taken = 0
        for id, (debits, credits) in self.holds.items():  # noqa: A001
            if id != but:
                taken += max(0, -self.effect(key, debits, credits))
        return taken

    def moments(self, key: Key, day: date) -> Iterator[tuple[date, int]]:
        """How a limit's figure stands after everything up to the end of a day, and after each entry later than that."""
        running = 0
        for entry in self.entries:
            if entry.day <= day:
                running += self.effect(key, entry.debits, entry.credits)
        yield day, running
        later = [(entry.day, at) for at, entry in enumerate(self.entries) if entry.day > day]
        for when, at in sorted(later):
            running += self.effect(key, self.entries[at].debits, self.entries[at].credits)
            yield when, running

    # -- what is wrong ------------------------------------------------------------------------------------------------

    def wrong_day(self, day: date, today: date) -> str | None:
        if day > today or day < self.starts:
            return "DATE_OUTSIDE_BOOK"
        return "PERIOD_CLOSED" if self.closed is not None and day <= self.closed else None

    def malformed(self, debits: Postings, credits: Postings, *, spending: bool) -> str | None:  # noqa: A002
        both = (*debits, *credits)
        found: list[str] = []
        for one in both:
            found += ["0 UNKNOWN_ACCOUNT"] if one.account not in self.accounts else []
            found += ["1 ACCOUNT_CLOSED"] if f"account {one.account}" in self.gone else []
            found += ["2 UNKNOWN_FUND"] if one.fund not in self.funds else []
            found += ["3 FUND_CLOSED"] if f"fund {one.fund}" in self.gone else []
            found += ["4 UNKNOWN_UNIT"] if one.unit not in self.units else []
        totals: defaultdict[tuple[str, str], int] = defaultdict(int)
        for sign, postings in ((1, debits), (-1, credits)):
            for one in postings:
                totals[one.fund, one.unit] += sign * one.amount
        found += ["5 UNBALANCED"] if any(totals.values()) else []
        moves: defaultdict[Key, int] = defaultdict(int)
        for sign, postings in ((1, debits), (-1, credits)):
            for one in postings:
                moves[one.account, one.fund, one.unit] += sign * one.amount
        found += ["6 NOTHING_MOVES"] if both and not any(moves.values()) else []
        if found:
            return min(found)[2:]
        return "FUND_PURPOSE" if spending and any(self.misspent(one) for one in debits) else None

    def misspent(self, one: Posting) -> bool:
        fund, kind = self.funds[one.fund], self.accounts[one.account].kind
        if fund.restriction is Restriction.NONE:
            return False
        other = kind is AccountKind.EXPENSE and fund.pays_for and one.account not in fund.pays_for
        return bool(other) or kind in (AccountKind.INCOME, AccountKind.NET_ASSETS)

    def broken(
        self, day: date, debits: Postings, credits: Postings, freed: str | None = None,  # noqa: A002
    ) -> list[str]:  # fmt: skip
        """The codes of all limits that an entry would break, the first one first; `freed` is a hold that ends by it."""
        found = []
        for key in self.keys(debits, credits):
            change = self.effect(key, debits, credits)
            if change >= 0:
                continue
            if key[0] == "fund":
                available = self.funds[key[1]].available_from
                found += ["0 FUND_NOT_YET_AVAILABLE"] if available is not None and day < available else []
            low = next((when for when, figure in self.moments(key, day) if figure + change < self.floor(key)), None)
            *_, (_, now) = self.moments(key, day)
            limit = "2 ACCOUNT_LIMIT" if key[0] == "account" else "3 FUND_LIMIT"
            if low is not None:
                found.append("1 BREAKS_LATER_DAY" if low > day else limit)
            elif now + change - self.held(key, freed) < self.floor(key):
                found.append(limit)
        return [code[2:] for code in sorted(found)]

    def refusal(
        self, day: date, today: date, debits: Postings, credits: Postings, *, fact: bool = False,  # noqa: A002
        spending: bool = True, freed: str | None = None,
    ) -> str | None:  # fmt: skip
        """Why an entry may not be posted, or None."""
        code = self.wrong_day(day, today) or self.malformed(debits, credits, spending=spending and not fact)
        if code is None and not fact:
            code = next(iter(self.broken(day, debits, credits, freed)), None)
        return code

    # -- what happened ------------------------------------------------------------------------------------------------

    def note(self, event: object) -> None:
        """Write down what an event says."""
        facts = isinstance(event, EntriesPosted)
        for entry in entries_of(event):
            fact = entry.fact if facts else getattr(event, "fact", False)  # type: ignore[union-attr]
            self.entries.append(Posted(entry.entry, entry.date, entry.debits, entry.credits, fact))
        match event:
            case HoldPlaced():
                self.holds[event.hold] = (event.debits, event.credits)
            case HoldPosted() | HoldVoided() | HoldExpired():
                del self.holds[event.hold]
            case PeriodClosed():
                self.closed = event.through
            case PeriodReopened():
                self.closed = event.closed_through
            case YearClosed():
                self.years.append((event.through, event.entry))
            case EntryReversed():
                self.taken_back[event.reverses] = event.entry
                if event.closing:
                    self.years.pop()

    def all_balances(self, until: date | None = None) -> dict[tuple[str, str, str], int]:
        keys = {(one.account, one.fund, one.unit) for entry in self.entries for one in (*entry.debits, *entry.credits)}
        found = {key: self.balance(*key, until) for key in keys}
        return {key: figure for key, figure in found.items() if figure}


def balanced(entries: Iterable[Posted]) -> bool:
    """Whether debits equal credits in every entry, for each fund and unit."""
    for entry in entries:
        totals: defaultdict[tuple[str, str], int] = defaultdict(int)
        for sign, postings in ((1, entry.debits), (-1, entry.credits)):
            for one in postings:
                totals[one.fund, one.unit] += sign * one.amount
        if any(totals.values()):
            return False
    return True
