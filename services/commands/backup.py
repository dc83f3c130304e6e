"""`commons backup`: ledger and keyrings, each in a folder of its own, once or on a schedule."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Final

import nats.errors
import nats.js.errors
import typer

from services.auditor.export import Copied
from services.commands.common import Operator, command
from services.commands.copies import Tiles, as_json, export, logs_of, unwritten
from services.commands.door import OK, REFUSED, Usage
from services.commands.durations import duration
from services.commands.keys import OfServices
from services.commands.render import clean, console, emit
from services.commands.streams import streams
from services.local.keys import Keys
from shared import keycare
from shared.clock import utc_now
from shared.errors import LedgerError, OutcomeUnknown
from shared.store import stream_name

LEDGER: Final = "ledger"
KEYRING: Final = "keyring"

_KEYS: Final = ".keys"
_LOOK_SECONDS: Final = 1.0
_SIGNED_SECONDS: Final = 15.0
"""For which a copy waits for the auditor to sign what was recorded before; it does so once a second."""


@dataclass(frozen=True, slots=True)
class Round:
    """What one round wrote."""

    logs: list[Copied]
    keys: Path
    owners: int
    removed: int
    erased: int
    """Keys that were struck out of older copies, of people who were erased since."""
    missing: dict[str, int]
    """Events, by stream, that were recorded before the copy began and are not in it: they are not signed."""


@command
async def backup(
    operator: Operator,
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="The folder of the backup.", show_default=False)],
    every: Annotated[
        str | None,
        typer.Option("--every", metavar="TIME", help="Again and again, such as 15m, 1h or 1d, until Ctrl-C."),
    ] = None,
    keep: Annotated[int, typer.Option("--keep", metavar="N", min=1, help="How many copies of the keyrings stay.")] = 3,
    keyring: Annotated[
        Path | None, typer.Option("--keyring", metavar="DIR", help="Where they go, rather than TARGET/keyring.")
    ] = None,
    service: OfServices = None,
    tiles: Tiles = None,
) -> int | None:
    """Copy the ledger with its checkpoints to TARGET/ledger, then the keyrings to TARGET/keyring.

    The ledger is one copy, to which each round adds what is new, and which is never written over: `commons verify
    TARGET/ledger` checks it. Keyrings are copied whole, after it, so every key that an event of the copy needs is among
    them. Who was erased since is struck out of the older ones. Neither has the master key: copy that by hand, to
    somewhere else.

    Waits up to 15 s for the auditor to sign what was recorded before; exits with 1 when it did not, naming the streams.

    Example: commons backup /mnt/backup --keyring /mnt/keys --every 1h --keep 24
    """
    pause = None if every is None else duration("--every", every)
    keys = keyring or target / KEYRING
    if _within(keys, target / LEDGER):
        raise Usage("The keyrings go into a folder of their own, and not into the copy of the ledger.")
    while True:
        try:
            done = await _round(operator, target, keys, keep, service or (), tiles)
        except LedgerError as error:
            if pause is None:
                raise
            _failed(operator, error)
        else:
            _tell(operator, done)
            if pause is None:
                return REFUSED if done.missing else OK
        await asyncio.sleep(pause.total_seconds())


async def _round(
    operator: Operator, target: Path, keys: Path, keep: int, services: Sequence[str], tiles: Path | None
) -> Round:
    try:
        await asyncio.to_thread(_make, target)
        source = logs_of(operator, tiles)
        logs = await export(source, target / LEDGER)
        # Behind the ledger: a key is durable before its first event, so every event of the copy has its key in here.
        await asyncio.to_thread(_make, keys)
        file = keys / f"{utc_now():%Y-%m-%dT%H%M%S.%fZ}{_KEYS}"
        async with operator.nats() as nc:
            ends = {name: int(info["state"]["last_seq"]) for name, info in (await streams(nc)).items() if info}
            deadline = time.monotonic() + _SIGNED_SECONDS
            while (missing := _missing(ends, logs)) and time.monotonic() < deadline:
                await asyncio.sleep(_LOOK_SECONDS)
                logs = _together(logs, await export(source, target / LEDGER))
            counts = await keycare.backup(nc, Keys(operator.folder.absolute() / "keys").keyring, file, services)
        removed, erased = await asyncio.to_thread(_tidy, keys, file, keep)
    except (nats.errors.Error, nats.js.errors.Error, TimeoutError) as error:
        raise OutcomeUnknown(f"NATS did not give the keyrings: {str(error) or type(error).__name__}.") from error
    except OSError as error:
        raise unwritten(target, error) from error
    return Round(logs, file, sum(counts.values()), removed, erased, missing)


def _missing(ends: dict[str, int], logs: Sequence[Copied]) -> dict[str, int]:
    copied = {stream_name(one.service): one.size for one in logs}
    return {name: end - copied.get(name, 0) for name, end in ends.items() if end > copied.get(name, 0)}


def _together(before: Sequence[Copied], after: Sequence[Copied]) -> list[Copied]:
    added = {one.service: one.added for one in before}
    return [replace(one, added=one.added + added.get(one.service, 0)) for one in after]


def _make(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def _tidy(keys: Path, newest: Path, keep: int) -> tuple[int, int]:
    """Remove the oldest copies of the keyrings, and strike out of the others who was erased; how many of each."""
    older = sorted(path for path in keys.glob(f"*{_KEYS}") if path != newest)
    surplus = older[: max(0, len(older) - keep + 1)]
    for path in surplus:
        keycare.remove(path)
    return len(surplus), sum(keycare.strike_out(path, newest) for path in older[len(surplus) :])


def _within(path: Path, folder: Path) -> bool:
    return path.absolute().resolve().is_relative_to(folder.absolute().resolve())


def _tell(operator: Operator, done: Round) -> None:
    if operator.as_json:
        told: dict[str, Any] = {
            "at": utc_now(), "logs": as_json(done.logs), "keyring": str(done.keys), "owners": done.owners,
            "removed": done.removed, "struck_out": done.erased, "missing": done.missing,
        }  # fmt: skip
        emit(told)
        return
    events, new = sum(one.size for one in done.logs), sum(one.added for one in done.logs)
    more = f"; {done.erased:,} erased since struck out of older copies" if done.erased else ""
    console().print(
        f"{utc_now():%Y-%m-%d %H:%M:%S} {events:,} events ({new:,} new) of {len(done.logs)} logs; {done.owners:,} "
        f"owners of keys in {done.keys.name}{more}",
        soft_wrap=True, markup=False,
    )  # fmt: skip
    for stream, count in done.missing.items():
        console().print(
            f"{utc_now():%Y-%m-%d %H:%M:%S} INCOMPLETE: {count:,} event(s) of {stream} are not in this copy, as the "
            "auditor has not signed them. Does it run? See `commons status`.",
            soft_wrap=True, markup=False,
        )  # fmt: skip


def _failed(operator: Operator, error: LedgerError) -> None:
    """A round that failed says so, and the next one tries again."""
    if operator.as_json:
        emit({"at": utc_now(), **error.problem()})
        return
    console().print(
        f"{utc_now():%Y-%m-%d %H:%M:%S} FAILED {error.code}: {clean(error.detail)}", soft_wrap=True, markup=False
    )


def register(app: typer.Typer) -> None:
    app.command("backup")(backup)
