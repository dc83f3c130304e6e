"""Receipts: one text file that proves offline that an entry is in a log that witnesses saw (c2sp.org/tlog-proof).

text = Receipt(index, proof, checkpoint_note).text()
proved = verify_receipt(Receipt.parse(text), entry, log_key, witness_keys, needed=2)
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services.auditor.checkpoint import BadCheckpoint, Checkpoint, parse_number
from services.auditor.merkle import HASH_BYTES, BadProof, leaf_hash, verify_inclusion
from services.auditor.notes import BadKey, BadNote, Kind, Note, Verifier, from_base64
from shared.errors import Corrupt

HEADER: Final = "c2sp.org/tlog-proof@v1"
SUFFIX: Final = ".tlog-proof"

_MAX_HASHES: Final = 63
"""A proof has at most a hash for each bit of the log's size."""


class BadReceipt(Corrupt):
    """A file is not a receipt, or does not prove what it was given for."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """The place of an entry in a log, the proof of it, and the signed checkpoint that it leads to.

    `extra` is for applications, and nothing vouches for it.
    """

    index: int
    proof: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes | None = None

    def text(self) -> str:
        """The receipt as a file."""
        lines = [HEADER]
        if self.extra is not None:
            lines.append(f"extra {base64.b64encode(self.extra).decode()}")
        lines += [f"index {self.index}", *(base64.b64encode(each).decode() for each in self.proof)]
        return "".join(line + "\n" for line in lines) + "\n" + self.checkpoint.decode()

    @classmethod
    def parse(cls, text: str) -> Receipt:
        """Read a receipt, trusting nothing in it yet. Raises BadReceipt."""
        head, gap, checkpoint = text.partition("\n\n")
        lines = head.split("\n")
        if lines.pop(0) != HEADER:
            raise BadReceipt(f"The file is not a receipt: it should begin with {HEADER!r}.")
        if not gap:
            raise BadReceipt("The receipt breaks off before its checkpoint: a part of the file is missing.")
        extra = None
        if lines and lines[0].startswith("extra "):
            extra = from_base64(lines.pop(0).removeprefix("extra "))
            if extra is None:
                raise BadReceipt("The line 'extra' of the receipt is not base64.")
        if not lines or not lines[0].startswith("index "):
            raise BadReceipt("The receipt does not say the entry's index.")
        try:
            index = parse_number(lines.pop(0).removeprefix("index "), "The index of the receipt")
        except BadCheckpoint as error:
            raise BadReceipt(error.detail) from error
        if len(lines) > _MAX_HASHES:
            raise BadReceipt(f"The receipt has {len(lines)} hashes; no proof needs more than {_MAX_HASHES}.")
        return cls(index, tuple(_hash(line) for line in lines), checkpoint.encode(), extra)


@dataclass(frozen=True, slots=True)
class Proved:
    """What a receipt was found to prove: the checkpoint, and which witnesses saw it, each with its time.

    Times are in seconds since 1970 UTC, and are the witnesses' word.
    """

    checkpoint: Checkpoint
    index: int
    witnesses: tuple[tuple[str, int], ...]


def verify_receipt(
    receipt: Receipt, entry: bytes, log: Verifier, witnesses: Sequence[Verifier] = (), needed: int = 0
) -> Proved:
    """Check that `entry` is in the log whose key is `log`, under a checkpoint that `needed` of the witnesses cosigned.

    The origin must be the name of the log's key. Raises BadReceipt, and BadKey for a key of no witness.
    """
    for witness in witnesses:
        if witness.kind is not Kind.COSIGNATURE:
            raise BadKey(f"The key of {witness.name} is not a witness's: those are of type {Kind.COSIGNATURE:#04x}.")
    try:
        note = Note.parse(receipt.checkpoint)
        checkpoint = Checkpoint.parse(note.text)
        if checkpoint.origin != log.name:
            raise BadReceipt(f"The receipt is of the log {checkpoint.origin}, and the key given is that of {log.name}.")
        if not note.verified([log]):
            raise BadReceipt(f"The checkpoint of the receipt is not signed by {log.name} (key {log.key_id.hex()}).")
        seen = note.verified(witnesses)
    except BadNote as error:
        raise BadReceipt(f"The checkpoint of the receipt does not hold: {error.detail}") from error
    if len(seen) < needed:
        names = ", ".join(each.name for each in seen) or "none"
        raise BadReceipt(
            f"Of the witnesses given, {len(seen)} cosigned the checkpoint ({names}), and {needed} are needed: "
            "the log may have shown others another history."
        )
    try:
        verify_inclusion(leaf_hash(entry), receipt.index, checkpoint.size, receipt.proof, checkpoint.root)
    except BadProof as error:
        raise BadReceipt(f"The entry is not the one that the receipt is for: {error.detail}") from error
    return Proved(checkpoint, receipt.index, tuple((each.name, each.time) for each in seen))


def _hash(line: str) -> bytes:
    decoded = from_base64(line)
    if decoded is None or len(decoded) != HASH_BYTES:
        raise BadReceipt(f"The line {line[:60]!r} of the receipt is not the base64 of a {HASH_BYTES}-byte hash.")
    return decoded
