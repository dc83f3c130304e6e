"""Asks witnesses to cosign a log's checkpoints: the client's side of c2sp.org/tlog-witness.

A witness that is away, slow or misconfigured holds nothing up: it is asked again later. One that says that our
checkpoint is inconsistent with what it saw before is evidence of a changed log.
"""

from __future__ import annotations

import asyncio
import base64
import http.client
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import structlog

from services.auditor.checkpoint import Checkpoint, unverified
from services.auditor.notes import BadNote, Kind, Note, Signature, Verifier
from services.auditor.signing import Inconsistent
from services.auditor.tiles import Tiles
from shared.errors import LedgerError, Misconfigured

TIMEOUT_SECONDS: Final = 0.5
"""How long a checkpoint waits for its witnesses; who answers later signs the next."""

PAUSES: Final = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds until a witness that failed is asked again, the first time, the second …"""

_LONGEST_ANSWER: Final = 64 << 10
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,100}")
_SIZE: Final = re.compile(rb"(0|[1-9][0-9]{0,18})\n?")

log = structlog.get_logger(__name__)


class WitnessFailed(Exception):
    """A witness gave no cosignature; nothing follows from it."""


@dataclass(frozen=True, slots=True)
class Witness:
    """A witness as its operator names it: the name is ours alone, the key is its own, the URL takes /add-checkpoint."""

    name: str
    verifier: Verifier
    url: str


def read_witnesses(path: Path) -> list[Witness]:
    """The witnesses of a policy file (c2sp.org/tlog-policy): its lines `witness NAME VKEY URL`.

    Other lines (log, group, quorum) are for those who verify. Raises Misconfigured, naming the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"The file of witnesses {path} cannot be read: {error}.", path=str(path)) from error
    found: list[Witness] = []
    for number, line in enumerate(lines, 1):
        words = line.split()
        if words[:1] == ["witness"]:
            found.append(_witness(words[1:], f"{path}, line {number}"))
    if len({one.name for one in found}) < len(found) or len({one.verifier.public for one in found}) < len(found):
        raise Misconfigured(f"{path} names a witness twice: each has a name and a key of its own.", path=str(path))
    return found


def _witness(words: list[str], where: str) -> Witness:
    if len(words) != 3 or not _NAME.fullmatch(words[0]) or not re.match(r"https?://[^\s/]", words[2]):
        raise Misconfigured(
            f"{where}: a witness is named as `witness NAME VKEY URL`, the URL with http:// or https://."
        )
    verifier = Verifier.parse(words[1])
    if verifier.kind is not Kind.COSIGNATURE:
        raise Misconfigured(f"{where}: the key of {words[0]} is not one that cosigns (type 0x04).")
    return Witness(words[0], verifier, words[2].rstrip("/"))


@dataclass(slots=True)
class Standing:
    """How it goes with one witness and one log: the size it cosigned last, and since when it does not answer.

    `cosignature` is on our own checkpoint of that size; None when only the witness says that it cosigned one.
    """

    witness: Witness
    size: int = 0
    cosignature: Signature | None = None
    failures: int = 0
    again_at: float = 0.0
    trouble: str = ""
    busy: bool = False
    inconsistent: Inconsistent | None = None
    connection: http.client.HTTPConnection | None = field(default=None, repr=False)

    def lacks(self, size: int) -> bool:
        """Whether it has not cosigned the log at a size."""
        return self.cosignature is None or self.size != size


