"""The drill: a ledger is backed up, destroyed and put back; and a stream that lost its tail gets it from the tiles."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.auditor.checked import open_logs
from shared.errors import Corrupt, Invalid
from tests.system.conftest import COMMONS, ROOT, START_SECONDS, Ledger

STREAMS = ("INVENTORY", "DISTRIBUTION", "TREASURY", "CLINIC")


@pytest.fixture(scope="module")
def drilled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """A ledger that is erased in at once, without an instance running yet."""
    kept = {k: v for k, v in os.environ.items() if k not in ("NATS_URL", "DATABASE_URL", "NATS_MONITORING_URL")}
    data = tmp_path_factory.mktemp("drill") / "data"
    made = Ledger(
        data, environment=kept | {"COMMONS_DATA": str(data), "COLUMNS": "200", "COMMONS_ERASURE_DELAY_DAYS": "0"}
    )
    try:
        yield made
    finally:
        if made.process is not None and made.process.poll() is None:
            made.stop()


@pytest.fixture
def ledger(drilled: Ledger) -> Ledger:
    """The ledger as the drill before put it back, and running; a new one where that failed."""
    if drilled.process is None or drilled.process.poll() is not None:
        shutil.rmtree(drilled.data, ignore_errors=True)
        drilled.start()
    return drilled


def events(ledger: Ledger, stream: str) -> list[str]:
    """The events of a stream as they are stored, byte for byte."""
    out = ledger.typed("tail", "--stream", stream, "--from", "1", "--json", code=None)
    return [line for line in out.splitlines() if line.startswith('{"specversion"')]


def donors(ledger: Ledger) -> dict[str, str]:
    rows = json.loads(ledger.typed("show", "donors", "--json"))["rows"]
    return {row["donor"]: row["name"] for row in rows}


def register(ledger: Ledger, donor: str, name: str) -> None:
    ledger.typed("send", "inventory", "RegisterDonor", "--donor", donor, "--name", name, "--wait", "donors")


def erase(ledger: Ledger, donor: str) -> None:
    of = ("erase", donor, "--service", "inventory")
    ledger.typed(*of, "--reason", "asked in writing", "--as", "sam")
    ledger.typed(*of, "--approve", "--as", "kim")
    deadline = time.monotonic() + START_SECONDS
    while donors(ledger)[donor] != "(erased)":
        assert time.monotonic() < deadline
        time.sleep(0.1)


def until_signed(ledger: Ledger) -> None:
    """Wait until every event is under a checkpoint."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        ledger.until_well()
        wanted = {stream: len(found) for stream in STREAMS if (found := events(ledger, stream))}
        try:
            if {log.stream: log.size for log in open_logs(ledger.data / "tiles")} == wanted:
                return
        except (Corrupt, Invalid):
            pass
        assert time.monotonic() < deadline, wanted
        time.sleep(0.2)


def test_a_destroyed_ledger_comes_back_byte_for_byte_and_nobody_with_it_who_was_erased(
    ledger: Ledger, tmp_path: Path
) -> None:
    backup, apart = tmp_path / "backup", tmp_path / "apart"
    ledger.typed("send", "inventory", "OpenLocation", "--location", "main", "--name", "Main store", "--kind", "store")
    for donor, name in (("d-1", "Ottilie Hazelgrove"), ("d-2", "Barnaby Thistlewood"), ("d-3", "Isolde Farthingale"),
                        ("d-4", "Cuthbert Loxwood")):  # fmt: skip
        register(ledger, donor, name)
    ledger.typed(
        "send", "treasury", "RegisterParty", "--party", "p-1", "--name", "Winifred Oakenshaw", "--kind", "person"
    )
    erase(ledger, "d-1")
    until_signed(ledger)
    first = json.loads(ledger.typed("backup", str(backup), "--keyring", str(apart / "keyring"), "--json"))
    shutil.copytree(ledger.data / "keys", apart / "keys", ignore=shutil.ignore_patterns("keyring", "*.signed"))

    erase(ledger, "d-2")  # after the keyrings were copied, and before the ledger was
    until_signed(ledger)
    ledger.typed("export", "ledger", str(backup / "ledger"))
    erase(ledger, "d-3")  # after both: nothing that is left knows of it
    register(ledger, "d-5", "Philippa Ravensworth")
    before = {stream: events(ledger, stream) for stream in STREAMS}
    names = donors(ledger)
    assert (names["d-1"], names["d-2"], names["d-3"]) == ("(erased)", "(erased)", "(erased)")
    assert ledger.stop() == 0
    shutil.rmtree(ledger.data)

    shutil.copytree(apart / "keys", ledger.data / "keys")
    restored = ledger.typed("restore", str(backup / "ledger"), "--keyring", first["keyring"], "--json")
    told = json.loads(restored.splitlines()[-1])  # warnings of what the keyrings lacked come before
    sizes = {one["stream"]: one["size"] for one in told["streams"]}
    assert all(one["appended"] == one["size"] for one in told["streams"]) and told["halt"] is None
    ledger.start()
    ledger.until_well()
    for stream in STREAMS:
        assert events(ledger, stream)[: sizes.get(stream, 0)] == before[stream][: sizes.get(stream, 0)]
    assert "The ledger is whole" in ledger.commons("verify")
    names = donors(ledger)
    assert (names["d-1"], names["d-2"]) == ("(erased)", "(erased)"), "whom the copy of the ledger knows to be erased"
    assert names["d-4"] == "Cuthbert Loxwood"
    assert names["d-3"] == "Isolde Farthingale", "an erasure that no copy has is lost: docs/operating.md says so"
    assert "d-5" not in names
    parties = ledger.typed("show", "parties", "--json", code=None)
    assert "Winifred Oakenshaw" in parties
    register(ledger, "d-6", "Leofric Dunwoody")
    until_signed(ledger)
    grown = json.loads(ledger.typed("export", "ledger", str(backup / "ledger"), "--json"))
    assert sum(one["added"] for one in grown["logs"]) >= 1, "the log goes on under the same key"


