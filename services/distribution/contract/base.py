"""The words that all of distribution's commands and events are written in: enums, refusals, lines and warnings.

Units: a quantity is an integer in the item's base unit (each, g, ml). Dates are calendar dates at the site.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Annotated, Any, Final, TypeVar, dataclass_transform

from msgspec import Meta
from pydantic import AfterValidator, Field

from services.inventory.contract import LotNumber
from shared.contract import Contract, value
from shared.personal import Sealed
from shared.types import Amount, Date, Delta, Id, Moment, Note, Quantity, Revision, Text, shaped

__all__ = [
    "ANONYMOUS", "MAX_LINES", "REMARK", "AgeBand", "Amount", "BoxCode", "Date", "Delta", "DistributionError", "Id",
    "ItemLine", "Moment", "NewBoxCode", "NewOrderId", "Note", "OrderId", "PackedLine", "People", "Period",
    "Quantity", "Revision", "Text", "VisitId", "Warned", "Warning", "command", "distribution", "event", "value",
    "warnings_in", "warnings_said", "warnings_unseen",
]  # fmt: skip

distribution: Final = Contract("distribution")
"""What the distribution service promises."""

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True)
def event(*, category: str, version: int = 1) -> Callable[[type[T]], type[T]]:
    """Declare an event of distribution (as a function, which type checkers follow)."""
    return distribution.event(category=category, version=version)


@dataclass_transform(frozen_default=True, kw_only_default=True)
def command(
    *, category: str, aggregate: str | Callable[[Any], str], makes: tuple[type, ...]
) -> Callable[[type[T]], type[T]]:
    """Declare a command of distribution."""
    return distribution.command(category=category, aggregate=aggregate, makes=makes)


MAX_LINES: Final = 60
"""Items of one order, visit or bundle."""

ANONYMOUS: Final = "anonymous"
"""Stands for the household in the id of an entitlement when nobody is named."""

REMARK: Final = Sealed(of="household", remark=True)
"""Marks what is said in words beside a household: sealed under its key, in clear where nobody is named, and never read
again once the household was erased (docs/decisions/0024)."""


# -- refusals ---------------------------------------------------------------------------------------------------------


class DistributionError(StrEnum):
    """Why distribution refuses a command. When several hold, the first in this order is the one that is answered."""

    OCCURRED_IN_FUTURE = "OCCURRED_IN_FUTURE"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    ALREADY_REVERSED = "ALREADY_REVERSED"
    BOX_CODE_USED = "BOX_CODE_USED"
    UNKNOWN_HOUSEHOLD = "UNKNOWN_HOUSEHOLD"
    UNKNOWN_PROGRAMME = "UNKNOWN_PROGRAMME"
    UNKNOWN_SESSION = "UNKNOWN_SESSION"
    UNKNOWN_ORDER = "UNKNOWN_ORDER"
    UNKNOWN_BOX = "UNKNOWN_BOX"
    UNKNOWN_MEMBER = "UNKNOWN_MEMBER"
    UNKNOWN_PROXY = "UNKNOWN_PROXY"
    UNKNOWN_VISIT = "UNKNOWN_VISIT"
    UNKNOWN_ENTRY = "UNKNOWN_ENTRY"
    UNKNOWN_ITEM = "UNKNOWN_ITEM"
    UNKNOWN_STEP = "UNKNOWN_STEP"
    NOTHING_TO_REVIEW = "NOTHING_TO_REVIEW"
    BOX_UNPACKED = "BOX_UNPACKED"
    BOX_GONE = "BOX_GONE"
    NOT_HANDED_OUT = "NOT_HANDED_OUT"
    ORDER_ENDED = "ORDER_ENDED"
    NOT_CONFIRMED = "NOT_CONFIRMED"
    SAME_HOUSEHOLD = "SAME_HOUSEHOLD"
    HOUSEHOLD_ERASED = "HOUSEHOLD_ERASED"
    HOUSEHOLD_MERGED = "HOUSEHOLD_MERGED"
    NOT_MERGED = "NOT_MERGED"
    HOUSEHOLD_SIZE = "HOUSEHOLD_SIZE"
    LAST_MEMBER = "LAST_MEMBER"
    PEOPLE_NEEDED = "PEOPLE_NEEDED"
    DUPLICATE_LINE = "DUPLICATE_LINE"
    OVERRIDE_NEEDS_REASON = "OVERRIDE_NEEDS_REASON"
    PROGRAMME_CLOSED = "PROGRAMME_CLOSED"
    WRONG_SESSION = "WRONG_SESSION"
    CLOCK_RUNS_BACK = "CLOCK_RUNS_BACK"
    WRONG_PERIOD = "WRONG_PERIOD"
    COUNT_CERTIFIED = "COUNT_CERTIFIED"
    INVALID_RANGE = "INVALID_RANGE"
    PROXY_OVERLAPS = "PROXY_OVERLAPS"
    SESSION_NOT_OPEN = "SESSION_NOT_OPEN"
    SESSION_CLOSED = "SESSION_CLOSED"
    ORDERS_OPEN = "ORDERS_OPEN"
    NOT_ELIGIBLE = "NOT_ELIGIBLE"
    WRONG_SLOT = "WRONG_SLOT"
    SESSION_FULL = "SESSION_FULL"
    ALREADY_PACKED = "ALREADY_PACKED"
    NOT_RESERVED = "NOT_RESERVED"
    BOX_EMPTY = "BOX_EMPTY"
    BEYOND_ORDER = "BEYOND_ORDER"
    RECALLED = "RECALLED"
    GOODS_TAKEN = "GOODS_TAKEN"
    WRONG_RECIPIENT = "WRONG_RECIPIENT"
    UNKNOWN_CLAIM = "UNKNOWN_CLAIM"
    LIMIT_REACHED = "LIMIT_REACHED"
    NO_BUNDLE = "NO_BUNDLE"
    UNUSUAL = "UNUSUAL"
    WARNING_NOT_SEEN = "WARNING_NOT_SEEN"
    COUNT_DOES_NOT_ADD_UP = "COUNT_DOES_NOT_ADD_UP"
    ALREADY_ERASED = "ALREADY_ERASED"
    ADMINISTRATOR_REQUIRED = "ADMINISTRATOR_REQUIRED"
    NOT_FOR_EVERYBODY = "NOT_FOR_EVERYBODY"
    SELF_GRANT = "SELF_GRANT"
    GRANT_ENDED = "GRANT_ENDED"
    LAST_ADMINISTRATOR = "LAST_ADMINISTRATOR"
    NOT_A_PERSON = "NOT_A_PERSON"
    NOT_REQUESTED = "NOT_REQUESTED"
    SECOND_PERSON_REQUIRED = "SECOND_PERSON_REQUIRED"
    NOT_APPROVED = "NOT_APPROVED"
    NOT_YET_DUE = "NOT_YET_DUE"
    ERASURE_HELD = "ERASURE_HELD"
    NOT_CHECKED = "NOT_CHECKED"
    STILL_NEEDED = "STILL_NEEDED"
    KEY_NOT_DESTROYED = "KEY_NOT_DESTROYED"


# -- enums and fields -------------------------------------------------------------------------------------------------


class AgeBand(StrEnum):
    """The ages that reports to funders ask for: under 18, 18 to 59, 60 and over."""

    CHILD = "child"
    ADULT = "adult"
    SENIOR = "senior"
    UNKNOWN = "unknown"


class Warning(StrEnum):  # noqa: A001 - the field's own word
    """Why somebody should look before an item is given to a household."""

    ALLERGEN = "allergen"
    ALLERGENS_UNKNOWN = "allergens_unknown"


OrderId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,47}$"), Meta(max_length=48)]
"""An order's id: up to 48 characters, so that the ids of what follows from it have room."""

