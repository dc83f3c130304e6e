"""An audit offline, as `commons verify FOLDER` does it, and the receipts that the auditor's folder gives."""

from __future__ import annotations

import asyncio
import os
import random
import resource
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import median

import pymerkle

from bench import offline
from bench.figures import Figure, against
from services.auditor.issuing import Place, issue
from services.auditor.merkle import Frontier, leaf_hash
from services.auditor.offline import verify_folder
from services.auditor.opened import Keys
from services.auditor.receipt import Receipt, verify_receipt
from services.auditor.report import Report

EVENTS = 1_000_000
"""Events of the ledger that is audited; `--small` takes a tenth."""

_ITEMS = 500
_EACH = 5_000
_TREE = 100_000
_RECEIPTS = 500


async def verify(folder: Path) -> list[Figure]:
    """Chain, tiles, signatures and folds of a pantry's ledger; and a tree beside pymerkle's, both in memory."""
    await asyncio.to_thread(_written, folder, EVENTS)
    keys = Keys((offline.LOG.verifier,), tuple(one.verifier for one in offline.WITNESSES), 2)
    began, used = time.perf_counter(), _cpu()
    report = verify_folder(folder, keys)
    took, spent = time.perf_counter() - began, _cpu() - used
    _whole(report)
    largest = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    ours, theirs = _trees(list(offline.events(_TREE, _ITEMS)))
    return [
        against("verify", EVENTS / took, "/s", "at least", 100_000, 1,
                note=f"{EVENTS:,} events in {took:.1f} s and {spent:.1f} s of processor time, "
                f"on {os.cpu_count()} processors, load of the machine {os.getloadavg()[0]:.1f}; "
                f"the largest process {largest / 1e3:.0f} MB"),
        against("verify_tree", ours, "/s", "pymerkle", theirs, 1, note=f"the root over {_TREE:,} entries in memory"),
    ]  # fmt: skip


async def receipt(folder: Path) -> list[Figure]:
    """A receipt out of tiles on disk, each time as if it were the first."""
    await asyncio.to_thread(_written, folder, EVENTS // 5)
    picks = random.Random(6).sample(range(1, EVENTS // 5 + 1), _RECEIPTS)
    seconds: list[float] = []
    used: list[float] = []
    made: list[Receipt] = []
    for sequence in picks:
        began, before = time.perf_counter(), time.process_time()
        one = issue(folder, Place("inventory", sequence), cosigned=2)
        seconds.append(time.perf_counter() - began)
        used.append(time.process_time() - before)
        assert one is not None
        made.append(one)
    for one in made:
        assert one.extra is not None
        verify_receipt(one, one.extra, offline.LOG.verifier, [each.verifier for each in offline.WITNESSES], 2)
    p99, p99_used = (sorted(each)[int(_RECEIPTS * 0.99)] * 1e3 for each in (seconds, used))
    note = (
        f"p50 {median(seconds) * 1e3:.1f} ms; processor time p50 {median(used) * 1e3:.1f} ms, p99 {p99_used:.1f} ms; "
        f"load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"
    )
    return [against("receipt_p99", p99, "ms", "at most", 10, 1, lower=True, note=note)]


def _written(folder: Path, count: int) -> None:
    offline.write(folder / "inventory", offline.events(count, _ITEMS), each=_EACH)


def _whole(report: Report) -> None:
    if not report.ok or next(check.count for check in report.checks if check.name == "inventory: root") != EVENTS:
        raise RuntimeError(f"the ledger that was made is not whole: {report.first_problem}")


def _cpu() -> float:
    return sum(
        used.ru_utime + used.ru_stime
        for used in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )


def _trees(entries: list[bytes]) -> tuple[float, float]:
    """Entries a second into a root, here and in pymerkle."""
    began = time.perf_counter()
    frontier = Frontier()
    frontier.extend(map(leaf_hash, entries))
    root = frontier.root()
    between = time.perf_counter()
    theirs = _pymerkle(entries)
    ended = time.perf_counter()
    assert root == theirs
    return len(entries) / (between - began), len(entries) / (ended - between)


def _pymerkle(entries: Iterable[bytes]) -> bytes:
    tree = pymerkle.InmemoryTree(algorithm="sha256")
    for entry in entries:
        tree.append_entry(entry)
    root: bytes = tree.get_root()
    return root
