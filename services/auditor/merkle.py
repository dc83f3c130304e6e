"""Merkle trees as transparency logs have them: RFC 9162 section 2.1 (the same trees as RFC 6962's), with SHA-256.

Nothing here does I/O. What needs the hashes of a tree takes a function that gives the hash of a full subtree, so a list
in memory and a folder of tiles (services/auditor/tiles.py) serve alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import Final

from shared.errors import Corrupt

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = sha256(b"").digest()
"""The root of the tree without leaves (RFC 9162, 2.1.1)."""

Subtree = Callable[[int, int], bytes]
"""`subtree(level, index)`: the hash of the full subtree over leaves index * 2**level up to (index + 1) * 2**level."""


class BadProof(Corrupt):
    """A proof does not lead from what it is about to the root it is given for."""


def leaf_hash(entry: bytes) -> bytes:
    """The hash of a leaf: SHA-256(00 || entry) (RFC 9162, 2.1.1)."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node: SHA-256(01 || left || right) (RFC 9162, 2.1.1)."""
    return sha256(b"\x01" + left + right).digest()


def pair_hashes(hashes: Iterable[bytes]) -> list[bytes]:
    """The hashes one level up, of every two that follow each other; an odd one at the end is left out."""
    nodes = iter(hashes)
    return [sha256(b"\x01" + left + right).digest() for left, right in zip(nodes, nodes, strict=False)]


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The root over a list of leaf hashes, word for word as RFC 9162, 2.1.1 defines it. Slow: the others' measure."""
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    split = _split(len(leaves))
    return node_hash(root_of(leaves[:split]), root_of(leaves[split:]))


def root_at(subtree: Subtree, size: int) -> bytes:
    """The root of the tree of the first `size` leaves."""
    _check(size >= 0, f"a tree has no {size} leaves")
    return _range_hash(subtree, 0, size) if size else EMPTY_ROOT


def inclusion_proof(subtree: Subtree, index: int, size: int) -> list[bytes]:
    """The proof that the tree of `size` leaves has the leaf `index`, sibling first (RFC 9162, 2.1.3.1).

    Raises ValueError when the tree has no such leaf.
    """
    _check(0 <= index < size, f"a tree of {size} leaves has no leaf {index}")
    proof: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            proof.append(_range_hash(subtree, middle, end))
            end = middle
        else:
            proof.append(_range_hash(subtree, start, middle))
            start = middle
    return proof[::-1]


def consistency_proof(subtree: Subtree, old: int, new: int) -> list[bytes]:
    """The proof that the tree of `new` leaves begins with that of `old` leaves (RFC 9162, 2.1.4.1).

    It is empty when the sizes are equal, and when `old` is 0: the empty tree begins every tree. Raises ValueError when
    `old` is above `new`.
    """
    _check(0 <= old <= new, f"a tree of {new} leaves cannot begin with {old}")
    if old in {0, new}:
        return []
    proof: list[bytes] = []
    start, end, whole = 0, new, True  # `whole`: the old tree is this very subtree, whose hash the verifier has
    while end != old:
        middle = start + _split(end - start)
        if old <= middle:
            proof.append(_range_hash(subtree, middle, end))
            end = middle
        else:
            proof.append(_range_hash(subtree, start, middle))
            start, whole = middle, False
    if not whole:
        proof.append(_range_hash(subtree, start, end))
    return proof[::-1]


