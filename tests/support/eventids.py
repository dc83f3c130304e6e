"""The id of every event of the ledger, for a container of the ledger's own image: `python -c SOURCE`.

A line an event, `SERVICE SEQUENCE ID`, in the order of each stream.
"""

from __future__ import annotations

import asyncio
import sys

import msgspec

from services.commands.contracts import CONTRACTS
from shared.settings import load
from shared.store import stream_name
from shared.wire import StreamReader


async def main(services: list[str]) -> None:
    for service in services or CONTRACTS:
        async with StreamReader(load().nats_url, stream_name(service), name="test") as reader:
            async for messages in reader.batches(until=reader.last_sequence):
                lines = [f"{service} {m.sequence} {msgspec.json.decode(m.payload)['id']}\n" for m in messages]
                sys.stdout.write("".join(lines))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
