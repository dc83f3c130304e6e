"""`commons export beancount|hledger|csv`: a whole book out of the treasury's stream, for the tools of accountants.

The stream is read twice, as for EPCIS: first for accounts, units and names, then for the entries, which are written as
they go by. So what is exported is what was recorded, whether or not a read model stands, and the same book gives the
same bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from types import ModuleType
from typing import IO, Final

from services.exports import beancount, hledger, journal_csv
from services.exports.book import Survey, entries
from services.treasury.contract import treasury
from shared.event import Recorded, decode
from shared.store import stream_name
from shared.wire import StreamReader

Progress = Callable[[int, int], None]
"""Told how many events were read, and how many there are to read, both passes together."""

Names = Callable[[Mapping[str, str]], Awaitable[Mapping[str, str]]]
"""Gives the names of parties that may be shown, from their sealed names by id."""

_STREAM: Final = stream_name(treasury.service)


class Form(StrEnum):
    BEANCOUNT = "beancount"
    HLEDGER = "hledger"
    CSV = "csv"


_WRITERS: Final[Mapping[Form, ModuleType]] = {
    Form.BEANCOUNT: beancount, Form.HLEDGER: hledger, Form.CSV: journal_csv,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Exported:
    """Which book, how many entries of it, and up to which sequence the stream was read."""

    book: str
    entries: int
    until: int


async def export(
    nats_url: str, out: IO[bytes], form: Form, *, book: str | None = None, since: date | None = None,
    until: date | None = None, names: Names | None = None, progress: Progress | None = None,
) -> Exported:  # fmt: skip
    """Write the entries of a book that are dated from `since` to `until`, both included; without them, all.

    What was before `since` comes as one entry of balances brought forward, so that balances at the end are the book's.
    Raises Invalid when the book is not known, Corrupt, StreamLost and Misconfigured as every reader of a stream.
    """
    survey, last = Survey(book, since), 0
    async for events, end in _events(nats_url, None):
        for event in events:
            survey.take(event)
        last = events[-1].sequence
        if progress is not None:
            progress(last, 2 * end)
    found = survey.book()
    parties = await names(found.parties) if names is not None else {}
    writer = _WRITERS[form]
    out.write(writer.head(found).encode())
    if (forward := survey.brought_forward(found)) is not None:
        out.write(writer.entry(found, forward, {}).encode())
    written = 0
    async for events, end in _events(nats_url, last):
        for event in events:
            for entry in entries(event):
                if event.data.book == found.id and (since or entry.date) <= entry.date <= (until or entry.date):
                    out.write(writer.entry(found, entry, parties).encode())
                    written += 1
        if progress is not None:
            progress(end + events[-1].sequence, 2 * end)
    return Exported(found.id, written, last)


async def _events(nats_url: str, until: int | None) -> AsyncIterator[tuple[list[Recorded], int]]:
    """The stream from its first event on, up to where it ends now, in lists, each with the last sequence there is."""
    async with StreamReader(nats_url, _STREAM, name="commons-export") as reader:
        end = reader.last_sequence if until is None else until
        if end == 0:
            return
        async for messages in reader.batches(until=end):
            yield (
                [
                    decode(m.payload, stream=_STREAM, sequence=m.sequence, subject=m.subject, contract=treasury)
                    for m in messages
                ],
                end,
            )
            await asyncio.sleep(0)
