"""The limits of a book: what guarded accounts and restricted funds may be taken down to, on any day, holds counted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from services.treasury.contract import Breach, Entry, Posting, TreasuryError
from services.treasury.lines import Guard
from services.treasury.posting import Problem, amount_text, malformed, misspent, refuse, too_large
from services.treasury.state import Book, GuardKey, effects, floor_of
from shared.types import MAX_INTEGER

RANK: Final = {code: rank for rank, code in enumerate(TreasuryError)}
"""The place of each code in the order in which refusals are answered."""


class Guards:
    """The guards of a book as they will be once what was decided so far in one decision is folded."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self._own: dict[GuardKey, Guard] = {}

    def get(self, key: GuardKey) -> Guard:
        return self._own.get(key) or self.book.guards.get(key) or Guard()

    def _mine(self, key: GuardKey) -> Guard:
        if key not in self._own:
            self._own[key] = self.get(key).copy()
        return self._own[key]

    def post(self, day: int, changes: Mapping[GuardKey, int]) -> None:
        """Let an entry that was found right change them."""
        for key, change in changes.items():
            if change:
                self._mine(key).add(day, change)

    def free(self, changes: Mapping[GuardKey, int]) -> None:
        """Let go of what a hold of these effects took."""
        for key, change in changes.items():
            if change < 0:
                self._mine(key).held += change

    def copy(self) -> Guards:
        made = Guards(self.book)
        made._own = {key: guard.copy() for key, guard in self._own.items()}
        return made


@dataclass(frozen=True, slots=True)
class Broken:
    """A limit that an entry would break: where, on which day, the figure then, and the least that it may be."""

    code: TreasuryError
    key: GuardKey
    day: int
    balance: int
    limit: int
    held: int

    def breach(self, entry: str) -> Breach:
        """How the event of a fact names it."""
        kind, id, unit = self.key
        return Breach(
            code=self.code, entry=entry, account=id if kind == "account" else None, fund=id if kind == "fund" else None,
            unit=unit, date=date.fromordinal(self.day), balance=self.balance, limit=self.limit,
        )  # fmt: skip

    def problem(self, book: Book) -> Problem:
        kind, id, unit = self.key
        figure, limit = amount_text(book, self.balance, unit), amount_text(book, self.limit, unit)
        what = f"Account {id}" if kind == "account" else f"The net assets of fund {id}"
        day = date.fromordinal(self.day)
        facts = {kind: id, "unit": unit, "date": str(day), "balance": self.balance, "limit": self.limit}
        if self.code is TreasuryError.FUND_NOT_YET_AVAILABLE:
            return Problem(
                self.code, f"Fund {id} may not be spent before {day}. Date it later, or take another.", facts
            )
        if self.code is TreasuryError.BREAKS_LATER_DAY:
            return Problem(
                self.code,
                f"{what} would stand at {figure} on {day}, and may not go below {limit}: later entries need what this "
                "one takes. Date it later, or report it as a fact.",
                facts,
            )
        held = f", {amount_text(book, self.held, unit)} being held" if self.held else ""
        return Problem(
            self.code,
            f"{what} would stand at {figure} on {day}{held}, and may not go below {limit}.",
            facts | {"held": self.held},
        )


def broken_limits(guards: Guards, day: int, changes: Mapping[GuardKey, int]) -> list[Broken]:
    """The limits that an entry of a day would break; what only gains breaks none. Checks of the past ignore holds."""
    found: list[Broken] = []
    book = guards.book
    for key, change in changes.items():
        if change >= 0:
            continue
        guard, floor = guards.get(key), floor_of(book, key)
        if key[0] == "fund":
            available = book.funds[key[1]].available_from
            if available is not None and day < available:
                found.append(Broken(TreasuryError.FUND_NOT_YET_AVAILABLE, key, available, 0, 0, 0))
        last = guard.days[-1] if guard.days else day
        limit = TreasuryError.ACCOUNT_LIMIT if key[0] == "account" else TreasuryError.FUND_LIMIT
        if day < last and (short := guard.first_below(floor - change, day)) is not None:
            when, low = short
            code = TreasuryError.BREAKS_LATER_DAY if when > day else limit
            found.append(Broken(code, key, when, low + change, floor, 0))
        elif guard.balance + change - guard.held < floor:
            found.append(Broken(limit, key, max(day, last), guard.balance + change - guard.held, floor, guard.held))
    if len(found) > 1:
        found.sort(key=lambda broken: RANK[broken.code])
    return found


def judge(
    book: Book, entry: str, day: date, debits: Sequence[Posting], credits: Sequence[Posting], *,  # noqa: A002
    fact: bool = False, spending: bool = True, guards: Guards | None = None, before: Iterable[Entry] = (),
    moved: int = 0,
) -> tuple[Breach, ...]:  # fmt: skip
    """Refuse an entry that may not be posted; of a fact, name the limits that it broke. Its day is in order."""
    if problem := malformed(book, debits, credits, spending=spending and not fact, before=before, moved=moved):
        refuse(problem)
    breaches = [
        Breach(
            code=problem.code, entry=entry, account=posting.account, fund=posting.fund, unit=posting.unit, date=day,
            balance=posting.amount, limit=0,
        )
        for posting, problem in (misspent(book, debits) if fact and spending else ())
    ]  # fmt: skip
    found = broken_limits(guards or Guards(book), day.toordinal(), effects(book, debits, credits))
    if found and not fact:
        refuse(found[0].problem(book))
    for one in found:
        if one.balance < -MAX_INTEGER:
            refuse(too_large(book, f"{one.key[0]} {one.key[1]}", one.key[2]))
    return (*breaches, *(one.breach(entry) for one in found))
