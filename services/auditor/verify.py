"""`commons verify`: every check there is, over a live ledger, with nothing taken on trust.

1. every stream is without a gap, every event parses, stands on its own subject, and names its predecessor's hash
2. every aggregate folds, and its invariants hold: after each of its first hundred events, on the way, and at the end
3. a fresh fold of every read model equals its rows in PostgreSQL, table by table
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg
import msgspec

from services.auditor.chains import Chains, Unsound
from services.clinic.contract import clinic
from services.clinic.deciders import DECIDERS as CLINIC
from services.distribution.contract import distribution
from services.distribution.deciders import DECIDERS as DISTRIBUTION
from services.inventory.contract import inventory
from services.inventory.deciders import DECIDERS as INVENTORY
from services.projections.registry import PROJECTIONS
from services.treasury.contract import treasury
from services.treasury.deciders import DECIDERS as TREASURY
from shared.comparison import compare
from shared.contract import Contract
from shared.decider import Decider
from shared.errors import Corrupt, Invalid, LedgerError, Misconfigured
from shared.event import decode
from shared.projection import Projection
from shared.store import stream_name
from shared.wire import StreamReader

SERVICES: Final[list[tuple[Contract, Iterable[Decider[Any]]]]] = [
    (inventory, INVENTORY),
    (distribution, DISTRIBUTION),
    (treasury, TREASURY),
    (clinic, CLINIC),
]

Progress = Callable[[str, int, int], None]
"""Told the name of the check, how far it is, and how much there is; called a few times a second at most."""

_PAUSE_EVERY: Final = 2000


@dataclass(slots=True)
class Check:
    """One thing that was checked: how much of it, in how many seconds, and what was wrong, if anything."""

    name: str
    count: int
    unit: str
    seconds: float
    problem: str | None = None
    detail: str = ""


@dataclass(slots=True)
class Report:
    """All that was checked, in order; it ends at the first stream that is broken."""

    checks: list[Check] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return all(check.problem is None for check in self.checks)

    @property
    def first_problem(self) -> str | None:
        return next((check.problem for check in self.checks if check.problem), None)


def _silent(_name: str, _done: int, _total: int) -> None:
    """Progress that nobody watches."""


async def verify(
    nats_url: str,
    database_url: str | None,
    progress: Progress = _silent,
    *,
    services: Iterable[tuple[Contract, Iterable[Decider[Any]]]] = SERVICES,
    projections: Iterable[Projection] | None = None,
) -> Report:
    """Check streams, aggregates and, when a database is given, read models.

    What is wrong is in the report; raises LedgerError only when the servers cannot be asked.
    """
    report = Report()
    for contract, deciders in services:
        report.checks.extend(await _stream(nats_url, contract, deciders, progress))
    if database_url is not None and report.ok:
        chosen = list(PROJECTIONS.values()) if projections is None else list(projections)
        report.checks.extend(await _read_models(nats_url, database_url, chosen, progress))
    return report


async def _stream(
    nats_url: str, contract: Contract, deciders: Iterable[Decider[Any]], progress: Progress
) -> list[Check]:
    """One pass over a stream, up to where it ended when the pass began."""
    stream = stream_name(contract.service)
    chains = Chains(contract, deciders)
    events = Check(f"{stream}: chain", 0, "events", 0.0)
    folds = Check(f"{stream}: aggregates", 0, "aggregates", 0.0)
    began = time.perf_counter()
    try:
        async with StreamReader(nats_url, stream, name="verify") as reader:
            until = reader.last_sequence
            async for messages in reader.batches(until=until):
                for number, message in enumerate(messages):
                    chains.take(
                        decode(
                            message.payload, stream=stream, sequence=message.sequence, subject=message.subject,
                            contract=contract,
                        )
                    )  # fmt: skip
                    if not number % _PAUSE_EVERY:
                        await asyncio.sleep(0)
                progress(events.name, chains.events, until)
        chains.finish()
    except Unsound as error:
        folds.problem = error.detail
    except Corrupt as error:
        events.problem = error.detail
    events.count, folds.count = chains.events, chains.aggregates
    events.seconds = folds.seconds = time.perf_counter() - began
    events.detail = "no gap; every event parses, and names the hash of the one before it in its aggregate"
    folds.detail = "each folds from its first event on, and its invariants hold"
    return [events, folds]


async def _read_models(
    nats_url: str, database_url: str, projections: list[Projection], progress: Progress
) -> list[Check]:
    try:
        connection = await asyncpg.connect(database_url, timeout=10)
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise Misconfigured(
            f"The read models' database cannot be reached ({str(error) or type(error).__name__}). "
            "Check DATABASE_URL, or leave it out to check the streams alone."
        ) from error
    checks = []
    try:
        await connection.set_type_codec(
            "jsonb", schema="pg_catalog", encoder=lambda v: msgspec.json.encode(v).decode(), decoder=msgspec.json.decode
        )
        for number, projection in enumerate(projections):
            progress("read models", number, len(projections))
            checks.append(await _read_model(nats_url, connection, projection))
        progress("read models", len(projections), len(projections))
    finally:
        await connection.close(timeout=2)
    return checks


async def _read_model(nats_url: str, connection: Any, projection: Projection) -> Check:
    check = Check(f"read model {projection.name}", 0, "rows", 0.0)
    began = time.perf_counter()
    try:
        found = await compare(connection, projection, nats_url)
        check.count = sum(table.rows for table in found.tables)
        check.problem = next((table.difference for table in found.tables if table.difference), None)
        at = ", ".join(f"{stream} {sequence:,}" for stream, sequence in sorted(found.positions.items()))
        check.detail = f"equal to a fresh fold as of {at}" + (f"; {found.parked} events parked" if found.parked else "")
    except (Corrupt, Invalid) as error:
        check.problem = error.detail
    except asyncpg.PostgresError as error:
        raise LedgerError(f"{projection.name} could not be read from the database: {error}") from error
    check.seconds = time.perf_counter() - began
    return check
