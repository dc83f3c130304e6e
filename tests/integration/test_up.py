"""`commons up`: everything starts, what dies starts again, everything stops in order, and a restart has it all."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import nats
import psutil
import pytest

from services.local.lock import AlreadyRunning, folder_lock
from services.local.nats import NatsServer
from services.local.process import StartFailed
from services.local.supervisor import ProcessSpec, ServiceProcess, Supervisor
from services.local.up import Options, run

# A service in miniature: it answers on its port, and notes when it starts and when it is asked to stop.
FAKE = textwrap.dedent("""
    import http.server, os, re, signal, socket, sys
    notes = open(sys.argv[1], "a", buffering=1)
    given = [os.environ[name][:4] for name in ("NATS_URL", "DATABASE_URL", "COMMONS_CHAPTER")]
    print("started", *given, file=notes)
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200); self.end_headers()
    def leave(*_):
        for name in ("NATS_URL", "DATABASE_URL"):  # both serve until the last service has drained
            socket.create_connection(("127.0.0.1", int(re.search(":([0-9]+)/?[a-z]*$", os.environ[name])[1]))).close()
        print("drained", file=notes)
        sys.exit(0)
    signal.signal(signal.SIGTERM, leave)
    http.server.HTTPServer(("127.0.0.1", int(os.environ["COMMONS_HTTP_PORT"])), Answer).serve_forever()
