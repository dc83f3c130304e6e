"""Programmes: what is offered, the standard box by household size, and how often a household is served."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Final

from services.distribution.contract import (
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
from services.distribution.refusals import rejected, when
from shared.contract import fields_of
from shared.decider import Context, Decider


@dataclass
class Programme:
    """A programme; `kind` is empty before it is opened. `times` None is no limit."""

    name: str = ""
    kind: str = ""
    utc_offset: int = 0
    closed: bool = False
    bundles: dict[int, tuple[ItemLine, ...]] = field(default_factory=dict)
    """The standard boxes, by the smallest household that gets them."""
    times: int | None = None
    every: Every = Every.WEEK


ProgrammeCommand = OpenProgramme | CloseProgramme | SetBundle | SetLimit
ProgrammeEvent = ProgrammeOpened | ProgrammeClosed | BundleSet | LimitSet


def evolve(programme: Programme, event: ProgrammeEvent) -> Programme:
    match event:
        case ProgrammeOpened():
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
            programme.times, programme.every = event.times, event.every
    return programme


def decide(command: ProgrammeCommand, programme: Programme, context: Context) -> ProgrammeEvent | None:
    fields = dict(fields_of(command)) | {"occurred_at": when(command.occurred_at, context)}
    if isinstance(command, OpenProgramme):
        if not programme.kind:
            return ProgrammeOpened(**fields)
        as_it_is = (programme.name, programme.kind, programme.utc_offset)
        if as_it_is == (command.name, command.kind, command.utc_offset) and not programme.closed:
            return None
        raise rejected(
            DistributionError.ALREADY_EXISTS, f"There is, or was, a programme {command.programme}. Choose another id.",
            programme=command.programme,
        )  # fmt: skip
    known(programme, command.programme)
    match command:
        case CloseProgramme():
            return None if programme.closed else ProgrammeClosed(**fields)
        case SetBundle():
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
            same = (programme.times, programme.every) == (command.times, command.every)
            return None if same else LimitSet(**fields)


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
    """The standard box of a household of a size. Refuses when there is none."""
    fitting = [smallest for smallest in programme.bundles if smallest <= size]
    if not fitting:
        raise rejected(
            DistributionError.NO_BUNDLE,
            f"Programme {id} has no standard box for {size}. List the items, or set one with SetBundle.",
            programme=id, size=size,
        )  # fmt: skip
    return programme.bundles[max(fitting)]


def period_of(programme: Programme, day: date) -> str:
    """The period that a day is in, as ISO 8601 writes it: what a claim is counted for."""
    match programme.every:
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
    return ["a programme that was never opened is closed"] if programme.closed and not programme.kind else []


programme: Final = Decider(distribution, "programme", Programme, Programme, decide, evolve, check)