def test_a_copy_goes_into_services_that_run_and_write_nothing_meanwhile(ledger: Ledger, tmp_path: Path) -> None:
    place = ("OpenLocation", "--location", "second", "--kind", "store", "--name")
    ledger.typed("send", "inventory", *place, "Second store")
    for number in range(5):
        register(ledger, f"e-{number}", "Ottilie Hazelgrove")
    until_signed(ledger)
    ledger.typed("export", "ledger", str(tmp_path / "copy.tar.gz"))
    before = {stream: events(ledger, stream) for stream in STREAMS}
    assert ledger.stop() == 0
    (ledger.data / "keys" / "master.key").rename(tmp_path / "master.key")
    shutil.rmtree(ledger.data)
    (ledger.data / "keys").mkdir(parents=True, mode=0o700)
    (tmp_path / "master.key").rename(ledger.data / "keys" / "master.key")

    ledger.start()
    restored = ledger.typed("restore", str(tmp_path / "copy.tar.gz"), "--json")
    assert json.loads(restored.splitlines()[-1])["halt"] is None
    ledger.until_well()
    assert {stream: events(ledger, stream) for stream in STREAMS} == before
    register(ledger, "e-9", "Barnaby Thistlewood")
    refused = ledger.typed("send", "inventory", *place, "Other", code=1)
    assert "second" in refused, "it decides on what was restored"
    assert "The ledger is whole" in ledger.commons("verify")


def test_a_stream_that_lost_its_tail_gets_it_from_the_tiles(ledger: Ledger, tmp_path: Path) -> None:
    register(ledger, "f-1", "Ottilie Hazelgrove")
    until_signed(ledger)
    assert ledger.stop() == 0
    shutil.copytree(ledger.data / "nats", tmp_path / "older")
    ledger.start()
    register(ledger, "f-2", "Barnaby Thistlewood")
    until_signed(ledger)
    before = {stream: events(ledger, stream) for stream in STREAMS}
    assert ledger.stop() == 0
    shutil.rmtree(ledger.data / "nats")
    shutil.copytree(tmp_path / "older", ledger.data / "nats")

    log = ledger.data / "logs" / "inventory.log"
    log.unlink()
    with subprocess.Popen(
        [*COMMONS, "up", "--data", str(ledger.data)], cwd=ROOT, env=ledger.environment, stdout=subprocess.DEVNULL
    ) as up:
        deadline = time.monotonic() + 60
        while not log.exists() or "tail" not in log.read_text():
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        up.send_signal(signal.SIGINT)
    told = json.loads(ledger.typed("restore", str(ledger.data / "tiles"), "--json"))
    (inventory,) = [one for one in told["streams"] if one["stream"] == "INVENTORY"]
    assert inventory["appended"] >= 1
    ledger.start()
    ledger.typed("resume", "--reason", "put back from the tiles", "--as", "ada")  # the auditor may have halted it first
    ledger.until_well()
    assert {stream: events(ledger, stream) for stream in STREAMS} == before
    assert donors(ledger)["f-2"] == "Barnaby Thistlewood"
    assert "The ledger is whole" in ledger.commons("verify")
