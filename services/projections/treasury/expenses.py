"""Expenses on their way: who asked, who approved, what is held and paid, and who waits for what."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from services.projections.treasury.base import TreasuryProjection, events_of
from services.treasury.contract import (
    DocumentAttached,
    ExpenseApproved,
    ExpenseChanged,
    ExpensePaid,
    ExpenseRejected,
    ExpenseSubmitted,
    HoldPlaced,
    HoldVoided,
    PaymentFailed,
)
from shared.event import Recorded
from shared.projection import Key, Row, Rows, Table

_STATES: Final = """SELECT e.*, p.hold AS held_as, p.held_at, p.entry, p.paid_on, p.reference, p.payer, p.failed_on,
    p.failure,
    CASE WHEN p.entry IS NOT NULL THEN 'paid'
         WHEN e.rejected_at IS NOT NULL THEN 'rejected'
         WHEN p.failed_on IS NOT NULL AND p.version = e.version THEN 'failed'
         WHEN p.hold IS NOT NULL AND p.held_at >= e.approved_at THEN 'held'
         WHEN e.approved_at IS NOT NULL THEN 'approved'
         ELSE 'requested' END AS state
    FROM expenses AS e LEFT JOIN expense_payments AS p USING (expense)"""


class Expenses(TreasuryProjection):
    """`expenses` is what the expense's own events say, `expense_payments` what the book says of it; `expense_states`
    puts both together: requested, approved, held, paid, failed or rejected. What is held for an earlier version, and
    not yet freed, is no hold of this one: it was held before this one was approved.

    `version` is the revision that submitted or changed the expense last: what approvals are given to. `amount` is the
    sum of the lines, in minor units. `description` and the titles of documents are sealed.
    """

    name = "expenses"
    version = 1
    events = events_of("expense") | {HoldPlaced, HoldVoided, ExpensePaid, PaymentFailed}
    tables = (
        Table(
            "expenses",
            key=("expense",),
            columns={
                "expense": "text", "book": "text", "kind": "text", "payee": "text", "unit": "text", "amount": "bigint",
                "lines": "jsonb", "pay_from": "text", "description": "text", "documents": "jsonb", "needed": "integer",
                "approvers": "jsonb", "submitter": "text", "version": "bigint", "submitted_at": "timestamptz",
                "approved_at": "timestamptz", "hold": "text", "rejected_at": "timestamptz", "rejected_by": "text",
                "reason": "text",
            },
            indexes=("book, submitted_at",),
        ),
        Table(
            "expense_payments",
            key=("expense",),
            columns={
                "expense": "text", "book": "text", "hold": "text", "held_at": "timestamptz", "version": "bigint",
                "entry": "text", "paid_on": "date", "reference": "text", "payer": "text", "failed_on": "date",
                "failure": "text",
            },
        ),
    )  # fmt: skip
    views = {"expense_states": _STATES}  # noqa: RUF012  # typed in the base class

    def touches(self, event: Recorded) -> Iterable[tuple[str, Key]]:
        match event.data:
            case ExpenseApproved() | ExpenseRejected() | DocumentAttached() | ExpenseChanged() as data:
                yield "expenses", (data.expense,)
            case HoldPlaced() | HoldVoided() | ExpensePaid() | PaymentFailed() as data:
                if data.expense is not None:
                    yield "expense_payments", (data.expense,)

    def apply(self, event: Recorded, rows: Rows) -> None:
        match event.data:
            case ExpenseSubmitted() as data:
                rows.put("expenses", (data.expense,), _asked(event, data, event.data.documents))
            case ExpenseChanged() as data:
                before = rows.get("expenses", (data.expense,))
                row = rows.put("expenses", (data.expense,), _asked(event, data, data.documents))
                if before is not None:
                    row["submitted_at"] = before["submitted_at"]
            case ExpenseApproved() as data:
                if (row_or_none := rows.get("expenses", (data.expense,))) is not None:
                    row_or_none |= {"approvers": list(data.approvers), "needed": data.needed}
                    if data.final and row_or_none["approved_at"] is None:
                        row_or_none |= {"approved_at": event.recorded_at, "hold": data.hold}
            case ExpenseRejected() as data:
                if (row_or_none := rows.get("expenses", (data.expense,))) is not None:
                    row_or_none |= {
                        "rejected_at": data.occurred_at, "rejected_by": event.envelope.authid, "reason": data.reason,
                    }  # fmt: skip
            case DocumentAttached() as data:
                if (row_or_none := rows.get("expenses", (data.expense,))) is not None:
                    row_or_none["documents"] = [
                        *row_or_none["documents"], {"document": data.document, "title": data.title},
                    ]  # fmt: skip
            case data if data.expense is not None:
                _pay(event, rows)


def _asked(event: Recorded, data: ExpenseSubmitted | ExpenseChanged, documents: Iterable[str]) -> Row:
    return {
        "book": data.book, "kind": str(data.kind), "payee": data.payee, "unit": data.unit,
        "amount": sum(line.amount for line in data.lines),
        "lines": [{"account": line.account, "fund": line.fund, "amount": line.amount} for line in data.lines],
        "pay_from": data.pay_from, "description": data.description,
        "documents": [{"document": document, "title": None} for document in documents], "needed": data.needed,
        "approvers": [], "submitter": data.submitter, "version": event.revision, "submitted_at": data.occurred_at,
        "approved_at": None, "hold": None, "rejected_at": None, "rejected_by": None, "reason": None,
    }  # fmt: skip


def _pay(event: Recorded, rows: Rows) -> None:
    """What the book says of an expense; the expense's own events may have been parked, and come later."""
    data = event.data
    row = rows.get("expense_payments", (data.expense,)) or rows.put(
        "expense_payments",
        (data.expense,),
        {
            "book": data.book, "hold": None, "held_at": None, "version": None, "entry": None, "paid_on": None,
            "reference": None, "payer": None, "failed_on": None, "failure": None,
        },
    )  # fmt: skip
    match data:
        case HoldPlaced():
            row |= {"hold": data.hold, "held_at": event.recorded_at}
        case ExpensePaid():
            row |= {
                "hold": None, "held_at": None, "version": data.version, "entry": data.entry, "paid_on": data.date,
                "reference": data.reference, "payer": data.payer, "failed_on": None, "failure": None,
            }  # fmt: skip
        case PaymentFailed():
            row |= {
                "hold": data.hold, "held_at": event.recorded_at, "entry": None, "paid_on": None,
                "failed_on": data.date, "failure": data.reason,
            }  # fmt: skip
        case _ if row["hold"] == data.hold:
            row |= {"hold": None, "held_at": None}
