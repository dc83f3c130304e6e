"""Erases households: once nothing is to be handed out to them, nobody has to tell them of a recall, and no record of
their eligibility has to be kept.

What a household got is remembered by item and lot, so that a recall finds it: whoever is to be told must be known.
The lots of a visit at the table are inventory's choice, and not known here, so any recall of the item counts; and so it
does when the visit is reversed, as somebody did get it. A box whose hand-out is reversed is here, with what is in it.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Final

from services.distribution.contract import (
    BoxHandedOut,
    CompletionReversed,
    EligibilityRenewed,
    HandOutReversed,
    HouseholdRegistered,
    HouseholdsMerged,
    HouseholdsUnmerged,
    NoShowRecorded,
    OrderCancelled,
    OrderCompleted,
    OrderPlaced,
    OriginNoted,
    PersonErased,
    ProgrammeOpened,
    RecallNoted,
    Stage,
    VisitRecorded,
    VisitReversed,
    distribution,
)
from services.distribution.origins import Origins, made_of, note
from services.inventory.contract import RecallScope, lot_form
from shared import erasing
from shared.erasing import Person, some
from shared.erasure import Happened, Obstacle, Terms

_KIND: Final = "household"
_KEPT: Final = 3
"""Servings of a household that are remembered one by one, for when one is taken back; of earlier ones only the day."""

Lot = tuple[str, date | None]
"""A lot's form and the date on the package; the empty form is the stock of unknown lot."""


@dataclass(slots=True)
class _Served:
    """On which days a household was served: the last servings by id, and the last day of all before those."""

    last: dict[str, date] = field(default_factory=dict)
    before: date | None = None

    def add(self, id: str, day: date) -> None:
        self.last[id] = day
        if len(self.last) > _KEPT:
            first = self.last.pop(next(iter(self.last)))
            self.before = first if self.before is None else max(first, self.before)

    @property
    def day(self) -> date | None:
        """The last day."""
        return max([*self.last.values(), *([] if self.before is None else [self.before])], default=None)


