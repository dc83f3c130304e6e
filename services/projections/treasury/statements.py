"""What the bank says: statements, their lines, and the entries that they were matched with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from services.projections.treasury.base import TreasuryProjection, events_of
from services.treasury.contract import (
    LineMatched,
    LineUnmatched,
    StatementImported,
    StatementLinesAdded,
    StatementStarted,
)
from shared.event import Recorded
from shared.projection import Key, Rows, Table

_LINES: Final = """SELECT DISTINCT ON (l.book, l.account, l.line) l.book, l.account, l.line, l.statement, l.date,
    l.amount, s.unit, l.payee, l.memo, l.reference
    FROM statement_lines AS l JOIN statements AS s
      ON (s.book, s.account, s.statement, s.started) = (l.book, l.account, l.statement, l.started)
    WHERE s.imported_at IS NOT NULL ORDER BY l.book, l.account, l.line, s.imported"""


class BankStatements(TreasuryProjection):
    """`bank_lines` are the lines of the statements that are complete, each once, however many statements brought it;
    `bank_matches` has a row for each entry that a line is matched with.

    `started` and `imported` are revisions: the lines of a statement that was started again, and of one that was never
    finished, stay in `statement_lines` and are in no view. Amounts are in minor units, positive into the account;
    payee, memo and reference are sealed.
    """

    name = "bank_statements"
    version = 1
    events = events_of("statement")
    tables = (
        Table(
            "statements",
            key=("book", "account", "statement"),
            columns={
                "book": "text", "account": "text", "statement": "text", "unit": "text", "starts": "date",
                "ends": "date", "opening": "bigint", "closing": "bigint", "lines": "integer", "digest": "text",
                "started": "bigint", "imported": "bigint", "imported_at": "timestamptz", "new": "integer",
                "known": "integer", "gap": "bigint", "actor": "text",
            },
        ),
        Table(
            "statement_lines",
            key=("book", "account", "statement", "started", "line"),
            columns={
                "book": "text", "account": "text", "statement": "text", "started": "bigint", "line": "text",
                "date": "date", "amount": "bigint", "payee": "text", "memo": "text", "reference": "text",
            },
            append=True,
        ),
        Table(
            "bank_matches",
            key=("book", "account", "line", "entry"),
            columns={
                "book": "text", "account": "text", "line": "text", "entry": "text", "amount": "bigint",
                "matched_at": "timestamptz", "actor": "text",
            },
            indexes=("book, entry",),
        ),
    )  # fmt: skip
    views = {"bank_lines": _LINES}  # noqa: RUF012  # typed in the base class

    def touches(self, event: Recorded) -> Iterable[tuple[str, Key]]:
        match event.data:
            case StatementLinesAdded() | StatementImported() as data:
                yield "statements", (data.book, data.account, data.statement)

    def apply(self, event: Recorded, rows: Rows) -> None:
        match event.data:
            case StatementStarted() as data:
                rows.put(
                    "statements",
                    (data.book, data.account, data.statement),
                    {
                        "unit": data.unit, "starts": data.starts, "ends": data.ends, "opening": data.opening,
                        "closing": data.closing, "lines": data.lines, "digest": data.digest,
                        "started": event.revision, "imported": None, "imported_at": None, "new": None, "known": None,
                        "gap": None, "actor": event.envelope.authid,
                    },
                )  # fmt: skip
            case StatementLinesAdded() as data:
                statement = rows.get("statements", (data.book, data.account, data.statement))
                started = 0 if statement is None else statement["started"]
                for line in data.lines:
                    rows.put(
                        "statement_lines",
                        (data.book, data.account, data.statement, started, line.line),
                        {
                            "date": line.date, "amount": line.amount, "payee": line.payee, "memo": line.memo,
                            "reference": line.reference,
                        },
                    )  # fmt: skip
            case StatementImported() as data:
                statement = rows.get("statements", (data.book, data.account, data.statement))
                if statement is not None:
                    statement |= {
                        "imported": event.revision, "imported_at": event.recorded_at, "new": data.new,
                        "known": data.known, "gap": data.gap,
                    }  # fmt: skip
            case LineMatched() as data:
                for entry in data.entries:
                    rows.put(
                        "bank_matches",
                        (data.book, data.account, data.line, entry),
                        {"amount": data.amount, "matched_at": event.recorded_at, "actor": event.envelope.authid},
                    )
            case LineUnmatched() as data:
                for entry in data.entries:
                    rows.delete("bank_matches", (data.book, data.account, data.line, entry))
