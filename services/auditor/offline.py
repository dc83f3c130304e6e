"""`commons verify FOLDER`: every check there is over the logs in a folder, without a network and without a database.

1. every entry parses, and follows the one before it in its aggregate; none is there twice
2. the hash over the entries is in every hash tile and every checkpoint, and every signature holds
3. every aggregate folds, its figures are those that its events say, and its invariants hold

The work is cut into pieces for as many processes as there are processors: the aggregates of a log by a checksum of
their names, the hashes by bundles, the checkpoints by hundreds. No piece holds the events that it has read.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Final

from services.auditor import merkle
from services.auditor.chains import Chains, Ids, Unsound, with_id
from services.auditor.checkpoint import MAX_SIZE, unverified
from services.auditor.layout import SERVICES, log_folder
from services.auditor.merkle import HASH_BYTES, pair_hashes
from services.auditor.opened import (
    Keys,
    Missing,
    OpenedLog,
    Signed,
    Tree,
    bounded_reader,
    check_note,
    history,
    open_log,
    read_bundle,
    strays,
)
from services.auditor.receipt import HEADER, Receipt
from services.auditor.registry import AUDITED, Audited
from services.auditor.report import Check, Progress, Report, silent
from services.auditor.tiles import WIDTH, tile_path
from services.auditor.workers import Tell, Workers
from shared.errors import Corrupt, Invalid, LedgerError

_SMALL: Final = 20_000
"""Events up to which a log is folded by one process."""

_HASHED: Final = 256
"""Bundles that are hashed at a time."""

_NOTES: Final = 200
"""Checkpoints whose signatures are checked at a time."""

_TOLD: Final = 16
"""Bundles after which a process says how far it is."""


# -- the pieces of work -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fold:
    """Follow one part of a log's aggregates from their first event on."""

    log: OpenedLog
    part: int
    parts: int


@dataclass(frozen=True, slots=True)
class Hash:
    """Hash the entries of some bundles, and compare with the hash tiles."""

    log: OpenedLog
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Open:
    """Check the signatures of some checkpoints, each with where it stands and when it was published."""

    log: OpenedLog
    notes: list[tuple[str, str, str]]


Piece = Fold | Hash | Open


@dataclass(slots=True)
class Outcome:
    """What a piece of work found; `problem` is the first thing wrong in it."""

    seconds: float = 0.0
    problem: Corrupt | None = None
    events: int = 0
    aggregates: int = 0
    checks: int = 0
    ids: Ids = field(default_factory=Ids)
    erased: set[str] = field(default_factory=set)
    owners: Counter[tuple[str, ...]] = field(default_factory=Counter)
    bundles: list[bytes] = field(default_factory=list)
    tile: str = ""
    """The hash tile that is not what the entries make it, which is the problem unless the entries are."""
    signed: list[Signed] = field(default_factory=list)


def work(piece: Piece, tell: Tell, audited: Mapping[str, Audited] = AUDITED) -> Outcome:
    """Do one piece."""
    outcome, began = Outcome(), time.process_time()
    try:
        match piece:
            case Fold():
                _fold(piece, tell, outcome, audited[piece.log.service])
            case Hash():
                _hash(piece, tell, outcome)
            case Open():
                _open(piece, outcome)
    except Corrupt as error:
        outcome.problem = error
    outcome.seconds = time.process_time() - began
    return outcome


def _fold(piece: Fold, tell: Tell, outcome: Outcome, audited: Audited) -> None:
    log, tiles = piece.log, piece.log.tiles()
    chains = Chains(*audited, piece.part, piece.parts)
    take, mine, whole = chains.take, chains.mine, piece.parts == 1
    told = 0
    try:
        for index in range(log.bundles):
            for sequence, raw in enumerate(read_bundle(log, tiles, index), index * WIDTH + 1):
                if whole or mine(raw):
                    take(sequence, raw)
            if index % _TOLD == 0:
                tell(chains.events - told)
                told = chains.events
        chains.finish()
    finally:
        tell(chains.events - told)
        outcome.events, outcome.aggregates, outcome.checks = chains.events, chains.aggregates, chains.checks
    outcome.ids, outcome.erased, outcome.owners = chains.ids, chains.erased(), chains.owners()


