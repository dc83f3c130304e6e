"""The id of every event of the ledger, for a container of the ledger's own image: `python -c SOURCE`.

A line an event, `SERVICE SEQUENCE ID`, in the order of each stream; behind it, of the fulfilment of orders:
`confirmed ORDER`, `reserved ORDER` of what was set aside for one, and `refused EVENT` of what was to be set aside
because of that event, and could not be.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import msgspec

from services.commands.contracts import CONTRACTS
from services.distribution.processes.names import order_of
from shared.settings import load
from shared.store import stream_name
from shared.wire import StreamReader


def fulfilment(event: dict[str, Any]) -> str:
    """What an event says of an order's goods; nothing, if it is about something else."""
    data = event["data"]
    match event["type"].rpartition(".v")[0]:
        case "commons.distribution.order-confirmed":
            return f" confirmed {data['order']}"
        case "commons.inventory.stock-reserved" if order := order_of(data["reservation"]):
            return f" reserved {order}"
        case "commons.distribution.process-step-refused" if data["command"] == "ReserveStock":
            return f" refused {data['cause']}"
    return ""


async def main(services: list[str]) -> None:
    for service in services or CONTRACTS:
        async with StreamReader(load().nats_url, stream_name(service), name="test") as reader:
            async for messages in reader.batches(until=reader.last_sequence):
                for message in messages:
                    event = msgspec.json.decode(message.payload)
                    sys.stdout.write(f"{service} {message.sequence} {event['id']}{fulfilment(event)}\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
