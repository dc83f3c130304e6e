"""`commons status`: whether everything runs, is configured as the ledger needs it, and keeps up."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final

import msgspec
import nats.errors
import typer
from nats.aio.client import Client

from services.commands.common import Operator, command
from services.commands.contracts import CONTRACTS
from services.commands.door import OK, REFUSED, UNREACHABLE, Unreachable
from services.commands.projections import print_projections
from services.commands.render import console, emit
from services.commands.streams import streams
from services.commands.tables import print_table
from services.projections.registry import PROJECTIONS
from shared import halt
from shared.clock import utc_now
from shared.errors import LedgerError, Misconfigured, OutcomeUnknown
from shared.status import ProjectionStatus, standing, status
from shared.store import FORBIDDEN, REQUIRED, assert_sync_always, stream_name

PROCESSES: Final = "COMMONS_PROCESSES"
"""Names the processes that have to answer beside services and read models, such as `auditor fhir`, where `commons up`
does not say so."""

STUCK_SECONDS: Final = 60
"""A command of a process manager that waits longer than this for its answer is a problem."""

STALE_SECONDS: Final = 60
"""A checkpoint older than this that does not hold all events of its stream is a problem."""

STILL_SECONDS: Final = 10.0
"""A read model that is behind its stream, and does not move for so long, is a problem."""

_ASK_SECONDS: Final = 2.0
_NAMED: Final = 3


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One process of the ledger as it describes itself; `state` is ready, not ready or not running."""

    name: str
    state: str
    detail: str = ""
    health: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """One stream of the ledger; `differences` are the settings that are not as the ledger needs them."""

    name: str
    messages: int
    bytes: int
    last_sequence: int
    differences: list[str]


@dataclass(frozen=True, slots=True)
class ManagerStatus:
    """One process manager of a service: how far behind the stream it is, and what of it waits or was refused.

    `waiting` counts commands without an answer yet, `oldest_seconds` how long the first of them has waited.
    """

    name: str
    service: str
    position: int
    lag: int
    waiting: int
    oldest_seconds: float
    refusals: int
    failure: str | None


@dataclass(frozen=True, slots=True)
class CheckpointStatus:
    """The last checkpoint of a service's stream; `behind` counts events that are not under it yet."""

    service: str
    size: int
    behind: int
    age_seconds: float
    cosigned: int
    witnesses: int
    """How many were asked to cosign it."""


@dataclass(slots=True)
class Overview:
    """All that could be learned; `problems` says in sentences what is wrong."""

    services: list[ServiceStatus] = field(default_factory=list)
    managers: list[ManagerStatus] = field(default_factory=list)
    streams: list[StreamStatus] = field(default_factory=list)
    projections: list[ProjectionStatus] = field(default_factory=list)
    halt: dict[str, Any] | None = None
    checkpoints: list[CheckpointStatus] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    reached: bool = True


@command
async def status_(operator: Operator) -> int | None:
    """Show whether the services, the streams and the read models are well; exit code 1 when something is not.

    Example: commons status --data /srv/pantry
    """
    overview = Overview()
    await _look_at_nats(operator, overview)
    await _look_at_database(operator, overview)
    if operator.as_json:
        emit({"ok": not overview.problems, **asdict(overview)})
    else:
        _print(overview)
    if not overview.reached:
        return UNREACHABLE
    return REFUSED if overview.problems else OK


async def _look_at_nats(operator: Operator, overview: Overview) -> None:
    missing: list[str] = []
    try:
        async with operator.nats() as nc:
            named = os.environ.get(PROCESSES, "").split()
            names = dict.fromkeys(
                [*CONTRACTS, "projections", "clinic-projections", *named, *operator.description.get("services", {})]
            )
            overview.services += await asyncio.gather(*(_ask(nc, name) for name in names))
            found = await streams(nc)
            missing = [f"There is no stream {name} yet." for name, info in found.items() if info is None]
            overview.streams += [_stream(name, info) for name, info in sorted(found.items()) if info is not None]
            await _look_at_audit(nc, overview, {name: _end(info) for name, info in found.items()})
    except Unreachable as error:
        overview.reached = False
        overview.problems.append(error.detail)
        return
    except OutcomeUnknown as error:
        overview.problems.append(error.detail)
    except nats.errors.Error as error:
        overview.problems.append(f"NATS did not answer about its streams ({type(error).__name__}).")
    for service in overview.services:
        overview.managers += managers_of(service)
    overview.problems += [f"Process manager {m.name} stands still: {m.failure}" for m in overview.managers if m.failure]
    overview.problems += [
        f"Process manager {m.name} has waited {m.oldest_seconds:.0f} s for an answer."
        for m in overview.managers
        if m.oldest_seconds > STUCK_SECONDS
    ]
    overview.problems += [
        f"{s.name} is {s.state}: {s.detail}"
        for s in overview.services
        if s.state != "ready" and not (overview.halt and s.health.get("halted"))  # said once for all
    ]
    for service in overview.services:
        overview.problems += _stopped(service)
    overview.problems += missing
    for stream in overview.streams:
        if stream.differences:
            overview.problems.append(f"Stream {stream.name} is not safe for a ledger: {'; '.join(stream.differences)}.")
    monitoring = operator.description.get("nats_monitoring_url")
    if isinstance(monitoring, str):
        try:
            await assert_sync_always(monitoring)
        except Misconfigured as error:
            overview.problems.append(error.detail)


