"""How answers, events and tables look, and what months and days mean."""

from __future__ import annotations

import importlib
import pkgutil
import re
from datetime import UTC, date, datetime
from typing import Any

import pytest
from rich.text import Text

from services import queries
from services.commands.answers import Form, text_of, write
from services.commands.door import Usage, report
from services.commands.events import event_line, event_name, facts, print_event
from services.commands.period import period
from services.commands.render import write_csv
from services.commands.status import _figures
from services.commands.tables import CARDS, Head, print_grid, print_table
from services.commands.waiting import position
from services.queries import Column, QueryResult
from services.queries.answer import Question
from shared.errors import Invalid


def _questions() -> list[Question]:
    """Every question that is asked of the read models."""
    found: dict[int, Question] = {}
    for module in pkgutil.walk_packages(queries.__path__, "services.queries."):
        for value in vars(importlib.import_module(module.name)).values():
            for one in value.values() if isinstance(value, dict) else [value]:
                if isinstance(one, Question):
                    found[id(one)] = one
    return list(found.values())


QUESTIONS = _questions()


def answer(**more: Any) -> QueryResult:
    columns = (Column("item", "Item"), Column("weight", "Weight", "weight"), Column("note", "Note"))
    rows = more.pop("rows", [("rice", 12_000, None), ("salt", -5, None)])
    return QueryResult("Weights", columns, rows, ("INVENTORY", 7), **more)


def test_a_table_leaves_out_empty_columns_and_says_what_it_stands_for(capsys: pytest.CaptureFixture[str]) -> None:
    write(answer(), Form.TABLE)
    out = capsys.readouterr().out
    assert "12.0 kg" in out
    assert "-5 g" in out
    assert "Note" not in out
    assert "2 rows as of INVENTORY 7." in out


def test_what_is_sealed_is_shown_to_people_as_that(capsys: pytest.CaptureFixture[str]) -> None:
    sealed = f"sealed:7:donor/d-1:name:{'A' * 80}"
    write(answer(rows=[("rice", 1, sealed)]), Form.TABLE)
    out = capsys.readouterr().out
    assert "(sealed)" in out and "donor/d-1" not in out
    write(answer(rows=[("rice", 1, sealed)]), Form.JSON)
    assert sealed in capsys.readouterr().out


def test_what_is_missing_from_the_figures_is_said_in_every_form(capsys: pytest.CaptureFixture[str]) -> None:
    lacking = answer(incomplete=True, reason="1 event was set aside.")
    for form in Form:
        write(lacking, form)
        told = capsys.readouterr()
        assert "1 event was set aside." in told.out + told.err
        if form is Form.CSV:
            assert told.out.splitlines()[0] == "item,weight,note"
            assert told.err


def test_csv_gives_figures_as_they_are_and_runs_no_formula(capsys: pytest.CaptureFixture[str]) -> None:
    write_csv(["a", "b", "c", "d"], [["=1+1", -5, None, ["x"]], ["plain", 12_000, True, date(2026, 11, 20)]])
    assert capsys.readouterr().out.split("\r\n") == [
        "a,b,c,d",
        '\'=1+1,-5,,"[""x""]"',
        "plain,12000,true,2026-11-20",
        "",
    ]


HEADS = [Head("Item"), Head("Where it came from", rank=3), Head("On hand", right=True), Head("To do", rank=1)]


def row(number: int) -> list[Text]:
    return [Text(f"rice-{number}"), Text("a donor"), Text("1,234,567"), Text("Count it.")]


def test_the_columns_that_are_needed_least_go_first_where_there_is_no_room_and_are_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "38")
    print_grid(None, HEADS, [row(number) for number in range(CARDS + 1)])
    out = capsys.readouterr().out
    assert "1,234,567" in out and "Count it." in out and "rice-3" in out
    assert "a donor" not in out
    assert "No room here for: Where it came from." in " ".join(out.split())
    monkeypatch.setenv("COLUMNS", "20")
    print_grid(None, HEADS, [row(number) for number in range(CARDS + 1)])
    out = capsys.readouterr().out
    assert "Count it." in out and "1,234,567" not in out


