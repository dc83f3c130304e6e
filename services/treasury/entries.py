"""Entries: posted one by one, posted many at once, reversed, released from a restriction, and let stand."""

from __future__ import annotations

from datetime import date

from services.treasury.contract import (
    AccountKind,
    Breach,
    DuesAssessed,
    DuesOwed,
    DuesReceived,
    DuesWaived,
    EntriesPosted,
    Entry,
    EntryPosted,
    EntryResult,
    EntryReversed,
    ExpensePaid,
    Journal,
    NotPosted,
    PaymentFailed,
    PostEntries,
    PostEntry,
    Posting,
    ReleaseRestriction,
    ResolveReview,
    RestrictionReleased,
    ReverseEntry,
    ReviewResolved,
    TreasuryError,
    YearClosed,
    entries_of,
)
from services.treasury.limits import Guards, broken_limits, judge
from services.treasury.posting import malformed, of_kinds, opened, posting_day, rejected, today, wrong_day
from services.treasury.rules import differing, posted_before, recalled, same_entry, taken_back_by, when
from services.treasury.state import Book, effects
from shared.contract import fields_of
from shared.decider import Context, Ref
from shared.errors import Rejected

_CONTENT = ("date", "debits", "credits", "description", "party", "fact")
"""What makes two entries of one id the same, whichever command posted them."""


def post_entry(command: PostEntry, book: Book, context: Context) -> EntryPosted | None:
    opened(book, command.book)
    if context.past and (_posted_among_many(command, context) or posted_before(command, context, EntryPosted)):
        return None
    day = posting_day(command.date, book, context.now)
    breaches = judge(book, command.entry, day, command.debits, command.credits, fact=command.fact)
    return EntryPosted(  # field by field, which takes a third of what it takes to go through them by name
        book=command.book, entry=command.entry, date=day, debits=command.debits, credits=command.credits,
        breaches=breaches, description=command.description, party=command.party, reference=command.reference,
        document=command.document, fact=command.fact,
    )  # fmt: skip


def _posted_among_many(command: PostEntry, context: Context) -> bool:
    """Whether a request with many entries posted this very one. Refuses when it posted another under its id."""
    past = recalled(context, command.book, f"entry:{command.entry}")
    if past is None or not isinstance(past.event, EntriesPosted):
        return False
    return same_entry(command.entry, differing(command, _entry_in(past.event, command.entry), but="book"))


def _entry_in(event: object, id: str) -> Journal | Entry:
    return next(entry for entry in entries_of(event) if entry.entry == id)


# -- many at once -----------------------------------------------------------------------------------------------------


def post_entries(command: PostEntries, book: Book, context: Context) -> EntriesPosted | None:
    opened(book, command.book)
    part = _Part(command.book, book, context)
    entries, at = command.entries, 0
    while at < len(entries):
        if not entries[at].linked:
            part.post(at, entries[at])
            at += 1
            continue
        end = at + 1
        while end < len(entries) and entries[end - 1].linked:
            end += 1
        part = part.post_chain(at, entries[at:end])
        at = end
    if len(part.not_posted) == len(entries) and all(
        one.result is EntryResult.ALREADY_POSTED for one in part.not_posted
    ):
        return None
    return EntriesPosted(
        book=command.book,
        entries=entries,
        parts=command.parts,
        not_posted=tuple(part.not_posted),
        breaches=tuple(part.breaches),
    )


