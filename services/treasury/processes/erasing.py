"""Erases parties: once they owe no dues, no expense is to be paid to them, and no book has to name them any more."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any

from services.treasury.contract import (
    DonationRecorded,
    DuesAssessed,
    DuesReceived,
    DuesWaived,
    EntriesPosted,
    EntryPosted,
    EntryReversed,
    ExpenseChanged,
    ExpensePaid,
    ExpenseRejected,
    ExpenseSubmitted,
    GiftInKindRecorded,
    PaymentFailed,
    treasury,
)
from shared import erasing
from shared.erasing import Person, some
from shared.erasure import Happened, Obstacle, Terms

_KIND = "party"


class Erasing(erasing.Erasing):
    """Remembers of each party the open dues, the unpaid expenses, and the last day on which the books name them."""

    reads = (
        Happened, DuesAssessed, DuesReceived, DuesWaived, EntryReversed, ExpenseSubmitted, ExpenseChanged,
        ExpenseRejected, ExpensePaid, PaymentFailed, DonationRecorded, GiftInKindRecorded, EntryPosted, EntriesPosted,
    )  # fmt: skip

    def __init__(self, terms: Terms) -> None:
        super().__init__(treasury, terms)
        self._dues: dict[str, set[str]] = {}
        self._payees: dict[str, str] = {}
        """Of every expense, who is paid."""
        self._unpaid: dict[str, set[str]] = {}
        self._named: dict[str, date] = {}

    def tie(self, event: Any) -> Iterable[Person]:
        touched = set(self._touched(event))
        return [(_KIND, party) for party in sorted(touched)]

    def _touched(self, event: Any) -> Iterable[str]:
        match event:
            case DuesAssessed():
                self._dues.setdefault(event.member, set()).add(event.entry)
                yield self._name(event.member, event.date)
            case DuesReceived() | DuesWaived():
                if not event.remaining:
                    self._dues.get(event.member, set()).discard(event.dues)
                yield self._name(event.member, event.date)
            case EntryReversed(owed_again=owed) if owed is not None:
                self._dues.setdefault(owed.member, set()).add(owed.dues)
                yield self._name(owed.member, event.date)
            case ExpenseSubmitted() | ExpenseChanged() | ExpenseRejected() | ExpensePaid() | PaymentFailed():
                yield from self._expense(event)
            case DonationRecorded() | GiftInKindRecorded() if event.donor is not None:
                yield self._name(event.donor, event.date)
            case EntryPosted(party=str() as party):
                yield self._name(party, event.date)
            case EntriesPosted():
                yield from (self._name(one.party, one.date) for one in event.entries if one.party is not None)

    def _expense(self, event: Any) -> Iterable[str]:
        before = self._payees.get(event.expense)
        if isinstance(event, ExpenseSubmitted | ExpenseChanged):
            self._payees[event.expense] = event.payee
        payee = self._payees[event.expense]
        if before is not None:
            self._unpaid.get(before, set()).discard(event.expense)
            yield before
        if not isinstance(event, ExpenseRejected | ExpensePaid):
            self._unpaid.setdefault(payee, set()).add(event.expense)
        if isinstance(event, ExpensePaid):
            self._name(payee, event.date)
        yield payee

    def _name(self, party: str, day: date) -> str:
        self._named[party] = max(day, self._named.get(party, day))
        return party

    def obstacles(self, person: Person) -> tuple[Obstacle, ...]:
        party = person[1]
        found = []
        if dues := self._dues.get(party):
            found.append(Obstacle(what="open dues", which=some(dues)))
        if expenses := self._unpaid.get(party):
            found.append(Obstacle(what="unpaid expenses", which=some(expenses)))
        if party in self._named:
            found.append(Obstacle(what="named in the books", last=self._named[party]))
        return tuple(found)
