"""Waiting until a read model has come as far as an answer says: read what you wrote."""

from __future__ import annotations

import asyncio
import re

import asyncpg

from services.commands.common import Operator
from services.commands.door import Usage
from shared.errors import OutcomeUnknown
from shared.store import stream_name
from shared.tables import CHANNEL

_POSITION = (
    "SELECT c.sequence FROM commons.generation g JOIN commons.checkpoint c USING (projection, generation)"
    " WHERE g.projection = $1 AND g.state = 'live' AND c.stream = $2"
)
_ASK_AGAIN_SECONDS = 1.0


def position(text: str | None, stream: str = stream_name("inventory")) -> tuple[str, int] | None:
    """`17` or `INVENTORY:17` as a stream and a sequence. Raises Usage for anything else."""
    if text is None:
        return None
    found = re.fullmatch(r"(?:([A-Za-z][A-Za-z0-9_]{0,31}):)?(\d{1,15})", text.strip())
    if found is None:
        raise Usage(f"--at-least takes a sequence, as 17 or INVENTORY:17; {text[:60]!r} is none.")
    return (found[1] or stream).upper(), int(found[2])


async def wait_for(connection: asyncpg.Connection, model: str, stream: str, sequence: int, *, timeout: float) -> None:
    """Return once the live version of a read model has folded a stream up to a sequence.

    Raises Usage when there is no such read model, OutcomeUnknown when it has not come so far in `timeout` seconds.
    """
    moved = asyncio.Event()
    deadline = asyncio.get_running_loop().time() + timeout

    def told(_connection: object, _pid: int, _channel: str, payload: object) -> None:
        if str(payload).partition(" ")[0] == model:
            moved.set()

    await connection.add_listener(CHANNEL, told)
    try:
        while True:
            moved.clear()
            at = await connection.fetchval(_POSITION, model, stream)
            if at is not None and at >= sequence:
                return
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                raise await _late(connection, model, stream, sequence, at, timeout)
            try:
                await asyncio.wait_for(moved.wait(), min(left, _ASK_AGAIN_SECONDS))
            except TimeoutError:
                continue
    finally:
        await connection.remove_listener(CHANNEL, told)


async def _late(
    connection: asyncpg.Connection, model: str, stream: str, sequence: int, at: int | None, timeout: float
) -> Usage | OutcomeUnknown:
    found = await connection.fetch("SELECT DISTINCT projection FROM commons.generation")
    known: list[str] = [row["projection"] for row in found]
    if model not in known:
        return Usage(f"There is no read model {model[:60]!r}. There is: {', '.join(sorted(known)) or 'none yet'}.")
    where = "has no live version that reads it" if at is None else f"has come to {at:,}"
    return OutcomeUnknown(
        f"Read model {model} did not show {stream} {sequence:,} within {timeout:g} s; it {where}. The event is safe. "
        "`commons status` shows what holds the read model up.",
        stream=stream, sequence=sequence,
    )  # fmt: skip


async def wait_for_model(operator: Operator, model: str, stream: str, sequence: int, *, timeout: float) -> None:
    """The same, on a connection of its own."""
    async with operator.database() as connection:
        await wait_for(connection, model, stream, sequence, timeout=timeout)