def _hash(piece: Hash, tell: Tell, outcome: Outcome) -> None:
    log, tiles = piece.log, piece.log.tiles()
    for index in range(piece.first, piece.last):
        entries = read_bundle(log, tiles, index)
        leaves = [sha256(b"\x00" + raw).digest() for raw in entries]
        whole = b"".join(leaves)
        path = tile_path(0, index, len(entries))
        tile = log.read(path) or log.read(tile_path(0, index))
        if tile[: len(whole)] != whole and outcome.problem is None:
            at = next(at for at, leaf in enumerate(leaves) if tile[at * HASH_BYTES : (at + 1) * HASH_BYTES] != leaf)
            outcome.tile = path
            outcome.problem = log.wrong(
                index * WIDTH + at + 1, f"its hash is not the one in {path}: one of the two was changed", entries[at]
            )
        if len(leaves) == WIDTH:
            while len(leaves) > 1:
                leaves = pair_hashes(leaves)
            outcome.bundles.append(leaves[0])
        outcome.events += len(entries)
        tell(len(entries))


def _open(piece: Open, outcome: Outcome) -> None:
    for where, time_, note in piece.notes:
        said = f"The checkpoint of {time_[:40]} ({where})"
        outcome.signed.append(check_note(note.encode(), piece.log.key, piece.log.witnesses, said))


# -- the audit --------------------------------------------------------------------------------------------------------


def verify_folder(
    folder: Path, keys: Keys, progress: Progress = silent, *, known: Sequence[Path] = (), jobs: int | None = None,
    patience: float = 3.0, audited: Mapping[str, Audited] = AUDITED,
) -> Report:  # fmt: skip
    """Check every log in a folder. What is wrong is in the report.

    `known` are files with a checkpoint that is known from elsewhere: a note, or a receipt. `jobs` are processes; as
    many as there are processors if left out. In a folder that somebody writes to, entries may go beyond the checkpoint:
    that it grows is waited for `patience` seconds. Raises Invalid when there is no log at all.
    """
    report = Report()
    logs: list[OpenedLog] = []
    for service in audited:
        check = Check(f"{service}: newest checkpoint", 0, "signatures", 0.0)
        try:
            log = open_log(log_folder(folder, service), service, keys)
        except Corrupt as error:
            report.checks.append(check.failed(error))
            continue
        if log is None:
            report.notes.append(f"There is no log of {service} here, and nothing is known of it.")
            continue
        logs.append(log)
        report.checks.append(_newest(log, keys, check))
    if not report.checks:
        raise Invalid(f"{folder} holds no log of {', '.join(SERVICES)}: it is no copy of a ledger.", path=str(folder))
    report.checks += absent(logs, keys, known)
    note_keys(report, logs)
    do = work if audited is AUDITED else partial(work, audited=audited)
    with Workers(do, jobs or os.cpu_count() or 1) as workers:
        total = sum(2 * log.size for log in logs)
        done = 0

        def told(more: int) -> None:
            nonlocal done
            done += more
            progress("events, read twice", done, total)

        told(0)
        pieces = [piece for log in sorted(logs, key=lambda log: -log.size) for piece in _pieces(log, jobs)]
        pieces.sort(key=lambda piece: not isinstance(piece, Fold))
        outcomes = list(zip(pieces, workers.run(pieces, told), strict=True))
        for log in logs:
            mine = [(piece, outcome) for piece, outcome in outcomes if piece.log is log]
            _judge(log, mine, workers, progress, report, known, patience)
    return report


def _newest(log: OpenedLog, keys: Keys, check: Check) -> Check:
    newest = log.newest
    check.count = 1 + len(newest.witnesses)
    check.detail = f"{log.size:,} events, signed by {log.key.name} (key {log.key.key_id.hex()}), " + (
        f"cosigned by {', '.join(newest.witnesses)} up to {_moment(newest.cosigned_at)}"
        if newest.witnesses
        else "cosigned by nobody"
    )
    try:
        log.check_cosigned(keys.needed)
    except Corrupt as error:
        check.failed(error)
    return check