async def _look_at_audit(nc: Client, overview: Overview, last: dict[str, int]) -> None:
    """The halt and the checkpoints of the streams that `last` holds; a ledger without an auditor has neither."""
    try:
        standing = await halt.read(nc)
        found = {name: await halt.checkpoint_of(nc, name) for name in CONTRACTS}
    except OutcomeUnknown as error:
        overview.problems.append(error.detail)
        return
    if standing is not None and standing.halted:
        overview.halt = msgspec.to_builtins(standing)
        overview.problems.append(standing.error().detail)
    for name, checkpoint in found.items():
        stream = stream_name(name)
        if checkpoint is None or stream not in last:
            continue
        behind = last[stream] - checkpoint.size
        age = (utc_now() - datetime.fromisoformat(checkpoint.at)).total_seconds()
        overview.checkpoints.append(
            CheckpointStatus(name, checkpoint.size, max(0, behind), age, checkpoint.cosigned, checkpoint.witnesses)
        )
        if behind < 0:
            overview.problems.append(
                f"Stream {stream} ends at {last[stream]:,}, and its checkpoint holds {checkpoint.size:,} "
                "events: its tail is lost."
            )
        elif checkpoint.witnesses and not checkpoint.cosigned and age > STALE_SECONDS:
            overview.problems.append(
                f"None of {checkpoint.witnesses} witness(es) has cosigned the last checkpoint of {stream}, which is "
                f"{age:.0f} s old. The auditor's log says how each answered."
            )
        if behind > 0 and age > STALE_SECONDS:
            overview.problems.append(
                f"The last checkpoint of {stream} is {age:.0f} s old, and {behind:,} event(s) are not under it. "
                "Does the auditor run?"
            )


async def _ask(nc: Client, name: str) -> ServiceStatus:
    """What a process says of itself; each answers on `status.<name>`."""
    try:
        reply = await nc.request(f"status.{name}", b"", timeout=_ASK_SECONDS)
        health = json.loads(reply.data)
    except nats.errors.NoRespondersError:
        return ServiceStatus(name, "not running", "nobody answers for it")
    except (nats.errors.Error, TimeoutError, ValueError) as error:
        return ServiceStatus(name, "not ready", f"it gave no answer ({type(error).__name__})")
    if health.get("ready"):
        return ServiceStatus(name, "ready", _figures(health), health)
    return ServiceStatus(name, "not ready", _reason(health), health)


def _figures(health: dict[str, Any]) -> str:
    told = {name: health.get(name) for name in ("acknowledged", "waiting", "conflicts")}
    if isinstance(turned_away := health.get("turned_away"), dict):
        told |= {f"turned away as {reason}": count for reason, count in turned_away.items() if count}
    return ", ".join(f"{name} {count:,}" for name, count in told.items() if isinstance(count, int))


def _reason(health: dict[str, Any]) -> str:
    halted = health.get("halted")
    if isinstance(halted, dict):
        return str(halted.get("detail"))
    models = health.get("projections")
    if isinstance(models, dict):
        unwell = {n: f"{m.get('state')} {m.get('detail', '')}".strip() for n, m in models.items()
                  if m.get("state") not in ("live", "building", "standing still")}  # fmt: skip
        return "; ".join(f"{names}: {what}" for what, names in _alike(unwell).items()) or "it is starting"
    logs = health.get("logs")
    if isinstance(logs, dict):
        stopped = {n: f"{one.get('state')}, {one.get('detail', '')}" for n, one in logs.items()
                   if one.get("state") != "following"}  # fmt: skip
        return "; ".join(f"{names}: {what}" for what, names in _alike(stopped).items()) or "it has lost NATS"
    return "it is starting, or has lost NATS"


def _alike(told: dict[str, str]) -> dict[str, str]:
    """What is told of each, once, with the names of those of which it is told; of many, the first and how many more."""
    alike: dict[str, list[str]] = {}
    for name, what in told.items():
        alike.setdefault(what, []).append(name)
    return {
        what: ", ".join(names)
        if len(names) <= _NAMED
        else f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED} more"
        for what, names in alike.items()
    }


async def managers_now(operator: Operator) -> list[ManagerStatus]:
    """The process managers of every service that answers. Raises Unreachable, and NATS's own errors."""
    async with operator.nats() as nc:
        services = await asyncio.gather(*(_ask(nc, name) for name in CONTRACTS))
    return [manager for service in services for manager in managers_of(service)]


