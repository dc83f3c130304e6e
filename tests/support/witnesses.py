"""A log of sixty-four entries, and what it asks of a witness."""

from __future__ import annotations

import base64

from services.auditor.checkpoint import Checkpoint
from services.auditor.merkle import consistency_proof, leaf_hash, root_of
from services.auditor.notes import Note, Signer

LOG = Signer("pantry.example/inventory", bytes(32))
LEAVES = [leaf_hash(b"entry %d" % number) for number in range(64)]


def request(old: int, new: int, leaves: list[bytes] = LEAVES, signer: Signer = LOG, origin: str = LOG.name) -> bytes:
    """Ask to cosign the log's first `new` entries after its first `old`; the proof is that of `leaves`."""
    proof = consistency_proof(lambda level, at: root_of(leaves[at << level : (at + 1) << level]), old, new)
    text = Checkpoint(origin, new, root_of(leaves[:new])).text()
    lines = [f"old {old}", *(base64.b64encode(node).decode() for node in proof)]
    return "".join(f"{line}\n" for line in lines).encode() + b"\n" + Note(text, [signer.sign(text)]).to_bytes()
