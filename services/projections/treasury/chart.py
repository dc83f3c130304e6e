"""How a book is laid out: accounts, funds, units, approval rules, budgets, what is closed. For every other screen."""

from __future__ import annotations

from collections.abc import Iterable

from services.projections.treasury.base import TreasuryProjection, taken_back
from services.treasury.contract import (
    AccountClosed,
    AccountOpened,
    ApprovalRuleSet,
    BookOpened,
    BudgetSet,
    EntryReversed,
    FundClosed,
    FundOpened,
    PaymentFailed,
    PeriodClosed,
    PeriodReopened,
    UnitRegistered,
    YearClosed,
)
from shared.event import Recorded
from shared.projection import Key, Rows, Table


class Chart(TreasuryProjection):
    """What each book consists of, as it is now. `closed_through` is the last closed day, null when none is.

    `scale` is how many decimals the minor unit of a unit has. A budget has a row for each of its lines; a rule that
    was ended has none. The closing entry of a year that was reversed keeps its row, with `reversed_by`.
    """

    name = "chart"
    version = 1
    events = frozenset({
        BookOpened, AccountOpened, AccountClosed, FundOpened, FundClosed, UnitRegistered, BudgetSet, ApprovalRuleSet,
        PeriodClosed, PeriodReopened, YearClosed, EntryReversed, PaymentFailed,
    })  # fmt: skip
    tables = (
        Table(
            "books",
            key=("book",),
            columns={
                "book": "text", "name": "text", "unit": "text", "starts": "date", "utc_offset": "integer",
                "year_end": "text", "closed_through": "date", "opened_at": "timestamptz",
            },
        ),
        Table(
            "accounts",
            key=("book", "account"),
            columns={
                "book": "text", "account": "text", "name": "text", "kind": "text", "function": "text",
                "guarded": "boolean", "opened_at": "timestamptz", "closed_at": "timestamptz",
            },
        ),
        Table(
            "funds",
            key=("book", "fund"),
            columns={
                "book": "text", "fund": "text", "name": "text", "restriction": "text", "purpose": "text",
                "pays_for": "jsonb", "available_from": "date", "advance": "bigint", "net_assets": "text",
                "opened_at": "timestamptz", "closed_at": "timestamptz",
            },
        ),
        Table(
            "units",
            key=("book", "unit"),
            columns={"book": "text", "unit": "text", "name": "text", "scale": "integer"},
        ),
        Table(
            "budgets",
            key=("book", "budget"),
            columns={
                "book": "text", "budget": "text", "name": "text", "starts": "date", "ends": "date",
                "lines": "jsonb", "set_at": "timestamptz",
            },
        ),
        Table(
            "approval_rules",
            key=("book", "rule"),
            columns={
                "book": "text", "rule": "text", "unit": "text", "from_amount": "bigint", "fund": "text",
                "approvals": "integer", "people": "jsonb", "roles": "jsonb", "bodies": "jsonb",
            },
        ),
        Table(
            "years_closed",
            key=("book", "entry"),
            columns={
                "book": "text", "entry": "text", "starts": "date", "through": "date", "closed_at": "timestamptz",
                "reversed_by": "text",
            },
        ),
    )  # fmt: skip
    views = {  # noqa: RUF012  # typed in the base class
        "budget_lines": (
            "SELECT b.book, b.budget, b.starts, b.ends, l.account, l.fund, l.unit, l.amount FROM budgets AS b,"
            " jsonb_to_recordset(b.lines) AS l(account text, fund text, unit text, amount bigint)"
        )
    }

    def touches(self, event: Recorded) -> Iterable[tuple[str, Key]]:
        match event.data:
            case AccountOpened() | AccountClosed() as data:
                yield "accounts", (data.book, data.account)
            case FundOpened() | FundClosed() as data:
                yield "funds", (data.book, data.fund)
            case PeriodClosed() | PeriodReopened() as data:
                yield "books", (data.book,)
            case EntryReversed() | PaymentFailed() as data:
                yield "years_closed", (data.book, data.reverses)

    def apply(self, event: Recorded, rows: Rows) -> None:
        match event.data:
            case BookOpened() as data:
                rows.put(
                    "books",
                    (data.book,),
                    {
                        "name": data.name, "unit": data.unit, "starts": data.starts, "utc_offset": data.utc_offset,
                        "year_end": data.year_end, "closed_through": None, "opened_at": data.occurred_at,
                    },
                )  # fmt: skip
                rows.put("units", (data.book, data.unit), {"name": None, "scale": data.decimals})
            case UnitRegistered() as data:
                rows.put("units", (data.book, data.unit), {"name": data.name, "scale": data.scale})
            case AccountOpened() as data:
                before = rows.get("accounts", (data.book, data.account))
                rows.put(
                    "accounts",
                    (data.book, data.account),
                    {
                        "name": data.name, "kind": str(data.kind), "function": data.function and str(data.function),
                        "guarded": data.guarded, "opened_at": before["opened_at"] if before else data.occurred_at,
                        "closed_at": None,
                    },
                )  # fmt: skip
            case FundOpened() as data:
                before = rows.get("funds", (data.book, data.fund))
                rows.put(
                    "funds",
                    (data.book, data.fund),
                    {
                        "name": data.name, "restriction": str(data.restriction), "purpose": data.purpose,
                        "pays_for": list(data.pays_for), "available_from": data.available_from,
                        "advance": data.advance, "net_assets": data.net_assets,
                        "opened_at": before["opened_at"] if before else data.occurred_at, "closed_at": None,
                    },
                )  # fmt: skip
            case AccountClosed() as data:
                if (row := rows.get("accounts", (data.book, data.account))) is not None:
                    row["closed_at"] = data.occurred_at
            case FundClosed() as data:
                if (row := rows.get("funds", (data.book, data.fund))) is not None:
                    row["closed_at"] = data.occurred_at
            case BudgetSet() as data:
                rows.put(
                    "budgets",
                    (data.book, data.budget),
                    {
                        "name": data.name, "starts": data.starts, "ends": data.ends, "set_at": data.occurred_at,
                        "lines": [
                            {"account": line.account, "fund": line.fund, "unit": line.unit, "amount": line.amount}
                            for line in data.lines
                        ],
                    },
                )  # fmt: skip
            case ApprovalRuleSet() as data:
                _rule(rows, data)
            case PeriodClosed() as data:
                if (row := rows.get("books", (data.book,))) is not None:
                    row["closed_through"] = data.through
            case PeriodReopened() as data:
                if (row := rows.get("books", (data.book,))) is not None:
                    row["closed_through"] = data.closed_through
            case YearClosed() as data:
                rows.put(
                    "years_closed",
                    (data.book, data.entry),
                    {
                        "starts": data.starts, "through": data.through, "closed_at": data.occurred_at,
                        "reversed_by": None,
                    },
                )  # fmt: skip
            case data:
                year = rows.get("years_closed", (data.book, taken_back(data)))
                if year is not None:
                    year["reversed_by"] = data.entry


def _rule(rows: Rows, data: ApprovalRuleSet) -> None:
    if data.approvals == 0:
        rows.delete("approval_rules", (data.book, data.rule))
        return
    rows.put(
        "approval_rules",
        (data.book, data.rule),
        {
            "unit": data.unit, "from_amount": data.from_amount, "fund": data.fund, "approvals": data.approvals,
            "people": list(data.people), "roles": list(data.roles), "bodies": list(data.bodies),
        },
    )  # fmt: skip
