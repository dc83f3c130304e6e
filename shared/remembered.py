"""Where an aggregate's events are found again: by the id of the command, and by the names that an event bears.

A repeat may come years later, so nothing is forgotten: sixteen bytes a key for ever, and four of a filter that answers
what was never seen without a search. A key is 60 or 64 bits of a digest; a match is a hint that is settled by
reading the event, so a collision costs a look-up and never an answer. Of two events with one key the later is found.
"""

from __future__ import annotations

import hashlib
import sys
from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

SEGMENT: Final = 32_768
"""Keys at which a segment is sealed: 512 KiB, written once."""

_DICT_BYTES: Final = 140
"""What one key takes in the dictionary of those not yet sealed, by measurement."""

_FILTER_BYTES: Final = 4
"""A filter has so many for each key, which sets one bit of them: one miss in 32 is searched for in vain."""

_GROWTH: Final = 4
"""Segments of the first generation, and how many times as many each holds as the one before."""


_digest: Final = hashlib.blake2b
_number: Final = int.from_bytes


def key_of(event_id: str) -> int:
    """The 60 random bits at the front of an event's id (a UUIDv5 without its version digit)."""
    return int(event_id[:8] + event_id[9:13] + event_id[15:18], 16)


def name_key(name: str) -> int:
    """64 bits of a name's digest, the same in every process."""
    return _number(_digest(name.encode(), digest_size=8).digest(), "little")


class Segment:
    """The keys of consecutive events: sorted, and the stream sequence of each."""

    __slots__ = ("keys", "saved", "sequences")

    def __init__(self, keys: array[int], sequences: array[int], saved: bytes | None = None) -> None:
        self.keys = keys
        self.sequences = sequences
        self.saved = saved
        """The SHA-256 of its bytes once they are known to be kept with the snapshots."""

    @classmethod
    def of(cls, recent: dict[int, int]) -> Segment:
        keys = sorted(recent)
        return cls(array("Q", keys), array("Q", map(recent.__getitem__, keys)))

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


_BITS: Final = tuple(1 << n for n in range(8))


class _Generation(NamedTuple):
    """Consecutive segments and one filter over them, which never has to grow: the next generation is larger.

    A few segments are searched as fast as a filter is asked, so the first generation has none as long as it is alone.
    """

    seen: bytearray
    mask: int
    segments: list[Segment]
    room: int

    @classmethod
    def first(cls) -> _Generation:
        return cls(bytearray(b"\xff"), 0, [], _GROWTH)

    @classmethod
    def filtered(cls, room: int) -> _Generation:
        size = 1 << (_FILTER_BYTES * SEGMENT * room - 1).bit_length()
        return cls(bytearray(size), size - 1, [], room)

    def add(self, segment: Segment) -> None:
        self.segments.append(segment)
        if self.mask:
            seen, mask, bits = self.seen, self.mask, _BITS
            for key in segment.keys:
                seen[key & mask] |= bits[key >> 50 & 7]


@dataclass(frozen=True, slots=True)
class Kept:
    """What was remembered at one moment, as a snapshot keeps it: sealed segments, and the keys behind them."""

    segments: Sequence[Segment]
    keys: bytes
    sequences: bytes


class Remembered:
    """Keys of one aggregate's durable events, each with the stream sequence of the latest event that has it."""

    __slots__ = ("_generations", "recent", "segments")

    def __init__(self) -> None:
        self.segments: list[Segment] = []
        self.recent: dict[int, int] = {}
        self._generations: list[_Generation] = []

    def add(self, key: int, sequence: int) -> None:
        """Remember a key of the next event."""
        self.recent[key] = sequence
        if len(self.recent) >= SEGMENT:
            self._seal()

    def add_all(self, keys: Iterable[int], sequence: int) -> None:
        """Remember several keys of the next event. A segment ends with an event, so it may be some keys longer."""
        self.recent.update(dict.fromkeys(keys, sequence))
        if len(self.recent) >= SEGMENT:
            self._seal()

    def get(self, key: int) -> int | None:
        """The stream sequence of the latest event with this key, or None."""
        found = self.recent.get(key)
        if found is None:
            bit = _BITS[key >> 50 & 7]
            for seen, mask, segments, _ in self._generations:
                if seen[key & mask] & bit:
                    for segment in reversed(segments):
                        found = segment.get(key)
                        if found is not None:
                            return found
        return found

    def find(self, keys: Collection[int]) -> dict[int, int]:
        """The same of many keys at once: the sequences of those that were found."""
        recent = self.recent
        found = {key: recent[key] for key in recent.keys() & keys}
        bits = _BITS
        for seen, mask, segments, _ in self._generations:
            for key in [key for key in keys if seen[key & mask] & bits[key >> 50 & 7]]:
                if key not in found:
                    for segment in reversed(segments):
                        sequence = segment.get(key)
                        if sequence is not None:
                            found[key] = sequence
                            break
        return found

    def __contains__(self, key: int) -> bool:
        return self.get(key) is not None

    def __len__(self) -> int:
        """How many keys are held; one that came again after its segment was sealed counts again."""
        return sum(map(len, self.segments)) + len(self.recent)

    @property
    def nbytes(self) -> int:
        sealed = sum(len(segment) for segment in self.segments) * 16
        return sealed + sum(len(g.seen) for g in self._generations) + len(self.recent) * _DICT_BYTES

    def kept(self) -> Kept:
        """All of it as it is now, to be written when there is time: later keys do not change it."""
        keys, sequences = array("Q", self.recent.keys()), array("Q", self.recent.values())
        return Kept(tuple(self.segments), _little(keys), _little(sequences))

    @classmethod
    def restored(cls, kept: Kept) -> Remembered:
        made = cls()
        for segment in kept.segments:
            made._add_segment(segment)
        made.recent = dict(zip(_array(kept.keys), _array(kept.sequences), strict=True))
        return made

    def _seal(self) -> None:
        self._add_segment(Segment.of(self.recent))
        self.recent = {}

    def _add_segment(self, segment: Segment) -> None:
        self.segments.append(segment)
        generations = self._generations
        if not generations:
            generations.append(_Generation.first())
        elif len(generations[0].segments) == generations[0].room:
            if len(generations) == 1:
                alone = generations[0]
                generations[0] = _Generation.filtered(alone.room)
                for one in alone.segments:
                    generations[0].add(one)
            generations.insert(0, _Generation.filtered(generations[0].room * _GROWTH))
        generations[0].add(segment)


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
