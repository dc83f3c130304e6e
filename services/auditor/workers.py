"""Work shared by processes: tasks are handed to whoever is free, and results come back in the order of the tasks."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Final, Generic, TypeVar

from shared.errors import LedgerError
from shared.garbage import collect_seldom

T = TypeVar("T")
R = TypeVar("R")

Tell = Callable[[int], None]
"""Told by a task how much more of it is done."""

_TOLD_EVERY: Final = 0.1
_AHEAD: Final = 64
"""Results that may wait for an earlier one: what is beyond is not begun."""


@dataclass(slots=True)
class _Worker:
    process: Any
    pipe: Connection
    busy: bool = False


class Workers(Generic[T, R]):
    """So many processes that do tasks of one kind.

    `do` is a function of a module, and tasks and results can be pickled. The processes are forked where that is safe,
    so that they have what was imported already: start them before any thread.
    """

    def __init__(self, do: Callable[[T, Tell], R], count: int) -> None:
        self._do = do
        self._workers: list[_Worker] = []
        if count > 1:
            forked = sys.platform == "linux"
            context: Any = multiprocessing.get_context("fork" if forked else "spawn")
            for _ in range(count):
                mine, theirs = context.Pipe()
                inherited = [mine, *(each.pipe for each in self._workers)] if forked else []
                process = context.Process(target=_serve, args=(theirs, do, inherited), daemon=True)
                process.start()
                theirs.close()
                self._workers.append(_Worker(process, mine))

    def __enter__(self) -> Workers[T, R]:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.pipe.close()
            worker.process.terminate()
            worker.process.join()

    def run(self, tasks: Iterable[T], told: Tell = lambda _: None) -> Iterator[R]:
        """Do all tasks, and give their results in order. Raises LedgerError when a process ends before its task."""
        if not self._workers:
            for task in tasks:
                yield self._do(task, told)
            return
        todo, results = enumerate(tasks), dict[int, R]()
        given, turn, more = 0, 0, True
        while more or turn < given:
            for worker in self._workers:
                if more and not worker.busy and given - turn < _AHEAD:
                    if (each := next(todo, None)) is None:
                        more = False
                    else:
                        worker.pipe.send(each)
                        worker.busy, given = True, given + 1
            if turn < given:
                self._receive(results, told)
            while turn in results:
                yield results.pop(turn)
                turn += 1

    def _receive(self, results: dict[int, R], told: Tell) -> None:
        for ready in wait([worker.pipe for worker in self._workers if worker.busy]):
            worker = next(each for each in self._workers if each.pipe is ready)
            try:
                number, what = worker.pipe.recv()
            except (EOFError, OSError):
                worker.process.join(1)
                raise LedgerError(
                    f"A process of the audit ended before its work was done (exit code {worker.process.exitcode}); "
                    "perhaps for want of memory. Nothing is known of the rest: run it again."
                ) from None
            if number is None:
                told(what)
            elif isinstance(what, BaseException):
                raise what
            else:
                worker.busy = False
                results[number] = what


def _serve(pipe: Connection, do: Callable[[Any, Tell], Any], inherited: list[Connection]) -> None:
    """What each process does until it is ended. Whoever started it hears of Ctrl-C, and ends it.

    The other ends of pipes that came along are closed: while one is open, nobody would learn that the starter is gone.
    """
    for each in inherited:
        each.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    collect_seldom()
    waiting, last = 0, time.monotonic()

    def tell(more: int) -> None:
        nonlocal waiting, last
        waiting += more
        if (now := time.monotonic()) - last > _TOLD_EVERY:
            pipe.send((None, waiting))
            waiting, last = 0, now

    while True:
        try:
            number, task = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            result = do(task, tell)
        except Exception as error:  # noqa: BLE001 - it is raised where the results are taken
            result = error
        pipe.send((None, waiting))
        waiting = 0
        pipe.send((number, result))