VisitId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,45}$"), Meta(max_length=46)]
"""A visit's id."""

BoxCode = OrderId
"""The code on a box's label."""


def _no_visits(id: str) -> str:
    if id.startswith("v-"):
        raise ValueError("it begins with v-, as the goods of visits are named; choose another")
    return id


NewOrderId = Annotated[OrderId, AfterValidator(_no_visits)]
"""The id of an order that is to be. None begins with `v-`: so are the goods that inventory gives out for visits named,
and one order's would count as another visit's."""

NewBoxCode = NewOrderId
"""The code of a box that is to be: inventory gives its goods out under it."""

Period = Annotated[
    str,
    Field(
        pattern=shaped(
            r"^\d{4}(-W\d\d|-\d\d(-\d\d)?)?$",
            "a period is a week, as 2026-W47, or a month, as 2026-11, or a day, or a year",
        )
    ),
    Meta(max_length=10),
]
"""The time that a limit is for, as ISO 8601 writes it: a year, a month, a week (2026-W47) or a day."""


@value
class ItemLine:
    """So much of an item of inventory's catalogue, in its base unit."""

    item: Id
    quantity: Quantity


@value
class PackedLine:
    """So much of an item in a box, from one lot. UNKNOWN is the stock of unknown lot; no lot is the one that expires
    first."""

    item: Id
    quantity: Quantity
    lot: LotNumber | None = None
    date: Date | None = None
    owner: Id | None = None


_Heads = Annotated[int, Field(ge=0, le=1_000), Meta(ge=0, le=1_000)]


@value
class People:
    """How many were served, by age."""

    child: _Heads = 0
    adult: _Heads = 0
    senior: _Heads = 0
    unknown: _Heads = 0

    @property
    def total(self) -> int:
        return self.child + self.adult + self.senior + self.unknown


@value
class Warned:
    """A warning about an item, seen by whoever went on. What a household must not eat is not in it."""

    item: Id
    warning: Warning


_NO_WARNING: Final = "none"
_UNSEEN: Final = "unseen"
_LONGEST: Final = max(len(warning) for warning in Warning)


def warnings_said(warned: Iterable[Warned], items: Iterable[str], *, unseen: bool = False) -> str:
    """Warnings about some of these items as one text, which events seal: which of its goods a household may not eat.

    Words with a blank between, each an item, `=` and the warning: `rice=allergens_unknown stew=allergen`; `none` where
    there is no warning. `unseen` stands before them if somebody has still to look at one. Blanks fill it up to what it
    would be if every item warned and nobody had looked, so that the length of what is sealed says nothing either.
    """
    text = " ".join(f"{one.item}={one.warning}" for one in warned)
    if text and unseen:
        text = f"{_UNSEEN} {text}"
    return (text or _NO_WARNING).ljust(len(_UNSEEN) + sum(len(item) + _LONGEST + 2 for item in set(items)))


def warnings_in(text: str) -> tuple[Warned, ...]:
    """The warnings in such a text, once it is opened. Raises ValueError for any other."""
    if text.strip() == _NO_WARNING:
        return ()
    pairs = (word.partition("=") for word in text.removeprefix(f"{_UNSEEN} ").split())
    return tuple(Warned(item=item, warning=Warning(warning)) for item, _, warning in pairs)


def warnings_unseen(text: str) -> bool:
    """Whether such a text holds a warning that somebody has still to look at."""
    return text.startswith(f"{_UNSEEN} ")
