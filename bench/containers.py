"""The deployment in containers: how soon it is up, what it takes while nobody works, and what it bears."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Final

from bench.figures import Figure, against
from tests.support import compose
from tests.support.acknowledged import Answered
from tests.support.compose import SERVICES, NoEngine, Stack
from tests.support.faults import Fault, Recovery, memory, under_load
from tests.support.load import Options

_CLIENTS: Final = 64
_SECONDS: Final = 20.0
_WARM_UP: Final = 3.0
_IDLE_SECONDS: Final = 20.0
_FAULTS: Final = (
    Fault("kill", ("nats",)), Fault("kill", ("postgres",)), Fault("kill", ("inventory",)),
    Fault("kill", ("projections",)), Fault("disconnect", ("nats",), 4.0), Fault("move", ("postgres",)),
    Fault("restart", SERVICES),
)  # fmt: skip


async def containers(folder: Path) -> list[Figure]:
    """Everything about docker-compose.yml; nothing where no Docker engine answers."""
    try:
        compose.engine().close()
        return await asyncio.to_thread(_measured, folder)
    except NoEngine as missing:
        print(f"left out ({missing})", end=" ", flush=True)
        return []


def _measured(folder: Path) -> list[Figure]:
    began = time.perf_counter()
    compose.build()
    built = time.perf_counter() - began
    with compose.stack(folder / "secrets", build=False) as stack:
        up = time.perf_counter() - began
        size = stack.engine.images.get(stack.image).attrs["Size"] / 1e6
        time.sleep(_IDLE_SECONDS)
        idle = {name.removeprefix(f"{stack.project}-"): used for name, (used, _) in memory(stack).items()}
        answered = _loaded(stack)
        recoveries = _broken(stack)
    largest = ", ".join(f"{name} {used >> 20}" for name, used in sorted(idle.items(), key=lambda one: -one[1])[:4])
    took = sorted(one.answered - one.asked for one in answered)
    rate = len(took) / (max(one.answered for one in answered) - min(one.asked for one in answered))
    p99 = took[int(len(took) * 0.99)] * 1e3
    note = (
        f"{_CLIENTS} clients, one sender for each, over {_SECONDS:g} s; p50 {took[len(took) // 2] * 1e3:.0f} ms; the "
        f"machine's load is {os.getloadavg()[0]:.1f}, of {os.cpu_count()} processors"
    )
    return [
        against("containers_up", up, "s", "from a bare clone, at most", 120, 1, lower=True,
                note=f"{built:.0f} s of it build the image, without anything that was built before"),
        against("containers_image", size, "MB", "at most", 250, 1, lower=True),
        against("containers_idle_memory", sum(idle.values()) / 1e9, "GB", "at most", 1.5, 1, lower=True,
                note=f"of {len(idle)} containers, in MiB: {largest}"),
        Figure("containers_commands", rate, "/s", note=note),
        Figure("containers_p99", p99, "ms"),
        *(_recovery(one) for one in recoveries),
    ]  # fmt: skip


def _recovery(one: Recovery) -> Figure:
    return Figure(f"recovery: {one.fault}", one.well, "s", note=f"commands answered again after {one.answered:.1f} s")


def _loaded(stack: Stack) -> list[Answered]:
    """Commands of inventory, as fast as they are answered; the first seconds are left out."""
    options = Options(services=("inventory",), callers=_CLIENTS, pace=0.0, run="bench", seconds=_WARM_UP + _SECONDS)
    with under_load(stack, options, []) as work:
        work.answers.join(_WARM_UP + _SECONDS + 60)
        answers = [one for one in work.answers.all() if one.event is not None]
    first = min(one.asked for one in answers) + _WARM_UP
    return [one for one in answers if one.asked >= first]


def _broken(stack: Stack) -> list[Recovery]:
    """Some faults under steady load, each with all that must be true after it."""
    seen: list[Recovery] = []
    with under_load(stack, Options(pace=0.4, run="faults"), seen) as work:
        for fault in _FAULTS:
            work.inflict(fault)
    return seen
