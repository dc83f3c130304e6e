"""A service's commands, from their arrival over NATS to the answer that goes back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Final

import structlog
from opentelemetry.trace import Span
from prometheus_client import Counter, Histogram

from shared import telemetry
from shared.actors import Verifier
from shared.actortoken import HEADER, Actor
from shared.admission import Admission
from shared.bulk import cut, handle_parts
from shared.command import Answer, BulkAnswer
from shared.contract import Contract
from shared.credentials import ANSWERED
from shared.errors import Busy, Corrupt, Denied, Forbidden, LedgerError, OutcomeUnknown, RateLimited
from shared.handler import Handler
from shared.inbound import Inbound, Request
from shared.message import CommandMessage, encode_answer, encode_bulk_answer, encode_refusal, parse_command
from shared.settings import Settings

log = structlog.get_logger(__name__)

_COMMANDS: Final = Counter("commons_commands_total", "Commands answered.", ["service", "command", "status"])
_REFUSALS: Final = Counter(
    "commons_refusals_total", "Commands that were not accepted, by the code of the answer.", ["service", "code"]
)
ERRORS: Final = ("ERROR", Corrupt.code, Denied.code, OutcomeUnknown.code)
"""The codes of refusals that are the ledger's fault: told as 0 from the start, so that the first is a change."""

_SECONDS: Final = Histogram(
    "commons_command_seconds", "From receipt to durable answer.", ["service"],
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5),
)  # fmt: skip


class Reception:
    """Takes a service's commands while `inbound` listens, and answers each when its decision is durable.

    `verifier` shows who sends a command; without it, as in tests, everybody is who they say they are.
    """

    def __init__(
        self, contract: Contract, settings: Settings, handler: Callable[[], Handler], verifier: Verifier | None
    ) -> None:
        self.contract = contract
        # One subscription for all commands: a wildcard also answers a command that does not exist.
        self.inbound = Inbound(
            settings.nats_url, f"command.{contract.service}.*", queue=contract.service,
            name=f"{contract.service}-commands", receive=self._receive,
        )  # fmt: skip
        self._handler = handler
        self._verifier = verifier
        self._bulks: set[asyncio.Task[BulkAnswer]] = set()
        self._admission = Admission(contract.service, settings)
        self._counters: dict[tuple[str, str], Any] = {}
        self._seconds = _SECONDS.labels(contract.service)
        for code in ERRORS:
            _REFUSALS.labels(contract.service, code)

    @property
    def turned_away(self) -> dict[str, int]:
        """How many commands were not taken, by the reason."""
        return self._admission.turned_away

    def _receive(self, message: Request) -> None:
        """Hand a command to the handler; the answer follows when its decision is durable, and nothing waits for it."""
        if message.reply and not message.reply.startswith(ANSWERED):
            # NATS lets a caller name any subject for the answer, a ledger's too: there it would stand as an event.
            log.warning("a command was not taken: its reply subject is no inbox", subject=message.subject)
            return
        began = time.perf_counter()
        name = message.subject.rpartition(".")[2]
        size = message.size
        label = "invalid"
        span: Span | None = None
        try:
            self._admission.room(size)
            actor = None if self._verifier is None else self._verifier.verify(message.headers.get(HEADER))
            spec = self.contract.command_named(name)
            label = spec.name
            type_ = f"commons.{self.contract.service}.{spec.subject_token}"
            wire = parse_command(
                message.data, type_, bulk=spec.cut is not None, known=lambda sent: self._known(sent, actor, size)
            )
            data = bytes(wire.data)
            parts = cut(spec, data) if spec.cut is not None else ()
            command = self.contract.parse(spec.name, data) if spec.cut is None else None
            meta = wire.meta if actor is None else replace(wire.meta, roles=actor.roles)
            if telemetry.tracing():
                span = telemetry.start_span(spec.name, wire.traceparent, command_id=wire.id)
                if span is not None:
                    meta = replace(meta, traceparent=telemetry.traceparent_of(span))
            future: asyncio.Future[Answer] | asyncio.Future[BulkAnswer]
            if parts:
                future = asyncio.get_running_loop().create_task(handle_parts(self._handler(), spec, parts, meta))
                self._bulks.add(future)
                future.add_done_callback(self._bulks.discard)
            else:
                future = self._handler().submit(command, meta)
        except Busy as error:
            self._turned_away(message.reply, label, began, span, error)
        except LedgerError as error:
            self._refuse(message.reply, "invalid", began, span, error, name="invalid")
        except Exception as error:
            log.exception("a command could not be taken", command=name)
            self._refuse(message.reply, "error", began, span, error, name="invalid")
        else:
            self._admission.hold(size, wire.meta.actor, future)
            future.add_done_callback(partial(self._decided, message.reply, spec.name, began, span))

    def _known(self, sent: CommandMessage, actor: Actor | None, size: int) -> None:
        """Refuse who is not the one that the token shows, or sends too much: nobody uses up what is another's."""
        if actor is not None and self._verifier is not None:
            self._verifier.same(actor, sent.authid, sent.authtype)
            self._from_outside(actor)
        self._admission.sender(sent.authid, sent.authtype, size)

    def _from_outside(self, actor: Actor) -> None:
        """Refuse what is sent as one of this service's own processes, which act within it: managers of two services may
        have one name, and the key of one of them must not sign for the other."""
        rights = self.contract.rights
        if rights is not None and actor.authtype != "user" and actor.name not in rights.outside:
            raise Forbidden(
                f"No {actor.authtype} {actor.name} sends {self.contract.service} commands from outside.",
                actor=actor.name,
            )  # fmt: skip

    def _decided(self, reply: str, name: str, began: float, span: Span | None, future: asyncio.Future[Any]) -> None:
        if future.cancelled():
            error: BaseException | None = OutcomeUnknown("The service is stopping. Send it again under the same id.")
        else:
            error = future.exception()
        if error is None:
            answer = future.result()
            raw = encode_bulk_answer(answer) if isinstance(answer, BulkAnswer) else encode_answer(answer)
            self._answer(reply, answer.status, began, span, raw, name=name)
        elif isinstance(error, Busy):
            self._turned_away(reply, name, began, span, error)
        else:
            self._refuse(reply, "refused", began, span, error, name=name)

    def _turned_away(self, reply: str, name: str, began: float, span: Span | None, error: Busy) -> None:
        """Answer a command that may be sent again: nothing of it was recorded."""
        status = "limited" if isinstance(error, RateLimited) else "busy"
        self._admission.turned_away[status] += 1
        self._refuse(reply, status, began, span, error, name=name)

    def _refuse(
        self, reply: str, status: str, began: float, span: Span | None, error: BaseException, *, name: str
    ) -> None:  # fmt: skip
        code = str(error.code) if isinstance(error, LedgerError) else ERRORS[0]
        _REFUSALS.labels(self.contract.service, code).inc()
        self._answer(reply, status, began, span, encode_refusal(error), name=name)

    def _answer(self, reply: str, status: str, began: float, span: Span | None, raw: bytes, *, name: str) -> None:
        counter = self._counters.get((name, status))
        if counter is None:
            counter = self._counters[name, status] = _COMMANDS.labels(self.contract.service, name, status)
        counter.inc()
        self._seconds.observe(time.perf_counter() - began)
        if span is not None:
            span.set_attribute("status", status)
            span.end()
        if reply:
            self.inbound.answer(reply, raw)
