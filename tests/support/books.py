"""A treasury's stream in memory, made of the contract's events as they would be stored; nothing is decided here."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from services.treasury.contract import (
    AccountKind,
    AccountOpened,
    BookOpened,
    EntriesPosted,
    Entry,
    EntryPosted,
    EntryReversed,
    Function,
    FundOpened,
    Posting,
    Restriction,
    treasury,
)
from shared.event import FIRST_PREVHASH, Envelope, Recorded, decode, encode, event_id, sha256, timestamp

MONDAY: Final = datetime(2026, 6, 1, 9, tzinfo=UTC)
BOOK: Final = "pantry"

ACCOUNTS: Final[dict[str, tuple[AccountKind, Function | None]]] = {
    "bank": (AccountKind.ASSET, None),
    "cash": (AccountKind.ASSET, None),
    "receivable": (AccountKind.ASSET, None),
    "payable": (AccountKind.LIABILITY, None),
    "net": (AccountKind.NET_ASSETS, None),
    "gifts": (AccountKind.INCOME, None),
    "dues": (AccountKind.INCOME, None),
    "released": (AccountKind.INCOME, None),
    "food": (AccountKind.EXPENSE, Function.PROGRAM),
    "rent": (AccountKind.EXPENSE, Function.MANAGEMENT),
    "letters": (AccountKind.EXPENSE, Function.FUNDRAISING),
}
FUNDS: Final = {"general": Restriction.NONE, "kitchen": Restriction.PURPOSE}


def posting(account: str, amount: int, fund: str = "general", unit: str = "EUR") -> Posting:
    return Posting(account=account, amount=amount, unit=unit, fund=fund)


class Books:
    """The stream TREASURY. Time stands still until `later` moves it."""

    def __init__(self, now: datetime = MONDAY) -> None:
        self.now = now
        self.events: list[Recorded] = []
        self._last: dict[str, Recorded] = {}

    @property
    def today(self) -> date:
        return self.now.date()

    def later(self, **delta: float) -> datetime:
        """Let time pass, and say when it is now."""
        self.now += timedelta(**delta)
        return self.now

    def record(self, event: Any, id: str = BOOK, *, actor: str = "sam") -> Recorded:
        """Append an event to its aggregate, as the kernel would."""
        spec = treasury.spec_of(event)
        subject = f"ledger.treasury.{spec.category}.{id}"
        before = self._last.get(subject)
        envelope = Envelope(
            specversion="1.0", id=event_id(subject, f"c{len(self.events)}"), source="/commons/test/treasury",
            type=spec.type, subject=f"{spec.category}/{id}", time=timestamp(self.now), dataschema="",
            datacontenttype="application/json", revision=1 if before is None else before.revision + 1,
            prevhash=FIRST_PREVHASH if before is None else sha256(before.raw), correlationid="c", causationid="c",
            authtype="user", authid=actor, data=event,
        )  # fmt: skip
        stored = decode(
            encode(envelope), stream="TREASURY", sequence=len(self.events) + 1, subject=subject, contract=treasury
        )
        self.events.append(stored)
        self._last[subject] = stored
        return stored

    # -- the usual furniture --------------------------------------------------------------------------------------

    def furnish(self, book: str = BOOK) -> Books:
        """A book in euros, with accounts of every kind and a fund that is restricted to the kitchen."""
        self.record(
            BookOpened(
                book=book, name="Pantry", unit="EUR", starts=date(2026, 1, 1), decimals=2, occurred_at=self.now
            ), book,
        )  # fmt: skip
        for account, (kind, function) in ACCOUNTS.items():
            self.record(
                AccountOpened(
                    book=book, account=account, name=account.capitalize(), kind=kind, function=function,
                    guarded=account == "bank", occurred_at=self.now,
                ), book,
            )  # fmt: skip
        for fund, restriction in FUNDS.items():
            self.record(
                FundOpened(
                    book=book, fund=fund, name=fund.capitalize(), restriction=restriction, net_assets="net",
                    occurred_at=self.now,
                ), book,
            )  # fmt: skip
        return self

    def post(
        self, entry: str, debit: str, credit: str, amount: int, *, fund: str = "general", day: date | None = None,
        unit: str = "EUR", **more: Any,
    ) -> Recorded:  # fmt: skip
        """One entry of two postings, today unless told otherwise."""
        return self.record(
            EntryPosted(
                book=BOOK, entry=entry, date=day or self.today, debits=(posting(debit, amount, fund, unit),),
                credits=(posting(credit, amount, fund, unit),), **more,
            )
        )  # fmt: skip

    def post_many(self, *entries: Entry, **more: Any) -> Recorded:
        return self.record(EntriesPosted(book=BOOK, entries=entries, **more))

    def reverse(self, stored: Recorded, entry: str, **more: Any) -> Recorded:
        """Take an entry back today."""
        data = stored.data
        return self.record(
            EntryReversed(
                book=BOOK, entry=entry, date=self.today, reverses=data.entry, debits=data.credits, credits=data.debits,
                reason="a mistake", **more,
            )
        )  # fmt: skip
