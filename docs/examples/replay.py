"""Add the inventory ledger up from its first event, with nothing but Python, and say what is on hand.

commons tail --from 1 --json > ledger.jsonl && python replay.py ledger.jsonl

Each line is an event as the ledger stored it, byte for byte. Stops at the first event that does not follow the one
before it of its aggregate, or whose own figure is not what the events before it add up to.
"""

import collections
import hashlib
import json
import sys
from collections.abc import Iterable
from pathlib import Path


def replay(lines: Iterable[bytes]) -> dict[tuple[str, str], int]:
    """What is on hand by item and location, in the item's base unit."""
    chains: dict[str, tuple[int, str]] = {}
    on_hand: collections.Counter[tuple[str, str]] = collections.Counter()
    for number, line in enumerate(lines, start=1):
        raw = line.rstrip(b"\n")
        event = json.loads(raw)
        revision, previous = chains.get(event["subject"], (0, "0" * 64))
        if (event["revision"], event["prevhash"]) != (revision + 1, previous):
            raise SystemExit(f"event {number} does not follow revision {revision} of {event['subject']}")
        chains[event["subject"]] = revision + 1, hashlib.sha256(raw).hexdigest()
        data = event["data"]
        if "moves" not in data:
            continue  # an event that moves no stock
        stock = data["item"], data["location"]
        if data.get("absorbed_by") is None:  # else a count came after the moment, and its figure stands
            on_hand[stock] += sum(move["change"] for move in data["moves"])
        if on_hand[stock] != data["on_hand"]:
            raise SystemExit(f"event {number} says {data['on_hand']} of {stock}; the events say {on_hand[stock]}")
    return dict(on_hand)


if __name__ == "__main__":
    with Path(sys.argv[1]).open("rb") if len(sys.argv) > 1 else sys.stdin.buffer as ledger:
        for (item, location), quantity in sorted(replay(ledger).items()):
            print(item, location, quantity, sep="\t")
