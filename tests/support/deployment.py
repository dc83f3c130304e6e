"""A NATS server that knows the users of a deployment, with its streams and buckets made."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from services.commands.contracts import CONTRACTS
from services.deploy.migrate import make_streams
from services.deploy.secrets import prepare
from services.local.nats import NatsServer
from shared.connection import LedgerClient, connect
from shared.credentials import Credentials


@dataclass(frozen=True)
class Deployment:
    server: NatsServer
    secrets: Path

    def seed_file(self, user: str) -> Path:
        return self.secrets / user / "nats.seed"

    def credentials(self, user: str) -> Credentials:
        return Credentials.from_file(self.seed_file(user))

    @asynccontextmanager
    async def client(self, user: str) -> AsyncIterator[LedgerClient]:
        nc = await connect(self.server.url, name=user, credentials=self.credentials(user))
        try:
            yield nc
        finally:
            await nc.close()


@asynccontextmanager
async def deployed(folder: Path) -> AsyncIterator[Deployment]:
    """One in a folder of its own."""
    secrets = folder / "secrets"
    prepare(secrets)
    users = json.dumps(str(Path("..") / "secrets" / "nats" / "users.conf"))
    async with NatsServer(folder / "nats", settings=f"include {users}") as server:
        deployment = Deployment(server, secrets)
        async with deployment.client("migrate") as nc:
            await make_streams(nc, CONTRACTS.values(), server.monitor_url, 1)
        yield deployment
