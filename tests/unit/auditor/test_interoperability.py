"""What this ledger writes verifies with implementations that are not ours (pymerkle, tlog-scales), and theirs here."""

from __future__ import annotations

from pathlib import Path

import pymerkle
import pytest
from cryptography.exceptions import InvalidSignature
from tlog_scales import signing, tlog
from tlog_scales.backend import LocalBackend
from tlog_scales.reader import TilesReader
from tlog_scales.writer import TilesWriter

from services.auditor.checkpoint import Checkpoint, open_checkpoint
from services.auditor.merkle import (
    BadProof,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from services.auditor.notes import Cosigner, Note, Signer, Verifier
from services.auditor.tiles import TileLog, Tiles

ORIGIN = "pantry.example/inventory"
LOG = Signer(ORIGIN, bytes(range(32)))
WITNESS = Cosigner("witness.example/w1", bytes(range(1, 33)))
SIZES = [1, 2, 3, 4, 5, 7, 8, 9, 31, 64, 69]


def entries(count: int) -> list[bytes]:
    return [b"entry %d" % number for number in range(count)]


def subtree(level: int, index: int) -> bytes:
    return root_of([leaf_hash(entry) for entry in entries((index + 1) << level)[index << level :]])


@pytest.mark.parametrize("size", SIZES)
def test_pymerkle_has_the_same_trees_and_proofs(size: int) -> None:
    tree, frontier = pymerkle.InmemoryTree(algorithm="sha256"), Frontier()
    for entry in entries(size):
        tree.append_entry(entry)
        frontier.append(leaf_hash(entry))
    assert tree.get_root() == frontier.root()
    for index, entry in enumerate(entries(size)):
        theirs, ours = tree.prove_inclusion(index + 1, size), inclusion_proof(subtree, index, size)
        verify_inclusion(leaf_hash(entry), index, size, theirs.path[1:], frontier.root())
        theirs.path = [leaf_hash(entry), *ours]
        pymerkle.verify_inclusion(leaf_hash(entry), frontier.root(), theirs, index + 1, size)


@pytest.mark.parametrize("size", SIZES)
def test_tlog_scales_takes_our_proofs(size: int) -> None:
    root = root_of([leaf_hash(entry) for entry in entries(size)])
    for place in range(size):
        leaf = leaf_hash(entries(size)[place])
        tlog.InclusionProof(place, size, inclusion_proof(subtree, place, size)).check(leaf, root)
        old = root_of([leaf_hash(entry) for entry in entries(place)])
        tlog.ConsistencyProof(place, size, consistency_proof(subtree, place, size)).check(old, root) if place else None


def _published(folder: Path, size: int) -> bytes:
    with TileLog.open(folder) as log:
        log.append(entries(size))
        text = Checkpoint(ORIGIN, size, log.root_at(size)).text()
        raw = Note(text, [LOG.sign(text), WITNESS.sign(text, 1_700_000_000)]).to_bytes()
        log.publish(raw)
    return raw


@pytest.mark.parametrize("size", [1, 255, 256, 257, 1000, 70_000])
def test_tlog_scales_reads_our_folder(tmp_path: Path, size: int) -> None:
    raw = _published(tmp_path, size)
    reader = TilesReader(LocalBackend(tmp_path))
    checkpoint = reader.get_checkpoint()
    assert checkpoint.serialize().encode() == raw
    assert reader.calculate_root_hash() == checkpoint.root_hash
    for key in (LOG.verifier, WITNESS.verifier):
        vkey = signing.Vkey.from_string(str(key))
        assert vkey.serialize() == str(key)
        checkpoint.verify(vkey)
        with pytest.raises(InvalidSignature):
            tlog.Checkpoint.from_text(raw.decode().replace(f"\n{size}\n", f"\n{size + 1}\n")).verify(vkey)
    for index in {0, size // 2, size - 1}:
        entry = reader.get_entry(index)
        assert entry == b"entry %d" % index
        reader.get_inclusion_proof(index, size).check(leaf_hash(entry), checkpoint.root_hash)


@pytest.mark.parametrize("size", [1, 255, 256, 257, 1000])
def test_we_read_the_folder_of_tlog_scales(tmp_path: Path, size: int) -> None:
    folder = tmp_path / "log"
    writer, signer = TilesWriter.create(folder, ORIGIN), signing.PlainEd25519Signer(ORIGIN, bytes(range(32)))
    for part in (entries(size)[: size // 2], entries(size)[size // 2 :]):
        for entry in part:
            writer.add_leaf(entry)
        if part:
            for name in ("tile/entries", "tile/0", "tile/1"):
                (folder / name).mkdir(parents=True, exist_ok=True)
            writer.commit([signer])
    key = Verifier.parse(signer.vkey.serialize())
    assert key == LOG.verifier
    checkpoint = open_checkpoint((folder / "checkpoint").read_bytes(), ORIGIN, [key])
    tiles = Tiles.of_folder(folder, checkpoint.size)
    assert checkpoint.size == size and tiles.root_at(size) == checkpoint.root
    assert list(tiles.entries()) == entries(size)
    reader = TilesReader(LocalBackend(folder))
    reader.get_checkpoint()
    for place in {0, size // 3, size - 1}:
        theirs = reader.get_inclusion_proof(place, size).node_hashes
        assert theirs == tiles.inclusion_proof(place, size)
        verify_inclusion(tiles.leaf(place), place, size, theirs, checkpoint.root)
        if place:
            steps = reader.get_consistency_proof(place, size).node_hashes
            assert steps == tiles.consistency_proof(place, size)
            verify_consistency(place, size, steps, tiles.root_at(place), checkpoint.root)
            with pytest.raises(BadProof):
                verify_consistency(place, size, steps, tiles.root_at(place - 1), checkpoint.root)
    with TileLog.open(folder) as log:  # and go on with it
        log.append([b"one more"])
        assert log.size == size + 1
