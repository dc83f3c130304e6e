"""Every key is in two places, and nothing that befalls one of them loses a key or brings one back."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import nats
import pytest

from services.local.nats import NatsServer
from shared.errors import Busy, Corrupt
from shared.keybucket import KeyBucket
from shared.keyring import KeyFile, KeyRecord, Records
from shared.masterkeys import WrongMasterKey, add_to_file, from_file
from tests.support.club import Club, Join, Name, Place, event_of, running

OWNER = "member/m-1"
ANA = Join(member="m-1", name="Ana Ruiz")


@pytest.fixture
def place(tmp_path: Path, nats_server: NatsServer) -> Place:
    return Place(tmp_path, nats_server)


async def _in_bucket(place: Place) -> Records:
    nc = await nats.connect(place.server.url)
    try:
        bucket = await KeyBucket.open(nc, "club", make=False)
        return {} if bucket is None else await bucket.load()
    finally:
        await nc.close()


def _in_file(place: Place) -> Records:
    return KeyFile(place.keyring, "club").load()


async def _drop_bucket(place: Place) -> None:
    nc = await nats.connect(place.server.url)
    await nc.jetstream().delete_key_value("keys-club")
    await nc.close()


async def _first(place: Place) -> str:
    """Ana joins; gives her sealed name."""
    async with running(place) as service:
        name: str = event_of(await service.send(ANA, "1")).name
        return name


async def _opens(place: Place, sealed: str) -> str | None:
    async with running(place) as service:
        return service.opened(sealed)


async def test_a_key_is_in_both_places_and_wrapped_in_both(place: Place) -> None:
    await _first(place)
    in_file, in_bucket = _in_file(place), await _in_bucket(place)
    assert in_file == in_bucket and set(in_file) == {OWNER, "index"}
    assert place.file.stat().st_mode & 0o777 == 0o600


async def test_a_crash_before_the_file_was_written_leaves_no_event_and_is_repaired(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(place) as service:

        def full(*_: KeyRecord) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr("shared.keyring.KeyFile.append", lambda self, *records: full(*records))
            with pytest.raises(Busy, match="No space left"):
                await service.send(ANA, "1")
        assert await service.store.last_sequence() == 0
    assert OWNER in await _in_bucket(place) and OWNER not in _in_file(place)
    async with running(place) as service:
        assert _in_file(place)[OWNER] == (await _in_bucket(place))[OWNER]
        assert service.opened(event_of(await service.send(ANA, "1")).name) == "Ana Ruiz"


async def test_no_event_precedes_its_key_in_the_bucket(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(place) as service:

        async def away(*_: object) -> KeyRecord:
            raise Busy("The key could not be kept in NATS.")

        with monkeypatch.context() as patch:
            patch.setattr("shared.keybucket.KeyBucket.create", away)
            with pytest.raises(Busy):
                await service.send(ANA, "1")
        assert await service.store.last_sequence() == 0 and OWNER not in _in_file(place)
        await service.send(ANA, "1")


async def test_a_lost_file_is_written_again(place: Place) -> None:
    sealed = await _first(place)
    shutil.rmtree(place.keyring)
    assert await _opens(place, sealed) == "Ana Ruiz"
    assert _in_file(place) == await _in_bucket(place)


async def test_a_lost_bucket_is_written_again(place: Place) -> None:
    sealed = await _first(place)
    before = await _in_bucket(place)
    await _drop_bucket(place)
    assert await _opens(place, sealed) == "Ana Ruiz"
    assert await _in_bucket(place) == before


async def test_when_both_are_lost_the_names_are_and_the_ledger_goes_on(place: Place) -> None:
    sealed = await _first(place)
    await _drop_bucket(place)
    shutil.rmtree(place.keyring)
    async with running(place) as service:
        assert service.opened(sealed) is None
        assert service.opened(event_of(await service.send(Name(member="m-1", name="Ana"), "2")).name) == "Ana"
        assert (await service.send(ANA, "1")).repeated


async def test_a_line_that_a_crash_cut_off_is_left_out(place: Place) -> None:
    sealed = await _first(place)
    whole = place.file.read_bytes()
    place.file.write_bytes(whole + b'{"owner":"member/m-2","keys":[{"num')
    assert await _opens(place, sealed) == "Ana Ruiz"
    assert place.file.read_bytes() == whole


async def test_a_line_that_is_something_else_stops_the_start(place: Place) -> None:
    await _first(place)
    place.file.write_bytes(b"hello\n" + place.file.read_bytes())
    with pytest.raises(Corrupt, match=r"club.keys, line 1"):
        await _first(place)


async def test_two_processes_agree_on_one_key(place: Place) -> None:
    async with running(place) as one, running(place) as other:
        answers = await asyncio.gather(
            *(
                service.send(Join(member=f"m-{n}", name=f"Ana {n}"), f"{n}")
                for n in range(20)
                for service in (one, other)
            )
        )
        for answer in answers:
            name = event_of(answer).name
            assert one.opened(name) == other.opened(name) is not None
    records = await _in_bucket(place)
    assert all(len(record.keys) == 1 for record in records.values())
    assert _in_file(place) == records


# -- erasure ----------------------------------------------------------------------------------------------------------


async def _erase(place: Place) -> str:
    """Ana joins, and is erased; gives her sealed name."""
    async with running(place) as service:
        sealed: str = event_of(await service.send(ANA, "1")).name
        await _destroy(service)
        return sealed


async def _destroy(service: Club) -> None:
    assert service.handler.vault is not None
    await service.handler.vault.destroy(OWNER)


async def test_a_destroyed_key_is_gone_from_both_places_down_to_its_bytes(place: Place, tmp_path: Path) -> None:
    async with running(place) as service:
        await service.send(ANA, "1")
        wrapped = _in_file(place)[OWNER].keys[0].wrapped.encode()
        (tmp_path / "the same file").hardlink_to(place.file)  # what was written over is still seen under this name
        assert _files_with(tmp_path, wrapped) == 3
        await _destroy(service)
        assert _files_with(tmp_path, wrapped) == 0
        assert _in_file(place)[OWNER].keys == () and (await _in_bucket(place))[OWNER].keys == ()


def _files_with(folder: Path, word: bytes) -> int:
    return sum(word in path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def test_erasure_wins_over_an_older_copy_of_the_file(place: Place) -> None:
    sealed = await _first(place)
    older = place.file.read_bytes()
    await _erase(place)
    place.file.write_bytes(older)
    assert await _opens(place, sealed) is None
    assert _in_file(place)[OWNER].erased and b'"keys"' not in place.file.read_bytes().split(OWNER.encode())[1]


async def test_erasure_wins_over_an_older_copy_of_the_bucket(place: Place) -> None:
    sealed = await _first(place)
    older = (await _in_bucket(place))[OWNER]
    await _erase(place)
    await _drop_bucket(place)
    nc = await nats.connect(place.server.url)
    bucket = await KeyBucket.open(nc, "club")
    assert bucket is not None
    await bucket.change(OWNER, lambda _: older)
    await nc.close()
    assert await _opens(place, sealed) is None
    assert (await _in_bucket(place))[OWNER].erased


@pytest.mark.parametrize("broken", ["shared.keybucket.KeyBucket.change", "shared.keyring.KeyFile.rewrite"])
async def test_an_erasure_that_was_broken_off_is_finished_at_the_next_start(
    place: Place, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(place) as service:
        sealed = event_of(await service.send(ANA, "1")).name

        def fail(*_: object) -> None:
            raise OSError(5, "Input/output error")

        with monkeypatch.context() as patch:
            patch.setattr(broken, fail)
            with pytest.raises((Busy, OSError)):
                await _destroy(service)
        assert service.opened(sealed) is None
    assert await _opens(place, sealed) is None
    assert _in_file(place) == await _in_bucket(place)
    assert place.file.read_bytes().count(OWNER.encode()) == 1


# -- master keys ------------------------------------------------------------------------------------------------------


async def test_another_master_key_stops_the_start_and_changes_nothing(place: Place) -> None:
    sealed = await _first(place)
    right, file, bucket = place.masters.read_bytes(), place.file.read_bytes(), await _in_bucket(place)
    place.masters.unlink()
    with pytest.raises(WrongMasterKey, match="which was not given"):
        await _first(place)
    name = right.partition(b":")[0]
    place.masters.write_bytes(name + b":" + place.masters.read_bytes().partition(b":")[2])
    with pytest.raises(WrongMasterKey, match="does not open"):
        await _first(place)
    assert place.file.read_bytes() == file and await _in_bucket(place) == bucket
    place.masters.write_bytes(right)
    assert await _opens(place, sealed) == "Ana Ruiz"


async def test_master_keys_are_rotated_while_the_service_runs(place: Place) -> None:
    async with running(place) as service:
        sealed = event_of(await service.send(ANA, "1")).name
        old = from_file(place.masters).current
        new = add_to_file(place.masters)
        async with running(place) as other:
            assert other.handler.vault is not None
            assert await other.handler.vault.rewrap() == 2
        assert {key.master for record in _in_file(place).values() for key in record.keys} == {new}
        assert {key.master for record in (await _in_bucket(place)).values() for key in record.keys} == {new}
        await service.send(Join(member="m-2", name="Bo Lind"), "2")
        assert service.opened(sealed) == "Ana Ruiz"
    place.masters.write_text("".join(line for line in place.masters.read_text().splitlines(True) if old not in line))
    assert await _opens(place, sealed) == "Ana Ruiz"


async def test_a_rotation_that_was_broken_off_leaves_everything_readable(place: Place) -> None:
    sealed = await _first(place)
    file = place.file.read_bytes()
    add_to_file(place.masters)
    async with running(place) as service:
        assert service.handler.vault is not None
        await service.handler.vault.rewrap()
    place.file.write_bytes(file)
    assert await _opens(place, sealed) == "Ana Ruiz"
    async with running(place) as service:
        assert service.handler.vault is not None
        await service.handler.vault.rewrap()
    assert _in_file(place) == await _in_bucket(place)
