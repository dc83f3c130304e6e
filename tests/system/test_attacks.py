"""Every attack on a ledger that its guide lists, and what an operator or an auditor types to have it found and named.

What is attacked is a whole ledger with two witnesses: copies of its logs, a NATS server that its events were put back
into, and at last the ledger itself, as it runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg
import pytest
from typer.testing import CliRunner

from services.auditor.notes import Signer
from services.cli import app
from services.demo.audit import Watched, witnesses
from services.local.nats import NatsServer
from tests.support.tampering import (
    Edit,
    about,
    append,
    changed,
    delete,
    entries,
    events_in,
    forget,
    forked,
    places,
    rechained,
    recreate,
    rewrite,
)
from tests.system.conftest import ROOT, START_SECONDS, Ledger

SERVICES: Final = ("inventory", "distribution", "treasury", "clinic")
STOCK: Final = "stock/rice:main"
SUBJECT: Final = "ledger.inventory.stock.rice:main"
HALT_SECONDS: Final = 10
EVENTS: Final = [
    "location/main", "item/rice", STOCK, "donor/d-1", STOCK, "donor/d-2", STOCK, "donor/d-3", STOCK, "donor/d-4", STOCK,
]  # fmt: skip
"""What the events of the inventory are about."""


@dataclass
class Guarded:
    """A ledger that runs, the witnesses of its logs, and what an auditor took home of it."""

    ledger: Ledger
    watched: Watched
    copy: Path
    """A copy of the logs."""
    known: Path
    """The checkpoint of the inventory's log that an auditor noted."""
    keys: list[str]
    """The public keys, as options."""

    @property
    def nats(self) -> str:
        return str(self.ledger.described()["nats_url"])

    def key(self, service: str) -> Signer:
        """The private key of a log: that of whoever runs the ledger."""
        return Signer.read(self.ledger.data / "keys" / "log" / f"{service}.key")

    def issue(self, quantity: int, code: int = 0) -> dict[str, Any]:
        """Give out rice; the answer."""
        sent = ("send", "inventory", "IssueStock", "--item", "rice", "--location", "main", "--quantity", str(quantity))
        wait = ("--wait", "stock_on_hand") if code == 0 else ()
        return found_by(self.ledger.typed(*sent, "--purpose", "household", *wait, "--json", code=code))

    def refused(self, service: str) -> str:
        """The code by which a service refuses a command that is right in itself."""
        command = {
            "inventory": ("OpenLocation", "--location", "other", "--kind", "store"),
            "treasury": ("RegisterParty", "--party", "p-1", "--kind", "person"),
        }[service]
        sent = self.ledger.typed("send", service, *command, "--name", "Somebody", "--json", code=1)
        return str(found_by(sent)["code"])

    def verified(self) -> dict[str, Any]:
        """What `commons verify` says of the ledger as it runs."""
        return found_by(self.ledger.typed("verify", "--json", *self.keys, code=None))

    def until_halted(self) -> dict[str, Any]:
        """Wait until `commons status` says that the writers are halted; what it says."""
        deadline = time.monotonic() + HALT_SECONDS
        while (status := found_by(self.ledger.typed("status", "--json", code=None)))["halt"] is None:
            assert time.monotonic() < deadline, status
            time.sleep(0.1)
        return status

    def signed(self) -> None:
        """Wait until all that is there is cosigned by both witnesses."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            status = found_by(self.ledger.typed("status", "--json", code=None))
            points = status["checkpoints"]
            if len(points) == len(SERVICES) and all(
                point["behind"] == 0 and point["cosigned"] == 2 for point in points
            ):
                return
            assert time.monotonic() < deadline, status
            time.sleep(0.1)


def found_by(said: str) -> dict[str, Any]:
    """What a command said with --json, behind what it said before."""
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found


def where(report: dict[str, Any]) -> tuple[Any, Any, Any]:
    """The stream, sequence and aggregate that a report names."""
    assert not report["ok"], "nothing was found"
    place = report["where"]
    return place.get("stream"), place.get("sequence"), place.get("subject")


def failed(report: dict[str, Any]) -> set[str]:
    """The checks that failed."""
    return {check["name"] for check in report["checks"] if check["problem"]}


def typed(*arguments: str, server: NatsServer | None = None, code: int | None = None) -> str:
    """Type a command that has no ledger but the server that it is given, if any."""
    environment = dict.fromkeys(("NATS_URL", "DATABASE_URL", "NATS_MONITORING_URL")) | {"COMMONS_DATA": "/nowhere"}
    if server is not None:
        environment |= {"NATS_URL": server.url, "NATS_MONITORING_URL": server.monitor_url}
    with contextlib.chdir(ROOT):
        done = CliRunner(env=environment).invoke(app, list(arguments))
    assert code is None or done.exit_code == code, done.output
    return done.stdout


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    with pytest.MonkeyPatch.context() as patch, witnesses(folder) as watched:
        for name in ("NATS_URL", "DATABASE_URL", "NATS_MONITORING_URL"):
            patch.delenv(name, raising=False)
        patch.setenv("COMMONS_DATA", str(folder / "data"))
        patch.setenv("COMMONS_WITNESSES", str(watched.policy))
        patch.setenv("COLUMNS", "200")
        ledger = Ledger(folder / "data", environment=dict(os.environ))
        ledger.start()
        try:
            fill(ledger)
            yield guard(ledger, watched, folder)
        finally:
            if ledger.process is not None and ledger.process.poll() is None:
                ledger.stop()


def fill(ledger: Ledger) -> None:
    def send(*command: str) -> None:
        ledger.typed("send", *command)

    send("inventory", "OpenLocation", "--location", "main", "--name", "Main store", "--kind", "store")
    send("inventory", "RegisterItem", "--item", "rice", "--name", "Rice 1 kg", "--unit", "each")
    lines = '[{"lot":"R7","quantity":120,"date":"2031-05-01","date_kind":"best_before"}]'
    send("inventory", "ReceiveStock", "--item", "rice", "--location", "main", "--source", "donation", "--lines", lines)
    for number in range(1, 5):
        send("inventory", "RegisterDonor", "--donor", f"d-{number}", "--name", f"Donor of number {number}")
        of = ("--item", "rice", "--location", "main", "--quantity", str(number), "--purpose", "household")
        send("inventory", "IssueStock", *of)
    send("clinic", "AddPractitioner", "--practitioner", "dr-osei", "--name", "Dr Osei", "--roles", "clinician")
    chart = "services/demo/samples/chart.csv"
    ledger.typed("import", "accounts", chart, "--book", "kitchen", "--open", "Kitchen", "--unit", "EUR", "--starts",
                 "2025-12-21")  # fmt: skip
    ledger.typed("import", "entries", "services/demo/samples/entries.csv", "--book", "kitchen")


def guard(ledger: Ledger, watched: Watched, folder: Path) -> Guarded:
    logs = [ledger.data / "tiles" / service / "keys" / "log.vkey" for service in SERVICES]
    for place in watched.folders.values():
        ledger.typed(
            "witness", "--folder", str(place), *(part for key in logs for part in ("--log", str(key))), "--show"
        )
    keys = []
    for service in SERVICES:
        shutil.copy(ledger.data / "tiles" / service / "keys" / "log.vkey", folder / f"{service}.vkey")
        keys += ["--log-key", str(folder / f"{service}.vkey")]
    for name, key in watched.keys.items():
        (folder / f"{name}.vkey").write_text(f"{key}\n")
        keys += ["--witness-key", str(folder / f"{name}.vkey")]
    made = Guarded(ledger, watched, folder / "copy", folder / "known.checkpoint", keys)
    ledger.until_well()
    made.signed()
    ledger.typed("export", "ledger", str(made.copy))
    shutil.copy(made.copy / "inventory" / "checkpoint", made.known)
    return made


# -- the log of a copy ------------------------------------------------------------------------------------------------


@pytest.fixture
def copy(guarded: Guarded, tmp_path: Path) -> Path:
    return shutil.copytree(guarded.copy, tmp_path / "copy")


def verified(copy: Path, guarded: Guarded, *options: str) -> dict[str, Any]:
    """What `commons verify FOLDER` says, with the public keys and nothing else."""
    return found_by(typed("verify", str(copy), "--json", *guarded.keys, *options))


ALONE: Final = ("--witnesses", "0")
"""As somebody verifies who asks for no witness's signature: what is found by the events alone."""


