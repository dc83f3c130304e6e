"""`commons tail`: the events of a stream, as they are recorded."""

from __future__ import annotations

import asyncio
import re
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable
from difflib import get_close_matches
from typing import Annotated, Any, Final

import msgspec
import nats.errors
import typer

from services.commands.common import Operator, command
from services.commands.contracts import CONTRACTS
from services.commands.door import Unreachable, Usage
from services.commands.events import event_line, event_name
from services.commands.render import console
from shared.connection import api_of
from shared.errors import Corrupt, Misconfigured
from shared.wire import StreamLost, StreamReader

SHOWN: Final = 20
"""Events from the end that are shown when nothing else is asked for."""

_AGAIN_SECONDS: Final = 1.0
_STREAM: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")

Event = tuple[int, bytes, dict[str, Any]]
"""Sequence, the bytes that the ledger stored, and the envelope in them."""


@command
async def tail(
    operator: Operator,
    stream: Annotated[str, typer.Option("--stream", metavar="STREAM", help="The stream.")] = "INVENTORY",
    start: Annotated[int | None, typer.Option("--from", metavar="SEQ", min=1, help="Begin at this sequence.")] = None,
    last: Annotated[
        int | None,
        typer.Option("--last", metavar="N", min=0, help="The last N events that fit; 20 if nothing is asked."),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new events until Ctrl-C.")] = False,
    type_: Annotated[
        list[str] | None, typer.Option("--type", metavar="TYPE", help="Only events of this type, as StockReceived.")
    ] = None,
    aggregate: Annotated[
        str | None,
        typer.Option("--aggregate", metavar="ID", help="Only this aggregate, as stock/rice:main or rice:main."),
    ] = None,
) -> int | None:
    """Show the events of a stream, one a line; with --json, the stored bytes of each as they are.

    Examples:

    commons tail --last 50

    commons tail --follow --type StockIssued --type StockReceived

    commons tail --from 1 --aggregate stock/rice:main --json
    """
    if not _STREAM.fullmatch(stream):
        raise Usage(f"--stream takes a stream's name, as INVENTORY; {stream[:60]!r} is none.")
    if start is not None and last is not None:
        raise Usage("--from and --last cannot both be given: one begins at a sequence, the other counts from the end.")
    wanted = _filter([_known(one) for one in type_ or ()], aggregate)
    show = _show_json if operator.as_json else _show_line
    if start is None and last is None:
        last = SHOWN
    await _tail(operator, stream.upper(), start or 1, last, follow, wanted, show, filtered=bool(type_ or aggregate))
    return None


async def _tail(
    operator: Operator, stream: str, start: int, last: int | None, follow: bool,
    wanted: Callable[[dict[str, Any]], bool], show: Callable[[Event], None], *, filtered: bool,
) -> None:  # fmt: skip
    """Show what there is, then, if asked, what comes."""
    end = await _end(operator, stream)
    if last is not None and (last == 0 or not filtered):
        start = max(1, end - last + 1)
    kept: deque[Event] = deque(maxlen=last)
    async for event in _events(operator, stream, start, end):
        if wanted(event[2]):
            if last is None:
                show(event)
            else:
                kept.append(event)
    for event in kept:
        show(event)
    sys.stdout.flush()
    position = max(end + 1, start)
    while follow:
        try:
            async for event in _events(operator, stream, position, None):
                position = event[0] + 1
                if wanted(event[2]):
                    show(event)
                    sys.stdout.flush()
        except (StreamLost, Misconfigured) as error:
            sys.stderr.write(f"{error.detail} Trying again from {position:,}.\n")
            await asyncio.sleep(_AGAIN_SECONDS)


async def _end(operator: Operator, stream: str) -> int:
    """The stream's last sequence. Raises Usage when there is no such stream."""
    async with operator.nats() as nc:
        try:
            reply = await nc.request(f"{api_of(nc)}.STREAM.INFO.{stream}", b"", timeout=5)
        except nats.errors.Error as error:
            raise Unreachable(f"NATS did not say how long {stream} is ({type(error).__name__}).") from error
    found = msgspec.json.decode(reply.data)
    if "error" in found:
        raise Usage(f"There is no stream {stream}: {found['error'].get('description')}. `commons status` lists them.")
    return int(found["state"]["last_seq"])


async def _events(operator: Operator, stream: str, start: int, until: int | None) -> AsyncIterator[Event]:
    """The events from `start` on, up to `until`, or for ever."""
    if until is not None and start > until:
        return
    async with StreamReader(operator.address("nats_url"), stream, start, name="commons-tail") as reader:
        async for messages in reader.batches(until=until):
            for message in messages:
                raw = bytes(message.payload)
                yield message.sequence, raw, _envelope(stream, message.sequence, raw)


def _envelope(stream: str, sequence: int, raw: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(raw)
    except msgspec.DecodeError as error:
        raise Corrupt(f"Message {sequence:,} of {stream} is not an event: {error}. Run `commons verify`.") from error
    return found if isinstance(found, dict) else {}


def _known(given: str) -> str:
    """The class name of an event from that, from its kebab-case form, or from a CloudEvents type. Raises Usage."""
    name = event_name(given if "." in given else f".{given}.") if not given[:1].isupper() else given
    names = [event for contract in CONTRACTS.values() for event in contract.events]
    if name in names:
        return name
    close = get_close_matches(name, names, n=1, cutoff=0.5)
    meant = f" Did you mean {close[0]}?" if close else f" There is: {', '.join(sorted(names))}."
    raise Usage(f"There is no type of event {given[:80]!r}.{meant}")


def _filter(types: list[str], aggregate: str | None) -> Callable[[dict[str, Any]], bool]:
    def wanted(event: dict[str, Any]) -> bool:
        if types and event_name(str(event.get("type", ""))) not in types:
            return False
        if aggregate is not None:
            subject = str(event.get("subject", ""))
            return aggregate in (subject, subject.partition("/")[2])
        return True

    return wanted


def _show_json(event: Event) -> None:
    sys.stdout.write(event[1].decode(errors="replace") + "\n")


def _show_line(event: Event) -> None:
    out = console()
    out.print(event_line(event[0], event[2]), no_wrap=True, overflow="ellipsis" if out.is_terminal else "ignore")


def register(app: typer.Typer) -> None:
    app.command("tail")(tail)
