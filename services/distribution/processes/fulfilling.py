"""Fulfilment: from a confirmed order to goods that left, and back again when nothing comes of it.

    OrderPlaced     -> BookSlot; when the session is closed or full by then, the order is cancelled
    OrderConfirmed  -> ClaimEntitlement, ReserveStock for each item, whole or part; a claim that is refused cancels it
    GoodsReserved   -> ReleaseReservation, when the order ended while it was on its way
    BoxPacked       -> NoteBox
    BoxHandedOut    -> IssueStock by the lots in the box, CompleteOrder; a claim, if the order's does not count;
                       of a box that was unpacked, as of a second one, without what is set aside
    BoxUnpacked     -> NoteBox; chilled goods are held for review; what an ended order had set aside is released
    OrderCancelled, NoShowRecorded -> FreeSlot, ReleaseEntitlement, and ReleaseReservation unless it is packed
    OrderCompleted  -> FreeSlot
    VisitRecorded   -> IssueStock for each item;  VisitReversed -> ReverseMovement for each
    SessionClosed   -> RecordNoShow for each order that was still open
    due_at passed   -> RecordNoShow
    HouseholdsMerged, HouseholdsUnmerged -> NoteMerge

What left the table has left: its issues say so (`already_left`) and inventory records them whatever its figure says. An
issue that is refused where it happened is issued as of now. Of what was set aside for an order, what is in a packed box
waits, even if the order ends, until somebody unpacks the box.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from services.distribution.contract import (
    BookSlot,
    BoxHandedOut,
    BoxPacked,
    BoxUnpacked,
    CancelOrder,
    ClaimEntitlement,
    CompleteOrder,
    DistributionError,
    FreeSlot,
    GoodsFreed,
    GoodsIssued,
    GoodsReserved,
    HouseholdsMerged,
    HouseholdsUnmerged,
    IssuedGoods,
    NoShowRecorded,
    NoteBox,
    NoteMerge,
    NoteReserved,
    OrderCancelled,
    OrderCompleted,
    OrderConfirmed,
    OrderPlaced,
    PackedLine,
    ProcessStepRefused,
    RecordNoShow,
    ReleaseEntitlement,
    ReservedGoods,
    ResolveStep,
    SessionClosed,
    VisitRecorded,
    VisitReversed,
    distribution,
    fulfilment_of_visit,
)
from services.distribution.processes.names import order_of, reservation_of
from services.inventory.contract import (
    UNKNOWN,
    HoldReason,
    HoldStock,
    InventoryError,
    IssueStock,
    PickLine,
    Purpose,
    ReleaseReservation,
    ReserveStock,
    ReverseMovement,
    inventory,
    lot_form,
)
from shared.event import Recorded
from shared.manager import Cause, Manager, Step

_LEAD_TO_ORDERS: Final = ("BookSlot", "ClaimEntitlement", "ReserveStock")


@dataclass(eq=False, slots=True)
class _Order:
    """What is remembered of an order from its confirmation on.

    `steps` are those that lead to it, `reserved` the items of which something is set aside, `boxes` the boxes that are
    packed for it. `ended` says that it was cancelled or nobody came, `handed_out` that a box of it was.
    """

    steps: list[str] = field(default_factory=list)
    confirmed: OrderConfirmed | None = None
    reserved: set[str] = field(default_factory=set)
    boxes: set[str] = field(default_factory=set)
    ended: bool = False
    handed_out: bool = False

    @property
    def needs_goods(self) -> bool:
        """Whether what is set aside for it is to stay so."""
        return bool(self.boxes) or not (self.ended or self.handed_out)


class Fulfilling(Manager):
    """Keeps claims, orders and stock in step."""

    name = "fulfilling"
    reads = (
        OrderPlaced, OrderConfirmed, OrderCancelled, OrderCompleted, NoShowRecorded, BoxPacked, BoxUnpacked,
        BoxHandedOut, VisitRecorded, VisitReversed, GoodsReserved, GoodsFreed, GoodsIssued, SessionClosed,
        HouseholdsMerged, HouseholdsUnmerged, ProcessStepRefused,
    )  # fmt: skip

    def __init__(self) -> None:
        self._orders: dict[str, _Order] = {}
        self._due: list[tuple[datetime, int, str, Cause]] = []
        """A heap of until when an order waits, its sequence, its id, and the event that confirmed it."""
        self._sent: dict[str, Step] = {}
        """Steps that something else follows from should they be refused, by their ids."""
        self._issuing: dict[tuple[str, str], str] = {}
        """Of those, the ones that give goods out, by fulfilment and item."""
        self._movements: dict[str, list[IssuedGoods]] = {}
        """What was given out for each visit, by the id of its fulfilment."""
        self._reversed: set[str] = set()
        """Visits that were reversed, by the same ids."""

    def react(self, event: Recorded) -> Iterable[Step]:
        match event.data:
            case OrderPlaced() as placed:
                book = BookSlot(session=placed.session, order=placed.order, slot=placed.slot)
                yield self._watched(self.step(event, distribution, book, about=placed.order), placed.order)
            case OrderConfirmed() as confirmed:
                yield from self._confirmed(event, confirmed)
            case GoodsReserved() | GoodsFreed() | GoodsIssued() as goods:
                yield from self._goods(event, goods)
            case BoxPacked() as packed:
                self._order(packed.order).boxes.add(packed.box)
                yield self.step(event, distribution, NoteBox(order=packed.order, box=packed.box, packed=True))
            case BoxUnpacked() as unpacked:
                yield from self._unpacked(event, unpacked)
            case BoxHandedOut() as handed:
                yield from self._handed_out(event, handed)
            case OrderCancelled() | NoShowRecorded() as ended:
                yield from self._ended(event, ended.order, ended.session)
            case OrderCompleted() as completed:
                served = FreeSlot(session=completed.session, order=completed.order, served=True)
                yield self.step(event, distribution, served, about=completed.order)
            case VisitRecorded() as visited:
                yield from self._visited(event, visited)
            case VisitReversed() as undone:
                visit = fulfilment_of_visit(undone.visit)
                self._reversed.add(visit)
                for issued in self._movements.pop(visit, ()):
                    yield self._reverse(event, issued, visit)
            case SessionClosed() as closed:
                for order in closed.no_shows:
                    yield self._no_show(event, order)
            case HouseholdsMerged() | HouseholdsUnmerged() as merged:
                note = NoteMerge(
                    household=merged.into, other=merged.household, merged=isinstance(merged, HouseholdsMerged)
                )
                yield self.step(event, distribution, note)
            case ProcessStepRefused() as refused:
                yield from self._refused(event, refused)

    def due(self, now: datetime) -> Iterable[Step]:
        while self._due and self._due[0][0] <= now:
            _, _, id, cause = heapq.heappop(self._due)
            order = self._order(id)
            if not (order.ended or order.handed_out):
                yield self._no_show(cause, id)

    def moot(self, step: Step) -> bool:
        """Nothing is set aside any more for an order that is over."""
        command = step.command
        if not isinstance(command, ReserveStock):
            return False
        order = self._orders.get(order_of(command.reservation) or "")
        return order is not None and not order.needs_goods

    # -- orders -------------------------------------------------------------------------------------------------------

    def _order(self, id: str) -> _Order:
        return self._orders.setdefault(id, _Order())

    def _confirmed(self, event: Recorded, confirmed: OrderConfirmed) -> Iterable[Step]:
        self._order(confirmed.order).confirmed = confirmed
        heapq.heappush(self._due, (confirmed.due_at, event.sequence, confirmed.order, Cause.of(event)))
        overridden = confirmed.override_reason is not None  # why is sealed, and is not copied into a command
        claim = ClaimEntitlement(
            household=confirmed.household, programme=confirmed.programme, period=confirmed.period,
            claim=confirmed.order, asked_by=event.envelope.authid,
            override_reason=f"As said when order {confirmed.order} was confirmed." if overridden else None,
        )  # fmt: skip
        yield self._watched(self.step(event, distribution, claim), confirmed.order)
        for line in confirmed.goods:
            reserve = ReserveStock(
                item=line.item, location=confirmed.site, reservation=reservation_of(confirmed.order),
                quantity=line.quantity, purpose=Purpose.HOUSEHOLD, allow_part=True, recipient=confirmed.order,
            )  # fmt: skip
            step = self.step(event, inventory, reserve, f"reserve {line.item}", about=confirmed.order)
            yield self._watched(step, confirmed.order)

    def _ended(self, event: Recorded, id: str, session: str) -> Iterable[Step]:
        order = self._order(id)
        order.ended = True
        self._forget_steps(order)
        yield self.step(event, distribution, FreeSlot(session=session, order=id), about=id)
        if order.confirmed is None or order.handed_out:
            return
        release = ReleaseEntitlement(
            household=order.confirmed.household, programme=order.confirmed.programme, period=order.confirmed.period,
            claim=id, reason="The order ended without being handed out.",
        )  # fmt: skip
        yield self.step(event, distribution, release, met_by=DistributionError.UNKNOWN_CLAIM)
        if not order.boxes:
            yield from self._release_all(event, order)

    def _no_show(self, cause: Recorded | Cause, order: str) -> Step:
        met = DistributionError.ORDER_ENDED
        return self.step(cause, distribution, RecordNoShow(order=order), f"no show {order}", met_by=met)

    # -- goods --------------------------------------------------------------------------------------------------------

    def _goods(self, event: Recorded, goods: GoodsReserved | GoodsFreed | GoodsIssued) -> Iterable[Step]:
        """Keep up with what inventory did."""
        order = self._orders.get(goods.order)
        match goods:
            case GoodsReserved():
                there = [reserved.item for reserved in goods.goods if reserved.lots]
                if order is not None:
                    order.reserved.update(there)
                    if order.confirmed is not None and not order.needs_goods:
                        for item in there:
                            yield self._release(event, order.confirmed, item)
            case GoodsFreed():
                if order is not None and not goods.remaining:
                    order.reserved.discard(goods.item)
            case GoodsIssued():
                for issued in goods.goods:
                    self._sent.pop(self._issuing.pop((goods.order, issued.item), ""), None)
                    if order is not None:
                        order.reserved.discard(issued.item)
                    elif goods.order in self._reversed:  # it was reversed before its goods were known to have left
                        yield self._reverse(event, issued, goods.order)
                    else:
                        self._movements.setdefault(goods.order, []).append(issued)

    def _release_all(self, event: Recorded, order: _Order) -> Iterable[Step]:
        if order.confirmed is not None:
            for line in order.confirmed.goods:
                yield self._release(event, order.confirmed, line.item)

    def _release(self, event: Recorded, confirmed: OrderConfirmed, item: str) -> Step:
        release = ReleaseReservation(item=item, location=confirmed.site, reservation=reservation_of(confirmed.order))
        met = InventoryError.UNKNOWN_RESERVATION
        return self.step(event, inventory, release, f"release {item}", met_by=met, about=confirmed.order)

    # -- boxes --------------------------------------------------------------------------------------------------------

    def _unpacked(self, event: Recorded, unpacked: BoxUnpacked) -> Iterable[Step]:
        order = self._order(unpacked.order)
        order.boxes.discard(unpacked.box)
        yield self.step(event, distribution, NoteBox(order=unpacked.order, box=unpacked.box, packed=False))
        for item in unpacked.quarantine:
            lots = tuple(dict.fromkeys(line.lot or UNKNOWN for line in unpacked.packed if line.item == item))
            hold = HoldStock(
                item=item, location=unpacked.site, hold=f"unpacked-{unpacked.box}", reason=HoldReason.INSPECTION,
                lots=lots, note=f"Unpacked from box {unpacked.box}: was it kept cold all the time?",
            )  # fmt: skip
            yield self.step(event, inventory, hold, f"hold {item}", about=unpacked.order)
        if order.confirmed is None:
            return
        over = not order.needs_goods
        for line in order.confirmed.goods:
            if over or line.item in unpacked.quarantine:  # what is held is not packed again
                yield self._release(event, order.confirmed, line.item)

    def _handed_out(self, event: Recorded, handed: BoxHandedOut) -> Iterable[Step]:
        order = self._order(handed.order)
        order.boxes.discard(handed.box)
        yield from self._claim_late(event, order, handed)
        yield self.step(event, distribution, CompleteOrder(order=handed.order, box=handed.box))
        first, order.handed_out = not order.handed_out, True
        self._forget_steps(order)
        packed: dict[str, dict[tuple[str | None, object, object], PackedLine]] = {}
        for line in handed.packed:
            same = packed.setdefault(line.item, {})
            key = (None if line.lot is None else lot_form(line.lot), line.date, line.owner)
            same[key] = replace(line, quantity=line.quantity + (same[key].quantity if key in same else 0))
        unpacked = DistributionError.BOX_UNPACKED in handed.breaches  # another box may hold what is set aside
        used = order.reserved & packed.keys() if first and not unpacked else set()
        if order.confirmed is not None and not order.needs_goods:
            for goods in order.confirmed.goods:
                if goods.item not in used:  # a reservation that others emptied is open still
                    yield self._release(event, order.confirmed, goods.item)
        for item, lots in packed.items():
            issue = IssueStock(
                item=item, location=handed.site, purpose=Purpose.HOUSEHOLD,
                reservation=reservation_of(handed.order) if item in used else None,
                lines=tuple(
                    PickLine(
                        quantity=line.quantity, lot=line.lot, date=line.date, owner=line.owner,
                        reason="as packed" if line.lot is not None else None,
                    )
                    for line in lots.values()
                ),
                recipient=handed.box, already_left=True, occurred_at=handed.occurred_at,
            )  # fmt: skip
            yield self._issue(event, issue, handed.order)

    def _claim_late(self, event: Recorded, order: _Order, handed: BoxHandedOut) -> Iterable[Step]:
        """The household was served, so a claim counts: the order's own, or another where that was given back before
        or stands for another box of the order."""
        if handed.claimed and not order.ended and not order.handed_out:
            return
        claim = ClaimEntitlement(
            household=handed.household, programme=handed.programme, period=handed.period, fact=True,
            claim=f"box-{handed.box}" if order.ended or order.handed_out else handed.order,
            asked_by=event.envelope.authid,
        )  # fmt: skip
        yield self.step(event, distribution, claim, "claim what was handed out")

    # -- visits -------------------------------------------------------------------------------------------------------

    def _visited(self, event: Recorded, visited: VisitRecorded) -> Iterable[Step]:
        visit = fulfilment_of_visit(visited.visit)
        for line in visited.goods:
            issue = IssueStock(
                item=line.item, location=visited.site, purpose=Purpose.HOUSEHOLD,
                lines=(PickLine(quantity=line.quantity),), recipient=visit, already_left=True,
                occurred_at=visited.occurred_at,
            )  # fmt: skip
            yield self._issue(event, issue, visit)

    def _issue(self, cause: Recorded, issue: IssueStock, fulfilment: str) -> Step:
        step = self._watched(self.step(cause, inventory, issue, f"issue {issue.item}", about=fulfilment))
        self._issuing[fulfilment, issue.item] = step.id(self.name)
        return step

    def _reverse(self, cause: Recorded, issued: IssuedGoods, visit: str) -> Step:
        undo = ReverseMovement(
            item=issued.item, location=issued.site, movement=issued.movement, reason="The visit was taken back."
        )
        met = InventoryError.ALREADY_REVERSED
        name = f"reverse {issued.item} {issued.movement}"
        return self.step(cause, inventory, undo, name, met_by=met, about=visit)

    # -- refused steps ------------------------------------------------------------------------------------------------

    def _watched(self, step: Step, order: str | None = None) -> Step:
        id = step.id(self.name)
        self._sent[id] = step
        if order is not None:
            self._order(order).steps.append(id)
        return step

    def _forget_steps(self, order: _Order) -> None:
        """Nothing follows any more from a refusal of what led to an order that is over."""
        while order.steps:
            self._sent.pop(order.steps.pop(), None)

    def _refused(self, event: Recorded, refused: ProcessStepRefused) -> Iterable[Step]:
        """Go on without a step, and say at its refusal what was done instead, so that nobody need look into it."""
        if refused.manager != self.name:
            return
        step = self._sent.pop(refused.step, None)
        done = "The order was over by then." if step is None and refused.command in _LEAD_TO_ORDERS else None
        about = "" if step is None else step.about
        match step and step.command:
            case BookSlot(order=order) | ClaimEntitlement(claim=order):
                cancel = CancelOrder(order=order, reason=f"It could not go on: {refused.detail}"[:2000])
                yield self.step(event, distribution, cancel, met_by=DistributionError.ORDER_ENDED)
                done = f"Order {order} is cancelled."
            case ReserveStock() as asked:
                order = order_of(asked.reservation) or ""
                short = ReservedGoods(item=asked.item, asked=asked.quantity, short=asked.quantity, lots=())
                none = NoteReserved(order=order, goods=(short,))
                yield self.step(event, distribution, none, f"short of {asked.item}")
                if refused.code == InventoryError.INSUFFICIENT_STOCK:
                    done = f"Order {order} goes without {asked.item}."
            case IssueStock() as issue:
                if issue.reservation is not None:
                    release = ReleaseReservation(
                        item=issue.item, location=issue.location, reservation=issue.reservation
                    )
                    met = InventoryError.UNKNOWN_RESERVATION
                    yield self.step(event, inventory, release, f"release {issue.item}", met_by=met, about=about)
                again = replace(
                    issue, reservation=None, occurred_at=None, note="It happened earlier, and is issued as of now."
                )
                yield self.step(event, inventory, again, f"issue now {issue.item}", about=about)
                done = "It is issued as of now."
        if done is not None:
            yield self.step(event, distribution, ResolveStep(step=refused.step, note=done))