class Erasing(erasing.Erasing):
    """Remembers the open orders of each household, what it got, the open recalls, who goes on as whom, and when those
    whose eligibility was declared were served."""

    reads = (
        Happened, OrderPlaced, OrderCancelled, NoShowRecorded, OrderCompleted, CompletionReversed, BoxHandedOut,
        HandOutReversed, VisitRecorded, VisitReversed, RecallNoted, OriginNoted, HouseholdRegistered,
        EligibilityRenewed, HouseholdsMerged, HouseholdsUnmerged, ProgrammeOpened,
    )  # fmt: skip

    def __init__(self, terms: Terms) -> None:
        super().__init__(distribution, terms)
        self._orders: dict[str, set[str]] = {}
        self._numbers: dict[str, int] = {}
        """Of each household that got something, a number, so that who got a lot takes four bytes for each."""
        self._got: dict[str, dict[Lot, array[int]]] = {}
        """Of each item and lot, the numbers of those who got it in a box, in order: once for each box."""
        self._at_table: dict[str, array[int]] = {}
        """Of each item, the numbers of those who got it at the table, in order."""
        self._recalls: dict[str, dict[str, tuple[int, RecallScope | None]]] = {}
        """Of each item and recall, the newest revision that was noted, and what it covers, unless it was lifted."""
        self._origins: Origins = {}
        """What lots were made from: a recall of that covers them too."""
        self._others: dict[str, set[str]] = {}
        """Of each household, those that go on as it and are not erased."""
        self._declared: set[str] = set()
        """Those whose eligibility stands on a basis or a signature."""
        self._served: dict[str, _Served] = {}
        self._offsets: dict[str, int] = {}
        """Of each programme, how many minutes its place is east of UTC."""

    # -- what is remembered -------------------------------------------------------------------------------------------

    def tie(self, event: Any) -> Iterable[Person]:
        return [(_KIND, household) for household in self._touched(event)]

    def _touched(self, event: Any) -> Iterator[str]:
        match event:
            case OrderPlaced() | CompletionReversed(stage=Stage.PLACED | Stage.CONFIRMED):
                self._orders.setdefault(event.household, set()).add(event.order)
                yield event.household
            case OrderCancelled() | NoShowRecorded() | OrderCompleted():
                self._orders.get(event.household, set()).discard(event.order)
                yield event.household
            case BoxHandedOut():
                for line in event.packed:
                    self._give(event.household, line.item, (lot_form(line.lot), line.date))
                yield from self._serve(event.household, f"box {event.box}", event.programme, event.occurred_at)
            case VisitRecorded(household=str() as household):
                for goods in event.goods:
                    who, number = self._at_table.setdefault(goods.item, array("I")), self._number(household)
                    if not _among(number, who):
                        insort(who, number)
                yield from self._serve(household, f"visit {event.visit}", event.programme, event.occurred_at)
            case VisitReversed(household=str() as household):
                yield from self._take_back(household, f"visit {event.visit}")
            case HandOutReversed():  # the box is here
                for line in event.packed:
                    self._give_back(event.household, line.item, (lot_form(line.lot), line.date))
                yield from self._take_back(event.household, f"box {event.box}")
            case RecallNoted():
                recalls = self._recalls.setdefault(event.item, {})
                if event.revision > recalls.get(event.recall, (0, None))[0]:
                    recalls[event.recall] = (event.revision, event.scope if event.open else None)
                yield from (person for kind, person in self.under_way() if kind == _KIND)
            case OriginNoted():
                note(self._origins, event)
                yield from (person for kind, person in self.under_way() if kind == _KIND)
            case HouseholdRegistered() | EligibilityRenewed():
                declared = event.basis is not None or event.signature is not None
                (self._declared.add if declared else self._declared.discard)(event.household)
            case HouseholdsMerged():
                self._others.setdefault(event.into, set()).add(event.household)
                yield event.into
            case HouseholdsUnmerged():
                self._others.get(event.into, set()).discard(event.household)
                yield event.into
            case PersonErased(kind="household", person=erased):
                for into, others in self._others.items():
                    if erased in others:
                        others.discard(erased)
                        yield into
            case ProgrammeOpened():
                self._offsets[event.programme] = event.utc_offset

    def _number(self, household: str) -> int:
        return self._numbers.setdefault(household, len(self._numbers))

    def _give(self, household: str, item: str, lot: Lot) -> None:
        insort(self._got.setdefault(item, {}).setdefault(lot, array("I")), self._number(household))

    def _give_back(self, household: str, item: str, lot: Lot) -> None:
        who, number = self._got.get(item, {}).get(lot, array("I")), self._number(household)
        if _among(number, who):
            del who[bisect_left(who, number)]

    def _serve(self, household: str, id: str, programme: str, at: datetime) -> Iterator[str]:
        """Whoever goes on as a household is served with it, under the eligibility that was declared of either."""
        day = (at + timedelta(minutes=self._offsets.get(programme, 0))).date()
        for one in self._family(household):
            if one in self._declared:
                self._served.setdefault(one, _Served()).add(id, day)
            yield one

    def _take_back(self, household: str, id: str) -> Iterator[str]:
        for one in self._family(household):
            if one in self._served:
                self._served[one].last.pop(id, None)
            yield one

    def _family(self, household: str) -> list[str]:
        """A household and all that go on as it."""
        found = [household]
        for one in found:
            found += sorted(self._others.get(one, set()).difference(found))
        return found

    # -- what stands against it ---------------------------------------------------------------------------------------

    def obstacles(self, person: Person) -> tuple[Obstacle, ...]:
        household = person[1]
        found = []
        if orders := self._orders.get(household):
            found.append(Obstacle(what="open orders", which=some(orders)))
        if recalls := self._recalled(household):
            found.append(Obstacle(what="open recalls of what it got", which=some(recalls)))
        if others := self._others.get(household):
            found.append(Obstacle(what="others that go on as it", which=some(others)))
        served = self._served.get(household)
        if served is not None and served.day is not None:
            found.append(Obstacle(what="served by an eligibility that was declared", last=served.day))
        return tuple(found)

    def _recalled(self, household: str) -> set[str]:
        """The open recalls that cover, or may cover, what a household got."""
        number = self._numbers.get(household)
        return set() if number is None else {
            id
            for item, recalls in self._recalls.items()
            for id, (_, scope) in recalls.items()
            if scope is not None and (self._has(number, item, scope) or self._has_made_of(number, item, scope))
        }  # fmt: skip

    def _has(self, number: int, item: str, scope: RecallScope) -> bool:
        return _among(number, self._at_table.get(item, ())) or any(
            scope.covers(form or None, day) and _among(number, who)
            for (form, day), who in self._got.get(item, {}).items()
        )

    def _has_made_of(self, number: int, item: str, scope: RecallScope) -> bool:
        """Whether a household got what was made of recalled goods, or may have as its lot is not known."""
        return any(
            (not form or form in forms) and _among(number, who)
            for made, forms in made_of(self._origins, item, scope).items()
            for form, who in self._lots_of(made)
        )

    def _lots_of(self, item: str) -> Iterator[tuple[str, array[int]]]:
        """Who got which lots of an item; of what was given at the table it is not known."""
        yield "", self._at_table.get(item, array("I"))
        yield from ((form, who) for (form, _), who in self._got.get(item, {}).items())


def _among(number: int, who: Sequence[int]) -> bool:
    at = bisect_left(who, number)
    return at < len(who) and who[at] == number
