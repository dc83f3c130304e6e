"""Questions about books that a year brings up: closed years, gaps between statements, payments that came back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from typing import Any

import asyncpg
import nats
import pytest

from services.local.nats import NatsServer
from services.projections.registry import TREASURY
from services.queries import QueryResult
from services.queries import treasury as queries
from services.queries.treasury.book import NoBook
from services.treasury import contract as c
from shared.database import open_pool
from shared.errors import Invalid
from shared.migrations import migrate_database
from shared.runner import rebuild
from shared.store import EventStore
from tests.support.books import BOOK, Books, posting

APRIL, MAY = date(2026, 4, 30), date(2026, 5, 31)


@asynccontextmanager
async def read(server: NatsServer, database_url: str, books: Books) -> AsyncIterator[asyncpg.Pool]:
    """The read models of a stream that holds these events."""
    nc = await nats.connect(server.url)
    await EventStore(nc, c.treasury).ensure(server.monitor_url)
    for event in books.events:
        await nc.jetstream().publish(event.subject, event.raw)
    await nc.close()
    await migrate_database(database_url)
    for projection in TREASURY:
        await rebuild(projection, server.url, database_url)
    pool = await open_pool(database_url)
    try:
        yield pool
    finally:
        pool.terminate()


def cut(found: QueryResult, *names: str) -> list[Any]:
    return [tuple(record[name] for name in names) for record in found.records()]


async def test_a_closed_year_still_shows_its_figures_and_its_balances_are_carried(
    nats_server: NatsServer, database_url: str
) -> None:
    books = Books().furnish()
    books.post("in", "bank", "gifts", 900, day=APRIL)
    books.post("out", "food", "bank", 300, day=MAY)
    books.record(
        c.YearClosed(
            book=BOOK, entry="close", date=MAY, through=MAY, starts=date(2026, 1, 1), occurred_at=books.now,
            debits=(posting("gifts", 900),), credits=(posting("food", 300), posting("net", 600)),
        )
    )  # fmt: skip
    async with read(nats_server, database_url, books) as pool:
        found = await queries.activities(pool, first=date(2026, 1, 1), last=MAY)
        assert cut(found, "account", "total") == [("gifts", 900), ("food", 300)]
        assert found.totals[-1][3:6] == (600, None, 600)
        assert cut(await queries.trial_balance(pool), "account", "debit", "credit") == [
            ("bank", 600, None), ("net", None, 600),
        ]  # fmt: skip
        assert cut(await queries.trial_balance(pool, as_of=APRIL), "account", "debit", "credit") == [
            ("bank", 900, None), ("gifts", None, 900),
        ]  # fmt: skip
        assert cut(await queries.funds(pool), "fund", "net_assets") == [("general", 600), ("kitchen", 0)]


async def test_what_only_shows_when_read_models_are_put_side_by_side_is_listed_for_review(
    nats_server: NatsServer, database_url: str
) -> None:
    books = Books().furnish()
    for entry in ("a", "b"):
        books.post(entry, "rent", "bank", 50, day=MAY, reference="R-5")
    paid = books.post("c", "bank", "gifts", 70, day=MAY)
    at = {"book": BOOK, "account": "bank", "occurred_at": books.now}
    for statement, starts, ends, opening, gap in (
        ("april", date(2026, 4, 1), APRIL, 0, 0), ("may", date(2026, 5, 1), MAY, 25, 15),
    ):  # fmt: skip
        books.record(
            c.StatementStarted(
                **at, statement=statement, unit="EUR", starts=starts, ends=ends, opening=opening, closing=10,
                lines=1, digest="0" * 64,
            ), f"{BOOK}:bank",
        )  # fmt: skip
        line = c.StatementLine(line=f"{statement}-1", date=ends, amount=70)
        books.record(c.StatementLinesAdded(**at, statement=statement, part=1, lines=(line,)), f"{BOOK}:bank")
        books.record(
            c.StatementImported(
                **at, statement=statement, starts=starts, ends=ends, closing=10, unit="EUR", new=1, known=0, gap=gap
            ), f"{BOOK}:bank",
        )  # fmt: skip
    books.record(c.LineMatched(**at, line="may-1", entries=("c",), amount=70), f"{BOOK}:bank")
    books.reverse(paid, "c-1")
    for entry in ("d", "e"):
        books.post(entry, "rent", "cash", 30, day=MAY, reference="R 9")
    books.later(seconds=1)
    books.record(c.ReviewResolved(book=BOOK, entry="e", note="rent of two rooms", occurred_at=books.now))
    async with read(nats_server, database_url, books) as pool:
        found = await queries.review(pool)
        assert sorted(cut(found, "kind", "subject", "figure")) == [
            ("match_reversed", "may-1", 70), ("possible_duplicate", "a, b", 50), ("statement_gap", "may", 15),
        ]  # fmt: skip
        assert all(record["todo"] for record in found.records())
        open_lines = await queries.unreconciled(pool)
        assert cut(open_lines, "side", "line", "why") == [
            ("the bank", "april-1", None), ("the bank", "may-1", "matched with c, which was reversed"),
            ("the book", "a", None), ("the book", "b", None), ("the book", "c-1", None),
        ]  # fmt: skip


async def test_a_gap_before_a_statement_is_closed_by_what_tells_of_the_days_between(
    nats_server: NatsServer, database_url: str
) -> None:
    books = Books().furnish()

    def statement(account: str, id: str, first: date, last: date, opening: int, line: int, gap: int = 0) -> None:
        at = {"book": BOOK, "account": account, "statement": id, "occurred_at": books.now}
        days = {"starts": first, "ends": last, "unit": "EUR", "closing": opening + line}
        one = c.StatementLine(line=f"{id}-1", date=first, amount=line)
        for event in (
            c.StatementStarted(**at, **days, opening=opening, lines=1, digest="0" * 64),
            c.StatementLinesAdded(**at, part=1, lines=(one,)),
            c.StatementImported(**at, **days, new=1, known=0, gap=gap),
        ):
            books.record(event, f"{BOOK}:{account}")

    for account in ("bank", "cash", "receivable"):
        statement(account, "january", date(2026, 1, 1), date(2026, 1, 31), 0, 10)
        statement(account, "march", date(2026, 3, 1), date(2026, 3, 31), 60, 1, gap=50)
        statement(account, "some", date(2026, 2, 1), date(2026, 2, 10), 10, 20)
    statement("cash", "rest", date(2026, 2, 10), date(2026, 2, 20), 30, 30)
    statement("receivable", "overlap", date(2026, 2, 11), date(2026, 3, 5), 30, 30)
    async with read(nats_server, database_url, books) as pool:
        found = await queries.review(pool, closed=True)
        assert sorted(cut(found, "kind", "account", "subject", "closed_by")) == [
            ("statement_gap", "bank", "march", None), ("statement_gap", "cash", "march", "another statement"),
            ("statement_gap", "receivable", "march", "another statement"),
        ]  # fmt: skip


async def test_a_payment_that_came_back_is_two_lines_and_waits_for_nobody(
    nats_server: NatsServer, database_url: str
) -> None:
    books = Books().furnish()
    books.post("gift", "bank", "gifts", 500, day=APRIL)
    paid = books.post("pay", "rent", "bank", 70, day=MAY)
    books.reverse(paid, "back")
    at = {"book": BOOK, "account": "bank", "occurred_at": books.now}
    spans = (("april", date(2026, 4, 1), APRIL, 100, 600, (("A", APRIL, 500),)),
             ("may", date(2026, 5, 1), MAY, 600, 630, (("P", MAY, -70), ("R", MAY, 70), ("X", MAY, 30))))  # fmt: skip
    for statement, starts, ends, opening, closing, given in spans:
        books.record(
            c.StatementStarted(
                **at, statement=statement, unit="EUR", starts=starts, ends=ends, opening=opening, closing=closing,
                lines=len(given), digest="0" * 64,
            ), f"{BOOK}:bank",
        )  # fmt: skip
        lines = tuple(c.StatementLine(line=id, date=day, amount=amount) for id, day, amount in given)
        books.record(c.StatementLinesAdded(**at, statement=statement, part=1, lines=lines), f"{BOOK}:bank")
        books.record(
            c.StatementImported(
                **at, statement=statement, starts=starts, ends=ends, closing=closing, unit="EUR", new=len(given),
                known=0,
            ), f"{BOOK}:bank",
        )  # fmt: skip
    for name, entry, amount in (("A", "gift", 500), ("P", "pay", -70), ("R", "back", 70)):
        books.record(c.LineMatched(**at, line=name, entries=(entry,), amount=amount), f"{BOOK}:bank")
    async with read(nats_server, database_url, books) as pool:
        assert [row["kind"] for row in (await queries.review(pool)).records()] == []
        found = await queries.unreconciled(pool)
        assert cut(found, "side", "line", "why") == [("the bank", "X", None)]
        assert found.message == (
            f"Account bank: on {MAY} the bank's closing balance is 6.30 EUR, the book's 4.30 EUR. They differ by 2.00 "
            "EUR, of which what is not matched, or is matched and dated later in the book, explains 1.00 EUR; the rest "
            "is from before the first statement, or from a gap between two."
        )
        listed = await queries.statements(pool)
        assert cut(listed, "statement", "opening", "closing", "lines", "matched", "unmatched") == [
            ("may", 600, 630, 3, 2, 1), ("april", 100, 600, 1, 1, 0),
        ]  # fmt: skip


async def test_a_payment_of_what_was_changed_or_rejected_meanwhile_waits_for_a_person(
    nats_server: NatsServer, database_url: str
) -> None:
    """Two processes may decide at one moment, of the expense and of the book: nobody is refused, and it is seen."""
    books = Books().furnish()
    asked: dict[str, Any] = {
        "book": BOOK, "payee": "p-2", "unit": "EUR", "pay_from": "bank", "description": "sealed", "needed": 1,
        "lines": (c.ExpenseLine(account="food", amount=400),), "submitter": "sam", "occurred_at": books.now,
    }  # fmt: skip
    for expense in ("changed", "rejected", "paid"):
        books.record(c.ExpenseSubmitted(expense=expense, **asked), expense)
    books.record(c.ExpenseChanged(expense="changed", **asked), "changed")
    for expense in ("changed", "rejected", "paid"):
        books.record(
            c.ExpensePaid(
                book=BOOK, entry=f"pay-{expense}", date=MAY, debits=(posting("food", 400),),
                credits=(posting("bank", 400),), expense=expense, version=1, hold=f"{expense}-1", payer="dora",
                reference=f"TR {expense}",
            )
        )  # fmt: skip
    rejected = c.ExpenseRejected(expense="rejected", book=BOOK, reason="a mistake", occurred_at=books.now)
    books.record(rejected, "rejected")
    books.record(c.ReviewResolved(book=BOOK, entry="pay-rejected", note="paid all the same", occurred_at=books.now))
    async with read(nats_server, database_url, books) as pool:
        found = await queries.review(pool)
        assert cut(found, "kind", "entry", "subject", "figure", "detail") == [
            ("paid_and_changed", "pay-changed", "changed", 400, "changed while it was being paid")
        ]
        assert cut(await queries.review(pool, closed=True), "entry", "closed_by") == [
            ("pay-changed", None), ("pay-rejected", "resolved"),
        ]  # fmt: skip


async def test_an_expense_says_what_it_waits_for_until_it_is_paid_and_when_the_payment_comes_back(
    nats_server: NatsServer, database_url: str
) -> None:
    books = Books().furnish()
    sides = {"debits": (posting("food", 400),), "credits": (posting("bank", 400),)}
    back = {"debits": sides["credits"], "credits": sides["debits"]}
    asked: dict[str, Any] = {
        "book": BOOK, "payee": "p-2", "unit": "EUR", "pay_from": "bank", "description": "sealed", "needed": 2,
        "lines": (c.ExpenseLine(account="food", amount=400),), "submitter": "sam", "occurred_at": books.now,
    }  # fmt: skip
    for number, id in enumerate(("requested", "approved", "held", "paid", "failed", "rejected")):
        books.record(c.ExpenseSubmitted(**asked, expense=id), id)
        if number == 5:
            books.record(c.ExpenseRejected(expense=id, book=BOOK, reason="no", occurred_at=books.now), id)
            continue
        books.record(
            c.ExpenseApproved(
                expense=id, version=1, approver="kim", approvers=("kim",), needed=2, rules=("r",), final=number > 0,
                book=BOOK, hold=f"{id}-1", **sides, occurred_at=books.now,
            ), id,
        )  # fmt: skip
        if number > 1:
            books.record(c.HoldPlaced(book=BOOK, hold=f"{id}-1", expense=id, **sides, occurred_at=books.now))
        if number > 2:
            books.record(
                c.ExpensePaid(
                    book=BOOK, entry=f"pay-{id}", date=MAY, expense=id, version=1, hold=f"{id}-1", payer="lee",
                    reference=f"SEPA-{id}", **sides,
                )
            )  # fmt: skip
        if number > 3:
            books.record(
                c.PaymentFailed(
                    book=BOOK, entry=f"back-{id}", date=MAY, expense=id, reverses=f"pay-{id}", hold=f"{id}-2",
                    held_debits=sides["debits"], held_credits=sides["credits"], reason="account closed", **back,
                )
            )  # fmt: skip
    async with read(nats_server, database_url, books) as pool:
        found = await queries.expenses(pool, ended=True)
        assert sorted(cut(found, "state", "expense")) == sorted((id, id) for id in (
            "requested", "approved", "held", "paid", "failed", "rejected",
        ))  # fmt: skip
        waits = {record["expense"]: record["waits_for"] for record in found.records()}
        assert waits["requested"] == "1 approval"
        assert (waits["held"], waits["paid"], waits["rejected"]) == ("payment", None, None)
        assert {row[0] for row in cut(await queries.expenses(pool), "expense")} == {
            "requested", "approved", "held", "failed",
        }  # fmt: skip
        assert cut(await queries.expenses(pool, state="paid"), "reference") == [("SEPA-paid",)]
        held = await queries.money_held(pool)
        assert {row[0] for row in cut(held, "hold")} == {"held-1", "failed-2"}
        assert held.totals[0][1] == 800


async def test_the_only_book_need_not_be_named(nats_server: NatsServer, database_url: str) -> None:
    async with read(nats_server, database_url, Books()) as pool:
        with pytest.raises(NoBook):
            await queries.funds(pool)


async def test_of_several_books_one_is_named(nats_server: NatsServer, database_url: str) -> None:
    books = Books().furnish().furnish("other")
    books.post("in", "bank", "gifts", 900, day=APRIL)
    async with read(nats_server, database_url, books) as pool:
        with pytest.raises(Invalid, match="say which"):
            await queries.trial_balance(pool)
        assert cut(await queries.trial_balance(pool, book="other"), "account") == []
        assert len((await queries.trial_balance(pool, book=BOOK)).rows) == 2
