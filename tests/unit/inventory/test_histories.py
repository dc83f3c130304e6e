"""Whatever the history, the books hold: properties of every decider over generated sequences of commands.

Each accepted command is checked by tests/support/sentences.py: no invariant is broken, the event survives its bytes,
the state survives a snapshot. Here the figures are added up once more, from the events alone and in the plainest way.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.inventory.contract import (
    AdjustLine,
    AdjustReason,
    AdjustStock,
    ApproveCount,
    BaseUnit,
    ChangeItem,
    CloseLocation,
    CorrectMovement,
    CountApproved,
    CountedLot,
    DateKind,
    DispatchTransfer,
    DisposeStock,
    ExpireReservation,
    Freeing,
    HoldReason,
    HoldStock,
    IssueStock,
    LiftRecall,
    LocationKind,
    LotQuantity,
    Movement,
    MovementCorrected,
    MovementReversed,
    NoteDispatch,
    NoteOverdue,
    NoteReceipt,
    OpenLocation,
    PickLine,
    Purpose,
    QuarantineLot,
    RecallLot,
    RecallScope,
    ReceiptLine,
    ReceiveStock,
    ReceiveTransfer,
    RecordCount,
    RecordTemperature,
    RegisterItem,
    ReleaseHold,
    ReleaseLot,
    ReleaseReservation,
    RepackLine,
    RepackStock,
    ReserveStock,
    RetireItem,
    ReturnToSupplier,
    ReverseMovement,
    SetApart,
    Source,
    StartCount,
    StockReserved,
)
from services.inventory.rules import ref_key
from services.inventory.shelf import Stock
from shared.decider import Ref
from shared.errors import Rejected
from tests.support.sentences import NOW, World
from tests.unit.inventory import pantry

REPEATABLE = (
    RegisterItem, ChangeItem, RetireItem, OpenLocation, CloseLocation, ReserveStock, ReleaseReservation,
    ExpireReservation, HoldStock, ReleaseHold, QuarantineLot, ReleaseLot, RecallLot, LiftRecall, StartCount,
    ApproveCount, DispatchTransfer, ReceiveTransfer, ReverseMovement, CorrectMovement, NoteDispatch, NoteReceipt,
    NoteOverdue,
)  # fmt: skip
"""Commands by which the domain itself can tell that they were already carried out."""

lots = st.sampled_from([None, "A", "B", "c-1", "UNKNOWN"])
days = st.sampled_from([None, date(2026, 11, 10), date(2026, 11, 25), date(2027, 6, 1)])
owners = st.sampled_from([None, None, "tefap"])
quantities = st.integers(1, 12)
places = st.sampled_from(["main", "main", "main", "van", "cage"])
flags = st.sampled_from([False, False, True])


def at(location: str | None = None) -> dict[str, Any]:
    """Where a command goes; when it happened is decided when it is sent."""
    return {"item": st.just("rice"), "location": places if location is None else st.just(location)}


@st.composite
def quantity_lines(
    draw: st.DrawFn, cls: type, key: str = "quantity", values: st.SearchStrategy[int] = quantities
) -> Any:
    count = draw(st.integers(1, 3))
    made = []
    for _ in range(count):
        day = draw(days)
        kind = None if day is None else draw(st.sampled_from(DateKind))
        made.append(cls(lot=draw(lots), date=day, date_kind=kind, owner=draw(owners), **{key: draw(values)}))
    return tuple(made)


picks = st.lists(
    st.builds(PickLine, quantity=quantities, lot=lots, reason=st.sampled_from([None, "At the front"])),
    min_size=1,
    max_size=2,
).map(tuple)
reservations = st.sampled_from(["r1", "r2", "r3"])
transfers = st.sampled_from(["t1", "t2"])
counts = st.sampled_from(["c1", "c1", "c1", "c2"])
scopes = st.sampled_from([RecallScope(lots=("A",)), RecallScope(last_date=date(2026, 11, 30)), RecallScope()])
due = st.sampled_from([None, NOW + timedelta(hours=10), NOW + timedelta(days=9)])

STOCK = [
    st.builds(ReceiveStock, **at(), source=st.sampled_from(Source), lines=quantity_lines(ReceiptLine)),
    st.builds(ReceiveStock, **at(), source=st.just(Source.PURCHASE), lines=quantity_lines(ReceiptLine)),
    st.builds(IssueStock, **at(), purpose=st.just(Purpose.HOUSEHOLD), lines=picks, already_left=flags),
    st.builds(
        IssueStock, **at(), purpose=st.just(Purpose.HOUSEHOLD), lines=st.one_of(st.just(()), picks),
        reservation=reservations, keep_rest=flags, already_left=flags,
    ),
    st.builds(
        ReserveStock, **at("main"), reservation=reservations, quantity=quantities, purpose=st.just(Purpose.HOUSEHOLD),
        allow_part=flags, due_at=due,
    ),
    st.builds(ReleaseReservation, **at("main"), reservation=reservations),
    st.builds(ExpireReservation, **at("main"), reservation=reservations),
    st.builds(HoldStock, **at("main"), hold=st.sampled_from(["h1", "R1", "Q1"]), reason=st.sampled_from(HoldReason)),
    st.builds(HoldStock, **at("main"), hold=st.just("h2"), reason=st.just(HoldReason.DAMAGE), lots=st.just(("A",))),
    st.builds(ReleaseHold, **at("main"), hold=st.sampled_from(["h1", "h2", "R1", "Q1"])),
    st.builds(
        AdjustStock, **at(), reason=st.sampled_from(AdjustReason),
        lines=quantity_lines(AdjustLine, "change", st.integers(-9, 9)),
    ),
    st.builds(DisposeStock, **at(), reason=st.just(AdjustReason.SPOILED), lines=picks),
    st.builds(ReturnToSupplier, **at(), lines=picks),
    st.builds(
        RepackStock, **at(), lines=picks, already_left=flags,
        into=st.just((RepackLine(item="rice", lot="A", quantity=2), RepackLine(item="bags", quantity=3))),
    ),
    st.builds(SetApart, **at("main"), lines=picks, apart=st.just("U"), hold=st.sampled_from(["h1", "h3"])),
    st.builds(
        DispatchTransfer, **at("main"), transfer=transfers, destination=st.sampled_from(["van", "cage"]), lines=picks,
        already_left=flags,
    ),
    st.builds(
        ReceiveTransfer, **at("van"), transfer=transfers, origin=st.just("main"),
        loss_reason=st.sampled_from([None, AdjustReason.LOST]), lines=st.one_of(st.none(), quantity_lines(CountedLot)),
    ),
    st.builds(ReverseMovement, **at("main"), movement=st.integers(1, 12), reason=st.just("Twice")),
    st.builds(
        CorrectMovement, **at("main"), movement=st.integers(1, 12), reason=st.just("Typed wrong"),
        lines=quantity_lines(LotQuantity),
    ),
    st.tuples(  # all in one moment: what the count came after is told by revisions alone
        st.builds(ReceiveStock, **at("main"), source=st.just(Source.PURCHASE), lines=quantity_lines(ReceiptLine)),
        st.builds(RecordCount, **at("main"), count=counts, lines=quantity_lines(CountedLot, values=st.integers(0, 40))),
        st.builds(ApproveCount, **at("main"), count=counts),
        st.builds(ReverseMovement, **at("main"), movement=st.integers(1, 3), reason=st.just("Twice")),
    ),
    st.tuples(
        st.builds(RecordCount, **at("main"), count=counts, lines=quantity_lines(CountedLot, values=st.integers(0, 40))),
        st.builds(ApproveCount, **at("main"), count=counts),
    ),
    st.tuples(
        st.builds(DispatchTransfer, **at("main"), transfer=transfers, destination=st.just("van"), lines=picks,
                  already_left=st.just(True)),
        st.builds(ReceiveTransfer, **at("van"), transfer=transfers, origin=st.just("main")),
    ),
    st.tuples(
        st.builds(ReserveStock, **at("main"), reservation=reservations, quantity=quantities, allow_part=st.just(True),
                  purpose=st.just(Purpose.HOUSEHOLD)),
        st.builds(IssueStock, **at("main"), purpose=st.just(Purpose.HOUSEHOLD), reservation=reservations),
    ),
    st.builds(RecordCount, **at("main"), count=counts, lines=quantity_lines(CountedLot, values=st.integers(0, 12))),
    st.builds(ApproveCount, **at("main"), count=counts),
    st.builds(RecallLot, item=st.just("rice"), recall=st.just("R1"), scope=scopes, reason=st.just("Glass")),
    st.builds(LiftRecall, item=st.just("rice"), recall=st.just("R1"), reason=st.just("Withdrawn")),
    st.builds(QuarantineLot, item=st.just("rice"), quarantine=st.just("Q1"), lot=st.just("B"), reason=st.just("x")),
    st.builds(ReleaseLot, item=st.just("rice"), quarantine=st.just("Q1"), reason=st.just("x")),
]  # fmt: skip

lateness = st.one_of(st.none(), st.none(), st.integers(0, 600), st.integers(-6, -1), st.integers(-6, -1))
"""None for now, minutes ago, or, if negative, the very moment of the last but so many movements."""

steps = st.lists(
    st.tuples(st.one_of(STOCK), st.sampled_from([0, 0, 0, 7, 90]), lateness,
              st.sampled_from(["sam", "kim"])),
    min_size=8, max_size=30,
)  # fmt: skip

SHELF = tuple(
    pantry.goods(10, lot, day, owner=owner)
    for lot, day, owner in (("A", date(2026, 11, 25), None), ("B", date(2027, 6, 1), "tefap"), (None, None, None))
)
BEGINNING = (
    *pantry.PANTRY, RegisterItem(item="bags", name="Bags", unit=BaseUnit.EACH), pantry.receive(*SHELF),
    StartCount(count="c1", location="main"), StartCount(count="c2", location="main"),
)  # fmt: skip
"""A shelf with three lots, and two counts that have begun."""

catalogue = st.one_of(
    st.builds(
        cls,
        item=st.sampled_from(["rice", "beans"]),
        name=st.sampled_from(["Rice", "Beans"]),
        unit=st.sampled_from(BaseUnit),
        best_before_extension=st.integers(0, 1),
        medicine=flags,
    )
    for cls in (RegisterItem, ChangeItem)
) | st.builds(RetireItem, item=st.sampled_from(["rice", "beans"]))
places_and_readings = (
    st.builds(
        OpenLocation, location=places, name=st.just("x"), kind=st.sampled_from(LocationKind),
        minimum=st.sampled_from([None, 0]), maximum=st.sampled_from([None, -5, 50]),
    )
    | st.builds(CloseLocation, location=places, items=st.just(("rice",)))
    | st.builds(RecordTemperature, location=places, temperature=st.integers(-100, 100))
)  # fmt: skip
on_the_way = (
    st.builds(
        NoteDispatch, transfer=transfers, item=st.sampled_from(["rice", "beans"]), origin=st.just("main"),
        destination=places, goods=st.just(()), expected_by=st.sampled_from([None, NOW, NOW + timedelta(hours=5)]),
    )
    | st.builds(NoteReceipt, transfer=transfers, item=st.sampled_from(["rice", "beans"]))
    | st.builds(NoteOverdue, transfer=transfers)
)  # fmt: skip
quickly = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def send(world: World, command: Any, now: datetime, actor: str) -> World:
    """Send a command; when it is carried out, send it again where the domain can tell that it was."""
    try:
        event = world.decide(command, now, actor, "pharmacist")
    except Rejected:
        return world
    if event is None:
        return world
    world = world.after(event)
    if isinstance(command, REPEATABLE):
        with suppress(Rejected):
            assert world.decide(command, now, actor, "pharmacist") is None, "carried out twice"
    return world


def moment_of(world: World, now: datetime, late: int) -> datetime:
    """When something happened that is so late."""
    if late >= 0:
        return now - timedelta(minutes=late)
    moments = [e.effective_at for e in world.history.get(Ref("stock", "rice:main"), ()) if isinstance(e, Movement)]
    return moments[max(late, -len(moments))] if moments else now


def run(world: World, history: list[tuple[Any, int, int | None, str]]) -> World:
    now = NOW
    for commands, minutes, late, actor in history:
        now += timedelta(minutes=minutes)
        for command in commands if isinstance(commands, tuple) else (commands,):
            if isinstance(command, ReverseMovement | CorrectMovement):  # counted back from the last event
                last = world.state(Ref("stock", f"rice:{command.location}")).revision
                command = replace(command, movement=max(last + 1 - command.movement, 1))
            if late is not None:
                command = replace(command, occurred_at=moment_of(world, now, late))
                late = late // 2 if late >= 0 else late
            world = send(world, command, now, actor)
            actor = "kim" if actor == "sam" else "sam"
    for ref, state in world.states.items():
        assert world.folded_again(ref) == state, "folding again gives something else"
    return world


@quickly
@given(steps)
def test_the_figures_of_a_stock_are_those_of_its_events(history: list[tuple[Any, int, int | None, str]]) -> None:
    world = run(pantry.given(*BEGINNING, now=NOW).world, history)
    for place in ("main", "van", "cage"):
        ref = Ref("stock", f"rice:{place}")
        add_up(world.state(ref), world.history.get(ref, []))


def add_up(stock: Stock, events: list[Any]) -> None:
    """Fold a stock's events as the plainest consumer would, and compare."""
    entries: defaultdict[str, dict[tuple[datetime, int], int]] = defaultdict(dict)
    reserved: defaultdict[tuple[str, str], int] = defaultdict(int)
    floor: tuple[datetime, int] | None = None
    for revision, event in enumerate(events, start=1):
        if isinstance(event, StockReserved):
            for line in event.reserved:
                reserved[event.reservation, ref_key(line)] += line.quantity
        for line in getattr(event, "freed", ()):
            reserved[line.reservation, ref_key(line)] -= line.quantity
            assert line.why in Freeing
        if not isinstance(event, Movement):
            continue
        mends = isinstance(event, MovementReversed | MovementCorrected)
        where = (event.effective_at, event.movement if mends else revision)
        for move in event.moves:
            if event.absorbed_by is None:
                lot = entries[ref_key(move)]
                lot[where] = lot.get(where, 0) + move.change
                assert move.on_hand == sum(lot.values())
        assert event.on_hand == sum(sum(lot.values()) for lot in entries.values())
        if isinstance(event, CountApproved):
            floor = where
            for counted in event.counted:
                assert counted.quantity >= 0
        for lot in entries.values():
            running = 0
            for key in sorted(lot):
                running += lot[key]
                assert running >= 0 or (floor is not None and key < floor), (
                    "a figure since the last count is below zero"
                )
    now = {key: sum(lot.values()) for key, lot in entries.items()}
    assert {key: row.on_hand for key, row in stock.rows.items() if row.on_hand} == {k: v for k, v in now.items() if v}
    held = {(id, key): n for id, r in stock.reservations.items() for key, n in r.lots.items()}
    assert held == {key: n for key, n in reserved.items() if n}


@quickly
@given(st.lists(catalogue, max_size=12))
def test_the_catalogue_holds_over_any_history(commands: list[Any]) -> None:
    run(pantry.given().world, [(command, 1, None, "sam") for command in commands])


@quickly
@given(st.lists(places_and_readings, max_size=12))
def test_locations_hold_over_any_history(commands: list[Any]) -> None:
    run(pantry.given().world, [(command, 1, None, "sam") for command in commands])


@quickly
@given(st.lists(on_the_way, max_size=12))
def test_transfers_hold_over_any_history(commands: list[Any]) -> None:
    run(pantry.given().world, [(command, 60, None, "sam") for command in commands])
