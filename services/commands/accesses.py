"""Recording who read whose chart, before it is shown; what cannot be recorded now is kept in a file until it can.

The file is `access-queue.jsonl` in the data folder, for its owner alone. A line is one RecordAccess with the id under
which it is sent, so that it is recorded once however often it is sent. A reason is wrapped under the master key. Every
screen of the clinic sends what waits first. What the clinic refuses is moved to `access-refused.jsonl`, for a person.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import nats.errors
from nats.aio.client import Client

from services.clinic.contract import ClinicError, clinic
from services.commands.common import Operator
from services.commands.door import Unreachable
from services.local.keys import Keys
from shared.client import CommandClient
from shared.errors import CommandIdReused, Erased, Invalid, LedgerError, TooLarge
from shared.masterkeys import MasterKeys
from shared.message import Refused

QUEUE: Final = "access-queue.jsonl"
REFUSED: Final = "access-refused.jsonl"

_PATIENCE: Final = 3.0
_AT_ONCE: Final = 50
_FAILURES: Final = (LedgerError, Unreachable, nats.errors.Error, OSError, TimeoutError)
_FINAL: Final = {*ClinicError, Invalid.code, TooLarge.code, CommandIdReused.code, Erased.code}
"""Refusals that the same command would meet again; after any other it is sent again."""


@dataclass(frozen=True, slots=True)
class Access:
    """One RecordAccess on its way: the command's id, who acts, under which grant, and its fields."""

    id: str
    actor: str
    mandate: str | None
    data: dict[str, Any]


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
        waiting = _read(folder / QUEUE, masters)
        wanted = [*waiting, *accesses]
        if not wanted:
            return ""
        # On disk before anything is tried: a command that is cut short loses no access.
        _write(folder / QUEUE, wanted, masters)
        left, refused = await _send(operator, wanted)
        if refused:
            _write(folder / REFUSED, [*_read(folder / REFUSED, masters), *refused], masters)
        _write(folder / QUEUE, left, masters)
    said = []
    if left:
        said.append(f"{len(left):,} reads of charts are not recorded yet: they wait in {operator.folder / QUEUE}.")
    if refused:
        said.append(f"{len(refused):,} reads of charts were refused: see {operator.folder / REFUSED}.")
    return " ".join(said)


async def _send(operator: Operator, wanted: Sequence[Access]) -> tuple[list[Access], list[Access]]:
    """What was not answered, and what was refused."""
    try:
        async with operator.nats() as nc:
            answers = []
            for start in range(0, len(wanted), _AT_ONCE):
                part = wanted[start : start + _AT_ONCE]
                answers += await asyncio.gather(*(_one(nc, access) for access in part))
                if answers[-1] is None:  # nobody answers: the rest is not tried, and the reader does not wait for it
                    break
    except _FAILURES:
        return list(wanted), []
    answers += [None] * (len(wanted) - len(answers))
    both = list(zip(wanted, answers, strict=True))
    return [one for one, answer in both if answer is None], [one for one, answer in both if answer is False]


async def _one(nc: Client, access: Access) -> bool | None:
    """Whether it was recorded; None when that is not known."""
    client = CommandClient(
        nc, actor=access.actor, source="/commons/cli", mandate=access.mandate, timeout=_PATIENCE, patience=_PATIENCE
    )
    try:
        await client.send(clinic.service, "RecordAccess", access.data, id=access.id)
    except Refused as error:
        return False if error.code in _FINAL else None
    except _FAILURES:
        return None
    return True


# -- the file ---------------------------------------------------------------------------------------------------------


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


def _read(path: Path, masters: MasterKeys | None) -> list[Access]:
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return []
    return [_unwrapped(json.loads(line), masters) for line in lines if line.strip()]


def _write(path: Path, accesses: Sequence[Access], masters: MasterKeys | None) -> None:
    """Put these in the place of what the file held; it is whole, the old or the new."""
    if not accesses:
        path.unlink(missing_ok=True)
        return
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "w") as file:
        for access in accesses:
            file.write(json.dumps(_wrapped(access, masters)) + "\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _wrapped(access: Access, masters: MasterKeys | None) -> dict[str, Any]:
    data = dict(access.data)
    reason = data.get("reason")
    if isinstance(reason, str) and masters is not None:
        data["reason"] = {"master": masters.current, "box": masters.wrap(reason.encode(), access.id)}
    return {"id": access.id, "actor": access.actor, "mandate": access.mandate, "data": data}


def _unwrapped(line: dict[str, Any], masters: MasterKeys | None) -> Access:
    data = line["data"]
    reason = data.get("reason")
    if isinstance(reason, dict) and masters is not None:
        data["reason"] = masters.unwrap(reason["master"], reason["box"], line["id"]).decode()
    return Access(line["id"], line["actor"], line["mandate"], data)