def drop(raws: list[bytes]) -> None:
    del raws[4]


def insert(raws: list[bytes]) -> None:
    raws.insert(5, forked(raws[4]))


def swap(raws: list[bytes]) -> None:
    raws[4], raws[6] = raws[6], raws[4]


def replay(raws: list[bytes]) -> None:
    raws.append(raws[4])


def fork(raws: list[bytes]) -> None:
    raws.append(forked(raws[10]))


def cut(raws: list[bytes]) -> None:
    del raws[9:]


def record_twice(raws: list[bytes]) -> None:
    raws.append(changed(raws[3], b"d-1", b"d-9", times=3))


def tell_another_story(raws: list[bytes]) -> None:
    raws[8] = changed(raws[8], b'"authid":"root"', b'"authid":"mallory"')
    raws[:] = rechained(raws)


def say_another_figure(raws: list[bytes]) -> None:
    raws[8] = changed(raws[8], b'"on_hand":114,"effective', b'"on_hand":115,"effective')
    raws[:] = rechained(raws)


def unbalance(raws: list[bytes]) -> None:
    raws[-1] = changed(raws[-1], b'"amount":243150', b'"amount":243151')


def test_a_copy_that_nobody_attacked(guarded: Guarded) -> None:
    report = verified(guarded.copy, guarded, "--known", str(guarded.known))
    assert report["ok"], report["first_problem"]
    assert [about(raw) for raw in entries(guarded.copy, "inventory")] == EVENTS


