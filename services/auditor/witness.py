"""A witness: cosigns a checkpoint of a log it knows when that continues the one it cosigned before, and nothing else
(c2sp.org/tlog-witness). Whoever shows two histories of one log to two people has to show one of them to the witness.

What was cosigned last is compared and replaced in one transaction that is on disk before the cosignature leaves.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal

import structlog

from services.auditor.checkpoint import BadCheckpoint, Checkpoint, parse_number
from services.auditor.merkle import EMPTY_ROOT, BadProof, verify_consistency
from services.auditor.notes import BadNote, Cosigner, Note, Verifier, from_base64
from shared.errors import LedgerError

MAX_REQUEST_BYTES: Final = 64 << 10
"""The longest request that is read: 63 hashes and a note of a hundred signatures take a fifth of it."""

_MAX_PROOF: Final = 63
_MAX_EVIDENCE: Final = 1000
"""Of each log so many forks are kept, and as many checkpoints that were not shown to continue it."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS latest (
    origin TEXT PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL, at INTEGER NOT NULL, note BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS evidence (
    origin TEXT NOT NULL, size INTEGER NOT NULL, root BLOB NOT NULL, other BLOB NOT NULL, at INTEGER NOT NULL,
    note BLOB NOT NULL, other_note BLOB NOT NULL, PRIMARY KEY (origin, size, root, other)
) STRICT;
CREATE TABLE IF NOT EXISTS unproven (
    origin TEXT NOT NULL, size INTEGER NOT NULL, root BLOB NOT NULL, at INTEGER NOT NULL, why TEXT NOT NULL,
    note BLOB NOT NULL, PRIMARY KEY (origin, size, root)
) STRICT;
"""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, as the protocol has it."""

    status: Literal[200, 400, 403, 404, 409, 413, 422, 503]
    body: bytes
    content_type: str = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Cosigned:
    """What was cosigned last of a log, and when (seconds since 1970 UTC).

    `forks` counts pairs of checkpoints of one size that the log signed with two roots, each a proof of two histories;
    `unproven` those that were not shown to continue the log, as anybody can send one with an ill-made proof.
    """

    origin: str
    size: int
    root: bytes
    at: int
    forks: int
    unproven: int


