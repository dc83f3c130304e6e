"""Read models as a process: projections, and a search by name, side by side, with health and metrics.

The clinic's are in a process of their own (services/projections/clinic/app.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any, Final, get_args

import asyncpg
import structlog
from prometheus_client import Gauge

from services.projections.distribution.naming import HOUSEHOLDS
from services.projections.registry import TOGETHER
from services.projections.search import NameSearch, Searched
from shared.application import run
from shared.database import open_pool
from shared.errors import Misconfigured
from shared.masterkeys import MasterKeys, given
from shared.projection import Projection
from shared.runner import Runner, State
from shared.settings import Settings
from shared.status import status
from shared.tasks import end

log = structlog.get_logger(__name__)

POLL_SECONDS: Final = 2.0
"""How often the parked events are counted: they are in the database, where operators settle them."""

_STATE: Final = Gauge("commons_projection_state", "1 for the state that a projection is in.", ["projection", "state"])
_LAG: Final = Gauge("commons_projection_lag", "Events that are stored and not yet folded.", ["projection", "stream"])
_AT: Final = Gauge("commons_projection_sequence", "The last event folded.", ["projection", "stream"])
_PARKED: Final = Gauge(
    "commons_projection_parked", "Events set aside, and those that wait behind them.", ["projection"]
)


class ReadModels:
    """Follows the streams for each of the projections; one that stops leaves the others going.

    `name` is the process's, `searched` who is found by name.
    """

    def __init__(
        self, settings: Settings, name: str = "projections", projections: Sequence[Projection] = TOGETHER,
        searched: Searched = HOUSEHOLDS,
    ) -> None:  # fmt: skip
        self._name = name
        if settings.database_url is None:
            raise Misconfigured("The read models live in PostgreSQL: set DATABASE_URL, as postgresql://user@host/name.")
        self._database_url = settings.database_url
        self._runners = [Runner(projection, settings.nats_url, settings.database_url) for projection in projections]
        self._search = _search(searched, settings, settings.database_url)
        self._tasks: list[asyncio.Task[None]] = []
        self._parked: dict[str, int] = {}
        for runner in self._runners:
            self._measure(runner)

    async def start(self) -> None:
        """Begin to follow. Servers that are not there yet are waited for, and /readyz says so."""
        self._tasks = [asyncio.create_task(runner.run(), name=runner.projection.name) for runner in self._runners]
        self._tasks.append(asyncio.create_task(self._count_parked(), name="parked"))
        if self._search is not None:
            self._tasks.append(asyncio.create_task(self._search.run(), name="search"))

    async def stop(self) -> None:
        """Stop following. What was folded is committed; what was begun is rolled back, and folded again next time."""
        await end(self._tasks)

    def health(self) -> dict[str, Any]:
        """Ready when every projection folds. Kept in any case: a start would not mend one that stopped."""
        projections = {runner.projection.name: self._health(runner) for runner in self._runners}
        well = bool(self._tasks) and all(runner.condition.well for runner in self._runners)
        search = "off: no master key was given" if self._search is None else self._search.state
        return {
            "ok": True, "ready": well, "service": self._name, "projections": projections, "search": search,
        }  # fmt: skip

    def _health(self, runner: Runner) -> dict[str, Any]:
        name, condition = runner.projection.name, runner.condition
        return {
            "state": condition.state, "detail": condition.detail, "version": runner.projection.version,
            "positions": {stream: _position(runner, stream) for stream in runner.projection.streams},
            "lag": {stream: _lag(runner, stream) for stream in runner.projection.streams},
            "parked": self._parked.get(name, 0),
        }  # fmt: skip

    def _measure(self, runner: Runner) -> None:
        name = runner.projection.name
        for state in get_args(State):
            _STATE.labels(name, state).set_function(partial(_is, runner, state))
        for stream in runner.projection.streams:
            _LAG.labels(name, stream).set_function(partial(_lag, runner, stream))
            _AT.labels(name, stream).set_function(partial(_position, runner, stream))
        _PARKED.labels(name).set_function(lambda: float(self._parked.get(name, 0)))

    async def _count_parked(self) -> None:
        """Keep the counts fresh for as long as the process lives; an outage keeps the last ones."""
        pool: asyncpg.Pool | None = None
        try:
            while True:
                try:
                    pool = pool or await open_pool(self._database_url, max_size=1)
                    self._parked = {known.name: known.parked + known.waiting for known in await status(pool)}
                except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                    log.debug("parked events could not be counted", reason=str(error) or type(error).__name__)
                await asyncio.sleep(POLL_SECONDS)
        finally:
            if pool is not None:
                pool.terminate()


def _search(searched: Searched, settings: Settings, database_url: str) -> NameSearch | None:
    """The search by name, for a process that was given the master keys."""

    def masters() -> MasterKeys:
        found = given(settings.master_key_file, settings.master_key)
        if found is None:
            raise Misconfigured("The master keys are not where they were. Set COMMONS_MASTER_KEY_FILE.")
        return found

    if settings.master_key_file is None and settings.master_key is None:
        return None
    return NameSearch(searched, settings.nats_url, database_url, masters)


def _is(runner: Runner, state: State) -> float:
    return float(runner.condition.state == state)


def _position(runner: Runner, stream: str) -> int:
    return 0 if runner.follower is None else runner.follower.folding.positions.get(stream, 0)


def _lag(runner: Runner, stream: str) -> int:
    if runner.follower is None or stream not in runner.follower.last:
        return 0
    return max(0, runner.follower.last[stream] - _position(runner, stream))


def main() -> None:
    run("projections", ReadModels)


if __name__ == "__main__":
    main()
