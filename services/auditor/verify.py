"""`commons verify` over a live ledger: every check there is, with nothing taken on trust.

1. every stream is without a gap, every event parses, stands on its own subject, and names its predecessor's hash
2. where the auditor's logs are, every entry is the same bytes as the event of the stream, and leads to the signed root;
   no log is missing whose key was given, or of which the ledger itself knows a checkpoint, and none is shorter than it
3. every aggregate folds, its figures are those that its events say, and its invariants hold
4. a fresh fold of every read model equals its rows in PostgreSQL, table by table
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec

from services.auditor.chains import Chains, Unsound, nats_subject, with_id
from services.auditor.layout import log_folder
from services.auditor.merkle import Frontier, leaf_hash
from services.auditor.offline import absent, note_keys
from services.auditor.opened import Keys, OpenedLog, Unsigned, open_log, read_bundle
from services.auditor.registry import AUDITED, Audited
from services.auditor.report import Check, Progress, Report, silent
from services.auditor.tiles import BadTile
from services.projections.registry import PROJECTIONS
from shared import database, halt
from shared.comparison import compare
from shared.connection import connect
from shared.errors import Corrupt, Invalid, LedgerError, Misconfigured
from shared.event import decode_envelope
from shared.halt import Checkpointed
from shared.projection import Projection
from shared.store import stream_name
from shared.wire import Message, NoStream, StreamReader

_PAUSE_EVERY: Final = 2000


async def verify(
    nats_url: str,
    database_url: str | None,
    progress: Progress = silent,
    *,
    tiles: Path | None = None,
    keys: Keys = Keys(),  # noqa: B008 - it is frozen
    audited: Mapping[str, Audited] = AUDITED,
    projections: Iterable[Projection] | None = None,
) -> Report:
    """Check streams, aggregates, and what is given of logs (the folder of the tiles) and read models (a database).

    What is wrong is in the report; raises LedgerError only when the servers cannot be asked.
    """
    report = Report()
    published = await _published(nats_url, audited)  # before the logs are opened: they are written first
    logs: list[OpenedLog] = []
    for service, one in audited.items():
        signed, beside = _beside(service, tiles, keys, published.get(service), report)
        if beside is not None:
            logs.append(beside.log)
        report.checks.extend(await _stream(nats_url, service, one, signed, beside, progress))
    report.checks.extend(absent(logs, keys))
    note_keys(report, logs)
    if tiles is None:
        signed_here = f" The auditor has published checkpoints of {', '.join(published)}." if published else ""
        report.notes.append(
            "No logs were given: that the streams are what was signed was not looked at. Name them with --tiles."
            + signed_here
        )
    if database_url is not None and report.ok:
        chosen = list(PROJECTIONS.values()) if projections is None else list(projections)
        report.checks.extend(await _read_models(nats_url, database_url, chosen, progress))
    return report


class _Beside:
    """A service's log beside its stream: the same bytes, event by event, up to the newest checkpoint."""

    def __init__(self, log: OpenedLog) -> None:
        self.log = log
        self._entries = self._read()
        self._frontier = Frontier()
        self.count = 0

    def take(self, messages: Iterable[Message]) -> None:
        """Compare the next events of the stream. Raises Corrupt, naming the first that differs."""
        leaves = []
        for message, entry in zip(messages, self._entries, strict=False):
            if message.payload != entry:
                raise self.log.wrong(
                    message.sequence, "the stream holds other bytes than the log that was signed", message.payload
                )
            leaves.append(leaf_hash(entry))
        self._frontier.extend(leaves)
        self.count += len(leaves)

    def finish(self) -> None:
        """Check that the stream had all, and that it leads to the signed root. Raises Corrupt."""
        log = self.log
        if self.count < log.size:
            raise self._lacks(
                self.count + 1, f"it is not there: the stream ends at event {self.count:,}, and {log.size:,} were "
                "signed: its tail is lost",
            )  # fmt: skip
        if self._frontier.root() != log.newest.checkpoint.root:
            raise Corrupt(
                f"The first {log.size:,} events of {log.stream} do not lead to the root of the newest checkpoint of "
                f"{log.key.name}: they are not those that it signed.",
                stream=log.stream,
            )  # fmt: skip

    def gap(self, sequence: int) -> Corrupt | None:
        """What is wrong when the stream has no event at a sequence; None when no such event was signed."""
        if sequence > self.log.size:
            return None
        return self._lacks(sequence, "it was signed, and is missing from the stream")

    def gone(self) -> Corrupt:
        """What is wrong when there is no stream at all."""
        log = self.log
        return self._lacks(
            1, f"there is no stream {log.stream}, and {log.size:,} events of it were signed: it was deleted"
        )

    def _lacks(self, sequence: int, what: str) -> Corrupt:
        """What is wrong with an event that only the log has, which knows what it was about."""
        try:
            entry = self.log.tiles().entry(sequence - 1)
        except BadTile:
            entry = b""
        return self.log.wrong(sequence, what, entry)

    def _read(self) -> Iterator[bytes]:
        tiles = self.log.tiles()
        for index in range(self.log.bundles):
            yield from read_bundle(self.log, tiles, index)