def test_a_few_rows_for_which_there_is_no_room_are_written_as_cards_with_all_that_is_known(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    print_grid("Stock", HEADS, [row(1), row(2)])
    out = capsys.readouterr().out
    assert "No room" not in out
    lines = [" ".join(line.split()) for line in out.splitlines() if line.strip()]
    assert lines == [
        "Stock",
        "Item rice-1", "Where it came from a donor", "On hand 1,234,567", "To do Count it.",
        "Item rice-2", "Where it came from a donor", "On hand 1,234,567", "To do Count it.",
    ]  # fmt: skip


def test_a_moment_may_be_broken_after_its_day_and_never_within(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "24")
    columns = (Column("at", "When", "moment"), Column("item", "Item"))
    rows = [(datetime(2026, 11, 20, 9, 30, tzinfo=UTC), f"rice-{number}") for number in range(CARDS + 1)]
    write(QueryResult("Moments", columns, rows, ("INVENTORY", 7)), Form.TABLE)
    out = capsys.readouterr().out
    assert "2026-11-20" in out and "09:30Z" in out and "rice-3" in out


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.title)
def test_what_a_screen_is_looked_at_for_is_left_in_eighty_columns(
    question: Question, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    values: dict[str, Any] = {
        "text": "abcd-1", "sealed": "Selin Aydemir", "flag": True, "date": date(2026, 11, 20),
        "moment": datetime(2026, 11, 20, 9, 30, tzinfo=UTC),
    }  # fmt: skip
    rows = [tuple(values.get(column.kind, 12) for column in question.columns) for _ in range(CARDS + 1)]
    titles = [column.title for column in question.columns]
    assert len(set(titles)) == len(titles)
    write(QueryResult("x", question.columns, rows, (question.stream, 1)), Form.TABLE)
    left_out = re.search(r"No room here for: (.*)\. A wider", " ".join(capsys.readouterr().out.split()))
    names = [] if left_out is None else left_out[1].split(", ")
    needed = {column.title for column in question.columns if column.rank == 1}
    assert not needed & set(names)


def test_an_empty_table_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["a"], [], empty="No event is parked.")
    assert capsys.readouterr().out == "No event is parked.\n"


def test_temperatures_and_moments_are_written_for_people() -> None:
    assert text_of(Column("t", "T", "temperature"), 45) == "4.5 °C"
    assert text_of(Column("t", "T", "moment"), datetime(2026, 11, 20, 9, 30, tzinfo=UTC)) == "2026-11-20 09:30Z"
    assert text_of(Column("t", "T", "quantity"), 1234) == "1,234"
    assert text_of(Column("t", "T", "flag"), True) == "yes"


ISSUED = {
    "type": "commons.inventory.stock-issued.v1", "subject": "stock/rice:main", "time": "2026-11-20T09:30:00.123456Z",
    "authid": "amina",
    "data": {
        "item": "rice", "location": "main", "unit": "each", "on_hand": 2, "purpose": "household", "note": None,
        "moves": [
            {"lot": "A", "date": "2027-01-31", "change": -12, "unrecorded": 0},
            {"lot": None, "date": None, "change": 0, "unrecorded": 3},
        ],
        "breaches": ["beyond_ledger"], "lines": [{"quantity": 15}],
    },
}  # fmt: skip


