"""The witness as a process of its own, in a folder of its own. Of the ledger it needs the logs' public keys alone.

WITNESS/witness.key, .key.pub   its key, made at the first start, and the public key for those who verify
WITNESS/logs                    the public keys of the logs it cosigns, one a line
WITNESS/witness.sqlite          what it cosigned last of each, and checkpoints that did not continue their log

A witness never goes back: set back to an older copy, it would cosign a second history. Lost, it begins anew, with
another key.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, Final

import structlog
from prometheus_client import Counter, make_asgi_app

from services.auditor.notes import BadKey, Cosigner, Kind, Verifier
from services.auditor.witness import MAX_REQUEST_BYTES, Witness
from shared.errors import Misconfigured
from shared.webserver import listen

KEY_FILE: Final = "witness.key"
LOGS_FILE: Final = "logs"
DATABASE_FILE: Final = "witness.sqlite"

_READ_SECONDS: Final = 10.0
_MAX_REQUESTS: Final = 100
"""So many checkpoints are answered at once; who comes then is told to try again (503)."""

_TEXT: Final = "text/plain; charset=utf-8"
_ANSWERS: Final = Counter("commons_witness_answers_total", "Checkpoints answered, by HTTP status.", ["status"])
_ANSWERS.labels("422")  # told as 0 from the start, so that the first one is seen to be one more

log = structlog.get_logger(__name__)


def open_witness(folder: Path, name: str | None, logs: Iterable[str]) -> Witness:
    """The witness of a folder, begun at the first start; `logs` are public keys, or files of them, to know from now on.

    Raises Misconfigured when the folder, its key or one of the logs' keys cannot be used.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        cosigner = _key(folder / KEY_FILE, name)
        _add(folder / LOGS_FILE, [_verifier(log) for log in logs])
        known(folder)
        return Witness(folder / DATABASE_FILE, cosigner, partial(known, folder))
    except OSError as error:
        raise Misconfigured(f"The folder {folder} cannot be used: {error.strerror or error}.") from error
    except sqlite3.Error as error:
        raise Misconfigured(f"{folder / DATABASE_FILE} cannot be used: {error}.") from error


async def serve(witness: Witness, host: str, port: int, started: Callable[[str], None]) -> None:
    """Answer until SIGINT or SIGTERM; `started` is told the URL. Raises Misconfigured when nobody can listen there."""
    try:
        await listen(WitnessHttp(witness), host, port, lambda at: started(f"http://{host}:{at}"))
    finally:
        witness.close()


def known(folder: Path) -> list[Verifier]:
    """The public keys of the logs that a witness's folder names. Raises Misconfigured, naming the line."""
    path = folder / LOGS_FILE
    if not path.exists():
        return []
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip():
            try:
                found.append(_of_log(line.strip()))
            except BadKey as error:
                raise Misconfigured(f"{path}, line {number}: {error.detail}", path=str(path)) from error
    return found


def _key(path: Path, name: str | None) -> Cosigner:
    if not path.exists():
        if (path.parent / DATABASE_FILE).exists():
            raise Misconfigured(
                f"The key {path} is gone, and this witness cosigned with it. Put it back, or begin in another folder."
            )
        if name is None:
            raise Misconfigured("A new witness needs a name, such as chapter-b.example/witness. Give it with --name.")
        Cosigner.generate(name).write(path)
    cosigner = Cosigner.read(path)
    if name is not None and name != cosigner.name:
        raise Misconfigured(
            f"The witness in {path.parent} is {cosigner.name}. Leave --name out, or begin in another folder."
        )
    return cosigner


def _verifier(given: str) -> Verifier:
    """The public key that is given, or the one in the file that is named."""
    text, path = given, Path(given)
    if "+" not in given or path.is_file():
        try:
            text = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise Misconfigured(f"{given[:200]} is neither a log's public key nor a file of one: {error}.") from error
    return _of_log(text)


def _of_log(text: str) -> Verifier:
    verifier = Verifier.parse(text)
    if verifier.kind is not Kind.ED25519:
        raise BadKey(f"The key of {verifier.name} is a witness's; a log's is of type {Kind.ED25519:#04x}.")
    return verifier


def _add(path: Path, verifiers: Iterable[Verifier]) -> None:
    """Name more logs in the file; those that stand there are left."""
    before = known(path.parent)
    more = [one for one in dict.fromkeys(verifiers) if one not in before]
    if more:
        fresh = path.with_name(path.name + ".new")
        with fresh.open("w", encoding="utf-8") as file:
            file.writelines(f"{one}\n" for one in [*before, *more])
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)


class WitnessHttp:
    """The witness over HTTP: add-checkpoint, the last checkpoint of each log, health and metrics."""

    def __init__(self, witness: Witness) -> None:
        self._witness = witness
        self._metrics = make_asgi_app()
        self._turns = asyncio.Semaphore(_MAX_REQUESTS)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path, method = scope["path"], scope["method"]
        if path == "/metrics":
            await self._metrics(scope, receive, send)
            return
        if path == "/add-checkpoint" and method == "POST":
            answer = await self._add_checkpoint(receive)
        elif path == "/add-checkpoint":
            answer = _plain(405, "Checkpoints are sent with POST.")
        elif method not in ("GET", "HEAD"):
            answer = _plain(405, "This is read with GET.")
        elif path == "/healthz":
            answer = _plain(200, "ok")
        elif path.endswith("/checkpoint") and path.count("/") == 2:
            answer = await self._latest(path.split("/")[1])
        else:
            answer = _plain(
                404, "There are /add-checkpoint, /<SHA-256 of an origin>/checkpoint, /healthz and /metrics."
            )
        status, body, content_type = answer
        headers = [(b"content-type", content_type.encode()), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})

    async def _add_checkpoint(self, receive: Any) -> tuple[int, bytes, str]:
        try:
            async with asyncio.timeout(_READ_SECONDS):
                body = await _body(receive)
        except TimeoutError:
            return _plain(408, f"The request did not arrive within {_READ_SECONDS:.0f} s.")
        if self._turns.locked():  # counted when they are whole: who sends slowly keeps nobody out
            _ANSWERS.labels("503").inc()
            return _BUSY
        async with self._turns:
            answer = await asyncio.to_thread(self._witness.add_checkpoint, body)
        _ANSWERS.labels(str(answer.status)).inc()
        return answer.status, answer.body, answer.content_type

    async def _latest(self, origin_hash: str) -> tuple[int, bytes, str]:
        if self._turns.locked():
            return _BUSY
        async with self._turns:
            note = await asyncio.to_thread(self._witness.latest, origin_hash)
        return _plain(404, "No checkpoint of such a log was cosigned.") if note is None else (200, note, _TEXT)


def _plain(status: int, text: str) -> tuple[int, bytes, str]:
    return status, f"{text}\n".encode(), _TEXT


_BUSY: Final = _plain(503, f"{_MAX_REQUESTS} checkpoints are being answered. Ask again later.")


async def _body(receive: Any) -> bytes:
    """The body. Of one that is too long just so much is kept that it can be told, and the rest read and dropped: who is
    still sending would not see the answer."""
    found = bytearray()
    more = True
    while more:
        message = await receive()
        if len(found) <= MAX_REQUEST_BYTES:
            found += message.get("body", b"")
        more = message.get("more_body", False)
    return bytes(found)
