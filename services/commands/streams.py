"""What NATS says of the streams of the ledger, as far as this process's user may ask."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

from nats.aio.client import Client

from services.commands.contracts import CONTRACTS
from shared.connection import api_of
from shared.errors import Denied, OutcomeUnknown
from shared.store import stream_name

_SECONDS: Final = 5.0
_NOT_THERE: Final = 10059


async def streams(nc: Client) -> dict[str, dict[str, Any] | None]:
    """Configuration and state of each service's stream by its name; None when there is no such stream.

    Those of which the user may know nothing are left out. Raises OutcomeUnknown, and NATS's own errors.
    """
    names = [stream_name(service) for service in CONTRACTS]
    found = await asyncio.gather(*(_info(nc, name) for name in names))
    return {name: one for name, (may, one) in zip(names, found, strict=True) if may}


async def _info(nc: Client, stream: str) -> tuple[bool, dict[str, Any] | None]:
    try:
        reply = await nc.request(f"{api_of(nc)}.STREAM.INFO.{stream}", b"", timeout=_SECONDS)
    except Denied:
        return False, None
    found: dict[str, Any] = json.loads(reply.data)
    if error := found.get("error"):
        if error.get("err_code") == _NOT_THERE:
            return True, None
        raise OutcomeUnknown(f"The stream {stream} did not answer: {error.get('description')}.")
    return True, found
