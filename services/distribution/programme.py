"""Programmes: what is offered, the standard box by household size, and how often a household is served."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final

from services.distribution.contract import (
    CATALOGUE,
    BundleSet,
    CloseProgramme,
    DistributionError,
    Every,
    ItemLine,
    LimitSet,
    OpenProgramme,
    ProgrammeClosed,
    ProgrammeOpened,
    SetBundle,
    SetLimit,
    distribution,
)
from services.distribution.goods import Catalogue, known_items
from services.distribution.refusals import local_day, rejected, when
from shared.contract import fields_of
from shared.decider import Context, Decider, Ref
from shared.moments import TOLERANCE


@dataclass(slots=True)
class Limit:
    """How often a household is served in a period, and from which day on; `since` None is from the beginning."""

    times: int
    every: Every
    since: date | None


@dataclass
class Programme:
    """A programme; `kind` is empty before it is opened."""

    name: str = ""
    kind: str = ""
    utc_offset: int = 0
    closed: bool = False
    bundles: dict[int, tuple[ItemLine, ...]] = field(default_factory=dict)
    """The standard boxes, by the smallest household that gets them."""
    limits: list[Limit] = field(default_factory=list)
    """In the order in which they take effect, each on another day: a fact is counted by what held on its day."""
    limited_at: datetime | None = None


ProgrammeCommand = OpenProgramme | CloseProgramme | SetBundle | SetLimit
ProgrammeEvent = ProgrammeOpened | ProgrammeClosed | BundleSet | LimitSet


def evolve(programme: Programme, event: ProgrammeEvent) -> Programme:
    match event:
        case ProgrammeOpened():
            programme.closed = False
            programme.name, programme.kind, programme.utc_offset = event.name, event.kind, event.utc_offset
        case ProgrammeClosed():
            programme.closed = True
        case BundleSet():
            if event.lines:
                lines = tuple(ItemLine(item=line.item, quantity=line.quantity) for line in event.lines)
                programme.bundles[event.min_size] = lines
            else:
                programme.bundles.pop(event.min_size, None)
        case LimitSet():
            day = local_day(event.occurred_at, programme.utc_offset)
            before = [limit for limit in _held(programme, day) if event.since is None or limit.since != event.since]
            programme.limits = [*before, Limit(event.times, event.every, event.since)]
            programme.limited_at = event.occurred_at
    return programme


def reads(command: ProgrammeCommand) -> Iterable[Ref]:
    return (Ref("goods", CATALOGUE),) if isinstance(command, SetBundle) else ()


def decide(command: ProgrammeCommand, programme: Programme, context: Context) -> ProgrammeEvent | None:
    fields = dict(fields_of(command)) | {"occurred_at": when(command.occurred_at, context)}
    if isinstance(command, OpenProgramme):
        if not programme.kind:
            return ProgrammeOpened(**fields)
        as_it_is = (programme.name, programme.kind, programme.utc_offset)
        if as_it_is == (command.name, command.kind, command.utc_offset):
            return ProgrammeOpened(**fields) if programme.closed else None
        again = "To open it again, name the facts that it had; or choose" if programme.closed else "Choose"
        raise rejected(
            DistributionError.ALREADY_EXISTS,
            f"There is, or was, a programme {command.programme} with other facts. {again} another id.",
            programme=command.programme,
        )  # fmt: skip
    known(programme, command.programme)
    match command:
        case CloseProgramme():
            return None if programme.closed else ProgrammeClosed(**fields)
        case SetBundle():
            catalogue: Catalogue = context.read("goods", CATALOGUE)
            known_items(catalogue, command.lines)
            running(programme, command.programme)
            items = [line.item for line in command.lines]
            if len(set(items)) < len(items):
                raise rejected(DistributionError.DUPLICATE_LINE, "An item is listed twice. Add the two up.")
            before = programme.bundles.get(command.min_size, ())
            same = [(line.item, line.quantity) for line in before] == [
                (one.item, one.quantity) for one in command.lines
            ]
            return None if same else BundleSet(**fields)
        case SetLimit():
            running(programme, command.programme)
            return _limit(command, programme, context, when(command.occurred_at, context))


def _limit(command: SetLimit, programme: Programme, context: Context, at: datetime) -> LimitSet | None:
    """Another number holds from today. Periods of another kind begin with the first of them that is whole: what was
    counted in the old ones would not count in one that has begun."""
    last = programme.limits[-1] if programme.limits else None
    if last is not None and (last.times, last.every) == (command.times, command.every):
        return None
    today = local_day(max(at, context.now), programme.utc_offset)
    _in_order(command, programme, at, today)
    held = limit_on(programme, today)
    since = None
    if held is not None:
        since = today if held.every is command.every else _next_period(command.every, today)
    return LimitSet(
        programme=command.programme, times=command.times, every=command.every, since=since, occurred_at=at
    )  # fmt: skip


def _in_order(command: SetLimit, programme: Programme, at: datetime, today: date) -> None:
    """Refuse a limit that was set before another one was, or took effect: that would change what was counted by it."""
    day = local_day(at, programme.utc_offset)
    begun = any(limit.since is not None and day < limit.since <= today for limit in programme.limits)
    if begun or (programme.limited_at is not None and at < programme.limited_at - TOLERANCE):
        raise rejected(
            DistributionError.CLOCK_RUNS_BACK,
            f"Another limit of programme {command.programme} was set, or took effect, after {at:%Y-%m-%d %H:%M} UTC. "
            "Look at it; if this one is to follow, set the clock, and leave occurred_at out.",
            programme=command.programme,
        )  # fmt: skip


def _held(programme: Programme, day: date) -> list[Limit]:
    """The limits that had taken effect by a day."""
    return [limit for limit in programme.limits if limit.since is None or limit.since <= day]


def _next_period(every: Every, day: date) -> date:
    """The first day of the period after the one that a day is in."""
    match every:
        case Every.DAY:
            return day + timedelta(days=1)
        case Every.WEEK:
            return day + timedelta(days=7 - day.weekday())
        case Every.MONTH:
            return (day.replace(day=1) + timedelta(days=31)).replace(day=1)
        case Every.YEAR:
            return date(day.year + 1, 1, 1)


def known(programme: Programme, id: str) -> None:
    """Refuse a programme that was never opened."""
    if not programme.kind:
        raise rejected(
            DistributionError.UNKNOWN_PROGRAMME, f"There is no programme {id}. Check its id, or open it first.",
            programme=id,
        )  # fmt: skip


def running(programme: Programme, id: str) -> None:
    """Refuse a programme that is unknown or over."""
    known(programme, id)
    if programme.closed:
        raise rejected(DistributionError.PROGRAMME_CLOSED, f"Programme {id} is closed. Choose another.", programme=id)


def bundle_for(programme: Programme, id: str, size: int) -> tuple[ItemLine, ...]:
    """The standard box of a household of a size. Refuses when there is none, or none any more."""
    fitting = [smallest for smallest in programme.bundles if smallest <= size]
    if not fitting:
        raise rejected(
            DistributionError.NO_BUNDLE,
            f"Programme {id} has no standard box for {size}. List the items in lines (what was given, if it was), or "
            "set one with SetBundle.",
            programme=id, size=size,
        )  # fmt: skip
    return programme.bundles[max(fitting)]


def limit_on(programme: Programme, day: date) -> Limit | None:
    """The limit that holds on a day; None is none."""
    held = _held(programme, day)
    return held[-1] if held else None


def limit_in(programme: Programme, period: str, day: date | None = None) -> Limit | None:
    """The limit that a period is counted by: the last one to hold in it, or of those by a day; None is none."""
    every = {4: Every.YEAR, 7: Every.MONTH, 8: Every.WEEK, 10: Every.DAY}[len(period)]
    for limit in reversed(programme.limits):
        if day is not None and limit.since is not None and limit.since > max(day, _first(period)):
            continue
        if limit.every is every and (limit.since is None or _period(every, limit.since) <= period):
            return limit
    return None


def period_of(programme: Programme, day: date) -> str:
    """The period that a day is in, by the limit that holds on it (weeks without one): what a claim is counted for."""
    limit = limit_on(programme, day)
    return _period(Every.WEEK if limit is None else limit.every, day)


def kept_from(programme: Programme, day: date) -> tuple[str, date] | None:
    """The period that a day was in by the kind of limit before, and the day since which it is in another; None when no
    limit was of another kind. What was claimed for such a day before the limit was set is counted there."""
    held = _held(programme, day)
    while len(held) > 1:
        last = held.pop()
        if last.since is not None and held[-1].every is not last.every:
            return _period(held[-1].every, day), last.since
    return None


def _first(period: str) -> date:
    """The first day of a period."""
    match len(period):
        case 4:
            return date(int(period), 1, 1)
        case 7:
            return date.fromisoformat(f"{period}-01")
        case 8:
            return date.fromisocalendar(int(period[:4]), int(period[6:]), 1)
        case _:
            return date.fromisoformat(period)


def _period(every: Every, day: date) -> str:
    """The period of a kind that a day is in, as ISO 8601 writes it; of one kind, later ones sort later."""
    match every:
        case Every.DAY:
            return day.isoformat()
        case Every.WEEK:
            year, week, _ = day.isocalendar()
            return f"{year:04}-W{week:02}"
        case Every.MONTH:
            return f"{day.year:04}-{day.month:02}"
        case Every.YEAR:
            return f"{day.year:04}"


def check(programme: Programme) -> list[str]:
    broken = ["a programme that was never opened is closed"] if programme.closed and not programme.kind else []
    days = [limit.since or date.min for limit in programme.limits]
    if days != sorted(days) or (programme.limits and programme.limits[0].since is not None):
        broken.append("its limits are out of order, or the first is not from the beginning")
    return broken


programme: Final = Decider(distribution, "programme", Programme, Programme, decide, evolve, check, reads)