def absent(logs: Sequence[OpenedLog], keys: Keys, known: Sequence[Path] = ()) -> Iterator[Check]:
    """Logs that whoever verifies knows of, by a key or a checkpoint, and that are not there: each a failed check."""
    origins = {log.key.name for log in logs}
    for key in keys.logs:
        if key.name not in origins:
            yield Check(f"{key.name}: log", 0, "logs", 0.0).failed(
                Corrupt(f"A key of the log {key.name} was given, and no such log is here that the key opens.")
            )
    for path in known:
        if (origin := unverified(_known_note(path)).origin) not in origins:
            yield Check(f"{origin}: log", 0, "logs", 0.0).failed(
                Corrupt(f"The checkpoint in {path} is of the log {origin}, and no such log is here.")
            )


def note_keys(report: Report, logs: Sequence[OpenedLog]) -> None:
    """Say plainly what keys that came with the folder are worth."""
    own = [log.service for log in logs if "log" in log.own_keys]
    if own:
        report.notes.append(
            f"The keys of {', '.join(own)} were taken from the folder itself: that shows that the copy agrees with "
            "itself, and not who signed it. Give --log-key with a key that you have from elsewhere."
        )
    if any("witnesses" in log.own_keys for log in logs):
        report.notes.append(
            "The witnesses' keys were taken from the folder itself, too: give --witness-key, and --witnesses for how "
            "many of them must have cosigned."
        )


def _pieces(log: OpenedLog, jobs: int | None) -> Iterator[Piece]:
    parts = 1 if log.size <= _SMALL else jobs or os.cpu_count() or 1
    for part in range(parts):
        yield Fold(log, part, parts)
    # A checkpoint may say any number, and whoever made the copy may have signed it: what is there bounds the work. The
    # first bundle that is not is looked at as well, and named.
    last = min(log.bundles, _there(log) + 1)
    for first in range(0, last, _HASHED):
        yield Hash(log, first, min(first + _HASHED, last))


def _there(log: OpenedLog) -> int:
    """How many bundles there are before the first that is not."""
    for index in range(log.bundles):
        width = min(WIDTH, log.size - index * WIDTH)
        if not any((log.folder / tile_path(None, index, each)).exists() for each in {WIDTH, width}):
            return index
    return log.bundles


def _judge(
    log: OpenedLog, outcomes: list[tuple[Piece, Outcome]], workers: Workers[Piece, Outcome], progress: Progress,
    report: Report, known: Sequence[Path], patience: float,
) -> None:  # fmt: skip
    """Put together what the pieces of one log found."""
    folds = [outcome for piece, outcome in outcomes if isinstance(piece, Fold)]
    hashes = [outcome for piece, outcome in outcomes if isinstance(piece, Hash)]
    chain = _chain(log, folds)
    root, tree = _root(log, hashes)
    report.checks += [chain, root, _aggregates(log, folds)]
    if tree is None:
        return
    if root.problem is None and (problem := _beyond(log, patience, report)) is not None:
        root.failed(problem)
    published, fitting = _history(log, tree, workers, progress)
    report.checks.append(published)
    if not published.count and published.problem is None:
        report.notes.append(f"The log of {log.service} has no history of checkpoints: the newest alone was checked.")
    if root.problem is not None and "sequence" not in root.facts:
        root.problem += fitting
    report.checks += [check for path in known if (check := _known(log, tree, path)) is not None]


def _chain(log: OpenedLog, folds: Sequence[Outcome]) -> Check:
    check = Check(
        f"{log.service}: chain", sum(each.events for each in folds), "events", sum(each.seconds for each in folds),
        detail="every event parses, and names the hash of the one before it in its aggregate; no id is there twice",
    )  # fmt: skip
    ids = Ids()
    for each in folds:
        ids.extend(each.ids)
        each.ids = Ids()
    found = [each.problem for each in folds if each.problem and not isinstance(each.problem, (Unsound, Missing))]
    if found:
        return check.failed(min(found, key=_sequence))
    twice = [wrong for id in ids.repeated() if (wrong := _twice(log, id)) is not None]
    return check.failed(min(twice, key=_sequence)) if twice else check


