"""The book: one organisation's journal. What it decides is in the files beside this one; here it is put together.

An entry's id, a hold's, a payment's reference and some others are used once in a book's life. They are not kept in its
state: the event that used one is found again by its name (`names`), which costs the book sixteen bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from services.treasury import chart, entries, giving, holds, payments, periods
from services.treasury.contract import (
    AccountOpened,
    AcknowledgeDonation,
    AssessDues,
    BookOpened,
    ClosePeriod,
    CloseYear,
    DonationAcknowledged,
    DuesAssessed,
    DuesWaived,
    EntriesPosted,
    EntryReversed,
    ExpensePaid,
    ExpireHold,
    FundOpened,
    HoldExpired,
    HoldPlaced,
    HoldPosted,
    HoldVoided,
    OpenAccount,
    OpenBook,
    OpenFund,
    PayExpense,
    PaymentFailed,
    PlaceHold,
    PostEntries,
    PostEntry,
    PostHold,
    ReceiveDues,
    RecordDonation,
    RecordGiftInKind,
    RecordPaymentFailed,
    ReleaseRestriction,
    ReopenPeriod,
    ResolveReview,
    ReverseEntry,
    ReviewResolved,
    VoidHold,
    WaiveDues,
    entries_of,
    treasury,
)
from services.treasury.state import Book, check, check_after, evolve
from shared.decider import Context, Decider, Ref

_DECISIONS: Final[dict[type, Callable[[Any, Book, Context], Any]]] = {
    PostEntry: entries.post_entry,
    PostEntries: entries.post_entries,
    ReverseEntry: entries.reverse_entry,
    ReleaseRestriction: entries.release_restriction,
    ResolveReview: entries.resolve_review,
    PlaceHold: holds.place_hold,
    PostHold: holds.post_hold,
    VoidHold: holds.void_hold,
    ExpireHold: holds.expire_hold,
    PayExpense: payments.pay_expense,
    RecordPaymentFailed: payments.payment_failed,
    RecordDonation: giving.record_donation,
    RecordGiftInKind: giving.record_gift_in_kind,
    AcknowledgeDonation: giving.acknowledge_donation,
    AssessDues: giving.assess_dues,
    ReceiveDues: giving.receive_dues,
    WaiveDues: giving.waive_dues,
    ClosePeriod: periods.close_period,
    ReopenPeriod: periods.reopen_period,
    CloseYear: periods.close_year,
}


def decide(command: Any, book: Book, context: Context) -> Any:
    return _DECISIONS.get(type(command), chart.decide)(command, book, context)


def names(event: Any) -> Iterable[str]:
    """What is used once in a book, and the event that used it last; and what was opened, and how.

    What took an entry back bears that entry's name from then on: whoever asks for the entry learns that it is gone,
    and no posting has to ask for more. Dues that were waived to the last unit may be asked for anew in the same way.
    """
    found = [f"entry:{entry.entry}" for entry in entries_of(event)]
    match event:
        case EntriesPosted():
            pass
        case BookOpened():
            found.append(f"book:{event.book}")
        case AccountOpened():
            found.append(f"account:{event.account}")
        case FundOpened():
            found.append(f"fund:{event.fund}")
        case HoldPlaced() | HoldPosted() | HoldVoided() | HoldExpired():
            found.append(f"hold:{event.hold}")
        case EntryReversed():
            found.append(f"entry:{event.reverses}")
        case ExpensePaid():
            found += [f"hold:{event.hold}", f"expense:{event.expense}", payments.reference_name(event.reference)]
        case PaymentFailed():
            found += [f"hold:{event.hold}", f"expense:{event.expense}", f"entry:{event.reverses}"]
        case DuesAssessed():
            found.append(f"dues:{event.member}:{event.period}")
        case DuesWaived() if event.waived == event.assessed:
            found.append(f"dues:{event.member}:{event.period}")
        case ReviewResolved():
            found.append(f"resolved:{event.entry}")
        case DonationAcknowledged():
            found.append(f"acknowledged:{event.donation}")
    return found


def reads(command: Any) -> Iterable[Ref]:
    match command:
        case PayExpense():
            return (Ref("expense", command.expense),)
        case PlaceHold(expense=str() as expense):
            return (Ref("expense", expense),)
        case RecordDonation():
            parties = [Ref("party", command.donor)] if command.donor is not None else []
            return [*parties, Ref("pledge", command.pledge)] if command.pledge is not None else parties
        case RecordGiftInKind(donor=str() as donor) | AssessDues(member=donor):
            return (Ref("party", donor),)
    return ()


def recalls(command: Any) -> Iterable[tuple[Ref, str]]:
    ref = Ref("book", command.book)
    named: tuple[str, ...]
    match command:
        case PostEntries():
            return [(ref, f"entry:{entry.entry}") for entry in command.entries]
        case OpenBook():
            named = (f"book:{command.book}",)
        case OpenAccount():
            named = (f"account:{command.account}",)
        case OpenFund():
            named = (f"fund:{command.fund}",)
        case PlaceHold(expense=str() as expense):
            named = (f"hold:{command.hold}", f"expense:{expense}")
        case PlaceHold() | VoidHold() | ExpireHold():
            named = (f"hold:{command.hold}",)
        case PostHold():
            return ((ref, f"entry:{command.entry}"), (ref, f"hold:{command.hold}"))
        case ReverseEntry():
            named = (f"entry:{command.entry}", f"entry:{command.reverses}")
        case ReleaseRestriction():
            named = (f"entry:{command.entry}", *([f"entry:{command.releases}"] if command.releases else []))
        case ResolveReview():
            named = (f"entry:{command.entry}", f"resolved:{command.entry}")
        case PayExpense():
            named = (f"entry:{command.entry}", f"expense:{command.expense}", payments.reference_name(command.reference))
        case RecordPaymentFailed():
            named = (f"entry:{command.entry}", f"expense:{command.expense}")
        case AssessDues():
            named = (f"entry:{command.entry}", f"dues:{command.member}:{command.period}")
        case AcknowledgeDonation():
            named = (f"entry:{command.donation}", f"acknowledged:{command.donation}")
        case PostEntry() | RecordDonation() | RecordGiftInKind() | ReceiveDues() | WaiveDues() | CloseYear():
            named = (f"entry:{command.entry}",)
        case _:
            return ()
    return [(ref, name) for name in named]


book: Final = Decider(treasury, "book", Book, Book, decide, evolve, check, reads, names, recalls, check_after)
