"""Distribution's files on a running ledger: households in, labels and a calendar out."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import pytest
from icalendar import Calendar

from services.demo import samples
from services.distribution.contract import distribution
from tests.integration.commands.conftest import Commons

SAMPLES = Path(samples.__file__).parent / "samples"


@pytest.mark.parametrize(("file", "households"), [("households.csv", 8), ("people.csv", 4)])
def test_households_come_in_once_whatever_the_layout(commons: Commons, file: str, households: int) -> None:
    def imported(*options: str) -> tuple[int, int, int]:
        done = commons("import", "households", str(SAMPLES / file), "--on", "2026-01-15", "--json", *options)
        assert (done.code, done.json["refused"]) == (0, 0), done
        return done.json["valid"], done.json["new"], done.json["unchanged"]

    assert imported("--dry-run") == (households, 0, 0)
    assert imported() == (0, households, 0)
    assert imported() == (0, 0, households)


def test_a_household_with_other_facts_is_refused_with_its_line_and_the_others_stay(
    commons: Commons, tmp_path: Path
) -> None:
    file = tmp_path / "more.csv"
    file.write_text("household,size,name\nx-1,2,Ana\nx-2,400,Bo\n")
    assert commons("import", "households", str(file), "--json").code == 1
    file.write_text("household,size,name\nx-1,3,Ana\nx-2,4,Bo\n")
    done = commons("import", "households", str(file), "--json")
    assert (done.code, done.json["new"], done.json["refused"]) == (1, 1, 1)
    (refused,) = done.json["refusals"]
    assert (refused["line"], refused["what"]) == (2, "household x-1")
    assert refused["reason"] == "is registered with other facts (size); change it with AddMember or RemoveMember"
    assert done.json["other_facts"] == 1
    assert "COMMAND_ID_REUSED" not in done.out and "Ana" not in done.out
    file.write_text("household,size,name\nx-1,2,Ana Ruiz\n")
    done = commons("import", "households", str(file))
    said = " ".join(done.out.split())  # the report is of eighty columns
    assert "1 refused (1 registered with other facts)" in said and "change it with ChangeHousehold" in said


def sent(commons: Commons, name: str, *fields: str) -> None:
    done = commons("send", "distribution", name, *(part for field in fields for part in ("--set", field)), "--json")
    assert done.code == 0, done


def wait(commons: Commons, query: str) -> None:
    """Until a read model answers with a row."""

    async def there() -> None:
        connection = await asyncpg.connect(commons.described["database_url"])
        try:
            async with asyncio.timeout(20):
                while await connection.fetchrow(query) is None:
                    await asyncio.sleep(0.05)
        finally:
            await connection.close()

    asyncio.run(there())


@pytest.fixture(scope="module")
def saturday(commons: Commons) -> Commons:
    """A session, eleven hours east of UTC, and a household with a card."""
    sent(commons, "OpenProgramme", "programme=box", "name=Weekly box", "kind=box", "utc_offset=660")
    sent(
        commons, "ScheduleSession", "session=sat-12", "programme=box", "site=hall", "name=Saturday boxes",
        "starts_at=2026-11-20T22:00:00Z", "ends_at=2026-11-21T02:00:00Z", "capacity=40",
    )  # fmt: skip
    sent(commons, "RegisterHousehold", "household=y-1", "card=Y1K2", "name=Ottoline Fairweather", "size=2")
    wait(commons, "SELECT 1 FROM read.sessions, read.households WHERE session = 'sat-12' AND household = 'y-1'")
    return commons


def test_the_card_of_a_household_that_is_registered_is_listed_for_a_person(saturday: Commons, tmp_path: Path) -> None:
    file = tmp_path / "cards.csv"
    file.write_text("household,size,card\ny-2,1,Y1K2\n")
    done = saturday("import", "households", str(file), "--dry-run", "--json")
    assert [(one["what"], one["fragment"]) for one in done.json["questions"]] == [("household y-2", "Y1K2")]
    assert "household y-1" in done.json["questions"][0]["reason"]


def test_sessions_go_out_as_a_calendar(saturday: Commons, tmp_path: Path) -> None:
    done = saturday("export", "sessions", "--output", str(tmp_path / "s.ics"), "--json")
    assert (done.code, done.json["sessions"]) == (0, 1)
    (event,) = Calendar.from_ical((tmp_path / "s.ics").read_bytes()).walk("VEVENT")
    assert (str(event["summary"]), event["dtstart"].dt.isoformat()) == ("Saturday boxes", "2026-11-20T22:00:00+00:00")
    assert str(event["uid"]) in saturday("export", "sessions", "--from", "2026-11-21").out.replace("\r\n ", "")
    assert "VEVENT" not in saturday("export", "sessions", "--from", "2026-11-22").out


def test_cards_are_printed_without_a_name(saturday: Commons, tmp_path: Path) -> None:
    out = tmp_path / "cards.svg"
    done = saturday("print", "labels", "--cards", "--output", str(out), "--json")
    assert done.code == 0 and "Y1K2" in done.json["labels"]
    assert ">Y1K2<" in out.read_text() and "Fairweather" not in out.read_text()


def test_new_box_codes_are_all_different_and_fit_a_box(saturday: Commons, tmp_path: Path) -> None:
    done = saturday("print", "labels", "--new", "50", "--output", str(tmp_path / "new.pdf"), "--json")
    assert len(set(done.json["labels"])) == 50
    assert (tmp_path / "new.pdf").read_bytes().startswith(b"%PDF")
    pack = {"box": done.json["labels"][0], "order": "o-1"}
    assert distribution.parse("PackBox", pack).box == pack["box"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "one at a time"),
        (("--cards", "--new", "3"), 2, "one at a time"),
        (("--boxes", "a b"), 2, "A box code has"),
        (("--new", "3", "--sheet", "a5"), 2, "--sheet is one of"),
        (("--new", "3", "--skip", "24"), 2, "leaves no place"),
        (("--new", "3", "--output", "labels.png"), 2, "ends in .pdf or .svg"),
        (("--session", "nothing"), 1, "There is no session 'nothing'."),
    ],
)
def test_what_cannot_be_printed_is_refused(
    saturday: Commons, arguments: tuple[str, ...], code: int, message: str
) -> None:
    done = saturday("print", "labels", *arguments)
    assert (done.code, message in " ".join(done.err.split())) == (code, True), done
