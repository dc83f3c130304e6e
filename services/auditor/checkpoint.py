"""Checkpoints: the size and the root of a log at one moment, as the body of a note (c2sp.org/tlog-checkpoint)."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services.auditor.merkle import HASH_BYTES
from services.auditor.notes import BadNote, Note, Verifier, check_text, from_base64, open_note

MAX_SIZE: Final = 2**63 - 1


class BadCheckpoint(BadNote):
    """A text is not a checkpoint, or not one of the log that was asked about."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log committed to: the root over its first `size` entries."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def text(self) -> str:
        """The body that is signed: origin, size, base64 root and any extension, a line each."""
        lines = [self.origin, str(self.size), base64.b64encode(self.root).decode(), *self.extensions]
        return "".join(line + "\n" for line in lines)

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """The checkpoint that a note's text is. Raises BadCheckpoint, or BadNote when it is no text of a note."""
        check_text(text)
        lines = text.removesuffix("\n").split("\n")
        if len(lines) < 3:
            raise BadCheckpoint(f"A checkpoint has three lines or more (origin, size, root); this has {len(lines)}.")
        origin, size, root, *extensions = lines
        if not all(lines):
            raise BadCheckpoint("A checkpoint has no empty lines.")
        decoded = from_base64(root)
        if decoded is None or len(decoded) != HASH_BYTES:
            raise BadCheckpoint(f"The third line of the checkpoint of {origin} is not the base64 of a 32-byte root.")
        return cls(origin, parse_number(size, f"The size in the checkpoint of {origin}"), decoded, tuple(extensions))


def open_checkpoint(raw: bytes, origin: str, verifiers: Sequence[Verifier]) -> Checkpoint:
    """The checkpoint in a signed note of the log `origin`, which at least one of these keys signed.

    `verifiers` are the log's own keys. Raises BadNote.
    """
    checkpoint = Checkpoint.parse(open_note(raw, verifiers).text)
    if checkpoint.origin != origin:
        raise BadCheckpoint(f"The checkpoint is of the log {checkpoint.origin}, and that of {origin} was asked for.")
    return checkpoint


def unverified(raw: bytes) -> Checkpoint:
    """The checkpoint in a note whose signatures are not looked at. Raises BadNote."""
    return Checkpoint.parse(Note.parse(raw).text)


def parse_number(text: str, what: str) -> int:
    """An ASCII decimal without leading zeroes. Raises BadCheckpoint, which begins with `what`."""
    if not (text.isascii() and text.isdigit() and (text == "0" or not text.startswith("0"))):
        raise BadCheckpoint(f"{what} is {text[:40]!r}, and should be a decimal number without leading zeroes.")
    if len(text) > 19 or int(text) > MAX_SIZE:
        raise BadCheckpoint(f"{what} is {text[:40]}, and no log has more than {MAX_SIZE:,} entries.")
    return int(text)
