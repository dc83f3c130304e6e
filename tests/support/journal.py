"""A small synthetic service for the tests of names and of bulk commands: books of lines, and quotations of a line.

A line is found again by its id, however many there are; a book holds so much in all and takes no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter
from typing import Annotated, Any

from msgspec import Meta
from pydantic import Field

from shared.contract import Contract, value
from shared.cutting import Cutter
from shared.decider import Context, Decider, Ref
from shared.errors import Rejected
from shared.types import Amount, Id, Parts, Quantity, Revision, Text

journal = Contract("journal")


class JournalError(StrEnum):
    FULL = "FULL"
    NO_SUCH_LINE = "NO_SUCH_LINE"


@value
class Posting:
    """One side of a line."""

    account: Id
    amount: Quantity
    unit: Id
    fund: Id = "general"


@value
class Line:
    """So much, under an id that stands once in a book."""

    id: Id
    amount: Quantity
    postings: Annotated[tuple[Posting, ...], Field(max_length=10)] = ()
    remark: Text | None = None
    linked: bool = False
    """Whether it stands or falls with the line behind it."""


Lines = Annotated[tuple[Line, ...], Field(min_length=1, max_length=8189), Meta(min_length=1, max_length=8189)]


@journal.event(category="book")
class BookLimited:
    """The book holds so much in all."""

    book: Id
    limit: Amount


@journal.event(category="book")
class LinesPosted:
    """Lines came into the book; `outcomes` says of each what became of it: posted, exists, differs or full."""

    book: Id
    lines: Lines
    outcomes: tuple[str, ...]
    parts: Parts = 1


@journal.event(category="book")
class LineAmended:
    """A line has another amount from now on."""

    book: Id
    line: Id
    amount: Amount
    before: Revision


@journal.event(category="quotation")
class LineQuoted:
    """What a line said when it was quoted, and which event of its book said so."""

    quotation: Id
    book: Id
    line: Id
    amount: Amount
    revision: Revision
    actor: str


@journal.command(category="book", aggregate="book", makes=(BookLimited,))
class LimitBook:
    """Bound what the book holds."""

    book: Id
    limit: Amount


def _results(command: PostLines, event: LinesPosted | None) -> Iterable[Mapping[str, Any]]:
    outcomes = ("exists",) * len(command.lines) if event is None else event.outcomes
    return [{"line": line.id, "result": outcome} for line, outcome in zip(command.lines, outcomes, strict=True)]


_cut = Cutter(journal, "PostLines", "lines", allowance=12, linked=attrgetter("linked"), label=attrgetter("id"))


@journal.command(category="book", aggregate="book", makes=(LinesPosted,), cut=_cut, results=_results)
class PostLines:
    """Post lines, many at once; one that is there already changes nothing."""

    book: Id
    lines: Lines
    parts: Parts = 1


@journal.command(category="book", aggregate="book", makes=(LineAmended,))
class AmendLine:
    """Give a line another amount."""

    book: Id
    line: Id
    amount: Amount


@journal.command(category="quotation", aggregate="quotation", makes=(LineQuoted,))
class QuoteLine:
    """Quote a line of a book."""

    quotation: Id
    book: Id
    line: Id


journal.freeze()


@dataclass
class Book:
    total: int = 0
    lines: int = 0
    limit: int | None = None


@dataclass
class Quotations:
    made: int = 0


def _decide_book(command: Any, state: Book, context: Context) -> Any:
    match command:
        case LimitBook(book=book, limit=limit):
            return None if state.limit == limit else BookLimited(book=book, limit=limit)
        case PostLines(book=book, lines=lines):
            outcomes = _outcomes(command, state, context)
            if outcomes.count("exists") == len(outcomes):
                return None
            return LinesPosted(book=book, lines=lines, outcomes=tuple(outcomes), parts=command.parts)
        case AmendLine(book=book, line=line, amount=amount):
            past = context.recalled(Ref("book", book), f"line:{line}")
            if past is None:
                raise Rejected(JournalError.NO_SUCH_LINE, f"{book} has no line {line}.")
            if amount_in(past.event, line) == amount:
                return None
            return LineAmended(book=book, line=line, amount=amount, before=past.revision)
    raise AssertionError(command)


def _outcomes(command: PostLines, state: Book, context: Context) -> list[str]:
    """What becomes of each line; those that are linked stand or fall together."""
    ref = Ref("book", command.book)
    outcomes: list[str] = []
    total, chain, failed = state.total, state.total, False
    posted: dict[str, int] = {}
    first = 0
    for number, line in enumerate(command.lines):
        past = context.recalled(ref, f"line:{line.id}")
        known = posted.get(line.id) if past is None else amount_in(past.event, line.id)
        if known is not None:
            outcomes.append("exists" if known == line.amount else "differs")
            failed = failed or known != line.amount
        elif state.limit is not None and total + line.amount > state.limit:
            outcomes.append("full")
            failed = True
        else:
            outcomes.append("posted")
            posted[line.id] = line.amount
            total += line.amount
        if not line.linked:
            if failed and number > first:
                for index in range(first, number + 1):
                    if outcomes[index] == "posted":
                        outcomes[index] = "linked"
                        del posted[command.lines[index].id]
                total = chain
            first, chain, failed = number + 1, total, False
    return outcomes


def _evolve_book(state: Book, event: Any) -> Book:
    match event:
        case BookLimited(limit=limit):
            state.limit = limit
        case LinesPosted(lines=lines, outcomes=outcomes):
            for line, outcome in zip(lines, outcomes, strict=True):
                if outcome == "posted":
                    state.total += line.amount
                    state.lines += 1
        case LineAmended():
            pass
    return state


def amount_in(event: Any, line: str) -> int:
    """What an event that bears a line's name says of its amount."""
    if isinstance(event, LineAmended):
        return event.amount
    assert isinstance(event, LinesPosted)
    return next(
        posted.amount
        for posted, outcome in zip(event.lines, event.outcomes, strict=True)
        if outcome == "posted" and posted.id == line
    )