async def _stream(
    nats_url: str, service: str, audited: Audited, signed: Check | None, beside: _Beside | None, progress: Progress
) -> list[Check]:
    """One pass over a stream, up to where it ended when the pass began, beside its log if there is one."""
    stream = stream_name(service)
    chains = Chains(*audited)
    events = Check(f"{stream}: chain", 0, "events", 0.0)
    folds = Check(f"{stream}: aggregates", 0, "aggregates", 0.0)
    began, until = time.perf_counter(), 0
    try:
        async with StreamReader(nats_url, stream, name="verify") as reader:
            until = reader.last_sequence
            async for messages in reader.batches(until=until):
                if signed is not None and beside is not None and signed.problem is None:
                    _try(signed, lambda: beside.take(messages))  # noqa: B023 - it is called at once
                for number, message in enumerate(messages):
                    chains.take(message.sequence, message.payload, message.subject)
                    if not number % _PAUSE_EVERY:
                        await asyncio.sleep(0)
                progress(events.name, chains.events, until)
        chains.finish()
    except NoStream:
        if signed is None:
            raise
        if beside is not None:
            signed.failed(beside.gone())
        return [signed]
    except Unsound as error:
        folds.failed(error)
    except Corrupt as error:
        missing = error.facts.get("expected")  # the reader of the stream names what comes after a gap
        events.failed((beside.gap(missing) if beside is not None and missing else None) or error)
    events.count, folds.count = chains.events, chains.aggregates
    events.seconds = folds.seconds = time.perf_counter() - began
    events.detail = "no gap; every event parses, and names the hash of the one before it in its aggregate"
    folds.detail = "each folds from its first event on, its figures are those of its events, and its invariants hold"
    if events.problem is None and (twice := chains.ids.repeated()):
        events.failed(await _twice(nats_url, service, min(twice), until))
    if signed is None:
        return [events, folds]
    if beside is not None:
        if signed.problem is None and events.problem is folds.problem is None:
            _try(signed, beside.finish)
        signed.count, signed.seconds = beside.count, events.seconds
    return [events, folds, signed]


async def _twice(nats_url: str, service: str, id: str, until: int) -> Corrupt:
    """What is wrong when an id is in a stream twice, with the place of the second."""
    stream, places = stream_name(service), list[tuple[int, bytes]]()
    async with StreamReader(nats_url, stream, name="verify") as reader:
        async for messages in reader.batches(until=until):
            first = messages[0].sequence - 1
            places += [(first + at, raw) for at, raw in with_id((message.payload for message in messages), id)]
    (before, _), (sequence, raw), *_ = places
    subject = nats_subject(service, decode_envelope(raw).subject)
    return Corrupt(
        f"Event {sequence:,} of {stream}, on {subject}: its id {id} was there before, at event {before:,}: one command "
        "was recorded twice.",
        stream=stream, sequence=sequence, subject=subject,
    )  # fmt: skip


