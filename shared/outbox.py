"""Sends the steps of process managers until each is settled: answered, recognised in the stream, needless, or refused.

Steps to one aggregate, about the same thing if they name one, go one after another, in the order of their causes; all
others side by side. Those of one kind and one story that wait for the same aggregate go as one command, where their
manager can join them. A target that is busy or cannot be reached is tried again for ever. A refusal is tried again a
few times, because a decision may read another aggregate a moment late; then it is recorded in the ledger, for a person.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import msgspec
import structlog
from nats.aio.client import Client

from shared.actors import Tokens
from shared.actortoken import Unauthenticated
from shared.client import CommandClient
from shared.command import CommandMeta
from shared.contract import Contract
from shared.errors import PASSING, CommandIdReused, LedgerError, retry_after
from shared.handler import Handler
from shared.manager import NOTE_REFUSAL, Manager, Step, available_of
from shared.tasks import end

log = structlog.get_logger(__name__)

_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 5.0
_DETAIL: Final = 2000
_TOGETHER: Final = 32
"""Steps that are joined into one command at the most."""

_encode: Final = msgspec.json.Encoder().encode


class Send(Protocol):
    """Sends a command (its data as JSON) to a service; gives the status, `accepted` or `unchanged`, or raises
    LedgerError."""

    async def __call__(self, service: str, command: str, data: bytes, meta: CommandMeta) -> str: ...


def through_nats(nc: Client, tokens: Tokens | None = None) -> Send:
    """Sends over NATS, to services of any process."""

    async def send(service: str, command: str, data: bytes, meta: CommandMeta) -> str:
        client = CommandClient(
            nc, actor=meta.actor, authtype=meta.authtype, source="/commons/process", patience=0, tokens=tokens
        )
        reply = await client.send(
            service, command, data, id=meta.id, correlation_id=meta.correlation_id, causation_id=meta.causation_id
        )
        return reply.status

    return send


def in_process(handler: Handler, elsewhere: Send | None = None) -> Send:
    """Hands the commands of the handler's own service to it, and those of others to `elsewhere`."""

    async def send(service: str, command: str, data: bytes, meta: CommandMeta) -> str:
        if service == handler.contract.service:
            return (await handler.handle(handler.contract.parse(command, data), meta)).status
        if elsewhere is None:
            raise LedgerError(f"This process has no way to send commands to {service}.", service=service)
        return await elsewhere(service, command, data, meta)

    return send


@dataclass(eq=False, slots=True)
class Delivery:
    """One step on its way. `at` is the sequence of the event behind which its manager's position waits for it."""

    manager: Manager
    step: Step
    at: int | None
    id: str = field(init=False)
    event_id: str = field(init=False)
    settled: bool = False
    since: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.id = self.step.id(self.manager.name)
        self.event_id = self.step.event_id(self.id)


