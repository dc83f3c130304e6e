"""Waiting until a read model has come as far as an answer says: read what you wrote."""

from __future__ import annotations

import re

from services.commands.common import Operator
from services.commands.door import Usage
from shared.readmodel import wait_for
from shared.store import stream_name


def position(text: str | None, stream: str = stream_name("inventory")) -> tuple[str, int] | None:
    """`17` or `INVENTORY:17` as a stream and a sequence. Raises Usage for anything else."""
    if text is None:
        return None
    found = re.fullmatch(r"(?:([A-Za-z][A-Za-z0-9_]{0,31}):)?(\d{1,15})", text.strip())
    if found is None:
        raise Usage(f"--at-least takes a sequence, as 17 or INVENTORY:17; {text[:60]!r} is none.")
    return (found[1] or stream).upper(), int(found[2])


async def wait_for_model(operator: Operator, model: str, stream: str, sequence: int, *, timeout: float) -> None:
    """Return once a read model shows what an answer says. Raises Behind after `timeout` seconds."""
    async with operator.database() as pool:
        await wait_for(pool, model, stream, sequence, timeout=timeout)