class Witnessing:
    """All witnesses of one log."""

    def __init__(self, witnesses: Iterable[Witness], *, timeout: float = TIMEOUT_SECONDS) -> None:
        self.standings = [Standing(witness) for witness in witnesses]
        self._timeout = timeout

    def remember(self, note: bytes) -> None:
        """Take from a published checkpoint who cosigned it."""
        parsed = Note.parse(note)
        size = unverified(note).size
        for standing in self.standings:
            if signed := parsed.verified([standing.witness.verifier]):
                standing.size, standing.cosignature = size, signed[0]

    def due(self, size: int) -> bool:
        """Whether a witness that has not cosigned the log at this size should be asked now."""
        now = time.monotonic()
        return any(one.lacks(size) and one.again_at <= now for one in self.standings)

    async def cosign(self, note: Note, tiles: Tiles) -> list[Signature]:
        """The cosignatures on a checkpoint of the log, of all witnesses that gave theirs in time or before.

        Raises Inconsistent when a witness cosigned another history.
        """
        checkpoint = Checkpoint.parse(note.text)
        now = time.monotonic()
        asked = [one for one in self.standings if one.lacks(checkpoint.size) and one.again_at <= now and not one.busy]
        if asked:
            asking = [asyncio.to_thread(self._ask, one, note, checkpoint, tiles) for one in asked]
            await asyncio.wait(map(asyncio.ensure_future, asking), timeout=self._timeout)
        for one in self.standings:
            if one.inconsistent is not None:
                inconsistent, one.inconsistent = one.inconsistent, None
                raise inconsistent
        return [one.cosignature for one in self.standings if one.cosignature and one.size == checkpoint.size]

    def ahead(self, size: int) -> Standing | None:
        """A witness that says to have cosigned more events than there are."""
        return next((one for one in self.standings if one.size > size), None)

    def close(self) -> None:
        for standing in self.standings:
            _hang_up(standing)

    def _ask(self, one: Standing, note: Note, checkpoint: Checkpoint, tiles: Tiles) -> None:
        """In a thread of its own, which may end after nobody waits for it any more."""
        one.busy = True
        try:
            one.cosignature = self._cosigned(one, note, checkpoint, tiles)
            one.size, one.failures, one.again_at, one.trouble = checkpoint.size, 0, 0.0, ""
        except Inconsistent as inconsistent:
            one.inconsistent = inconsistent
        except (WitnessFailed, LedgerError, OSError, http.client.HTTPException) as error:
            one.again_at = time.monotonic() + PAUSES[min(one.failures, len(PAUSES) - 1)]
            one.failures += 1
            one.trouble = str(error) or type(error).__name__
            if one.failures == 1:
                log.warning(
                    "a witness did not cosign", witness=one.witness.name, log=checkpoint.origin, reason=one.trouble
                )
        finally:
            one.busy = False

    def _cosigned(self, one: Standing, note: Note, checkpoint: Checkpoint, tiles: Tiles) -> Signature:
        """Ask, and once more with the size that the witness names when it remembers another one."""
        old = min(one.size, checkpoint.size)
        for _ in range(3):
            status, answer = self._post(one, _request(note, checkpoint, old, tiles))
            if status == 200:
                return _cosignature(one.witness, note, answer)
            if status == 422:
                raise Inconsistent(
                    f"The witness {one.witness.name} cosigned {checkpoint.origin} at {old:,} events, and what it is "
                    f"shown at {checkpoint.size:,} does not begin with that: it was shown another history",
                    sequence=old,
                )  # fmt: skip
            if status != 409:
                raise WitnessFailed(f"it answered {status}: {answer[:200].decode(errors='replace').strip()}")
            if not _SIZE.fullmatch(answer):
                raise WitnessFailed("it answered 409 without the size it cosigned")
            old = int(answer)
            if old > checkpoint.size:  # we forgot what we signed, or are still reading the stream
                one.size, one.cosignature = old, None
                raise WitnessFailed(f"it has cosigned {old:,} events already")
        raise WitnessFailed("it names another size each time: somebody else shows it this log")

    def _post(self, one: Standing, body: bytes) -> tuple[int, bytes]:
        parts = urlsplit(one.witness.url)
        for fresh in (False, True):
            if one.connection is None:
                kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
                one.connection = kind(parts.netloc, timeout=self._timeout)
                fresh = True
            try:
                one.connection.request("POST", f"{parts.path}/add-checkpoint", body)
                answer = one.connection.getresponse()
                return answer.status, answer.read(_LONGEST_ANSWER)
            except (OSError, http.client.HTTPException) as error:
                _hang_up(one)
                if fresh or isinstance(error, TimeoutError):  # else it may just have closed an idle connection
                    raise
        raise WitnessFailed("it closed the connection")


def _request(note: Note, checkpoint: Checkpoint, old: int, tiles: Tiles) -> bytes:
    proof = tiles.consistency_proof(old, checkpoint.size)
    lines = [f"old {old}", *(base64.b64encode(node).decode() for node in proof)]
    return "".join(line + "\n" for line in lines).encode() + b"\n" + note.to_bytes()


def _cosignature(witness: Witness, note: Note, answer: bytes) -> Signature:
    """The witness's signature in its answer, checked. Raises WitnessFailed."""
    try:
        lines = answer.decode().removesuffix("\n").split("\n")
        signed = Note(note.text, [Signature.parse(line) for line in lines]).verified([witness.verifier])
    except (UnicodeDecodeError, BadNote) as error:
        raise WitnessFailed(f"its answer is no cosignature: {error}") from error
    if not signed or signed[0].time == 0:
        raise WitnessFailed("its answer has no cosignature by the key it is known by")
    return signed[0]


def _hang_up(one: Standing) -> None:
    if one.connection is not None:
        one.connection.close()
        one.connection = None
