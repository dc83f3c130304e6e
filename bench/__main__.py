"""Run the measurements: all of them, or those that are named."""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog
import uvloop

from bench import (
    auditing,
    bookkeeping,
    checkpoints,
    clinic,
    commands,
    containers,
    fulfilment,
    pgledger,
    reading,
    recall,
    scale,
    table,
    transfers,
)
from bench.figures import Figure, keep, show
from shared.garbage import collect_seldom

Measurement = Callable[[Path], Awaitable[list[Figure]]]

MEASUREMENTS: dict[str, Measurement] = {
    "commands": commands.concurrent,
    "commands_over_wire_256": commands.over_wire,
    "hot_aggregate": commands.hot_aggregate,
    "replay": reading.replay,
    "rebuild_stock_on_hand": reading.rebuild_stock_on_hand,
    "projection_lag": reading.projection_lag,
    "scale": scale.scale,
    "transfers": transfers.transfers,
    "bookkeeping": bookkeeping.bookkeeping,
    "check_in_p99": table.check_in_p99,
    "fulfilment": fulfilment.fulfilment,
    "recall_reach": recall.recall_reach,
    "chart_open_p99": clinic.chart_open_p99,
    "fhir_search_p99": clinic.fhir_search_p99,
    "fhir_import": clinic.fhir_import,
    "verify": auditing.verify,
    "receipt": auditing.receipt,
    "checkpoint_lag_p99": checkpoints.checkpoint_lag,
    "tiles_cost": checkpoints.tiles_cost,
    "containers": containers.containers,
}


async def run(names: list[str], out: Path) -> list[Figure]:
    figures: list[Figure] = []
    for name in names:
        began = time.perf_counter()
        print(f"{name} …", end=" ", flush=True)
        with tempfile.TemporaryDirectory(prefix=f"commons-bench-{name}-") as folder:
            figures += await MEASUREMENTS[name](Path(folder))
        print(f"{time.perf_counter() - began:.0f} s", flush=True)
        keep(figures, out)
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__, epilog=pgledger.__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MEASUREMENTS)}; all if none is named")
    parser.add_argument("--out", type=Path, default=Path("build/bench.json"), help="where the figures are kept")
    parser.add_argument("--small", action="store_true", help="a tenth of the events in `verify` and `receipt`")
    given = parser.parse_args()
    if given.small:
        auditing.EVENTS //= 10
    unknown = set(given.names) - set(MEASUREMENTS)
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(MEASUREMENTS)}")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    collect_seldom()  # as the services themselves do
    figures = uvloop.run(run(given.names or list(MEASUREMENTS), given.out))
    show(figures)
    print(f"Kept in {given.out}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
