"""A small synthetic service for the tests of the kernel: numbered tickets, jars with a bounded content, and orders.

Its decisions depend on the state (the next number, what is left), so a decision taken on the wrong state shows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from shared.contract import Contract
from shared.decider import Context, Decider, Ref
from shared.errors import Rejected
from shared.types import Amount, Delta, Id, Moment, Note, Quantity, Text

kiosk = Contract("kiosk")


class KioskError(StrEnum):
    SOLD_OUT = "SOLD_OUT"
    NOT_ENOUGH = "NOT_ENOUGH"
    CLOSED = "CLOSED"


@kiosk.event(category="counter")
class TicketTaken:
    """A ticket left the counter; `number` follows the one before."""

    counter: Id
    holder: Text
    number: Quantity
    remark: Note | None = None
    occurred_at: Moment | None = None


@kiosk.event(category="counter")
class CounterLimited:
    """The counter gives so many tickets in all."""

    counter: Id
    limit: Amount


@kiosk.event(category="jar")
class JarChanged:
    """So much went into the jar (positive) or out of it; `left` is what is in it now."""

    jar: Id
    by: Delta
    left: Delta
    beside: Id | None = None


@kiosk.event(category="jar")
class JarClosed:
    """Nothing goes in or out any more."""

    jar: Id


@kiosk.event(category="order")
class Ordered:
    """An order, with what its jar held when it was placed."""

    order: Id
    jar: Id
    seen: Delta
    other: Id | None = None


@kiosk.command(category="counter", aggregate="counter", makes=(TicketTaken,))
class TakeTicket:
    """Take the next ticket."""

    counter: Id
    holder: Text
    remark: Note | None = None
    occurred_at: Moment | None = None


@kiosk.command(category="counter", aggregate="counter", makes=(CounterLimited,))
class LimitCounter:
    """Bound the number of tickets."""

    counter: Id
    limit: Amount


@kiosk.command(category="jar", aggregate="jar", makes=(JarChanged,))
class ChangeJar:
    """Put into the jar, or take out of it; refused when the jar beside it is closed."""

    jar: Id
    by: Delta
    beside: Id | None = None


@kiosk.command(category="jar", aggregate="jar", makes=(JarClosed,))
class CloseJar:
    """Close the jar; closing it again changes nothing."""

    jar: Id


@kiosk.command(category="order", aggregate="order", makes=(Ordered,))
class Order:
    """Place an order that depends on what is in a jar, or in two: refused when they are empty."""

    order: Id
    jar: Id
    other: Id | None = None


kiosk.freeze()


@dataclass
class Counter:
    given: int = 0
    limit: int | None = None
    holders: dict[str, int] = field(default_factory=dict)


@dataclass
class Jar:
    left: int = 0
    closed: bool = False


@dataclass
class Orders:
    placed: int = 0


def _decide_counter(command: Any, state: Counter, context: Context) -> Any:
    match command:
        case LimitCounter(counter=counter, limit=limit):
            return None if state.limit == limit else CounterLimited(counter=counter, limit=limit)
        case TakeTicket(counter=counter, holder=holder):
            if state.limit is not None and state.given >= state.limit:
                raise Rejected(
                    KioskError.SOLD_OUT, f"{counter} has given all its {state.limit} tickets.", limit=state.limit
                )
            return TicketTaken(
                counter=counter, holder=holder, number=state.given + 1, remark=command.remark,
                occurred_at=command.occurred_at or context.now,
            )  # fmt: skip
    raise AssertionError(command)


def _evolve_counter(state: Counter, event: Any) -> Counter:
    match event:
        case CounterLimited(limit=limit):
            state.limit = limit
        case TicketTaken(holder=holder, number=number):
            state.given = number
            state.holders[holder] = number
            if len(state.holders) > 20:
                del state.holders[next(iter(state.holders))]
    return state


def _decide_jar(command: Any, state: Jar, context: Context) -> Any:
    match command:
        case CloseJar(jar=jar):
            return None if state.closed else JarClosed(jar=jar)
        case ChangeJar(jar=jar, by=by):
            if state.closed:
                raise Rejected(KioskError.CLOSED, f"{jar} is closed.")
            if state.left + by < 0:
                raise Rejected(KioskError.NOT_ENOUGH, f"{jar} holds {state.left}, not {-by}.", left=state.left)
            if command.beside is not None and context.read("jar", command.beside).closed:
                raise Rejected(KioskError.CLOSED, f"{command.beside} beside it is closed.")
            return JarChanged(jar=jar, by=by, left=state.left + by, beside=command.beside)
    raise AssertionError(command)


def _evolve_jar(state: Jar, event: Any) -> Jar:
    match event:
        case JarChanged(by=by):
            state.left += by
        case JarClosed():
            state.closed = True
    return state


def _decide_order(command: Order, state: Orders, context: Context) -> Any:
    seen = sum(context.read(ref.category, ref.id).left for ref in _jars_of(command))
    if seen <= 0:
        raise Rejected(KioskError.NOT_ENOUGH, f"{command.jar} is empty.", left=seen)
    return Ordered(order=command.order, jar=command.jar, seen=seen, other=command.other)


def _evolve_order(state: Orders, event: Any) -> Orders:
    state.placed += 1
    return state


def _jars_of(command: Order) -> Iterable[Ref]:
    return tuple(Ref("jar", id) for id in (command.jar, command.other) if id is not None)


def _jar_beside(command: Any) -> Iterable[Ref]:
    beside = getattr(command, "beside", None)
    return () if beside is None else (Ref("jar", beside),)


def _nothing_wrong(state: Any) -> list[str]:
    return []


counters: Decider[Counter] = Decider(
    kiosk, "counter", Counter, Counter, _decide_counter, _evolve_counter, _nothing_wrong
)
jars: Decider[Jar] = Decider(kiosk, "jar", Jar, Jar, _decide_jar, _evolve_jar, _nothing_wrong, _jar_beside)
orders: Decider[Orders] = Decider(
    kiosk, "order", Orders, Orders, _decide_order, _evolve_order, _nothing_wrong, _jars_of
)

DECIDERS = (counters, jars, orders)
