"""The whole ledger under measurement: the servers, every service as a process, and what each of them costs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import psutil
from nats.aio.client import Client

from services.commands.common import roles_of
from services.local.keys import Keys
from services.local.nats import NatsServer
from services.local.postgres import PostgresServer
from services.local.supervisor import ServiceProcess
from services.local.up import SERVICES
from shared import migrations
from shared.actors import Signed
from shared.actortoken import Signer
from shared.client import CommandClient
from shared.connection import connect
from shared.store import stream_name


@dataclass(frozen=True, slots=True)
class Ledger:
    """A running ledger: how to speak to it, the process ids of its parts by name, and its services' HTTP ports."""

    nats: NatsServer
    postgres: PostgresServer
    nc: Client
    client: CommandClient
    pool: asyncpg.Pool
    parts: dict[str, int]
    ports: dict[str, int]
    keys: Keys

    async def level(self, projection: str, stream: str, sequence: int) -> None:
        """Wait until a read model is live and has folded a stream up to a sequence."""
        while (await self.pool.fetchval(_CHECKPOINT, projection, stream) or 0) < sequence:
            await asyncio.sleep(0.05)

    async def last_sequence(self, service: str) -> int:
        """The last sequence of a service's stream."""
        return (await self.nc.jetstream().stream_info(stream_name(service))).state.last_seq

    def cpu(self) -> dict[str, float]:
        """Seconds of CPU that each part has used, and this process as `callers`."""
        spent = {name: _seconds(psutil.Process(pid)) for name, pid in self.parts.items()}
        return spent | {"callers": _seconds(psutil.Process())}


_CHECKPOINT = (
    "SELECT c.sequence FROM commons.checkpoint AS c JOIN commons.generation AS g USING (projection, generation)"
    " WHERE g.projection = $1 AND g.state = 'live' AND c.stream = $2"
)


@asynccontextmanager
async def everything(folder: Path) -> AsyncIterator[Ledger]:
    """All that `commons up` runs, and a client of it."""
    async with PostgresServer(folder / "postgres") as postgres, NatsServer(folder / "nats") as server:
        await migrations.migrate_database(postgres.url)
        keys = Keys(folder / "keys", {})
        keys.prepare()
        environment = {
            "NATS_URL": server.url, "NATS_MONITORING_URL": server.monitor_url, "DATABASE_URL": postgres.url,
            "COMMONS_FHIR_QUEUE": str(folder), "COMMONS_FHIR_TRUST_ACTOR": "true",
            "COMMONS_RATE": "0",  # one actor sends everything here
        }  # fmt: skip
        services = [
            ServiceProcess(spec, environment=environment | keys.environment(spec.name), logs=folder / "logs")
            for spec in SERVICES
        ]
        try:
            await asyncio.gather(*(service.start() for service in services))
            nc = await connect(server.url, name="bench-client")
            pool = await asyncpg.create_pool(postgres.url, min_size=10, max_size=10)
            try:
                parts = {service.name: service.pid for service in services}
                parts |= {"nats": server.pid, "postgres": postgres.pid}
                ports = {service.name: service.http_port for service in services}
                client = CommandClient(
                    nc, actor="bench", tokens=Signed(Signer.from_file(keys.issuer, "local"), roles_of)
                )
                yield Ledger(server, postgres, nc, client, pool, parts, ports, keys)
            finally:
                await nc.close()
                pool.terminate()
        finally:
            await asyncio.gather(*(service.stop() for service in services))


def _seconds(process: psutil.Process) -> float:
    """CPU of a process and of its children, those that have ended too."""
    times = process.cpu_times()
    total = times.user + times.system + times.children_user + times.children_system
    if process.pid != psutil.Process().pid:
        total += sum(sum(child.cpu_times()[:2]) for child in process.children(recursive=True))
    return float(total)