def _names(event: Any) -> Iterable[str]:
    match event:
        case LinesPosted(lines=lines, outcomes=outcomes):
            return [f"line:{line.id}" for line, o in zip(lines, outcomes, strict=True) if o == "posted"]
        case LineAmended(line=line):
            return (f"line:{line}",)
    return ()


def _recalls(command: Any) -> Iterable[tuple[Ref, str]]:
    match command:
        case PostLines(book=book, lines=lines):
            ref = Ref("book", book)
            return [(ref, f"line:{line.id}") for line in lines]
        case AmendLine(book=book, line=line) | QuoteLine(book=book, line=line):
            return ((Ref("book", book), f"line:{line}"),)
    return ()


def _decide_quotation(command: QuoteLine, state: Quotations, context: Context) -> LineQuoted:
    past = context.recalled(Ref("book", command.book), f"line:{command.line}")
    if past is None:
        raise Rejected(JournalError.NO_SUCH_LINE, f"{command.book} has no line {command.line}.")
    return LineQuoted(
        quotation=command.quotation, book=command.book, line=command.line, amount=amount_in(past.event, command.line),
        revision=past.revision, actor=past.actor,
    )  # fmt: skip


def _evolve_quotation(state: Quotations, event: Any) -> Quotations:
    state.made += 1
    return state


def _nothing_wrong(state: Any) -> list[str]:
    return []


books: Decider[Book] = Decider(
    journal, "book", Book, Book, _decide_book, _evolve_book, _nothing_wrong, names=_names, recalls=_recalls
)
quotations: Decider[Quotations] = Decider(
    journal, "quotation", Quotations, Quotations, _decide_quotation, _evolve_quotation, _nothing_wrong,
    lambda command: (Ref("book", command.book),), recalls=_recalls,
)  # fmt: skip

DECIDERS = (books, quotations)
