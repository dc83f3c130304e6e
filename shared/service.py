"""A service: takes commands from NATS, lets its deciders decide, and answers when the decision is durable."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, Final

import asyncpg
import nats.errors
import nats.js.errors
import structlog
from nats.aio.client import Client
from prometheus_client import Gauge

from shared import database
from shared.actors import Signed, Tokens, Verifier
from shared.actortoken import Signer
from shared.authority import Authority
from shared.committer import Committer
from shared.connection import connect
from shared.contract import Contract
from shared.decider import Decider
from shared.errors import Busy, Corrupt, LedgerError, Misconfigured
from shared.forgetting import forgetting
from shared.halt import Halt, HaltWatch, checkpointed
from shared.handler import Handler
from shared.leading import Leadership
from shared.manager import Manager
from shared.outbox import in_process, through_nats
from shared.positions import KvPositions
from shared.process import Processes
from shared.reception import Reception
from shared.settings import Settings
from shared.snapshot import Snapshots
from shared.store import EventStore
from shared.tasks import end
from shared.vault import Vault, open_vault
from shared.writer import Writer

log = structlog.get_logger(__name__)

_GAUGES: Final = {
    "waiting": Gauge("commons_appends_waiting", "Decisions not yet durable.", ["service"]),
    "cached_bytes": Gauge("commons_cache_bytes", "Estimated memory of loaded aggregates.", ["service"]),
    "conflicts": Gauge("commons_conflicts", "Appends that met somebody else's, since the start.", ["service"]),
    "writes": Gauge("commons_writes", "Writes to the stream, since the start.", ["service"]),
    "appends": Gauge("commons_appends", "Events written, since the start.", ["service"]),
    "acknowledged": Gauge("commons_acknowledged_sequence", "The highest sequence seen acknowledged.", ["service"]),
    "halted": Gauge("commons_halted", "1 when writing has halted.", ["service"]),
    "leading": Gauge("commons_leading", "1 in the instance that works, 0 in those that stand by.", ["service"]),
}

AWAY_SECONDS: Final = 1.0
"""A pause of the whole process from which on it looks at the server again for what it may have missed."""

_AWAKE_SECONDS: Final = 0.25
_PATIENCE_SECONDS: Final = 15.0


class Service:
    """One service of the ledger over its own stream.

    Several instances of it may run: one leads, takes commands and lets process managers act; the others stand by with
    the stream followed (leading.py).
    """

    def __init__(
        self,
        contract: Contract,
        deciders: Iterable[Decider[Any]],
        settings: Settings,
        managers: Iterable[Manager] = (),
        following: Iterable[tuple[Contract, Iterable[Manager]]] = (),
        *,
        verifier: Verifier | None = None,
        authority: Authority | None = None,
    ) -> None:
        """`managers` follow the service's own stream, those of `following` the streams of other services.

        `verifier` shows who sends a command, and `authority` says who may. Without them, as in tests, everybody is who
        they say they are, and may everything.
        """
        self.contract = contract
        self.settings = settings
        self.handler: Handler
        self.committer: Committer
        self.store: EventStore
        self.nc: Client
        self._verifier, self._authority = verifier, authority
        self._deciders = list(deciders)
        self._managers = [(contract, list(managers)), *((other, list(those)) for other, those in following)]
        self._processes: list[Processes] = []
        self._vault: Vault | None = None
        self._halt: HaltWatch | None = None
        self._awake: asyncio.Task[None] | None = None
        self._leadership: Leadership | None = None
        self._reception = Reception(contract, settings, lambda: self.handler, verifier)
        self._ready = False
        for name, gauge in _GAUGES.items():
            gauge.labels(contract.service).set_function(partial(self._gauge, name))

    # -- lifecycle ------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Connect, check the server, the stream and its end, then take commands."""
        self.nc = await connect(self.settings.nats_url, name=self.contract.service, on_lost=self._lost)
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        settings, name = self.settings, self.contract.service
        self.store = EventStore(self.nc, self.contract)
        await self.store.ensure(settings.monitoring_url)
        await self._same_chapter()
        if self.contract.personal:
            self._vault = await _patiently(lambda: open_vault(self.nc, name, settings))
        self.committer = Committer(
            self.store, writer=Writer(settings.nats_url, name=f"{name}-writer"), lanes=settings.lanes,
            known_sequence=self._known_sequence,
        )  # fmt: skip
        self.handler = Handler(
            self.store, self._deciders, self.committer, chapter=settings.chapter,
            snapshots=await _patiently(lambda: Snapshots.open(self.nc, name)), snapshot_every=settings.snapshot_every,
            cache_bytes=settings.cache_mb << 20, max_waiting=settings.max_waiting, vault=self._vault,
            authority=self._authority,
        )  # fmt: skip
        self._halt = HaltWatch(self.nc, self._halted)
        await self._halt.start()
        await self.committer.start()
        self._awake = asyncio.create_task(self._stay_awake(), name="awake")
        if any(managers for _, managers in self._managers):
            send = in_process(self.handler, through_nats(self.nc, self._tokens()))
            if self._vault is not None:
                send = forgetting(self._vault, send)
            positions = await _patiently(lambda: KvPositions.open(self.nc, name))
            for contract, managers in self._managers:
                if managers:
                    self._processes.append(
                        Processes(settings.nats_url, contract, managers, send, positions, acting=False)
                    )
                    await self._processes[-1].start()
        self._leadership = Leadership(
            self.nc, name, lead=self._lead, rest=self._rest, able=lambda: self._reception.inbound.able
        )
        await self._leadership.start()
        self._ready = True

    async def _same_chapter(self) -> None:
        """Refuse to go on with another organisation's ledger: every event says whose it is. Raises Misconfigured."""
        try:
            first = await _patiently(lambda: self.store.at(1))
        except Corrupt:
            return  # whoever reads the stream says so
        source = f"/commons/{self.settings.chapter}/{self.contract.service}"
        if first is not None and first.envelope.source != source:
            raise Misconfigured(
                f"The stream {self.store.stream} is that of {first.envelope.source}, and this service is {source}. Set "
                "COMMONS_CHAPTER to what it was: a chapter has a ledger of its own, and its name never changes.",
                stream=self.store.stream, source=first.envelope.source,
            )  # fmt: skip

    def _tokens(self) -> Tokens | None:
        """What shows other services that a command is this one's. Raises Misconfigured when the key cannot be used."""
        key = self.settings.actor_key
        if key is None and self._verifier is not None and len(self._managers) > 1:
            raise Misconfigured(
                f"Process managers of {self.contract.service} send commands to other services: set COMMONS_ACTOR_KEY "
                "to the file of its key, which `commons init` makes."
            )
        return None if key is None else Signed(Signer.from_file(key, self.settings.chapter))

    async def _lead(self) -> None:
        """Take commands, and let process managers act."""
        self.handler.cache.mark_stale()  # another instance may have written until now
        try:
            await self._reception.inbound.listen()
        except BaseException:
            await self._rest()
            raise
        for processes in self._processes:
            await processes.act()

    async def _rest(self) -> None:
        """Another instance leads: answer what is in hand, take no more, and send nothing of process managers."""
        await self._quietly(self._reception.inbound.drain)
        for processes in self._processes:
            await processes.rest()

    async def stop(self) -> None:
        """Take no more commands, answer those in hand, and disconnect."""
        self._ready = False
        if self._awake is not None:
            await end([self._awake])
        for processes in self._processes:
            await self._quietly(processes.stop)
        if self._leadership is not None:
            await self._quietly(self._leadership.stop)
        if self._halt is not None:
            await self._halt.stop()
        if hasattr(self, "handler"):
            await self.handler.stop()
        if self._vault is not None:
            await self._quietly(self._vault.close)
        await asyncio.sleep(0)  # the answers of the commands that were in hand are given out
        await self._quietly(self._reception.inbound.close)
        await self._quietly(self.nc.close)

    async def _quietly(self, step: Callable[[], Awaitable[Any]]) -> None:
        """A step of stopping that a lost server must not hold up."""
        try:
            await asyncio.wait_for(step(), 2)
        except (nats.errors.Error, LedgerError, OSError, TimeoutError) as error:
            log.warning("not everything could be said at the end", reason=str(error) or type(error).__name__)

    async def _stay_awake(self) -> None:
        """Notice when this process was away (frozen, starved): the server drops hints that it cannot hand over, and
        says nothing of it."""
        while True:
            before = time.monotonic()
            await asyncio.sleep(_AWAKE_SECONDS)
            if (away := time.monotonic() - before - _AWAKE_SECONDS) > AWAY_SECONDS:
                log.warning("this process was away, and looks anew at what it has loaded", seconds=round(away, 1))
                self._lost()

    def _lost(self) -> None:
        if hasattr(self, "handler"):
            self.handler.connection_changed()

    def _halted(self, halt: Halt | None) -> None:
        """A halt of the whole ledger was set, or lifted."""
        if halt is not None:
            self.committer.suspend(halt.error())
        else:
            self.handler.cache.mark_stale()  # the stream may have been restored meanwhile
            self.committer.resume()

    async def _known_sequence(self) -> int:
        """What read models and the auditor have seen of the stream; looks at the halt too, in case its news was missed.

        Raises OutcomeUnknown when NATS does not answer.
        """
        if self._halt is not None:
            await self._halt.look()
        read = known_sequence(self.settings.database_url, self.store.stream)
        seen = 0 if read is None else await read()
        return max(seen, await checkpointed(self.nc, self.contract.service))

    def health(self) -> dict[str, Any]:
        if not hasattr(self, "handler"):
            return {"ok": True, "ready": False, "service": self.contract.service}
        halted = self.committer.halted
        processes = [one.health() for one in self._processes]
        return {
            "ok": halted is None and all(one["ok"] for one in processes),
            "ready": self._ready and self.nc.is_connected and self._reception.inbound.able and halted is None,
            "service": self.contract.service,
            "leading": self._leading,
            "stream": self.store.stream,
            "acknowledged": self.committer.acknowledged,
            "waiting": self.committer.waiting,
            "conflicts": self.handler.conflicts,
            "cached_bytes": self.handler.cache.nbytes,
            "turned_away": self._reception.turned_away,
            "halted": None if halted is None else halted.problem(),
            "processes": processes,
        }

    @property
    def _leading(self) -> bool:
        return self._leadership is not None and self._leadership.leading

    def _gauge(self, name: str) -> float:
        if not hasattr(self, "handler"):
            return 0.0
        if name == "leading":
            return float(self._leading)
        if name == "halted":
            return float(self.committer.halted is not None)
        if name == "cached_bytes":
            return float(self.handler.cache.nbytes)
        source: Any = self.handler if name == "conflicts" else self.committer
        return float(getattr(source, name))


async def _patiently(step: Callable[[], Awaitable[Any]]) -> Any:
    """A step of the start, again until the stream that it needs has a leader, which a cluster may be about to elect.

    Raises what the step raises when that goes on.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return await step()
        except (Busy, nats.js.errors.ServiceUnavailableError, nats.errors.NoRespondersError) as error:
            if time.monotonic() > deadline:
                raise
            log.warning("the start waits for NATS", reason=str(error))
            await asyncio.sleep(0.25)


def known_sequence(database_url: str | None, stream: str) -> Callable[[], Awaitable[int]] | None:
    """Asks the read models' database for the highest sequence of a stream that any of them has seen."""
    if database_url is None:
        return None

    async def ask() -> int:
        try:
            connection = await database.connect(database_url, timeout=3)
            try:
                found = await connection.fetchval(
                    "SELECT max(sequence) FROM commons.checkpoint WHERE stream = $1", stream
                )
            finally:
                await connection.close(timeout=1)
        except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            # The read models are not needed to write; this process's own memory of the stream still holds.
            log.warning(
                "the read models' checkpoints could not be asked for", reason=str(error) or type(error).__name__
            )
            return 0
        return int(found or 0)

    return ask
