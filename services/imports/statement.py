"""A bank statement, whatever file it came in: checked as a whole, and turned into the commands that import it.

A statement has no effect before its last command, so nothing of one that breaks off counts. Command ids are made of
what it says and of the file's digest: the same file again changes nothing, and one that was cut off goes on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final
from uuid import uuid5

from services.imports.plan import NAMESPACE, Planned, Refused, command_id, shown
from services.treasury.contract import MAX_STATEMENT_LINES
from services.treasury.units import as_decimal
from shared.cutting import ENVELOPE_BYTES
from shared.event import MAX_EVENT_BYTES
from shared.sealing import sealed_length

MAX_LINES: Final = 100_000

MAX_BYTES: Final = 32_000_000
"""Of a file, which is read as a whole; one with 100,000 lines is about 14 MB."""

_PART_BYTES: Final = MAX_EVENT_BYTES - ENVELOPE_BYTES - 600
"""What the lines of one part may take; the rest names book, account and statement."""

_CLEAR_BYTES: Final = 130
"""Of a line in an event, beside its id and what is sealed: the names of its fields, its day and its amount."""

_SEALED: Final = ("payee", "memo", "reference")

_LONGEST_TEXT: Final = 200
_LONGEST_NOTE: Final = 2000


@dataclass(frozen=True, slots=True)
class BankLine:
    """One line as the bank has it: `at` is its line in the file, `amount` in minor units, positive into the account.

    `id` is the bank's own (FITID); None when it gives none.
    """

    at: int
    date: date
    amount: int
    id: str | None = None
    payee: str = ""
    memo: str = ""
    reference: str = ""

    @property
    def content(self) -> tuple[object, ...]:
        return (self.date, self.amount, self.payee, self.memo, self.reference)


@dataclass(slots=True)
class BankStatement:
    """What a file says of one account. `opening` and `closing` are None where it does not say.

    `faults` are lines that cannot be read: with any of them, nothing is imported. `known_as` is the bank's number of
    the account. `unread` are columns of the file that were not read, and `empty` its lines about no money, which are
    left out: the bank's notes.
    """

    unit: str
    decimals: int
    starts: date
    ends: date
    lines: list[BankLine]
    digest: str
    opening: int | None = None
    closing: int | None = None
    known_as: str = ""
    faults: list[Refused] = field(default_factory=list)
    unread: tuple[str, ...] = ()
    empty: tuple[int, ...] = ()

    @property
    def id(self) -> str:
        return f"{self.starts}-{self.ends}-{self.digest[:12]}"


def complete(statement: BankStatement, opening: int | None, closing: int | None) -> list[Refused]:
    """Fill in the balances, those given by hand first, and list everything that is wrong with the statement."""
    refused = [*statement.faults, *_line_faults(statement)]
    if statement.starts > statement.ends:
        refused.append(Refused(1, f"the statement ends on {statement.ends}, before it starts on {statement.starts}"))
    if len(statement.lines) > MAX_LINES:
        refused.append(Refused(1, f"the statement has {len(statement.lines):,} lines; at most {MAX_LINES:,} are taken"))
    statement.opening = opening if opening is not None else statement.opening
    statement.closing = closing if closing is not None else statement.closing
    total = sum(line.amount for line in statement.lines)
    if statement.opening is None and statement.closing is None:
        if statement.faults:  # a balance beside a line that cannot be read says nothing
            return sorted(refused, key=lambda one: one.line)
        refused.append(
            Refused(
                1,
                "the file does not say what the balance was; give --closing, or --opening, or both to have them "
                "checked",
            )
        )
    elif statement.opening is None:
        statement.opening = (statement.closing or 0) - total
    elif statement.closing is None:
        statement.closing = statement.opening + total
    elif not refused and statement.opening + total != statement.closing:
        money = [
            as_decimal(n, statement.decimals)
            for n in (statement.opening, total, statement.opening + total, statement.closing)
        ]
        refused.append(
            Refused(
                1, f"it does not add up: the opening balance {money[0]} and the lines, {money[1]}, give {money[2]} "
                f"{statement.unit}, not the closing balance {money[3]}; a line is missing, or is there twice",
            )
        )  # fmt: skip
    return sorted(refused, key=lambda one: one.line)


def _line_faults(statement: BankStatement) -> Iterator[Refused]:
    """Lines outside the statement's days, and ids that stand twice."""
    seen: dict[str, BankLine] = {}
    for line in statement.lines:
        if not statement.starts <= line.date <= statement.ends:
            yield Refused(
                line.at, f"is of {line.date}, outside the statement's days {statement.starts} to {statement.ends}"
            )
        if line.id is None:
            continue
        first = seen.setdefault(line.id, line)
        if first is not line:
            how = "the same" if first.content == line.content else "another"
            yield Refused(
                line.at,
                f"has the id {shown(line.id, 60)} of line {first.at}, with {how} content; the bank gives each id once",
            )


