"""Tasks are done by whoever is free, and their results come in order."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from services.auditor.workers import Tell, Workers
from shared.errors import Corrupt, LedgerError

ROOT = Path(__file__).parents[3]


def square(number: int, tell: Tell) -> int:
    if number == 13:
        raise Corrupt("thirteen", sequence=13)
    if number == 99:
        os._exit(7)
    time.sleep(0.02 if number % 5 == 0 else 0)
    tell(1)
    return number * number


@pytest.mark.parametrize("count", [1, 2, 3])
def test_results_come_in_the_order_of_the_tasks(count: int) -> None:
    told: list[int] = []
    with Workers(square, count) as workers:
        assert list(workers.run(range(12), told.append)) == [n * n for n in range(12)]
        assert list(workers.run([3], told.append)) == [9]
        assert list(workers.run([])) == []
    assert sum(told) == 13


def test_more_tasks_than_fit_are_taken_as_they_are_done() -> None:
    taken = 0

    def tasks():  # type: ignore[no-untyped-def]
        nonlocal taken
        for number in range(14, 99):
            taken += 1
            yield number

    with Workers(square, 2) as workers:
        results = workers.run(tasks())
        assert next(results) == 196 and taken < 85
        assert len(list(results)) == 84


def test_an_error_is_raised_where_results_are_taken() -> None:
    with Workers(square, 2) as workers, pytest.raises(Corrupt, match="thirteen") as caught:
        list(workers.run([1, 13, 2]))
    assert caught.value.facts == {"sequence": 13}


def test_a_process_that_dies_is_told() -> None:
    with Workers(square, 2) as workers, pytest.raises(LedgerError, match="exit code 7"):
        list(workers.run([1, 99, 2]))


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_processes_end_when_who_started_them_is_killed() -> None:
    script = (
        "import time; from services.auditor.workers import Workers\n"
        "from tests.unit.auditor.test_workers import square\n"
        "w = Workers(square, 3); print(*(one.process.pid for one in w._workers), flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=ROOT) as starter:
        assert starter.stdout is not None
        pids = starter.stdout.readline().split()
        starter.kill()
    assert len(pids) == 3
    deadline = time.monotonic() + 10
    while any(running(int(pid)) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
