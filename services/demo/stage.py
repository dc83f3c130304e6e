"""Shows things: a heading, a sentence, and commands of `commons` run as an operator would type them."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import asyncpg
from rich.console import Console
from rich.rule import Rule

from services.clinic.contract import clinic
from services.commands.common import roles_of
from services.distribution.contract import distribution
from services.inventory.contract import inventory
from services.local.keys import Keys
from services.treasury.contract import treasury
from shared.actors import Signed, Tokens
from shared.actortoken import Signer
from shared.connection import connect
from shared.erasure import Stage as Stages
from shared.errors import LedgerError
from shared.standings import standings
from shared.store import EventStore

CONTRACTS: Final = (inventory, distribution, treasury, clinic)
"""The services whose streams the demo's ledger has."""

_START_SECONDS: Final = 40
_STOP_SECONDS: Final = 30


_BEHIND: Final = (
    "SELECT count(*) FROM commons.checkpoint JOIN commons.generation USING (projection, generation)"
    " WHERE state = 'live' AND stream = $1 AND sequence < $2"
)


class DemoFailed(LedgerError):
    """The demo did not go as it should; what it showed last says where."""

    code = "DEMO_FAILED"


class Stage:
    """The console, the ledger on show, and what was counted on the way: refusals, and visits a second."""

    def __init__(self, folder: Path, run: Callable[[list[str]], int]) -> None:
        self.data = folder / "ledger"
        self.contracts = CONTRACTS
        self.refusals = 0
        self.rate = 0.0
        self._run = run
        self._console = Console(highlight=False, soft_wrap=True)
        self._up: subprocess.Popen[bytes] | None = None
        self._log = folder / "up.log"

    # -- the ledger ---------------------------------------------------------------------------------------------------

    def start(self, environment: Mapping[str, str] | None = None) -> None:
        """Run `commons up` as a process of its own and wait until it is ready."""
        with self._log.open("wb") as log:
            self._up = subprocess.Popen(  # noqa: S603 - our own command
                [sys.executable, "-m", "services.cli", "up", "--data", str(self.data)], stdout=log, stderr=log,
                env={**os.environ, **(environment or {}), "COMMONS_ERASURE_DELAY_DAYS": "0"},  # not thirty days
            )  # fmt: skip
        os.environ["COMMONS_DATA"] = str(self.data)
        deadline = time.monotonic() + _START_SECONDS
        while "The ledger runs" not in self._log.read_text(errors="replace"):
            if self._up.poll() is not None or time.monotonic() > deadline:
                raise DemoFailed(f"`commons up` did not come up. It said:\n{self._log.read_text(errors='replace')}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop it as Ctrl-C would; it may take its time to drain."""
        if self._up is None or self._up.poll() is not None:
            return
        self._up.send_signal(signal.SIGINT)
        try:
            self._up.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._up.kill()
            self._up.wait()

    def described(self) -> dict[str, Any]:
        """What `commons up` wrote of itself: addresses and process ids."""
        found: dict[str, Any] = json.loads((self.data / "commons.json").read_text())
        return found

    def tokens(self) -> Tokens:
        """What shows the services who acts, whoever it is."""
        signer = Signer.from_file(Keys(self.data / "keys").issuer, str(self.described()["chapter"]))
        return Signed(signer, roles_of)

    # -- showing ------------------------------------------------------------------------------------------------------

    def heading(self, text: str) -> None:
        self._console.print()
        self._console.print(Rule(f"[bold]{text}[/bold]", align="left", style="dim"))

    def say(self, text: str) -> None:
        self._console.print(text)

    def commons(self, *arguments: str, refused: bool = False, quietly: bool = False) -> None:
        """Run a command and show it with its output. Raises DemoFailed unless it ends as expected."""
        if not quietly:
            self._console.print(f"\n[dim]$[/dim] [bold cyan]commons {_shown(arguments)}[/bold cyan]")
        self.refusals += refused
        with contextlib.redirect_stdout(io.StringIO()) if quietly else contextlib.nullcontext():
            code = self._run([*arguments])
        sys.stdout.flush()
        if code != int(refused):
            raise DemoFailed(f"`commons {_shown(arguments)}` ended with {code}, and {int(refused)} was expected.")

    def send(
        self, command: str, *fields: str, service: str = "inventory", refused: bool = False, quietly: bool = False,
        actor: str = "amina",
    ) -> None:  # fmt: skip
        """Send a command to a service, its fields given as `name=value`."""
        flags = [part for field in fields for part in ("--set", field)]
        self.commons("send", service, command, *flags, "--as", actor, refused=refused, quietly=quietly)

    def level(self) -> None:
        """Wait until the read models show everything that was recorded."""
        asyncio.run(self._level())

    def rows(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        """What a query over the read models finds, once they are level with the stream."""

        async def ask() -> list[asyncpg.Record]:
            await self._level()
            connection = await asyncpg.connect(self.described()["database_url"])
            try:
                return list(await connection.fetch(query, *arguments))
            finally:
                await connection.close()

        return asyncio.run(ask())

    def wait_for(self, query: str) -> None:
        """Wait until a query over the read models finds something: what follows from an event by itself."""
        deadline = time.monotonic() + _STOP_SECONDS
        while not self.rows(query):
            if time.monotonic() > deadline:
                raise DemoFailed(f"It did not come to pass within {_STOP_SECONDS} s: {query}")
            time.sleep(0.05)

    def erased(self, service: str, owner: str) -> None:
        """Wait until a service has destroyed the key of a person, given as patient/p-1, and said so."""
        asyncio.run(self._erased(service, owner))

    async def _erased(self, service: str, owner: str) -> None:
        nc = await connect(self.described()["nats_url"], name="demo")
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                while (await standings(nc, service))[owner].stage is not Stages.ERASED:
                    await asyncio.sleep(0.05)
        finally:
            await nc.close()

    async def _level(self) -> None:
        described = self.described()
        nc = await connect(described["nats_url"], name="demo")
        connection = await asyncpg.connect(described["database_url"])
        try:
            stores = [EventStore(nc, contract) for contract in self.contracts]
            ends = {store.stream: await store.last_sequence() for store in stores}
            deadline = time.monotonic() + _STOP_SECONDS
            while time.monotonic() < deadline:
                if not any([await connection.fetchval(_BEHIND, stream, last) for stream, last in ends.items()]):
                    return
                await asyncio.sleep(0.02)
            raise DemoFailed("The read models did not become level with the streams.")
        finally:
            await connection.close()
            await nc.close()


def _shown(arguments: tuple[str, ...]) -> str:
    """The arguments as a shell would take them, files by their names alone."""
    parts = (Path(a).name if a.startswith("/") else a for a in arguments)
    return " ".join(f"'{part}'" if set(part) & set(' {}[]"*') else part for part in parts)
