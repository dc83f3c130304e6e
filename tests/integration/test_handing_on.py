"""What leaves the ledger for others: `commons export epcis`, and the replay that an auditor makes with Python alone."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from services.cli import app
from services.local.nats import NatsServer
from shared.clock import utc_now
from tests.support.epcis import balances, schema
from tests.support.inventory import Keeper, keeper

REPLAY = Path(__file__).parents[2] / "docs" / "examples" / "replay.py"
RICE, MILK = "urn:commons:local:inventory:item:rice:lot:A", "https://id.gs1.org/01/04006381333931/10/M-1"
STORE = "urn:commons:local:inventory:location:store"


async def commons(server: NatsServer, *arguments: str) -> tuple[int, bytes]:
    """Run `commons` on a server; gives its exit code and what it printed."""
    given = [*arguments, "--nats-url", server.url]
    done = await asyncio.to_thread(CliRunner().invoke, app, given)
    assert "Traceback" not in done.output, done.output
    return done.exit_code, done.stdout_bytes


async def exported(server: NatsServer, *arguments: str) -> dict[str, Any]:
    code, out = await commons(server, "export", "epcis", *arguments)
    assert code == 0, out
    document: dict[str, Any] = json.loads(out)
    return document


async def on_hand(book: Keeper, item: str) -> int:
    last = [event async for event in _events(book) if event.envelope.subject == f"stock/{item}:store"][-1]
    return int(last.data.on_hand)


async def _events(book: Keeper) -> Any:
    for sequence in range(1, await book.store.last_sequence() + 1):
        yield await book.store.at(sequence)


async def test_an_export_is_valid_and_adds_up(nats_server: NatsServer) -> None:
    async with keeper(nats_server) as book:
        await book.furnish()
        document = await exported(nats_server)
        events = document["epcisBody"]["eventList"]
        assert balances(events) == {
            (STORE, RICE): await on_hand(book, "rice"),
            (STORE, MILK): await on_hand(book, "milk"),
        }
    schema().validate(document)


async def test_exports_of_consecutive_days_hold_every_event_once(nats_server: NatsServer) -> None:
    async with keeper(nats_server) as book:
        await book.furnish()
    today = utc_now().date()
    yesterday, tomorrow = str(today - timedelta(days=1)), str(today + timedelta(days=1))
    whole = (await exported(nats_server))["epcisBody"]["eventList"]
    before = (await exported(nats_server, "--to", yesterday))["epcisBody"]["eventList"]
    since = (await exported(nats_server, "--from", str(today), "--to", tomorrow))["epcisBody"]["eventList"]
    assert [*before, *since] == whole
    assert before == []


async def test_a_file_is_written_whole_or_not_at_all(nats_server: NatsServer, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonld"
    code, said = await commons(nats_server, "export", "epcis", "--out", str(out))
    assert code != 0, "there is no stream yet"
    assert list(tmp_path.glob("*out*")) == [], said
    async with keeper(nats_server) as book:
        await book.furnish()
    code, said = await commons(nats_server, "export", "epcis", "--out", str(out), "--json")
    assert code == 0
    document = json.loads(out.read_bytes())
    assert json.loads(said) == {"file": str(out), "events": len(document["epcisBody"]["eventList"]), "until": 9}
    assert [path.name for path in tmp_path.glob("*out*")] == ["out.jsonld"]


async def test_an_empty_ledger_is_an_empty_document(nats_server: NatsServer) -> None:
    async with keeper(nats_server):
        document = await exported(nats_server)
    assert document["epcisBody"] == {"eventList": []}


async def test_days_that_make_no_sense_are_a_mistake_in_the_command_line(nats_server: NatsServer) -> None:
    for given in (["--from", "2026-11-02", "--to", "2026-11-01"], ["--from", "yesterday"], ["--out", "/no/such/x"]):
        code, _ = await commons(nats_server, "export", "epcis", *given)
        assert code == 2, given


async def test_an_auditor_with_python_alone_arrives_at_the_same_figures(
    nats_server: NatsServer, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger.jsonl"
    async with keeper(nats_server) as book:
        await book.furnish()
        code, written = await commons(nats_server, "tail", "--from", "1", "--json")
        assert code == 0
        ledger.write_bytes(written)
        done = subprocess.run([sys.executable, "-I", REPLAY, ledger], capture_output=True, text=True, check=False)
        assert done.stdout.splitlines() == [
            f"milk\tstore\t{await on_hand(book, 'milk')}",
            f"rice\tstore\t{await on_hand(book, 'rice')}",
        ], done.stderr
