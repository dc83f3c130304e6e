"""A pantry's ledger as its auditor keeps it, made without a server: the deciders decide, and tiles are written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

import msgspec

from bench import pantry
from services.auditor.checkpoint import Checkpoint
from services.auditor.notes import Cosigner, Note, Signer
from services.auditor.tiles import TileLog
from services.inventory.contract import inventory
from services.inventory.deciders import DECIDERS
from shared.decider import Context, Ref
from shared.event import FIRST_PREVHASH, Envelope, encode, event_id, sha256, timestamp

ORIGIN: Final = "bench/commons/inventory"
LOG: Final = Signer(ORIGIN, bytes(32))
WITNESSES: Final = (Cosigner("bench/witness-1", bytes([1] * 32)), Cosigner("bench/witness-2", bytes([2] * 32)))
_FIRST: Final = datetime(2026, 1, 1, 8, tzinfo=UTC)
_APART: Final = timedelta(seconds=2)


def events(count: int, items: int) -> Iterator[bytes]:
    """A pantry's first events, as the service would have stored them."""
    deciders = {one.category: one for one in DECIDERS}
    states: dict[Ref, Any] = {}
    ends: dict[Ref, tuple[int, str]] = {}
    made, now = 0, _FIRST
    for number, command in enumerate(chain(pantry.catalogue(items), pantry.traffic(2 * count, items))):
        spec = inventory.command_of(command)
        ref, decider = Ref(spec.category, spec.aggregate(command)), deciders[spec.category]
        reads = {each: states.get(each) or deciders[each.category].initial() for each in decider.reads(command)}
        now += _APART
        state = states.get(ref) or decider.initial()
        event = decider.decide(command, state, Context(now, actor="bench", states=reads))
        if event is None:
            continue
        states[ref] = decider.evolve(state, event)
        revision, hash_ = ends.get(ref, (0, FIRST_PREVHASH))
        type_, subject = inventory.spec_of(event).type, f"ledger.inventory.{ref.category}.{ref.id}"
        raw = encode(
            Envelope(
                specversion="1.0", id=event_id(subject, f"c-{number}"), source="/commons/bench/inventory", type=type_,
                subject=f"{ref.category}/{ref.id}", time=timestamp(now), dataschema=f"urn:commons:schema:{type_}",
                datacontenttype="application/json", revision=revision + 1, prevhash=hash_,
                correlationid=f"c-{number}", causationid=f"c-{number}", authtype="user", authid="bench",
                data=msgspec.Raw(msgspec.json.encode(event)),
            )
        )  # fmt: skip
        ends[ref] = (revision + 1, sha256(raw))
        yield raw
        made += 1
        if made == count:
            return


def write(folder: Path, entries: Iterable[bytes], *, each: int) -> int:
    """Write a log with a cosigned checkpoint every so many entries, as the auditor would; gives its size."""
    history = folder / "checkpoints" / f"{_FIRST:%Y-%m-%d}.jsonl"
    keys = folder / "keys"
    for made in (history.parent, keys):
        made.mkdir(parents=True)
    (keys / "log.vkey").write_text(f"{LOG.verifier}\n")
    for number, witness in enumerate(WITNESSES, 1):
        (keys / f"witness-{number}.vkey").write_text(f"{witness.verifier}\n")
    todo, moment = iter(entries), _FIRST
    with TileLog.open(folder) as log, history.open("wb") as lines:
        while part := list(islice(todo, each)):
            size = log.append(part)
            text = Checkpoint(ORIGIN, size, log.root_at(size)).text()
            moment += timedelta(seconds=1)
            seconds = int(moment.timestamp())
            note = Note(text, [LOG.sign(text), *(one.sign(text, seconds) for one in WITNESSES)]).to_bytes()
            log.publish(note)
            lines.write(msgspec.json.encode({"time": moment.isoformat(), "note": note.decode()}) + b"\n")
        return log.size
