"""Recording what is read through the API: before it is given, or kept in a file until the clinic takes it.

The file is `fhir-access-queue.jsonl` in the folder that COMMONS_FHIR_QUEUE names, for its owner alone; it is this
process's own. services/accesses.py says what a line is. What the clinic refuses goes to `fhir-access-refused.jsonl`,
for a person.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import structlog
from nats.aio.client import Client

from services.accesses import Access, attempt, read, write
from shared.actors import Tokens
from shared.errors import Busy

log = structlog.get_logger(__name__)

QUEUE: Final = "fhir-access-queue.jsonl"
REFUSED: Final = "fhir-access-refused.jsonl"

ACTOR: Final = "fhir"
"""As whom it records, by a key of its own: who read is in the access."""

_SOURCE: Final = "/commons/fhir"
_PAUSE: Final = 2.0
_AT_ONCE: Final = 50


class AccessQueue:
    """Sends accesses, and what waits of them again every two seconds while `run` runs."""

    def __init__(self, nc: Client, folder: Path, tokens: Tokens | None = None) -> None:
        self._nc = nc
        self._tokens = tokens
        self._folder = folder
        self._waiting = read(folder / QUEUE, None)
        self._lock = asyncio.Lock()

    @property
    def waiting(self) -> int:
        """How many reads are not recorded yet."""
        return len(self._waiting)

    async def record(self, reader: str, accesses: Sequence[Mapping[str, Any]]) -> None:
        """Record them, or keep them in the file. Raises Busy when neither can be done: nothing may be shown then."""
        made = [self._made(reader, fields) for fields in accesses]
        # While some wait nobody answers, or not for long: a reader does not wait for that each time.
        left, refused = (made, []) if self._waiting else await self._send(made)
        await self._keep(left, refused)

    async def run(self) -> None:
        """Send what waits, for as long as the process lives."""
        while True:
            await asyncio.sleep(_PAUSE)
            if not self._waiting:
                continue
            some = self._waiting[:_AT_ONCE]
            left, refused = await self._send(some)
            if len(left) == len(some):
                continue
            still = {one.id for one in left}
            done = {one.id for one in some} - still
            try:
                await self._keep([], refused, done)
            except Busy as error:
                log.error("accesses are sent again", reason=str(error))

    @staticmethod
    def _made(reader: str, fields: Mapping[str, Any]) -> Access:
        name = str(uuid.uuid4())
        return Access(name, ACTOR, None, {"access": name, "reader": reader, **fields})

    async def _send(self, wanted: Sequence[Access]) -> tuple[list[Access], list[Access]]:
        """What was not answered, and what was refused."""
        left: list[Access] = []
        refused: list[Access] = []
        for first in range(0, len(wanted), _AT_ONCE):
            some = wanted[first : first + _AT_ONCE]
            if left:  # nobody answers: the rest is not tried
                left += some
                continue
            answers = await asyncio.gather(*(attempt(self._nc, one, _SOURCE, self._tokens, "service") for one in some))
            left += [one for one, answer in zip(some, answers, strict=True) if answer is None]
            refused += [one for one, answer in zip(some, answers, strict=True) if answer is False]
        return left, refused

    async def _keep(self, left: Sequence[Access], refused: Sequence[Access], done: set[str] | None = None) -> None:
        """Make the files hold what is left; those that are `done` wait no more."""
        if not left and not refused and not done:
            return
        async with self._lock:
            waiting = [one for one in self._waiting if one.id not in (done or ())] + list(left)
            try:
                await asyncio.to_thread(self._write, waiting, refused)
            except OSError as error:
                raise Busy(
                    f"Reads of charts can neither be recorded nor kept in {self._folder} ({error.strerror}), so no "
                    "chart is shown."
                ) from error
            self._waiting = waiting
        if left:
            log.warning("reads of charts are not recorded yet", waiting=len(waiting))
        if refused:
            log.error("reads of charts were refused", number=len(refused), file=str(self._folder / REFUSED))

    def _write(self, waiting: Sequence[Access], refused: Sequence[Access]) -> None:
        if refused:
            write(self._folder / REFUSED, [*read(self._folder / REFUSED, None), *refused], None)
        write(self._folder / QUEUE, waiting, None)
