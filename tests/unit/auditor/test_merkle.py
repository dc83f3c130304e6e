"""Trees and proofs are those of RFC 9162, and a proof that was changed anywhere proves nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.auditor.merkle import (
    EMPTY_ROOT,
    BadProof,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_at,
    root_from_inclusion,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from shared.errors import Corrupt

MOST = 70
LEAVES = [leaf_hash(b"entry %d" % number) for number in range(MOST)]
ROOTS = [root_of(LEAVES[:size]) for size in range(MOST + 1)]


def subtree(level: int, index: int) -> bytes:
    leaves = LEAVES[index << level : (index + 1) << level]
    assert len(leaves) == 1 << level, "only full subtrees are asked for"
    return root_of(leaves)


def test_the_empty_tree_and_the_empty_leaf_have_the_hashes_of_the_standard() -> None:
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert root_at(subtree, 0) == EMPTY_ROOT == Frontier().root()


def test_every_leaf_of_every_tree_has_a_proof_that_holds() -> None:
    for size in range(1, MOST + 1):
        for index in range(size):
            proof = inclusion_proof(subtree, index, size)
            verify_inclusion(LEAVES[index], index, size, proof, ROOTS[size])
            assert root_from_inclusion(LEAVES[index], index, size, proof) == ROOTS[size]


def test_every_two_trees_have_a_proof_that_one_begins_the_other() -> None:
    for new in range(MOST + 1):
        for old in range(new + 1):
            verify_consistency(old, new, consistency_proof(subtree, old, new), ROOTS[old], ROOTS[new])


def _mutations(proof: list[bytes]) -> Iterator[list[bytes]]:
    yield [*proof, LEAVES[0]]
    yield [LEAVES[0], *proof]
    for at, each in enumerate(proof):
        flipped = bytes([each[0] ^ 1]) + each[1:]
        yield [*proof[:at], flipped, *proof[at + 1 :]]
        yield [*proof[:at], *proof[at + 1 :]]
        yield [*proof[:at], each[:-1], *proof[at + 1 :]]
        yield [*proof[:at], each, *proof[at:]]


def test_a_changed_proof_of_inclusion_never_holds() -> None:
    for size in range(1, MOST + 1, 3):
        for index in range(0, size, 2):
            proof = inclusion_proof(subtree, index, size)
            for wrong in _mutations(proof):
                _refused(verify_inclusion, LEAVES[index], index, size, wrong, ROOTS[size])
            _refused(verify_inclusion, LEAVES[index], index, size, proof, ROOTS[size - 1])
            _refused(verify_inclusion, leaf_hash(b"other"), index, size, proof, ROOTS[size])
            for other in range(size):
                if other != index:
                    _refused(verify_inclusion, LEAVES[index], other, size, proof, ROOTS[size])


def test_a_changed_proof_of_consistency_never_holds() -> None:
    for new in range(1, MOST + 1, 3):
        for old in range(1, new + 1, 2):
            proof = consistency_proof(subtree, old, new)
            for wrong in _mutations(proof):
                _refused(verify_consistency, old, new, wrong, ROOTS[old], ROOTS[new])
            _refused(verify_consistency, old, new, proof, ROOTS[old - 1], ROOTS[new])
            _refused(verify_consistency, old, new, proof, ROOTS[old], ROOTS[new - 1])
            if old != new:
                _refused(verify_consistency, old, new, proof, ROOTS[new], ROOTS[old])
                _refused(verify_consistency, new, old, proof, ROOTS[new], ROOTS[old])


def _refused(verify: Callable[..., None], *arguments: object) -> None:
    with pytest.raises(BadProof):
        verify(*arguments)


def test_a_leaf_that_is_not_there_has_no_proof() -> None:
    for index, size in ((0, 0), (5, 5), (-1, 5)):
        with pytest.raises(ValueError, match="has no leaf"):
            inclusion_proof(subtree, index, size)
        _refused(verify_inclusion, LEAVES[0], index, size, [], LEAVES[0])


def test_a_log_never_shrinks() -> None:
    with pytest.raises(ValueError, match="cannot begin"):
        consistency_proof(subtree, 5, 4)
    _refused(verify_consistency, 5, 4, [], ROOTS[5], ROOTS[4])


def test_the_tree_without_leaves_is_only_what_it_is() -> None:
    verify_consistency(0, 7, [], EMPTY_ROOT, ROOTS[7])
    _refused(verify_consistency, 0, 7, [], ROOTS[3], ROOTS[7])
    _refused(verify_consistency, 0, 7, [ROOTS[7]], EMPTY_ROOT, ROOTS[7])


@given(st.lists(st.integers(0, 40), max_size=8), st.integers(0, 200))
def test_a_frontier_has_the_root_of_the_definition_however_its_leaves_came(parts: list[int], cut: int) -> None:
    leaves = [leaf_hash(b"%d" % number) for number in range(sum(parts))]
    frontier, one_by_one = Frontier(), Frontier()
    start = 0
    for part in parts:
        frontier.extend(iter(leaves[start : start + part]))
        start += part
        if start <= cut:
            frontier = Frontier.from_bytes(frontier.to_bytes())
    for leaf in leaves:
        one_by_one.append(leaf)
    assert frontier.size == one_by_one.size == len(leaves)
    assert frontier.root() == one_by_one.root() == root_of(leaves)
    assert frontier.to_bytes() == one_by_one.to_bytes()


@given(st.integers(0, MOST), st.data())
def test_root_and_proofs_hold_at_any_size(size: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(0, size))
    assert root_at(subtree, size) == ROOTS[size]
    verify_consistency(old, size, consistency_proof(subtree, old, size), root_at(subtree, old), root_at(subtree, size))


def test_a_copied_frontier_goes_its_own_way() -> None:
    frontier = Frontier()
    frontier.extend(LEAVES[:11])
    other = frontier.copy()
    other.append(LEAVES[11])
    assert (frontier.size, frontier.root()) == (11, ROOTS[11])
    assert (other.size, other.root()) == (12, ROOTS[12])


@pytest.mark.parametrize(
    "raw", [b"", b"\0" * 7, (3).to_bytes(8, "big") + b"\0" * 32, (1).to_bytes(8, "big") + b"\0" * 33]
)
def test_a_frontier_cut_short_is_refused(raw: bytes) -> None:
    with pytest.raises(Corrupt, match="damaged"):
        Frontier.from_bytes(raw)
