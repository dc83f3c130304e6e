"""Donations, gifts in kind and dues, as entries of the book."""

from __future__ import annotations

from services.treasury import rules
from services.treasury.contract import (
    AccountKind,
    AcknowledgeDonation,
    AssessDues,
    DonationAcknowledged,
    DonationRecorded,
    DuesAssessed,
    DuesReceived,
    DuesWaived,
    GiftInKindRecorded,
    Posting,
    ReceiveDues,
    RecordDonation,
    RecordGiftInKind,
    TreasuryError,
    WaiveDues,
)
from services.treasury.limits import judge
from services.treasury.party import known
from services.treasury.pledge import Promise
from services.treasury.posting import amount_text, of_kind, of_kinds, opened, posting_day, rejected
from services.treasury.rules import posted_before, recalled
from services.treasury.state import Book, Dues
from shared.contract import fields_of
from shared.decider import Context


def record_donation(command: RecordDonation, book: Book, context: Context) -> DonationRecorded | None:
    opened(book, command.book)
    if posted_before(command, context, DonationRecorded):
        return None
    if command.donor is not None:
        known(context.read("party", command.donor), command.donor)
    if command.pledge is not None:
        _for_pledge(context.read("pledge", command.pledge), command)
    day = posting_day(command.date, book, context.now)
    of_kinds(book, (command.into, (AccountKind.ASSET,)), (command.income, (AccountKind.INCOME,)))
    debits, credits = _sides(command.into, command.income, command.amount, command.unit, command.fund)  # noqa: A001
    judge(book, command.entry, day, debits, credits)
    return DonationRecorded(**(dict(fields_of(command)) | {"date": day}), debits=debits, credits=credits)


def _sides(
    debit: str, credit: str, amount: int, unit: str, fund: str
) -> tuple[tuple[Posting, ...], tuple[Posting, ...]]:
    """The postings of an entry that debits one account and credits another by one amount (minor units of `unit`)."""
    return (
        (Posting(account=debit, amount=amount, unit=unit, fund=fund),),
        (Posting(account=credit, amount=amount, unit=unit, fund=fund),),
    )


def _for_pledge(pledge: Promise, command: RecordDonation) -> None:
    if pledge.donor is None or pledge.book != command.book:
        raise rejected(
            TreasuryError.UNKNOWN_PLEDGE, f"There is no pledge {command.pledge} in book {command.book}. Check its id.",
            pledge=command.pledge,
        )  # fmt: skip
    if (pledge.donor, pledge.unit, pledge.fund) != (command.donor, command.unit, command.fund):
        raise rejected(
            TreasuryError.UNKNOWN_PLEDGE,
            f"There is no pledge {command.pledge} of this donor in {command.unit} for fund {command.fund}: it is of "
            f"another donor, in another unit ({pledge.unit}), or for another fund ({pledge.fund}). Leave the pledge "
            "out, or correct the donation.",
            pledge=command.pledge, unit=pledge.unit, fund=pledge.fund,
        )  # fmt: skip


def record_gift_in_kind(command: RecordGiftInKind, book: Book, context: Context) -> GiftInKindRecorded | None:
    opened(book, command.book)
    if posted_before(command, context, GiftInKindRecorded):
        return None
    if command.donor is not None:
        known(context.read("party", command.donor), command.donor)
    day = posting_day(command.date, book, context.now)
    of_kinds(book, (command.into, (AccountKind.ASSET, AccountKind.EXPENSE)), (command.income, (AccountKind.INCOME,)))
    debits, credits = _sides(command.into, command.income, command.amount, command.unit, command.fund)  # noqa: A001
    judge(book, command.entry, day, debits, credits)
    return GiftInKindRecorded(**(dict(fields_of(command)) | {"date": day}), debits=debits, credits=credits)


