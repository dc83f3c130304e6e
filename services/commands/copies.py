"""What the commands that copy a ledger share: where its logs are, and work that a person can watch and break off."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.progress import TaskID

from services.auditor.export import Copied, Progress, export_archive, export_folder, is_archive
from services.auditor.layout import SERVICES, log_folder
from services.auditor.tiles import CHECKPOINT
from services.commands.common import Operator
from services.commands.door import Usage
from services.commands.render import progress_bar
from shared.errors import Invalid, Misconfigured

T = TypeVar("T")

Tiles = Annotated[
    Path | None,
    typer.Option(
        "--tiles", envvar="COMMONS_TILES", metavar="DIR",
        help="The auditor's folder of logs; `tiles` in the folder of `commons up` if left out.",
    ),
]  # fmt: skip


class Interrupted(Exception):
    """The person at the terminal has had enough; what is on disk is whole, and the next run goes on."""


def logs_of(operator: Operator, tiles: Path | None) -> Path:
    """The auditor's folder of logs. Raises Usage where there is none, Invalid where nothing was signed yet."""
    folder = tiles or operator.folder / "tiles"
    if not folder.is_dir():
        raise Usage(
            f"There are no logs to copy: {folder} is no folder. The auditor writes them: start `commons up` (or "
            "`python -m services.auditor.app`) on this ledger and let it sign once, or name its folder with --tiles.",
            folder=str(folder),
        )
    if not any((log_folder(folder, service) / CHECKPOINT).exists() for service in SERVICES):
        raise Invalid(
            f"There is nothing to copy yet: the auditor has signed no checkpoint in {folder}. It does so within a "
            "second of the first event.",
            folder=str(folder),
        )
    return folder


async def watched(work: Callable[[Progress], T]) -> T:
    """Do work in a thread, with a bar for each log; when the command is broken off, the work ends at its next step."""
    stop = threading.Event()
    bar = progress_bar()
    tasks: dict[str, TaskID] = {}

    def show(name: str, done: int, total: int) -> None:
        if stop.is_set():
            raise Interrupted
        if name not in tasks:
            tasks[name] = bar.add_task(name, total=total)
        bar.update(tasks[name], completed=done, total=total)

    with bar:
        try:
            return await asyncio.to_thread(work, show)
        except asyncio.CancelledError:
            stop.set()
            raise


async def export(logs: Path, target: Path) -> list[Copied]:
    """Copy the logs into a folder, or an archive by the target's name. Raises Misconfigured when it is not writable."""
    copy = export_archive if is_archive(target) else export_folder
    try:
        return await watched(lambda progress: copy(logs, target, progress))
    except OSError as error:
        raise unwritten(target, error) from error


def unwritten(target: Path, error: OSError) -> Misconfigured:
    """What a person is told when a file could not be written or read."""
    where = error.filename or target
    return Misconfigured(
        f"{os.fspath(where)!s} cannot be used: {error.strerror or error}. Make room, or name another place, and run it "
        "again: a folder goes on where it stopped.",
        path=str(where),
    )  # fmt: skip


def as_json(copied: list[Copied]) -> list[dict[str, Any]]:
    return [asdict(one) for one in copied]
