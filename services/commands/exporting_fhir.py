"""Writing charts as FHIR bulk data into a folder, and telling what was written."""

from __future__ import annotations

from collections.abc import AsyncIterable
from pathlib import Path

import typer

from services.commands.common import Operator
from services.commands.door import Usage
from services.commands.render import emit, progress_bar
from services.fhir.entry import Entry
from services.fhir.ndjson import Exported, export


async def write_charts(operator: Operator, folder: Path, entries: AsyncIterable[Entry]) -> Exported:
    """Writes entries as ndjson, a file for each type of resource. Raises Usage unless the folder is new or empty."""
    _make_empty(folder)
    bar = progress_bar()
    task = bar.add_task("FHIR", total=None)
    with bar:
        done = await export(entries, folder, lambda written: bar.update(task, completed=written))
    if operator.as_json:
        emit({
            "folder": str(folder), "resources": dict(sorted(done.resources.items())),
            "erased": dict(sorted(done.erased.items())), "hidden": dict(sorted(done.hidden.items())),
        })  # fmt: skip
    else:
        typer.echo(_told(folder, done))
    return done


def _make_empty(folder: Path) -> None:
    """A folder that its owner alone may read: what goes into it is in clear."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Usage(f"{folder} is not an empty folder. Name one that is new or empty.", folder=str(folder))
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise Usage(f"{folder} cannot be made: {error.strerror}. Name another folder.", folder=str(folder)) from None


def _told(folder: Path, done: Exported) -> str:
    lines = [f"{name}.ndjson: {number:,}" for name, number in sorted(done.resources.items())]
    left = [
        f"{sum(each.values()):,} {what}" for each, what in ((done.erased, "erased"), (done.hidden, "not shown")) if each
    ]
    total = f"{sum(done.resources.values()):,} resources in {folder}"
    return "\n".join([*lines, total + (f"; left out: {', '.join(left)}." if left else ".")])