def _twice(log: OpenedLog, id: str) -> Corrupt | None:
    tiles = log.tiles()
    entries = (raw for index in range(log.bundles) for raw in read_bundle(log, tiles, index))
    (first, _), *others = with_id(entries, id)
    for sequence, raw in others[:1]:
        return log.wrong(
            sequence, f"its id {id} was there before, at event {first:,}: one command was recorded twice", raw
        )
    return None


def _aggregates(log: OpenedLog, folds: Sequence[Outcome]) -> Check:
    erased: set[str] = set().union(*(each.erased for each in folds))
    sealed = sum(count for each in folds for owners, count in each.owners.items() if not erased.isdisjoint(owners))
    check = Check(
        f"{log.service}: aggregates", sum(each.aggregates for each in folds), "aggregates",
        sum(each.seconds for each in folds),
        detail="each folds from its first event on, its figures are those that its events say, and its invariants hold "
        f"({sum(each.checks for each in folds):,} times looked at in whole)",
    )  # fmt: skip
    if erased:
        check.detail += f"; {sealed:,} hold data of the {len(erased):,} people erased, and stay sealed"
    found = [each.problem for each in folds if isinstance(each.problem, Unsound)]
    return check.failed(min(found, key=_sequence)) if found else check


def _root(log: OpenedLog, hashes: Sequence[Outcome]) -> tuple[Check, Tree | None]:
    """The root over the entries beside the checkpoint's, and the tree of them unless some are missing."""
    newest, tiles = log.newest.checkpoint, log.tiles()
    check = Check(
        f"{log.service}: root", sum(each.events for each in hashes), "events", sum(each.seconds for each in hashes),
        detail=f"the entries lead to the root {newest.root.hex()[:16]}…, and so does every hash tile",
    )  # fmt: skip
    problems = [each.problem for each in hashes if each.problem is not None]
    missing = [each for each in problems if isinstance(each, Missing)]
    if missing:
        return check.failed(min(missing, key=_sequence)), None
    tree = Tree([node for each in hashes for node in each.bundles], partial(read_bundle, log, tiles))
    found = merkle.root_at(tree.subtree, log.size)
    if found != newest.root:
        if problems:
            return check.failed(min(problems, key=_sequence)), tree
        wrong = Corrupt(
            f"The {log.size:,} events of {log.stream} lead to the root {found.hex()}, and the newest checkpoint says "
            f"{newest.root.hex()}: they are not those that {log.key.name} signed.",
            stream=log.stream,
        )  # fmt: skip
        return check.failed(wrong), tree
    changed = next((each.tile for each in hashes if each.tile), None) or _changed(log, tree)
    if changed:
        wrong = Corrupt(
            f"The hash tile {changed} of the log of {log.service} is not what the entries make it, and they are those "
            "that were signed: the tile was changed or is missing.",
            stream=log.stream, path=changed,
        )  # fmt: skip
        check.failed(wrong)
    return check, tree


