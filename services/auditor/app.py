"""The auditor as a process: every stream as a log of tiles, signed once a second, served under /log.

It writes to no stream, and nobody needs it to write; but when it finds that the ledger is not what it signed, it halts
all writers until a person has looked (docs/decisions/0030-auditor.md).
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final, get_args

import nats.errors
import structlog
from nats.aio.client import Client
from prometheus_client import Gauge, Histogram

from services.auditor.following import Following, Place, State
from services.auditor.layout import SERVICES
from services.auditor.servers import watch_servers
from services.auditor.web import PREFIX, TilesWeb, read_tokens
from services.auditor.witnessing import Witness, read_witnesses
from shared.application import run
from shared.connection import connect
from shared.errors import LedgerError, Misconfigured
from shared.halt import Halt, HaltWatch
from shared.settings import Settings
from shared.tasks import end

log = structlog.get_logger(__name__)

NAME: Final = "auditor"

_STATE: Final = Gauge("commons_audit_state", "1 for the state that a log is in.", ["log", "state"])
_SIZE: Final = Gauge("commons_audit_size", "Events under the newest checkpoint.", ["log"])
_BEHIND: Final = Gauge("commons_audit_behind", "Events that are not under a checkpoint yet.", ["log"])
_AGE: Final = Gauge(
    "commons_audit_checkpoint_age_seconds", "Since the newest checkpoint was signed, or else the start.", ["log"]
)
_COSIGNED: Final = Gauge("commons_audit_cosigned", "Witnesses that cosigned the newest checkpoint.", ["log"])
_WITNESSES: Final = Gauge("commons_audit_witnesses", "Witnesses that are asked to cosign.", ["log"])
_HALTED: Final = Gauge("commons_audit_halted", "1 while the writers of the whole ledger are halted.")
_LAG: Final = Histogram(
    "commons_audit_checkpoint_seconds", "From an event's arrival to the checkpoint that holds it.", ["log"],
    buckets=(0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 2, 5, 10, 60),
)  # fmt: skip


class Auditor:
    """Follows the streams of all services; a log that stops leaves the others going."""

    prefix = PREFIX
    entrance = f"{PREFIX}/{SERVICES[0]}/checkpoint"  # those of the other services are beside it

    def __init__(self, settings: Settings, services: tuple[str, ...] = SERVICES) -> None:
        if settings.tiles is None or settings.log_keys is None:
            raise Misconfigured(
                "The auditor keeps the logs in COMMONS_TILES and their keys in COMMONS_LOG_KEYS: set both to folders, "
                "and not to the same."
            )
        place = Place(
            settings.nats_url, _folder(settings.tiles), _folder(settings.log_keys), settings.chapter,
            settings.log_origin,
        )  # fmt: skip
        if place.tiles == place.keys:
            raise Misconfigured("COMMONS_TILES and COMMONS_LOG_KEYS are the same folder, and tiles may be public.")
        witnesses: list[Witness] = [] if settings.witnesses is None else read_witnesses(settings.witnesses)
        self.http = TilesWeb(place.tiles, read_tokens(settings.tiles_tokens))
        self._settings = settings
        self._began = time.monotonic()
        self._nc: Client | None = None
        self._halt: Halt | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.logs = [
            Following(name, place, witnesses, lambda: self._nc, published=_LAG.labels(name).observe)
            for name in services
        ]
        for one in self.logs:
            self._measure(one)
        _HALTED.set_function(lambda: float(self._halt is not None))

    async def start(self) -> None:
        """Begin to follow. A server that is not there yet is waited for, and /readyz says so."""
        self._tasks = [asyncio.create_task(self._watch(), name="halt")]
        self._tasks += [asyncio.create_task(one.run(), name=one.service) for one in self.logs]
        self._tasks.append(asyncio.create_task(watch_servers(self._settings.monitoring_url), name="servers"))

    async def stop(self) -> None:
        """Stop following. What was appended is on disk; what was not is read again the next time."""
        await end(self._tasks)
        if self._nc is not None:
            await self._nc.close()

    def health(self) -> dict[str, Any]:
        """Ready when every log that has a stream follows it. Kept in any case: a start would mend nothing."""
        logs = {one.service: self._health(one) for one in self.logs}
        connected = self._nc is not None and self._nc.is_connected
        return {
            "ok": True, "ready": connected and all(told["state"] == "following" for told in logs.values()),
            "service": NAME, "logs": logs,
        }  # fmt: skip

    def _health(self, one: Following) -> dict[str, Any]:
        progress = asdict(one.progress)
        del progress["signed_at"]
        return {
            **progress, "behind": one.progress.behind,
            "checkpoint_age_seconds": _age(one),
            "witnesses": [
                {"name": w.witness.name, "size": w.size, "trouble": w.trouble} for w in one.witnessing.standings
            ],
        }  # fmt: skip

    def _measure(self, one: Following) -> None:
        for state in get_args(State):
            _STATE.labels(one.service, state).set_function(partial(_is, one, state))
        _SIZE.labels(one.service).set_function(lambda: float(one.progress.signed))
        _BEHIND.labels(one.service).set_function(lambda: float(one.progress.behind))
        _AGE.labels(one.service).set_function(lambda: time.monotonic() - (one.progress.signed_at or self._began))
        _COSIGNED.labels(one.service).set_function(lambda: float(one.progress.cosigned))
        _WITNESSES.labels(one.service).set_function(lambda: float(len(one.witnessing.standings)))

    async def _watch(self) -> None:
        """Connect, and hear of every halt and of its lifting for as long as the process lives."""
        watch: HaltWatch | None = None
        while watch is None:
            try:
                self._nc = self._nc or await connect(self._settings.nats_url, name=NAME, wait=True)
                watch = HaltWatch(self._nc, self._changed)
                await watch.start()
            except (LedgerError, nats.errors.Error) as error:
                watch = None
                log.warning("the halt cannot be watched yet", reason=str(error) or type(error).__name__)
                await asyncio.sleep(1)
        try:
            await asyncio.Event().wait()
        finally:
            await watch.stop()

    def _changed(self, halt: Halt | None) -> None:
        self._halt = halt
        if halt is None:
            for one in self.logs:
                one.lifted()


def _age(one: Following) -> float | None:
    """Seconds since this process signed a checkpoint; None before its first."""
    return round(time.monotonic() - one.progress.signed_at, 1) if one.progress.signed_at else None


def _is(one: Following, state: State) -> float:
    return float(one.progress.state == state)


def _folder(path: Path) -> Path:
    return path.absolute()


def main() -> None:
    run(NAME, Auditor)


if __name__ == "__main__":
    main()
