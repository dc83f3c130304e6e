"""`commons receipt` and `commons verify-receipt`: one file that proves that an event is in the ledger."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import typer
from rich.text import Text

from services.auditor.checkpoint import unverified
from services.auditor.issuing import Place, Search, covered, issue
from services.auditor.layout import SERVICES
from services.auditor.notes import BadNote
from services.auditor.receipt import SUFFIX, BadReceipt, Receipt, verify_receipt
from services.commands.common import Operator, command
from services.commands.door import Usage
from services.commands.exporting import whole
from services.commands.publickeys import LogKey, Needed, WitnessKey, keys_of
from services.commands.render import clean, console, emit
from shared.errors import Invalid, OutcomeUnknown
from shared.event import Envelope, decode_envelope
from shared.store import stream_name

T = TypeVar("T")

_PATIENCE: Final = 5.0
"""Seconds that a checkpoint is waited for: one comes each second while there are events."""

_MAX_BYTES: Final = 1 << 20
_PLACE: Final = re.compile(r"([A-Za-z]+):([0-9]{1,16})", re.ASCII)
_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


@command
async def receipt(
    operator: Operator,
    event: Annotated[
        str, typer.Argument(metavar="EVENT", help="An event's id, or its stream and sequence, as INVENTORY:42.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="The file to write; ID.tlog-proof if left out.",
                     show_default=False),
    ] = None,
    witnesses: Annotated[
        int, typer.Option("--witnesses", min=0, help="Wait for a checkpoint that so many witnesses cosigned.")
    ] = 0,
    tiles: Annotated[
        Path | None,
        typer.Option("--tiles", envvar="COMMONS_TILES", metavar="DIR", help="The auditor's logs; `tiles` in the folder "
                     "of `commons up` if left out.", show_default=False),
    ] = None,
) -> None:  # fmt: skip
    """Write a receipt: a file that proves, with public keys alone, that an event is in the ledger.

    It holds the event's own bytes, the proof of its place, and the signed checkpoint above it; what is personal in the
    event is encrypted in it. `commons verify-receipt` checks it.

    Example: commons receipt INVENTORY:42 --output donation.tlog-proof
    """
    logs = tiles or operator.folder / "tiles"
    if not logs.is_dir():
        raise Usage(f"There is no folder {logs} of the auditor's logs. Name it with --tiles, or give --data.")
    place = await _place(logs, event)
    made = await _wait(lambda: issue(logs, place, cosigned=witnesses))
    if made is None:
        size, stream = covered(logs, place.service), stream_name(place.service)
        if size < place.sequence:
            short = f"Event {place.sequence:,} of {stream} is under no checkpoint: the newest covers {size:,} events"
        else:
            short = f"Fewer than {witnesses} witnesses cosigned the newest checkpoint of {stream}"
        raise OutcomeUnknown(
            f"{short}. Look at `commons status`, which tells whether the auditor runs and who cosigns, and try again.",
            stream=stream_name(place.service), sequence=place.sequence,
        )  # fmt: skip
    assert made.extra is not None
    envelope = decode_envelope(made.extra)
    path = output or Path(f"{envelope.id}{SUFFIX}")
    with whole(path) as file:
        file.write(made.text().encode())
    checkpoint = unverified(made.checkpoint)
    told = {
        "file": str(path), **_of(envelope), "stream": stream_name(place.service), "sequence": place.sequence,
        "log": checkpoint.origin, "events": checkpoint.size,
    }  # fmt: skip
    if operator.as_json:
        emit(told)
    else:
        console().print(
            Text(
                f"{path} proves that {clean(envelope.type)} {envelope.id}, on {clean(envelope.subject)}, is event "
                f"{place.sequence:,} of {checkpoint.origin}, under its checkpoint of {checkpoint.size:,} events."
            ),
            soft_wrap=True,
        )


@command
async def verify_receipt_file(
    operator: Operator,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The receipt.")],
    log_key: LogKey = None,
    witness_key: WitnessKey = None,
    witnesses: Needed = None,
    entry: Annotated[
        Path | None,
        typer.Option("--entry", metavar="FILE", help="The event's bytes, for a receipt that does not hold them.",
                     show_default=False),
    ] = None,
) -> None:  # fmt: skip
    """Check a receipt: needs the file and public keys that you have from elsewhere, and nothing else.

    Exit code 1 when it does not prove anything. Example: commons verify-receipt donation.tlog-proof --log-key log.vkey
    --witness-key witness-1.vkey
    """
    keys = keys_of(log_key, witness_key, witnesses)
    if not keys.logs:
        raise Usage("Whose log it is can only be told by the log's public key: give --log-key, which you have from it.")
    made = Receipt.parse(_read(file).decode("utf-8", "replace"))
    raw = made.extra if entry is None else _read(entry)
    if raw is None:
        raise Invalid(f"{file} does not hold the event that it is for: give its bytes with --entry.", file=str(file))
    try:
        origin = unverified(made.checkpoint).origin
    except BadNote as error:
        raise BadReceipt(f"The checkpoint of the receipt does not hold: {error.detail}") from error
    log = next((each for each in keys.logs if each.name == origin), keys.logs[0])
    proved = verify_receipt(made, raw, log, keys.witnesses, keys.needed)
    try:
        envelope = decode_envelope(raw)
    except ValueError as error:
        raise BadReceipt(f"The entry is under the checkpoint, and is no event of a ledger: {error}.") from error
    seen = {name: _moment(seconds) for name, seconds in proved.witnesses}
    told = {
        "ok": True, **_of(envelope), "log": proved.checkpoint.origin, "index": proved.index,
        "sequence": proved.index + 1, "events": proved.checkpoint.size, "witnesses": seen,
        "event": raw.decode(errors="replace"),
    }  # fmt: skip
    if operator.as_json:
        emit(told)
        return
    out = console()
    out.print(Text("The receipt holds."), style="bold green")
    lines = {
        "event": f"{envelope.type} {envelope.id}", "about": envelope.subject, "recorded": envelope.time,
        "by": envelope.authid, "log": f"{log.name} (key {log.key_id.hex()})",
        "place": f"index {proved.index:,} (event {proved.index + 1:,}) of {proved.checkpoint.size:,}",
        "witnesses": ", ".join(f"{name} at {at}" for name, at in seen.items()) or "nobody whose key was given",
        "bytes": raw.decode(errors="replace"),
    }  # fmt: skip
    for name, line in lines.items():
        out.print(Text(f"  {name:<10} {clean(line)}"), soft_wrap=True)


async def _place(logs: Path, event: str) -> Place:
    """Where the event that was named stands."""
    if found := _PLACE.fullmatch(event):
        service, sequence = found[1].lower(), int(found[2])
        if service not in SERVICES or not sequence:
            streams = ", ".join(map(stream_name, SERVICES))
            raise Usage(f"{event} is no event: name one of the streams {streams}, and a sequence from 1 on.")
        return Place(service, sequence)
    if not _ID.fullmatch(event):
        raise Usage(f"{event[:80]!r} is no event's id, and no place such as INVENTORY:42.")
    place = await _wait(Search(logs, event).find)
    if place is None:
        raise Invalid(f"No event under a checkpoint in {logs} has the id {event}.", event=event)
    return place


async def _wait(find: Callable[[], T | None]) -> T | None:
    """What is found, at once or within some seconds."""
    until = time.monotonic() + _PATIENCE
    while (found := find()) is None and time.monotonic() < until:
        await asyncio.sleep(0.1)
    return found


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise Usage(f"{path} cannot be read: {error.strerror}.", file=str(path)) from None
    if len(raw) > _MAX_BYTES:
        raise Invalid(f"{path} is larger than a receipt, or an event, can be.", file=str(path))
    return raw


def _of(envelope: Envelope) -> dict[str, Any]:
    return {"id": envelope.id, "type": envelope.type, "about": envelope.subject, "recorded": envelope.time}


def _moment(seconds: int) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (OverflowError, ValueError, OSError):
        return str(seconds)


def register(app: typer.Typer) -> None:
    app.command("receipt")(receipt)
    app.command("verify-receipt")(verify_receipt_file)
