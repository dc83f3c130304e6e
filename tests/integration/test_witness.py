"""`commons witness` as a process: it answers over HTTP, is killed, and never goes back behind what it cosigned."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from services.auditor.checkpoint import open_checkpoint
from services.auditor.notes import Verifier
from tests.support.witnesses import LEAVES, LOG, request

ROOT = Path(__file__).parents[2]
COMMONS = [sys.executable, "-m", "services.cli", "witness"]


@contextmanager
def running(folder: Path, *arguments: str, kill: bool = False) -> Iterator[dict[str, Any]]:
    """A witness, and what it says of itself when it has started."""
    command = [*COMMONS, "--folder", str(folder), "--port", "0", "--json", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stderr is not None
    try:
        said = process.stdout.readline()
        assert said, process.stderr.read()
        yield json.loads(said)
    finally:
        (process.kill if kill else process.terminate)()
        code = process.wait(20)
        process.stdout.close()
        process.stderr.close()
    assert code == (-9 if kill else 0)


def ask(url: str, body: bytes | None = None) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body), timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def refused(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [*COMMONS, "--folder", str(folder), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done
    return done.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "witness"


def test_killed_after_an_answer_it_still_knows_what_it_cosigned(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "log.vkey").write_text(f"{LOG.verifier}\n")
    first = ("--name", "chapter-b.example/witness", "--log", str(tmp_path / "log.vkey"))
    with running(folder, *first, kill=True) as said:
        assert said["logs"] == [LOG.name]
        status, answer = ask(f"{said['url']}/add-checkpoint", request(0, 9))
        assert status == 200 and answer.startswith("— chapter-b.example/witness ".encode())
        assert ask(f"{said['url']}/add-checkpoint", request(9, 40))[0] == 200
    with running(folder) as again:
        assert (again["key"], again["logs"]) == (said["key"], said["logs"])
        assert ask(f"{again['url']}/add-checkpoint", request(9, 20)) == (409, b"40\n")
        changed = [LEAVES[1], *LEAVES[1:]]
        assert ask(f"{again['url']}/add-checkpoint", request(40, 50, changed))[0] == 422
        status, note = ask(f"{again['url']}/{sha256(LOG.name.encode()).hexdigest()}/checkpoint")
        assert status == 200
        assert open_checkpoint(note, LOG.name, [Verifier.parse(again["key"])]).size == 40
        status, metrics = ask(f"{again['url']}/metrics")
        assert status == 200 and b'commons_witness_answers_total{status="422"} 1.0' in metrics
    shown = subprocess.run(
        [*COMMONS, "--folder", str(folder), "--show", "--json"], cwd=ROOT, capture_output=True, timeout=60, check=True
    )
    (seen,) = json.loads(shown.stdout)["logs"]
    assert (seen["origin"], seen["size"], seen["forks"], seen["unproven"]) == (LOG.name, 40, 0, 1)


def test_other_requests_are_answered_and_a_huge_one_is_not_read(folder: Path) -> None:
    with running(folder, "--name", "w.example", "--log", str(LOG.verifier)) as said:
        url = said["url"]
        assert ask(f"{url}/healthz")[0] == 200
        assert b'commons_witness_answers_total{status="422"} 0.0' in ask(f"{url}/metrics")[1]
        assert ask(f"{url}/add-checkpoint")[0] == 405
        assert ask(f"{url}/healthz", b"x")[0] == 405
        assert ask(f"{url}/../../etc/passwd")[0] == 404
        assert ask(f"{url}/{'0' * 64}/checkpoint")[0] == 404
        assert ask(f"{url}/add-checkpoint", b"old 0\n" + bytes(10 << 20))[0] == 413
        assert ask(f"{url}/add-checkpoint", request(0, 3))[0] == 200


def test_connections_without_a_request_keep_nobody_out(folder: Path) -> None:
    with running(folder, "--name", "w.example", "--log", str(LOG.verifier)) as said:
        port = int(said["url"].rpartition(":")[2])
        with ExitStack() as stack:
            idle = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(150)]
            idle[0].sendall(b"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\n")
            idle[1].sendall(b"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: 100\r\n\r\nold")
            assert ask(f"{said['url']}/add-checkpoint", request(0, 3))[0] == 200
            began = time.monotonic()
            for one in idle:
                one.settimeout(15)
                while one.recv(1000):
                    pass
            assert time.monotonic() - began < 13
        assert ask(f"{said['url']}/add-checkpoint", request(3, 5))[0] == 200


def test_what_it_cannot_begin_with_is_said(folder: Path, tmp_path: Path) -> None:
    assert "Give it with --name" in refused(folder)
    assert "is neither a log's public key nor a file of one" in refused(folder, "--name", "w.example", "--log", "no")
    with running(folder, "--log", str(LOG.verifier)) as said:
        port = said["url"].rpartition(":")[2]
        assert "cannot be listened at" in refused(folder, "--port", port)
        assert "is a witness's" in refused(folder, "--log", said["key"])
    assert "The witness in" in refused(folder, "--name", "another.example")
    (folder / "witness.key").unlink()
    assert "is gone" in refused(folder, "--name", "w.example")
    assert "There is no witness" in refused(tmp_path / "nowhere", "--show")
