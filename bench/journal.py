"""A book's traffic: transfers between fifty accounts of one book, through the treasury's own deciders.

A transfer is an entry of one debit and one credit. Half of the accounts are guarded, so that the books look at their
limits, as they do for a bank account or a petty cash; the others may go either way.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any, Final

from bench.ledger import Load
from services.treasury.contract import (
    AccountKind,
    Entry,
    OpenAccount,
    OpenBook,
    OpenFund,
    PostEntry,
    Posting,
)
from shared.command import CommandMeta
from shared.handler import Handler

BOOK: Final = "main"
ACCOUNTS: Final = 50
FIRST_DAY: Final = date(2026, 1, 1)
_UNIT: Final = "EUR"
_LARGEST: Final = 10_000
_FLOAT: Final = 10**12
"""What each guarded account has at first, in cents: enough for every transfer that follows."""


def opening() -> Iterator[Any]:
    """The commands that open the book: its accounts, its fund, and money in those that are guarded."""
    yield OpenBook(book=BOOK, name="Common fund", unit=_UNIT, starts=FIRST_DAY)
    yield OpenAccount(book=BOOK, account="net-assets", name="Net assets", kind=AccountKind.NET_ASSETS)
    yield OpenFund(book=BOOK, fund="general", name="General", net_assets="net-assets")
    for number in range(ACCOUNTS):
        guarded = number % 2 == 0
        kind = AccountKind.ASSET if guarded else AccountKind.LIABILITY
        yield OpenAccount(book=BOOK, account=_account(number), name=f"Account {number}", kind=kind, guarded=guarded)
        if guarded:
            yield PostEntry(
                book=BOOK, entry=f"opening-{number}", date=FIRST_DAY, debits=(_posting(_account(number), _FLOAT),),
                credits=(_posting("net-assets", _FLOAT),),
            )  # fmt: skip


def transfers(count: int, *, tag: str) -> Iterator[PostEntry]:
    """Transfers of today, each between two accounts at random."""
    for number in range(count):
        debits, credits = _sides()  # noqa: A001 - the field's own words
        yield PostEntry(book=BOOK, entry=f"{tag}-{number}", debits=debits, credits=credits)


def entries(count: int, *, tag: str, day: date = FIRST_DAY) -> Iterator[Entry]:
    """The same for requests that hold many, of one day."""
    for number in range(count):
        debits, credits = _sides()  # noqa: A001
        yield Entry(entry=f"{tag}-{number}", date=day, debits=debits, credits=credits)


async def send(handler: Handler, commands: Iterable[Any], *, waiting: int, tag: str) -> Load:
    """Send commands with so many callers that each wait for their answer."""
    seconds: list[float] = []
    todo = enumerate(commands)

    async def caller() -> None:
        for number, command in todo:
            began = time.perf_counter()
            await handler.handle(command, CommandMeta(id=f"{tag}-{number}", actor="bench"))
            seconds.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(waiting)))
    rate = len(seconds) / (time.perf_counter() - began)
    return Load(rate, sorted(seconds))


def _sides() -> tuple[tuple[Posting, ...], tuple[Posting, ...]]:
    debit, credit = random.sample(range(ACCOUNTS), 2)
    amount = random.randint(1, _LARGEST)
    return (_posting(_account(debit), amount),), (_posting(_account(credit), amount),)


def _account(number: int) -> str:
    return f"account-{number}"


def _posting(account: str, amount: int) -> Posting:
    return Posting(account=account, amount=amount, unit=_UNIT)
