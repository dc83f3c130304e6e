"""What somebody does to a ledger who may do anything to its files and servers, and knows its formats."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import nats
from nats.aio.client import Client

from services.auditor.checkpoint import Checkpoint, unverified
from services.auditor.history import History
from services.auditor.layout import history_folder, log_folder
from services.auditor.notes import Note, Signer
from services.auditor.tiles import CHECKPOINT, TileLog, Tiles
from shared.event import FIRST_PREVHASH, Envelope, decode_envelope
from shared.store import stream_name

Edit = Callable[[list[bytes]], None]


# -- events -----------------------------------------------------------------------------------------------------------


def about(raw: bytes) -> str:
    """The aggregate that an event is about, as `stock/rice:main`."""
    return decode_envelope(raw).subject


def places(raws: Sequence[bytes], aggregate: str) -> list[int]:
    """Where the events of an aggregate are, from 0 on."""
    return [at for at, raw in enumerate(raws) if about(raw) == aggregate]


def changed(raw: bytes, before: bytes, after: bytes, times: int = 1) -> bytes:
    """An event, or a file of some, with one thing put for another in its bytes, which must be there so many times."""
    assert raw.count(before) == times, (before, raw)
    return raw.replace(before, after)


def rechained(raws: Iterable[bytes]) -> list[bytes]:
    """The events with revisions and hashes of predecessors that fit, as whoever rewrites a history writes them."""
    last: dict[str, tuple[int, str]] = {}
    made = []
    for raw in raws:
        event = json.loads(raw)
        revision, previous = last.get(event["subject"], (0, FIRST_PREVHASH))
        fitting = raw
        if (event["revision"], event["prevhash"]) != (revision + 1, previous):
            fitting = msgspec.json.encode(event | {"revision": revision + 1, "prevhash": previous})
        last[event["subject"]] = (revision + 1, sha256(fitting).hexdigest())
        made.append(fitting)
    return made


def forked(raw: bytes) -> bytes:
    """Another event of the same revision, behind the same event: as well made as the first."""
    event = json.loads(raw)
    event["id"] = event["id"][:-1] + ("0" if event["id"][-1] != "0" else "1")
    event["authid"] = "mallory"
    forged = msgspec.json.encode(event)
    assert isinstance(decode_envelope(forged), Envelope)
    return forged


# -- copies of logs ---------------------------------------------------------------------------------------------------


def entries(logs: Path, service: str) -> list[bytes]:
    """The events of a service's log."""
    folder = log_folder(logs, service)
    return list(Tiles.of_folder(folder, unverified((folder / CHECKPOINT).read_bytes()).size).entries())


def rewrite(copy: Path, service: str, edit: Edit, signer: Signer | None = None) -> Path:
    """Make a log of a copy anew after an edit, all tiles of one piece; gives back its folder.

    Its checkpoints stay what they were; with the log's own key the newest one is signed again, as if there never was
    another history.
    """
    folder = log_folder(copy, service)
    note, raws = (folder / CHECKPOINT).read_bytes(), entries(copy, service)
    edit(raws)
    shutil.rmtree(folder / "tile")
    (folder / CHECKPOINT).unlink()
    with TileLog.open(folder) as log:
        log.append(raws)
        if signer is not None:
            text = Checkpoint(signer.name, log.size, log.root_at(log.size)).text()
            note = Note(text, [signer.sign(text)]).to_bytes()
            shutil.rmtree(history_folder(folder))
            History(folder).add(note, datetime.now(UTC))
    (folder / CHECKPOINT).write_bytes(note)
    return folder


# -- streams ----------------------------------------------------------------------------------------------------------


def events_in(url: str, service: str) -> list[bytes]:
    """The events of a stream."""

    async def read(nc: Client) -> list[bytes]:
        last = (await nc.jetstream().stream_info(stream_name(service))).state.last_seq
        found = [await nc.jetstream().get_msg(stream_name(service), seq) for seq in range(1, last + 1)]
        return [message.data or b"" for message in found]

    return _as_administrator(url, read)


def recreate(url: str, service: str, raws: Sequence[bytes]) -> None:
    """Delete a stream, and make it anew with these events: same name, same configuration."""

    async def work(nc: Client) -> None:
        config = (await _api(nc, f"STREAM.INFO.{stream_name(service)}"))["config"]
        await _api(nc, f"STREAM.DELETE.{stream_name(service)}")
        await _api(nc, f"STREAM.CREATE.{stream_name(service)}", config)
        for raw in raws:
            await _append(nc, service, raw)

    _as_administrator(url, work)


def append(url: str, service: str, raw: bytes) -> int:
    """Put an event behind the others, past the service that decides; gives back its sequence."""
    return _as_administrator(url, lambda nc: _append(nc, service, raw))


def delete(url: str, service: str) -> None:
    """Delete a stream."""
    _as_administrator(url, lambda nc: _api(nc, f"STREAM.DELETE.{stream_name(service)}"))


def forget(url: str, service: str) -> None:
    """Take away what NATS knows of a log's last checkpoint."""

    async def work(nc: Client) -> None:
        await _api(nc, "STREAM.PURGE.KV_AUDIT", {"filter": f"$KV.AUDIT.checkpoint.{service}"})

    _as_administrator(url, work)


async def _append(nc: Client, service: str, raw: bytes) -> int:
    return (await nc.jetstream().publish(f"ledger.{service}.{about(raw).replace('/', '.', 1)}", raw)).seq


async def _api(nc: Client, call: str, body: Any = None) -> dict[str, Any]:
    reply = await nc.request(f"$JS.API.{call}", b"" if body is None else json.dumps(body).encode(), timeout=10)
    answer: dict[str, Any] = json.loads(reply.data)
    assert "error" not in answer, answer
    return answer


def _as_administrator(url: str, work: Callable[[Client], Any]) -> Any:
    async def run() -> Any:
        nc = await nats.connect(url)
        try:
            return await work(nc)
        finally:
            await nc.close()

    return asyncio.run(run())