def root_from_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """The root that a proof of inclusion leads to from a leaf's hash (RFC 9162, 2.1.3.2). Raises BadProof."""
    if not 0 <= index < size:
        raise BadProof(f"A tree of {size:,} leaves has no leaf {index:,}: no proof can be right.")
    _check_hashes([leaf, *proof])
    place, last, root = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise BadProof(f"The proof for leaf {index:,} of {size:,} has {len(proof)} hashes, which is too many.")
        if place & 1 or place == last:
            root = node_hash(sibling, root)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            root = node_hash(root, sibling)
        place, last = place >> 1, last >> 1
    if last:
        raise BadProof(f"The proof for leaf {index:,} of {size:,} has {len(proof)} hashes, which is too few.")
    return root


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check that the tree with this size and root has this leaf at `index` (RFC 9162, 2.1.3.2). Raises BadProof."""
    found = root_from_inclusion(leaf, index, size, proof)
    if found != root:
        raise BadProof(
            f"The proof for leaf {index:,} of {size:,} leads to the root {found.hex()}, not to {root.hex()}: "
            "it is another leaf, or another tree."
        )


def verify_consistency(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    """Check that the tree of `new` leaves begins with the tree of `old` leaves (RFC 9162, 2.1.4.2). Raises BadProof.

    Equal sizes need equal roots and no proof. For `old` 0 the proof is empty as well, and the root that of the empty
    tree: nothing was promised yet, so anything may follow.
    """
    if not 0 <= old <= new:
        raise BadProof(f"A tree of {new:,} leaves cannot begin with one of {old:,}: a log never shrinks.")
    if old in {0, new}:
        _verify_trivial(old, new, proof, old_root, new_root)
        return
    _check_hashes([old_root, new_root, *proof])
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    if not proof:
        raise BadProof(f"Between {old:,} and {new:,} leaves a proof is needed, and it is empty.")
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    first = second = path[0]
    for node in path[1:]:
        if last == 0:
            raise BadProof(f"The proof from {old:,} to {new:,} leaves has {len(proof)} hashes, which is too many.")
        if place & 1 or place == last:
            first, second = node_hash(node, first), node_hash(node, second)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            second = node_hash(second, node)
        place, last = place >> 1, last >> 1
    if last or first != old_root or second != new_root:
        raise BadProof(
            f"The proof does not lead from the root of {old:,} leaves to that of {new:,}: "
            "the later tree does not begin with the earlier one."
        )


class Frontier:
    """A tree that takes leaf hashes one by one or many at once, and keeps only what its root needs: log2(size) hashes.

    frontier = Frontier()
    frontier.extend(leaf_hash(entry) for entry in entries)
    frontier.size, frontier.root()
    """

    __slots__ = ("_held", "_size")

    def __init__(self) -> None:
        self._size = 0
        self._held: dict[int, bytes] = {}
        """By level, the hash of the full subtree that has no sibling yet: one for each bit of the size that is set."""

    @property
    def size(self) -> int:
        """How many leaves were taken."""
        return self._size

    def append(self, leaf: bytes) -> None:
        """Take the hash of the next leaf."""
        level, node = 0, leaf
        while (left := self._held.pop(level, None)) is not None:
            node = node_hash(left, node)
            level += 1
        self._held[level] = node
        self._size += 1

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Take the hashes of the next leaves: level by level, which is much faster than one by one."""
        nodes = list(leaves)
        self._size += len(nodes)
        level = 0
        while nodes:
            if level in self._held:
                nodes.insert(0, self._held.pop(level))
            if len(nodes) & 1:
                self._held[level] = nodes.pop()
            nodes = pair_hashes(nodes)
            level += 1

    def root(self) -> bytes:
        """The root over the leaves taken so far."""
        levels = sorted(self._held)
        if not levels:
            return EMPTY_ROOT
        root = self._held[levels[0]]
        for level in levels[1:]:
            root = node_hash(self._held[level], root)
        return root

    def copy(self) -> Frontier:
        """Another frontier with the same leaves; what either takes from here on is its own."""
        other = Frontier()
        other._size, other._held = self._size, dict(self._held)
        return other

    def to_bytes(self) -> bytes:
        """The frontier as bytes: the size in eight of them, then its hashes, the largest subtree's first."""
        return self._size.to_bytes(8, "big") + b"".join(self._held[level] for level in sorted(self._held, reverse=True))

    @classmethod
    def from_bytes(cls, raw: bytes) -> Frontier:
        """The frontier that `to_bytes` wrote. Raises Corrupt."""
        size = int.from_bytes(raw[:8], "big")
        if len(raw) != 8 + HASH_BYTES * size.bit_count():
            raise Corrupt(
                f"A frontier of {size:,} leaves is not {len(raw):,} bytes long: the file it is from is damaged."
            )
        frontier = cls()
        frontier._size = size
        levels = [level for level in range(size.bit_length() - 1, -1, -1) if size >> level & 1]
        frontier._held = {level: raw[8 + 32 * at : 40 + 32 * at] for at, level in enumerate(levels)}
        return frontier


def _split(size: int) -> int:
    """The largest power of two below `size`, where RFC 9162 divides a tree; `size` is 2 or more."""
    return 1 << ((size - 1).bit_length() - 1)


def _range_hash(subtree: Subtree, start: int, end: int) -> bytes:
    """The hash over the leaves from `start` up to `end`, which are a subtree of RFC 9162's division of a tree."""
    parts = []
    while start < end:
        level = (end - start).bit_length() - 1
        parts.append(subtree(level, start >> level))
        start += 1 << level
    root = parts.pop()
    while parts:
        root = node_hash(parts.pop(), root)
    return root


def _verify_trivial(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    """The two cases that RFC 9162 leaves out, as c2sp.org/tlog-witness has them: the proof is empty."""
    if proof:
        raise BadProof(
            f"From {old:,} to {new:,} leaves there is nothing to prove, and the proof has {len(proof)} hashes."
        )
    if old == new and old_root != new_root:
        raise BadProof(f"Two trees of {new:,} leaves have different roots: the log told two stories.")
    _check_hashes([new_root] if old == 0 else [])
    if old == 0 and old_root != EMPTY_ROOT:
        raise BadProof("The root given for the tree without leaves is not the root of that tree.")


def _check_hashes(hashes: Iterable[bytes]) -> None:
    for each in hashes:
        if len(each) != HASH_BYTES:
            raise BadProof(f"A proof holds hashes of {HASH_BYTES} bytes, and one has {len(each)}.")


def _check(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(f"{what}.")
