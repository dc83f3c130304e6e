"""Tasks that are to end have ended, even one that lost its first cancellation."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from shared.tasks import end


async def test_a_task_that_lost_its_cancellation_is_cancelled_again() -> None:
    lost = 0

    async def stubborn() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                lost += 1
                if lost > 1:
                    raise

    async def failing() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        raise ValueError("on the way out")

    done = asyncio.create_task(asyncio.sleep(0))
    await done
    tasks = [asyncio.create_task(stubborn()), asyncio.create_task(failing()), done]
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await end(tasks)
    assert all(task.done() for task in tasks) and lost == 2
    await end([])


async def test_the_cancellation_of_who_waits_is_not_lost() -> None:
    async def never_ends() -> None:
        while not released.is_set():
            with suppress(asyncio.CancelledError):
                await released.wait()

    released = asyncio.Event()
    task = asyncio.create_task(never_ends())
    waiting = asyncio.create_task(end([task]))
    await asyncio.sleep(0.01)
    waiting.cancel()
    done, _ = await asyncio.wait([waiting], timeout=10)
    assert done and waiting.cancelled()
    released.set()
    await task