def _changed(log: OpenedLog, tree: Tree) -> str | None:
    """The first hash tile above the lowest level that is not what it should be."""
    level = 1
    while nodes := tree.nodes(level):
        for first in range(0, len(nodes), WIDTH):
            should = b"".join(nodes[first : first + WIDTH])
            path = tile_path(level, first // WIDTH, len(should) // HASH_BYTES)
            tile = log.read(path) or log.read(tile_path(level, first // WIDTH))
            if tile[: len(should)] != should:
                return path
        level += 1
    return None


def _beyond(log: OpenedLog, patience: float, report: Report) -> Corrupt | None:
    """Files that the newest checkpoint has not, unless the log grows meanwhile."""
    found = next(strays(log), None)
    if found is None:
        return None
    until = time.monotonic() + patience
    while time.monotonic() < until and not found.contradicts:
        if log.grown():
            report.notes.append(f"The log of {log.service} is being written to: it was checked as it was at first.")
            return None
        time.sleep(0.2)
    return Corrupt(f"In the log of {log.service}, {found.what}.", stream=log.stream, path=found.path)


def _history(log: OpenedLog, tree: Tree, workers: Workers[Piece, Outcome], progress: Progress) -> tuple[Check, str]:
    """Every checkpoint that was published: its signatures, and that it begins the tree; and where that ends to hold."""
    check = Check(f"{log.service}: checkpoints", 0, "checkpoints", 0.0)
    cosigned, before, fits = 0, 0, 0
    began = time.perf_counter()
    try:
        for outcome in workers.run(_notes(log)):
            for signed in outcome.signed:
                if signed.checkpoint.size > log.size and log.grown():
                    break  # it was published since the log was opened
                _consistent(log, tree, signed, before)
                before = fits = signed.checkpoint.size
                check.count += 1
                cosigned += len(signed.witnesses)
            if outcome.problem is not None:
                raise outcome.problem
            progress(check.name, before, log.size)
    except Corrupt as error:
        check.failed(error)
    check.seconds = time.perf_counter() - began
    check.detail = f"each signed, {cosigned:,} cosignatures, and each begins the tree of the next"
    if check.problem is None:
        return check, ""
    return check, f" Up to event {fits:,} they are those of the checkpoints before."


def _notes(log: OpenedLog) -> Iterator[Piece]:
    lines = ((where, published.time, published.note) for where, published in history(log.folder))
    while part := list(islice(lines, _NOTES)):
        yield Open(log, part)


def _consistent(log: OpenedLog, tree: Tree, signed: Signed, before: int) -> None:
    size, facts = signed.checkpoint.size, {"stream": log.stream, "sequence": signed.checkpoint.size}
    if size > log.size:
        raise Corrupt(
            f"{signed.said} of {log.key.name} is of {size:,} events, and the newest one of {log.size:,}: the log was "
            f"cut off, and events {log.size + 1:,} to {size:,} are missing.",
            stream=log.stream, sequence=log.size + 1,
        )  # fmt: skip
    if size < before:
        raise Corrupt(
            f"{signed.said} of {log.key.name} is of {size:,} events, and the one published before it of {before:,}: a "
            "log never shrinks.",
            **facts,
        )
    if (found := merkle.root_at(tree.subtree, size)) != signed.checkpoint.root:
        raise Corrupt(
            f"{signed.said} of {log.key.name} says that the first {size:,} events have the root "
            f"{signed.checkpoint.root.hex()}, and those that are here have {found.hex()}. Its signature holds: whoever "
            "has the key signed two histories.",
            **facts,
        )


def _known(log: OpenedLog, tree: Tree, path: Path) -> Check | None:
    """A checkpoint that was kept elsewhere, beside the log; None when it is another log's."""
    raw = _known_note(path)
    if unverified(raw).origin != log.key.name:
        return None
    check = Check(f"{log.service}: known checkpoint", 1, "checkpoints", 0.0)
    try:
        signed = check_note(raw, log.key, log.witnesses, f"The checkpoint in {path}")
        _consistent(log, tree, signed, 0)
    except Corrupt as error:
        return check.failed(error)
    check.detail = f"{path.name}, of {signed.checkpoint.size:,} events, begins this log"
    return check


def _known_note(path: Path) -> bytes:
    """The note in a file that holds one, or a receipt."""
    raw = bounded_reader(path.parent)(path.name)
    if raw is None:
        raise Invalid(f"There is no file {path}: --known takes a file with a checkpoint, or a receipt.", path=str(path))
    return Receipt.parse(raw.decode(errors="replace")).checkpoint if raw.startswith(HEADER.encode()) else raw


def _sequence(error: LedgerError) -> int:
    """Where an error is; at the end when it is of no event in particular."""
    return int(error.facts.get("sequence", MAX_SIZE))


def _moment(seconds: int) -> str:
    return f"{datetime.fromtimestamp(min(seconds, 253_402_300_799), UTC):%Y-%m-%d %H:%M:%S} UTC"
