"""Months, days and dates on the command line, as the span of time that they mean."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from services.commands.door import Usage
from services.queries import QueryResult
from shared.clock import utc_now
from shared.types import FIRST_YEAR, LAST_YEAR

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Period:
    """From `since` up to but not with `until`, in UTC; either may be open. `month` is a whole month's first day."""

    since: datetime | None = None
    until: datetime | None = None
    month: date | None = None

    @property
    def wide_since(self) -> datetime | None:
        """`since`, a day earlier for a month: months are those of each location's own clock, cut by `only`."""
        return self.since - _DAY if self.since and self.month else self.since

    @property
    def wide_until(self) -> datetime | None:
        return self.until + _DAY if self.until and self.month else self.until

    def only(self, found: QueryResult) -> QueryResult:
        """The rows of the month alone, of an answer that has one row a month."""
        place = next((i for i, column in enumerate(found.columns) if column.name == "month"), None)
        if place is None or self.month is None:
            return found
        rows = [row for row in found.rows if row[place] == self.month]
        message = found.message if rows or found.message else f"Nothing in {self.month:%Y-%m}."
        return replace(found, rows=rows, message=message)


def period(month: str | None, days: int | None, since: str | None = None, until: str | None = None) -> Period:
    """The span that the options mean. Raises Usage when they contradict each other or are no dates."""
    given = [name for name, value in (("--month", month), ("--days", days), ("--since", since or until)) if value]
    if len(given) > 1:
        raise Usage(f"{' and '.join(given)} cannot be given together.")
    if month is not None:
        first = _month(month)
        following = (first + timedelta(days=32)).replace(day=1)
        return Period(_midnight(first), _midnight(following), first)
    if days is not None:
        return Period(utc_now() - timedelta(days=days), None)
    start, last = day("--since", since), day("--until", until)
    if start and last and start > last:
        raise Usage("--since is after --until.")
    return Period(_midnight(start) if start else None, _midnight(last + _DAY) if last else None)


def _month(text: str) -> date:
    found = re.fullmatch(r"(\d{4})-(0[1-9]|1[0-2])", text)
    if found is None or not FIRST_YEAR <= int(found[1]) <= LAST_YEAR:
        raise Usage(f"--month takes a month as 2026-11; {text[:40]!r} is none.")
    return date(int(found[1]), int(found[2]), 1)


def day(option: str, text: str | None) -> date | None:
    """The day that an option means. Raises Usage when it is none."""
    if text is None:
        return None
    try:
        found = date.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise Usage(f"{option} takes a day as 2026-11-20; {text[:40]!r} is none.")
    return found


def span(first: str | None, last: str | None) -> tuple[date | None, date | None]:
    """The days that --from and --to mean, each None when it is open. Raises Usage for what is none, or goes back."""
    start, end = day("--from", first), day("--to", last)
    if start is not None and end is not None and start > end:
        raise Usage(f"--from {start} is after --to {end}.")
    return start, end


def recorded_by(text: str | None, option: str = "--recorded") -> datetime | None:
    """The moment that an option means: a day is meant up to its end, in UTC. Raises Usage when it is neither."""
    if text is None or len(text) <= len("2026-11-20"):
        last = day(option, text)
        return None if last is None else _midnight(last + _DAY) - timedelta(microseconds=1)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None or not FIRST_YEAR < found.year < LAST_YEAR:
        raise Usage(f"{option} takes a moment as 2026-11-20T09:30:00Z, or a day; {text[:40]!r} is neither.")
    return found.astimezone(UTC)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
