"""Fulfilment: from a confirmed order to goods that left, and back again when nothing comes of it.

    OrderPlaced     -> BookSlot; when the session is closed or full by then, the order is cancelled
    OrderConfirmed  -> ClaimEntitlement, ReserveStock for each item, whole or part; a claim that is refused cancels it
    GoodsReserved   -> ReleaseReservation, when the order ended while it was on its way
    BoxPacked       -> NoteBox
    BoxHandedOut    -> IssueStock by the lots in the box, CompleteOrder;
                       of a box that was unpacked, as of a second one, without what is set aside
    HandOutReversed -> NoteReversal, ReverseCompletion
    BoxUnpacked     -> NoteBox; chilled goods are set apart and held; what an ended order had set aside is released
    OrderCancelled, NoShowRecorded -> FreeSlot, ReleaseEntitlement, and ReleaseReservation unless it is packed
    OrderCompleted  -> FreeSlot; ClaimEntitlement, if the claim that the box counts by does not count yet
    CompletionReversed -> ReleaseEntitlement of a claim that counts no more; BookSlot, if the order is open again
    VisitRecorded   -> IssueStock for each item;  VisitReversed -> NoteReversal
    ReversalNoted, and GoodsIssued of what was reversed -> ReverseMovement for each
    SessionClosed   -> RecordNoShow for each order that was still open
    due_at passed   -> RecordNoShow
    HouseholdsMerged, HouseholdsUnmerged -> NoteMerge

What left the table has left: its issues say so (`already_left`) and inventory records them whatever its figure says. An
issue that is refused where it happened is issued as of now. Of what was set aside for an order, what is in a packed box
waits, even if the order ends, until somebody unpacks the box.

By which claim a box counts is decided where it is known for certain how far its order has come: by the order.

Orders are forgotten once nothing follows from them any more. What comes late says enough by itself: goods that are set
aside for an order that is not remembered are for nobody, and of a box that goes out or comes back, its order says what
follows.
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
    CompletionReversed,
    DistributionError,
    FreeSlot,
    GoodsFreed,
    GoodsIssued,
    GoodsReserved,
    HandOutReversed,
    HouseholdsMerged,
    HouseholdsUnmerged,
    IssuedGoods,
    NoShowRecorded,
    NoteBox,
    NoteMerge,
    NoteReserved,
    NoteReversal,
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
    ReversalNoted,
    ReverseCompletion,
    SessionClosed,
    Stage,
    VisitRecorded,
    VisitReversed,
    distribution,
    fulfilment_of_visit,
)
from services.distribution.processes.names import order_of, reference_of, reservation_of
from services.inventory.contract import (
    InventoryError,
    IssueStock,
    PickLine,
    Purpose,
    ReleaseReservation,
    ReserveStock,
    ReverseMovement,
    SetApart,
    inventory,
    lot_form,
)
from shared.event import Recorded
from shared.manager import Cause, Manager, Step

_LEAD_TO_ORDERS: Final = ("BookSlot", "ClaimEntitlement", "ReserveStock")


@dataclass(frozen=True, slots=True)
class _Whose:
    """Whom claims of an order are for."""

    household: str
    programme: str
    period: str

    @classmethod
    def of(cls, event: OrderConfirmed | OrderCompleted | CompletionReversed) -> _Whose:
        return cls(event.household, event.programme, event.period)


@dataclass(eq=False, slots=True)
class _Order:
    """What is remembered of an order for as long as something may follow from it.

    `steps` are those that lead to it, `whose` its claim is once it is confirmed, `items` what was asked for at `site`.
    `reserved` are the items of which something is set aside, `boxes` the boxes that are packed for it, `out` those that
    are handed out. `ended` is what the order said last: that it was cancelled, nobody came, or it was handed out. What
    was to follow from events before `since` is needless.
    """

    ended: bool = False
    steps: list[str] = field(default_factory=list)
    whose: _Whose | None = None
    site: str = ""
    items: tuple[str, ...] = ()
    reserved: set[str] = field(default_factory=set)
    boxes: set[str] = field(default_factory=set)
    out: set[str] = field(default_factory=set)
    since: int = 0

    @property
    def over(self) -> bool:
        """Whether it was cancelled, nobody came, or it was handed out."""
        return self.ended or bool(self.out)

    @property
    def needs_goods(self) -> bool:
        """Whether what is set aside for it is to stay so."""
        return bool(self.boxes) or not self.over

    @property
    def settled(self) -> bool:
        """Whether nothing follows from it any more."""
        return self.ended and not self.boxes and not self.reserved


class Fulfilling(Manager):
    """Keeps claims, orders and stock in step."""

    name = "fulfilling"
    reads = (
        OrderPlaced, OrderConfirmed, OrderCancelled, OrderCompleted, CompletionReversed, NoShowRecorded, BoxPacked,
        BoxUnpacked, BoxHandedOut, HandOutReversed, VisitRecorded, VisitReversed, GoodsReserved, GoodsFreed,
        GoodsIssued, ReversalNoted, SessionClosed, HouseholdsMerged, HouseholdsUnmerged, ProcessStepRefused,
    )  # fmt: skip

    def __init__(self) -> None:
        self._orders: dict[str, _Order] = {}
        self._due: list[tuple[datetime, int, str, Cause]] = []
        """A heap of until when an order waits, its sequence, its id, and the event that confirmed it."""
        self._sent: dict[str, Step] = {}
        """Steps that something else follows from should they be refused, by their ids."""
        self._issuing: dict[tuple[str, int, str], str] = {}
        """Of those, the ones that give goods out, by box or visit, hand-out and item."""

    def react(self, event: Recorded) -> Iterable[Step]:
        match event.data:
            case OrderPlaced() as placed:
                book = BookSlot(session=placed.session, order=placed.order, slot=placed.slot)
                self._orders.setdefault(placed.order, _Order())
                yield self._watched(self.step(event, distribution, book, about=placed.order), placed.order)
            case OrderConfirmed() as confirmed:
                yield from self._confirmed(event, confirmed)
            case GoodsReserved() | GoodsFreed() | GoodsIssued() as goods:
                yield from self._goods(event, goods)
                self._settle(goods.order)
            case ReversalNoted() as noted:
                for issued in noted.goods:
                    yield self._reverse(event, issued, noted.order)
            case BoxPacked() as packed:
                self._of_box(packed.order).boxes.add(packed.box)
                yield self.step(event, distribution, NoteBox(order=packed.order, box=packed.box, packed=True))
            case BoxUnpacked() as unpacked:
                yield from self._unpacked(event, unpacked)
                self._settle(unpacked.order)
            case BoxHandedOut() as handed:
                yield from self._handed_out(event, handed)
                self._settle(handed.order)
            case HandOutReversed() as undone:
                yield from self._taken_back(event, undone)
                self._settle(undone.order)
            case OrderCancelled() | NoShowRecorded() as ended:
                yield from self._ended(event, ended.order, ended.session)
                self._settle(ended.order)
            case OrderCompleted() as completed:
                yield from self._completed(event, completed)
                self._settle(completed.order)
            case CompletionReversed() as reopened:
                yield from self._reopened(event, reopened)
                self._settle(reopened.order)
            case VisitRecorded() as visited:
                yield from self._visited(event, visited)
            case VisitReversed(visit=visit):
                yield self.step(event, distribution, NoteReversal(order=fulfilment_of_visit(visit)))
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
            order = self._orders.get(id)
            if order is not None and not order.over:
                yield self._no_show(cause, id)

    def moot(self, step: Step) -> bool:
        """Nothing is set aside any more for an order that is over, and what was to end it before it was reopened is
        over too."""
        match step.command:
            case ReserveStock(reservation=reservation):
                order = self._orders.get(order_of(reservation) or "")
                return order is None or not order.needs_goods or step.cause.sequence < order.since
            case RecordNoShow():
                order = self._orders.get(step.command.order)
                return order is not None and step.cause.sequence < order.since
        return False

    # -- orders -------------------------------------------------------------------------------------------------------

    def _of_box(self, id: str) -> _Order:
        """The order of a box. One that was forgotten is over."""
        return self._orders.setdefault(id, _Order(ended=True))

    def _settle(self, id: str) -> None:
        """Forget an order that nothing follows from any more."""
        order = self._orders.get(id)
        if order is not None and order.settled:
            self._forget_steps(order)
            del self._orders[id]

    def _confirmed(self, event: Recorded, confirmed: OrderConfirmed) -> Iterable[Step]:
        order = self._orders.setdefault(confirmed.order, _Order())
        order.whose, order.site = _Whose.of(confirmed), confirmed.site
        order.items = tuple(line.item for line in confirmed.goods)
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
        yield self.step(event, distribution, FreeSlot(session=session, order=id), about=id)
        order = self._orders.get(id)
        if order is None:
            return
        order.ended = True
        self._forget_steps(order)
        if order.whose is not None:
            yield self._unclaim(event, order.whose, id, "The order ended without being handed out.")
        yield from self._given_up(event, id, order)

    def _given_up(self, event: Recorded, id: str, order: _Order) -> Iterable[Step]:
        """Of an order that ended nothing stays set aside, unless it is packed; its hand-out has seen to that itself."""
        if not order.boxes and not order.out:
            for item in order.items:
                yield self._release(event, id, order.site, item)

    def _completed(self, event: Recorded, completed: OrderCompleted) -> Iterable[Step]:
        served = FreeSlot(session=completed.session, order=completed.order, served=True)
        yield self.step(event, distribution, served, about=completed.order)
        if completed.claim != completed.order or not completed.claimed:
            claim = ClaimEntitlement(
                household=completed.household, programme=completed.programme, period=completed.period, fact=True,
                claim=completed.claim, asked_by=completed.asked_by, occurred_at=completed.occurred_at,
            )  # fmt: skip
            met = DistributionError.ALREADY_REVERSED  # it counted before, and was given back since
            yield self.step(event, distribution, claim, "claim what was handed out", met_by=met)
        order = self._orders.get(completed.order)
        if order is not None:
            order.ended = True
            self._forget_steps(order)

    def _reopened(self, event: Recorded, undone: CompletionReversed) -> Iterable[Step]:
        """An order is again what it was before a box of it was handed out, unless another one is."""
        if undone.released is not None:
            yield self._unclaim(event, _Whose.of(undone), undone.released, "The box was not handed out after all.")
        if undone.stage in (Stage.PLACED, Stage.CONFIRMED):
            order = self._orders.setdefault(undone.order, _Order())
            order.ended, order.since = False, event.sequence
            order.whose = _Whose.of(undone) if undone.stage is Stage.CONFIRMED else None
            book = BookSlot(session=undone.session, order=undone.order, slot=undone.slot, again=True)
            yield self.step(event, distribution, book, about=undone.order)
            if undone.due_at is not None:
                heapq.heappush(self._due, (undone.due_at, event.sequence, undone.order, Cause.of(event)))
        elif (ended := self._orders.get(undone.order)) is not None:
            yield from self._given_up(event, undone.order, ended)

    def _no_show(self, cause: Recorded | Cause, order: str) -> Step:
        met = DistributionError.ORDER_ENDED
        return self.step(cause, distribution, RecordNoShow(order=order), f"no show {order}", met_by=met)

    def _unclaim(self, event: Recorded, whose: _Whose, claim: str, reason: str) -> Step:
        release = ReleaseEntitlement(
            household=whose.household, programme=whose.programme, period=whose.period, claim=claim, reason=reason
        )
        met = DistributionError.UNKNOWN_CLAIM
        return self.step(event, distribution, release, f"release claim {claim}", met_by=met)

    # -- goods --------------------------------------------------------------------------------------------------------

    def _goods(self, event: Recorded, goods: GoodsReserved | GoodsFreed | GoodsIssued) -> Iterable[Step]:
        """Keep up with what inventory did."""
        order = self._orders.get(goods.order)
        match goods:
            case GoodsReserved():
                there = [reserved.item for reserved in goods.goods if reserved.lots]
                if order is not None:
                    order.reserved.update(there)
                if order is None or not order.needs_goods:
                    for item in there:
                        yield self._release(event, goods.order, goods.site, item)
            case GoodsFreed():
                if order is not None and not goods.remaining:
                    order.reserved.discard(goods.item)
            case GoodsIssued():
                for issued in goods.goods:
                    whom = goods.box or goods.order
                    self._sent.pop(self._issuing.pop((whom, goods.hand_out, issued.item), ""), None)
                    if order is not None and issued.reserved:
                        order.reserved.discard(issued.item)
                    if goods.reversed:
                        yield self._reverse(event, issued, goods.order)

    def _release(self, event: Recorded, order: str, site: str, item: str) -> Step:
        release = ReleaseReservation(item=item, location=site, reservation=reservation_of(order))
        met = InventoryError.UNKNOWN_RESERVATION
        return self.step(event, inventory, release, f"release {item}", met_by=met, about=order)

    # -- boxes --------------------------------------------------------------------------------------------------------

    def _unpacked(self, event: Recorded, unpacked: BoxUnpacked) -> Iterable[Step]:
        yield self.step(event, distribution, NoteBox(order=unpacked.order, box=unpacked.box, packed=False))
        order = self._orders.get(unpacked.order)
        if order is not None:
            order.boxes.discard(unpacked.box)
            over = not order.needs_goods
            for item in order.items:
                if over or item in unpacked.quarantine:  # what is held is not packed again
                    yield self._release(event, unpacked.order, order.site, item)
        for item in unpacked.quarantine:
            apart = SetApart(
                item=item, location=unpacked.site, lines=_picked(line for line in unpacked.packed if line.item == item),
                apart=_apart(unpacked.box), hold=f"unpacked-{unpacked.box}",
                note=f"Unpacked from box {unpacked.box}: was it kept cold all the time?",
            )  # fmt: skip
            yield self.step(event, inventory, apart, f"hold {item}", about=unpacked.order)

    def _handed_out(self, event: Recorded, handed: BoxHandedOut) -> Iterable[Step]:
        order = self._of_box(handed.order)
        order.boxes.discard(handed.box)
        first = not order.out
        order.out.add(handed.box)
        complete = CompleteOrder(
            order=handed.order, box=handed.box, hand_out=handed.hand_out, claimed=handed.claimed,
            asked_by=event.envelope.authid, occurred_at=handed.occurred_at,
        )  # fmt: skip
        yield self.step(event, distribution, complete)
        self._forget_steps(order)
        packed: dict[str, list[PackedLine]] = {}
        for line in handed.packed:
            packed.setdefault(line.item, []).append(line)
        unpacked = DistributionError.BOX_UNPACKED in handed.breaches  # another box may hold what is set aside
        used = order.reserved & packed.keys() if first and not unpacked else set()
        order.reserved -= used
        if not order.needs_goods:
            for item in order.items:
                if item not in used:  # a reservation that others emptied is open still
                    yield self._release(event, handed.order, order.site, item)
        for item, lines in packed.items():
            reference = reference_of(handed.order, handed.hand_out)
            issue = IssueStock(
                item=item, location=handed.site, purpose=Purpose.HOUSEHOLD, lines=_picked(lines),
                reservation=reservation_of(handed.order) if item in used else None,
                reference=None if item in used and handed.hand_out == 1 else reference,  # the reservation says it
                recipient=handed.box, already_left=True, occurred_at=handed.occurred_at,
                apart=_apart(handed.box) if item in handed.apart else None,  # or their lots are held whole
            )  # fmt: skip
            yield self._issue(event, issue, handed.order, handed.hand_out)

    def _taken_back(self, event: Recorded, undone: HandOutReversed) -> Iterable[Step]:
        """A box is here still. Its goods come back once it is noted which movements they left by."""
        order = self._of_box(undone.order)
        order.out.discard(undone.box)
        if not undone.unpacked:
            order.boxes.add(undone.box)
        note = NoteReversal(order=undone.order, box=undone.box, hand_out=undone.hand_out)
        yield self.step(event, distribution, note)
        yield self.step(event, distribution, ReverseCompletion(order=undone.order, box=undone.box))

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

    def _issue(self, cause: Recorded, issue: IssueStock, fulfilment: str, hand_out: int = 1) -> Step:
        step = self._watched(self.step(cause, inventory, issue, f"issue {issue.item}", about=fulfilment))
        self._issuing[issue.recipient or fulfilment, hand_out, issue.item] = step.id(self.name)
        return step

    def _reverse(self, cause: Recorded, issued: IssuedGoods, fulfilment: str) -> Step:
        undo = ReverseMovement(
            item=issued.item, location=issued.site, movement=issued.movement, reason="It did not leave after all."
        )
        met = InventoryError.ALREADY_REVERSED
        name = f"reverse {issued.item} {issued.movement}"
        return self.step(cause, inventory, undo, name, met_by=met, about=fulfilment)

    # -- refused steps ------------------------------------------------------------------------------------------------

    def _watched(self, step: Step, order: str | None = None) -> Step:
        id = step.id(self.name)
        self._sent[id] = step
        if order is not None:
            self._orders[order].steps.append(id)
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
                none = NoteReserved(order=order, site=asked.location, goods=(short,))
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
                    issue, reservation=None, reference=issue.reference or issue.reservation, occurred_at=None,
                    note="It happened earlier, and is issued as of now.",
                )  # fmt: skip
                yield self.step(event, inventory, again, f"issue now {issue.item}", about=about)
                done = "It is issued as of now."
        if done is not None:
            yield self.step(event, distribution, ResolveStep(step=refused.step, note=done))


def _apart(box: str) -> str:
    """The lot number under which what came out of a box is held."""
    return f"U-{box}"


def _picked(lines: Iterable[PackedLine]) -> tuple[PickLine, ...]:
    """Goods of one item by lot, each lot once."""
    found: dict[tuple[str | None, object, object], PickLine] = {}
    for line in lines:
        key = (None if line.lot is None else lot_form(line.lot), line.date, line.owner)
        before = found[key].quantity if key in found else 0
        found[key] = PickLine(
            quantity=before + line.quantity, lot=line.lot, date=line.date, owner=line.owner,
            reason="as packed" if line.lot is not None else None,
        )  # fmt: skip
    return tuple(found.values())
