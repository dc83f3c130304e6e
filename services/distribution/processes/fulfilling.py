"""Fulfilment: from a confirmed order to goods that left, and back again when nothing comes of it.

    OrderPlaced     -> BookSlot
    OrderConfirmed  -> ClaimEntitlement, ReserveStock for each item, whole or part; a claim that is refused cancels it
    BoxPacked       -> NoteBox
    BoxHandedOut    -> IssueStock by the lots in the box, CompleteOrder, FreeSlot
    BoxUnpacked     -> NoteBox; chilled goods are held for review; what an ended order had set aside is released
    OrderCancelled, NoShowRecorded -> ReleaseEntitlement, FreeSlot, and ReleaseReservation unless it is packed
    VisitRecorded   -> IssueStock for each item;  VisitReversed -> ReverseMovement for each
    SessionClosed   -> RecordNoShow for each order that was still open
    due_at passed   -> RecordNoShow

What left the table has left: its issues say so (`already_left`) and inventory records them whatever its figure says. An
issue that no longer fits where it happened (a count was approved since) is issued as of now.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

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
    GoodsIssued,
    NoShowRecorded,
    NoteBox,
    OrderCancelled,
    OrderCompleted,
    OrderConfirmed,
    OrderPlaced,
    PackedLine,
    ProcessStepRefused,
    RecordNoShow,
    ReleaseEntitlement,
    SessionClosed,
    VisitRecorded,
    VisitReversed,
    distribution,
)
from services.distribution.processes.names import recipient_of, reservation_of
from services.inventory.contract import (
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
)
from shared.event import Recorded
from shared.manager import Cause, Manager, Step


@dataclass(eq=False)
class _Order:
    """What is remembered of an order from its confirmation on."""

    confirmed: OrderConfirmed | None = None
    boxes: set[str] = field(default_factory=set)
    ended: bool = False
    released: bool = False


class Fulfilling(Manager):
    """Keeps claims, orders and stock in step."""

    name = "fulfilling"
    reads = (
        OrderPlaced, OrderConfirmed, OrderCancelled, OrderCompleted, NoShowRecorded, BoxPacked, BoxUnpacked,
        BoxHandedOut, VisitRecorded, VisitReversed, GoodsIssued, SessionClosed, ProcessStepRefused,
    )  # fmt: skip

    def __init__(self) -> None:
        self._orders: dict[str, _Order] = {}
        self._due: list[tuple[datetime, int, str, Cause]] = []
        """A heap of until when an order waits, its sequence, its id, and the event that confirmed it."""
        self._claims: dict[str, str] = {}
        """The order of each claim's step that may yet be refused."""
        self._issues: dict[str, tuple[Cause, IssueStock]] = {}
        """The steps that gave goods out, should one be refused."""
        self._movements: dict[str, list[GoodsIssued]] = {}
        """What was given out for each order and visit, by the id of its fulfilment."""
        self._reversed: dict[str, str] = {}
        """Visits that were reversed, and why, by the same ids."""

    def react(self, event: Recorded) -> Iterable[Step]:
        match event.data:
            case OrderPlaced() as placed:
                book = BookSlot(session=placed.session, order=placed.order, slot=placed.slot)
                yield self.step(event, distribution, book, met_by=DistributionError.SESSION_CLOSED)
            case OrderConfirmed() as confirmed:
                yield from self._confirmed(event, confirmed)
            case OrderCancelled() | NoShowRecorded() as ended:
                yield from self._ended(event, ended.order, ended.session)
            case OrderCompleted() as completed:
                self._order(completed.order).ended = True
                served = FreeSlot(session=completed.session, order=completed.order, served=True)
                yield self.step(event, distribution, served)
            case BoxPacked() as packed:
                self._order(packed.order).boxes.add(packed.box)
                yield self.step(event, distribution, NoteBox(order=packed.order, box=packed.box, packed=True))
            case BoxUnpacked() as unpacked:
                yield from self._unpacked(event, unpacked)
            case BoxHandedOut() as handed:
                yield from self._handed_out(event, handed)
            case VisitRecorded() as visited:
                for line in visited.goods:
                    issue = IssueStock(
                        item=line.item, location=visited.site, purpose=Purpose.HOUSEHOLD,
                        lines=(PickLine(quantity=line.quantity),), recipient=recipient_of(visited.visit),
                        already_left=True, occurred_at=visited.occurred_at,
                    )  # fmt: skip
                    yield self._issue(event, issue)
            case VisitReversed() as undone:
                visit = recipient_of(undone.visit)
                self._reversed[visit] = undone.reason
                for issued in self._movements.get(visit, ()):
                    yield self._reverse(event, issued, undone.reason)
            case GoodsIssued() as issued:
                self._movements.setdefault(issued.order, []).append(issued)
                if issued.order in self._reversed:  # it was reversed before its goods were known to have left
                    yield self._reverse(event, issued, self._reversed[issued.order])
            case SessionClosed() as closed:
                for order in closed.no_shows:
                    yield self.step(event, distribution, RecordNoShow(order=order), f"no show {order}")
            case ProcessStepRefused() as refused:
                yield from self._refused(event, refused)

    def due(self, now: datetime) -> Iterable[Step]:
        while self._due and self._due[0][0] <= now:
            _, _, order, cause = heapq.heappop(self._due)
            if not self._order(order).ended:
                yield self.step(cause, distribution, RecordNoShow(order=order), f"overdue {order}")

    def moot(self, step: Step) -> bool:
        """Nothing is set aside any more for an order that has ended."""
        return isinstance(step.command, ReserveStock) and any(
            order.ended and order.confirmed is not None
            and reservation_of(order.confirmed.order) == step.command.reservation
            for order in [self._orders.get(step.command.reservation[2:], _Order())]
        )  # fmt: skip

    # -- orders -------------------------------------------------------------------------------------------------------

    def _order(self, id: str) -> _Order:
        return self._orders.setdefault(id, _Order())

    def _confirmed(self, event: Recorded, confirmed: OrderConfirmed) -> Iterable[Step]:
        self._order(confirmed.order).confirmed = confirmed
        heapq.heappush(self._due, (confirmed.due_at, event.sequence, confirmed.order, Cause.of(event)))
        claim = ClaimEntitlement(
            household=confirmed.household, programme=confirmed.programme, period=confirmed.period,
            claim=confirmed.order, override_reason=confirmed.override_reason,
        )  # fmt: skip
        step = self.step(event, distribution, claim)
        self._claims[step.id(self.name)] = confirmed.order
        yield step
        for line in confirmed.goods:
            reserve = ReserveStock(
                item=line.item, location=confirmed.site, reservation=reservation_of(confirmed.order),
                quantity=line.quantity, purpose=Purpose.HOUSEHOLD, allow_part=True, recipient=confirmed.order,
            )  # fmt: skip
            yield self.step(event, inventory, reserve, f"reserve {line.item}")

    def _ended(self, event: Recorded, id: str, session: str) -> Iterable[Step]:
        order = self._order(id)
        order.ended = True
        yield self.step(event, distribution, FreeSlot(session=session, order=id))
        if order.confirmed is not None:
            release = ReleaseEntitlement(
                household=order.confirmed.household, programme=order.confirmed.programme,
                period=order.confirmed.period, claim=id, reason="the order ended without being handed out",
            )  # fmt: skip
            yield self.step(event, distribution, release, met_by=DistributionError.UNKNOWN_CLAIM)
            if not order.boxes:
                yield from self._release(event, order)

    def _release(self, event: Recorded, order: _Order) -> Iterable[Step]:
        if order.confirmed is None or order.released:
            return
        order.released = True
        for line in order.confirmed.goods:
            release = ReleaseReservation(
                item=line.item, location=order.confirmed.site, reservation=reservation_of(order.confirmed.order)
            )
            met = InventoryError.UNKNOWN_RESERVATION
            yield self.step(event, inventory, release, f"release {line.item}", met_by=met)

    # -- boxes --------------------------------------------------------------------------------------------------------

    def _unpacked(self, event: Recorded, unpacked: BoxUnpacked) -> Iterable[Step]:
        order = self._order(unpacked.order)
        order.boxes.discard(unpacked.box)
        yield self.step(event, distribution, NoteBox(order=unpacked.order, box=unpacked.box, packed=False))
        for item in unpacked.quarantine:
            lots = tuple(dict.fromkeys(line.lot or "UNKNOWN" for line in unpacked.packed if line.item == item))
            hold = HoldStock(
                item=item, location=unpacked.site, hold=f"unpacked-{unpacked.box}", reason=HoldReason.INSPECTION,
                lots=lots, note=f"Unpacked from box {unpacked.box}: kept cold all the time?",
            )  # fmt: skip
            yield self.step(event, inventory, hold, f"hold {item}")
        if order.ended and not order.boxes:
            yield from self._release(event, order)

    def _handed_out(self, event: Recorded, handed: BoxHandedOut) -> Iterable[Step]:
        order = self._order(handed.order)
        order.boxes.discard(handed.box)
        yield self.step(event, distribution, CompleteOrder(order=handed.order, box=handed.box))
        packed: dict[str, list[PackedLine]] = {}
        for line in handed.packed:
            packed.setdefault(line.item, []).append(line)
        for item, lines in packed.items():
            issue = IssueStock(
                item=item, location=handed.site, purpose=Purpose.HOUSEHOLD,
                reservation=None if order.released else reservation_of(handed.order),
                lines=tuple(
                    PickLine(
                        quantity=line.quantity, lot=line.lot, date=line.date, owner=line.owner,
                        reason="as packed" if line.lot is not None else None,
                    )
                    for line in lines
                ),
                recipient=handed.box, already_left=True, occurred_at=handed.occurred_at,
            )  # fmt: skip
            yield self._issue(event, issue)
        if order.confirmed is not None and not order.released:
            for goods in order.confirmed.goods:
                if goods.item not in packed:
                    release = ReleaseReservation(
                        item=goods.item, location=handed.site, reservation=reservation_of(handed.order)
                    )
                    met = InventoryError.UNKNOWN_RESERVATION
                    yield self.step(event, inventory, release, f"release {goods.item}", met_by=met)
            order.released = True

    def _issue(self, cause: Recorded, issue: IssueStock) -> Step:
        step = self.step(cause, inventory, issue, f"issue {issue.item}")
        self._issues[step.id(self.name)] = (Cause.of(cause), issue)
        return step

    def _reverse(self, cause: Recorded, issued: GoodsIssued, reason: str) -> Step:
        undo = ReverseMovement(
            item=issued.item, location=issued.site, movement=issued.movement, reason=reason[:200]
        )  # fmt: skip
        met = InventoryError.ALREADY_REVERSED
        return self.step(cause, inventory, undo, f"reverse {issued.item} {issued.movement}", met_by=met)

    # -- refused steps ------------------------------------------------------------------------------------------------

    def _refused(self, event: Recorded, refused: ProcessStepRefused) -> Iterable[Step]:
        if refused.manager != self.name:
            return
        order = self._claims.pop(refused.step, None)
        if order is not None:
            cancel = CancelOrder(order=order, reason=f"It could not be claimed: {refused.detail}"[:2000])
            yield self.step(event, distribution, cancel, met_by=DistributionError.ORDER_ENDED)
        found = self._issues.pop(refused.step, None)
        if found is not None:
            cause, issue = found
            again = IssueStock(
                item=issue.item, location=issue.location, purpose=issue.purpose,
                lines=tuple(PickLine(quantity=line.quantity) for line in issue.lines), recipient=issue.recipient,
                already_left=True, note="It happened earlier, and is issued as of now.",
            )  # fmt: skip
            yield self.step(cause, inventory, again, f"issue now {issue.item}")
