"""Generated histories of distribution, beside what inventory recorded: streams whose aggregates each make sense."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, NamedTuple

from hypothesis import strategies as st

from services.distribution import contract as c
from shared.event import Recorded
from tests.support.hall import Hall, goods, packed
from tests.support.pantry import Pantry

HOUSEHOLDS = ("h1", "h2", "h3", "h4")
ITEMS = ("rice", "milk")
LOTS = ("A", "b-7", None)


class Draft(NamedTuple):
    """The numbers that an event is made from."""

    kind: int
    household: int
    item: int
    lot: int
    quantity: int
    pick: int
    hours: int


drafts = st.builds(
    Draft, st.integers(0, 16), st.integers(0, 4), st.integers(0, 1), st.integers(0, 2), st.integers(1, 9),
    st.integers(0, 30), st.integers(0, 200),
)  # fmt: skip
histories = st.lists(drafts, min_size=15, max_size=60)


class Opening:
    """Plays drafts on both streams: what does not make sense at its time is passed over."""

    def __init__(self) -> None:
        self.pantry = Pantry().furnish()
        self.hall = Hall().furnish()
        self._used: dict[tuple[str, str], list[str]] = {}
        self._visits: list[Recorded] = []
        self._issues: list[Recorded] = []
        self._packed: list[Recorded] = []
        self._out: list[c.BoxHandedOut] = []
        self._orders: list[c.OrderPlaced] = []
        self._registered: list[str] = []
        self._recalled = 0

    @property
    def events(self) -> list[Recorded]:
        return [*self.pantry.events, *self.hall.events]

    def play(self, history: list[Draft]) -> Opening:
        for item in ITEMS:
            self.hall.record(
                c.GoodsNoted(item=item, revision=1, name=item, unit="each", weight=500, occurred_at=self.hall.now)
            )
            for lot in LOTS:
                self.pantry.receive(500, lot, item=item)
        for number, draft in enumerate(history):
            self.hall.later(hours=draft.hours)
            self.pantry.now = self.hall.now
            self._play(number, draft)
        return self

    def _play(self, number: int, draft: Draft) -> None:
        household = HOUSEHOLDS[draft.household] if draft.household < len(HOUSEHOLDS) else None
        item, lot = ITEMS[draft.item], LOTS[draft.lot]
        match draft.kind:
            case 0 if household is not None and household not in self._registered:
                self._registered.append(household)
                self.hall.household(household, *("child", "adult", "senior")[: draft.quantity % 4], size=draft.quantity)
            case 1 | 2 | 3:
                self._visit(f"v{number}", household, item, draft)
            case 4 if self._visits:
                self._take_back(self._visits.pop(draft.pick % len(self._visits)))
            case 5 | 6 if household is not None:
                placed = self.hall.order(f"o{number}", household, goods(**{item: draft.quantity}))
                self.hall.confirm(placed.data)
                self._orders.append(placed.data)
            case 7 | 8 if self._orders:
                order = self._orders[draft.pick % len(self._orders)]
                line = packed(item, draft.quantity, lot)
                people = c.People(adult=draft.quantity % 3 + 1, child=draft.quantity % 2)
                self._packed.append(self.hall.pack(f"b{number}", order.order, order.household, line, people=people))
            case 9 | 10 if self._packed:
                self._out.append(self.hall.hand_out(self._packed.pop(draft.pick % len(self._packed))).data)
            case 16 if self._out:
                box = self._out.pop(draft.pick % len(self._out))
                self.hall.record(
                    c.HandOutReversed(
                        box=box.box, reason="the wrong box", packed=box.packed, order=box.order,
                        household=box.household, programme=box.programme, period=box.period, session=box.session,
                        site=box.site, occurred_at=self.hall.now,
                    )
                )  # fmt: skip
            case 11 if self._packed:
                box = self._packed.pop(draft.pick % len(self._packed)).data
                self.hall.record(
                    c.BoxUnpacked(
                        box=box.box, order=box.order, reason="not fetched", household=box.household, site=box.site,
                        packed=box.packed, occurred_at=self.hall.now,
                    )
                )  # fmt: skip
            case 12:
                recall = f"r{number}"
                self.pantry.do("RecallLot", item=item, recall=recall, scope={"lots": [lot or "A"]}, reason="glass")
                if draft.pick % 2:
                    self.pantry.do("LiftRecall", item=item, recall=recall, reason="another lot")
            case 13 if self._issues:
                issued = self._issues.pop(draft.pick % len(self._issues))
                self.pantry.do(
                    "ReverseMovement", item=issued.data.item, location="store", movement=issued.revision, reason="wrong"
                )
            case 14 if self._orders:
                order = self._orders.pop(draft.pick % len(self._orders))
                self.hall.record(
                    c.OrderCancelled(
                        order=order.order, reason="ill", household=order.household, session=order.session,
                        occurred_at=self.hall.now,
                    )
                )  # fmt: skip
            case 15:
                self._meal(number, draft)
            case _:
                pass

    def _visit(self, visit: str, household: str | None, item: str, draft: Draft) -> None:
        period = f"{self.hall.now:%G-W%V}"
        used = self._used.setdefault((household or visit, period), [])
        used.append(visit)
        people = c.People(adult=draft.quantity % 3 + 1, child=draft.quantity % 2, senior=draft.lot)
        breaches = (c.DistributionError.LIMIT_REACHED,) if len(used) > 1 else ()
        stored = self.hall.visit(
            visit, household, goods(**{item: draft.quantity}), period=period, used=len(used), limit=1, served=people,
            breaches=breaches, fact=True,
        )  # fmt: skip
        self._visits.append(stored)
        self._issues.append(self._pick(visit, item, draft))

    def _pick(self, visit: str, item: str, draft: Draft) -> Recorded:
        lot = LOTS[draft.lot]
        line = {"quantity": draft.quantity, "lot": lot, "reason": None if lot is None else "as asked"}
        stored = self.pantry.do(
            "IssueStock", item=item, location="store", purpose="household", lines=[line], recipient=f"v-{visit}",
            already_left=True,
        )  # fmt: skip
        assert stored is not None
        return stored

    def _take_back(self, stored: Recorded) -> None:
        data: c.VisitRecorded = stored.data
        used = self._used[data.household or data.visit, data.period]
        used.remove(data.visit)
        self.hall.record(
            c.VisitReversed(
                visit=data.visit, household=data.household, programme=data.programme, period=data.period,
                reason="mistyped", session=data.session, site=data.site, used=len(used), occurred_at=self.hall.now,
            )
        )  # fmt: skip

    def _meal(self, number: int, draft: Draft) -> None:
        day: dict[str, Any] = {
            "site": "school", "date": date(2026, 6, 1) + timedelta(days=draft.pick), "meal": c.MealType.BREAKFAST,
            "occurred_at": self.hall.now,
        }  # fmt: skip
        diner = list(c.Diner)[draft.household % len(c.Diner)]
        self.hall.record(
            c.MealServed(**day, diner=diner, quantity=draft.quantity, serving=f"s{number}", served=draft.quantity)
        )