""")


def fake(name: str, notes: Path) -> ProcessSpec:
    return ProcessSpec(name, command=[sys.executable, "-c", FAKE, str(notes)], entrance="/here")


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    return tmp_path / "notes"


@pytest.fixture
def options(tmp_path: Path, notes: Path) -> Options:
    return Options(data=tmp_path / "data", services=[fake("one", notes), fake("two", notes)], chapter="test")


class Reports(list[str]):
    """What was said, and a way to wait until something is."""

    async def wait_for(self, text: str) -> str:
        async with asyncio.timeout(30):
            while True:
                for line in self:
                    if text in line:
                        return line
                await asyncio.sleep(0.01)


@asynccontextmanager
async def running(options: Options) -> AsyncIterator[tuple[Reports, dict[str, Any]]]:
    """`commons up` in this process, stopped by the signal that Ctrl-C sends."""
    reports = Reports()
    ledger = asyncio.create_task(run(options, reports.append))
    said = asyncio.create_task(reports.wait_for("The ledger runs"))
    await asyncio.wait([ledger, said], return_when=asyncio.FIRST_COMPLETED)
    if ledger.done():
        said.cancel()
        ledger.result()
    try:
        yield reports, state(options)
    finally:
        os.kill(os.getpid(), signal.SIGINT)
        assert await ledger == 0


def state(options: Options) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((options.data / "commons.json").read_text())
    return found


async def test_a_restart_on_the_same_folder_has_everything(options: Options, notes: Path) -> None:
    async with running(options) as (_, first):
        client = await nats.connect(first["nats_url"])
        await client.jetstream().add_stream(name="S", subjects=["s"])
        await client.jetstream().publish("s", b"kept")
        await client.close()
        connection = await asyncpg.connect(first["database_url"])
        assert await connection.fetchval("SELECT count(*) FROM commons.migration") >= 1
        await connection.execute("CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)")
        await connection.close()
    async with running(options) as (_, second):
        assert (second["nats_url"], second["database_url"]) == (first["nats_url"], first["database_url"])
        client = await nats.connect(second["nats_url"])
        assert (await client.jetstream().get_msg("S", 1)).data == b"kept"
        await client.close()
        connection = await asyncpg.connect(second["database_url"])
        assert await connection.fetchval("SELECT n FROM kept") == 7
        await connection.close()
    assert notes.read_text().splitlines() == (["started nats post test"] * 2 + ["drained"] * 2) * 2


async def test_says_where_everything_listens_but_prints_no_password(options: Options) -> None:
    async with running(options) as (reports, found):
        said = await reports.wait_for("The ledger runs")
        password = found["database_url"].split(":")[2].split("@")[0]
        assert password not in "\n".join(reports)
        for url in (found["nats_url"], found["nats_monitoring_url"], found["services"]["one"]["http_url"]):
            assert url in said
        (line,) = (line for line in said.splitlines() if "one, for clients" in line)
        assert line.split()[-1] == f"{found['services']['one']['http_url']}/here"
        assert stat.S_IMODE((options.data / "commons.json").stat().st_mode) == 0o600
    assert not (options.data / "commons.json").exists()


async def test_it_comes_up_halted_so_that_the_halt_can_be_lifted(options: Options) -> None:
    """A service that runs and is not ready because writing was halted holds nothing up: NATS has to run to lift it."""
    halted = FAKE.replace(
        "self.send_response(200); self.end_headers()",
        'self.send_response(503); self.end_headers(); self.wfile.write(b\'{"halted": {"code": "HALTED"}}\')',
    )
    notes = options.data.parent / "notes"
    spec = ProcessSpec("one", command=[sys.executable, "-c", halted, str(notes)])
    async with running(replace(options, services=[spec])) as (_, found):
        assert found["services"]["one"]["pid"]


async def test_a_second_up_on_the_folder_is_refused_naming_the_first(options: Options) -> None:
    async with running(options):
        with pytest.raises(AlreadyRunning, match=f"already runs on {options.data} as process {os.getpid()}"):
            await run(options)


@pytest.mark.parametrize("victim", ["one", "nats", "postgres"])
async def test_what_is_killed_runs_again_at_the_same_place(options: Options, victim: str) -> None:
    async with running(options) as (reports, before):
        group = "services" if victim == "one" else "servers"
        os.kill(before[group][victim]["pid"], signal.SIGKILL)
        await reports.wait_for(f"{victim} ended, killed by SIGKILL; starting it again")
        await reports.wait_for(f"{victim} runs again")
        after = state(options)
        assert after[group][victim]["pid"] != before[group][victim]["pid"]
        assert after["nats_url"] == before["nats_url"]
        await (await nats.connect(after["nats_url"])).close()
        await (await asyncpg.connect(after["database_url"])).close()


async def test_servers_that_run_already_are_used_and_left_running(
    options: Options, nats_server: NatsServer, database_url: str
) -> None:
    async with running(replace(options, nats_url=nats_server.url, database_url=database_url)) as (_, found):
        assert (found["nats_url"], found["database_url"]) == (nats_server.url, database_url)
        assert found["servers"] == {}
        assert not (options.data / "nats").exists()
    assert nats_server.running
    connection = await asyncpg.connect(database_url)
    assert await connection.fetchval("SELECT count(*) FROM commons.migration") >= 1
    await connection.close()


async def test_a_service_that_cannot_start_fails_the_whole_with_its_own_words(options: Options, notes: Path) -> None:
    broken = ProcessSpec("broken", command=[sys.executable, "-c", "raise SystemExit('no such setting')"])
    children = psutil.Process().children()
    with pytest.raises(StartFailed, match=r"(?s)broken ended at once, exit code 1.*no such setting"):
        await run(replace(options, services=[fake("one", notes), broken]))
    assert [child for child in psutil.Process().children() if child not in children] == []
    with folder_lock(options.data):
        pass


async def test_ctrl_c_while_it_starts_leaves_nothing(options: Options) -> None:
    children = psutil.Process().children()
    never = ProcessSpec("never", command=[sys.executable, "-c", "import time; time.sleep(600)"])
    reports = Reports()
    ledger = asyncio.create_task(run(replace(options, services=[never]), reports.append))
    async with asyncio.timeout(30):
        while not (options.data / "logs" / "never.log").exists():
            await asyncio.sleep(0.01)
    os.kill(os.getpid(), signal.SIGTERM)
    assert await ledger == 0
    assert [child for child in psutil.Process().children() if child not in children] == []


async def test_a_second_ctrl_c_ends_what_does_not_drain(options: Options, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    script = f"trap '' TERM; touch {ready}; while true; do sleep 1; done"
    stubborn = ProcessSpec("stubborn", command=["/bin/sh", "-c", script], ready_path=None)
    reports = Reports()
    ledger = asyncio.create_task(run(replace(options, services=[stubborn]), reports.append))
    await reports.wait_for("The ledger runs")
    async with asyncio.timeout(30):
        while not ready.exists():
            await asyncio.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)
    await reports.wait_for("Stopping")
    os.kill(os.getpid(), signal.SIGINT)
    assert await ledger == 0
    assert "Ending everything at once." in reports


async def test_who_keeps_dying_is_started_less_and_less_often(tmp_path: Path) -> None:
    dying = ProcessSpec(
        "dying", command=[sys.executable, "-c", "print('all is lost'); raise SystemExit(9)"], ready_path=None
    )
    reports = Reports()
    supervisor = Supervisor([[ServiceProcess(dying, environment={}, logs=tmp_path)]], reports.append)
    await supervisor.start()
    for pause in ("0.1", "0.2", "0.4"):
        said = await reports.wait_for(f"dying ended, exit code 9; starting it again in {pause} s")
        assert said.endswith("all is lost")
    await supervisor.stop()