class Witness:
    """Answers requests for one key. May be called from several threads, and processes, at once.

    `logs` gives the public keys of the logs it knows; a key's name is its log's origin, and a log may have several. It
    is asked again when a log is not among them, so that logs may be added while it runs.
    """

    def __init__(
        self,
        database: Path,
        cosigner: Cosigner,
        logs: Callable[[], Iterable[Verifier]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Raises sqlite3.Error when the database cannot be used."""
        self.cosigner = cosigner
        self._clock = clock
        self._logs = logs
        self._keys: dict[str, list[Verifier]] = {}
        self._lock = threading.Lock()
        self._database = _open(database)

    def close(self) -> None:
        self._database.close()

    def add_checkpoint(self, request: bytes) -> Answer:
        """The answer to POST /add-checkpoint: 200 with the cosignature, or why there is none."""
        if len(request) > MAX_REQUEST_BYTES:
            return _refusal(413, f"A request has at most {MAX_REQUEST_BYTES:,} bytes.")
        try:
            old, proof, note = _parse(request)
            checkpoint = Checkpoint.parse(note.text)
        except (BadNote, ValueError) as error:
            return _refusal(400, str(error))
        keys = self._keys_of(checkpoint.origin)
        if not keys:
            return _refusal(404, "The log of this checkpoint is not known here.")
        try:
            signed = note.verified(keys)
        except BadNote as error:
            return _refusal(403, error.detail)
        if not signed:
            return _refusal(403, f"No key that is known of {checkpoint.origin} signed this checkpoint.")
        if old > checkpoint.size:
            return _refusal(
                400, f"The old size is {old}, and the checkpoint's is {checkpoint.size}: a log never shrinks."
            )
        try:
            return self._check_and_store(old, proof, checkpoint, Note(note.text, signed))
        except sqlite3.Error as error:
            log.error("nothing can be stored, so nothing is cosigned", reason=str(error))
            return _refusal(503, "The witness cannot store what it would cosign. Ask again later.")

    def _keys_of(self, origin: str) -> list[Verifier]:
        if origin not in self._keys:
            try:
                found = list(self._logs())
            except LedgerError as error:
                log.error("the logs that are known cannot be read again", reason=error.detail)
                return []
            self._keys = {name: [key for key in found if key.name == name] for name in {key.name for key in found}}
        return self._keys.get(origin, [])

    def _check_and_store(self, old: int, proof: list[bytes], checkpoint: Checkpoint, note: Note) -> Answer:
        with self._transaction() as database:
            found = database.execute("SELECT size, root FROM latest WHERE origin = ?", (checkpoint.origin,)).fetchone()
            size, root = found or (0, EMPTY_ROOT)
            if old != size:
                return Answer(409, f"{size}\n".encode(), "text/x.tlog.size")
            now = max(1, int(self._clock()))
            try:
                verify_consistency(old, checkpoint.size, proof, root, checkpoint.root)
            except BadProof as error:
                self._keep(database, checkpoint, now, error.detail, note.to_bytes())
                return _refusal(422, f"The checkpoint does not continue the one that was cosigned: {error.detail}")
            cosignature = self.cosigner.sign(checkpoint.text(), now)
            database.execute(
                "INSERT OR REPLACE INTO latest VALUES (?, ?, ?, ?, ?)",
                (checkpoint.origin, checkpoint.size, checkpoint.root, now, note.signed(cosignature).to_bytes()),
            )
            self._fork(database, checkpoint, now, note.to_bytes())
            database.execute(
                "DELETE FROM unproven WHERE (origin, size, root) = (?, ?, ?)",
                (checkpoint.origin, checkpoint.size, checkpoint.root),
            )
        return Answer(200, f"{cosignature.line}\n".encode())

    def _keep(self, database: sqlite3.Connection, checkpoint: Checkpoint, now: int, why: str, note: bytes) -> None:
        """Keep a checkpoint that its log signed and that was not shown to continue it.

        It proves nothing by itself, as anybody may have sent the log's newest with an ill-made proof; with another of
        its size it does.
        """
        log.warning("a checkpoint does not continue its log", origin=checkpoint.origin, reason=why)
        self._fork(database, checkpoint, now, note)
        database.execute(
            """INSERT OR IGNORE INTO unproven SELECT ?, ?, ?, ?, ?, ?
               WHERE (SELECT count(*) FROM unproven WHERE origin = ?) < ?""",
            (checkpoint.origin, checkpoint.size, checkpoint.root, now, why, note, checkpoint.origin, _MAX_EVIDENCE),
        )

    def _fork(self, database: sqlite3.Connection, checkpoint: Checkpoint, now: int, note: bytes) -> None:
        """Keep as evidence what is known to be of this size, signed by the log, and has another root."""
        found = database.execute(
            """SELECT root, note FROM latest WHERE origin = :origin AND size = :size AND root != :root
               UNION SELECT root, note FROM unproven WHERE origin = :origin AND size = :size AND root != :root""",
            {"origin": checkpoint.origin, "size": checkpoint.size, "root": checkpoint.root},
        ).fetchall()
        for root, other in found:
            log.error("the log signed two histories", origin=checkpoint.origin, size=checkpoint.size)
            pair = sorted([(checkpoint.root, note), (root, other)])
            database.execute(
                """INSERT OR IGNORE INTO evidence SELECT ?, ?, ?, ?, ?, ?, ?
                   WHERE (SELECT count(*) FROM evidence WHERE origin = ?) < ?""",
                (
                    checkpoint.origin, checkpoint.size, pair[0][0], pair[1][0], now, pair[0][1], pair[1][1],
                    checkpoint.origin, _MAX_EVIDENCE,
                ),
            )  # fmt: skip

    # -- what it has seen -------------------------------------------------------------------------------------------

    def latest(self, origin_hash: str) -> bytes | None:
        """The last checkpoint cosigned of the log whose origin has this SHA-256 in hex, with both signatures."""
        with self._lock:
            notes = self._database.execute("SELECT origin, note FROM latest").fetchall()
        return next((note for origin, note in notes if sha256(origin.encode()).hexdigest() == origin_hash), None)

    def seen(self) -> list[Cosigned]:
        """What was cosigned last of every log."""
        query = """SELECT origin, size, root, at,
                          (SELECT count(*) FROM evidence WHERE evidence.origin = latest.origin),
                          (SELECT count(*) FROM unproven WHERE unproven.origin = latest.origin)
                   FROM latest ORDER BY origin"""
        with self._lock:
            return [Cosigned(*row) for row in self._database.execute(query)]

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """One request at a time, against other processes too: what is read is still so when it is replaced."""
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")


def _open(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")  # a commit is on disk when it returns
    database.executescript(_SCHEMA)
    return database


def _parse(request: bytes) -> tuple[int, list[bytes], Note]:
    """The old size, the hashes of the proof and the note. Raises ValueError or BadNote."""
    head, gap, note = request.partition(b"\n\n")
    if not gap:
        raise ValueError("The request has no empty line between the proof and the checkpoint.")
    try:
        first, *hashes = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise ValueError("Old size and proof are plain ASCII.") from None
    if not first.startswith("old "):
        raise ValueError("The first line is 'old' and the size of the checkpoint before.")
    try:
        old = parse_number(first.removeprefix("old "), "The old size")
    except BadCheckpoint as error:
        raise ValueError(error.detail) from None
    if len(hashes) > _MAX_PROOF:
        raise ValueError(f"The proof has {len(hashes)} hashes; at most {_MAX_PROOF} are taken.")
    proof = [from_base64(line) for line in hashes]
    if any(each is None or len(each) != sha256().digest_size for each in proof):
        raise ValueError("A line of the proof is not the base64 of a 32-byte hash.")
    return old, [each for each in proof if each is not None], Note.parse(note)


def _refusal(status: Literal[400, 403, 404, 413, 422, 503], why: str) -> Answer:
    return Answer(status, f"{why}\n".encode())
