"""Check a receipt with Python and the package `cryptography`, and nothing of the ledger's.

python receipt.py donation.tlog-proof log.vkey witness-1.vkey witness-2.vkey

Prints the event that the receipt is for, and ends with an error unless every key that was given signed the checkpoint
above it. The formats: c2sp.org/tlog-proof, tlog-checkpoint, signed-note, tlog-cosignature; RFC 9162, 2.1.3.2.
"""

import base64
import hashlib
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def check(receipt: str, keys: list[str]) -> bytes:
    """The event's bytes. The first key is the log's, the others are witnesses'."""
    head, _, note = receipt.partition("\n\n")
    version, extra, index, *proof = head.split("\n")
    if version != "c2sp.org/tlog-proof@v1":
        raise SystemExit("this is no receipt")
    event = base64.b64decode(extra.removeprefix("extra "))
    body, _, signatures = note.rpartition("\n\n")
    text = body + "\n"
    origin, size, root, *_ = text.split("\n")
    if root_of(event, int(index.removeprefix("index ")), int(size), proof) != base64.b64decode(root):
        raise SystemExit("the proof does not lead from the event to the checkpoint")
    if not keys or keys[0].split("+")[0] != origin:
        raise SystemExit(f"the first key is not that of the log {origin}")
    lines = dict(line.removeprefix("— ").split(" ") for line in signatures.splitlines())
    for key in keys:
        name, _, encoded = key.split("+", 2)
        kind, public = base64.b64decode(encoded)[0], base64.b64decode(encoded)[1:]
        signature, message = base64.b64decode(lines[name])[4:], text
        if kind == 4:  # a witness's, with the time in front
            seconds, signature = int.from_bytes(signature[:8], "big"), signature[8:]
            message = f"cosignature/v1\ntime {seconds}\n{text}"
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message.encode())  # or it raises
    return event


def root_of(event: bytes, index: int, size: int, proof: list[str]) -> bytes:
    """The root that the proof leads to."""
    node, last = hashlib.sha256(b"\0" + event).digest(), size - 1
    for sibling in map(base64.b64decode, proof):
        if not last:
            raise SystemExit("the proof is too long")
        if index % 2 or index == last:
            node = hashlib.sha256(b"\1" + sibling + node).digest()
            while not index % 2 and index:
                index, last = index >> 1, last >> 1
        else:
            node = hashlib.sha256(b"\1" + node + sibling).digest()
        index, last = index >> 1, last >> 1
    if last or index:
        raise SystemExit("the proof is too short")
    return node


if __name__ == "__main__":
    file, *vkeys = map(Path, sys.argv[1:])
    print(check(file.read_text(), [path.read_text().strip() for path in vkeys]).decode())
