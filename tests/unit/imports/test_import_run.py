"""An import sends what fits, counts what the ledger answers, and may be run again after anything."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import pytest

from services.imports import run as driver
from services.imports.items import read_items
from services.imports.plan import ForAPerson, Planned, Read, Refused, command_id
from services.imports.report import KEPT, Report
from services.imports.run import run
from services.inventory.contract import inventory
from shared.errors import Busy, Halted, Invalid, OutcomeUnknown, Rejected


class Code(StrEnum):
    ITEM_RETIRED = "ITEM_RETIRED"


class Ledger:
    """Remembers command ids as the ledger does; `trouble` may raise before or after a command is kept."""

    def __init__(self, trouble: Callable[[str, int], None] = lambda item, attempt: None) -> None:
        self.kept: dict[str, Mapping[str, Any]] = {}
        self.order: list[str] = []
        self.attempts: dict[str, int] = {}
        self.flying = self.most = 0
        self.trouble = trouble

    async def send(self, name: str, data: Mapping[str, Any], id: str) -> Literal["accepted", "unchanged"]:
        inventory.parse(name, data)
        self.flying += 1
        self.most = max(self.most, self.flying)
        try:
            await asyncio.sleep(0)
            self.attempts[id] = self.attempts.get(id, 0) + 1
            self.trouble(data["item"], self.attempts[id])
            if id in self.kept:
                return "unchanged"
            self.kept[id] = data
            self.order.append(data["item"])
            return "accepted"
        finally:
            self.flying -= 1


def planned(number: int, item: str | None = None, name: str = "Rice") -> Planned:
    data = {"item": item or f"item-{number}", "name": name, "unit": "g"}
    return Planned(number, "RegisterItem", data, command_id("item", number), f"item {number}")


async def imported(read: list[Read], ledger: Ledger, **options: Any) -> Report:
    return await run(Path("some.csv"), lambda: iter(read), inventory, ledger.send, **options)


async def test_everything_is_sent_once_and_counted() -> None:
    ledger, seen = Ledger(), []
    read: list[Read] = [planned(n) for n in range(1, 501)]
    read += [Refused(501, "is torn"), ForAPerson(502, "x", "unsure")]
    report = await imported(read, ledger, progress=lambda done, total: seen.append((done, total)))
    assert (report.new, report.unchanged, report.refused, report.for_a_person) == (500, 0, 1, 1)
    assert seen[-1] == (500, 500)
    assert 1 < ledger.most <= 64
    again = await imported(read, ledger)
    assert (again.new, again.unchanged) == (0, 500)
    assert not again.ok


async def test_a_dry_run_checks_and_sends_nothing() -> None:
    ledger = Ledger()
    report = await imported([planned(1), planned(2, name="")], ledger, dry_run=True)
    assert (report.valid, report.refused, ledger.kept) == (1, 1, {})
    assert "name:" in report.refusals[0].reason


async def test_what_does_not_fit_the_contract_is_refused_before_it_is_sent() -> None:
    ledger = Ledger()
    report = await imported([planned(1, item="a.b"), planned(2)], ledger)
    assert (report.new, report.refused, report.refusals[0].line) == (1, 1, 1)


async def test_a_refusal_of_the_ledger_is_a_refused_line_and_the_rest_goes_on() -> None:
    def refuse(item: str, attempt: int) -> None:
        if item == "item-3":
            raise Rejected(Code.ITEM_RETIRED, "item-3 is retired; change it to bring it back.")

    report = await imported([planned(n) for n in range(1, 6)], Ledger(refuse))
    assert (report.new, report.refused) == (4, 1)
    assert report.refusals[0] == Refused(3, "ITEM_RETIRED: item-3 is retired; change it to bring it back.", "item 3")


async def test_a_busy_or_silent_ledger_is_asked_again_under_the_same_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "_PAUSE", 0)

    def busy(item: str, attempt: int) -> None:
        if attempt < 3:
            raise Busy("full") if attempt == 1 else OutcomeUnknown("no answer")

    ledger = Ledger(busy)
    report = await imported([planned(n) for n in range(1, 6)], ledger)
    assert (report.new, report.refused, report.stopped) == (5, 0, None)


async def test_an_import_that_stops_says_where_and_goes_on_when_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "_PAUSE", 0)
    down = True

    def fail(item: str, attempt: int) -> None:
        if down and int(item.removeprefix("item-")) >= 100:
            raise Halted("the stream ends too early; an operator has to look.")

    ledger, read = Ledger(fail), [planned(n) for n in range(1, 1001)]
    report = await imported(list(read), ledger, concurrency=4)
    assert report.stopped is not None
    assert "the stream ends too early" in report.stopped
    assert 0 < len(ledger.kept) < 100
    assert "Import the same file again" in report.as_text()
    down = False
    report = await imported(list(read), ledger)
    assert report.new + report.unchanged == 1000
    assert len(ledger.kept) == 1000


async def test_commands_of_one_item_keep_the_order_of_the_file() -> None:
    ledger = Ledger()
    read: list[Read] = [planned(n, item=f"item-{n % 7}") for n in range(1, 200)]
    await imported(read, ledger)
    sent = [command_id("item", n) for n in range(1, 200)]
    for item in range(7):
        mine = [id for id in ledger.kept if ledger.kept[id]["item"] == f"item-{item}"]
        assert mine == [id for n, id in enumerate(sent, 1) if n % 7 == item]


async def test_a_file_that_breaks_half_way_sends_nothing() -> None:
    def broken() -> Iterator[Read]:
        yield planned(1)
        raise Invalid("torn in the middle")

    ledger = Ledger()
    with pytest.raises(Invalid):
        await run(Path("some.csv"), broken, inventory, ledger.send)
    assert not ledger.kept


async def test_trouble_beside_the_ledger_comes_out_as_it_is() -> None:
    def cut(item: str, attempt: int) -> None:
        raise ConnectionResetError("the cable is out")

    with pytest.raises(ConnectionResetError):
        await imported([planned(n) for n in range(1, 300)], Ledger(cut))


async def test_a_file_that_changes_under_way_is_refused_in_a_sentence() -> None:
    readings = iter([[planned(1)], None])

    def read() -> Iterator[Read]:
        given = next(readings)
        if given is None:
            raise Invalid("some.csv, line 1: no longer what it was.")
        yield from given

    with pytest.raises(Invalid, match="no longer what it was"):
        await run(Path("some.csv"), read, inventory, Ledger().send)


async def test_a_hundred_thousand_lines_go_through(tmp_path: Path) -> None:
    file = tmp_path / "items.csv"
    with file.open("w") as out:
        out.write("item,name,unit\n")
        out.writelines(f"item-{n},Rice {n},g\n" for n in range(100_000))
    report = await run(file, lambda: read_items(file), inventory, Ledger().send, dry_run=True)
    assert (report.valid, report.refused) == (100_000, 0)


def test_the_report_is_a_table_and_a_json_document() -> None:
    report = Report("some.csv", new=2, unchanged=1)
    report.refuse(Refused(12, "the name is empty", "item x"))
    report.refuse(Refused(3, "is torn"))
    report.ask(ForAPerson(4, "F-7", "no barcode could be read", "Tea"))
    report.sort()
    assert report.as_text().splitlines() == [
        "some.csv: 2 new, 1 unchanged, 2 refused, 1 for a person",
        "",
        "Refused",
        "  line  what    why",
        "  3             is torn",
        "  12    item x  the name is empty",
        "",
        "For a person",
        "  line  what  why                       text",
        "  4     F-7   no barcode could be read  Tea",
    ]
    assert json.loads(json.dumps(report.as_json()))["refusals"][0]["reason"] == "is torn"


def test_a_report_fits_into_a_window_of_80_columns() -> None:
    report = Report("some.csv", new=2)
    report.notes.append("A sentence about the file as a whole that takes more room than a window has, by a good deal.")
    report.refuse(Refused(12, "a household has at most 30 people, and the columns of its ages say 31 of them", "H-1"))
    report.ask(ForAPerson(4, "household H-2", "an allergen is no word of the vocabulary, and warns whoever avoids any",
                          "may contain traces of sesame, lupin, and of others that are on the label"))  # fmt: skip
    lines = report.as_text().splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[5:8] == [
        "  line  what  why",
        "  12    H-1   a household has at most 30 people, and the columns of its ages say",
        "              31 of them",
    ]
    told = " ".join(" ".join(lines).split())
    assert "an allergen is no word" in told and "on the label" in told


def test_the_report_counts_all_and_keeps_a_bounded_number() -> None:
    report = Report("some.csv")
    for number in range(KEPT + 5):
        report.refuse(Refused(number, "no"))
    assert (report.refused, len(report.refusals)) == (KEPT + 5, KEPT)
    assert report.as_text().splitlines()[-1] == "… and 5 more"
