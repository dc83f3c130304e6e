"""Commands and events of `programme`: what is offered to whom, how much of it, and how often."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from services.distribution.contract.base import (
    MAX_LINES,
    Date,
    Id,
    Moment,
    Quantity,
    Text,
    command,
    event,
    value,
)


class Every(StrEnum):
    """The time that a limit is for. Weeks are those of ISO 8601: Monday to Sunday."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


@event(category="programme")
class ProgrammeOpened:
    """A programme began, or began again after it was closed. `kind` is open: box, choice, breakfast, delivery, and what
    else there will be.

    `utc_offset` is how many minutes its place is east of UTC: it says which day a visit is of.
    """

    programme: Id
    name: Text
    kind: Id
    utc_offset: int = 0
    occurred_at: Moment


@command(category="programme", aggregate="programme", makes=(ProgrammeOpened,))
class OpenProgramme:
    """Begin a programme; or one that was closed again, with the same facts: its bundles and limits stand."""

    programme: Id
    name: Text
    kind: Id
    utc_offset: Annotated[int, Field(ge=-14 * 60, le=14 * 60)] = 0
    occurred_at: Moment | None = None


@event(category="programme")
class ProgrammeClosed:
    """A programme takes no more orders and visits."""

    programme: Id
    occurred_at: Moment


@command(category="programme", aggregate="programme", makes=(ProgrammeClosed,))
class CloseProgramme:
    """End a programme."""

    programme: Id
    occurred_at: Moment | None = None


@value
class BundleLine:
    """So much of an item (its base unit) in the standard box of a household of that size."""

    item: Id
    quantity: Quantity


@event(category="programme")
class BundleSet:
    """The standard box of households from `min_size` on, up to the next larger bundle. No lines end the bundle."""

    programme: Id
    min_size: int
    lines: tuple[BundleLine, ...]
    occurred_at: Moment


@command(category="programme", aggregate="programme", makes=(BundleSet,))
class SetBundle:
    """Say what is in the standard box of households of a size and above."""

    programme: Id
    min_size: Annotated[int, Field(ge=1, le=30)] = 1
    lines: Annotated[tuple[BundleLine, ...], Field(max_length=MAX_LINES)]
    occurred_at: Moment | None = None


@event(category="programme")
class LimitSet:
    """How often a household is served in a period, from a day at the programme's place on (`since`).

    The first limit of a programme holds from its beginning (None). One that changes only `times` holds from the day
    that it is set. One for periods of another kind holds from the first day after that on which one of them begins, as
    a Monday or the first of a month, and what was set before holds until then. A limit that has not taken effect when
    another is set never does. A fact is counted in the period, and by the number, of the day that it happened on.
    Claims that were made before stay as they are, in the period that they were made for.
    """

    programme: Id
    times: int
    every: Every
    since: Date | None = None
    occurred_at: Moment


@command(category="programme", aggregate="programme", makes=(LimitSet,))
class SetLimit:
    """Limit how often a household is served: so many times a day, week, month or year.

    It holds from when it is recorded, or later: another `every` begins with the next whole period (see LimitSet).
    """

    programme: Id
    times: Annotated[int, Field(ge=1, le=100)]
    every: Every
    occurred_at: Moment | None = None


__all__ = [
    "BundleLine", "BundleSet", "CloseProgramme", "Every", "LimitSet", "OpenProgramme", "ProgrammeClosed",
    "ProgrammeOpened", "SetBundle", "SetLimit",
]  # fmt: skip
