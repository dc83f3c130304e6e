"""The FHIR API as a process: under /fhir, beside health and metrics (docs/decisions/0027-fhir.md)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Final

import asyncpg
import structlog
from nats.aio.client import Client

from services.clinic.contract import clinic
from services.fhir import models
from services.fhir.accesses import AccessQueue
from services.fhir.app import ENTRANCE, PREFIX, FhirApi
from services.fhir.ledger_charts import LedgerCharts
from shared.actors import Signed
from shared.actortoken import Signer
from shared.admission import RateLimit
from shared.application import run
from shared.connection import connect
from shared.database import open_pool
from shared.errors import Busy, Misconfigured
from shared.keyreader import Closed, TextReader, index_key
from shared.masterkeys import MasterKeys, given
from shared.settings import Settings
from shared.tasks import end

log = structlog.get_logger(__name__)

NAME: Final = "fhir"


class Keys:
    """Opens texts under the clinic's keys; nothing of who is erased, or is about to be, from a second after."""

    def __init__(self, nc: Client, masters: MasterKeys) -> None:
        self._nc = nc
        self._masters = masters
        self._texts = TextReader(nc, clinic.service, masters)
        self._index: bytes | None = None

    async def open(self, texts: Iterable[str]) -> Mapping[str, str | Closed]:
        return await self._texts.open(texts)

    async def index_key(self) -> bytes | None:
        """It is made once, and stays."""
        self._index = self._index or await index_key(self._nc, clinic.service, self._masters)
        return self._index


class FhirServer:
    """Answers FHIR's requests from the clinic's read models."""

    prefix = PREFIX
    entrance = ENTRANCE

    def __init__(self, settings: Settings) -> None:
        if settings.database_url is None:
            raise Misconfigured("Charts are read in PostgreSQL: set DATABASE_URL, as postgresql://user@host/name.")
        if settings.fhir_queue is None:
            raise Misconfigured("Set COMMONS_FHIR_QUEUE to a folder: there reads of charts wait to be recorded.")
        masters = given(settings.master_key_file, settings.master_key)
        if masters is None:
            raise Misconfigured("Charts are sealed: set COMMONS_MASTER_KEY_FILE to the file of the master keys.")
        if settings.actor_key is None:
            raise Misconfigured(
                "Reads of charts are recorded: set COMMONS_ACTOR_KEY to the file of this process's key, which `commons "
                "init` makes."
            )
        self._settings, self._masters = settings, masters
        self._tokens = Signed(Signer.from_file(settings.actor_key, settings.chapter))
        self._database_url, self._folder = settings.database_url, settings.fhir_queue
        self._nc: Client | None = None
        self._pool: asyncpg.Pool | None = None
        self._queue: AccessQueue | None = None
        self._task: asyncio.Task[None] | None = None
        self._api: FhirApi | None = None

    async def start(self) -> None:
        """Be ready to answer. Raises LedgerError when the servers, or the folder, cannot be used."""
        await asyncio.to_thread(models.load)
        self._nc = await connect(self._settings.nats_url, name=NAME, wait=True)
        try:
            self._pool = await open_pool(self._database_url)
            self._queue = AccessQueue(self._nc, self._folder, self._tokens)
        except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            await self.stop()
            raise Busy(f"The FHIR API cannot start: {str(error) or type(error).__name__}.") from error
        self._task = asyncio.create_task(self._queue.run(), name="accesses")
        charts = LedgerCharts(self._pool, Keys(self._nc, self._masters), self._queue)
        settings = self._settings
        self._api = FhirApi(
            charts, trust_actor=settings.fhir_trust_actor, base=settings.fhir_base,
            limit=RateLimit(settings.rate, settings.rate_burst) if settings.rate else None,
        )  # fmt: skip

    async def stop(self) -> None:
        """Let go of the servers; what waits to be recorded stays in its file."""
        self._api = None
        if self._task is not None:
            await end([self._task])
        if self._pool is not None:
            self._pool.terminate()
        if self._nc is not None:
            await self._nc.close()

    def health(self) -> dict[str, Any]:
        """Ready while NATS is there. `waiting` are reads of charts that are not recorded yet."""
        ready = self._api is not None and self._nc is not None and self._nc.is_connected
        waiting = 0 if self._queue is None else self._queue.waiting
        return {"ok": True, "ready": ready, "service": NAME, "waiting": waiting}

    async def http(self, scope: Any, receive: Any, send: Any) -> None:
        assert self._api is not None  # HTTP is served between start and stop alone
        await self._api(scope, receive, send)


def main() -> None:
    run(NAME, FhirServer)


if __name__ == "__main__":
    main()
