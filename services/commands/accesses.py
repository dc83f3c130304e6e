"""Recording who read whose chart, before it is shown; what cannot be recorded now is kept in a file until it can.

The file is `access-queue.jsonl` in the data folder, for its owner alone. Every screen of
the clinic sends what waits first. What the clinic refuses is moved to `access-refused.jsonl`, for a person.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from services.accesses import FAILURES, Access, attempt, read, write
from services.commands.common import Operator
from services.commands.door import Unreachable
from services.local.keys import Keys
from shared.masterkeys import MasterKeys

QUEUE: Final = "access-queue.jsonl"
REFUSED: Final = "access-refused.jsonl"

_AT_ONCE: Final = 50
_SOURCE: Final = "/commons/cli"


def access(operator: Operator, **fields: Any) -> Access:
    """An access of who runs this command, to be sent under an id of its own."""
    name = str(uuid.uuid4())
    return Access(name, operator.who, operator.mandate, {"access": name, "reader": operator.who, **fields})


async def record(operator: Operator, accesses: Sequence[Access]) -> str:
    """Record reads of charts. Never raises for a service that is away: what is not recorded is kept, and sent later.

    Gives a sentence for the reader when something is not recorded yet, or was refused; empty when all is.
    """
    with _locked(operator.folder) as folder:
        masters = _masters(operator)
        waiting = read(folder / QUEUE, masters)
        wanted = [*waiting, *accesses]
        if not wanted:
            return ""
        # On disk before anything is tried: a command that is cut short loses no access.
        write(folder / QUEUE, wanted, masters)
        left, refused = await _send(operator, [one for one in wanted if not one.closed])
        left = [*(one for one in wanted if one.closed), *left]
        if refused:
            write(folder / REFUSED, [*read(folder / REFUSED, masters), *refused], masters)
        write(folder / QUEUE, left, masters)
    said = []
    if left:
        one = len(left) == 1
        said.append(
            f"{len(left):,} {'read of a chart is' if one else 'reads of charts are'} not recorded yet: "
            f"{'it waits' if one else 'they wait'} in {operator.folder / QUEUE}."
        )
    if refused:
        what = "read of a chart was" if len(refused) == 1 else "reads of charts were"
        said.append(f"{len(refused):,} {what} refused: see {operator.folder / REFUSED}.")
    return " ".join(said)


async def _send(operator: Operator, wanted: Sequence[Access]) -> tuple[list[Access], list[Access]]:
    """What was not answered, and what was refused."""
    if not wanted:
        return [], []
    try:
        async with operator.nats() as nc:
            answers = []
            for start in range(0, len(wanted), _AT_ONCE):
                part = wanted[start : start + _AT_ONCE]
                answers += await asyncio.gather(*(attempt(nc, access, _SOURCE, operator.tokens) for access in part))
                if answers[-1] is None:  # nobody answers: the rest is not tried, and the reader does not wait for it
                    break
    except (*FAILURES, Unreachable):
        return list(wanted), []
    answers += [None] * (len(wanted) - len(answers))
    both = list(zip(wanted, answers, strict=True))
    return [one for one, answer in both if answer is None], [one for one, answer in both if answer is False]


# -- the files --------------------------------------------------------------------------------------------------------


@contextmanager
def _locked(folder: Path) -> Iterator[Path]:
    """One command at a time looks after the files. Raises Unreachable when the folder cannot be written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / f"{QUEUE}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Unreachable(
            f"No chart is shown: reads of it could not be kept in {folder} ({error.strerror}). Name a folder that you "
            "may write to with --data."
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
    finally:
        os.close(lock)


def _masters(operator: Operator) -> MasterKeys | None:
    return Keys(operator.folder / "keys").masters()
