"""From a decision to the bytes that are stored: what is personal sealed, in an envelope, chained to the event before.

And back: a command that repeats an earlier one is compared with what was stored.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from shared.aggregate import Aggregate, Ticket
from shared.command import assert_same
from shared.contract import Contract
from shared.errors import Corrupt, LedgerError
from shared.event import Envelope, encode, timestamp
from shared.sealedevent import opened, sealed
from shared.vault import Vault


class Writing:
    """How one service writes its events."""

    def __init__(self, contract: Contract, chapter: str, vault: Vault | None) -> None:
        self._contract = contract
        self._vault = vault
        self._source = f"/commons/{chapter}/{contract.service}"

    def written(self, entry: Aggregate, ticket: Ticket, event: Any, now: datetime) -> tuple[Any, bytes]:
        """A ticket's event as it is folded, and its bytes. Raises TooLarge, Erased, or what else speaks against it."""
        event = sealed(event, ticket.event_id, self._contract, self._vault)
        spec = self._contract.spec_of(event)
        meta = ticket.meta
        data = msgspec.json.encode(event)
        name = f"{entry.ref.category}/{entry.ref.id}"
        try:  # a microsecond or two; an event that cannot be read locks its aggregate for good
            self._contract.decode(spec.type, data, name)
        except Corrupt as error:
            raise LedgerError(
                f"The service's decision could not be read again, so nothing was recorded. {error.detail}",
                type=spec.type,
            ) from error
        return event, encode(
            Envelope(
                specversion="1.0", id=ticket.event_id, source=self._source, type=spec.type,
                subject=name, time=timestamp(now),
                dataschema=f"urn:commons:schema:{spec.type}", datacontenttype="application/json",
                revision=entry.revision + 1, prevhash=entry.hash,
                correlationid=meta.correlation_id or meta.id, causationid=meta.causation_id or meta.id,
                authtype=meta.authtype, authid=meta.actor, mandate=ticket.mandate, data=msgspec.Raw(data),
            )
        )  # fmt: skip

    def assert_same(self, ticket: Ticket, event: Any, actor: str) -> None:
        """Refuse a repeat that says something else than the command which made an event, what is sealed included.

        Raises KeyNotHere when a key has to be read before they can be compared.
        """
        event = opened(event, ticket.event_id, self._contract, self._vault)
        assert_same(ticket.command, ticket.meta, event, actor, self._contract.command_of(ticket.command).makes)
