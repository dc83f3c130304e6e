"""The local servers start, stop, survive SIGKILL, and never outlive who started them."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import asyncpg
import nats
import psutil
import pytest

from services.local.nats import MAX_PAYLOAD_BYTES, NatsServer
from services.local.postgres import PostgresServer
from services.local.process import ChildProcess, StartFailed, free_port
from services.local.server import Server


@pytest.fixture(params=[NatsServer, PostgresServer], ids=["nats", "postgres"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Server:
    made: Server = request.param(tmp_path / "server")
    return made


async def test_nats_keeps_acknowledged_messages_through_sigkill(tmp_path: Path) -> None:
    server = NatsServer(tmp_path / "nats")
    await server.start()
    client = await nats.connect(server.url)
    stream = client.jetstream()
    await stream.add_stream(name="S", subjects=["s.>"])
    for number in range(20):
        await stream.publish("s.x", str(number).encode())
    await server.kill()
    await server.start()
    try:
        again = await nats.connect(server.url)
        assert (await again.jetstream().stream_info("S")).state.messages == 20
        await again.close()
    finally:
        await client.close()
        await server.stop()


async def test_nats_syncs_every_message_and_takes_four_megabytes(nats_server: NatsServer) -> None:
    def get(page: str) -> dict[str, object]:
        with urllib.request.urlopen(f"{nats_server.monitor_url}/{page}") as answer:
            found: dict[str, object] = json.load(answer)
        return found

    assert (await asyncio.to_thread(get, "jsz"))["config"]["sync_always"] is True  # type: ignore[index]
    assert (await asyncio.to_thread(get, "varz"))["max_payload"] == MAX_PAYLOAD_BYTES


async def test_postgres_keeps_committed_rows_through_sigkill(tmp_path: Path) -> None:
    async with PostgresServer(tmp_path / "postgres") as server:
        url = server.url
        connection = await asyncpg.connect(url)
        assert await connection.fetchval("SHOW fsync") == "on"
        assert (await connection.fetchval("SHOW server_version")).startswith("18")
        await connection.execute("CREATE TABLE t (n int); INSERT INTO t VALUES (7)")
        await server.kill()
        await server.start()
        assert server.url == url
        connection = await asyncpg.connect(url)
        assert await connection.fetchval("SELECT n FROM t") == 7
        await connection.close()


async def test_postgres_starts_though_folders_are_closed_to_other_accounts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    monkeypatch.setattr("tempfile.tempdir", str(closed))
    async with PostgresServer(closed / "postgres") as server:
        assert server.running
    assert closed.stat().st_mode & 0o777 == 0o700


async def test_postgres_asks_for_its_password(postgres: PostgresServer) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(f"postgresql://commons:guess@127.0.0.1:{postgres.port}/postgres")


async def test_postgres_says_so_when_its_password_file_is_gone(tmp_path: Path) -> None:
    async with PostgresServer(tmp_path / "postgres"):
        pass
    (tmp_path / "postgres" / "password").unlink()
    with pytest.raises(StartFailed, match="Put the file back"):
        await PostgresServer(tmp_path / "postgres").start()
    assert (tmp_path / "postgres" / "data" / "PG_VERSION").exists()


async def test_stop_ends_the_process_in_order_and_may_be_repeated(server: Server) -> None:
    await server.start()
    pid = server.pid
    await server.stop()
    await server.stop()
    assert server.returncode == 0
    assert not psutil.pid_exists(pid)


async def test_a_second_server_on_the_same_folder_is_refused(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Server, "start_seconds", 0.05)
    second = type(server)(server.folder)
    monkeypatch.setattr(server, "start_seconds", 30)
    async with server:
        with pytest.raises(StartFailed, match=f"as process {server.pid}"):
            await second.start()


async def test_start_of_a_running_server_changes_nothing(server: Server) -> None:
    async with server:
        pid = server.pid
        await server.start()
        assert server.pid == pid


async def test_a_taken_port_is_named_with_the_folder_and_the_servers_own_words(tmp_path: Path) -> None:
    for kind in (NatsServer, PostgresServer):
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
            server = kind(tmp_path / kind.name, port=port)
            with pytest.raises(StartFailed) as failure:
                await server.start()
        for part in (kind.name, str(port), str(tmp_path), "ddress already in use"):
            assert part in failure.value.detail
        assert not server.running


async def test_another_port_is_chosen_when_a_free_one_was_taken_meanwhile(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        choices = iter([taken])
        monkeypatch.setattr("services.local.server.free_port", lambda: next(choices, None) or free_port())
        async with server:
            assert server.port != taken


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal is Linux's")
async def test_servers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    script = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from services.local.nats import NatsServer\n"
        "from services.local.postgres import PostgresServer\n"
        "async def main():\n"
        "    for kind in (NatsServer, PostgresServer):\n"
        "        server = kind(Path(sys.argv[1]) / kind.name)\n"
        "        await server.start()\n"
        "        print(server.pid, flush=True)\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(tmp_path), stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert parent.stdout is not None
    children = [psutil.Process(int(await parent.stdout.readline())) for _ in range(2)]
    family = children + [grandchild for child in children for grandchild in child.children(recursive=True)]
    assert len(family) > 3
    parent.send_signal(signal.SIGKILL)
    await parent.wait()
    for kind in (NatsServer, PostgresServer):  # the next owner waits until they are gone
        async with kind(tmp_path / kind.name) as successor:
            assert successor.running
    async with asyncio.timeout(20):
        while any(_lives(process) for process in family):
            await asyncio.sleep(0.01)


async def test_a_child_that_will_not_stop_is_ended_with_all_its_children(tmp_path: Path) -> None:
    script = "trap '' TERM; sleep 600 & echo ready; wait; sleep 600"
    child = ChildProcess("stubborn", ["/bin/sh", "-c", script], log=tmp_path / "log")
    while "ready" not in child.last_words():
        await asyncio.sleep(0.01)
    family = [psutil.Process(child.pid), *psutil.Process(child.pid).children(recursive=True)]
    assert len(family) == 2
    assert await child.stop(timeout=0.1) == -signal.SIGKILL
    assert not any(_lives(process) for process in family)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
