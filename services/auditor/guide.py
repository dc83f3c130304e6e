"""The page that goes with every copy of a ledger: how a stranger verifies it, with other people's tools."""

from __future__ import annotations

from typing import Final

TITLE: Final = "# A copy of a ledger"
"""The first line, by which a folder is known for a copy."""

GUIDE: Final = (
    TITLE
    + r"""

This is a whole copy of a ledger of a community programme (stock, distribution, clinic, treasury), made by
Commons Ledger. It needs nothing else: no network, no server, no password. It holds every event up to a signed
checkpoint, byte for byte. What is personal in events is encrypted; the keys are not in here.

| where | what |
| --- | --- |
| `SERVICE/checkpoint` | how many events there are, the root of their tree, who signed that ([tlog-checkpoint]) |
| `SERVICE/tile/entries/` | the events, 256 a file, each after its length in two bytes ([tlog-tiles]) |
| `SERVICE/tile/0/`, `1/` … | the hashes of the tree, 256 a file |
| `SERVICE/checkpoints/` | every checkpoint that was published, one JSON object a line: `time`, `note` |
| `SERVICE/keys/` | public keys: `log.vkey` of who signs the log, `witness-*.vkey` of who cosigned it |
| `events.md`, `schemas/` | what each type of event means, and its JSON Schema |

[tlog-checkpoint]: https://c2sp.org/tlog-checkpoint
[tlog-tiles]: https://c2sp.org/tlog-tiles

**Compare the public keys** in `SERVICE/keys/` with those that the organisation, and each witness, gave you by
another way. A copy that was forged from end to end carries the forger's keys.

## With the program that made it

Get Commons Ledger's own source from where its project publishes it (not from whoever gave you this copy), and
in it:

    make demo                              # sets up .venv, and shows what it does
    .venv/bin/commons verify PATH/TO/THIS/FOLDER --log-key KEY …

It checks every signature, every root, every hash chain, and folds all events by the rules of the services. It
names the first thing that is wrong.

## With tools of your own

The formats are those of transparency logs. Any tool that reads a static log of the form c2sp.org/tlog-tiles
reads `SERVICE/` as it is; served by any web server (`python3 -m http.server`), it is that log's URL. Signatures
are Ed25519 over the first lines of `checkpoint`, up to and with the newline before the empty line
(c2sp.org/signed-note).

One event by hand, the first of inventory: cut it out of its bundle, and hash it with a zero byte in front. The
hash is the first 32 bytes of `inventory/tile/0/000` (or of `inventory/tile/0/000.p/…` in a log of fewer than
256 events).

    cd inventory
    bundle=$(ls -d tile/entries/000 tile/entries/000.p/* 2>/dev/null | head -1)
    length=$((0x$(head -c 2 $bundle | od -An -tx1 | tr -d ' \n')))
    { printf '\0'; tail -c +3 $bundle | head -c $length; } | sha256sum
    head -c 32 $(ls -d tile/0/000 tile/0/000.p/* 2>/dev/null | head -1) | od -An -tx1

All of it with Python alone (save this as `check.py`, and run `python3 check.py inventory`; the signature is
looked at too when the package `cryptography` is installed):

```python
import base64, hashlib, json, pathlib, sys

log = pathlib.Path(sys.argv[1])
text, _, signatures = (log / "checkpoint").read_text().partition("\n\n")
origin, size, root = text.split("\n")[:3]


def entries(count):
    for first in range(0, count, 256):
        index, wanted = first // 256, min(256, count - first)
        name = f"{index % 1000:03}"
        while index := index // 1000:
            name = f"x{index % 1000:03}/{name}"
        path = log / "tile" / "entries" / name
        raw = (path if path.exists() else path.with_name(f"{path.name}.p") / str(wanted)).read_bytes()
        for _ in range(wanted):
            length = int.from_bytes(raw[:2], "big")
            yield raw[2 : 2 + length]
            raw = raw[2 + length :]


def tree(leaves):  # RFC 9162, 2.1.1
    if len(leaves) == 1:
        return leaves[0]
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + tree(leaves[:half]) + tree(leaves[half:])).digest()


leaves, last = [], {}
for number, raw in enumerate(entries(int(size)), 1):
    event = json.loads(raw)
    revision, prevhash = last.get(event["subject"], (0, "0" * 64))
    assert (event["revision"], event["prevhash"]) == (revision + 1, prevhash), f"event {number} breaks its chain"
    last[event["subject"]] = (event["revision"], hashlib.sha256(raw).hexdigest())
    leaves.append(hashlib.sha256(b"\0" + raw).digest())
assert tree(leaves) == base64.b64decode(root), "the events are not those that were signed"
key = base64.b64decode((log / "keys" / "log.vkey").read_text().strip().split("+", 2)[2])[1:]
try:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
except ImportError:
    print("the signature was not looked at: the package cryptography is not installed")
else:
    signed = next(line for line in signatures.splitlines() if line.startswith(f"— {origin} "))
    Ed25519PublicKey.from_public_bytes(key).verify(base64.b64decode(signed.split(" ")[2])[4:], f"{text}\n".encode())
print(f"{origin}: {size} events, {len(last)} chains, root {base64.b64decode(root).hex()}")
```

## What it proves, and what not

It proves that these are all events under the checkpoint, in order and unchanged, and that whoever holds the key
signed them. That everybody was shown the same ledger is proved by the witnesses' cosignatures, if there are
any. That what was recorded is true, no copy proves.

To put a ledger back from this copy: `commons restore FOLDER`.
"""
)
