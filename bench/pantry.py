"""A pantry's traffic: items on shelves, received in lots and given out, through inventory's own deciders."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any, Final

from services.inventory.contract import (
    BaseUnit,
    DateKind,
    IssueStock,
    LocationKind,
    OpenLocation,
    PickLine,
    Purpose,
    ReceiptLine,
    ReceiveStock,
    RegisterItem,
    Source,
)
from shared.command import CommandMeta
from shared.handler import Handler

LOCATION: Final = "main"
_LOTS: Final = 5
_FIRST_DATE: Final = date(2030, 1, 1)


def catalogue(items: int) -> Iterator[Any]:
    """The commands that open the pantry: one location, and items."""
    yield OpenLocation(location=LOCATION, name="Main store", kind=LocationKind.STORE)
    for number in range(items):
        yield RegisterItem(item=f"item-{number}", name=f"Item {number}", unit=BaseUnit.EACH, net_weight=500)


def traffic(commands: int, items: int) -> Iterator[Any]:
    """Four receipts of a lot to every six issues, item by item; what leaves was there."""
    for number in range(commands):
        item, turn = f"item-{number % items}", number // items
        if turn % 10 in (0, 2, 5, 7):
            lot = turn % _LOTS
            line = ReceiptLine(
                lot=f"L{lot}", quantity=50, date=_FIRST_DATE + timedelta(days=lot), date_kind=DateKind.BEST_BEFORE
            )
            yield ReceiveStock(item=item, location=LOCATION, source=Source.DONATION, lines=(line,))
        else:
            yield IssueStock(
                item=item, location=LOCATION, purpose=Purpose.HOUSEHOLD, lines=(PickLine(quantity=turn % 7 + 1),)
            )


async def fill(handler: Handler, commands: Iterator[Any], *, tag: str, waiting: int = 1000) -> float:
    """Send commands with so many callers; how many a second."""
    sent = 0
    todo = enumerate(commands)

    async def caller() -> None:
        nonlocal sent
        for number, command in todo:
            await handler.handle(command, CommandMeta(id=f"{tag}-{number}", actor="bench"))
            sent += 1

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(waiting)))
    return sent / (time.perf_counter() - began)
