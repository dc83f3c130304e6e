"""Whether a request is looked at: how often one actor may send, and how many bytes of requests may wait.

A service can be asked faster than it can decide. What is too much is answered at once, by a problem that says when to
ask again, and costs next to nothing: it is told by the request's size and sender alone.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

import structlog

from shared.errors import Busy, RateLimited
from shared.settings import Settings

ACTORS: Final = 10_000
"""Actors whose use is remembered one by one."""

BYTES_A_COMMAND: Final = 64 << 10
"""A longer request counts as one more command for each so many bytes."""

SERVICES_TIMES: Final = 10
"""How many times as much a service or a process manager may send as a person."""

SHARE: Final = 0.5
"""The part of the bytes that may wait which one sender's may be."""

_OTHERS: Final = ""
"""Who shares a bucket while all others are in use; no actor has this name."""

_TELL_SECONDS: Final = 10.0

log = structlog.get_logger(__name__)


class RateLimit:
    """A token bucket an actor: `burst` commands at once, and `rate` a second in the long run.

    Of each actor it keeps one number, the moment at which the bucket is full again (the generic cell rate algorithm). A
    bucket that is full is like one that was never used, and the only kind that is forgotten to make room: nobody gets a
    new one by sending under many names.
    """

    def __init__(
        self, rate: float, burst: float, *, actors: int = ACTORS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate, self._burst, self._actors, self._clock = rate, burst, actors, clock
        self._full_at: OrderedDict[str, float] = OrderedDict()  # the one that was used longest ago is first

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, actor: str, cost: float = 1) -> float:
        """Take tokens out of an actor's bucket. Gives 0, or, when there are too few, the seconds until there are."""
        now = self._clock()
        if actor not in self._full_at and len(self._full_at) >= self._actors and not self._forget_one(now):
            actor = _OTHERS
        full_at = max(self._full_at.get(actor, now), now) + min(cost, self._burst) / self._rate
        early = full_at - now - self._burst / self._rate
        if early > 1e-9:
            return early
        self._full_at[actor] = full_at
        self._full_at.move_to_end(actor)
        return 0.0

    def _forget_one(self, now: float) -> bool:
        actor, full_at = next(iter(self._full_at.items()))
        if full_at > now:
            return False
        del self._full_at[actor]
        return True


class Admission:
    """What a service asks of each request before it decides on it. `turned_away` counts what was not taken."""

    def __init__(self, service: str, settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.turned_away = {"busy": 0, "limited": 0}
        self.waiting_bytes = 0
        self._service = service
        self._most_bytes = settings.max_waiting_mb << 20
        self._bytes_of: dict[str, int] = {}
        self._people: RateLimit | None = None
        if settings.rate:
            rate, burst = settings.rate, settings.rate_burst
            self._people = RateLimit(rate, burst, clock=clock)
            self._services = RateLimit(rate * SERVICES_TIMES, burst * SERVICES_TIMES, clock=clock)
        self._clock = clock
        self._told = -math.inf

    def room(self, size: int) -> None:
        """Raises Busy when so many bytes more would be too many; asked before anything of them is read."""
        if self.waiting_bytes and self.waiting_bytes + size > self._most_bytes:
            raise Busy(
                f"Requests of {self.waiting_bytes:,} bytes wait already. Nothing was recorded; send it again in a "
                "moment.", retry_after=1,
            )  # fmt: skip

    def hold(self, size: int, actor: str, answer: asyncio.Future[Any]) -> None:
        """Count the bytes of a request that was taken, until it is answered."""
        self.waiting_bytes += size
        self._bytes_of[actor] = self._bytes_of.get(actor, 0) + size
        answer.add_done_callback(lambda _: self._let_go(size, actor))

    def sender(self, actor: str, authtype: str, size: int) -> None:
        """Asked as soon as it is known who sends.

        Raises RateLimited when the actor has sent too much, and Busy when too much of what waits is the actor's.
        """
        own = self._bytes_of.get(actor, 0)
        if own and own + size > SHARE * self._most_bytes:
            raise Busy(
                f"Requests of {actor} of {own:,} bytes wait already. Nothing was recorded; send it again when they are "
                "answered.", retry_after=1,
            )  # fmt: skip
        if self._people is None:
            return
        limit = self._people if authtype == "user" else self._services
        wait = limit.take(actor, 1 + size // BYTES_A_COMMAND)
        if wait:
            self._tell(actor)
            # Whole seconds: who came back for each single token would come too early again, with all who wait beside.
            seconds = math.ceil(wait)
            raise RateLimited(
                f"{actor} sends more commands than are taken of one sender. Nothing was recorded; send it again, under "
                f"the same id, in {seconds} s.", retry_after=seconds,
            )  # fmt: skip

    def _let_go(self, size: int, actor: str) -> None:
        self.waiting_bytes -= size
        self._bytes_of[actor] -= size
        if not self._bytes_of[actor]:
            del self._bytes_of[actor]

    def _tell(self, actor: str) -> None:
        """Say in the log who is refused, now and then: a flood of requests must not become one of lines."""
        if (now := self._clock()) - self._told >= _TELL_SECONDS:
            self._told = now
            log.warning("an actor sends more than is taken of one", service=self._service, actor=actor)
