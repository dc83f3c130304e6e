"""A food hall's day: its goods, its households and their cards, a session that is open, and orders for it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from bench.running import Ledger
from services.distribution.contract import (
    AgeBand,
    BundleLine,
    Every,
    ItemLine,
    Member,
    OpenProgramme,
    OpenSession,
    PlaceOrder,
    RegisterHousehold,
    ScheduleSession,
    SetBundle,
    SetLimit,
    distribution,
)
from services.inventory.contract import (
    BaseUnit,
    DateKind,
    LocationKind,
    OpenLocation,
    ReceiptLine,
    ReceiveStock,
    RegisterItem,
    Source,
    inventory,
)
from shared.contract import Contract
from shared.store import stream_name

SITE: Final = "hall"
PROGRAMME: Final = "weekly-box"
SESSION: Final = "today"
ITEMS: Final = 60
LINES: Final = 12
"""Items in a box."""
_LOTS: Final = 5
_AT_ONCE: Final = 200
_FIRST_DATE: Final = date(2030, 1, 1)


def period() -> str:
    """The period of a claim: the programme's limit is for a year, so that no run of the bench crosses into the next."""
    return f"{datetime.now(UTC).year:04}"


def card(number: int) -> str:
    """The code on a household's card."""
    return f"card-{number:06}"


async def open_up(ledger: Ledger, households: int) -> None:
    """Stock the hall, register its households, and open its doors; done when the read models have all of it."""
    place = OpenLocation(location=SITE, name="Hall", kind=LocationKind.STORE)
    await send(ledger, inventory, [place])
    await send(ledger, inventory, (_item(number) for number in range(ITEMS)))
    await send(ledger, inventory, (_receipt(number) for number in range(ITEMS)))
    while await ledger.last_sequence(distribution.service) < ITEMS:  # until distribution has noted the goods
        await asyncio.sleep(0.05)
    now = datetime.now(UTC)
    bundle = tuple(BundleLine(item=_id(number), quantity=2) for number in range(LINES))
    await send(ledger, distribution, [OpenProgramme(programme=PROGRAMME, name="Weekly box", kind="box")])
    await send(
        ledger,
        distribution,
        [
            SetBundle(programme=PROGRAMME, lines=bundle),
            SetLimit(programme=PROGRAMME, times=1, every=Every.YEAR),
            ScheduleSession(
                session=SESSION, programme=PROGRAMME, site=SITE, name="Today", starts_at=now,
                ends_at=now + timedelta(hours=6),
            ),
        ],
    )  # fmt: skip
    await send(ledger, distribution, [OpenSession(session=SESSION)])
    last = await send(ledger, distribution, (_household(number) for number in range(households)))
    await ledger.level("households", stream_name(distribution.service), last)


async def send(ledger: Ledger, contract: Contract, commands: Iterable[Any]) -> int:
    """Send commands over NATS, many at a time; the last one's sequence."""
    todo, last = iter(commands), 0

    async def caller() -> None:
        nonlocal last
        for command in todo:
            name = contract.command_of(command).name
            reply = await ledger.client.send(contract.service, name, command)
            last = max(last, reply.sequence)

    await asyncio.gather(*(caller() for _ in range(_AT_ONCE)))
    return last


def orders(count: int) -> Iterable[PlaceOrder]:
    """Orders of twelve items, each of another household."""
    for number in range(count):
        items = random.sample(range(ITEMS), LINES)
        lines = tuple(ItemLine(item=_id(item), quantity=random.randint(1, 4)) for item in items)
        yield PlaceOrder(order=f"o{number}", household=f"h{number}", session=SESSION, lines=lines, seen_warnings=True)


def _id(number: int) -> str:
    return f"item-{number}"


def _item(number: int) -> RegisterItem:
    allergens = ("gluten",) if number % 5 == 0 else ()
    return RegisterItem(
        item=_id(number), name=f"Item {number}", unit=BaseUnit.EACH, net_weight=500, allergens=allergens
    )


def _receipt(number: int) -> ReceiveStock:
    lines = tuple(
        ReceiptLine(
            lot=f"L{lot}", quantity=20_000, date=_FIRST_DATE + timedelta(days=lot), date_kind=DateKind.BEST_BEFORE
        )
        for lot in range(_LOTS)
    )
    return ReceiveStock(item=_id(number), location=SITE, source=Source.PURCHASE, lines=lines)


def _household(number: int) -> RegisterHousehold:
    """One in three has somebody who must not eat gluten: what is avoided is unsealed at each visit."""
    members = tuple(
        Member(
            member=f"m{one}", band=AgeBand.ADULT if one < 2 else AgeBand.CHILD, name=f"Person {one}",
            allergens="gluten" if one == 0 and number % 3 == 0 else None,
        )
        for one in range(number % 4 + 1)
    )  # fmt: skip
    return RegisterHousehold(
        household=f"h{number}", card=card(number), name=f"Household {number}", members=members, size=len(members)
    )
