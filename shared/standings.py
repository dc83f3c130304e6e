"""What a stream says of erasures: who is to be erased and locked, and who is erased.

The last event of each erasure says how far it has come (erasure.py). It is read before keys are used, so a
keyring that was put back from an older copy, in one place or in both, brings nobody back whom the stream knows to be
erased. Nothing of the service but its name is needed for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec
import nats.errors
import nats.js.errors
from nats.aio.client import Client

from shared.erasure import CATEGORY, Stage
from shared.errors import Busy, Corrupt
from shared.held import held
from shared.store import stream_name

_FAILURES: Final = (nats.errors.Error, nats.js.errors.APIError, OSError, TimeoutError)


class _About(msgspec.Struct):
    kind: str
    person: str
    stage: Stage


class _Event(msgspec.Struct):
    time: str
    data: _About


_decode: Final = msgspec.json.Decoder(_Event).decode


@dataclass(frozen=True, slots=True)
class Standing:
    """How far an erasure has come, and when that was recorded."""

    stage: Stage
    at: str


async def standings(nc: Client, service: str) -> dict[str, Standing]:
    """Every owner of a key about whose erasure a service's stream says something, as of the moment it is asked.

    Nothing when there is no stream. Raises Busy when it cannot be read, and Corrupt when an event of it cannot be.
    """
    found: dict[str, Standing] = {}
    try:
        async for message in held(nc, stream_name(service), subject=f"ledger.{service}.{CATEGORY}.>", last=True):
            event = _read(message.subject, message.data)
            found[f"{event.data.kind}/{event.data.person}"] = Standing(event.data.stage, event.time)
    except nats.js.errors.NotFoundError:
        return {}
    except _FAILURES as error:
        raise Busy(f"What is erased in {service} could not be read: {str(error) or type(error).__name__}.") from error
    return found


def _read(subject: str, raw: bytes) -> _Event:
    try:
        event = _decode(raw)
    except msgspec.DecodeError as error:
        raise Corrupt(f"The last event of {subject} is not one of an erasure: {error}.", subject=subject) from error
    if not subject.endswith(f".{event.data.kind}:{event.data.person}"):
        raise Corrupt(f"The last event of {subject} is about another person.", subject=subject)
    return event
