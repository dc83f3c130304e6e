"""A recall's reach: whom its lots went to, over a million lots in boxes and visits."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median
from typing import Final

import asyncpg

from bench import ledger
from bench.figures import Figure, against
from services.distribution.contract import distribution
from services.inventory.contract import inventory
from services.local.postgres import PostgresServer
from services.projections.registry import PROJECTIONS
from services.queries.distribution import reach
from shared import migrations
from shared.database import open_pool
from shared.runner import rebuild
from shared.tables import schema_of

_EACH: Final = 500_000
"""Rows of lots in boxes, and as many of lots that were given out at visits."""
_LINES: Final = 12
_ITEMS: Final = 100
_LOTS: Final = 100
"""Lots of an item; the last one of each was repacked from the first."""
_RECALLS: Final = 20


async def recall_reach(folder: Path) -> list[Figure]:
    """The slowest of several recalls, each of two lots of an item and of what was repacked from them."""
    async with PostgresServer(folder / "postgres") as postgres, ledger.server(folder / "nats") as server:
        await migrations.migrate_database(postgres.url)
        schemas = {}
        for contract in (inventory, distribution):
            async with ledger.handler(server, contract, ()):
                pass  # its stream is there from now on
        for name in ("recall_reach_boxes", "households"):
            generation = await rebuild(PROJECTIONS[name], server.url, postgres.url)
            schemas[name] = schema_of(name, generation.number)
        pool = await open_pool(postgres.url)
        try:
            async with pool.acquire() as connection:
                await _fill(connection, schemas["recall_reach_boxes"], schemas["households"])
            took, rows = [], 0
            for number in range(_RECALLS):
                began = time.perf_counter()
                found = await reach(pool, what=f"recall-{number}")
                took.append(time.perf_counter() - began)
                rows += len(found.rows)
        finally:
            pool.terminate()
    note = f"the median {median(took) * 1e3:.0f} ms; {rows // _RECALLS:,} boxes and visits were reached on average"
    figure = against(
        "recall_reach", max(took), "s", f"{2 * _EACH:,} movements, under", 1, 1, lower=True, note=note
    )  # fmt: skip
    return [figure]


async def _fill(connection: asyncpg.Connection, reached: str, households: str) -> None:
    """Write the rows as folding a million events would have; that itself is measured elsewhere."""
    lot = f"'item-' || n % {_ITEMS}, 'L' || n / 7 % {_LOTS}"
    await connection.execute(
        f"""SET search_path TO {reached};
        INSERT INTO reach_boxes (box, order_id, site, household, session, state, since)
        SELECT 'b' || n, 'o' || n, 'hall', 'h' || n % 20000, 's' || n / 100,
               CASE WHEN n % 50 = 0 THEN 'packed' ELSE 'handed_out' END, now()
        FROM generate_series(0, {_EACH // _LINES}) n;
        INSERT INTO reach_visits (visit, at, site, household, session, state, since)
        SELECT 'v' || n, 'e' || n, 'hall', 'h' || n % 20000, 's' || n / 100, 'visited', now()
        FROM generate_series(0, {_EACH // _LINES}) n;
        INSERT INTO reach_box_lots (box, item, lot_key, lot, lot_form, date, quantity)
        SELECT 'b' || n / {_LINES}, item, lot || n, lot, lot, DATE '2027-01-01' + n % {_LOTS}, 2
        FROM generate_series(0, {_EACH - 1}) n CROSS JOIN LATERAL (SELECT {lot}) AS l(item, lot);
        INSERT INTO reach_visit_lots (visit, item, issue, lot_key, lot, lot_form, date, quantity, occurred_at)
        SELECT 'v' || n / {_LINES}, item, 'hall:' || n, lot, lot, lot, DATE '2027-01-01' + n % {_LOTS}, 2, now()
        FROM generate_series(0, {_EACH - 1}) n CROSS JOIN LATERAL (SELECT {lot}) AS l(item, lot);
        INSERT INTO reach_made_from (item, lot_form, parent, parent_form)
        SELECT 'item-' || n, 'L{_LOTS - 1}', 'item-' || n, 'L0' FROM generate_series(0, {_ITEMS - 1}) n;
        INSERT INTO reach_recalls (item, recall, scope_forms, reason, begun_at)
        SELECT 'item-' || n, 'recall-' || n, '["L0", "L1"]', 'glass', now() FROM generate_series(0, {_RECALLS - 1}) n;
        INSERT INTO {households}.households (household, size, child, adult, senior, unknown)
        SELECT 'h' || n, 3, 1, 2, 0, 0 FROM generate_series(0, 19999) n;
        ANALYZE;
        SET search_path TO DEFAULT"""
    )
