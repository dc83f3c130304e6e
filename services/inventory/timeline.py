"""The balance of one lot over time, so that a late movement is checked against every later moment, quickly.

Movements stand in order of the moment at which they happened; those of one moment in order of their revision. They are
kept in blocks of at most 512, and of each block the sum and the lowest running sum. A movement in order is appended and
changes two figures. A late one is put into its block, and "the lowest balance from a moment on" adds up the
blocks behind it: half a million movements make about a thousand blocks, also when all of them fell on one day.

An approved count settles the past: nothing before it is ever looked at for a balance again, and a movement that is
dated before it is entered together with its opposite at the count, so that the count's variance changes and no figure
after it. Blocks before the count that came before that one are let go.

A block is a byte array of three 64-bit integers a movement, so a state holds 24 bytes a movement, in memory and in a
snapshot: the moment (microseconds since 1970, UTC), the mark (revision times 16 plus kind) and the change (base
units).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import accumulate, pairwise
from operator import add, lt
from struct import Struct
from typing import Final, NamedTuple

BLOCK: Final = 512
_RECORD: Final = Struct("=qqq")
_SIZE: Final = _RECORD.size
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_LAST_MARK: Final = 2**63 - 1

Key = tuple[int, int]
"""Where a movement stands: its moment and its mark."""


def microseconds(moment: datetime) -> int:
    """A moment as microseconds since 1970, exactly."""
    return (moment - _EPOCH) // _MICROSECOND


def moment_of(value: int) -> datetime:
    """The moment of a number of microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=value)


def mark(revision: int, kind: int) -> int:
    """A movement's revision and its kind (0 to 15) in one integer that sorts by revision."""
    return revision << 4 | kind


class Entry(NamedTuple):
    """One movement of the lot: when (microseconds), the revision and kind of its event, and the signed change."""

    moment: int
    revision: int
    kind: int
    change: int