class _Part:
    """One decision over many entries: what it posted so far, what it did not, and the guards as they will be."""

    def __init__(self, id: str, book: Book, context: Context) -> None:
        self._id = id
        self._book = book
        self._context = context
        self._last = today(book, context.now)
        self._first_day, self._last_day = book.closed + 1, self._last.toordinal()
        self._guards = Guards(book)
        self._posted: dict[str, Entry] = {}
        self._moved = 0
        """The sum of the amounts posted so far: no balance has changed by more."""
        self.not_posted: list[NotPosted] = []
        self.breaches: list[Breach] = []

    def post(self, at: int, entry: Entry) -> bool:
        """Post one entry, or note why not; whether it stands in the book afterwards."""
        problem = self._try(at, entry)
        if problem is not None:
            self.not_posted.append(problem)
        return problem is None or problem.result is EntryResult.ALREADY_POSTED

    def post_chain(self, at: int, chain: tuple[Entry, ...]) -> _Part:
        """Post all of a chain, or none of it; gives what stands for this part from then on."""
        tried = self._fork()
        results = [tried.post(number, entry) for number, entry in enumerate(chain, at)]
        if all(results):
            return tried
        wrong = {
            one.at: one for one in tried.not_posted if one.at >= at and one.result is not EntryResult.ALREADY_POSTED
        }
        earlier = {one.at for one in self._already(at, chain)}
        for number in range(at, at + len(chain)):
            if number in earlier:
                self.not_posted.append(NotPosted(at=number, result=EntryResult.ALREADY_POSTED))
            else:
                self.not_posted.append(wrong.get(number) or _refused(number, TreasuryError.LINKED_ENTRY_REFUSED))
        return self

    def _already(self, at: int, chain: tuple[Entry, ...]) -> list[NotPosted]:
        found = (self._earlier(number, entry) for number, entry in enumerate(chain, at))
        return [one for one in found if one is not None and one.result is EntryResult.ALREADY_POSTED]

    def _fork(self) -> _Part:
        fork = _Part(self._id, self._book, self._context)
        fork._guards, fork._posted, fork._moved = self._guards.copy(), dict(self._posted), self._moved
        fork.not_posted, fork.breaches = list(self.not_posted), list(self.breaches)
        return fork

    def _try(self, at: int, entry: Entry) -> NotPosted | None:
        if (entry.entry in self._posted or self._context.past) and (found := self._earlier(at, entry)):
            return found
        day = entry.date.toordinal()
        if not self._first_day <= day <= self._last_day:
            problem = wrong_day(self._book, entry.date, self._last)
            assert problem is not None
            return _refused(at, problem.code)
        if entry.fact:
            try:
                self.breaches += judge(
                    self._book, entry.entry, entry.date, entry.debits, entry.credits, fact=True, guards=self._guards,
                    before=self._posted.values(), moved=self._moved,
                )  # fmt: skip
            except Rejected as refusal:
                return _refused(at, TreasuryError(refusal.code))
        elif problem := malformed(
            self._book, entry.debits, entry.credits, before=self._posted.values(), moved=self._moved
        ):
            return _refused(at, problem.code)
        changes = effects(self._book, entry.debits, entry.credits)
        if changes:
            if not entry.fact and (broken := broken_limits(self._guards, day, changes)):
                return _refused(at, broken[0].code)
            self._guards.post(day, changes)
        self._posted[entry.entry] = entry
        for posting in entry.debits:
            self._moved += posting.amount
        return None

    def _earlier(self, at: int, entry: Entry) -> NotPosted | None:
        """What an entry of the same id says of this one; None when there is none."""
        before: object = self._posted.get(entry.entry)
        if before is None:
            past = self._context.recalled(Ref("book", self._id), f"entry:{entry.entry}")
            if past is None:
                return None
            if taken_back_by(past.event, entry.entry) is not None:
                return _refused(at, TreasuryError.ALREADY_REVERSED)
            before = _entry_in(past.event, entry.entry)
            if isinstance(before, Journal) and not isinstance(before, EntryPosted):
                return NotPosted(at=at, result=EntryResult.DIFFERS, field="type")
        differs = next((name for name in _CONTENT if getattr(entry, name) != getattr(before, name)), None)
        if differs is None:
            return NotPosted(at=at, result=EntryResult.ALREADY_POSTED)
        return NotPosted(at=at, result=EntryResult.DIFFERS, field=differs)


def _refused(at: int, code: TreasuryError) -> NotPosted:
    return NotPosted(at=at, result=EntryResult.REFUSED, code=code)


# -- reversed, released, let stand ------------------------------------------------------------------------------------


def reverse_entry(command: ReverseEntry, book: Book, context: Context) -> EntryReversed | None:
    opened(book, command.book)
    if posted_before(command, context, EntryReversed):
        return None
    past = recalled(context, command.book, f"entry:{command.reverses}")
    if past is None:
        raise _no_entry(command.reverses, command.book)
    if (by := taken_back_by(past.event, command.reverses)) is not None:
        raise rejected(
            TreasuryError.ALREADY_REVERSED, f"Entry {command.reverses} was reversed already, by {by}.",
            entry=command.reverses, reversed_by=by,
        )  # fmt: skip
    if isinstance(past.event, ExpensePaid | PaymentFailed):
        raise rejected(
            TreasuryError.NOT_REVERSIBLE,
            f"Entry {command.reverses} belongs to the payment of expense {past.event.expense}. If the payment failed, "
            "use RecordPaymentFailed.",
            entry=command.reverses, expense=past.event.expense,
        )  # fmt: skip
    if isinstance(past.event, DuesAssessed):
        raise rejected(
            TreasuryError.NOT_REVERSIBLE, f"Entry {command.reverses} assessed dues. Waive them, with WaiveDues.",
            entry=command.reverses,
        )  # fmt: skip
    if isinstance(past.event, DuesWaived) and past.event.waived == past.event.assessed:
        raise rejected(
            TreasuryError.NOT_REVERSIBLE,
            f"Entry {command.reverses} waived all of dues {past.event.dues}. Ask for them again under another id, with "
            "AssessDues.",
            entry=command.reverses,
        )  # fmt: skip
    if isinstance(past.event, EntryReversed):
        again = "Close the year again, with CloseYear," if past.event.closing else "Record it again"
        raise rejected(
            TreasuryError.NOT_REVERSIBLE,
            f"Entry {command.reverses} took {past.event.reverses} back. It stays as it is. {again} under another id.",
            entry=command.reverses,
        )  # fmt: skip
    entry = _entry_in(past.event, command.reverses)
    if isinstance(past.event, YearClosed):
        return _reverse_closing(command, book, past.event)
    day = posting_day(command.date, book, context.now)
    breaches = judge(book, command.entry, day, entry.credits, entry.debits, fact=command.fact, spending=False)
    return _reversal(command, day, entry.debits, entry.credits, breaches, _owed_again(book, past.event))


