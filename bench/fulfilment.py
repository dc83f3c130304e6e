"""Fulfilment: orders of twelve items from their confirmation to the goods that left, with every service running."""

from __future__ import annotations

import asyncio
import os
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

from bench import hall
from bench.figures import Figure, against
from bench.running import Ledger, everything
from services.distribution.contract import (
    ConfirmOrder,
    EntitlementClaimed,
    GoodsIssued,
    GoodsReserved,
    HandOutBox,
    OrderCompleted,
    PackBox,
    distribution,
)
from shared.event import decode
from shared.store import stream_name
from shared.wire import StreamReader

_WARM: Final = 100
_ORDERS: Final = 400
_AT_ONCE: Final = 100
"""Orders under way: each is packed once all is set aside for it, and handed out at once."""


async def fulfilment(folder: Path) -> list[Figure]:
    """Orders a second, until their goods are known to have left; and the CPU that each part spends on one."""
    async with everything(folder) as ledger:
        await hall.open_up(ledger, _WARM + _ORDERS)
        await hall.send(ledger, distribution, hall.orders(_WARM + _ORDERS))
        progress = _Progress(ledger)
        following = asyncio.create_task(progress.follow(await ledger.last_sequence(distribution.service) + 1))
        try:
            await _serve(ledger, progress, range(_WARM))
            events, spent = await _stored(ledger), ledger.cpu()
            began = time.perf_counter()
            took = await _serve(ledger, progress, range(_WARM, _WARM + _ORDERS))
            seconds = time.perf_counter() - began
            used = {name: (total - spent[name]) / _ORDERS * 1e3 for name, total in ledger.cpu().items()}
            events = await _stored(ledger) - events
        finally:
            following.cancel()
    parts = ", ".join(f"{name} {ms:.1f}" for name, ms in sorted(used.items(), key=lambda part: -part[1]))
    note = (
        f"{events / _ORDERS:.0f} events an order; CPU ms an order: {sum(used.values()):.1f}, of it {parts}; from "
        f"confirmation to the last note p50 {took[_ORDERS // 2]:.2f} s, p99 {took[int(_ORDERS * 0.99)]:.2f} s; the "
        f"machine's load is {os.getloadavg()[0]:.1f}"
    )
    return [against("fulfilment", _ORDERS / seconds, "/s", "orders of 12 lines, at least", 50, 1, note=note)]


async def _serve(ledger: Ledger, progress: _Progress, numbers: range) -> list[float]:
    """Fulfil orders; the seconds that each took, sorted."""
    took: list[float] = []
    todo = iter(numbers)

    async def caller() -> None:
        for number in todo:
            order, box = f"o{number}", f"b{number}"
            began = time.perf_counter()
            await _tell(ledger, ConfirmOrder(order=order))
            await progress.ready(order).wait()
            await _tell(ledger, PackBox(box=box, order=order))
            await _tell(ledger, HandOutBox(box=box))
            await progress.done(order).wait()
            took.append(time.perf_counter() - began)

    await asyncio.gather(*(caller() for _ in range(_AT_ONCE)))
    return sorted(took)


async def _tell(ledger: Ledger, command: Any) -> None:
    await ledger.client.send("distribution", type(command).__name__, command)


async def _stored(ledger: Ledger) -> int:
    """Events of both services."""
    return await ledger.last_sequence("distribution") + await ledger.last_sequence("inventory")


class _Progress:
    """Follows the stream as a packer's screen would: what is set aside for an order, and what has left."""

    def __init__(self, ledger: Ledger) -> None:
        self._url = ledger.nats.url
        self._steps: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
        """Of each order: how many steps there were before it is packed, and after it was handed out."""
        self._reached: defaultdict[tuple[str, int], asyncio.Event] = defaultdict(asyncio.Event)

    def ready(self, order: str) -> asyncio.Event:
        """Set once it is claimed and every item is set aside."""
        return self._reached[order, 0]

    def done(self, order: str) -> asyncio.Event:
        """Set once it is completed and every item is known to have left."""
        return self._reached[order, 1]

    async def follow(self, start: int) -> None:
        stream = stream_name(distribution.service)
        async with StreamReader(self._url, stream, start, name="bench") as reader:
            async for messages in reader.batches():
                for message in messages:
                    event = decode(
                        message.payload, stream=stream, sequence=message.sequence, subject=message.subject,
                        contract=distribution,
                    )  # fmt: skip
                    match event.data:
                        case EntitlementClaimed() as claimed:
                            self._step(claimed.claim, 0, 1)
                        case GoodsReserved() as reserved:
                            self._step(reserved.order, 0, len(reserved.goods))
                        case OrderCompleted() as completed:
                            self._step(completed.order, 1, 1)
                        case GoodsIssued() as issued:
                            self._step(issued.order, 1, len(issued.goods))

    def _step(self, order: str, phase: int, count: int) -> None:
        steps = self._steps[order]
        steps[phase] += count
        if steps[phase] == hall.LINES + 1:
            self._reached[order, phase].set()
