"""Confirms that answers which write nothing were given on the newest state: the stream is asked after they came."""

from __future__ import annotations

import itertools

from shared.aggregate import Aggregate
from shared.committer import Committer
from shared.errors import LedgerError
from shared.store import EventStore


async def confirm(entry: Aggregate, committer: Committer, store: EventStore) -> None:
    """Answer the tickets in front of an aggregate that write nothing, or have them decided again.

    What an append in front of others stands on is confirmed by that append.
    """
    try:
        while entry.tickets and entry.tickets[0].raw is None:
            asked = set(itertools.takewhile(lambda ticket: ticket.raw is None, entry.tickets))
            failures, unknown = entry.failures, None
            try:
                if not await committer.ensure_tail():
                    entry.failed(committer.halted)
                    return
                newest = await store.head(entry.ref)
            except LedgerError as error:
                newest, unknown = entry.sequence, error
            if entry.failures != failures:
                continue  # they were decided again, on a newer state
            if newest < entry.sequence and entry.tickets and entry.tickets[0] in asked:
                committer.lost(entry.subject, newest, entry.sequence)
                entry.failed(committer.halted)
            elif newest > entry.sequence and not entry.pending:
                entry.failed(None)
            elif newest > entry.sequence:
                return  # the appends behind meet the same news as a conflict, and have all of them decided again
            while entry.tickets and entry.tickets[0] in asked:
                if unknown is None:
                    entry.answer_first()
                elif not (unconfirmed := entry.tickets.popleft()).answer.done():
                    unconfirmed.answer.set_exception(unknown)
            entry.settle()
    finally:
        entry.confirming = None
