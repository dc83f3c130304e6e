"""Opens the bench's book in a fresh process and posts one entry: how long that took, and in how much memory."""

from __future__ import annotations

import json
import sys
import time
from typing import Final

import psutil
import uvloop

from bench import journal, ledger
from services.local.nats import NatsServer
from services.treasury.contract import treasury
from services.treasury.deciders import DECIDERS
from shared.garbage import collect_seldom

_STARTED: Final = psutil.Process().create_time()


class Running:
    """The addresses of a server that somebody else runs."""

    def __init__(self, url: str, monitor_url: str) -> None:
        self.url = url
        self.monitor_url = monitor_url


async def _measure(url: str, monitor_url: str) -> dict[str, float]:
    running: NatsServer = Running(url, monitor_url)  # type: ignore[assignment]  # two addresses are all it takes
    began = time.perf_counter()
    async with ledger.handler(running, treasury, DECIDERS) as handler:
        tag = f"opened-{_STARTED}"
        await journal.send(handler, journal.transfers(1, tag=tag), waiting=1, tag=tag)
        loading, seconds = time.perf_counter() - began, time.time() - _STARTED
        used = psutil.Process().memory_info()
    return {"loading": loading, "seconds": seconds, "mb": used.rss / 1e6}


if __name__ == "__main__":
    collect_seldom()
    print(json.dumps(uvloop.run(_measure(sys.argv[1], sys.argv[2]))))