def _owed_again(book: Book, event: object) -> DuesOwed | None:
    """The dues that are owed again when a payment or a waiver of them is taken back."""
    match event:
        case DuesReceived(amount=amount) | DuesWaived(waived=amount):
            owed, receivable = book.dues.get(event.dues), event.credits[0]
            return DuesOwed(
                dues=event.dues, member=event.member, remaining=amount + (owed.remaining if owed else 0),
                unit=receivable.unit, fund=receivable.fund, receivable=receivable.account, income=event.income,
                period=event.period, assessed=event.assessed,
            )  # fmt: skip
    return None


def _reverse_closing(command: ReverseEntry, book: Book, closing: YearClosed) -> EntryReversed:
    """A closing entry is taken back on its own day, closed as that is: income and expenses are as they were."""
    if book.years[-1][1] != command.reverses:
        raise rejected(
            TreasuryError.NOT_REVERSIBLE,
            f"The closing entry {book.years[-1][1]} came after {command.reverses}. Reverse that first.",
            entry=command.reverses, later=book.years[-1][1],
        )  # fmt: skip
    if command.date not in (None, closing.date):
        raise rejected(
            TreasuryError.DATE_OUTSIDE_BOOK,
            f"A closing entry is reversed on its own day, {closing.date}. Leave the date out.", date=str(closing.date),
        )  # fmt: skip
    breaches = judge(
        book, command.entry, closing.date, closing.credits, closing.debits, fact=command.fact, spending=False
    )
    return _reversal(command, closing.date, closing.debits, closing.credits, breaches, closing=True)


def _reversal(
    command: ReverseEntry, day: date, debits: tuple[Posting, ...], credits: tuple[Posting, ...],  # noqa: A002
    breaches: tuple[Breach, ...], owed_again: DuesOwed | None = None, *, closing: bool = False,
) -> EntryReversed:  # fmt: skip
    """The mirror image of an entry."""
    return EntryReversed(
        book=command.book, entry=command.entry, reverses=command.reverses, date=day, debits=credits, credits=debits,
        reason=command.reason, fact=command.fact, breaches=breaches, owed_again=owed_again,
        closing=closing,
    )  # fmt: skip


def release_restriction(command: ReleaseRestriction, book: Book, context: Context) -> RestrictionReleased | None:
    opened(book, command.book)
    if posted_before(command, context, RestrictionReleased):
        return None
    if command.releases is not None and recalled(context, command.book, f"entry:{command.releases}") is None:
        raise _no_entry(command.releases, command.book)
    day = posting_day(command.date, book, context.now)
    fund = book.funds.get(command.from_fund)
    if command.from_fund == command.to_fund or (fund is not None and not fund.limited):
        why = "Both funds are the same" if command.from_fund == command.to_fund else "It has no restriction"
        raise rejected(
            TreasuryError.INVALID_RANGE, f"Nothing would be released from fund {command.from_fund}. {why}.",
            fund=command.from_fund,
        )  # fmt: skip
    of_kinds(book, (command.account, (AccountKind.ASSET,)), (command.through, (AccountKind.INCOME,)))

    def side(account: str, fund: str) -> Posting:
        return Posting(account=account, amount=command.amount, unit=command.unit, fund=fund)

    debits = (side(command.through, command.from_fund), side(command.account, command.to_fund))
    credits = (side(command.account, command.from_fund), side(command.through, command.to_fund))  # noqa: A001
    judge(book, command.entry, day, debits, credits, spending=False)
    return RestrictionReleased(
        **(dict(fields_of(command)) | {"date": day}), debits=debits, credits=credits
    )  # fmt: skip


def resolve_review(command: ResolveReview, book: Book, context: Context) -> ReviewResolved | None:
    at = when(command.occurred_at, context)
    opened(book, command.book)
    if recalled(context, command.book, f"entry:{command.entry}") is None:
        raise _no_entry(command.entry, command.book)
    before = recalled(context, command.book, f"resolved:{command.entry}")
    if before is not None and before.event.note == command.note:
        return None
    return ReviewResolved(book=command.book, entry=command.entry, note=command.note, occurred_at=at)


def _no_entry(id: str, book: str) -> Rejected:
    return rejected(
        TreasuryError.UNKNOWN_ENTRY, f"There is no entry {id} in book {book}. Check its id.", entry=id
    )  # fmt: skip
