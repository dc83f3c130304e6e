"""Whatever happened, the read models of the clinic are those of the events, in whichever order streams are folded."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.clinic.contract import (
    AdministrationReversed,
    ImmunizationGiven,
    MedicationAdministered,
    MedicationDispensed,
)
from services.projections.clinic.given import ClinicGiven
from services.projections.registry import CLINIC
from shared.projection import NotLoaded, Rows
from shared.sealing import is_sealed
from tests.support.evenings import Draft, Evening, histories
from tests.support.pantry import rows_of, table
from tests.unit.projections.test_distribution_properties import interleaved, tables

often = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@often
@given(histories, st.lists(st.booleans(), max_size=120))
def test_handlers_of_two_streams_commute(history: list[Draft], turns: list[bool]) -> None:
    evening = Evening().play(history)
    reach = ClinicGiven()
    one_after_another = tables(reach, rows_of(reach, evening.events))
    in_turns = interleaved(evening.pantry.events, evening.surgery.events, turns)
    assert tables(reach, rows_of(reach, in_turns)) == one_after_another
    assert tables(reach, rows_of(reach, [*evening.surgery.events, *evening.pantry.events])) == one_after_another


@often
@given(histories, st.data())
def test_the_rows_do_not_depend_on_how_the_aggregates_interleave(history: list[Draft], data: st.DataObject) -> None:
    """An event that was parked is folded later, after events of other aggregates that came behind it."""
    events = Evening().play(history).events
    late = data.draw(st.sampled_from(sorted({event.subject for event in events})))
    since = data.draw(st.integers(0, len(events)))
    waiting = [event for event in events if event.subject == late and event.sequence > since]
    delayed = [event for event in events if event not in waiting] + waiting
    for projection in CLINIC:
        assert tables(projection, rows_of(projection, delayed)) == tables(projection, rows_of(projection, events)), (
            projection.name
        )


@often
@given(histories)
def test_rows_that_are_loaded_one_event_at_a_time_are_those_of_a_rebuild(history: list[Draft]) -> None:
    """What a live read model loads because `touches` named it is all that it needs."""
    events = Evening().play(history).events
    for projection in CLINIC:
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
def test_what_was_given_is_what_a_count_of_the_events_says(history: list[Draft]) -> None:
    events = Evening().play(history).events
    undone = {e.data.administration for e in events if isinstance(e.data, AdministrationReversed)}
    used: Counter[str] = Counter()
    for event in events:
        data = event.data
        if isinstance(data, MedicationDispensed) or (
            isinstance(data, MedicationAdministered | ImmunizationGiven) and data.administration not in undone
        ):
            used[data.item] += data.quantity
    found: Counter[str] = Counter()
    for row in table(ClinicGiven(), events, "clinic_given"):
        if row["state"] == "given":
            found[row["item"]] += row["quantity"]
    assert found == used


@often
@given(histories)
def test_what_is_said_of_a_patient_stays_sealed(history: list[Draft]) -> None:
    """None of the words that were typed of a patient stands in any row."""
    events = Evening().play(history).events
    for projection in CLINIC:
        for name, rows in tables(projection, rows_of(projection, events)).items():
            said = repr({key: _without_sealed(row) for key, row in rows.items()})
            for word in (
                "penicillin",
                "cough",
                "fever",
                "ill'",
                "harmless",
                "never came",
                "seven days",
                "Ada",
                "rightly",
            ):
                assert word not in said, (name, word)


def _without_sealed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_sealed(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_without_sealed(one) for one in value]
    return "" if isinstance(value, str) and is_sealed(value) else value
