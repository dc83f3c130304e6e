"""Whatever happened, the read models of distribution are those of the events, in whichever order streams are folded."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.distribution.contract import BoxHandedOut, HandOutReversed, VisitRecorded, VisitReversed
from services.projections.distribution.entitlements import Entitlements
from services.projections.distribution.recall_reach import RecallReachBoxes
from services.projections.distribution.served import VisitsServed
from services.projections.registry import DISTRIBUTION
from shared.event import Recorded
from shared.projection import NotLoaded, Projection, Rows
from tests.support.openings import Draft, Opening, histories
from tests.support.pantry import rows_of, table

often = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def interleaved(first: list[Recorded], second: list[Recorded], turns: list[bool]) -> list[Recorded]:
    """Both streams, each in its order, taking turns as told; what is left comes last."""
    one, other = list(first), list(second)
    found = []
    for turn in turns:
        source = one if turn else other
        if source:
            found.append(source.pop(0))
    return [*found, *one, *other]


def tables(projection: Projection, rows: Rows) -> dict[str, Any]:
    return {table.name: rows.all(table.name) for table in projection.tables}


@often
@given(histories, st.lists(st.booleans(), max_size=120))
def test_handlers_of_two_streams_commute(history: list[Draft], turns: list[bool]) -> None:
    opening = Opening().play(history)
    reach = RecallReachBoxes()
    one_after_another = tables(reach, rows_of(reach, opening.events))
    in_turns = interleaved(opening.pantry.events, opening.hall.events, turns)
    assert tables(reach, rows_of(reach, in_turns)) == one_after_another
    assert tables(reach, rows_of(reach, [*opening.hall.events, *opening.pantry.events])) == one_after_another


@often
@given(histories, st.data())
def test_the_rows_do_not_depend_on_how_the_aggregates_interleave(history: list[Draft], data: st.DataObject) -> None:
    """An event that was parked is folded later, after events of other aggregates that came behind it."""
    events = Opening().play(history).events
    late = data.draw(st.sampled_from(sorted({event.subject for event in events})))
    since = data.draw(st.integers(0, len(events)))
    waiting = [event for event in events if event.subject == late and event.sequence > since]
    delayed = [event for event in events if event not in waiting] + waiting
    for projection in DISTRIBUTION:
        assert tables(projection, rows_of(projection, delayed)) == tables(projection, rows_of(projection, events)), (
            projection.name
        )


@often
@given(histories)
def test_rows_that_are_loaded_one_event_at_a_time_are_those_of_a_rebuild(history: list[Draft]) -> None:
    """What a live read model loads because `touches` named it is all that it needs."""
    events = Opening().play(history).events
    for projection in DISTRIBUTION:
        kept: dict[str, dict[Any, Any]] = {table.name: {} for table in projection.tables}
        for event in events:
            if projection.events is not None and type(event.data) not in projection.events:
                continue
            rows = Rows(projection.tables)
            for name, keys in rows.missing(projection.touches(event)).items():
                rows.loaded(name, keys, {key: dict(kept[name][key]) for key in keys if key in kept[name]})
            try:
                projection.apply(event, rows)
            except NotLoaded as missing:
                raise AssertionError(f"{projection.name} did not name {missing}") from missing
            for shown, puts, gone in rows.changes():
                kept[shown.name].update(puts)
                for key in gone:
                    kept[shown.name].pop(key, None)
        assert kept == tables(projection, rows_of(projection, events)), projection.name


@often
@given(histories)
def test_who_was_served_is_what_a_count_of_the_events_says(history: list[Draft]) -> None:
    events = Opening().play(history).events
    people: Counter[str] = Counter()
    times: Counter[str] = Counter()
    for event in events:
        sign, data = 1, event.data
        if isinstance(data, VisitReversed):
            sign = -1
            data = next(
                e.data for e in events if isinstance(e.data, VisitRecorded) and e.data.visit == event.data.visit
            )
        if isinstance(data, HandOutReversed):
            sign = -1
            data = next(e.data for e in events if isinstance(e.data, BoxHandedOut) and e.data.box == event.data.box)
        if isinstance(data, VisitRecorded | BoxHandedOut):
            served = data.served if isinstance(data, VisitRecorded) else data.people
            lines = data.goods if isinstance(data, VisitRecorded) else data.packed
            times[data.household or "nobody"] += sign
            for band in ("child", "adult", "senior", "unknown"):
                people[band] += sign * getattr(served, band)
            for line in lines:
                people[line.item] += sign * line.quantity
    found: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    for row in table(VisitsServed(), events):
        seen[row["household"] or "nobody"] += 1
        for band in ("child", "adult", "senior", "unknown"):
            found[band] += row[band]
        found.update(row["goods"])
    assert +found == +people and +seen == +times


@often
@given(histories)
def test_an_entitlement_is_used_as_often_as_it_has_claims_that_count(history: list[Draft]) -> None:
    rows = rows_of(Entitlements(), Opening().play(history).events)
    counted = Counter(key[:3] for key, row in rows.all("claims").items() if row["ended_at"] is None)
    assert {key: row["used"] for key, row in rows.all("entitlements").items() if row["used"]} == dict(counted)
