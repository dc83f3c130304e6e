"""Which command ids an aggregate has answered, and where: sixteen bytes an id, for ever.

A repeat may come years later, so nothing is forgotten. A key is 60 bits of the event's id; a match is a hint that is
settled by reading the event, so a collision costs a look-up and never an answer.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable
from itertools import islice
from typing import Final

SEGMENT: Final = 32_768
"""Ids in one sealed segment: 512 KiB, written once."""

_DICT_BYTES: Final = 140
"""What one id takes in the dictionary of those not yet sealed, by measurement."""


def key_of(event_id: str) -> int:
    """The 60 random bits at the front of an event's id (a UUIDv5 without its version digit)."""
    return int(event_id[:8] + event_id[9:13] + event_id[15:18], 16)


class Segment:
    """The ids of 32,768 consecutive events: sorted keys, and the stream sequence of each."""

    __slots__ = ("keys", "saved", "sequences")

    def __init__(self, keys: array[int], sequences: array[int], saved: bytes | None = None) -> None:
        self.keys = keys
        self.sequences = sequences
        self.saved = saved
        """The SHA-256 of its bytes once they are known to be kept with the snapshots."""

    @classmethod
    def of(cls, pairs: Iterable[tuple[int, int]]) -> Segment:
        ordered = sorted(pairs)
        return cls(array("Q", [k for k, _ in ordered]), array("Q", [s for _, s in ordered]))

    def get(self, key: int) -> int | None:
        at = bisect_left(self.keys, key)
        if at < len(self.keys) and self.keys[at] == key:
            return self.sequences[at]
        return None

    def __len__(self) -> int:
        return len(self.keys)

    def to_bytes(self) -> bytes:
        """Little-endian keys, then sequences."""
        return _little(self.keys) + _little(self.sequences)

    @classmethod
    def from_bytes(cls, raw: bytes, saved: bytes | None = None) -> Segment:
        half = len(raw) // 2
        return cls(_array(raw[:half]), _array(raw[half:]), saved)


class Remembered:
    """The ids of one aggregate's durable events, in the order of their revisions."""

    __slots__ = ("last", "recent", "segments")

    def __init__(self) -> None:
        self.segments: list[Segment] = []
        self.recent: dict[int, int] = {}
        self.last = 0

    def add(self, key: int, sequence: int) -> None:
        """Remember the next event's id. Two events with one key (2**-60 a pair) keep the later."""
        while key in self.recent:  # keep one place an event, so that the count stays the revision
            key = (key + 1) & (2**64 - 1) | 1 << 63
        self.recent[key] = self.last = sequence
        if len(self.recent) == SEGMENT:
            self.segments.append(Segment.of(self.recent.items()))
            self.recent = {}

    def get(self, key: int) -> int | None:
        """The stream sequence of the event with this key, or None."""
        found = self.recent.get(key)
        if found is None:
            for segment in reversed(self.segments):
                found = segment.get(key)
                if found is not None:
                    break
        return found

    def __contains__(self, key: int) -> bool:
        return self.get(key) is not None

    def __len__(self) -> int:
        return len(self.segments) * SEGMENT + len(self.recent)

    @property
    def nbytes(self) -> int:
        return len(self.segments) * SEGMENT * 16 + len(self.recent) * _DICT_BYTES

    def tail(self, revision: int) -> bytes:
        """The ids that no segment sealed by `revision` holds, in order: 16 bytes each."""
        count = revision % SEGMENT
        sealed_after = len(self.segments) - revision // SEGMENT
        if sealed_after:  # sealed since: the order inside a segment is by key, so it is restored by sequence
            segment = self.segments[revision // SEGMENT]
            pairs: Iterable[tuple[int, int]] = sorted(
                zip(segment.keys, segment.sequences, strict=True), key=lambda p: p[1]
            )
        else:
            pairs = self.recent.items()
        flat = array("Q")
        for pair in islice(pairs, count):
            flat.extend(pair)
        return _little(flat)

    @classmethod
    def restored(cls, segments: list[Segment], tail: bytes) -> Remembered:
        made = cls()
        made.segments = segments
        flat = _array(tail)
        made.recent = dict(zip(flat[::2], flat[1::2], strict=True))
        made.last = flat[-1] if flat else max(segments[-1].sequences, default=0) if segments else 0
        return made


def _little(values: array[int]) -> bytes:
    if sys.byteorder == "big":
        values = array("Q", values)
        values.byteswap()
    return values.tobytes()


def _array(raw: bytes) -> array[int]:
    values = array("Q")
    values.frombytes(raw)
    if sys.byteorder == "big":
        values.byteswap()
    return values