class Outbox:
    """The deliveries under way.

    `settled` is told of each that needs nothing more, `failed` of each that met an error of the manager's or of the
    ledger's own, and is left where it is. `contract` is that of the stream in which refusals are recorded.
    """

    def __init__(
        self, send: Send, contract: Contract, settled: Callable[[Delivery], None],
        failed: Callable[[Delivery, Exception], None], *, at_once: int = 256,
        refusal_pauses: Sequence[float] = (0.1, 0.5, 2.0),
    ) -> None:  # fmt: skip
        self._send = send
        self._contract = contract
        self._settled = settled
        self._failed = failed
        self._slots = asyncio.Semaphore(at_once)
        self._refusal_pauses = refusal_pauses
        self._queues: dict[tuple[str, str, str], deque[Delivery]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, delivery: Delivery) -> None:
        """Send a step, behind those that wait for the same aggregate and are about the same."""
        key = (delivery.step.service, delivery.step.target, delivery.step.about)
        queue = self._queues.get(key)
        if queue is not None:
            queue.append(delivery)
            return
        self._queues[key] = deque([delivery])
        task = asyncio.get_running_loop().create_task(self._drain(key))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Stop sending. What was sent and not answered is sent again by the next run."""
        await end(self._tasks)

    async def _drain(self, key: tuple[str, str, str]) -> None:
        queue = self._queues[key]
        while queue:
            alike = _alike(queue)
            if len(alike) > 1 and await self._deliver_joined(alike):
                for delivery in alike:
                    self._settled(delivery)
                    queue.popleft()
                continue
            delivery = queue[0]
            try:
                await self._deliver(delivery)
            except Exception as error:  # noqa: BLE001 - a manager's own mistake must not stop the others
                self._failed(delivery, error)
            else:
                self._settled(delivery)
            queue.popleft()
        del self._queues[key]

    async def _deliver_joined(self, alike: list[Delivery]) -> bool:
        """Send steps that wait together as one; whether that was possible, and was not refused."""
        first, last = alike[0], alike[-1]
        try:
            command = first.manager.joined([delivery.step.command for delivery in alike])
            if command is None:
                return False
            ids = " ".join(delivery.id for delivery in alike)
            step = Step(last.step.cause, last.step.contract, command, f"joined {ids}")
            await self._insist(last, step, step.id(last.manager.name))
        except Exception:  # noqa: BLE001 - whatever it is, each of them meets it alone, and says which one it is
            return False
        return not any(one.settled or one.manager.moot(one.step) for one in alike)  # else it may not have been sent

    async def _deliver(self, delivery: Delivery) -> None:
        refusals = iter(self._refusal_pauses)
        while not (delivery.settled or delivery.manager.moot(delivery.step)):
            try:
                await self._insist(delivery, delivery.step, delivery.id)
                return
            except LedgerError as refusal:
                if str(refusal.code) in delivery.step.met_by:
                    return
                pause = next(refusals, None)
                if pause is None:
                    await self._record(delivery, refusal)
                    return
                await asyncio.sleep(pause)

    async def _insist(self, delivery: Delivery, step: Step, id: str) -> None:
        """Send until there is an answer, or the step was settled meanwhile. Raises what the target refuses."""
        cause = step.cause
        meta = CommandMeta(
            id=id, actor=delivery.manager.name, authtype="process", correlation_id=cause.correlation_id,
            causation_id=cause.id,
        )  # fmt: skip
        name, data = self._named(step)
        pause, told = _FIRST_PAUSE, False
        while not (delivery.settled or delivery.manager.moot(delivery.step)):
            try:
                async with self._slots:
                    await self._send(step.service, name, data, meta)
                    return
            except LedgerError as error:
                # Nobody is refused for good because a key of this service's is new, or a clock is off.
                if error.status not in PASSING and error.code != Unauthenticated.code:
                    raise
                if not told and pause >= 1:
                    log.warning("a step waits for its target", **_names(delivery), reason=error.detail)
                    told = True
                asked = retry_after(error)
            await asyncio.sleep(max(pause, asked))
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _record(self, delivery: Delivery, refusal: LedgerError) -> None:
        """Record a refusal in the ledger. Raises what speaks against that, which must not happen."""
        step, manager = delivery.step, delivery.manager.name
        log.warning("a step was refused", **_names(delivery), code=str(refusal.code), reason=refusal.detail)
        name, _ = self._named(step)
        fields = {
            "step": delivery.id, "manager": manager, "cause": step.cause.id, "service": step.service, "command": name,
            "target": step.target, "code": str(refusal.code)[:200],
            "detail": refusal.detail[:_DETAIL].strip() or "No reason was given.", "available": available_of(refusal),
        }  # fmt: skip
        note = Step(step.cause, self._contract, self._contract.commands[NOTE_REFUSAL].cls(**fields), NOTE_REFUSAL)
        try:
            await self._insist(delivery, note, note.id(manager))
        except CommandIdReused:
            pass  # it was recorded before, when the refusal was worded differently
        except LedgerError as error:
            if error.code != CommandIdReused.code:
                raise

    def _named(self, step: Step) -> tuple[str, bytes]:
        return step.contract.command_of(step.command).name, _encode(step.command)


def _alike(queue: deque[Delivery]) -> list[Delivery]:
    """The steps in front that one command may stand for: of one manager, kind and story, all still to be sent."""
    first = queue[0]
    return list(
        itertools.islice(
            itertools.takewhile(
                lambda one: (
                    one.manager is first.manager
                    and type(one.step.command) is type(first.step.command)
                    and one.step.cause.correlation_id == first.step.cause.correlation_id
                    and not (one.step.met_by or one.settled or one.manager.moot(one.step))
                ),
                queue,
            ),
            _TOGETHER,
        )
    )


def _names(delivery: Delivery) -> dict[str, Any]:
    step = delivery.step
    return {
        "manager": delivery.manager.name, "step": delivery.id, "command": type(step.command).__name__,
        "target": f"{step.service} {step.target}", "cause": step.cause.id,
    }  # fmt: skip
