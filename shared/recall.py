"""Past events that a decision recalls: found by name, in memory or in the stream."""

from __future__ import annotations

import asyncio
from datetime import UTC
from typing import Final

from shared.aggregate import Aggregate, Fetched, Ticket
from shared.cache import Cache
from shared.decider import Past, Ref
from shared.remembered import name_key
from shared.store import EventStore

_AT_ONCE: Final = 32
"""Events that are asked for together: two megabytes of the longest."""


def recall(cache: Cache, entry: Aggregate, ticket: Ticket) -> set[int]:
    """Find the events that a ticket's decision recalls, and give the sequences of those to be fetched first.

    Everything that it reads is in memory. Raises LookupError when it recalls from an aggregate that it does not read.
    """
    missing: set[int] = set()
    past: dict[tuple[Ref, str], Past] = {}
    held, named, names = entry.ref, entry.named, entry.names
    for ref, name in entry.decider.recalls(ticket.command):
        if ref != held:
            if ref != entry.ref and ref not in (*entry.decider.reads(ticket.command), *ticket.more_reads):
                raise LookupError(f"{ref} is recalled from, and not read")
            held, aggregate = ref, cache.get(ref)
            named, names = aggregate.named, aggregate.names
        undurable = named.get(name)
        if undurable is not None:
            assert undurable.decided_at is not None
            past[ref, name] = Past(
                undurable.event, undurable.revision, undurable.meta.actor, undurable.decided_at.astimezone(UTC)
            )
        elif (sequence := names.get(name_key(name))) is not None:
            fetched = ticket.fetched.get(sequence)
            if fetched is None:
                missing.add(sequence)
            elif name in fetched.names:  # else two names have one key
                past[ref, name] = fetched.past
    ticket.past = past
    return missing


async def fetch(cache: Cache, store: EventStore, ticket: Ticket, sequences: set[int]) -> None:
    """Read events that a ticket's decision recalls from the stream. Raises Halted when one is gone."""
    wanted = sorted(sequences)
    for start in range(0, len(wanted), _AT_ONCE):
        for recorded in await asyncio.gather(*map(store.stored, wanted[start : start + _AT_ONCE])):
            names = cache.decider(recorded.category).names(recorded.data)
            past = Past(recorded.data, recorded.revision, recorded.envelope.authid, recorded.recorded_at)
            ticket.fetched[recorded.sequence] = Fetched(past, frozenset(names))