def test_a_byte_changed_in_an_entry(copy: Path, guarded: Guarded) -> None:
    (bundle,) = (copy / "inventory" / "tile" / "entries").rglob("11")
    bundle.write_bytes(changed(bundle.read_bytes(), b'"on_hand":117,"effective', b'"on_hand":118,"effective'))
    report = verified(copy, guarded)
    assert where(report) == ("INVENTORY", 7, SUBJECT)
    assert failed(report) >= {"inventory: root", "inventory: aggregates"}
    assert "its hash is not the one in tile/0/000.p/11" in report["first_problem"]


def test_the_tail_of_a_log_cut(copy: Path, guarded: Guarded) -> None:
    rewrite(copy, "inventory", cut)
    report = verified(copy, guarded)
    assert where(report) == ("INVENTORY", 10, "")
    assert "it is missing, and the checkpoint is of 11 events" in report["first_problem"]


@pytest.mark.parametrize(
    ("service", "edit", "sequence", "subject", "check", "said"),
    [
        # The one that is missed is the predecessor of this one, which stands a place earlier than it did.
        pytest.param("inventory", drop, 6, SUBJECT, "chain", "its revision is 3, and should be 2", id="dropped"),
        pytest.param("inventory", insert, 6, SUBJECT, "chain", "its revision is 2, and should be 3", id="inserted"),
        pytest.param("inventory", swap, 5, SUBJECT, "chain", "its revision is 3, and should be 2", id="reordered"),
        pytest.param("inventory", replay, 12, SUBJECT, "chain", "its revision is 2, and should be 6", id="replayed"),
        pytest.param("inventory", fork, 12, SUBJECT, "chain", "its revision is 5, and should be 6", id="forked"),
        pytest.param(
            "inventory", record_twice, 12, "ledger.inventory.donor.d-9", "chain", "was there before, at event 4",
            id="recorded twice",
        ),
        pytest.param(
            "inventory", say_another_figure, 9, SUBJECT, "aggregates", "says 115 on hand, and its movements make 114",
            id="a balance changed",
        ),
        pytest.param(
            "treasury", unbalance, 46, "ledger.treasury.book.kitchen", "aggregates", "opening", id="out of balance"
        ),
    ],
)  # fmt: skip
def test_a_copy_made_anew_and_signed_again_with_the_real_key(
    copy: Path, guarded: Guarded, service: str, edit: Edit, sequence: int, subject: str, check: str, said: str
) -> None:
    """Tiles, root and signature fit; the events alone tell. The witnesses' signatures are missing besides."""
    rewrite(copy, service, edit, guarded.key(service))
    report = verified(copy, guarded, *ALONE)
    assert where(report) == (service.upper(), sequence, subject)
    assert failed(report) == {f"{service}: {check}"}
    assert said in report["first_problem"]
    assert f"{service}: newest checkpoint" in failed(verified(copy, guarded)), "nobody cosigned it"


