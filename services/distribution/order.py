"""Orders: what one household is to get at one session, until it is handed out, cancelled, or nobody comes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from services.distribution.contract import (
    CATALOGUE,
    CancelOrder,
    CompleteOrder,
    CompletionReversed,
    ConfirmOrder,
    DistributionError,
    NoShowRecorded,
    OrderCancelled,
    OrderCompleted,
    OrderConfirmed,
    OrderPlaced,
    PlaceOrder,
    RecordNoShow,
    ReverseCompletion,
    Stage,
    claim_of_box,
    distribution,
    entitlement_id,
)
from services.distribution.entitlement import (
    Entitlement,
    claimed_before,
    has_reason,
    limit_reached,
    not_eligible,
    used_as_others,
)
from services.distribution.goods import Catalogue, distinct, known_items, look, said, unusual, usual, warnings
from services.distribution.household import Household, avoided, eligible, registered, same_people, served_as_itself
from services.distribution.programme import Programme, bundle_for, limit_on, period_of, running
from services.distribution.refusals import local_day, rejected, when
from services.distribution.session import GRACE, Session, goes_on, has_room, scheduled
from shared.contract import fields_of
from shared.decider import Context, Decider, Ref


@dataclass
class Order:
    """An order; `placed` is None before it is. Its period is that of its confirmation, once it is confirmed. `box` is
    the one that completed it, and `before` how far it had come by then; `out` are all boxes of it that are handed out,
    each with the claim by which it counts. `reopened` says that it is open again after it was handed out: what is not
    set aside for it by then will not be. `due_at` is until when it waits, `ended_at` when it was cancelled or nobody
    came."""

    placed: OrderPlaced | None = None
    stage: Stage = Stage.NONE
    box: str | None = None
    before: Stage = Stage.NONE
    out: dict[str, str] = field(default_factory=dict)
    reopened: bool = False
    due_at: datetime | None = None
    ended_at: datetime | None = None


OrderCommand = PlaceOrder | ConfirmOrder | CancelOrder | RecordNoShow | CompleteOrder | ReverseCompletion
OrderEvent = OrderPlaced | OrderConfirmed | OrderCancelled | NoShowRecorded | OrderCompleted | CompletionReversed


def evolve(order: Order, event: OrderEvent) -> Order:
    match event:
        case OrderPlaced():
            order.placed, order.stage = event, Stage.PLACED
        case OrderConfirmed():
            order.stage, order.due_at = Stage.CONFIRMED, event.due_at
            if order.placed is not None:
                order.placed = replace(order.placed, period=event.period)
        case OrderCancelled():
            order.stage, order.ended_at = Stage.CANCELLED, event.occurred_at
        case NoShowRecorded():
            order.stage, order.ended_at = Stage.NO_SHOW, event.occurred_at
        case OrderCompleted():
            order.out[event.box] = event.claim
            if event.beside is None:
                order.before, order.stage, order.box = order.stage, Stage.COMPLETED, event.box
        case CompletionReversed():
            claim = order.out.pop(event.box)
            order.stage, order.box = event.stage, event.instead
            order.reopened = order.reopened or event.stage is Stage.CONFIRMED
            if event.instead is not None and claim == event.order:
                order.out[event.instead] = claim
    return order


def reads(command: OrderCommand) -> Iterable[Ref]:
    if isinstance(command, PlaceOrder):
        return (Ref("household", command.household), Ref("session", command.session), Ref("goods", CATALOGUE))
    return ()


def decide(command: OrderCommand, order: Order, context: Context) -> OrderEvent | None:
    at = when(command.occurred_at, context)
    if isinstance(command, PlaceOrder):
        return _place(command, order, context, at)
    placed = known(order, command.order)
    match command:
        case ConfirmOrder():
            return _confirm(command, order, placed, context, at)
        case CancelOrder():
            if order.stage is Stage.CANCELLED:
                return None
            open_still(order, command.order, "There is nothing to cancel: check the order's id.")
            return OrderCancelled(
                order=command.order, reason=command.reason, household=placed.household, session=placed.session,
                occurred_at=at,
            )  # fmt: skip
        case RecordNoShow():
            if order.stage is Stage.NO_SHOW:
                return None
            open_still(order, command.order, "Nobody is waited for: check the order's id.")
            if order.stage is Stage.PLACED and _came(placed, context):
                return OrderCancelled(
                    order=command.order, reason="The household was served at the session without it.",
                    household=placed.household, session=placed.session, occurred_at=at,
                )  # fmt: skip
            return NoShowRecorded(
                order=command.order, household=placed.household, session=placed.session, occurred_at=at
            )
        case CompleteOrder():
            if command.box in order.out:
                return None
            own = order.stage is Stage.CONFIRMED
            return OrderCompleted(
                **(dict(fields_of(command)) | {"occurred_at": at}), household=placed.household,
                programme=placed.programme, period=placed.period, session=placed.session, beside=order.box,
                claim=command.order if own else claim_of_box(command.box, command.hand_out),
            )  # fmt: skip
        case ReverseCompletion():
            return _reverse(command, order, placed, at)


def _reverse(
    command: ReverseCompletion, order: Order, placed: OrderPlaced, at: datetime
) -> CompletionReversed | None:  # fmt: skip
    if command.box not in order.out:
        return None
    others = [box for box in order.out if box != command.box]
    instead = None if not others else order.box if order.box in others else others[0]
    released: str | None = order.out[command.box]
    if released == command.order:  # it goes on: for the other box, or for the order
        released = None if instead is None else order.out[instead]
    return CompletionReversed(
        order=command.order, box=command.box, instead=instead, released=released, household=placed.household,
        programme=placed.programme, period=placed.period, session=placed.session, slot=placed.slot,
        stage=order.before if instead is None else Stage.COMPLETED, due_at=order.due_at, ended_at=order.ended_at,
        occurred_at=at,
    )  # fmt: skip


def _place(command: PlaceOrder, order: Order, context: Context, at: datetime) -> OrderPlaced | None:
    if order.placed is not None:
        if _same(command, order.placed, context):
            return None
        raise rejected(
            DistributionError.ALREADY_EXISTS, f"There is an order {command.order} already. Choose another id.",
            order=command.order,
        )  # fmt: skip
    household: Household = context.read("household", command.household)
    registered(household, command.household)
    session: Session = context.read("session", command.session)
    announced = scheduled(session, command.session)
    catalogue: Catalogue = context.read("goods", CATALOGUE)
    known_items(catalogue, command.lines)
    served_as_itself(household, command.household, context)
    distinct(command.lines)
    has_reason(command.override_reason)
    programme: Programme = context.read("programme", announced.programme)
    running(programme, announced.programme)
    goes_on(session, command.session, context.now)
    day = local_day(announced.starts_at, programme.utc_offset)
    if not eligible(household, day) and command.override_reason is None:
        raise not_eligible(command.household, household, day)
    has_room(session, command.session, command.slot)
    goods = command.lines or bundle_for(programme, announced.programme, household.size)
    known_items(catalogue, goods)
    usual(unusual(catalogue, goods).values(), command.confirm_unusual)
    warned = warnings(catalogue, avoided(command.household, context), goods)
    look(warned, command.seen_warnings)
    return OrderPlaced(
        **(dict(fields_of(command)) | {"occurred_at": at}), goods=goods, programme=announced.programme,
        period=period_of(programme, day), site=announced.site, people=household.people,
        warnings=said(warned, goods),
    )  # fmt: skip


def _same(command: PlaceOrder, placed: OrderPlaced, context: Context) -> bool:
    """Whether a command asks for what was ordered already; a reason that nobody can read any more is as any other."""
    for name, value in fields_of(command):
        before = getattr(placed, name)
        if name == "override_reason" and None not in (before, value):
            before = context.unseal(before) or value
        if name != "occurred_at" and value != before:
            return False
    return True


def _confirm(
    command: ConfirmOrder, order: Order, placed: OrderPlaced, context: Context, at: datetime
) -> OrderConfirmed | None:
    if order.stage is Stage.CONFIRMED:
        return None
    open_still(order, command.order)
    household: Household = context.read("household", placed.household)
    served_as_itself(household, placed.household, context)
    has_reason(command.override_reason)
    programme: Programme = context.read("programme", placed.programme)
    running(programme, placed.programme)
    session: Session = context.read("session", placed.session)
    announced = goes_on(session, placed.session, context.now)
    day = local_day(announced.starts_at, programme.utc_offset)
    if not eligible(household, day) and (command.override_reason or placed.override_reason) is None:
        raise not_eligible(placed.household, household, day)
    period, limit = period_of(programme, day), limit_on(programme, day)  # a limit may have been set since
    claimed = entitlement_id(placed.household, placed.programme, period)
    entitlement: Entitlement = context.read("entitlement", claimed)
    used = entitlement.used - (command.order in entitlement.claims)
    used += used_as_others(placed.household, placed.programme, period, context)
    kept = claimed_before(placed.household, programme, placed.programme, day, context, but=command.order)
    used += len(kept)
    if limit is not None and used >= limit.times and command.override_reason is None:
        asked = replace(placed, period=period)
        raise limit_reached(asked, entitlement, used, limit, placed.session, context, but=command.order, kept=kept)
    return OrderConfirmed(
        order=command.order, household=placed.household, programme=placed.programme, period=period,
        session=placed.session, site=placed.site, goods=placed.goods, people=placed.people,
        override_reason=command.override_reason, due_at=announced.ends_at + GRACE, occurred_at=at,
    )  # fmt: skip


def _came(placed: OrderPlaced, context: Context) -> bool:
    """Whether the household of an order was served at its session, at the table: under whichever of its ids, and in
    whichever period the session's days are in by now."""
    programme: Programme = context.read("programme", placed.programme)
    session: Session = context.read("session", placed.session)
    announced = scheduled(session, placed.session)
    first, last = (local_day(moment, programme.utc_offset) for moment in (announced.starts_at, announced.ends_at))
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    periods = sorted({placed.period, *(period_of(programme, day) for day in days)})
    for household, _ in same_people(placed.household, context):
        for period in periods:
            claims: Entitlement = context.read("entitlement", entitlement_id(household, placed.programme, period))
            if any(visit.session == placed.session for visit in claims.visits.values()):
                return True
    return False


def known(order: Order, id: str) -> OrderPlaced:
    """What an order asked for. Refuses one that was never placed."""
    if order.placed is None:
        raise rejected(DistributionError.UNKNOWN_ORDER, f"There is no order {id}. Check its id.", order=id)
    return order.placed


def open_still(order: Order, id: str, what_to_do: str = "Place another.") -> None:
    """Refuse an order that has ended, and say what to do."""
    if order.stage in (Stage.COMPLETED, Stage.CANCELLED, Stage.NO_SHOW):
        ended = {
            Stage.COMPLETED: "was handed out", Stage.CANCELLED: "was cancelled", Stage.NO_SHOW: "ended as a no-show"
        }  # fmt: skip
        raise rejected(DistributionError.ORDER_ENDED, f"Order {id} {ended[order.stage]}. {what_to_do}", order=id)


def check(order: Order) -> list[str]:
    return ["an order went on that was never placed"] if order.stage is not Stage.NONE and order.placed is None else []


order: Final = Decider(distribution, "order", Order, Order, decide, evolve, check, reads)
