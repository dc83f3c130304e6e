"""Asks witnesses to cosign a log's checkpoints: the client's side of c2sp.org/tlog-witness.

A witness that is away, slow, misconfigured or hostile holds nothing up: it is asked again later. What it says proves
nothing: evidence of a changed log is only a checkpoint that it publishes, signed by the log's own key, which is not one
of the log as it is now.
"""

from __future__ import annotations

import asyncio
import base64
import http.client
import re
import socket
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import structlog

from services.auditor.checkpoint import Checkpoint, open_checkpoint, unverified
from services.auditor.notes import BadNote, Kind, Note, Signature, Verifier
from services.auditor.signing import Inconsistent
from services.auditor.tiles import Tiles
from shared.errors import LedgerError, Misconfigured

TIMEOUT_SECONDS: Final = 0.5
"""How long a checkpoint waits for its witnesses; who answers later signs the next."""

LONGEST_SECONDS: Final = 2.0
"""How long all that a witness is asked for one checkpoint may take; then its connection is closed."""

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

    `cosignature` is on our own checkpoint of that size; `given` is the size of the last one that was handed out.
    """

    witness: Witness
    size: int = 0
    cosignature: Signature | None = None
    given: int = 0
    ahead: int = 0
    """The size of a checkpoint of more events than there are, which our key signed and the witness publishes."""
    failures: int = 0
    again_at: float = 0.0
    trouble: str = ""
    busy: bool = False
    until: float = 0.0
    """When its connection is closed, whatever it is sending (time.monotonic)."""
    inconsistent: Inconsistent | None = None
    connection: http.client.HTTPConnection | None = field(default=None, repr=False)
    socket: socket.socket | None = field(default=None, repr=False)

    def lacks(self, size: int) -> bool:
        """Whether it has not cosigned the log at a size."""
        return self.cosignature is None or self.size != size

    def due(self, size: int, now: float) -> bool:
        """Whether it should be asked now to cosign the log at a size."""
        return self.lacks(size) and self.again_at <= now and not self.busy

    def cut(self) -> None:
        """Wake the thread that waits for it, which then finds that there is no more time."""
        self.until = 0.0
        if self.socket is not None:
            with suppress(OSError):  # TLS's own shutdown would talk to the other side
                socket.socket.shutdown(self.socket, socket.SHUT_RDWR)


class Witnessing:
    """All witnesses of one log. They have threads of their own: slow ones must not take those that read files."""

    def __init__(self, witnesses: Iterable[Witness], *, timeout: float = TIMEOUT_SECONDS) -> None:
        self._witnesses = list(witnesses)
        self.standings = [Standing(witness) for witness in self._witnesses]
        self._timeout = timeout
        self._threads = ThreadPoolExecutor(max(1, len(self._witnesses)), thread_name_prefix="witness")

    def begin(self, note: bytes | None) -> None:
        """Forget how it went before: the log was opened again. Its published checkpoint tells who cosigned that."""
        self.close()
        self.standings = [Standing(witness) for witness in self._witnesses]  # threads may still have the old ones
        if note is None:
            return
        parsed = Note.parse(note)
        size = unverified(note).size
        for standing in self.standings:
            if signed := parsed.verified([standing.witness.verifier]):
                standing.size, standing.cosignature, standing.given = size, signed[0], size

    def due(self, size: int) -> bool:
        """Whether the log at this size could have more cosignatures: one came late, or should be asked for now."""
        now = time.monotonic()
        return any(one.due(size, now) or (not one.lacks(size) and one.given != size) for one in self.standings)

    async def cosign(self, note: Note, tiles: Tiles, own: Verifier) -> list[Signature]:
        """The cosignatures on a checkpoint of the log, of all witnesses that gave theirs in time or before.

        `own` is the log's public key. Raises Inconsistent when a witness publishes another history that it signed.
        """
        checkpoint = Checkpoint.parse(note.text)
        now = time.monotonic()
        loop = asyncio.get_running_loop()
        asking = []
        for one in self.standings:
            if one.due(checkpoint.size, now):
                one.busy, one.until = True, now + LONGEST_SECONDS
                asking.append(loop.run_in_executor(self._threads, self._ask, one, note, checkpoint, tiles, own))
                loop.call_later(LONGEST_SECONDS + 0.1, _cut_late, one)
        if asking:
            await asyncio.wait(asking, timeout=self._timeout)
        for one in self.standings:
            if one.inconsistent is not None:
                inconsistent, one.inconsistent = one.inconsistent, None
                raise inconsistent
        given = [one for one in self.standings if not one.lacks(checkpoint.size)]
        for one in given:
            one.given = checkpoint.size
        return [one.cosignature for one in given if one.cosignature]

    def ahead(self, size: int) -> Standing | None:
        """A witness that publishes a checkpoint of more events than there are, signed by the log."""
        return next((one for one in self.standings if one.ahead > size), None)

    def close(self) -> None:
        for standing in self.standings:
            if standing.busy:
                standing.cut()
            else:
                _hang_up(standing)

    def _ask(self, one: Standing, note: Note, checkpoint: Checkpoint, tiles: Tiles, own: Verifier) -> None:
        """In a thread of its own, which may end after nobody waits for it any more."""
        try:
            one.cosignature = self._cosigned(one, note, checkpoint, tiles, own)
            one.size, one.failures, one.again_at, one.trouble = checkpoint.size, 0, 0.0, ""
        except Inconsistent as inconsistent:
            one.inconsistent = inconsistent
        except (WitnessFailed, LedgerError, OSError, ValueError, http.client.HTTPException) as error:
            _hang_up(one)
            one.again_at = time.monotonic() + PAUSES[min(one.failures, len(PAUSES) - 1)]
            one.failures += 1
            one.trouble = str(error) or type(error).__name__
            if one.failures == 1:
                log.warning(
                    "a witness did not cosign", witness=one.witness.name, log=checkpoint.origin, reason=one.trouble
                )
        finally:
            if one.until == 0.0:
                _hang_up(one)
            one.busy = False

    def _cosigned(self, one: Standing, note: Note, checkpoint: Checkpoint, tiles: Tiles, own: Verifier) -> Signature:
        """Ask, and once more with the size that the witness names when it remembers another one."""
        old = min(one.size, checkpoint.size)
        for _ in range(3):
            status, answer = self._exchange(one, "POST", "add-checkpoint", _request(note, checkpoint, old, tiles))
            if status == 200:
                return _cosignature(one.witness, note, answer)
            if status == 422:
                self._compare(one, checkpoint, tiles, own)
                raise WitnessFailed("it refuses what continues the checkpoint that it publishes")
            if status != 409:
                raise WitnessFailed(f"it answered {status}: {answer[:200].decode(errors='replace').strip()}")
            if not _SIZE.fullmatch(answer):
                raise WitnessFailed("it answered 409 without the size it cosigned")
            old = int(answer)
            if old > checkpoint.size:  # we forgot what we signed, or are still reading the stream
                self._compare(one, checkpoint, tiles, own)
                raise WitnessFailed(f"it says that it has cosigned {old:,} events already")
        raise WitnessFailed("it names another size each time: somebody else shows it this log")

    def _compare(self, one: Standing, checkpoint: Checkpoint, tiles: Tiles, own: Verifier) -> None:
        """Compare the log with the checkpoint that the witness publishes of it, with the log's own signature.

        Raises Inconsistent when the log does not begin with it, and WitnessFailed when there is none. One of more
        events than there are is remembered as `ahead`.
        """
        status, raw = self._exchange(one, "GET", f"{sha256(checkpoint.origin.encode()).hexdigest()}/checkpoint")
        try:
            if status != 200:
                raise BadNote(f"it answered {status}")
            seen = open_checkpoint(raw, checkpoint.origin, [own])
        except BadNote as error:
            raise WitnessFailed(
                "it says that it cosigned another history, and publishes no checkpoint with this log's own signature "
                f"that shows it: {error.detail}"
            ) from error
        if seen.size > checkpoint.size:
            one.ahead = seen.size
        elif tiles.root_at(seen.size) != seen.root:
            log.error("a witness publishes another history", witness=one.witness.name, note=raw.decode())
            raise Inconsistent(
                f"The witness {one.witness.name} cosigned {checkpoint.origin} at {seen.size:,} events, signed by this "
                f"log, and what it is shown at {checkpoint.size:,} does not begin with that: it was shown another "
                "history",
                sequence=seen.size,
            )

    def _exchange(self, one: Standing, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        parts = urlsplit(one.witness.url)
        while True:
            fresh = one.connection is None
            try:
                if one.connection is None:
                    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
                    one.connection = kind(parts.netloc, timeout=self._timeout)
                    one.connection.connect()
                    one.socket = one.connection.sock
                if time.monotonic() > one.until:
                    raise WitnessFailed(f"it took longer than {LONGEST_SECONDS:.0f} s")
                one.connection.request(method, f"{parts.path}/{path}", body)
                answer = one.connection.getresponse()
                return answer.status, answer.read(_LONGEST_ANSWER)
            except (OSError, http.client.HTTPException) as error:
                _hang_up(one)
                if time.monotonic() > one.until:
                    raise WitnessFailed(f"it took longer than {LONGEST_SECONDS:.0f} s") from error
                if fresh or isinstance(error, TimeoutError):  # else it may just have closed an idle connection
                    raise


def _cut_late(one: Standing) -> None:
    if one.busy and time.monotonic() >= one.until:
        one.cut()


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
    one.socket = None
    if one.connection is not None:
        one.connection.close()
        one.connection = None
