"""One book as it stands in the treasury's stream: what it consists of, and every entry of it in the order recorded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final, NamedTuple

from services.exports.account_names import AccountNames
from services.treasury.contract import (
    AccountKind,
    AccountOpened,
    BookOpened,
    Entry,
    FundOpened,
    Journal,
    PartyChanged,
    PartyRegistered,
    UnitRegistered,
    entries_of,
)
from shared.errors import Invalid
from shared.event import Recorded


class Change(NamedTuple):
    """One posting: so many minor units of `unit`, debits positive, in one account for one fund."""

    account: str
    fund: str
    unit: str
    amount: int


@dataclass(frozen=True, slots=True)
class Booked:
    """One entry. `kind` says in words what recorded it, `at` when and `actor` who; `party` is an opaque id."""

    entry: str
    date: date
    kind: str
    at: datetime | None
    sequence: int
    changes: tuple[Change, ...]
    description: str = ""
    party: str = ""
    reference: str = ""
    reverses: str = ""
    actor: str = ""


@dataclass(slots=True)
class Book:
    """What a book consists of. `parties` are the sealed names by id."""

    id: str
    name: str = ""
    unit: str = ""
    starts: date = date.min
    decimals: dict[str, int] = field(default_factory=dict)
    accounts: dict[str, AccountOpened] = field(default_factory=dict)
    funds: dict[str, FundOpened] = field(default_factory=dict)
    parties: dict[str, str] = field(default_factory=dict)
    names: AccountNames = field(default_factory=AccountNames)

    @property
    def kinds(self) -> Mapping[str, AccountKind]:
        return {id_: account.kind for id_, account in self.accounts.items()}

    def take(self, event: Recorded) -> None:
        """Take in the next event of the stream, of whichever book."""
        data = event.data
        match data:
            case PartyRegistered() | PartyChanged():
                self.parties[data.party] = data.name
            case BookOpened() if data.book == self.id:
                self.name, self.unit, self.starts = data.name, data.unit, data.starts
                self.decimals[data.unit] = data.decimals
            case UnitRegistered() if data.book == self.id:
                self.decimals[data.unit] = data.scale
            case AccountOpened() if data.book == self.id:
                self.accounts.setdefault(data.account, data)
                self.names.add(data.account, data.kind)
            case FundOpened() if data.book == self.id:
                self.funds.setdefault(data.fund, data)


@dataclass(slots=True)
class Survey:
    """The first look through the stream: the one book that is wanted, and what was brought forward to `since`."""

    wanted: str | None
    since: date | None = None
    books: dict[str, Book] = field(default_factory=dict)
    before: dict[tuple[str, str, str, str], int] = field(default_factory=lambda: defaultdict(int))
    _parties: dict[str, str] = field(default_factory=dict)

    def take(self, event: Recorded) -> None:
        data = event.data
        if isinstance(data, BookOpened):
            self.books.setdefault(data.book, Book(data.book))
        for book in self.books.values():
            book.take(event)
        if isinstance(data, PartyRegistered | PartyChanged):
            self._parties[data.party] = data.name
        if self.since is not None:
            for entry in entries(event):
                if entry.date < self.since:
                    for change in entry.changes:
                        self.before[data.book, change.account, change.fund, change.unit] += change.amount

    def book(self) -> Book:
        """The book that is wanted. Raises Invalid when there is none, or none is named and there are several."""
        if self.wanted is None and len(self.books) > 1:
            raise Invalid(
                f"There are {len(self.books)} books ({', '.join(sorted(self.books)[:10])}); say which with --book."
            )
        found = next(iter(self.books.values()), None) if self.wanted is None else self.books.get(self.wanted)
        if found is None:
            which = f"There is no book {self.wanted[:64]}" if self.wanted else "There is no book"
            raise Invalid(f"{which} in this ledger. `commons import accounts` with --open begins one.")
        found.parties = self._parties
        return found

    def brought_forward(self, book: Book) -> Booked | None:
        """The balances of every account at the end of the day before `since`, as one entry; None when all are zero."""
        changes = tuple(
            Change(account, fund, unit, amount)
            for (of, account, fund, unit), amount in sorted(self.before.items())
            if of == book.id and amount
        )
        if self.since is None or not changes:
            return None
        return Booked(
            "brought-forward", self.since, "Balances brought forward", None, 0, changes, "Balances brought forward"
        )


_SAYS: Final = ("description", "what", "reason")
_CONCERNS: Final = ("party", "donor", "member")


def entries(event: Recorded) -> Iterator[Booked]:
    """Every entry that an event posted, of whichever book."""
    data = event.data
    for entry in entries_of(data):
        yield _booked(entry, "Entry posted" if isinstance(entry, Entry) else _words(type(data).__name__), event)


def _booked(entry: Journal | Entry, kind: str, event: Recorded) -> Booked:
    changes = [Change(p.account, p.fund, p.unit, p.amount) for p in entry.debits]
    changes += [Change(p.account, p.fund, p.unit, -p.amount) for p in entry.credits]
    return Booked(
        entry.entry, entry.date, kind, event.recorded_at, event.sequence, tuple(changes),
        description=_first(entry, _SAYS), party=_first(entry, _CONCERNS), reference=_first(entry, ("reference",)),
        reverses=_first(entry, ("reverses",)), actor=event.envelope.authid,
    )  # fmt: skip


def _first(entry: object, names: tuple[str, ...]) -> str:
    """The first of several fields that an entry has, on one line."""
    found = next((value for name in names if (value := getattr(entry, name, None))), "")
    return " ".join(str(found).split())


def _words(name: str) -> str:
    """`DuesAssessed` -> `Dues assessed`."""
    return name[0] + "".join(f" {c.lower()}" if c.isupper() else c for c in name[1:])
