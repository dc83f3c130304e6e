"""`commons import accounts`, `statement` and `entries`: a chart of accounts, what the bank says, and a journal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from services.commands.common import Operator, command
from services.commands.door import Usage
from services.commands.importing import DryRun, File, import_lines, must_exist, sending, told
from services.imports.amounts import minor_units
from services.imports.books import Units, units_of
from services.imports.cells import Unreadable
from services.imports.chart import Opening, read_chart
from services.imports.columns import column_map
from services.imports.entries import EntryRead, read_entries
from services.imports.entries_run import Results, import_entries
from services.imports.entry_refusals import chart_of
from services.imports.ofx import is_ofx
from services.imports.opencollective import AccountsMap, is_opencollective, read_opencollective
from services.imports.statement import MAX_BYTES, BankStatement, complete
from services.imports.statement_csv import USUAL, Layout, read_csv_statement
from services.imports.statement_ofx import read_ofx_statement
from services.imports.statement_run import Answered, import_statement
from services.treasury.contract import treasury
from shared.client import CommandClient

_DAYS = ["%Y-%m-%d"]

Book = Annotated[str | None, typer.Option("--book", metavar="BOOK", help="The book's id; the only one if left out.")]
Locale = Annotated[
    str | None, typer.Option("--locale", metavar="LOCALE", help="How the file writes amounts, such as de or en_GB.")
]


@command
async def accounts(
    operator: Operator,
    file: File,
    book: Book = None,
    open_: Annotated[
        str | None,
        typer.Option("--open", metavar="NAME", help="Open the book first, as the organisation of this name."),
    ] = None,
    unit: Annotated[str, typer.Option("--unit", metavar="CODE", help="With --open: the book's currency.")] = "EUR",
    starts: Annotated[
        datetime | None, typer.Option("--starts", formats=_DAYS, metavar="DATE", help="With --open: its first day.")
    ] = None,
    year_end: Annotated[
        str | None, typer.Option("--year-end", metavar="MM-DD", help="With --open: the fiscal year's last day; 12-31.")
    ] = None,
    utc_offset: Annotated[
        int | None, typer.Option("--utc-offset", metavar="MINUTES", help="With --open: its clock, minutes east of UTC.")
    ] = None,
    dry_run: DryRun = False,
) -> int | None:
    """Import a chart of accounts from CSV: columns id, name, kind, function, guarded …; funds and units too.

    Example: commons import accounts chart.csv --book house --open "Weaver Street House" --unit EUR --starts 2026-01-01
    """
    must_exist(file)
    if open_ is None:
        if starts or year_end or utc_offset is not None:
            raise Usage("--starts, --year-end and --utc-offset say how a book is opened; give --open NAME with them.")
        units = await _units(operator, book)
        opening = None
    elif book is None or starts is None:
        raise Usage("A book is opened with --book ID, --open NAME and --starts DATE.")
    else:
        units = Units.of_currency(book, unit)
        opening = Opening(open_, unit, starts.date().isoformat(), year_end, utc_offset)
    decimals = units.scales[units.own]
    return await import_lines(
        operator, file, lambda: read_chart(file, units.book, decimals, opening), treasury, dry_run=dry_run,
        shown_in="chart",
    )  # fmt: skip


@command
async def statement(
    operator: Operator,
    file: File,
    account: Annotated[str, typer.Option("--account", metavar="ACCOUNT", help="The account in the book.")],
    book: Book = None,
    columns: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="WHAT=COLUMN,…", help="CSV: which column is the date, amount, payee, memo …"),
    ] = None,
    locale: Locale = None,
    date_format: Annotated[
        str | None, typer.Option("--date-format", metavar="FORM", help="CSV: dd.mm.yyyy, mm/dd/yyyy, yyyy-mm-dd …")
    ] = None,
    encoding: Annotated[
        str | None, typer.Option("--encoding", metavar="NAME", help="CSV: utf-8 or cp1252 are found out; else say it.")
    ] = None,
    number: Annotated[
        str | None,
        typer.Option("--number", metavar="NUMBER", help="OFX of several accounts: the bank's number of this."),
    ] = None,
    opening: Annotated[str | None, typer.Option("--opening", metavar="AMOUNT", help="The balance before it.")] = None,
    closing: Annotated[str | None, typer.Option("--closing", metavar="AMOUNT", help="The balance after it.")] = None,
    since: Annotated[
        datetime | None, typer.Option("--from", formats=_DAYS, metavar="DATE", help="CSV: first day.")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option("--to", formats=_DAYS, metavar="DATE", help="CSV: last day.")
    ] = None,
    dry_run: DryRun = False,
) -> int | None:
    """Import a bank statement: OFX 1 or 2, or a bank's CSV. It comes in whole or not at all.

    Columns of a CSV are found by their usual names. A balance that no line and no column gives is given by hand.

    Examples:

    commons import statement november.ofx --account bank

    commons import statement umsaetze.csv --account bank --map date=Buchungstag,amount=Betrag --closing 6785,97
    """
    must_exist(file)
    units = await _units(operator, book)
    try:
        layout = Layout(column_map(columns or (), USUAL), locale, date_format, encoding, _day(since), _day(until))
    except Unreadable as error:
        raise Usage(f"{error}.") from None
    if file.stat().st_size > MAX_BYTES:
        raise Usage(f"{file} has {file.stat().st_size:,} bytes; a statement has at most {MAX_BYTES:,}.", file=str(file))
    data = file.read_bytes()
    if is_ofx(data):
        read = read_ofx_statement(file, data, units.decimals, number)
    else:
        read = read_csv_statement(file, data, units.decimals, units.own, layout)
    refused = complete(read, _money("--opening", opening, read, locale), _money("--closing", closing, read, locale))
    if dry_run or refused:
        return told(operator, await import_statement(file, read, refused, units.book, account, _unsent, dry_run=True))
    async with sending(operator, treasury, file) as (client, progress):
        report = await import_statement(file, read, refused, units.book, account, _sender(client), progress=progress)
    return told(operator, report)


@command
async def entries(
    operator: Operator,
    file: File,
    book: Book = None,
    accounts_map: Annotated[
        Path | None,
        typer.Option("--accounts-map", metavar="FILE", help="Open Collective: kind, match, account, fund, as CSV."),
    ] = None,
    locale: Locale = None,
    facts: Annotated[
        bool, typer.Option("--facts", help="All of it has happened: limits do not stop it, and are reviewed.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Read and check the file, send nothing. Accounts, funds, days, limits and ids that were posted "
            "before are the ledger's to check, when it is sent.",
        ),
    ] = False,
) -> int | None:
    """Import entries: CSV with one row a posting or one row a transfer, or the transactions of Open Collective.

    Columns entry, date, account, debit, credit, fund, unit, description, party; or date, debit_account,
    credit_account, amount. The same file twice changes nothing; an import that was interrupted is run again.

    Examples:

    commons import entries journal.csv --dry-run

    commons import entries opencollective.csv --accounts-map opencollective-accounts.csv
    """
    must_exist(file)
    async with operator.database() as pool:
        units = await units_of(pool, book)
        chart = await chart_of(pool, units)
    read: Callable[[], Iterator[EntryRead]]
    if is_opencollective(file):
        accounts = AccountsMap.read(accounts_map) if accounts_map is not None else AccountsMap()
        read = partial(read_opencollective, file, units, accounts)
    elif accounts_map is not None:
        raise Usage(f"--accounts-map is for exports of Open Collective, and {file.name} is none.")
    else:
        read = partial(read_entries, file, units, locale=locale, facts=facts)
    if dry_run:
        return told(operator, await import_entries(file, read, units.book, _unsent, _unsent, dry_run=True))
    async with sending(operator, treasury, file) as (client, progress):

        async def post(data: Mapping[str, Any], id_: str) -> Results:
            reply = await client.send(treasury.service, "PostEntries", data, id=id_)
            return Results(reply.results or (), reply.repeated)

        async def register(data: Mapping[str, Any], id_: str) -> bool:
            reply = await client.send(treasury.service, "RegisterParty", data, id=id_)
            return reply.status == "accepted" and not reply.repeated

        report = await import_entries(file, read, units.book, post, register, progress=progress, chart=chart)
    return told(operator, report)


def _day(moment: datetime | None) -> date | None:
    return moment.date() if moment else None


def _money(option: str, text: str | None, statement: BankStatement, locale: str | None) -> int | None:
    if text is None:
        return None
    try:
        return minor_units(text, statement.decimals, unit=statement.unit, locale=locale)
    except Unreadable as error:
        raise Usage(f"{option}: {error}.", option=option) from None


def _sender(client: CommandClient) -> Any:
    async def send(name: str, data: Mapping[str, Any], id_: str) -> Answered:
        reply = await client.send(treasury.service, name, data, id=id_)
        return Answered(reply.status == "accepted" and not reply.repeated, reply.event or {})

    return send


async def _unsent(*_what: Any) -> Any:
    raise AssertionError("nothing of it is sent")


async def _units(operator: Operator, book: str | None) -> Units:
    async with operator.database() as pool:
        return await units_of(pool, book)


def register(group: typer.Typer) -> None:
    group.command("accounts")(accounts)
    group.command("statement")(statement)
    group.command("entries")(entries)
