"""What every `commons export` shares: a file that is whole or not there, and a bar that shows how far it is."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from rich.progress import TaskID

from services.commands.door import Usage
from services.commands.render import progress_bar


@contextmanager
def watched(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar that shows how far an export is, told how many events were read, of how many."""
    bar = progress_bar()
    task: list[TaskID] = []

    def show(done: int, total: int) -> None:
        if not task:
            task.append(bar.add_task(what, total=total))
        bar.update(task[0], completed=done)

    with bar:
        yield show


@contextmanager
def whole(path: Path) -> Iterator[IO[bytes]]:
    """A file that appears under its name when all of it is written, and otherwise not at all.

    Raises Usage when no file of that name can be written.
    """
    if path.is_dir():
        raise Usage(
            f"{path} is a folder. Name the file that is to be written, such as {path / 'export'}.", file=str(path)
        )
    if not path.parent.is_dir():
        raise Usage(
            f"{path.parent} is no folder, so {path.name} cannot be written there. Make the folder first.",
            file=str(path),
        )
    try:
        opened = tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False)  # noqa: SIM115
    except OSError as error:
        raise Usage(f"{path} cannot be written: {error.strerror}. Name another file.", file=str(path)) from None
    unfinished = Path(opened.name)
    try:
        with opened as file:
            yield file
        unfinished.chmod(0o644)
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
