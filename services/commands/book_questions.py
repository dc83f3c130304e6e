"""What the commands of `commons show` about money share: their options, asking of a book, and of both services."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Final, Literal

import asyncpg
import typer

from services.commands.answers import Form, as_json, write
from services.commands.common import Operator
from services.commands.door import OK, Usage
from services.commands.opening import NotOpened, opened
from services.commands.questions import form_of
from services.commands.render import console, emit
from services.commands.waiting import position
from services.queries import QueryResult
from services.queries.answer import Position
from services.queries.treasury.book import STREAM, NoBook, WhichBook

AskBook = Callable[[asyncpg.Pool, Position | None], Awaitable[QueryResult]]
"""A question that is answered at a position or later."""

Of = Literal["stock", "distribution", "money", "clinic"]

_STREAMS: Final[Mapping[Of, str]] = {
    "stock": "INVENTORY",
    "distribution": "DISTRIBUTION",
    "money": STREAM,
    "clinic": "CLINIC",
}

Book = Annotated[str | None, typer.Option("--book", metavar="BOOK", help="The book; needed when there are several.")]
AsOf = Annotated[str | None, typer.Option("--as-of", metavar="DATE", help="As of the end of this day; else today.")]
Recorded = Annotated[
    str | None,
    typer.Option("--recorded", metavar="TIME", help="Only what was recorded by then: 2026-11-20T09:30:00Z, or a day."),
]
First = Annotated[str | None, typer.Option("--from", metavar="DATE", help="From this day on.")]
Last = Annotated[str | None, typer.Option("--to", metavar="DATE", help="Up to and with this day.")]
Member = Annotated[str | None, typer.Option("--member", metavar="PARTY", help="Only this member.")]
Donor = Annotated[str | None, typer.Option("--donor", metavar="PARTY", help="Only this donor.")]
OfWhat = Annotated[
    Of | None,
    typer.Option("--of", help="Only those of stock, distribution, money or clinic; all if left out. CSV needs one."),
]
AtLeast = Annotated[
    str | None,
    typer.Option("--at-least", metavar="SEQUENCE", help="Wait until the read model shows this event: 17, TREASURY:17."),
]


async def show_book(operator: Operator, ask: AskBook, *, csv: bool, at_least: str | None) -> int:
    """Ask a question about money and write the answer."""
    form = form_of(operator, csv)
    wanted = position(at_least, STREAM)
    async with operator.database() as pool:
        found = await opened(operator, await ask(pool, wanted))
    write(found, form)
    return OK


async def show_each(
    operator: Operator, questions: Mapping[Of, AskBook], *, of: Of | None, csv: bool, at_least: str | None,
    told: Mapping[Of, Callable[[QueryResult], QueryResult]] | None = None,
) -> int:  # fmt: skip
    """Ask one question of several services, and write all answers, or the one that is wanted.

    In JSON all are one object with `stock`, `distribution`, `money` and `clinic`; CSV has room for one. Without a book,
    or with several of which none is named, there is no money; who may not read what is clinical is shown none of it.
    `told` puts into words what was sealed in an answer.
    """
    form = form_of(operator, csv)
    if form is Form.CSV and of is None:
        raise Usage(f"CSV has room for one table: say --of {' or --of '.join(questions)}.")
    if of is not None and of not in questions:
        raise Usage(f"Nothing of {of} is listed here: say --of {' or --of '.join(questions)}.")
    wanted = position(at_least)
    answers: dict[Of, QueryResult] = {}
    async with operator.database() as pool:
        for name, ask in questions.items():
            if of is not None and name != of:
                continue
            at = wanted if wanted is not None and wanted[0] == _STREAMS[name] else None
            try:
                found = await opened(operator, await ask(pool, at))
                answers[name] = told[name](found) if told is not None and name in told else found
            except asyncpg.InsufficientPrivilegeError:
                if of is not None:
                    raise
                sys.stderr.write(f"Of {name} nothing is shown: this login may not read it.\n")
            except NotOpened as error:
                if of is not None:
                    raise
                sys.stderr.write(f"Of {name} nothing is shown. {error.detail}\n")
            except NoBook:
                if of == "money":
                    raise
            except WhichBook as error:
                if of == "money":
                    raise
                sys.stderr.write(f"Of money nothing is shown. {error.detail}\n")
    if form is Form.JSON and of is None:
        emit({name: as_json(found) for name, found in answers.items()})
        return OK
    for number, (name, found) in enumerate(answers.items()):
        if number:
            console().print()
        if of is None:
            console().print(name.capitalize(), style="bold")
        write(found, form)
    return OK
