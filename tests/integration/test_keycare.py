"""Copies of keyrings: what they hold comes back, and who was erased does not."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client

from services.local.nats import NatsServer
from shared import keycare
from shared.errors import Corrupt, Erased, Invalid
from shared.masterkeys import WrongMasterKey, add_to_file, from_file
from tests.support.club import Club, Join, Name, Place, event_of, running

ANA, BO = Join(member="m-1", name="Ana Ruiz"), Join(member="m-2", name="Bo Lind")


@pytest.fixture
def place(tmp_path: Path, nats_server: NatsServer) -> Place:
    return Place(tmp_path, nats_server)


@pytest.fixture
async def nc(nats_server: NatsServer) -> AsyncIterator[Client]:
    client = await nats.connect(nats_server.url)
    yield client
    await client.close()


async def _joined(place: Place) -> list[str]:
    """Ana and Bo join; gives their sealed names."""
    async with running(place) as service:
        return [event_of(await service.send(command, command.member)).name for command in (ANA, BO)]


async def _lose_both(place: Place, nc: Client) -> None:
    shutil.rmtree(place.keyring)
    await nc.jetstream().delete_key_value("keys-club")


async def _opened(place: Place, sealed: list[str]) -> list[str | None]:
    async with running(place) as service:
        return [service.opened(text) for text in sealed]


async def _destroy(service: Club, member: str) -> None:
    assert service.handler.vault is not None
    await service.handler.vault.destroy(f"member/{member}")


async def test_a_copy_brings_back_what_both_places_lost(place: Place, nc: Client, tmp_path: Path) -> None:
    sealed = await _joined(place)
    copy = tmp_path / "copy"
    assert await keycare.backup(nc, place.keyring, copy) == {"club": 3}
    assert copy.stat().st_mode & 0o777 == 0o600
    await _lose_both(place, nc)
    assert await _opened(place, sealed) == [None, None]
    mark = await _mark(place)
    await keycare.restore(nc, place.keyring, copy, lambda: from_file(place.masters))
    assert await _opened(place, sealed) == ["Ana Ruiz", "Bo Lind"]
    assert await _mark(place) != mark, "the index is that of the copy again"


async def _mark(place: Place) -> str:
    async with running(place) as service:
        assert service.handler.vault is not None
        return service.handler.vault.blind("name", "ana")


async def test_who_was_erased_after_the_copy_stays_erased(place: Place, nc: Client, tmp_path: Path) -> None:
    sealed = await _joined(place)
    await keycare.backup(nc, place.keyring, tmp_path / "copy")
    async with running(place) as service:
        await _destroy(service, "m-1")
    await keycare.restore(nc, place.keyring, tmp_path / "copy", lambda: from_file(place.masters))
    assert await _opened(place, sealed) == [None, "Bo Lind"]


@pytest.mark.parametrize("lost", ["file", "bucket", "both", "none"])
async def test_a_restore_tells_whom_it_added_or_changed(place: Place, nc: Client, tmp_path: Path, lost: str) -> None:
    await _joined(place)
    await keycare.backup(nc, place.keyring, tmp_path / "copy")
    if lost in ("file", "both"):
        shutil.rmtree(place.keyring)
    if lost in ("bucket", "both"):
        await nc.jetstream().delete_key_value("keys-club")
    counts = await keycare.restore(nc, place.keyring, tmp_path / "copy", lambda: from_file(place.masters))
    assert counts == {"club": 0 if lost == "none" else 3}


async def test_who_was_erased_before_the_copy_is_erased_wherever_it_is_restored(
    place: Place, nc: Client, tmp_path: Path
) -> None:
    sealed = await _joined(place)
    await keycare.backup(nc, place.keyring, tmp_path / "older")
    async with running(place) as service:
        await _destroy(service, "m-1")
    await keycare.backup(nc, place.keyring, tmp_path / "newer")
    await _lose_both(place, nc)
    for copy in ("older", "newer"):
        await keycare.restore(nc, place.keyring, tmp_path / copy, lambda: from_file(place.masters))
    assert await _opened(place, sealed) == [None, "Bo Lind"]
    async with running(place) as service:
        with pytest.raises(Erased):
            await service.send(Name(member="m-1", name="Ana"), "n")


async def test_a_copy_under_another_master_key_changes_nothing(place: Place, nc: Client, tmp_path: Path) -> None:
    await _joined(place)
    await keycare.backup(nc, place.keyring, tmp_path / "copy")
    await _lose_both(place, nc)
    place.masters.unlink()
    add_to_file(place.masters)
    with pytest.raises(WrongMasterKey):
        await keycare.restore(nc, place.keyring, tmp_path / "copy", lambda: from_file(place.masters))
    assert (await keycare.standing(nc, place.keyring, "club")).owners == 0


async def test_a_copy_is_never_written_over_and_something_else_is_no_copy(
    place: Place, nc: Client, tmp_path: Path
) -> None:
    await _joined(place)
    (tmp_path / "copy").write_text("hello\n")
    with pytest.raises(Invalid, match="is there already"):
        await keycare.backup(nc, place.keyring, tmp_path / "copy")
    with pytest.raises(Corrupt, match="line 1"):
        await keycare.restore(nc, place.keyring, tmp_path / "copy", lambda: from_file(place.masters))


async def test_it_is_told_what_a_place_lacks(place: Place, nc: Client) -> None:
    await _joined(place)
    whole = await keycare.standing(nc, place.keyring, "club")
    assert (whole.owners, whole.erased, whole.lacking_in_file, whole.lacking_in_bucket) == (2, 0, 0, 0)
    assert sum(whole.masters.values()) == 3
    shutil.rmtree(place.keyring)
    assert (await keycare.standing(nc, place.keyring, "club")).lacking_in_file == 3
    assert not place.keyring.exists(), "looking writes nothing"
