"""Logs of tests as an auditor leaves them, with events that know their aggregates."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from services.auditor.checkpoint import Checkpoint
from services.auditor.history import History
from services.auditor.layout import log_folder, log_vkey
from services.auditor.notes import Note, Signer
from services.auditor.tiles import TileLog

MOMENT = datetime(2026, 11, 26, 9, 30, tzinfo=UTC)


def log_signer(service: str, seed: int = 0) -> Signer:
    return Signer(f"pantry/commons/{service}", bytes([seed]) * 32)


def chained(count: int, *, aggregates: int = 7, filler: int = 90) -> list[bytes]:
    """Events of several aggregates in turn, each naming the one before it, of different lengths."""
    last: dict[str, tuple[int, str]] = {}
    made = []
    for number in range(count):
        subject = f"stock/a-{number % aggregates}"
        revision, previous = last.get(subject, (0, "0" * 64))
        event = {"subject": subject, "revision": revision + 1, "prevhash": previous, "n": number}
        raw = json.dumps(event | {"filler": "x" * (number % filler)}).encode()
        last[subject] = (revision + 1, hashlib.sha256(raw).hexdigest())
        made.append(raw)
    return made


def write_log(logs: Path, service: str, events: Iterable[bytes], *, every: int = 1000, seed: int = 0) -> None:
    """Append events to a service's log in a folder, and publish a checkpoint of each `every` of them."""
    signer, folder, new = log_signer(service, seed), log_folder(logs, service), list(events)
    history = History(folder)
    log_vkey(folder).parent.mkdir(parents=True, exist_ok=True)
    log_vkey(folder).write_text(f"{signer.verifier}\n")
    with TileLog.open(folder) as log:
        for start in range(0, len(new), every):
            log.append(new[start : start + every])
            text = Checkpoint(signer.name, log.size, log.root_at(log.size)).text()
            note = Note(text, [signer.sign(text)]).to_bytes()
            log.publish(note)
            history.add(note, MOMENT)


def files(folder: Path) -> dict[str, bytes]:
    """Everything that stands in a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def subject_of(raw: bytes, service: str = "inventory") -> str:
    found: dict[str, Any] = json.loads(raw)
    category, _, aggregate = found["subject"].partition("/")
    return f"ledger.{service}.{category}.{aggregate}"
