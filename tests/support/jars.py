"""A small ledger of jars of sweets, and the log that an auditor makes of it: whole, or with something wrong in it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import msgspec

from services.auditor.checkpoint import Checkpoint
from services.auditor.notes import Cosigner, Note, Signer
from services.auditor.tiles import CHECKPOINT, TileLog
from shared.contract import Contract
from shared.decider import Decider
from shared.event import FIRST_PREVHASH, Envelope, encode, event_id, sha256, timestamp
from shared.types import Delta, Id
from tests.support.moments import NOON

toy = Contract("toy")


@toy.event(category="jar")
class Counted:
    """Sweets went in or out; `left` is how many there are then."""

    jar: Id
    change: Delta
    left: Delta | None = None


toy.freeze()


@dataclass
class Jar:
    sweets: int = 0


def _evolve(state: Jar, event: Any) -> Jar:
    state.sweets += event.change
    return state


def _check(state: Jar) -> list[str]:
    return ["it is below nothing"] if state.sweets < 0 else []


def _check_after(state: Jar, event: Any) -> list[str]:
    return [f"the event says {event.left} are left"] if event.left not in (None, state.sweets) else []


jar: Final = Decider(toy, "jar", Jar, Jar, lambda *_: None, _evolve, _check, check_after=_check_after)

AUDITED: Final = {"toy": (toy, (jar,))}
LOG: Final = Signer("pantry/commons/toy", bytes(range(32)))
WITNESSES: Final = (Cosigner("east/witness", bytes([7] * 32)), Cosigner("west/witness", bytes([8] * 32)))


@dataclass
class Jars:
    """Writes a stream's events, and lets one of them be wrong."""

    raws: list[bytes] = field(default_factory=list)
    last: dict[str, tuple[int, str]] = field(default_factory=dict)

    @classmethod
    def filled(cls, events: int, jars: int = 7) -> Jars:
        """A whole ledger: each jar gets sweets in turn, and says how many it has."""
        made = cls()
        for number in range(events):
            made.add(f"j{number % jars}", 1, left=number // jars + 1)
        return made

    def add(self, id_: str, change: int, left: int | None = None, **wrong: Any) -> Jars:
        """Append an event; `wrong` are members of its envelope that shall be others."""
        subject = f"ledger.toy.jar.{id_}"
        revision, hash_ = self.last.get(id_, (0, FIRST_PREVHASH))
        members: dict[str, Any] = {
            "specversion": "1.0", "id": event_id(subject, str(len(self.raws))), "source": "/commons/local/toy",
            "type": "commons.toy.counted.v1", "subject": f"jar/{id_}", "time": timestamp(NOON), "dataschema": "urn:x",
            "datacontenttype": "application/json", "revision": revision + 1, "prevhash": hash_, "correlationid": "1",
            "causationid": "1", "authtype": "user", "authid": "sam", "data": Counted(jar=id_, change=change, left=left),
        }  # fmt: skip
        raw = encode(Envelope(**members | wrong))
        self.last[id_] = (revision + 1, sha256(raw))
        self.raws.append(raw)
        return self

    def __getitem__(self, sequence: int) -> bytes:
        return self.raws[sequence - 1]


def first_event(contract: Contract, name: str, event: Any) -> bytes:
    """The bytes of an aggregate's first event, of any contract."""
    return encode(
        Envelope(
            specversion="1.0", id=event_id(name, "c"), source=f"/commons/local/{contract.service}",
            type=contract.spec_of(event).type,
            subject=name, time=timestamp(NOON), dataschema="urn:x", datacontenttype="application/json", revision=1,
            prevhash=FIRST_PREVHASH, correlationid="1", causationid="1", authtype="user", authid="sam", data=event,
        )
    )  # fmt: skip


def write_log(
    logs: Path, raws: Sequence[bytes], *, every: int = 100, cosigned: int = 2, signer: Signer = LOG, first: int = 0
) -> Path:
    """The log of these events, with a checkpoint every so many of them; the folder of the log.

    `first` are so many events under the first checkpoint, when it should not be `every`.
    """
    folder = logs / "toy"
    (folder / "keys").mkdir(parents=True)
    (folder / "checkpoints").mkdir()
    (folder / "keys" / "log.vkey").write_text(f"{signer.verifier}\n")
    for witness in WITNESSES:
        (folder / "keys" / f"witness-{witness.name.split('/')[0]}.vkey").write_text(f"{witness.verifier}\n")
    done, size = 0, first or every
    with TileLog.open(folder) as log:
        while done < len(raws):
            log.append(raws[done:size])
            done, size = log.size, log.size + every
            note = signed(log, signer=signer, cosigned=cosigned)
            log.publish(note)
            publish(folder, note)
    shutil.rmtree(folder / ".tmp")
    return folder


def signed(log: TileLog, *, signer: Signer = LOG, cosigned: int = 2) -> bytes:
    """A checkpoint of a log as it is."""
    return note_of(log.size, log.root_at(log.size), signer=signer, cosigned=cosigned)


def note_of(size: int, root: bytes, *, signer: Signer = LOG, cosigned: int = 2) -> bytes:
    text = Checkpoint(signer.name, size, root).text()
    seconds = int((NOON + timedelta(seconds=size)).timestamp())
    seen = [witness.sign(text, seconds) for witness in WITNESSES[:cosigned]]
    return Note(text, [signer.sign(text), *seen]).to_bytes()


def publish(folder: Path, note: bytes, day: str = "2026-11-20") -> None:
    """Add a checkpoint to the history."""
    with (folder / "checkpoints" / f"{day}.jsonl").open("ab") as file:
        file.write(msgspec.json.encode({"time": NOON.isoformat(), "note": note.decode()}) + b"\n")


def history(folder: Path) -> list[bytes]:
    """The notes of all checkpoints."""
    lines = (folder / "checkpoints" / "2026-11-20.jsonl").read_bytes().splitlines()
    return [msgspec.json.decode(line)["note"].encode() for line in lines]


def newest(folder: Path) -> bytes:
    return (folder / CHECKPOINT).read_bytes()
