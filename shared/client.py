"""Sends commands to a service over NATS and waits for the durable answer."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any, Final

import msgspec
import nats.errors
from nats.aio.client import Client

from shared.actorkeys import Authtype
from shared.actors import Tokens
from shared.actortoken import HEADER, Unauthenticated
from shared.contract import kebab
from shared.errors import PASSING, Busy, Invalid, LedgerError, OutcomeUnknown, RateLimited, retry_after
from shared.message import CommandMessage, Refused, Reply, command_subject, decode_reply

_AGAIN: Final = frozenset({Busy.code, RateLimited.code})
_PAUSE: Final = 0.2
"""Seconds between two tries where the service does not say how many."""

_UNSEEN: Final = PASSING | {Unauthenticated.status}
"""Statuses of a refusal before it was looked up whether the command is recorded."""

_FRAME: Final = 16
"""Bytes at most that NATS adds to a header, the line that begins them all included."""

_encode: Final = msgspec.json.Encoder().encode


class _Lost(Exception):
    """No answer came to an attempt."""


class CommandClient:
    """Commands of one sender, who is named in every event they lead to.

    `source` is a URI reference that says which program sends, `actor` who acts, `mandate` under which grant. `tokens`
    show that it is them; without, no service of a ledger that runs takes a command.
    """

    def __init__(
        self, nc: Client, *, actor: str, source: str = "/commons/client", mandate: str | None = None,
        authtype: Authtype = "user", timeout: float = 15.0, patience: float = 30.0, tokens: Tokens | None = None,
    ) -> None:  # fmt: skip
        self._nc = nc
        self._actor = actor
        self._source = source
        self._mandate = mandate
        self._authtype = authtype
        self._timeout = timeout
        self._patience = patience
        self._tokens = tokens

    async def send(
        self, service: str, command: str, data: Any, *, id: str | None = None, correlation_id: str | None = None,
        causation_id: str | None = None, mandate: str | None = None, traceparent: str | None = None,
    ) -> Reply:  # fmt: skip
        """Send a command until it is answered; a retry carries the same id, so it is recorded once at most.

        Where a service is busy, or takes no more of this sender for now, it waits for as long as it is told to, unless
        that would be past its patience.

        Raises Refused with the service's problem document, Invalid when the command is larger than the server takes,
        OutcomeUnknown when no answer came within `patience` seconds, and what `tokens` raise.
        """
        name = command if not command[:1].isupper() else kebab(command)
        message = CommandMessage(
            specversion="1.0", id=id or str(uuid.uuid4()), source=self._source, type=f"commons.{service}.{name}",
            authid=self._actor, authtype=self._authtype, mandate=mandate or self._mandate,
            correlationid=correlation_id, causationid=causation_id, traceparent=traceparent,
            data=msgspec.Raw(data if isinstance(data, bytes) else _encode(data)),
        )  # fmt: skip
        raw = _encode(message)
        size = len(raw) + sum(len(k) + len(v) + _FRAME for k, v in (self._headers(service) or {}).items())
        if size > self._nc.max_payload:
            raise Invalid(f"The command is {size:,} bytes; the server takes at most {self._nc.max_payload:,}.")
        deadline = asyncio.get_running_loop().time() + self._patience
        lost = False
        """Whether an attempt may have been recorded: what is said of a later one by who did not look is no answer."""
        while True:
            try:
                reply = await self._attempt(command_subject(service, name), raw, service, deadline)
            except LedgerError as error:
                if lost and not isinstance(error, OutcomeUnknown):
                    raise _unknown(error) from error
                raise
            except _Lost:
                lost = True
                continue
            if reply is None:
                continue
            if reply.problem is None:
                return reply
            refused = Refused(reply.problem)
            pause = retry_after(refused) or _PAUSE
            if refused.code not in _AGAIN or asyncio.get_running_loop().time() + pause > deadline:
                raise _unknown(refused) if lost and refused.status in _UNSEEN else refused
            await asyncio.sleep(pause)

    def _headers(self, service: str) -> dict[str, str] | None:
        """Shows who acts; anew for each attempt, as a token may be over before the last."""
        if self._tokens is None:
            return None
        return {HEADER: self._tokens.token(self._actor, self._authtype, service)}

    async def _attempt(self, subject: str, raw: bytes, service: str, deadline: float) -> Reply | None:
        """One try; None when it is worth another. Raises _Lost when that one may have been recorded."""
        lost = False
        try:
            headers = self._headers(service)
            message = await self._nc.request(subject, raw, timeout=self._timeout, headers=headers)
            return decode_reply(message.data)
        except nats.errors.NoRespondersError:
            reason = (
                f"No {service} service takes {subject.rpartition('.')[2]}: it is not running, or has no such command."
            )
        except (nats.errors.Error, OSError) as error:
            lost = True
            reason = f"No answer came from the {service} service ({type(error).__name__})."
        except msgspec.DecodeError as error:
            raise OutcomeUnknown(
                f"The {service} service answered with something else than an answer: {error}."
            ) from error
        if asyncio.get_running_loop().time() > deadline:
            raise OutcomeUnknown(f"{reason} Send it again under the same id to learn whether it was recorded.")
        await asyncio.sleep(0.1)
        if lost:
            raise _Lost
        return None


def _unknown(error: LedgerError) -> OutcomeUnknown:
    return OutcomeUnknown(
        f"No answer came to the command, and then it could not be asked for again: {error.detail} That is of the "
        "second request; the first may be recorded. Send it again under the same id to learn whether it is.",
    )
