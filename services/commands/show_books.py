"""`commons show` of a book: trial balance, accounts, funds, and the statements that an accountant asks for."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from services.commands.book_questions import AsOf, AtLeast, Book, First, Last, Recorded, show_book
from services.commands.common import Operator, command
from services.commands.period import day, recorded_by
from services.commands.questions import All, Csv
from services.queries import treasury
from services.queries.treasury.spending import State

Limit = Annotated[int, typer.Option("--limit", metavar="N", min=1, max=100_000, help="The newest N.")]
OneAccount = Annotated[str | None, typer.Option("--account", metavar="ACCOUNT", help="Only this account.")]


@command
async def trial_balance(
    operator: Operator, book: Book = None, as_of: AsOf = None, recorded: Recorded = None,
    by_fund: Annotated[bool, typer.Option("--by-fund", help="One row an account and fund.")] = False,
    csv: Csv = False, at_least: AtLeast = None,
) -> int | None:  # fmt: skip
    """The balance of every account, debits and credits side by side.

    Examples:

    commons show trial-balance --as-of 2026-06-30 --by-fund

    commons show trial-balance --as-of 2026-06-30 --recorded 2026-07-31
    """
    until, by = day("--as-of", as_of), recorded_by(recorded)
    return await show_book(
        operator,
        lambda pool, wanted: treasury.trial_balance(
            pool, book=book, as_of=until, recorded=by, by_fund=by_fund, at_least=wanted
        ),
        csv=csv, at_least=at_least,
    )  # fmt: skip


@command
async def account(
    operator: Operator,
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account.")],
    book: Book = None,
    fund: Annotated[str | None, typer.Option("--fund", metavar="FUND", help="Only this fund.")] = None,
    first: First = None, last: Last = None, recorded: Recorded = None, limit: Limit = 1000, csv: Csv = False,
    at_least: AtLeast = None,
) -> int | None:  # fmt: skip
    """The statement of an account: every posting with the running balance, in the order of their days.

    Example: commons show account bank --from 2026-06-01 --to 2026-06-30
    """
    start, end, by = day("--from", first), day("--to", last), recorded_by(recorded)
    return await show_book(
        operator,
        lambda pool, wanted: treasury.account(
            pool, account=account, book=book, fund=fund, first=start, last=end, recorded=by, limit=limit,
            at_least=wanted,
        ),
        csv=csv, at_least=at_least,
    )  # fmt: skip


@command
async def funds(
    operator: Operator, book: Book = None, as_of: AsOf = None, all_: All = False, csv: Csv = False,
    at_least: AtLeast = None,
) -> int | None:  # fmt: skip
    """What each fund has (net assets, with equipment and goods), what of it is held, and what that leaves.

    Example: commons show funds
    """
    until = day("--as-of", as_of)
    return await show_book(
        operator,
        lambda pool, wanted: treasury.funds(pool, book=book, as_of=until, closed=all_, at_least=wanted),
        csv=csv, at_least=at_least,
    )  # fmt: skip


@command
async def activities(
    operator: Operator, book: Book = None, first: First = None, last: Last = None, csv: Csv = False,
    at_least: AtLeast = None,
) -> int | None:  # fmt: skip
    """The statement of activities: income and expenses, without and with donor restrictions, of the fiscal year.

    Example: commons show activities --from 2026-01-01 --to 2026-06-30
    """
    start, end = day("--from", first), day("--to", last)
    return await show_book(
        operator,
        lambda pool, wanted: treasury.activities(pool, book=book, first=start, last=end, at_least=wanted),
        csv=csv, at_least=at_least,
    )  # fmt: skip


@command
async def functional(
    operator: Operator, book: Book = None, first: First = None, last: Last = None, csv: Csv = False,
    at_least: AtLeast = None,
) -> int | None:  # fmt: skip
    """Expenses by account, and by what they serve: programmes, management, fundraising; of the fiscal year.

    Example: commons show functional --from 2026-01-01 --to 2026-12-31
    """
    start, end = day("--from", first), day("--to", last)
    return await show_book(
        operator,
        lambda pool, wanted: treasury.functional(pool, book=book, first=start, last=end, at_least=wanted),
        csv=csv, at_least=at_least,
    )  # fmt: skip


@command
async def budget(
    operator: Operator,
    budget: Annotated[str | None, typer.Argument(metavar="[BUDGET]", help="Only this budget.")] = None,
    book: Book = None, as_of: AsOf = None, csv: Csv = False, at_least: AtLeast = None,
) -> int | None:  # fmt: skip
    """What was planned, what it came to, what is held for it, and what is left.

    Example: commons show budget 2026
    """
    until = day("--as-of", as_of)
    return await show_book(
        operator,
        lambda pool, wanted: treasury.budget(pool, book=book, budget=budget, as_of=until, at_least=wanted),
        csv=csv, at_least=at_least,
    )  # fmt: skip


@command
async def expenses(
    operator: Operator, book: Book = None,
    state: Annotated[State | None, typer.Option("--state", help="Only those in this state.")] = None,
    all_: All = False, csv: Csv = False, at_least: AtLeast = None,
) -> int | None:  # fmt: skip
    """Expenses on their way: asked for, approved, held, paid, and who waits for what.

    Example: commons show expenses --state held
    """
    return await show_book(
        operator,
        lambda pool, wanted: treasury.expenses(pool, book=book, state=state, ended=all_, at_least=wanted),
        csv=csv, at_least=at_least,
    )  # fmt: skip


@command
async def entries(
    operator: Operator,
    entry: Annotated[str | None, typer.Argument(metavar="[ENTRY]", help="Only this entry.")] = None,
    book: Book = None, account: OneAccount = None,
    party: Annotated[str | None, typer.Option("--party", metavar="PARTY", help="Only what concerns them.")] = None,
    first: First = None, last: Last = None, limit: Limit = 200, csv: Csv = False, at_least: AtLeast = None,
) -> int | None:  # fmt: skip
    """The journal: entries with their postings, in the order of their days.

    Example: commons show entries --account bank --from 2026-06-01
    """
    start, end = day("--from", first), day("--to", last)
    return await show_book(
        operator,
        lambda pool, wanted: treasury.entries(
            pool, book=book, entry=entry, account=account, party=party, first=start, last=end, limit=limit,
            at_least=wanted,
        ),
        csv=csv, at_least=at_least,
    )  # fmt: skip


@command
async def unreconciled(
    operator: Operator, book: Book = None, account: OneAccount = None, csv: Csv = False, at_least: AtLeast = None
) -> int | None:
    """Lines of the bank that are in no entry, and entries on its accounts that are in no line.

    Example: commons show unreconciled --account bank
    """
    return await show_book(
        operator,
        lambda pool, wanted: treasury.unreconciled(pool, book=book, account=account, at_least=wanted),
        csv=csv, at_least=at_least,
    )  # fmt: skip


@command
async def statements(
    operator: Operator, book: Book = None, account: OneAccount = None, csv: Csv = False, at_least: AtLeast = None
) -> int | None:
    """Statements of the bank that were imported: their days, balances and lines, and how many are matched.

    Example: commons show statements --account bank
    """
    return await show_book(
        operator,
        lambda pool, wanted: treasury.statements(pool, book=book, account=account, at_least=wanted),
        csv=csv, at_least=at_least,
    )  # fmt: skip


COMMANDS: dict[str, Any] = {
    "trial-balance": trial_balance, "account": account, "funds": funds, "activities": activities,
    "functional": functional, "budget": budget, "expenses": expenses, "entries": entries, "unreconciled": unreconciled,
    "statements": statements,
}  # fmt: skip
