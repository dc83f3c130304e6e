"""`commons export`: what the ledger holds, in the standards of its fields."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Annotated

import typer

from services.clinic.contract import Purpose
from services.commands import export_books, export_ledger
from services.commands.common import Operator, command
from services.commands.door import Usage, new_group
from services.commands.exporting import watched, whole
from services.commands.render import emit
from services.exports.calendar import as_calendar
from services.exports.epcis import Exported
from services.exports.epcis import export as export_epcis
from services.queries.distribution.printing import openings
from shared.clock import utc_now

_DAYS = ["%Y-%m-%d"]


@command
async def epcis(
    operator: Operator,
    since: Annotated[
        datetime | None,
        typer.Option("--from", formats=_DAYS, metavar="DATE", help="Recorded on this day or later, UTC."),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option("--to", formats=_DAYS, metavar="DATE", help="Recorded on this day or earlier, UTC."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--output", "--out", metavar="FILE", help="Write it to FILE, whole or not at all; else to stdout."
        ),
    ] = None,
) -> int | None:
    """Export movements, holds and temperatures as an EPCIS 2.0 document (JSON-LD), from the stream itself.

    Days are those on which events were recorded, so exports of consecutive days together hold every event once.

    Example: commons export epcis --from 2026-11-01 --to 2026-11-30 --out november.jsonld
    """
    first = None if since is None else since.replace(tzinfo=UTC)
    beyond = None if until is None else until.replace(tzinfo=UTC) + timedelta(days=1)
    if first is not None and beyond is not None and first >= beyond:
        raise Usage("--from is after --to.")
    if out is None:
        await _export(operator, sys.stdout.buffer, first, beyond)
        sys.stdout.flush()
        return None
    with whole(out) as file:
        done = await _export(operator, file, first, beyond)
    if operator.as_json:
        emit({"file": str(out), "events": done.events, "until": done.until})
    else:
        typer.echo(f"{done.events:,} EPCIS events in {out}, from the stream up to event {done.until:,}.")
    return None


@command
async def sessions(
    operator: Operator,
    since: Annotated[
        datetime | None,
        typer.Option("--from", formats=_DAYS, metavar="DATE", help="Sessions that end on this day or later, UTC."),
    ] = None,
    programme: Annotated[
        str | None, typer.Option("--programme", metavar="PROGRAMME", help="Of this programme alone.")
    ] = None,
    chapter: Annotated[
        str,
        typer.Option("--chapter", envvar="COMMONS_CHAPTER", metavar="CHAPTER", help="Which organisation's they are."),
    ] = "local",
    out: Annotated[
        Path | None,
        typer.Option(
            "--output", "--out", metavar="FILE", help="Write it to FILE, whole or not at all; else to stdout."
        ),
    ] = None,
) -> int | None:
    """Export sessions as an iCalendar file. A session is the same one in every file, so a calendar updates it.

    Example: commons export sessions --from 2026-11-01 --output sessions.ics
    """
    async with operator.database() as pool:
        found = await openings(pool, since=None if since is None else since.replace(tzinfo=UTC), programme=programme)
    made = as_calendar(found, chapter, utc_now())
    if out is None:
        sys.stdout.buffer.write(made)
        sys.stdout.flush()
        return None
    with whole(out) as file:
        file.write(made)
    if operator.as_json:
        emit({"file": str(out), "sessions": len(found)})
    else:
        typer.echo(f"{len(found):,} sessions in {out}.")
    return None


@command
async def fhir(
    operator: Operator,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new or an empty folder.", show_default=False)],
    purpose: Annotated[
        Purpose | None, typer.Option("--purpose", metavar="PURPOSE", help=f"What for: {', '.join(Purpose)}.")
    ] = None,
) -> int | None:
    """Export charts as FHIR R4: a file of ndjson for each type of resource, as far as charts are opened for your role.

    Each patient's access log says that you read it. What is written is no longer protected by the ledger: the folder is
    for its owner alone. Record with RecordDisclosure to whom it was given.

    Example: commons export fhir charts --purpose patient_request --as osei
    """
    from services.commands.exporting_fhir import export_charts  # it takes a moment to import

    if purpose is None:
        raise Usage(f"Say what the charts are exported for: --purpose {'|'.join(Purpose)}.")
    await export_charts(operator, folder, purpose)
    return None


async def _export(operator: Operator, file: IO[bytes], since: datetime | None, until: datetime | None) -> Exported:
    with watched("EPCIS") as show:
        return await export_epcis(
            operator.address("nats_url"), file, utc_now(), since=since, until=until, progress=show
        )  # fmt: skip


def register(app: typer.Typer) -> None:
    group = new_group(
        "Hand the ledger on, whole or in the standards of its fields: epcis, fhir, sessions, beancount, hledger, csv."
    )
    group.command("epcis")(epcis)
    group.command("fhir")(fhir)
    group.command("sessions")(sessions)
    export_books.register(group)
    export_ledger.register(group)
    app.add_typer(group, name="export")