def test_another_history_signed_again_with_the_real_key(copy: Path, guarded: Guarded) -> None:
    """Its events are sound; a witness's signature, or a checkpoint that was noted before, tells."""
    rewrite(copy, "inventory", tell_another_story, guarded.key("inventory"))
    assert verified(copy, guarded, *ALONE)["ok"], "a second history is as good as the first, to who sees nothing else"
    report = verified(copy, guarded)
    assert failed(report) == {"inventory: newest checkpoint"}
    assert "is cosigned by 0 of the witnesses" in report["first_problem"]
    report = verified(copy, guarded, *ALONE, "--known", str(guarded.known))
    assert where(report)[:2] == ("INVENTORY", 11)
    assert failed(report) == {"inventory: known checkpoint"}
    assert "whoever has the key signed two histories" in report["first_problem"]


# -- a stream ---------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def running(folder: Path) -> Iterator[NatsServer]:
    server = NatsServer(folder)
    asyncio.run(server.start())
    try:
        yield server
    finally:
        asyncio.run(server.stop())


@pytest.fixture(scope="module")
def put_back(guarded: Guarded, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a stopped NATS server that has the copy's events."""
    folder = tmp_path_factory.mktemp("put-back") / "nats"
    with running(folder) as server:
        typed("restore", str(guarded.copy), "--json", server=server, code=0)
        assert streams(server, guarded)["ok"]
    return folder


def streams(server: NatsServer, guarded: Guarded) -> dict[str, Any]:
    """What `commons verify` says of a server's streams, beside the logs that an auditor has of them."""
    options = ("--streams-only", "--tiles", str(guarded.copy), "--json", *guarded.keys)
    return found_by(typed("verify", *options, server=server))


@pytest.mark.parametrize(
    ("edit", "sequence", "subject", "checks", "said"),
    [
        pytest.param(drop, 5, "ledger.inventory.donor.d-2", {"chain", "log"}, "holds other bytes", id="dropped"),
        pytest.param(insert, 6, SUBJECT, {"chain", "log"}, "its revision is 2, and should be 3", id="inserted"),
        pytest.param(swap, 5, SUBJECT, {"chain", "log"}, "its revision is 3, and should be 2", id="reordered"),
        pytest.param(replay, 12, SUBJECT, {"chain"}, "its revision is 2, and should be 6", id="replayed"),
        pytest.param(fork, 12, SUBJECT, {"chain"}, "its revision is 5, and should be 6", id="forked"),
        pytest.param(
            record_twice, 12, "ledger.inventory.donor.d-9", {"chain"}, "was there before, at event 4",
            id="recorded twice",
        ),
        pytest.param(say_another_figure, 9, SUBJECT, {"aggregates", "log"}, "says 115 on hand", id="a balance changed"),
        pytest.param(tell_another_story, 9, SUBJECT, {"log"}, "holds other bytes", id="another history"),
        pytest.param(cut, 10, "ledger.inventory.donor.d-4", {"log"}, "ends at event 9, and 11 were", id="the tail cut"),
        pytest.param(list.clear, 1, "ledger.inventory.location.main", {"log"}, "its tail is lost", id="empty"),
    ],
)  # fmt: skip
def test_a_stream_made_anew(
    put_back: Path, tmp_path: Path, guarded: Guarded, edit: Edit, sequence: int, subject: str, checks: set[str],
    said: str,
) -> None:  # fmt: skip
    raws = entries(guarded.copy, "inventory")
    edit(raws)
    with running(shutil.copytree(put_back, tmp_path / "nats")) as server:
        recreate(server.url, "inventory", raws)
        report = streams(server, guarded)
    assert where(report) == ("INVENTORY", sequence, subject)
    assert failed(report) == {f"INVENTORY: {check}" for check in checks}
    assert said in report["first_problem"]


@pytest.mark.parametrize("rebuilt", [False, True], ids=["with its index", "without"])
def test_a_byte_changed_in_the_file_of_a_stream(
    put_back: Path, tmp_path: Path, guarded: Guarded, rebuilt: bool
) -> None:
    """NATS sums up its messages: it leaves out the one whose sum is wrong, or all from there on, and says nothing."""
    folder = shutil.copytree(put_back, tmp_path / "nats")
    (block,) = (folder / "store" / "jetstream" / "$G" / "streams" / "INVENTORY" / "msgs").glob("*.blk")
    block.write_bytes(changed(block.read_bytes(), b'"on_hand":117,"effective', b'"on_hand":118,"effective'))
    if rebuilt:
        (block.parent / "index.db").unlink()
    with running(folder) as server:
        report = streams(server, guarded)
    assert where(report) == ("INVENTORY", 7, SUBJECT)
    assert ("its tail is lost" if rebuilt else "it was signed, and is missing from the stream") in report[
        "first_problem"
    ]


# -- the ledger that runs: each of these leaves it as it found it, up to the last --------------------------------------


def in_database(guarded: Guarded, *statements: str) -> None:
    """What somebody does who may write to the read models' tables."""

    async def run() -> None:
        connection = await asyncpg.connect(guarded.ledger.described()["database_url"])
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("change", "back", "check", "said"),
    [
        pytest.param(
            "UPDATE stock_on_hand_g1.stock_on_hand SET on_hand = on_hand + 5",
            "UPDATE stock_on_hand_g1.stock_on_hand SET on_hand = on_hand - 5",
            "read model stock_on_hand", "item=rice, location=main, lot_key=", id="a row changed",
        ),
        pytest.param(
            "UPDATE trial_balance_g1.daily_balances SET debit = debit + 100 WHERE account = 'bank' AND fund = 'clinic'",
            "UPDATE trial_balance_g1.daily_balances SET debit = debit - 100 WHERE account = 'bank' AND fund = 'clinic'",
            "read model trial_balance", "account=bank, fund=clinic", id="a balance changed",
        ),
    ],
)  # fmt: skip
def test_a_row_changed_in_a_read_model(guarded: Guarded, change: str, back: str, check: str, said: str) -> None:
    guarded.ledger.until_well()
    in_database(guarded, change)
    report = guarded.verified()
    in_database(guarded, back)
    assert failed(report) == {check}
    assert said in report["first_problem"]


