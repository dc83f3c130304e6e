"""`commons export epcis`: the inventory stream as one EPCIS 2.0 document in JSON-LD.

The stream is read twice from its first event. The first pass finds which movements are mended later, and what items and
places are called; the second writes each event as it goes by. So the memory needed does not grow with the document.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any, Final

import msgspec

from services.exports.epcis_events import Mended, Translator, learn, mends
from services.exports.epcis_names import EXTENSION, Names
from services.inventory.contract import inventory
from shared.event import Recorded, decode, timestamp
from shared.store import stream_name
from shared.wire import StreamReader

CONTEXT: Final = ["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld", {"commons": EXTENSION}]

TAIL: Final = b"\n]}}\n"

Progress = Callable[[int, int], None]
"""Told how many events were read, and how many there are to read, both passes together."""

_STREAM: Final = stream_name(inventory.service)
_DEFAULT_CHAPTER: Final = "local"


@dataclass(frozen=True, slots=True)
class Exported:
    """How many EPCIS events a document holds, and up to which sequence the stream was read for it."""

    events: int
    until: int


class Survey:
    """The first pass: whose ledger it is, what items and places are called, and which movements are mended."""

    def __init__(self) -> None:
        self.names = Names(_DEFAULT_CHAPTER)
        self.mended: set[Mended] = set()

    def look(self, event: Recorded) -> None:
        """Take in the next event of the stream."""
        if event.sequence == 1:
            self.names = Names(_chapter(event))
        learn(self.names, event)
        mended = mends(event)
        if mended is not None:
            self.mended.add(mended)


async def export(
    nats_url: str, out: IO[bytes], now: datetime, *, since: datetime | None = None, until: datetime | None = None,
    progress: Progress | None = None,
) -> Exported:  # fmt: skip
    """Write what was recorded from `since` up to but not with `until`; without them, everything.

    By the time of recording, so that documents of consecutive spans together hold every event once, and a late fact or
    a declaration of error is in the next one. Raises Corrupt when the stream has a gap or an event that cannot be read,
    StreamLost and Misconfigured when it cannot be had.
    """
    show = progress or _silent
    survey, last = Survey(), 0
    async for events, end in _events(nats_url, None):
        for event in events:
            survey.look(event)
        last = events[-1].sequence
        show(last, 2 * end)
    out.write(head(now, survey.names))
    translator = Translator(Names(survey.names.chapter), survey.mended)
    written = 0
    async for events, end in _events(nats_url, last):
        for event in events:
            made = translator.take(event)
            recorded = event.recorded_at
            if (since is None or since <= recorded) and (until is None or recorded < until):
                for one in made:
                    out.write((b",\n" if written else b"\n") + msgspec.json.encode(one))
                    written += 1
        show(end + events[-1].sequence, 2 * end)
    out.write(TAIL)
    return Exported(written, last)


def head(now: datetime, names: Names) -> bytes:
    """A document up to its first event."""
    document: dict[str, Any] = {
        "@context": CONTEXT, "type": "EPCISDocument", "schemaVersion": "2.0", "creationDate": timestamp(now),
    }  # fmt: skip
    vocabularies = names.vocabularies()
    if vocabularies:
        document["epcisHeader"] = {"epcisMasterData": {"vocabularyList": vocabularies}}
    return msgspec.json.encode(document)[:-1] + b',"epcisBody":{"eventList":['


async def _events(nats_url: str, until: int | None) -> AsyncIterator[tuple[list[Recorded], int]]:
    """The stream from its first event on, up to where it ends now, in lists, each with the last sequence there is."""
    async with StreamReader(nats_url, _STREAM, name="commons-export") as reader:
        end = reader.last_sequence if until is None else until
        if end == 0:
            return
        async for messages in reader.batches(until=end):
            events = [
                decode(m.payload, stream=_STREAM, sequence=m.sequence, subject=m.subject, contract=inventory)
                for m in messages
            ]
            yield events, end
            await asyncio.sleep(0)


def _chapter(event: Recorded) -> str:
    """Whose ledger an event is of: its source is `/commons/<chapter>/inventory`."""
    parts = event.envelope.source.strip("/").split("/")
    return parts[1] if len(parts) > 1 else _DEFAULT_CHAPTER


def _silent(_done: int, _total: int) -> None:
    """Progress that nobody watches."""
