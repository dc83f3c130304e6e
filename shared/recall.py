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
    asked = entry.decider.recalls(ticket.command)
    ticket.past = past
    if asked == ():
        return missing
    wanted: dict[Ref, list[str]] = {}
    held, names = entry.ref, wanted.setdefault(entry.ref, [])
    for ref, name in asked:
        if ref != held:
            held, names = ref, wanted.setdefault(ref, [])
        names.append(name)
    for ref, names in wanted.items():
        if not names:
            continue
        if ref != entry.ref and ref not in (*entry.decider.reads(ticket.command), *ticket.more_reads):
            raise LookupError(f"{ref} is recalled from, and not read")
        aggregate = entry if ref == entry.ref else cache.get(ref)
        for name in aggregate.named.keys() & names:
            past[ref, name] = _undurable(aggregate.named[name])
        keys = ticket.keys = dict(zip(names, map(name_key, names), strict=True))
        found = aggregate.names.find(keys.values())
        if not found:
            continue
        for name, key in keys.items():
            sequence = found.get(key)
            if sequence is None or (ref, name) in past:
                continue
            fetched = ticket.fetched.get(sequence)
            if fetched is None:
                missing.add(sequence)
            elif name in fetched.names:  # else two names have one key
                past[ref, name] = fetched.past
    return missing


def _undurable(ticket: Ticket) -> Past:
    """The event of a ticket that is decided and not durable."""
    assert ticket.decided_at is not None
    return Past(ticket.event, ticket.revision, ticket.meta.actor, ticket.decided_at.astimezone(UTC))


async def fetch(cache: Cache, store: EventStore, ticket: Ticket, sequences: set[int]) -> None:
    """Read events that a ticket's decision recalls from the stream. Raises Halted when one is gone."""
    wanted = sorted(sequences)
    for start in range(0, len(wanted), _AT_ONCE):
        for recorded in await asyncio.gather(*map(store.stored, wanted[start : start + _AT_ONCE])):
            names = cache.decider(recorded.category).names(recorded.data)
            past = Past(recorded.data, recorded.revision, recorded.envelope.authid, recorded.recorded_at)
            ticket.fetched[recorded.sequence] = Fetched(past, frozenset(names))