def acknowledge_donation(command: AcknowledgeDonation, book: Book, context: Context) -> DonationAcknowledged | None:
    at = rules.when(command.occurred_at, context)
    opened(book, command.book)
    past = recalled(context, command.book, f"entry:{command.donation}")
    if past is None:
        raise rejected(
            TreasuryError.UNKNOWN_ENTRY, f"There is no entry {command.donation} in book {command.book}. Check its id.",
            entry=command.donation,
        )  # fmt: skip
    if recalled(context, command.book, f"acknowledged:{command.donation}") is not None:
        return None
    if (by := rules.taken_back_by(past.event, command.donation)) is not None:
        raise rejected(
            TreasuryError.ALREADY_REVERSED,
            f"Entry {command.donation} was reversed by {by}, so there is nothing to acknowledge. Acknowledge the gift "
            "as it was recorded again.",
            entry=command.donation, reversed_by=by,
        )  # fmt: skip
    if not isinstance(past.event, DonationRecorded | GiftInKindRecorded) or past.event.donor is None:
        raise rejected(
            TreasuryError.NOT_A_DONATION,
            f"Entry {command.donation} is no gift of a donor who is known, so there is nobody to acknowledge it to.",
            entry=command.donation,
        )  # fmt: skip
    return DonationAcknowledged(
        book=command.book, donation=command.donation, means=command.means, occurred_at=at
    )  # fmt: skip


# -- dues -------------------------------------------------------------------------------------------------------------


def assess_dues(command: AssessDues, book: Book, context: Context) -> DuesAssessed | None:
    opened(book, command.book)
    if posted_before(command, context, DuesAssessed):
        return None
    known(context.read("party", command.member), command.member)
    before = recalled(context, command.book, f"dues:{command.member}:{command.period}")
    if before is not None and isinstance(before.event, DuesAssessed):
        raise rejected(
            TreasuryError.ALREADY_ASSESSED,
            f"Member {command.member} was asked for the dues of {command.period} already, by entry "
            f"{before.event.entry}. If that was wrong, and nothing was received or waived yet, waive all of it at "
            "once, with WaiveDues, and ask again. Else waive what is too much; ask for more under another period.",
            member=command.member, period=command.period, entry=before.event.entry,
        )  # fmt: skip
    day = posting_day(command.date, book, context.now)
    of_kinds(book, (command.receivable, (AccountKind.ASSET,)), (command.income, (AccountKind.INCOME,)))
    debits, credits = _sides(command.receivable, command.income, command.amount, command.unit, command.fund)  # noqa: A001
    judge(book, command.entry, day, debits, credits)
    return DuesAssessed(**(dict(fields_of(command)) | {"date": day}), debits=debits, credits=credits)


def receive_dues(command: ReceiveDues, book: Book, context: Context) -> DuesReceived | None:
    opened(book, command.book)
    if posted_before(command, context, DuesReceived):
        return None
    dues = _owed(book, command.dues, command.amount)
    day = posting_day(command.date, book, context.now)
    of_kind(book, command.into, AccountKind.ASSET)
    debits, credits = _sides(command.into, dues.receivable, command.amount, dues.unit, dues.fund)  # noqa: A001
    judge(book, command.entry, day, debits, credits)
    return DuesReceived(
        **(dict(fields_of(command)) | {"date": day}), member=dues.member, debits=debits, credits=credits,
        income=dues.income, period=dues.period, assessed=dues.assessed, remaining=dues.remaining - command.amount,
    )  # fmt: skip


def waive_dues(command: WaiveDues, book: Book, context: Context) -> DuesWaived | None:
    opened(book, command.book)
    if posted_before(command, context, DuesWaived):
        return None
    dues = _owed(book, command.dues, command.amount or 0)
    waived = command.amount or dues.remaining
    day = posting_day(command.date, book, context.now)
    debits, credits = _sides(dues.income, dues.receivable, waived, dues.unit, dues.fund)  # noqa: A001
    judge(book, command.entry, day, debits, credits, spending=False)
    return DuesWaived(
        **(dict(fields_of(command)) | {"date": day}), member=dues.member, waived=waived, debits=debits, credits=credits,
        income=dues.income, period=dues.period, assessed=dues.assessed, remaining=dues.remaining - waived,
    )  # fmt: skip


def _owed(book: Book, id: str, amount: int) -> Dues:
    dues = book.dues.get(id)
    if dues is None:
        raise rejected(
            TreasuryError.UNKNOWN_DUES, f"No dues {id} are owed: there are none, or they were paid or waived.", dues=id
        )
    if amount > dues.remaining:
        raise rejected(
            TreasuryError.BEYOND_DUES,
            f"Of dues {id}, {amount_text(book, dues.remaining, dues.unit)} is still owed, less than "
            f"{amount_text(book, amount, dues.unit)}. Record the rest as a donation.",
            dues=id, remaining=dues.remaining, amount=amount,
        )  # fmt: skip
    return dues
