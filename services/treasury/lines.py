"""Balances over days: of one account and fund, and of what must not go below a limit.

A line keeps, for each day on which something was posted, the balance at the day's end. Posting in the order of days
costs the same however long the line is; a late entry shifts the days behind it.

Amounts are in minor units. A day is its proleptic ordinal (`datetime.date.toordinal`).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field


@dataclass(slots=True)
class Line:
    """What was posted to one account for one fund in one unit; debits count as positive."""

    balance: int = 0
    peak: int = 0
    """No balance on any day is further from zero."""
    days: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)

    def add(self, day: int, amount: int) -> None:
        """Post an amount to a day."""
        days = self.days
        self.balance = balance = self.balance + amount
        if balance > self.peak or -balance > self.peak:
            self.peak = abs(balance)
        if days:
            last = days[-1]
            if day == last:
                self.ends[-1] = balance
                return
            if day < last:
                self._add_late(day, amount)
                return
        days.append(day)
        self.ends.append(balance)

    def _add_late(self, day: int, amount: int) -> None:
        self.peak += abs(amount)
        at = bisect_left(self.days, day)
        if self.days[at] != day:
            self.days.insert(at, day)
            self.ends.insert(at, self.ends[at - 1] if at else 0)
        for later in range(at, len(self.ends)):
            self.ends[later] += amount

    def copy(self) -> Line:
        return Line(self.balance, self.peak, self.days.copy(), self.ends.copy())

    def at_end_of(self, day: int) -> int:
        """The balance when a day was over."""
        at = bisect_right(self.days, day)
        return self.ends[at - 1] if at else 0


@dataclass(slots=True)
class Guard:
    """What must not go below a limit: a guarded account over all funds, or the net assets of a restricted fund.

    Its balance grows with what is good for it. `held` is what open holds may take from it. `lows` are the lowest
    balances within each day, as the entries of a day came one after another.
    """

    balance: int = 0
    held: int = 0
    days: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    lows: list[int] = field(default_factory=list)

    def add(self, day: int, amount: int) -> None:
        """Let an entry of a day change it."""
        days = self.days
        self.balance = balance = self.balance + amount
        if days and day <= days[-1]:
            if day == days[-1]:
                self.ends[-1] = balance
                if balance < self.lows[-1]:
                    self.lows[-1] = balance
            else:
                self._add_late(day, amount)
            return
        days.append(day)
        self.ends.append(balance)
        self.lows.append(balance)

    def _add_late(self, day: int, amount: int) -> None:
        """After what the day had already: an entry that is recorded later comes later (ties go by revision)."""
        at = bisect_left(self.days, day)
        if self.days[at] == day:
            self.ends[at] += amount
            self.lows[at] = min(self.lows[at], self.ends[at])
        else:
            end = (self.ends[at - 1] if at else 0) + amount
            self.days.insert(at, day)
            self.ends.insert(at, end)
            self.lows.insert(at, end)
        for later in range(at + 1, len(self.days)):
            self.ends[later] += amount
            self.lows[later] += amount

    def first_below(self, least: int, day: int) -> tuple[int, int] | None:
        """The first day, from a further entry of a day on, with a balance below the least, and that balance.

        The further entry's own change is not counted, nor are holds: they are of the present.
        """
        at = bisect_right(self.days, day)
        figure = self.ends[at - 1] if at else 0
        if figure < least:
            return day, figure
        if at == len(self.days) or min(self.lows[at:]) >= least:
            return None
        at = next(later for later in range(at, len(self.days)) if self.lows[later] < least)
        return self.days[at], self.lows[at]

    def copy(self) -> Guard:
        return Guard(self.balance, self.held, self.days.copy(), self.ends.copy(), self.lows.copy())