@dataclass
class Timeline:
    """The movements of one lot since its last count but one, and its balance now.

    `firsts`, `sums` and `lows` hold, for each block, the key of its first movement, the sum of its changes and the
    lowest of its running sums; `revisions` the lowest and highest revision in it. `floor` is where the last approved
    count stands.
    """

    balance: int = 0
    floor: Key | None = None
    blocks: list[bytearray] = field(default_factory=list)
    firsts: list[Key] = field(default_factory=list)
    sums: list[int] = field(default_factory=list)
    lows: list[int] = field(default_factory=list)
    revisions: list[Key] = field(default_factory=list)
    last: Key = (-(2**63), 0)

    # -- writing --------------------------------------------------------------------------------------------------

    def enter(self, moment: int, revision: int, kind: int, change: int) -> None:
        """Put a movement at its moment. One before the last approved count leaves the balance as it is."""
        key = (moment, mark(revision, kind))
        self._insert(key, change)
        if self.floor is not None and key < self.floor:
            self._offset(-change)
        else:
            self.balance += change

    def amend(self, moment: int, revision: int, kind: int, change: int) -> None:
        """Change what a movement did, where it stands, as if it had been so all along."""
        key = (moment, mark(revision, kind))
        if not self._add(key, change):
            self._insert(key, change)
        if self.floor is not None and key < self.floor:
            self._offset(-change)
        else:
            self.balance += change

    def settle(self, moment: int, revision: int, kind: int, variance: int) -> None:
        """Close the books at a moment not before the last count, correcting the balance by a variance."""
        key = (moment, mark(revision, kind))
        if variance:
            self._insert(key, variance)
            self.balance += variance
        if self.floor is not None:
            self._let_go(self.floor)
        self.floor = key

    def _insert(self, key: Key, change: int) -> None:
        record = _RECORD.pack(key[0], key[1], change)
        revision = key[1] >> 4
        if key >= self.last or not self.blocks:
            self.last = key
            if not self.blocks or len(self.blocks[-1]) >= BLOCK * _SIZE:
                self.blocks.append(bytearray(record))
                self.firsts.append(key)
                self.sums.append(change)
                self.lows.append(change)
                self.revisions.append((revision, revision))
                return
            self.blocks[-1] += record
            self.sums[-1] = total = self.sums[-1] + change
            if total < self.lows[-1]:
                self.lows[-1] = total
            low, high = self.revisions[-1]
            if not low <= revision <= high:
                self.revisions[-1] = (min(low, revision), max(high, revision))
            return
        at = max(bisect_right(self.firsts, key) - 1, 0)
        position = bisect_right(_keys(self.blocks[at]), key) * _SIZE
        self.blocks[at][position:position] = record
        if len(self.blocks[at]) > BLOCK * _SIZE:
            self._split(at)
        else:
            self._measure(at)

    def _offset(self, change: int) -> None:
        """Change the variance of the last approved count."""
        assert self.floor is not None
        if not self._add(self.floor, change):
            self._insert(self.floor, change)

    def _add(self, key: Key, change: int) -> bool:
        """Add to the movement that stands at a key, if there is one."""
        at = bisect_right(self.firsts, key) - 1
        if at < 0:
            return False
        keys = _keys(self.blocks[at])
        position = bisect_left(keys, key)
        if position == len(keys) or keys[position] != key:
            return False
        before: int = _RECORD.unpack_from(self.blocks[at], position * _SIZE)[2]
        _RECORD.pack_into(self.blocks[at], position * _SIZE, *key, before + change)
        self._measure(at)
        return True

    def _split(self, at: int) -> None:
        half = BLOCK // 2 * _SIZE
        block = self.blocks[at]
        self.blocks[at : at + 1] = [block[:half], block[half:]]
        for figures in (self.sums, self.lows):
            figures.insert(at + 1, 0)
        self.firsts.insert(at + 1, (0, 0))
        self.revisions.insert(at + 1, (0, 0))
        self._measure(at)
        self._measure(at + 1)

    def _measure(self, at: int) -> None:
        keys, changes = _keys(self.blocks[at]), _changes(self.blocks[at])
        self.firsts[at] = keys[0]
        self.sums[at] = sum(changes)
        self.lows[at] = min(accumulate(changes))
        marks = [key[1] for key in keys]
        self.revisions[at] = (min(marks) >> 4, max(marks) >> 4)

    def _let_go(self, floor: Key) -> None:
        """Forget the blocks that lie wholly before a count."""
        gone = len(self.blocks) if self.last < floor else max(bisect_left(self.firsts, floor) - 1, 0)
        for figures in (self.blocks, self.firsts, self.sums, self.lows, self.revisions):
            del figures[:gone]

    # -- reading --------------------------------------------------------------------------------------------------

    def balance_at(self, moment: int) -> int:
        """The balance after everything that happened up to a moment, that moment included."""
        return self._balance_behind((moment, _LAST_MARK))

    def minimum_from(self, moment: int) -> int:
        """The lowest balance from a moment on, never looking before the last approved count."""
        key = self._start(moment)
        if key >= self.last:
            return self.balance
        at, rest = self._behind(key)
        after = self.balance - sum(self.sums[at + 1 :])
        lowest = min(accumulate(rest, initial=after - sum(rest)))
        befores = accumulate(self.sums[at + 1 :], initial=after)
        return min(lowest, min(map(add, befores, self.lows[at + 1 :]), default=lowest))

    def first_below(self, moment: int, quantity: int, revision: int | None = None) -> tuple[int, int] | None:
        """The first moment from the given one on at which the balance is below a quantity, and that balance.

        With a revision, looking begins right after it, and not after all movements of its moment.
        """
        key = self._start(moment) if revision is None else max((moment, mark(revision, 15)), self.floor or (moment, 0))
        figure = self._balance_behind(key)
        if figure < quantity:
            return max(moment, key[0]), figure
        at, rest = self._behind(key)
        if figure + min(accumulate(rest), default=0) >= quantity:  # not in the rest of this block: skip on to the one
            figure, at = figure + sum(rest), at + 1
            while at < len(self.blocks) and figure + self.lows[at] >= quantity:
                figure, at = figure + self.sums[at], at + 1
            if at >= len(self.blocks):
                return None
            key = (self.firsts[at][0], self.firsts[at][1] - 1)
        for entry in self._entries_after(key):
            figure += entry.change
            if figure < quantity:
                return entry.moment, figure
        return None

    def outgoing_after(self, moment: int, revision: int, limit: int) -> list[int]:
        """The revisions of the first movements out after a moment (in it, after a revision): those which depend on
        what was there then."""
        found: list[int] = []
        for entry in self._entries_after(max((moment, mark(revision, 15)), self.floor or (moment, 0))):
            if entry.change < 0 and entry.revision not in found:
                found.append(entry.revision)
                if len(found) == limit:
                    break
        return found

    def entries_of(self, revision: int) -> list[Entry]:
        """What one event did to the lot; empty when it did nothing, or was let go."""
        return [
            entry
            for at, (low, high) in enumerate(self.revisions)
            if low <= revision <= high
            for entry in _entries(self.blocks[at])
            if entry.revision == revision
        ]

    def _start(self, moment: int) -> Key:
        key = (moment, _LAST_MARK)
        return key if self.floor is None or key > self.floor else self.floor

    def _balance_behind(self, key: Key) -> int:
        if key >= self.last:
            return self.balance
        at, rest = self._behind(key)
        return self.balance - sum(self.sums[at + 1 :]) - sum(rest)

    def _behind(self, key: Key) -> tuple[int, list[int]]:
        """The block in which a key falls, and the changes in it that stand behind the key."""
        at = bisect_right(self.firsts, key) - 1
        if at < 0:
            return -1, []
        return at, _changes(self.blocks[at])[bisect_right(_keys(self.blocks[at]), key) :]

    def _entries_after(self, key: Key) -> Iterator[Entry]:
        at = max(bisect_right(self.firsts, key) - 1, 0)
        for block in self.blocks[at:]:
            for entry in _entries(block):
                if (entry.moment, mark(entry.revision, entry.kind)) > key:
                    yield entry

    def check(self) -> list[str]:
        """Broken invariants, as sentences."""
        broken = []
        before: Key = (-(2**63), 0)
        for at, block in enumerate(self.blocks):
            with memoryview(block) as raw, raw.cast("q") as numbers:
                moments, sums = numbers[0::3].tolist(), list(accumulate(numbers[2::3].tolist()))
                first, last = (numbers[0], numbers[1]), (numbers[-3], numbers[-2])
            if before > first or not _in_order(moments, block):
                broken.append("the movements are out of order")
            before = last
            if (self.firsts[at], self.sums[at], self.lows[at]) != (first, sums[-1], min(sums)):
                broken.append(f"the figures of block {at} are not those of its movements")
        lowest = self.minimum_from(-(2**62))
        if self.floor is None and self.balance != sum(self.sums):
            broken.append(f"the balance is {self.balance}, the movements add up to {sum(self.sums)}")
        if min(lowest, self.balance) < 0:
            broken.append(f"the balance falls to {lowest}")
        return broken


def _in_order(moments: list[int], block: bytearray) -> bool:
    """Whether movements stand in order of their keys. Most of them are of moments of their own."""
    if all(map(lt, moments, moments[1:])):
        return True
    return all(one <= other for one, other in pairwise(_keys(block)))


def _keys(block: bytearray) -> list[Key]:
    with memoryview(block) as raw, raw.cast("q") as numbers:
        flat = numbers.tolist()
    return list(zip(flat[0::3], flat[1::3], strict=True))


def _changes(block: bytearray) -> list[int]:
    with memoryview(block) as raw, raw.cast("q") as numbers:
        return numbers.tolist()[2::3]


def _entries(block: bytearray) -> Iterator[Entry]:
    for moment, marked, change in _RECORD.iter_unpack(bytes(block)):
        yield Entry(moment, marked >> 4, marked & 15, change)
