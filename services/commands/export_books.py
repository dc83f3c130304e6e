"""`commons export beancount|hledger|csv`: a book, for the tools of accountants."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import IO, Annotated, Any, Final

import typer

from services.commands.common import Operator, command
from services.commands.door import Usage
from services.commands.exporting import watched, whole
from services.commands.opening import names_of
from services.commands.render import emit
from services.exports.journal import Exported, Form, export
from services.treasury.contract import treasury

_DAYS = ["%Y-%m-%d"]

_ABOUT: Final = {
    Form.BEANCOUNT: (
        "Export a book for beancount 3 and Fava; `bean-check` accepts it.",
        "Funds are metadata of postings: SELECT account, sum(number) WHERE meta('fund') = 'youth' GROUP BY account",
        "beancount",
    ),
    Form.HLEDGER: (
        "Export a book as an hledger journal; `hledger check --strict` accepts it.",
        "Funds are tags of postings: hledger balance tag:fund=youth",
        "journal",
    ),
    Form.CSV: (
        "Export a book as CSV, one row a posting.",
        "Texts that a spreadsheet would take for a formula have an apostrophe in front.",
        "csv",
    ),
}


def _command(form: Form) -> Callable[..., int | None]:
    purpose, more, ending = _ABOUT[form]

    async def work(
        operator: Operator,
        book: Annotated[
            str | None, typer.Option("--book", metavar="BOOK", help="The book's id; the only one if left out.")
        ] = None,
        since: Annotated[
            datetime | None,
            typer.Option(
                "--from",
                formats=_DAYS,
                metavar="DATE",
                help="Dated on this day or later, balances before in one entry.",
            ),
        ] = None,
        until: Annotated[
            datetime | None, typer.Option("--to", formats=_DAYS, metavar="DATE", help="Dated on this day or earlier.")
        ] = None,
        with_names: Annotated[
            bool, typer.Option("--with-names", help="Name donors, members and payees; else they are opaque ids.")
        ] = False,
        out: Annotated[
            Path | None,
            typer.Option(
                "--output", "--out", metavar="FILE", help="Write it to FILE, whole or not at all; else to stdout."
            ),
        ] = None,
    ) -> int | None:
        first, last = since.date() if since else None, until.date() if until else None
        if first is not None and last is not None and first > last:
            raise Usage("--from is after --to.")
        if out is None:
            await _export(operator, sys.stdout.buffer, form, book, first, last, with_names)
            sys.stdout.flush()
            return None
        with whole(out) as file:
            done = await _export(operator, file, form, book, first, last, with_names)
        if operator.as_json:
            emit({"file": str(out), "book": done.book, "entries": done.entries, "until": done.until})
        else:
            typer.echo(f"{done.entries:,} entries of {done.book} in {out}, from the stream up to event {done.until:,}.")
        return None

    work.__doc__ = f"{purpose}\n\n{more}\n\nExample: commons export {form} --to 2026-12-31 --output books.{ending}"
    return command(work)


async def _export(
    operator: Operator, file: IO[bytes], form: Form, book: str | None, since: date | None, until: date | None,
    with_names: bool,
) -> Exported:  # fmt: skip
    async def names(sealed: Mapping[str, str]) -> Mapping[str, str]:
        return await names_of(operator, treasury.service, sealed)

    with watched(form) as show:
        return await export(
            operator.address("nats_url"), file, form, book=book, since=since, until=until,
            names=names if with_names else None, progress=show,
        )  # fmt: skip


def register(group: Any) -> None:
    for form in Form:
        group.command(form.value)(_command(form))
