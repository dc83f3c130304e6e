"""Which of several instances of a service works: one leads, the others stand by, warm, and take over.

The leader alone answers on `leader.<service>.ask`, so NATS itself says when there is none: a process that ended, or
lost its connection, is no subscriber any more. One that is there and does not answer is given three questions, which
takes 5 to 6 seconds. One that leads and cannot work, as its connection for commands is gone, lets go by itself.

That two lead for a moment does no harm: every append names the event that it stands on, and the steps of process
managers have derived ids. It would only cost them conflicts. So nothing is stored, and no clock is compared.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from shared.errors import LedgerError
from shared.tasks import end

log = structlog.get_logger(__name__)

SECONDS: Final = 1.0
"""How often the leader says that it leads, and the others ask whether anybody does."""

_MISSES: Final = 3
"""Questions without an answer after which a leader that is there counts as gone."""

_UNABLE: Final = 10
"""Times in a row that a leader finds that it cannot work, after which it lets go: some ten seconds."""


class _Said(msgspec.Struct):
    """`id` leads for the `term`th time that the leader changed; `leaving`: no longer."""

    id: str
    term: int
    leaving: bool = False


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(_Said).decode


class Leadership:
    """Has one of the instances of a service lead. `lead` and `rest` take up its work and let go of it.

    `able` says whether this instance can work. One that cannot does not begin to lead.
    Of two that lead, the one that began later goes on: the other was not heard for a while, and somebody took over.
    """

    def __init__(
        self, nc: Client, service: str, *, lead: Callable[[], Awaitable[None]], rest: Callable[[], Awaitable[None]],
        able: Callable[[], bool] = lambda: True,
    ) -> None:  # fmt: skip
        self.id = secrets.token_hex(8)
        self.leading = False
        self.leader = ""
        """The instance that was last heard to lead."""
        self._nc, self._lead, self._rest = nc, lead, rest
        self._ask, self._news = f"leader.{service}.ask", f"leader.{service}.news"
        self._service = service
        self._term = 0
        self._able = able
        self._misses = 0
        self._unable = 0
        self._changing = asyncio.Lock()
        self._now = asyncio.Event()
        self._answering: Subscription | None = None
        self._listening: Subscription | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Lead at once when nobody does, else stand by. Raises what `lead` raises."""
        self._listening = await self._nc.subscribe(self._news, cb=self._hear)
        await self._look()
        self._tasks = [asyncio.create_task(self._watch())]

    async def stop(self) -> None:
        """Let go, and tell the others, so that one of them goes on without waiting."""
        await end(self._tasks)
        if self._listening is not None:
            await self._listening.unsubscribe()
        if self.leading:
            await self._leave()

    # -- inside -------------------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        while True:
            self._now.clear()
            with contextlib.suppress(TimeoutError):
                # Not all at the same moment, or two would find together that nobody leads.
                await asyncio.wait_for(self._now.wait(), SECONDS * random.uniform(0.8, 1.2))  # noqa: S311
            try:
                self._unable = 0 if self._able() else self._unable + 1
                if not self.leading:
                    await self._look()
                elif self._unable < _UNABLE:
                    await self._say()
                else:
                    log.warning("this instance leads and cannot work, so it lets go", service=self._service)
                    await self._leave()
            except (nats.errors.Error, OSError, LedgerError) as error:
                log.warning("who leads could not be said", service=self._service, reason=str(error))

    async def _look(self) -> None:
        """Ask who leads, and lead when nobody does."""
        try:
            answer = await self._nc.request(self._ask, b"", timeout=SECONDS)
            self._note(_decode(answer.data))
            self._misses = 0
            return
        except nats.errors.NoRespondersError:
            pass
        except (TimeoutError, nats.errors.TimeoutError, msgspec.DecodeError):
            self._misses += 1
            if self._misses < _MISSES:
                return
            log.warning("the leader does not answer", service=self._service, leader=self.leader)
        if self._able():
            await self._become(True)

    async def _leave(self) -> None:
        """Let go, so that another instance goes on."""
        await self._become(False)
        await self._nc.publish(self._news, _encode(_Said(self.id, self._term, leaving=True)))

    async def _become(self, leading: bool) -> None:
        async with self._changing:
            if leading == self.leading:
                return
            self._misses = 0
            if leading:
                self._term += 1
                self.leader = self.id
                self._answering = await self._nc.subscribe(self._ask, cb=self._answer)
                try:
                    await self._nc.flush()  # from here on nobody else finds that there is no leader
                    await self._lead()
                except BaseException:
                    await self._answering.unsubscribe()
                    raise
                self.leading = True
                log.info("this instance leads", service=self._service, term=self._term)
                await self._say()
            else:
                self.leading = False
                if self._answering is not None:
                    await self._answering.unsubscribe()
                await self._rest()
                log.info("this instance stands by", service=self._service, leader=self.leader)

    async def _say(self) -> None:
        await self._nc.publish(self._news, _encode(_Said(self.id, self._term)))

    async def _answer(self, message: Msg) -> None:
        if message.reply:
            await self._nc.publish(message.reply, _encode(_Said(self.id, self._term)))

    async def _hear(self, message: Msg) -> None:
        try:
            said = _decode(message.data)
        except msgspec.DecodeError:
            return
        if said.id == self.id:
            return
        if said.leaving:
            self._now.set()
        elif not self.leading:
            self._note(said)
        elif (said.term, self.id) > (self._term, said.id):
            self._note(said)
            await self._become(False)
        else:
            await self._say()  # the other lets go

    def _note(self, said: _Said) -> None:
        self.leader = said.id
        self._term = max(self._term, said.term)