def test_a_read_model_that_lost_an_update(guarded: Guarded) -> None:
    table = "stock_on_hand_g1.stock_on_hand"
    in_database(guarded, f"CREATE TABLE kept AS SELECT * FROM {table}")
    guarded.issue(10)
    in_database(guarded, f"CREATE TABLE newer AS SELECT * FROM {table}", f"DELETE FROM {table}",
                f"INSERT INTO {table} SELECT * FROM kept")  # fmt: skip
    report = guarded.verified()
    in_database(guarded, f"DELETE FROM {table}", f"INSERT INTO {table} SELECT * FROM newer", "DROP TABLE kept, newer")
    assert failed(report) == {"read model stock_on_hand"}
    assert "on_hand is 110 and should be 100" in report["first_problem"]
    assert guarded.verified()["ok"]


@pytest.mark.parametrize(
    ("attack", "sequence", "subject", "reason"),
    [
        pytest.param(lambda raws: None, 1, "ledger.inventory.location.main", "its tail is lost", id="deleted"),
        pytest.param(list.clear, 1, "ledger.inventory.location.main", "its tail is lost", id="and recreated empty"),
        pytest.param(
            tell_another_story,
            9,
            SUBJECT,
            "is another than it was when the log was made",
            id="and with another history",
        ),
    ],
)
def test_a_stream_deleted_and_put_back(
    guarded: Guarded, attack: Edit, sequence: int, subject: str, reason: str
) -> None:
    guarded.signed()
    before = events_in(guarded.nats, "inventory")
    raws = list(before)
    attack(raws)
    if raws == before:
        delete(guarded.nats, "inventory")
    else:
        recreate(guarded.nats, "inventory", raws)
    status = guarded.until_halted()
    assert (status["halt"]["by"], status["halt"]["stream"]) == ("auditor", "INVENTORY")
    assert reason in status["halt"]["reason"]
    assert any("Writing was halted" in problem for problem in status["problems"])
    assert all(guarded.refused(service) == "HALTED" for service in ("inventory", "treasury"))
    report = guarded.verified()
    assert where(report) == ("INVENTORY", sequence, subject)

    tiles = str(guarded.ledger.data / "tiles")
    if len(raws) == len(before) and raws != before:
        assert "two histories" in guarded.ledger.typed("restore", tiles, code=1), "nothing is written over"
        delete(guarded.nats, "inventory")
    restored = found_by(guarded.ledger.typed("restore", tiles, "--json"))
    assert restored["halt"]["by"] == "auditor", "that is for a person to lift"
    assert events_in(guarded.nats, "inventory") == before
    assert guarded.refused("inventory") == "HALTED"
    guarded.ledger.typed("resume", "--reason", "put back from the tiles", "--as", "ada")
    guarded.ledger.until_well()
    assert guarded.issue(1)["sequence"] == len(before) + 1
    assert guarded.verified()["ok"]


