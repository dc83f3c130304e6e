"""A projection as a process of its own: `python -m tests.support.till_reader NATS_URL DATABASE_URL`."""

from __future__ import annotations

import asyncio
import sys

from shared.runner import Runner
from tests.support.till import Jars

if __name__ == "__main__":
    asyncio.run(Runner(Jars(), sys.argv[1], sys.argv[2]).run())
