"""Sessions come out of the iCalendar file as they went in, under the same UID every time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

from icalendar import Calendar

from services.exports.calendar import as_calendar
from services.queries.distribution.printing import Opening

NOW = datetime(2026, 11, 20, 9, 30, 0, 250_000, tzinfo=UTC)
SATURDAY = Opening(
    session="sat-12", name="Samstag; Kisten, \\ für alle\u2028" + "ä" * 90, programme="box", site="hall",
    starts_at=datetime(2026, 11, 21, 10, tzinfo=timezone(timedelta(hours=1))),
    ends_at=datetime(2026, 11, 21, 13, tzinfo=UTC), capacity=40, slot_minutes=15,
)  # fmt: skip


def test_what_is_parsed_back_is_what_went_in() -> None:
    made = as_calendar([SATURDAY, replace(SATURDAY, session="sat-13", capacity=None, slot_minutes=None)], "local", NOW)
    calendar = Calendar.from_ical(made)
    assert (calendar["version"], str(calendar["prodid"]).startswith("-//Commons Ledger//")) == ("2.0", True)
    first, second = calendar.walk("VEVENT")
    assert not first.errors
    assert str(first["summary"]) == SATURDAY.name
    assert (first["dtstart"].dt, first["dtend"].dt) == (SATURDAY.starts_at, SATURDAY.ends_at)
    assert (str(first["location"]), first["categories"].to_ical()) == ("hall", b"box")
    assert "Up to 40 households" in str(first["description"])
    assert "description" not in second and first["uid"] != second["uid"]


def test_it_is_of_the_form_that_rfc_5545_asks_for() -> None:
    made = as_calendar([SATURDAY], "local", NOW)
    assert made.endswith(b"\r\n") and b"\n" not in made.replace(b"\r\n", b"")
    assert all(len(line) <= 75 for line in made.split(b"\r\n"))
    lines = made.decode().split("\r\n")
    assert {"DTSTART:20261121T090000Z", "DTEND:20261121T130000Z", "DTSTAMP:20261120T093000Z"} <= set(lines)


def test_a_session_has_the_same_uid_in_every_file_of_a_chapter_and_another_elsewhere() -> None:
    def uid(chapter: str, opening: Opening = SATURDAY) -> str:
        return str(Calendar.from_ical(as_calendar([opening], chapter, NOW)).walk("VEVENT")[0]["uid"])

    assert uid("local") == uid("local", replace(SATURDAY, name="Moved", starts_at=NOW)) != uid("leeds")


def test_no_sessions_are_a_calendar_all_the_same() -> None:
    assert Calendar.from_ical(as_calendar([], "local", NOW)).walk("VEVENT") == []
