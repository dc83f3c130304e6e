"""The halt that stops every writer of the ledger, and what an auditor last signed: the JetStream bucket `AUDIT`.

Whoever finds that the ledger was changed writes the key `halt`; every committer watches it and writes nothing until a
person has lifted it (`commons resume`). `checkpoint.<service>` tells how many events of a stream are under a signed
checkpoint: a stream that ends before them has lost its tail. A bucket that is not there stops nobody.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import msgspec
import nats.errors
import nats.js.errors
import structlog
from nats.aio.client import Client
from nats.aio.subscription import Subscription
from nats.js.kv import KeyValue

from shared.connection import api_of
from shared.errors import Busy, Halted, LedgerError, OutcomeUnknown
from shared.held import bucket, held
from shared.tasks import end

BUCKET: Final = "AUDIT"

POLL_SECONDS: Final = 1.0
"""How often the bucket is looked at where no news came: a lost connection may have swallowed it."""

_HISTORY: Final = 64
_TIMEOUT: Final = 5.0
_STREAM: Final = f"KV_{BUCKET}"
_HALT: Final = "halt"
_HINT_PAUSES: Final = (0.0, 0.01, 0.03, 0.1, 0.3)
_NOT_THERE: Final = frozenset({10059, 10037})  # no such stream, no such message
_FAILURES: Final = (nats.errors.Error, nats.js.errors.APIError, OSError, TimeoutError)

log = structlog.get_logger(__name__)


class Halt(msgspec.Struct, frozen=True, kw_only=True):
    """What the key `halt` holds. `halted` is false once it was lifted; then `reason`, `at` and `by` are the lifting's.

    `at` is a time in UTC as ISO 8601; `sequence` is where in `stream` something was found, 0 when it is no one event.
    """

    halted: bool
    reason: str
    at: str
    by: str
    stream: str = ""
    sequence: int = 0

    def error(self) -> Halted:
        """The refusal that every command gets."""
        where = (
            f" ({self.stream} at {self.sequence:,})" if self.sequence else f" ({self.stream})" if self.stream else ""
        )
        return Halted(
            f"Writing was halted at {self.at} by {self.by}{where}: {self.reason.rstrip('.')}. Nothing more is written. "
            "Run `commons verify`, mend what it finds, then lift the halt with `commons resume`.",
            stream=self.stream, sequence=self.sequence, at=self.at, by=self.by,
        )  # fmt: skip


class Checkpointed(msgspec.Struct, frozen=True, kw_only=True):
    """What the key `checkpoint.<service>` holds: the last checkpoint that was published, its root in base64."""

    size: int
    root: str
    at: str
    cosigned: int = 0
    """By how many witnesses."""

    witnesses: int = 0
    """How many were asked."""


async def read(nc: Client) -> Halt | None:
    """The halt as it stands, or as it was lifted last; None when there never was one.

    Raises OutcomeUnknown when NATS does not answer.
    """
    raw = await _newest(nc, _HALT)
    if raw is None:
        return None
    return _halt_of(raw)


async def put(nc: Client, halt: Halt) -> Halt:
    """Set a halt, and give the one that stands: the first one stays. Raises Busy when it cannot be written."""
    try:
        standing = await read(nc)
        if standing is not None and standing.halted:
            return standing
        await (await make_bucket(nc)).put(_HALT, msgspec.json.encode(halt))
    except (*_FAILURES, OutcomeUnknown) as error:
        raise Busy(f"The halt could not be written to NATS: {str(error) or type(error).__name__}.") from error
    return halt


async def lift(nc: Client, *, reason: str, by: str, at: str) -> Halt | None:
    """Lift the halt, and give the one that stood; None when the bucket has none. The bucket keeps who did so and why.

    The lifting is written in any case: whoever saw a halt stays halted when the bucket vanishes, until there is one.
    Raises Busy when it cannot be written.
    """
    try:
        standing = await read(nc)
        if standing is None or not standing.halted:
            standing = None
        stream, sequence = ("", 0) if standing is None else (standing.stream, standing.sequence)
        lifted = Halt(halted=False, reason=reason, at=at, by=by, stream=stream, sequence=sequence)
        await (await make_bucket(nc)).put(_HALT, msgspec.json.encode(lifted))
    except (*_FAILURES, OutcomeUnknown) as error:
        raise Busy(f"The halt could not be lifted in NATS: {str(error) or type(error).__name__}.") from error
    return standing


async def history(nc: Client) -> list[Halt]:
    """The last halts and liftings, the oldest first."""
    try:
        return [_halt_of(m.data) async for m in held(nc, _STREAM, subject=f"$KV.{BUCKET}.{_HALT}") if m.data]
    except nats.js.errors.NotFoundError:
        return []


async def publish_checkpoint(nc: Client, service: str, checkpoint: Checkpointed) -> None:
    """Tell every writer what was signed. Raises Busy when it cannot be written."""
    try:
        await (await make_bucket(nc)).put(f"checkpoint.{service}", msgspec.json.encode(checkpoint))
    except _FAILURES as error:
        raise Busy(f"The checkpoint could not be written to NATS: {str(error) or type(error).__name__}.") from error


async def checkpoint_of(nc: Client, service: str) -> Checkpointed | None:
    """The last checkpoint of a service's stream; None without one that can be read. Raises OutcomeUnknown."""
    raw = await _newest(nc, f"checkpoint.{service}")
    if raw is None:
        return None
    try:
        return msgspec.json.decode(raw, type=Checkpointed)
    except (msgspec.MsgspecError, ValueError) as error:  # ValueError: it is not UTF-8
        log.warning("the checkpoint in NATS cannot be read", service=service, reason=str(error))
        return None


