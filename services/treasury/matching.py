"""Lines of the bank's matched with the entries that they are in the book, and the match taken back."""

from __future__ import annotations

from datetime import datetime

from services.treasury.contract import (
    LineMatched,
    LineUnmatched,
    MatchLine,
    TreasuryError,
    UnmatchLine,
    entries_of,
)
from services.treasury.posting import amount_text, rejected
from services.treasury.rules import recalled, taken_back_by
from services.treasury.state import Book
from services.treasury.statement_state import BankAccount, BankLine
from shared.decider import Context


def match_line(
    command: MatchLine, account: BankAccount, book: Book, at: datetime, context: Context
) -> LineMatched | None:
    line = _line(account, command.line, command.account)
    if line.entries and set(line.entries) == set(command.entries):
        return None
    events = {id: _event(id, command, context) for id in command.entries}
    if len(set(command.entries)) < len(command.entries):
        raise rejected(TreasuryError.DUPLICATE_LINE, "An entry is listed twice. List each once.")
    if line.entries:
        raise rejected(
            TreasuryError.ALREADY_MATCHED,
            f"Line {command.line} is matched with {', '.join(line.entries)}. Unmatch it first, with UnmatchLine.",
            line=command.line, entries=list(line.entries),
        )  # fmt: skip
    for id in command.entries:
        if id in account.matched:
            raise rejected(
                TreasuryError.ALREADY_MATCHED, f"Entry {id} is matched with line {account.matched[id]} already.",
                entry=id, line=account.matched[id],
            )  # fmt: skip
    total = sum(_effect(id, event, account.unit, command.account) for id, event in events.items())
    if total != line.amount:
        raise rejected(
            TreasuryError.AMOUNTS_DIFFER,
            f"Line {command.line} is of {amount_text(book, line.amount, account.unit)}; in account {command.account} "
            f"the entries make {amount_text(book, total, account.unit)}. Match other entries, or correct the book.",
            line=command.line, amount=line.amount, entries=total,
        )  # fmt: skip
    return LineMatched(
        book=command.book, account=command.account, line=command.line, entries=command.entries, amount=line.amount,
        occurred_at=at,
    )  # fmt: skip


def _event(id: str, command: MatchLine, context: Context) -> object:
    """The event that posted an entry; or the one that took it back, whose entry is its mirror image."""
    past = recalled(context, command.book, f"entry:{id}")
    if past is None:
        raise rejected(
            TreasuryError.UNKNOWN_ENTRY, f"There is no entry {id} in book {command.book}. Check its id.", entry=id
        )
    return past.event


def _effect(id: str, event: object, unit: str, account: str) -> int:
    """What an entry does to the bank account. Refuses one that does not touch it."""
    mirrored = taken_back_by(event, id)
    entry = next(one for one in entries_of(event) if one.entry == (mirrored or id))
    amounts = [
        sign * posting.amount
        for sign, postings in ((1, entry.debits), (-1, entry.credits))
        for posting in postings
        if (posting.account, posting.unit) == (account, unit)
    ]
    if not amounts:
        raise rejected(
            TreasuryError.AMOUNTS_DIFFER,
            f"Entry {id} posts nothing to account {account} in {unit}. Match the entries that do.",
            entry=id, account=account, unit=unit,
        )  # fmt: skip
    return sum(amounts) if mirrored is None else -sum(amounts)


def unmatch_line(command: UnmatchLine, account: BankAccount, at: datetime) -> LineUnmatched | None:
    line = _line(account, command.line, command.account)
    if not line.entries:
        return None
    return LineUnmatched(
        book=command.book, account=command.account, line=command.line, entries=line.entries, reason=command.reason,
        occurred_at=at,
    )  # fmt: skip


def _line(account: BankAccount, id: str, name: str) -> BankLine:
    line = account.lines.get(id)
    if line is None:
        raise rejected(
            TreasuryError.UNKNOWN_LINE,
            f"No imported statement of account {name} has a line {id}. Check its id.",
            line=id,
        )
    return line
