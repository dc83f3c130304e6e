"""`commons verify` over a live stream and the auditor's log of it: both must tell the same story, byte for byte."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import nats
import pytest

from services.auditor.merkle import leaf_hash, root_of
from services.auditor.notes import Signer
from services.auditor.opened import Keys
from services.auditor.report import Report
from services.auditor.tiles import CHECKPOINT
from services.auditor.verify import verify
from services.local.nats import NatsServer
from shared.errors import Misconfigured
from shared.event import decode_envelope
from shared.halt import Checkpointed, publish_checkpoint
from tests.support.jars import AUDITED, LOG, WITNESSES, Jars, note_of, write_log

EVENTS = 600


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[NatsServer]:
    async with NatsServer(tmp_path / "nats") as running:
        yield running


async def stream(server: NatsServer, raws: Sequence[bytes]) -> None:
    nc = await nats.connect(server.url)
    js = nc.jetstream()
    await js.add_stream(name="TOY", subjects=["ledger.toy.>"])
    for raw in raws:
        name = raw.partition(b'"subject":"')[2].partition(b'"')[0].decode()
        await js.publish(f"ledger.toy.{name.replace('/', '.')}", raw)
    await nc.close()


async def verified(server: NatsServer, logs: Path | None, keys: Keys = Keys((LOG.verifier,)), **more: Any) -> Report:  # noqa: B008
    return await verify(server.url, None, tiles=logs, keys=keys, audited=AUDITED, **more)


async def test_a_stream_that_is_what_was_signed(tmp_path: Path, server: NatsServer) -> None:
    jars = Jars.filled(EVENTS)
    await stream(server, jars.add("late", 1).raws)
    write_log(tmp_path / "logs", jars.raws[:EVENTS])
    report = await verified(server, tmp_path / "logs")
    assert report.ok, report.first_problem
    assert {check.name: check.count for check in report.checks} == {
        "TOY: chain": EVENTS + 1, "TOY: aggregates": 8, "TOY: log": EVENTS,
    }  # fmt: skip
    without = await verified(server, None, Keys())
    assert without.ok and "was not looked at" in without.notes[0]


async def test_an_event_whose_bytes_are_not_those_that_were_signed(tmp_path: Path, server: NatsServer) -> None:
    """The last event of its aggregate: the chain alone cannot tell."""
    jars = Jars.filled(EVENTS)
    write_log(tmp_path / "logs", jars.raws)
    jars.raws[EVENTS - 1] = jars[EVENTS].replace(b"sam", b"tom")
    await stream(server, jars.raws)
    assert (await verified(server, None, Keys())).ok
    report = await verified(server, tmp_path / "logs")
    assert report.first is not None and report.first.name == "TOY: log"
    assert report.first.facts == {"stream": "TOY", "sequence": EVENTS, "subject": "ledger.toy.jar.j4"}


async def test_a_stream_that_lost_its_tail(tmp_path: Path, server: NatsServer) -> None:
    jars = Jars.filled(EVENTS)
    write_log(tmp_path / "logs", jars.raws)
    await stream(server, jars.raws[:500])
    report = await verified(server, tmp_path / "logs")
    assert report.first is not None
    assert report.first.facts == {"stream": "TOY", "sequence": 501, "subject": "ledger.toy.jar.j3"}
    assert "its tail is lost" in str(report.first_problem)


async def test_an_event_deleted_out_of_a_stream(tmp_path: Path, server: NatsServer) -> None:
    jars = Jars.filled(EVENTS)
    write_log(tmp_path / "logs", jars.raws)
    await stream(server, jars.raws)
    nc = await nats.connect(server.url)
    await nc.jetstream().delete_msg("TOY", 400)
    await nc.close()
    report = await verified(server, tmp_path / "logs")
    assert report.first is not None and "is missing from the stream" in str(report.first_problem)
    assert report.first.facts == {"stream": "TOY", "sequence": 400, "subject": "ledger.toy.jar.j0"}
    assert "goes from 399 to 401" in str((await verified(server, None)).first_problem)


async def test_a_stream_deleted_and_made_anew(tmp_path: Path, server: NatsServer) -> None:
    write_log(tmp_path / "logs", Jars.filled(EVENTS).raws)
    await stream(server, Jars.filled(EVENTS, jars=5).raws)
    report = await verified(server, tmp_path / "logs")
    assert report.first is not None and report.first.facts["sequence"] == 6


async def test_tiles_made_anew_under_a_checkpoint_that_was_signed_before(tmp_path: Path, server: NatsServer) -> None:
    jars = Jars.filled(EVENTS, jars=5)
    await stream(server, jars.raws)
    folder = write_log(tmp_path / "logs", jars.raws)
    before = root_of([leaf_hash(raw) for raw in Jars.filled(EVENTS).raws])
    (folder / CHECKPOINT).write_bytes(note_of(EVENTS, before))
    report = await verified(server, tmp_path / "logs")
    assert "do not lead to the root" in str(report.first_problem)


async def test_a_checkpoint_that_too_few_signed(tmp_path: Path, server: NatsServer) -> None:
    jars = Jars.filled(10)
    await stream(server, jars.raws)
    write_log(tmp_path / "logs", jars.raws, cosigned=1)
    witnesses = tuple(one.verifier for one in WITNESSES)
    assert (await verified(server, tmp_path / "logs", Keys((LOG.verifier,), witnesses, 1))).ok
    assert not (await verified(server, tmp_path / "logs", Keys((LOG.verifier,), witnesses, 2))).ok
    assert not (await verified(server, tmp_path / "logs", Keys((Signer.generate(LOG.name).verifier,)))).ok


def gone(folder: Path) -> None:
    shutil.rmtree(folder)


def unsigned(folder: Path) -> None:
    (folder / CHECKPOINT).unlink()


@pytest.mark.parametrize("remove", [gone, unsigned])
async def test_a_log_that_was_removed(tmp_path: Path, server: NatsServer, remove: Callable[[Path], None]) -> None:
    """Who changed the last event of an aggregate takes away what it would be compared with."""
    jars = Jars.filled(20)
    await stream(server, jars.raws)
    remove(write_log(tmp_path / "logs", jars.raws))
    report = await verified(server, tmp_path / "logs", Keys())
    assert report.ok and "There is no log of toy" in report.notes[0]
    report = await verified(server, tmp_path / "logs")
    assert report.first is not None and f"A key of the log {LOG.name} was given" in str(report.first_problem)
    assert not (await verified(server, None)).ok
    await published(server, 20)
    report = await verified(server, tmp_path / "logs", Keys())
    assert report.first is not None and report.first.name == "TOY: log"
    assert "a checkpoint of 20 events of TOY, and in" in str(report.first_problem)


async def test_an_older_log_put_in_place_of_what_was_published(tmp_path: Path, server: NatsServer) -> None:
    jars = Jars.filled(20)
    await stream(server, jars.raws)
    write_log(tmp_path / "logs", jars.raws[:10])
    assert (await verified(server, tmp_path / "logs")).ok
    await published(server, 20)
    report = await verified(server, tmp_path / "logs")
    assert "the newest checkpoint is of 10 events" in str(report.first_problem)


async def test_keys_out_of_the_folder_are_said_to_prove_little(tmp_path: Path, server: NatsServer) -> None:
    jars = Jars.filled(10)
    await stream(server, jars.raws)
    write_log(tmp_path / "logs", jars.raws)
    report = await verified(server, tmp_path / "logs", Keys())
    assert report.ok and "The keys of toy were taken from the folder itself" in report.notes[0]


async def published(server: NatsServer, size: int) -> None:
    """What the auditor tells the writers when it has signed."""
    nc = await nats.connect(server.url)
    await publish_checkpoint(nc, "toy", Checkpointed(size=size, root="", at="2026-11-26T00:00:00Z"))
    await nc.close()


async def test_a_command_recorded_twice_is_seen(server: NatsServer) -> None:
    jars = Jars.filled(20)
    jars.add("other", 1, id=decode_envelope(jars[7]).id)
    await stream(server, jars.raws)
    report = await verified(server, None, Keys())
    assert report.first is not None and "recorded twice" in str(report.first_problem)
    assert report.first.facts == {"stream": "TOY", "sequence": 21, "subject": "ledger.toy.jar.other"}


async def test_a_stream_that_was_deleted(tmp_path: Path, server: NatsServer) -> None:
    write_log(tmp_path / "logs", Jars.filled(EVENTS).raws)
    report = await verified(server, tmp_path / "logs")
    assert report.first is not None and report.first.facts == {
        "stream": "TOY",
        "sequence": 1,
        "subject": "ledger.toy.jar.j0",
    }
    assert "600 events of it were signed: it was deleted" in str(report.first_problem)
    with pytest.raises(Misconfigured, match="holds no stream TOY"):
        await verified(server, None, Keys())