async def checkpointed(nc: Client, service: str) -> int:
    """How many events of a service's stream are under a signed checkpoint; 0 without an auditor."""
    found = await checkpoint_of(nc, service)
    return 0 if found is None else found.size


class HaltWatch:
    """Calls `changed` with every halt, and with None when it is lifted, for as long as it runs.

    The news comes at once; the bucket itself is looked at then, and once a second in any case, so nothing is missed
    that happened while there was no connection. A bucket that vanishes lifts nothing, and nothing that fails ends it.
    """

    def __init__(self, nc: Client, changed: Callable[[Halt | None], None]) -> None:
        self._nc = nc
        self._changed = changed
        self._last: Halt | None = None
        self._looking = asyncio.Lock()
        self._hinted = asyncio.Event()
        self._subscription: Subscription | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Look once, then watch. Raises OutcomeUnknown when NATS does not answer."""

        async def hint(_: Any) -> None:
            self._hinted.set()

        self._subscription = await self._nc.subscribe(f"$KV.{BUCKET}.{_HALT}", cb=hint)
        await self.look()
        self._task = asyncio.create_task(self._run(), name="halt")

    async def stop(self) -> None:
        if self._task is not None:
            await end([self._task])
        if self._subscription is not None:
            with suppress(nats.errors.Error):
                await self._subscription.unsubscribe()

    async def look(self) -> bool:
        """Look at the bucket now, and say whether there was news. Raises OutcomeUnknown when NATS does not answer."""
        async with self._looking:
            found = await read(self._nc)
            if found is None or found == self._last:
                return False
            self._last = found
            self._changed(found if found.halted else None)
            return True

    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._hinted.wait(), POLL_SECONDS)
            # The news is given out before it is stored: what is there may still be the old.
            pauses = _HINT_PAUSES if self._hinted.is_set() else (0.0,)
            self._hinted.clear()
            for pause in pauses:
                await asyncio.sleep(pause)
                try:
                    if await self.look():
                        break
                except LedgerError as error:
                    log.debug("the halt could not be looked at", reason=error.detail)
                    break
                except Exception:
                    log.exception("the halt could not be looked at")
                    break


def _halt_of(raw: bytes) -> Halt:
    try:
        return msgspec.json.decode(raw, type=Halt)
    except (msgspec.MsgspecError, ValueError) as error:  # somebody wrote it; what it means is for a person to say
        return Halt(halted=True, reason=f"the halt of the bucket {BUCKET} cannot be read: {error}", at="?", by="?")


async def _newest(nc: Client, key: str) -> bytes | None:
    """A key's value as the leader of the bucket has it; None when the key or the bucket is not there."""
    body = json.dumps({"last_by_subj": f"$KV.{BUCKET}.{key}"}).encode()
    try:
        reply = await nc.request(f"{api_of(nc)}.STREAM.MSG.GET.{_STREAM}", body, timeout=_TIMEOUT)
    except _FAILURES as error:
        raise OutcomeUnknown(f"The bucket {BUCKET} did not answer: {str(error) or type(error).__name__}.") from error
    answer = json.loads(reply.data)
    if refusal := answer.get("error"):
        if refusal.get("err_code") in _NOT_THERE:
            return None
        raise OutcomeUnknown(f"The bucket {BUCKET} did not answer: {refusal.get('description')}.")
    return base64.b64decode(answer["message"].get("data", "")) or None


async def make_bucket(nc: Client, *, replicas: int = 1) -> KeyValue:
    """The bucket, made if it is not there. Raises NATS's own errors."""
    return await bucket(nc, BUCKET, history=_HISTORY, replicas=replicas)
