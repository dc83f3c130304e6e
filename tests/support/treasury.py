"""The words that sentences about a treasury's book are made of.

The club's book begins with the year 2026, in euros. Its bank account and its cash may not go below zero. Beside the
general fund it has three restricted ones: `youth` pays for food alone, `later` may be spent from December on, and
`grant` pays for food and may be spent 500 cents before it is received. Amounts are in cents.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from services.treasury.contract import (
    DEFAULT_FUND,
    AccountKind,
    AssessDues,
    CloseYear,
    Entry,
    Function,
    OpenAccount,
    OpenBook,
    OpenFund,
    PlaceHold,
    PostEntries,
    PostEntry,
    PostHold,
    Posting,
    RecordDonation,
    RegisterParty,
    RegisterUnit,
    ReleaseRestriction,
    Restriction,
    ReverseEntry,
    VoidHold,
)
from services.treasury.deciders import DECIDERS
from services.treasury.state import Book
from tests.support.sentences import NOW, Given, sentences

given = sentences(
    DECIDERS,
    {
        "book": lambda event: event.book,
        "expense": lambda event: event.expense,
        "party": lambda event: event.party,
        "pledge": lambda event: event.pledge,
        "statement": lambda event: f"{event.book}:{event.account}",
        "process": lambda event: event.step,
    },
)

IN: Final = {"book": "club"}
"""The book that sentences are about."""

TODAY: Final = NOW.date()
NEXT_YEAR: Final = datetime(2027, 3, 1, 12, tzinfo=UTC)


def on(month: int, day: int, year: int = 2026) -> date:
    return date(year, month, day)


def ago(**how_long: float) -> datetime:
    return NOW - timedelta(**how_long)


def account(id: str, kind: AccountKind, *, guarded: bool = False, **more: Any) -> OpenAccount:
    if kind is AccountKind.EXPENSE:
        more.setdefault("function", Function.PROGRAM)
    return OpenAccount(**IN, account=id, name=id.title(), kind=kind, guarded=guarded, **more)


def fund(id: str, restriction: Restriction = Restriction.NONE, **more: Any) -> OpenFund:
    return OpenFund(**{**IN, "name": id.title(), "net_assets": "net", **more}, fund=id, restriction=restriction)


book = OpenBook(**IN, name="The club", unit="EUR", starts=on(1, 1))
bank = account("bank", AccountKind.ASSET, guarded=True)
cash = account("cash", AccountKind.ASSET, guarded=True)
owed = account("owed", AccountKind.ASSET)
loan = account("loan", AccountKind.LIABILITY)
net = account("net", AccountKind.NET_ASSETS)
dues = account("dues", AccountKind.INCOME)
gifts = account("gifts", AccountKind.INCOME)
food = account("food", AccountKind.EXPENSE)
rent = account("rent", AccountKind.EXPENSE, function=Function.MANAGEMENT)
general = fund("general")
youth = fund("youth", Restriction.PURPOSE, purpose="Holidays for children", pays_for=("food",))
later = fund("later", Restriction.TIME, available_from=on(12, 1))
grant = fund("grant", Restriction.PURPOSE, pays_for=("food",), advance=500)
hours = RegisterUnit(**IN, unit="HOURS", name="Hours given", decimals=1)

CHART = (book, bank, cash, owed, loan, net, dues, gifts, food, rent)
CLUB = (*CHART, general, youth, later, grant, hours)
"""A book with everything in it but entries."""

ada = RegisterParty(party="ada", name="Ada Lovelace", login="ada")


def p(account: str, amount: int, fund: str = DEFAULT_FUND, unit: str = "EUR") -> Posting:
    return Posting(account=account, amount=amount, unit=unit, fund=fund)


def entry(
    amount: int = 100, debit: str = "bank", credit: str = "dues", id: str = "e1", day: date | None = None, *,
    fund: str = DEFAULT_FUND, unit: str = "EUR", **more: Any,
) -> PostEntry:  # fmt: skip
    """An entry of two postings; what comes in, unless it says otherwise."""
    return entry_of((p(debit, amount, fund, unit),), (p(credit, amount, fund, unit),), id, day, **more)


def entry_of(
    debits: tuple[Posting, ...], credits: tuple[Posting, ...], id: str = "e1", day: date | None = None,  # noqa: A002
    **more: Any,
) -> PostEntry:  # fmt: skip
    return PostEntry(**{**IN, **more}, entry=id, date=day, debits=debits, credits=credits)


def came_in(amount: int = 100, id: str = "in", day: date | None = None, **more: Any) -> PostEntry:
    """Money that came into the bank account."""
    return entry(amount, "bank", "dues", id, day, **more)


def spent(amount: int = 100, id: str = "out", day: date | None = None, *, of: str = "food", **more: Any) -> PostEntry:
    """Money that went from the bank account."""
    return entry(amount, of, "bank", id, day, **more)


def line(
    amount: int = 100, debit: str = "bank", credit: str = "dues", id: str = "e1", day: date = TODAY, *,
    fund: str = DEFAULT_FUND, unit: str = "EUR", **more: Any,
) -> Entry:  # fmt: skip
    """One entry of many."""
    return Entry(
        entry=id, date=day, debits=(p(debit, amount, fund, unit),), credits=(p(credit, amount, fund, unit),), **more
    )


def post(*entries: Entry) -> PostEntries:
    return PostEntries(**IN, entries=entries)


def hold(amount: int = 100, id: str = "h1", *, of: str = "food", fund: str = DEFAULT_FUND, **more: Any) -> PlaceHold:
    """Money set aside in the bank account for an expense."""
    return PlaceHold(**IN, hold=id, debits=(p(of, amount, fund),), credits=(p("bank", amount, fund),), **more)


def post_hold(id: str = "h1", entry: str = "paid", part: int = 0, **more: Any) -> PostHold:
    """The posting of a hold of `hold`, or of a part of it."""
    parts = {"part_debits": (p("food", part),), "part_credits": (p("bank", part),)} if part else {}
    return PostHold(**IN, hold=id, entry=entry, **{**parts, **more})


def void(id: str = "h1") -> VoidHold:
    return VoidHold(**IN, hold=id, reason="Not needed")


def reverse(id: str, by: str | None = None, day: date | None = None, **more: Any) -> ReverseEntry:
    return ReverseEntry(**IN, entry=by or f"un-{id}", reverses=id, date=day, reason="A mistake", **more)


def release(amount: int = 100, id: str = "free", of: str = "youth", **more: Any) -> ReleaseRestriction:
    fields = {"to_fund": "general", "account": "bank", "through": "gifts", "unit": "EUR", "reason": "It is done"}
    return ReleaseRestriction(**{**IN, **fields, **more}, entry=id, from_fund=of, amount=amount)


def donation(amount: int = 100, id: str = "gift", fund: str = DEFAULT_FUND, **more: Any) -> RecordDonation:
    fields = {"unit": "EUR", "into": "bank", "income": "gifts"}
    return RecordDonation(**{**IN, **fields, **more}, entry=id, amount=amount, fund=fund)


def assess(amount: int = 100, id: str = "asked", **more: Any) -> AssessDues:
    fields = {"member": "ada", "period": "2026", "unit": "EUR", "receivable": "owed", "income": "dues"}
    return AssessDues(**{**IN, **fields, "due_on": on(12, 31), **more}, entry=id, amount=amount)


def close_year(year: int = 2026, id: str | None = None, **more: Any) -> CloseYear:
    return CloseYear(**{**IN, "through": on(12, 31, year), **more}, entry=id or f"close-{year}")


def state(given: Given) -> Book:
    found: Book = given.state("book", "club")
    return found


def balances(given: Given, day: date | None = None) -> dict[str, int]:
    """What stands on every account and fund at the end of a day, or now, zeros left out: `bank/general`, in euros.

    Debits count as positive. Another unit than euros is added: `bank/general/HOURS`.
    """
    found = {}
    for (account, fund, unit), line in state(given).lines.items():
        figure = line.balance if day is None else line.at_end_of(day.toordinal())
        if figure:
            found[f"{account}/{fund}" + ("" if unit == "EUR" else f"/{unit}")] = figure
    return found


def held(given: Given) -> dict[str, int]:
    """What is held of guarded accounts and restricted funds: `account bank`."""
    return {f"{kind} {id}": guard.held for (kind, id, _), guard in state(given).guards.items() if guard.held}
