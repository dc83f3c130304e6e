"""Follow the inventory ledger: every event once, in order, each checked against the one before it of its aggregate.

pip install nats-py && NATS_URL=nats://127.0.0.1:4222 python consumer.py    # its place is kept in position.json
"""

import asyncio
import contextlib
import hashlib
import json
import os
from pathlib import Path

import nats
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

FILE = Path(os.environ.get("POSITION", "position.json"))


def take(place: dict, sequence: int, raw: bytes) -> None:
    """Check one event, and do with it whatever this consumer is for."""
    event = json.loads(raw)
    if sequence != place["sequence"] + 1:
        raise SystemExit(f"events {place['sequence'] + 1} to {sequence - 1} are missing: stop, and ask the operator")
    if event["prevhash"] != place["hashes"].get(event["subject"], "0" * 64):
        raise SystemExit(f"event {sequence} does not follow what was read of {event['subject']} before it")
    print(sequence, event["id"], event["type"], event["subject"], flush=True)
    place["sequence"], place["hashes"][event["subject"]] = sequence, hashlib.sha256(raw).hexdigest()


async def follow(place: dict) -> None:
    told = os.environ.get
    nc = await nats.connect(told("NATS_URL", "nats://127.0.0.1:4222"), inbox_prefix=told("NATS_INBOX", "_INBOX"))
    js = nc.jetstream(prefix=told("NATS_API", "$JS.API"))
    while True:  # after ten quiet seconds, or when the server was away: a new consumer, behind what is known
        start = ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=place["sequence"] + 1,
            ack_policy=AckPolicy.NONE, inactive_threshold=60,
        )  # fmt: skip
        with contextlib.suppress(nats.errors.Error, TimeoutError):
            consumer = await js.pull_subscribe("ledger.inventory.>", stream="INVENTORY", config=start)
            try:
                while True:
                    for message in await consumer.fetch(500, timeout=10):
                        take(place, message.metadata.sequence.stream, message.data)
                    FILE.with_suffix(".new").write_text(json.dumps(place))
                    FILE.with_suffix(".new").replace(FILE)
            finally:
                await consumer.unsubscribe()


if __name__ == "__main__":
    known = json.loads(FILE.read_bytes()) if FILE.exists() else {"sequence": 0, "hashes": {}}
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(follow(known))
