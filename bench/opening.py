"""Opens the bench's book in a fresh process and posts one entry: how long that took, and in how much memory."""

from __future__ import annotations

import json
import sys
import time
from typing import Final

import psutil
import uvloop

from bench import journal, ledger
from services.treasury.contract import treasury
from services.treasury.deciders import DECIDERS
from shared.garbage import collect_seldom

_STARTED: Final = psutil.Process().create_time()


async def _measure(url: str, monitor_url: str) -> dict[str, float]:
    began = time.perf_counter()
    async with ledger.handler(ledger.Running(url, monitor_url), treasury, DECIDERS) as handler:
        tag = f"opened-{_STARTED}"
        await journal.send(handler, journal.transfers(1, tag=tag), waiting=1, tag=tag)
        loading, seconds = time.perf_counter() - began, time.time() - _STARTED
        used = psutil.Process().memory_info()
    return {"loading": loading, "seconds": seconds, "mb": used.rss / 1e6}


if __name__ == "__main__":
    collect_seldom()
    print(json.dumps(uvloop.run(_measure(sys.argv[1], sys.argv[2]))))