def test_an_aggregate_forked_under_a_running_service(guarded: Guarded) -> None:
    raws = events_in(guarded.nats, "inventory")
    last = places(raws, STOCK)[-1]
    sequence = append(guarded.nats, "inventory", forked(raws[last]))
    refused = guarded.issue(1, code=1)
    assert (refused["code"], refused["sequence"], refused["subject"]) == ("CORRUPT", sequence, SUBJECT)
    assert "takes no more commands" in refused["detail"]
    report = guarded.verified()
    assert where(report) == ("INVENTORY", sequence, SUBJECT)
    assert failed(report) == {"INVENTORY: chain"}


def test_another_history_signed_by_the_auditor_itself_is_caught_by_the_witnesses(guarded: Guarded) -> None:
    """Whoever runs the ledger makes it anew, with the real key, and takes away all that remembers the first."""
    guarded.signed()
    raws = events_in(guarded.nats, "inventory")
    tell_another_story(raws)
    assert guarded.ledger.stop() == 0
    data = guarded.ledger.data
    with running(data / "nats") as server:
        recreate(server.url, "inventory", raws)
        forget(server.url, "inventory")
    shutil.rmtree(data / "tiles" / "inventory")
    (data / "keys" / "log" / "inventory.signed").unlink()
    guarded.ledger.start()
    halt = guarded.until_halted()["halt"]
    assert (halt["by"], halt["stream"], halt["sequence"]) == ("auditor", "INVENTORY", len(raws))
    assert re.search("witness (north|south) cosigned local/commons/inventory .* another history", halt["reason"])
    assert guarded.refused("inventory") == "HALTED"
    assert not (data / "tiles" / "inventory" / "checkpoint").exists(), "what no witness would have is not published"
    for folder in guarded.watched.folders.values():
        seen = found_by(typed("witness", "--folder", str(folder), "--show", "--json"))
        forks = {one["origin"]: one["forks"] for one in seen["logs"]}
        assert forks["local/commons/inventory"] >= 1, "it is kept as evidence"
        assert forks["local/commons/treasury"] == 0