def commands(statement: BankStatement, book: str, account: str, attempt: int = 1) -> Iterator[Planned]:
    """The commands that import a statement that is complete, in the order in which they are sent.

    `attempt` makes their ids anew, for a statement that was begun and then given up for another one.
    """
    again = (attempt,) if attempt > 1 else ()
    key = (book, account, statement.id, statement.unit, statement.opening, statement.closing, *again)
    common = {"book": book, "account": account, "statement": statement.id}
    what = f"statement {statement.starts} to {statement.ends}"
    yield Planned(
        1, "StartStatement",
        common | {
            "unit": statement.unit, "starts": statement.starts.isoformat(), "ends": statement.ends.isoformat(),
            "opening": statement.opening, "closing": statement.closing, "lines": len(statement.lines),
            "digest": statement.digest,
        },
        command_id("statement", *key, "start"), what,
    )  # fmt: skip
    for part, (at, lines) in enumerate(_parts(statement), 1):
        data: dict[str, Any] = common | {"part": part, "lines": lines}
        yield Planned(at, "AddStatementLines", data, command_id("statement", *key, part), f"{what}, part {part}")
    yield Planned(1, "ImportStatement", common, command_id("statement", *key, "import"), what)


def _parts(statement: BankStatement) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """The lines in parts of which each fits an event once its texts are sealed, and where in the file each begins.

    It depends on what the lines say alone, so the same file is cut alike again.
    """
    begins, part, room = 0, list[dict[str, Any]](), 0
    for line, id_ in zip(statement.lines, line_ids(statement.lines), strict=True):
        data = _line(line, id_)
        size = _stored_length(data, f"statement/{statement.id}")
        if part and (size > room or len(part) == MAX_STATEMENT_LINES):
            yield begins, part
            part = []
        if not part:
            begins, room = line.at, _PART_BYTES
        part.append(data)
        room -= size
    if part:
        yield begins, part


def _stored_length(data: Mapping[str, Any], owner: str) -> int:
    """What a line takes in an event at the most, in bytes."""
    last = MAX_STATEMENT_LINES - 1
    sealed = (sealed_length(owner, f"lines.{last}.{name}", data[name]) for name in _SEALED if name in data)
    return _CLEAR_BYTES + len(data["line"]) + sum(sealed)


def line_ids(lines: Iterable[BankLine]) -> list[str]:
    """The lines' ids: the bank's own, or made of the day, the amount, and how many such lines came before on that day.

    So the same line in an overlapping statement has the same id, and two that look alike have two. Payees and texts
    are no part of it: an id stands in clear in every event, and could be tried out for names.
    """
    alike: Counter[tuple[date, int]] = Counter()
    ids = []
    for line in lines:
        if line.id is not None:
            ids.append(line.id if _fits(line.id) else f"id:{uuid5(NAMESPACE, line.id)}")
            continue
        alike[line.date, line.amount] += 1
        ids.append(f"{line.date}:{line.amount}:{alike[line.date, line.amount]}")
    return ids


def _fits(id_: str) -> bool:
    return len(id_) <= 128 and id_[:1].isalnum() and id_.isascii() and not set(id_) - _ID_CHARACTERS


_ID_CHARACTERS: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:/+=-")


def _line(line: BankLine, id_: str) -> dict[str, Any]:
    data: dict[str, Any] = {"line": id_, "date": line.date.isoformat(), "amount": line.amount}
    for name, limit in (("payee", _LONGEST_TEXT), ("memo", _LONGEST_NOTE), ("reference", _LONGEST_TEXT)):
        if text := shown(getattr(line, name), limit):
            data[name] = text
    return data
