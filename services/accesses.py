"""Reads of charts on their way into the access log: RecordAccess commands, and the files in which they wait.

A line of a file is one RecordAccess with the id under which it is sent, so that it is recorded once however often it is
sent. A reason is wrapped under the master key; a line whose reason cannot be unwrapped here waits for who can.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import nats.errors
from nats.aio.client import Client

from services.clinic.contract import ClinicError, clinic
from shared.actorkeys import Authtype
from shared.actors import Tokens
from shared.client import CommandClient
from shared.errors import CommandIdReused, Erased, Invalid, LedgerError, TooLarge
from shared.masterkeys import MasterKeys
from shared.message import Refused

_PATIENCE: Final = 3.0
FAILURES: Final = (LedgerError, nats.errors.Error, OSError, TimeoutError)
"""What may be over at the next try."""

_AHEAD: Final = ClinicError.OCCURRED_IN_FUTURE
_FINAL: Final = {*ClinicError, Invalid.code, TooLarge.code, CommandIdReused.code, Erased.code} - {_AHEAD}
"""Refusals that the same command would meet again; after any other it is sent again."""

_UNDATED: Final = uuid.UUID("0f1f7f0c-9f0b-5d0e-8a55-2f3b5f1f6a11")
"""Names the commands that are sent again without their moment."""


@dataclass(frozen=True, slots=True)
class Access:
    """One RecordAccess on its way: the command's id, who acts, under which grant, and its fields."""

    id: str
    actor: str
    mandate: str | None
    data: dict[str, Any]

    @property
    def closed(self) -> bool:
        """Whether its reason is wrapped under a master key that is not at hand: it cannot be sent from here."""
        return isinstance(self.data.get("reason"), dict)


async def attempt(
    nc: Client, access: Access, source: str, tokens: Tokens | None, authtype: Authtype = "user"
) -> bool | None:
    """Whether it was recorded; None when that is not known, or it cannot be sent yet, and is to be sent again.

    By a clock that is ahead of the clinic's it was read in the future: such a read is recorded at once, at the moment
    that the clinic takes it. `tokens` show who acts; an access of somebody of whom there is none waits.
    """
    if access.closed:
        return None
    client = CommandClient(
        nc, actor=access.actor, authtype=authtype, source=source, mandate=access.mandate, timeout=_PATIENCE,
        patience=_PATIENCE, tokens=tokens,
    )  # fmt: skip
    taken = await _sent(client, access.data, access.id)
    if not isinstance(taken, str):
        return taken
    undated = {name: value for name, value in access.data.items() if name != "occurred_at"}
    # An id of its own: under the first one other content would be refused, should the answer be lost.
    again = await _sent(client, undated, str(uuid.uuid5(_UNDATED, access.id)))
    return again if isinstance(again, bool) else None


async def _sent(client: CommandClient, data: dict[str, Any], id: str) -> bool | str | None:
    """Whether it was recorded; `_AHEAD` when its moment is yet to come, None when it is to be sent again."""
    try:
        await client.send(clinic.service, "RecordAccess", data, id=id)
    except Refused as error:
        return _AHEAD if error.code == _AHEAD else False if error.code in _FINAL else None
    except FAILURES:
        return None
    return True


# -- the files --------------------------------------------------------------------------------------------------------


def read(path: Path, masters: MasterKeys | None) -> list[Access]:
    """The accesses that wait in a file, which need not be there."""
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return []
    return [_unwrapped(json.loads(line), masters) for line in lines if line.strip()]


def write(path: Path, accesses: Sequence[Access], masters: MasterKeys | None) -> None:
    """Put these in the place of what the file held; it is whole, the old or the new, and for its owner alone."""
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
        with suppress(LedgerError):
            data["reason"] = masters.unwrap(reason["master"], reason["box"], line["id"]).decode()
    return Access(line["id"], line["actor"], line["mandate"], data)