def managers_of(service: ServiceStatus) -> list[ManagerStatus]:
    """The process managers that a service tells of."""
    return [
        ManagerStatus(
            name=str(told.get("manager")), service=service.name, position=int(told.get("position", 0)),
            lag=int(told.get("lag", 0)), waiting=int(told.get("waiting", 0)),
            oldest_seconds=float(told.get("oldest_seconds", 0)), refusals=int(told.get("refusals", 0)),
            failure=told.get("failure"),
        )
        for processes in _processes(service)
        for told in processes.get("managers") or ()
    ]  # fmt: skip


def _processes(service: ServiceStatus) -> list[dict[str, Any]]:
    """What a service tells of its process managers, one for each stream that they follow."""
    told = service.health.get("processes")
    return [one for one in told if isinstance(one, dict)] if isinstance(told, list) else []


def _stopped(service: ServiceStatus) -> list[str]:
    """What ails all of a service's process managers at once, in sentences."""
    told = []
    for processes in _processes(service):
        if isinstance(failure := processes.get("failure"), dict):
            told.append(f"The process managers of {service.name} stopped: {failure.get('detail')}")
        if unreadable := processes.get("unreadable"):
            told.append(
                f"The process managers of {service.name} passed over {unreadable} message(s) of "
                f"{processes.get('stream')} that cannot be read, the first at {processes.get('first_unreadable')}. See "
                "`commons verify`."
            )
    return told


def _stream(name: str, info: dict[str, Any]) -> StreamStatus:
    config, state = info["config"], info["state"]
    return StreamStatus(name, state["messages"], state["bytes"], state["last_seq"], differences(config))


def _end(info: dict[str, Any] | None) -> int:
    return 0 if info is None else int(info["state"]["last_seq"])


def differences(config: dict[str, Any]) -> list[str]:
    """Where a stream's configuration is not what the ledger asks for."""
    wrong = [f"{name} is {config.get(name)!r}, not {value!r}" for name, value in REQUIRED.items()
             if config.get(name) != value]  # fmt: skip
    return wrong + [f"{name} is set" for name in FORBIDDEN if config.get(name)]


async def _look_at_database(operator: Operator, overview: Overview) -> None:
    last = {stream.name: stream.last_sequence for stream in overview.streams}
    try:
        async with operator.database() as pool:
            overview.projections += await status(pool, last)
            still = await standing(pool, overview.projections, STILL_SECONDS)
    except Unreachable as error:
        overview.reached = False
        overview.problems.append(error.detail)
        return
    except LedgerError as error:
        overview.problems.append(error.detail)
        return
    overview.problems += [
        f"Read model {name} stands at {at:,} of {last[stream]:,} events of {stream}, and did not move for "
        f"{STILL_SECONDS:.0f} s. Start its process again, and look at its log."
        for (name, stream), at in still.items()
    ]
    unwell = {one.name: f"{one.state}: {one.detail}" for one in overview.projections
              if one.state in ("stopped", "standing still")}  # fmt: skip
    overview.problems += [f"Read model(s) {names}: {what}" for what, names in _alike(unwell).items()]
    for known in overview.projections:
        if known.parked:
            overview.problems.append(
                f"Read model {known.name} set {known.parked} event(s) aside, and {known.waiting} wait behind: "
                f"`commons projections parked {known.name}`."
            )
    missing = set(PROJECTIONS) - {known.name for known in overview.projections}
    if missing:
        overview.problems.append(f"Not built yet: {', '.join(sorted(missing))}.")


def _print(overview: Overview) -> None:
    out = console()
    rows = [[s.name, s.state, s.detail] for s in overview.services]
    print_table(["service", "state", "detail"], rows, title="Services", empty="No service could be asked.")
    streams = [[s.name, s.messages, s.bytes, s.last_sequence, not s.differences] for s in overview.streams]
    columns = ["stream", "messages", "bytes", "last sequence", "configuration ok"]
    print_table(columns, streams, title="Streams", empty="No stream of the ledger was found.")
    managers = [[m.name, m.service, m.position, m.lag, m.waiting, m.refusals, m.failure] for m in overview.managers]
    columns = ["manager", "service", "sequence", "lag", "waiting", "refused steps", "failure"]
    print_table(columns, managers, title="Process managers", empty="No process manager was found.")
    if overview.projections or overview.reached:
        print_projections(overview.projections, title="Read models")
    if overview.checkpoints:
        signed = [
            [c.service, c.size, c.behind, f"{c.age_seconds:.0f} s ago", _cosigned(c)] for c in overview.checkpoints
        ]
        print_table(["log", "size", "behind", "signed", "cosigned by"], signed, title="Checkpoints")
    if not overview.problems:
        out.print("All is well.", style="green")
    for problem in overview.problems:
        out.print(f"✗ {problem}", style="red", soft_wrap=True, markup=False)


def _cosigned(checkpoint: CheckpointStatus) -> str:
    """By how many of the witnesses, if any is named."""
    return f"{checkpoint.cosigned} of {checkpoint.witnesses} witnesses" if checkpoint.witnesses else "no witness named"


def register(app: typer.Typer) -> None:
    app.command("status")(status_)
