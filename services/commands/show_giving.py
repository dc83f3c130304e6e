"""`commons show` of who gives and who owes: dues, donations, gifts in kind, pledges, parties."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from services.commands.book_questions import AsOf, AtLeast, Book, Donor, First, Last, Member, show_book
from services.commands.common import Operator, command
from services.commands.period import day
from services.commands.questions import All, Csv
from services.queries import treasury


@command
async def dues(
    operator: Operator, book: Book = None, member: Member = None, as_of: AsOf = None, all_: All = False,
    csv: Csv = False, at_least: AtLeast = None,
) -> int | None:  # fmt: skip
    """Dues that are owed, by how long they have been due; with --all, those that are settled too.

    Example: commons show dues --as-of 2026-06-30
    """
    until = day("--as-of", as_of)
    return await show_book(
        operator,
        lambda pool, wanted: treasury.dues(
            pool, book=book, member=member, as_of=until, settled=all_, at_least=wanted
        ),
        csv=csv, at_least=at_least,
    )  # fmt: skip


@command
async def donations(
    operator: Operator, book: Book = None, donor: Donor = None, first: First = None, last: Last = None,
    csv: Csv = False, at_least: AtLeast = None,
) -> int | None:  # fmt: skip
    """Gifts of money.

    Example: commons show donations --from 2026-06-01
    """
    start, end = day("--from", first), day("--to", last)
    return await show_book(
        operator,
        lambda pool, wanted: treasury.donations(
            pool, book=book, donor=donor, first=start, last=end, at_least=wanted
        ),
        csv=csv, at_least=at_least,
    )  # fmt: skip


@command
async def in_kind(
    operator: Operator, book: Book = None, donor: Donor = None, first: First = None, last: Last = None,
    csv: Csv = False, at_least: AtLeast = None,
) -> int | None:  # fmt: skip
    """Goods and services that were given, at their fair value.

    Example: commons show in-kind --from 2026-01-01 --to 2026-12-31
    """
    start, end = day("--from", first), day("--to", last)
    return await show_book(
        operator,
        lambda pool, wanted: treasury.in_kind(pool, book=book, donor=donor, first=start, last=end, at_least=wanted),
        csv=csv, at_least=at_least,
    )  # fmt: skip


@command
async def acknowledgements(
    operator: Operator, book: Book = None, donor: Donor = None, csv: Csv = False, at_least: AtLeast = None
) -> int | None:
    """Gifts whose donors are still to be thanked.

    Example: commons show acknowledgements
    """
    return await show_book(
        operator,
        lambda pool, wanted: treasury.acknowledgements(pool, book=book, donor=donor, at_least=wanted),
        csv=csv, at_least=at_least,
    )  # fmt: skip


@command
async def pledges(
    operator: Operator, book: Book = None, as_of: AsOf = None, all_: All = False, csv: Csv = False,
    at_least: AtLeast = None,
) -> int | None:  # fmt: skip
    """What donors promised, what of it is due, and what came in.

    Example: commons show pledges
    """
    until = day("--as-of", as_of)
    return await show_book(
        operator,
        lambda pool, wanted: treasury.pledges(pool, book=book, as_of=until, ended=all_, at_least=wanted),
        csv=csv, at_least=at_least,
    )  # fmt: skip


@command
async def parties(
    operator: Operator,
    party: Annotated[str | None, typer.Argument(metavar="[PARTY]", help="Only this party.")] = None,
    csv: Csv = False, at_least: AtLeast = None,
) -> int | None:  # fmt: skip
    """Donors, members, suppliers and others who are paid; their names are shown to who has the master key.

    Example: commons show parties
    """
    return await show_book(
        operator, lambda pool, wanted: treasury.parties(pool, party=party, at_least=wanted), csv=csv, at_least=at_least
    )


COMMANDS: dict[str, Any] = {
    "dues": dues, "donations": donations, "in-kind": in_kind, "acknowledgements": acknowledgements,
    "pledges": pledges, "parties": parties,
}  # fmt: skip
