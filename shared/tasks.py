"""Ending tasks, so that they have ended."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Final

_AGAIN_SECONDS: Final = 1.0


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until each has ended; how they ended, errors too, is dropped.

    Before Python 3.12 `asyncio.wait_for`, which NATS's client stands on, loses a cancellation that comes in the moment
    of its result (gh-86296). A task that goes on is cancelled again.
    """
    running = {task for task in tasks if not task.done()}
    while running:
        for task in running:
            task.cancel()
        ended, running = await asyncio.wait(running, timeout=_AGAIN_SECONDS)
        for task in ended:
            if not task.cancelled():
                task.exception()  # seen, so that nobody is told of it later
