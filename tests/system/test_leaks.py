"""After the demo's week no personal word of it stands in any byte that was stored, while what is in clear is found."""

from __future__ import annotations

import asyncio
import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli import app
from services.demo import table, week
from services.demo.fund import MEMBERS
from services.demo.stage import Stage
from shared import erasure
from shared.connection import connect
from shared.standings import standings
from tests.support.leaks import leaks

SAMPLES = Path(week.__file__).parent / "samples"
CLEAR = "Marguerite Quillwort Hall"
"""A name in a field that is not personal: it is found, or the search would find nothing at all."""


def _rows(name: str, delimiter: str = ",") -> list[dict[str, str]]:
    with (SAMPLES / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def _personal() -> list[str]:
    """What is personal of donors, households and parties; of a household's members also the names in parts."""
    donors = [row[name] for row in _rows("donors.csv") for name in ("name", "contact", "address", "note")]
    words = [row[name] for row in _rows("households.csv") for name in ("Name", "Phone", "Eligibility")]
    people = _rows("people.csv", ";")
    words += [row["Address"] for row in people] + [f"{row['First name']} {row['Last name']}" for row in people]
    words += [name for _, name in MEMBERS]
    return sorted({word for word in words if len(word) > 8} | set(filter(None, donors)))


SAID = {
    "an order overridden": "their roof fell in on Tuesday",
    "a confirmation overridden": "the twins came home from hospital",
    "a cancellation": "the father was taken to prison",
    "an unpacked box": "nobody dares to open the door",
    "a claim overridden": "she fled from her husband",
    "a claim given back": "he drank it all away",
    "a visit overridden": "the landlord threw them out",
    "a visit taken back": "confused with their brother in law",
    "a visit looked into": "both grandparents had queued",
    "a box looked into": "the neighbour had a stolen card",
    "a merge": "mother and daughter quarrelled",
    "an unmerge": "they made their peace again",
}
"""What was said in words about somebody, by where."""

OF_NOBODY = "a whole coach was stranded outside"
"""What was said of somebody who gave no name: it stands in clear, and is found."""

WARNED = ("tuna-160g=", "=allergen", '"warning":', '"allergens_unknown"')
"""As an event says which of its goods a household may not eat, now and as it might have been written."""


def _remarks(stage: Stage) -> None:
    """Give reasons in words wherever they are asked for, and an item that somebody may not eat."""
    now = datetime.now(UTC)
    year, week_, _ = now.isocalendar()
    of = (f"programme={table.PROGRAMME}", f"period={year}-W{week_:02}")
    said = SAID

    def send(command: str, *fields: str) -> None:
        stage.send(command, *fields, service="distribution", quietly=True)

    send("ScheduleSession", "session=late", of[0], "site=store", "name=Late", f"starts_at={now:%Y-%m-%dT%H:%M:%SZ}",
         f"ends_at={now + timedelta(hours=3):%Y-%m-%dT%H:%M:%SZ}")  # fmt: skip
    send("OpenSession", "session=late")
    send("RegisterHousehold", "household=h-9001", "size=1", 'members=[{"member":"1","allergens":"fish"}]')
    tuna = 'lines=[{"item":"tuna-160g","quantity":1}]'
    for order, household in (("l-1", "h-9001"), ("l-2", "h-0413")):
        send("PlaceOrder", f"order={order}", f"household={household}", "session=late", tuna, "seen_warnings=true",
             f"override_reason={said['an order overridden']}")  # fmt: skip
        send("ConfirmOrder", f"order={order}", f"override_reason={said['a confirmation overridden']}")
        send("PackBox", f"box=L-{order}", f"order={order}", tuna, "seen_warnings=true")
        stage.level()
    send("UnpackBox", "box=L-l-1", f"reason={said['an unpacked box']}")
    for order in ("l-1", "l-2"):
        send("CancelOrder", f"order={order}", f"reason={said['a cancellation']}")
    send("HandOutBox", "box=L-l-2", "fact=true")
    send("ResolveHandOut", "box=L-l-2", f"note={said['a box looked into']}")
    claim = ("household=h-0414", *of, "claim=l-3")
    send("ClaimEntitlement", *claim, f"override_reason={said['a claim overridden']}")
    send("ReleaseEntitlement", *claim, f"reason={said['a claim given back']}")
    visit = ("visit=l-4", "household=h-9001", *of)
    send("RecordVisit", *visit, "session=late", tuna, f"override_reason={said['a visit overridden']}",
         "collected_by=nobody-knows", "fact=true")  # fmt: skip
    send("ResolveVisit", *visit, f"note={said['a visit looked into']}")
    send("ReverseVisit", *visit, f"reason={said['a visit taken back']}")
    send("RecordVisit", "visit=l-5", *of, "session=late", 'people={"adult":1}', f"override_reason={OF_NOBODY}")
    merge = ("household=h-0415", "into=h-0414")
    send("MergeHouseholds", *merge, f"reason={said['a merge']}")
    send("UnmergeHouseholds", *merge, f"reason={said['an unmerge']}")


def _erase(stage: Stage, service: str, person: str) -> None:
    """Two people erase somebody, and the service has acknowledged it."""
    of = (person, "--service", service)
    stage.commons("erase", *of, "--reason", "asked in writing", "--as", "sam")
    stage.commons("erase", *of, "--approve", "--as", "kim")

    async def acknowledged() -> None:
        nc = await connect(stage.described()["nats_url"], name="test")
        try:
            async with asyncio.timeout(10):
                while (await standings(nc, service))[f"household/{person}"].stage is not erasure.Stage.ERASED:
                    await asyncio.sleep(0.05)
        finally:
            await nc.close()

    asyncio.run(acknowledged())


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a ledger that has lived through the demo's week, a copy of its keyrings in it, and was stopped."""
    folder = tmp_path_factory.mktemp("week")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("NATS_URL", "DATABASE_URL", "COMMONS_MASTER_KEY", "COMMONS_MASTER_KEY_FILE", "COMMONS_KEYRING"):
            patch.delenv(name, raising=False)
        patch.setenv("COMMONS_DATA", "")  # the demo sets it; it is put back afterwards
        patch.setenv("COMMONS_ERASURE_DELAY_DAYS", "0")
        stage = Stage(folder, lambda arguments: CliRunner().invoke(app, arguments).exit_code)
        try:
            week.play(stage, tmp_path_factory.mktemp("samples"))
            stage.send("OpenLocation", "location=annexe", f"name={CLEAR}", "kind=store")
            for file in ("households.csv", "people.csv"):
                stage.commons("import", "households", str(SAMPLES / file), "--on", "2026-01-15")
            stage.commons("keys", "backup", str(folder / "keys.copy"))
            _erase(stage, "distribution", "h-101")
            _remarks(stage)
            stage.commons("keys", "rotate")
            stage.commons("keys", "erase", "inventory", "donor/donor-11", "--yes")
            stage.level()
            stage.commons("verify")
        finally:
            stage.stop()
    return folder


def test_no_name_stands_in_any_byte_that_the_week_stored(stored: Path) -> None:
    words = _personal()
    assert len(words) > 90
    found = leaks([*words, *SAID.values(), *WARNED, CLEAR, OF_NOBODY], stored)
    assert {path.split("/")[1] for path in found.pop(CLEAR)} >= {"nats", "postgres"}
    assert {path.split("/")[1] for path in found.pop(OF_NOBODY)} >= {"nats"}
    assert found == {}


def test_the_master_key_stands_in_its_file_alone(stored: Path) -> None:
    lines = (stored / "ledger" / "keys" / "master.key").read_text().splitlines()
    assert len(lines) == 2
    for line in lines:
        assert leaks([line.partition(":")[2]], stored) == {line.partition(":")[2]: {"ledger/keys/master.key"}}
