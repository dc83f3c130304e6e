"""Looking after the keyrings of a ledger: how they stand, copies of them, a new master key.

A copy holds what a keyring holds: keys wrapped under the master key, and the notes of those that were destroyed. It is
of use only together with the master key, which is not in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from nats.aio.client import Client

from shared.connection import jetstream
from shared.errors import Corrupt, Invalid
from shared.keybucket import KeyBucket, bucket_name
from shared.keyring import KEYS, KeyFile, KeyRecord, Records, merged
from shared.masterkeys import MasterKeys, replace_file
from shared.vault import INDEX, Vault

_PREFIX: Final = f"KV_{bucket_name('')}"


class _Line(msgspec.Struct, frozen=True):
    """One line of a copy."""

    service: str
    record: KeyRecord


@dataclass(frozen=True, slots=True)
class Standing:
    """How the keyring of one service stands: owners with keys and without, and what one of the places lacks."""

    service: str
    owners: int
    erased: int
    masters: dict[str, int]
    """How many keys are wrapped under each master key."""
    lacking_in_file: int
    lacking_in_bucket: int


async def services_with_keys(nc: Client, folder: Path, only: Sequence[str] = ()) -> list[str]:
    """The services that have a keyring, in the bucket or in the folder; or `only` those, of which no other is asked.

    Raises Invalid when one of those has none.
    """
    found = await (_these_with_keys(nc, folder, only) if only else _services_with_keys(nc, folder))
    if unknown := sorted(set(only) - set(found)):
        raise Invalid(f"No service has a keyring by the name of {', '.join(unknown)[:60]!r}.", services=unknown)
    return [service for service in found if not only or service in only]


async def _these_with_keys(nc: Client, folder: Path, only: Sequence[str]) -> list[str]:
    in_files = services_in(folder)
    return [one for one in only if one in in_files or await KeyBucket.open(nc, one, make=False) is not None]


async def _services_with_keys(nc: Client, folder: Path) -> list[str]:
    streams = await jetstream(nc).streams_info()
    buckets = {(info.config.name or "").removeprefix(_PREFIX) for info in streams if _is_bucket(info.config.name)}
    return sorted(buckets | services_in(folder))


def services_in(folder: Path) -> set[str]:
    """The services that have a file of keys in a folder."""
    return {path.parent.name for path in folder.glob(f"*/{KEYS}")}


def _is_bucket(name: str | None) -> bool:
    return name is not None and name.startswith(_PREFIX)


async def standing(nc: Client, folder: Path, service: str) -> Standing:
    """How a keyring stands; nothing is written."""
    in_file, in_bucket = await _both(nc, folder, service)
    together = _together(in_file, in_bucket)
    masters: dict[str, int] = {}
    for record in together.values():
        for key in record.keys:
            masters[key.master] = masters.get(key.master, 0) + 1
    people = [record for owner, record in together.items() if owner != INDEX]
    return Standing(
        service, sum(not r.erased for r in people), sum(bool(r.erased) for r in people), masters,
        _lacking(in_file, together), _lacking(in_bucket, together),
    )  # fmt: skip


def _lacking(place: Records, together: Records) -> int:
    """Owners of whom a place lacks a key, or the note that they were erased."""
    return sum(
        {key.number for key in record.keys} != {key.number for key in place[owner].keys}
        or bool(record.erased) != bool(place[owner].erased)
        if owner in place
        else True
        for owner, record in together.items()
    )


async def backup(nc: Client, folder: Path, path: Path, only: Sequence[str] = ()) -> dict[str, int]:
    """Copy every keyring, or `only` those of some services, into a new file that its owner alone may read; gives how
    many owners of each service.

    Raises Invalid when there is a file already: it might be the only copy that has a key.
    """
    lines: list[bytes] = []
    counts: dict[str, int] = {}
    for service in await services_with_keys(nc, folder, only):
        records = _together(*await _both(nc, folder, service))
        counts[service] = len(records)
        lines += [msgspec.json.encode(_Line(service, record)) + b"\n" for record in records.values()]
    await asyncio.to_thread(_write_new, path, b"".join(lines))
    return counts


def _write_new(path: Path, content: bytes) -> None:
    if path.exists():
        raise Invalid(f"{path} is there already. Choose another name: a copy is never written over.", path=str(path))
    replace_file(path, content)


def strike_out(copy: Path, newer: Path) -> int:
    """Take the keys of those out of a copy whom a newer one knows as erased; gives how many owners'.

    Raises Corrupt when one of them cannot be read; nothing is changed then.
    """
    if not copy.stat().st_size or not newer.stat().st_size:
        return 0  # of a ledger that had no keys then
    erased = {
        (service, owner): record
        for service, records in _read(newer).items()
        for owner, record in records.items()
        if record.erased
    }
    struck = 0
    lines: list[bytes] = []
    for service, records in _read(copy).items():
        for owner, record in records.items():
            note = None if record.erased else erased.get((service, owner))
            struck += note is not None
            lines.append(msgspec.json.encode(_Line(service, note or record)) + b"\n")
    if struck:
        replace_file(copy, b"".join(lines))
    return struck


def remove(copy: Path) -> None:
    """Remove a copy, its keys overwritten first, as far as a program can."""
    replace_file(copy, b"")
    copy.unlink()


async def restore(nc: Client, folder: Path, path: Path, masters: Callable[[], MasterKeys]) -> dict[str, int]:
    """Add what a copy holds to every keyring: first what was destroyed, then the keys of who was not.

    Gives how many owners of each service were added or changed. Raises WrongMasterKey before anything is written.
    """
    changed: dict[str, int] = {}
    copies = _read(path)
    for service, records in copies.items():
        before = await _both(nc, folder, service)  # to open the vault may write to one place what the other has
        vault = await Vault.open(nc, service, masters, folder)
        try:
            await vault.take_in(records)
        finally:
            await vault.close()
        after = await _both(nc, folder, service)
        changed[service] = sum(_of(owner, before) != _of(owner, after) for owner in records)
    return changed


def _of(owner: str, places: tuple[Records, Records]) -> list[KeyRecord | None]:
    return [place.get(owner) for place in places]


def _read(path: Path) -> dict[str, Records]:
    copies: dict[str, Records] = {}
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            read = msgspec.json.decode(line, type=_Line)
        except msgspec.DecodeError as error:
            raise Corrupt(
                f"{path}, line {number} is not of a copy of keyrings: {error}. Nothing was changed."
            ) from error
        records = copies.setdefault(read.service, {})
        records[read.record.owner] = merged(records.get(read.record.owner), read.record)
    if not copies:
        raise Invalid(f"{path} is empty. Nothing was changed.")
    return copies


async def rewrap(
    nc: Client, folder: Path, services: Iterable[str], masters: Callable[[], MasterKeys]
) -> dict[str, int]:
    """Wrap every key under the current master key; gives how many owners' of each service were under another."""
    done: dict[str, int] = {}
    for service in services:
        vault = await Vault.open(nc, service, masters, folder)
        try:
            done[service] = await vault.rewrap()
        finally:
            await vault.close()
    return done


async def _both(nc: Client, folder: Path, service: str) -> tuple[Records, Records]:
    bucket = await KeyBucket.open(nc, service, make=False)
    in_file = await asyncio.to_thread(KeyFile(folder, service).load)
    return in_file, {} if bucket is None else await bucket.load()


def _together(in_file: Records, in_bucket: Records) -> Records:
    return in_file | {owner: merged(in_file.get(owner), record) for owner, record in in_bucket.items()}