async def _published(nats_url: str, services: Iterable[str]) -> dict[str, Checkpointed]:
    """The checkpoints that the ledger itself knows of, which the auditor told the writers."""
    nc = await connect(nats_url, name="verify")
    try:
        found = {service: await halt.checkpoint_of(nc, service) for service in services}
    finally:
        await nc.close()
    return {service: one for service, one in found.items() if one is not None}


def _beside(
    service: str, logs: Path | None, keys: Keys, published: Checkpointed | None, report: Report
) -> tuple[Check | None, _Beside | None]:
    """The check of a stream against its log, if there is one; with a log whose checkpoint holds.

    A log that is not there fails when somebody knows of it, and is noted otherwise.
    """
    if logs is None:
        return None, None
    stream = stream_name(service)
    check = Check(f"{stream}: log", 0, "events", 0.0)
    try:
        log = open_log(log_folder(logs, service), service, keys)
        if log is not None:
            log.check_cosigned(keys.needed)
    except Unsigned:
        log = None  # the auditor is about to sign for the first time, unless it is known to have signed
    except Corrupt as error:
        return check.failed(error), None
    size = 0 if log is None else log.size
    if published is not None and size < published.size:
        there = "there is no signed log of it" if log is None else f"the newest checkpoint is of {size:,} events"
        wrong = Corrupt(
            f"The auditor published a checkpoint of {published.size:,} events of {stream}, and in {logs} {there}: the "
            "log was removed, or an older one put in its place.",
            stream=stream,
        )  # fmt: skip
        return check.failed(wrong), None if log is None else _Beside(log)
    if log is None:
        report.notes.append(f"There is no log of {service} in {logs}: what {stream} holds is compared with nothing.")
        return None, None
    cosigned = ", ".join(log.newest.witnesses) or "nobody"
    check.detail = f"the same bytes as the entries that {log.key.name} signed, cosigned by {cosigned}"
    return check, _Beside(log)


def _try(check: Check, what: Callable[[], None]) -> None:
    try:
        what()
    except Corrupt as error:
        check.failed(error)


async def _read_models(
    nats_url: str, database_url: str, projections: list[Projection], progress: Progress
) -> list[Check]:
    try:
        connection = await database.connect(database_url)
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise Misconfigured(
            f"The read models' database cannot be reached ({str(error) or type(error).__name__}). "
            "Check DATABASE_URL, or leave it out to check the streams alone."
        ) from error
    checks = []
    try:
        await connection.set_type_codec(
            "jsonb", schema="pg_catalog", encoder=lambda v: msgspec.json.encode(v).decode(), decoder=msgspec.json.decode
        )
        for number, projection in enumerate(projections):
            progress("read models", number, len(projections))
            checks.append(await _read_model(nats_url, connection, projection))
        progress("read models", len(projections), len(projections))
    finally:
        await connection.close(timeout=2)
    return checks


async def _read_model(nats_url: str, connection: Any, projection: Projection) -> Check:
    check = Check(f"read model {projection.name}", 0, "rows", 0.0)
    began = time.perf_counter()
    try:
        found = await compare(connection, projection, nats_url)
        check.count = sum(table.rows for table in found.tables)
        check.problem = next((table.difference for table in found.tables if table.difference), None)
        at = ", ".join(f"{stream} {sequence:,}" for stream, sequence in sorted(found.positions.items()))
        check.detail = f"equal to a fresh fold as of {at}" + (f"; {found.parked} events parked" if found.parked else "")
    except (Corrupt, Invalid) as error:
        check.problem = error.detail
    except asyncpg.PostgresError as error:
        raise LedgerError(f"{projection.name} could not be read from the database: {error}") from error
    check.seconds = time.perf_counter() - began
    return check
