"""Whatever happened, the rows say what the aggregates say."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.inventory.contract import stock_id
from services.projections.movements import Movements
from services.projections.registry import PROJECTIONS
from services.projections.reservations import Reservations
from services.projections.stock_on_hand import StockOnHand
from services.projections.transfers import Transfers
from tests.support.histories import LOCATIONS, Draft, histories, play
from tests.support.pantry import rows_of, table

History = list[Draft]
often = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@often
@given(histories)
def test_stock_on_hand_is_the_state_of_the_stocks(history: History) -> None:
    pantry = play(history)
    rows = rows_of(StockOnHand(), pantry.events).all("stock_on_hand")
    for location in LOCATIONS:
        stock = pantry.state("stock", stock_id("rice", location))
        expected = {
            key: (row.on_hand, row.reserved, sorted(row.holds))
            for key, row in stock.rows.items()
            if row.on_hand or row.reserved or row.holds
        }
        found = {
            key: (row["on_hand"], row["reserved"], sorted(row["holds"]))
            for (item, where, key), row in rows.items()
            if (item, where) == ("rice", location)
        }
        assert found == expected
        for row in rows.values():
            assert row["available"] == row["on_hand"] - row["reserved"] - row["held"] >= 0


@often
@given(histories)
def test_open_reservations_are_those_of_the_stocks(history: History) -> None:
    pantry = play(history)
    rows = rows_of(Reservations(), pantry.events)
    for location in LOCATIONS:
        stock = pantry.state("stock", stock_id("rice", location))
        expected = {
            (id, key): quantity
            for id, reservation in stock.reservations.items()
            for key, quantity in reservation.lots.items()
        }
        found = {
            (id, key): row["remaining"]
            for (_, where, id, key), row in rows.all("reservation_lots").items()
            if where == location
        }
        assert found == expected
        still = {
            id: row["remaining"]
            for (_, where, id), row in rows.all("reservations").items()
            if where == location and row["ended"] is None
        }
        assert still == {id: sum(r.lots.values()) for id, r in stock.reservations.items() if r.lots}


@often
@given(histories)
def test_changes_by_lot_add_up_to_what_is_on_hand_but_for_what_a_count_absorbed(history: History) -> None:
    pantry = play(history)
    rows = rows_of(Movements(), pantry.events)
    sums: dict[tuple[str, str], int] = {}
    for (_, location, revision, key), lot in rows.all("movement_lots").items():
        if rows.all("movements")["rice", location, revision]["absorbed_by"] is None:
            sums[location, key] = sums.get((location, key), 0) + lot["change"]
    on_hand = {
        (row["location"], row["lot_key"]): row["on_hand"]
        for row in table(StockOnHand(), pantry.events)
        if row["on_hand"]
    }
    assert {place: figure for place, figure in sums.items() if figure} == on_hand


@often
@given(histories, st.data())
def test_the_rows_do_not_depend_on_how_the_aggregates_interleave(history: History, data: st.DataObject) -> None:
    """An event that was parked is folded later, after events of other aggregates that came behind it."""
    events = play(history).events
    late = data.draw(st.sampled_from(sorted({event.subject for event in events})))
    since = data.draw(st.integers(0, len(events)))
    waiting = [event for event in events if event.subject == late and event.sequence > since]
    delayed = [event for event in events if event not in waiting] + waiting
    for projection in PROJECTIONS.values():
        rows, otherwise = rows_of(projection, events), rows_of(projection, delayed)
        for shown in projection.tables:
            assert otherwise.all(shown.name) == rows.all(shown.name), (projection.name, shown.name)


@often
@given(histories)
def test_what_is_on_the_way_is_what_was_dispatched_and_not_received(history: History) -> None:
    pantry = play(history)
    rows = rows_of(Transfers(), pantry.events).all("transfers")
    for (transfer, _, origin), row in rows.items():
        destination = pantry.state("stock", stock_id("rice", row["destination"]))
        sent = pantry.state("stock", stock_id("rice", origin)).dispatched[transfer]
        assert row["quantity"] == sum(line.quantity for line in sent.goods)
        assert (row["received_at"] is not None) == (transfer in destination.received)
