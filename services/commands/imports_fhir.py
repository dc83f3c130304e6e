"""`commons import fhir`: records of patients from another system, as FHIR R4."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from services.commands.common import Operator, command
from services.commands.door import OK, REFUSED, UNREACHABLE, Usage
from services.commands.importing import DryRun, Sender, must_exist, sending
from services.commands.render import emit

if TYPE_CHECKING:
    from services.imports.fhir.report import Report

_ORIGIN: Final = re.compile(r"[^|\x00-\x1f\x7f-\x9f\s]([^|\x00-\x1f\x7f-\x9f]{0,98}[^|\x00-\x1f\x7f-\x9f\s])?")

Files = Annotated[list[Path], typer.Argument(metavar="FILE…", help="The files to read.", show_default=False)]


@command
async def fhir(
    operator: Operator,
    files: Files,
    origin: Annotated[
        str,
        typer.Option(
            "--from", metavar="SYSTEM", show_default=False, help="The system that the files are from, by its name or "
            "FHIR address. The same ids from another system are other people's.",
        ),
    ],
    dry_run: DryRun = False,
    concurrency: Annotated[
        int, typer.Option("--concurrency", metavar="N", min=1, max=1024, help="Commands that may be under way at once.")
    ] = 64,
) -> int | None:  # fmt: skip
    """Import patients' records from FHIR R4: ndjson with a resource a line, or Bundles.

    Name all files of an export at once: what is said of a patient who is in none of them is refused. What is not
    understood is listed, and the figures of the report add up. The same files twice change nothing.

    Example: commons import fhir *.ndjson --from "County Hospital" --as dr-lee --dry-run
    """
    from services.clinic.contract import clinic  # they take a second to import, which other imports are spared
    from services.imports.fhir.run import run

    if _ORIGIN.fullmatch(origin) is None:
        raise Usage("--from is a name or an address of at most 100 characters, without a bar.")
    for file in files:
        must_exist(file)
    if dry_run:
        return _told(operator, await run(files, origin, _nothing, dry_run=True))
    what = files[0] if len(files) == 1 else Path(f"{len(files)} files")
    async with sending(operator, clinic, what) as (client, progress):
        sender = Sender(client, clinic)
        return _told(operator, await run(files, origin, sender, concurrency=concurrency, progress=progress))


def _told(operator: Operator, report: Report) -> int:
    if operator.as_json:
        emit(report.as_json())
    else:
        typer.echo(report.as_text(), nl=False)
    return UNREACHABLE if report.stopped is not None else OK if report.ok else REFUSED


async def _nothing(_name: str, _data: Mapping[str, Any], _id: str) -> Literal["accepted", "unchanged"]:
    raise AssertionError("a dry run sends nothing")


def register(group: typer.Typer) -> None:
    group.command("fhir")(fhir)
