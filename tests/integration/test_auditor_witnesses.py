"""The auditor and its witnesses: cosigned checkpoints, witnesses that are away, and one that saw another history."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from nats.aio.client import Client

from services.auditor.checkpoint import Checkpoint
from services.auditor.notes import Note, Signer, Verifier
from services.auditor.witnessing import read_witnesses
from services.local.nats import NatsServer
from shared import halt
from shared.errors import Misconfigured
from tests.support.ledger import until
from tests.support.logs import (
    ORIGIN,
    STREAM,
    assert_sound,
    auditing,
    connected,
    halting,
    make_stream,
    signed,
    some_events,
    write,
)
from tests.support.witness import TestWitness

EVENTS = some_events(700)
CHANGED = [EVENTS[0][:-2] + b"!}", *EVENTS[1:]]


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[TestWitness, TestWitness, Path]]:
    with ExitStack() as stack:
        one, other = (
            stack.enter_context(TestWitness(tmp_path / "tiles", f"{name}.example")) for name in ("north", "south")
        )
        policy = tmp_path / "witnesses"
        policy.write_text(f"# who watches\n\n{one.line('north')}{other.line('south')}quorum none\n")
        yield one, other, policy


def cosigners(folder: Path) -> set[str]:
    """Whose cosignatures, checked under the keys beside the tiles, the published checkpoint has."""
    log = folder / "tiles" / "inventory"
    keys = [Verifier.parse(file.read_text().strip()) for file in (log / "keys").glob("witness-*.vkey")]
    return {each.name for each in Note.parse((log / "checkpoint").read_bytes()).verified(keys)}


async def test_every_checkpoint_is_cosigned(
    nats_server: NatsServer, tmp_path: Path, two: tuple[TestWitness, TestWitness, Path]
) -> None:
    one, other, policy = two
    async with connected(nats_server) as nc:
        await make_stream(nc, EVENTS[:300])
        async with auditing(nats_server, tmp_path, COMMONS_WITNESSES=policy) as auditor:
            await signed(auditor, 300)
            assert cosigners(tmp_path) == {"north.example", "south.example"}
            await write(nc, EVENTS[300:500])
            await signed(auditor, 500)
        asked = one.asked
        async with auditing(nats_server, tmp_path, COMMONS_WITNESSES=policy) as auditor:
            await write(nc, EVENTS[500:])
            await signed(auditor, 700)
        told = await halt.checkpoint_of(nc, "inventory")
        assert told is not None and told.cosigned == 2
    assert one.asked - asked <= 2  # after a restart it is known where they stand
    assert one.seen() == other.seen() == {700}
    assert cosigners(tmp_path) == {"north.example", "south.example"}
    assert_sound(tmp_path, EVENTS)


@pytest.mark.parametrize("trouble", ["away", "slow", "unknown log", "nonsense"])
async def test_a_witness_in_trouble_holds_nothing_up_and_signs_later(
    nats_server: NatsServer, tmp_path: Path, two: tuple[TestWitness, TestWitness, Path], trouble: str
) -> None:
    _, other, policy = two
    if trouble == "away":
        other.__exit__()
    other.delay = 3.0 if trouble == "slow" else 0.0
    other.status = {"unknown log": 404, "nonsense": 200}.get(trouble)
    async with connected(nats_server) as nc:
        await make_stream(nc, EVENTS[:300])
        async with auditing(nats_server, tmp_path, COMMONS_WITNESSES=policy) as auditor:
            await signed(auditor, 300)
            assert cosigners(tmp_path) == {"north.example"}
            told = auditor.health()["logs"]["inventory"]["witnesses"]
            assert (told[0]["trouble"], bool(told[1]["trouble"]) or trouble == "slow") == ("", True)
            if trouble != "away":
                other.delay, other.status = 0.0, None
                await until(lambda: cosigners(tmp_path) == {"north.example", "south.example"})
        assert await halt.read(nc) is None
    assert_sound(tmp_path, EVENTS[:300])


@pytest.mark.parametrize(
    ("status", "said"),
    [
        pytest.param(422, b"it does not continue\n", id="another history"),
        pytest.param(409, b"301\n", id="more events than there are"),
        pytest.param(409, b"7\n", id="the same size each time"),
    ],
)
@pytest.mark.parametrize("publishes", ["nothing", "what another key signed", "what we signed before"])
async def test_what_a_witness_says_without_our_signature_halts_nothing(
    nats_server: NatsServer, tmp_path: Path, two: tuple[TestWitness, TestWitness, Path], status: int, said: bytes,
    publishes: str,
) -> None:  # fmt: skip
    other = two[1]
    async with connected(nats_server) as nc:
        await make_stream(nc, EVENTS[:200])
        async with auditing(nats_server, tmp_path, COMMONS_WITNESSES=two[2]) as auditor:
            await signed(auditor, 200)
            await until(lambda: len(cosigners(tmp_path)) == 2)
            other.status, other.said = status, said
            if publishes == "nothing":
                other.forget()
            elif publishes == "what another key signed":
                text = Checkpoint(ORIGIN, 300, bytes(32)).text()
                other.publishes = Note(text, [Signer.generate(ORIGIN).sign(text)]).to_bytes()
            await write(nc, EVENTS[200:300])
            await signed(auditor, 300)
            await until(lambda: auditor.health()["logs"]["inventory"]["witnesses"][1]["trouble"])
            assert cosigners(tmp_path) == {"north.example"}
            assert await halt.read(nc) is None
            other.status = other.publishes = None
            await until(lambda: len(cosigners(tmp_path)) == 2)  # it was asked again, and signed what stands
        assert await halt.read(nc) is None


async def test_a_witness_that_was_wrong_does_not_halt_again_what_was_lifted(
    nats_server: NatsServer, tmp_path: Path, two: tuple[TestWitness, TestWitness, Path]
) -> None:
    """A checkpoint that our key signed, of events that never were: with the key stolen, and the stream as it was."""
    one, _, policy = two
    async with connected(nats_server) as nc:
        await make_stream(nc, EVENTS[:200])
        async with auditing(nats_server, tmp_path, COMMONS_WITNESSES=policy) as auditor:
            await signed(auditor, 200)
            text = Checkpoint(ORIGIN, 900, bytes(32)).text()
            key = Signer.read(tmp_path / "keys" / "inventory.key")
            one.status, one.said, one.publishes = 409, b"900\n", Note(text, [key.sign(text)]).to_bytes()
            await write(nc, EVENTS[200:300])
            assert "ends before event 900, which the witness north" in (await halting(auditor, nc)).reason
            one.status = one.publishes = None
            await halt.lift(nc, reason="the witness was mended", by="ada", at="now")
            await signed(auditor, 300)
            await until(lambda: len(cosigners(tmp_path)) == 2)
        found = await halt.read(nc)
        assert found is not None and not found.halted


async def test_answers_without_an_end_hold_nothing_up(
    nats_server: NatsServer, tmp_path: Path, two: tuple[TestWitness, TestWitness, Path]
) -> None:
    """A timeout for each read never comes while something is read: all of it has a deadline, and threads of its own."""
    one, other, policy = two
    one.endless = other.endless = True
    async with connected(nats_server) as nc:
        await make_stream(nc, EVENTS[:300])
        async with auditing(nats_server, tmp_path, COMMONS_WITNESSES=policy) as auditor:
            asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))  # what is left on a small machine
            await signed(auditor, 300)
            witnesses = auditor.logs[0].witnessing.standings
            await until(lambda: all("longer than 2 s" in standing.trouble for standing in witnesses))
            await write(nc, EVENTS[300:])
            await signed(auditor, 700)
            one.endless = other.endless = False
            await until(lambda: len(cosigners(tmp_path)) == 2)
        assert await halt.read(nc) is None


async def test_a_witness_that_forgot_is_shown_all_of_it(
    nats_server: NatsServer, tmp_path: Path, two: tuple[TestWitness, TestWitness, Path]
) -> None:
    one, _, policy = two
    async with connected(nats_server) as nc:
        await make_stream(nc, EVENTS[:300])
        async with auditing(nats_server, tmp_path, COMMONS_WITNESSES=policy) as auditor:
            await signed(auditor, 300)
            one.forget()
            await write(nc, EVENTS[300:])
            await signed(auditor, 700)
            assert cosigners(tmp_path) == {"north.example", "south.example"}


async def forget_everything(nc: Client, folder: Path) -> None:
    """As an operator would who wants to tell another story: all that the auditor kept is gone but for the key."""
    shutil.rmtree(folder / "tiles")
    (folder / "keys" / "inventory.signed").unlink()
    await nc.jetstream().delete_key_value(halt.BUCKET)
    await nc.jetstream().delete_stream(STREAM)


@pytest.mark.parametrize(
    ("story", "reason"),
    [
        pytest.param(CHANGED, "cosigned .* at 700 events", id="as long"),
        pytest.param([*CHANGED, b"more"], "cosigned .* at 700 events.*another history", id="longer"),
        pytest.param(EVENTS[:650], "ends before event 700, which the witness", id="shorter"),
    ],
)
async def test_the_real_key_cannot_tell_another_story_to_a_witness(
    nats_server: NatsServer, tmp_path: Path, two: tuple[TestWitness, TestWitness, Path], story: list[bytes], reason: str
) -> None:
    *_, policy = two
    async with connected(nats_server) as nc:
        await make_stream(nc, EVENTS)
        async with auditing(nats_server, tmp_path, COMMONS_WITNESSES=policy) as auditor:
            await signed(auditor, 700)
        await forget_everything(nc, tmp_path)
        await make_stream(nc, story)
        async with auditing(nats_server, tmp_path, COMMONS_WITNESSES=policy) as auditor:
            found = await halting(auditor, nc)
        assert re.search(reason, found.reason), found.reason
    assert not (tmp_path / "tiles" / "inventory" / "checkpoint").exists()


def test_a_file_of_witnesses_that_cannot_be_used_is_refused_by_line(tmp_path: Path) -> None:
    file = tmp_path / "witnesses"
    with pytest.raises(Misconfigured, match="cannot be read"):
        read_witnesses(file)
    witness = TestWitness(tmp_path)
    for text, said in {
        "witness north\n": "line 1: a witness is named as",
        "\nwitness north nonsense http://w\n": "not whole",
        f"witness north {witness.key.verifier} ftp://w\n": "line 1",
        f"witness north {Signer.generate('log').verifier} http://w\n": "not one that cosigns",
        witness.line("north") + witness.line("south"): "names a witness twice",
    }.items():
        file.write_text(text)
        with pytest.raises(Misconfigured, match=said):
            read_witnesses(file)