def test_a_movement_on_one_line_says_how_much_of_what_and_what_it_broke() -> None:
    line = event_line(42, ISSUED).plain
    for word in (
        "42",
        "StockIssued",
        "rice:main",
        "-12 each → 2",
        "A (2027-01-31) -12",
        "3 beyond the ledger",
        "amina",
    ):
        assert word in line
    assert "unknown lot" not in line
    assert [text for text, bad in facts(ISSUED["data"], "stock/rice:main") if bad] == [  # type: ignore[arg-type]
        "3 beyond the ledger", "breaches beyond_ledger",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "event", [{}, {"data": None}, {"data": []}, {"type": "x", "data": {"moves": []}}, {"subject": 7}]
)
def test_no_event_is_too_odd_to_be_shown(event: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert event_line(1, event).plain
    print_event(event)
    assert "Traceback" not in capsys.readouterr().out


def test_an_event_s_name_is_its_class_s() -> None:
    assert event_name("commons.inventory.stock-received.v1") == "StockReceived"
    assert event_name("odd") == "Odd"


# -- spans of time ------------------------------------------------------------------------------------------------


def test_a_month_is_from_its_first_day_to_the_next_one_s() -> None:
    found = period("2026-12", None)
    assert (found.since, found.until) == (datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
    assert found.wide_since is not None
    assert found.wide_since < found.since


def test_a_month_s_rows_are_those_that_bear_it() -> None:
    columns = (Column("month", "Month", "date"), Column("weight", "Weight", "weight"))
    rows = [(date(2026, 10, 1), 1), (date(2026, 11, 1), 2), (date(2026, 12, 1), 4)]
    found = period("2026-11", None).only(QueryResult("x", columns, rows, ("INVENTORY", 1)))
    assert found.rows == [(date(2026, 11, 1), 2)]
    assert (
        period("2026-09", None).only(QueryResult("x", columns, rows, ("INVENTORY", 1))).message == "Nothing in 2026-09."
    )


def test_the_last_day_belongs_to_the_span() -> None:
    found = period(None, None, "2026-11-01", "2026-11-02")
    assert (found.since, found.until) == (datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 3, tzinfo=UTC))
    assert period(None, None) == period(None, None, None, None)


@pytest.mark.parametrize(
    ("month", "days", "since", "until"),
    [
        ("2026-13", None, None, None), ("26-01", None, None, None), ("0000-01", None, None, None),
        ("9999-12", None, None, None), ("2026-11", 3, None, None), (None, 3, "2026-11-01", None),
        (None, None, "yesterday", None), (None, None, "2026-02-30", None), (None, None, "2026-11-02", "2026-11-01"),
        (None, None, "0001-01-01", None), (None, None, None, "9999-12-31"),
    ],
)  # fmt: skip
def test_what_is_no_span_is_refused(month: str | None, days: int | None, since: str | None, until: str | None) -> None:
    with pytest.raises(Usage):
        period(month, days, since, until)


def test_a_position_is_a_sequence_with_or_without_its_stream() -> None:
    assert position("17") == position("INVENTORY:17") == position("inventory:17") == ("INVENTORY", 17)
    assert position(None) is None
    for text in ("", "x", "-1", "1.5", ":1", "A:", "9" * 16, "17 18"):
        with pytest.raises(Usage):
            position(text)


def test_nothing_that_somebody_typed_moves_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    evil = "a\x1b[2J\rb\x9b1m\u202ec"
    event = {
        "type": "commons.inventory.x.v1",
        "subject": f"item/{evil}",
        "authid": evil,
        "data": {"note": evil, "l": [evil]},
    }
    print_event(event)
    print_table(["a"], [[evil]])
    write(answer(rows=[(evil, 1, [evil])]), Form.TABLE)
    report(Invalid(f"{evil} is refused.\nSecond line."), as_json=False)
    told = capsys.readouterr()
    for text in (told.out, told.err, event_line(1, event).plain):
        assert text
        assert not set("\x1b\r\x9b\u202e") & set(text)
    assert "\nSecond line." in told.err


def test_a_service_tells_what_it_turned_away_if_anything() -> None:
    health = {"acknowledged": 1200, "waiting": 0, "conflicts": 0, "turned_away": {"busy": 0, "limited": 0}}
    assert _figures(health) == "acknowledged 1,200, waiting 0, conflicts 0"
    health["turned_away"] = {"busy": 0, "limited": 3100}
    assert _figures(health) == "acknowledged 1,200, waiting 0, conflicts 0, turned away as limited 3,100"
