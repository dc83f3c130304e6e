"""`commons projections`: the read models, how far each has come, and the events that one of them could not fold."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from difflib import get_close_matches
from typing import Annotated, Final

import typer
from rich.progress import TaskID

from services.commands.common import Operator, command
from services.commands.door import OK, REFUSED, Usage, new_group
from services.commands.render import console, emit, progress_bar
from services.commands.streams import streams
from services.commands.tables import print_table
from services.projections.registry import PROJECTIONS
from shared.errors import LedgerError
from shared.parking import Parked, Released, list_parked, retry, skip
from shared.projection import Projection
from shared.runner import rebuild as rebuild_now
from shared.status import ProjectionStatus, status
from shared.types import MAX_INTEGER

_TAKEN_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.05

Name = Annotated[str, typer.Argument(metavar="NAME", help="The read model, as `list` names it.")]
Sequence = Annotated[
    int, typer.Argument(metavar="SEQ", min=1, max=MAX_INTEGER, help="The event's sequence in its stream.")
]
Stream = Annotated[
    str | None, typer.Option("--stream", metavar="STREAM", help="Its stream, for a read model that reads several.")
]


def projection(name: str) -> Projection:
    """A read model of this installation. Raises Usage when there is none of that name."""
    found = PROJECTIONS.get(name)
    if found is None:
        close = get_close_matches(name.lower(), PROJECTIONS, n=1, cutoff=0.6)
        meant = f" Did you mean {close[0]}?" if close else ""
        raise Usage(f"There is no read model {name[:60]!r}.{meant} There is: {', '.join(PROJECTIONS)}.")
    return found


async def ends(operator: Operator) -> dict[str, int]:
    """The last sequence of every stream that may be asked for, by name."""
    async with operator.nats() as nc:
        return {name: info["state"]["last_seq"] for name, info in (await streams(nc)).items() if info is not None}


@command
async def list_(operator: Operator) -> int | None:
    """List the read models: version, state, position, how far behind the stream, and parked events."""
    last = await ends(operator)
    async with operator.database() as pool:
        found = await status(pool, last)
    missing = [name for name in PROJECTIONS if name not in {known.name for known in found}]
    if operator.as_json:
        emit({"projections": [asdict(known) for known in found], "missing": missing})
        return OK
    print_projections(found)
    if missing:
        console().print(f"Not built yet: {', '.join(missing)}.", style="yellow")
    return OK


def print_projections(found: list[ProjectionStatus], title: str | None = None) -> None:
    """A table of read models, and of what is being built beside one."""
    rows = []
    for known in found:
        for stream, position in known.positions.items():
            lag = known.lag.get(stream)
            rows.append(
                [
                    known.name,
                    known.version,
                    known.state,
                    stream,
                    position,
                    lag,
                    known.parked,
                    known.waiting,
                    known.detail,
                ]
            )
        if known.building is not None:
            for stream, position in known.building.positions.items():
                rows.append(
                    ["  being built", known.building.version, "building", stream, position, None, None, None, None]
                )
    columns = ["projection", "version", "state", "stream", "sequence", "lag", "parked", "waiting", "detail"]
    print_table(columns, rows, title=title, empty="No read model was built yet.")


@command
async def rebuild(operator: Operator, name: Name) -> int | None:
    """Build a read model anew from the first event, beside the live one, and switch when it is level.

    Readers see the old rows until the switch. Example: commons projections rebuild stock_on_hand
    """
    model = projection(name)
    bar = progress_bar()
    tasks: dict[str, TaskID] = {}

    def show(positions: dict[str, int], last: dict[str, int]) -> None:
        for stream, position in positions.items():
            if stream not in tasks:
                tasks[stream] = bar.add_task(f"{name} {stream}", total=None)
            bar.update(tasks[stream], completed=position, total=last.get(stream))

    # The servers are asked first, so that one that is away is an answer and not a retry.
    await ends(operator)
    async with operator.database():
        pass
    with bar:
        made = await rebuild_now(
            model, operator.address("nats_url"), operator.address("database_url"), on_progress=show
        )
    followed = await _taken_over(operator, name)
    if operator.as_json:
        emit({"projection": made.projection, "generation": made.number, "version": made.version, "live": made.live,
              "followed": followed})  # fmt: skip
    else:
        console().print(f"{made.projection} was rebuilt: generation {made.number} of version {made.version} is live.")
        if not followed:
            console().print("No process follows it yet. Is the projections process running? `commons status` tells.")
    return OK


async def _taken_over(operator: Operator, name: str) -> bool:
    """Whether the projections process went on from the new generation, which takes it a moment to notice."""
    async with operator.database() as pool:
        for _ in range(int(_TAKEN_SECONDS / _LOOK_SECONDS)):
            if any(known.name == name and known.state == "live" for known in await status(pool)):
                return True
            await asyncio.sleep(_LOOK_SECONDS)
    return False


@command
async def parked(
    operator: Operator,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Of this read model only.")] = None,
    settled: Annotated[bool, typer.Option("--settled", help="Also those that were retried or skipped.")] = False,
) -> int | None:
    """List the events that a read model could not fold, with the reason; later events of the same aggregate wait.

    Example: commons projections parked
    """
    if name is not None:
        projection(name)
    async with operator.database() as pool, pool.acquire() as connection:
        found = await list_parked(connection, name, settled=settled)
    if operator.as_json:
        emit([asdict(one) for one in found])
        return OK
    rows = [[p.projection, p.stream, p.sequence, p.subject, p.status, p.waiting, p.parked_at, _why(p)] for p in found]
    columns = ["projection", "stream", "sequence", "subject", "status", "waiting", "since", "why"]
    print_table(columns, rows, empty="No event is parked.")
    return OK


def _why(one: Parked) -> str:
    return f"{one.error}; skipped: {one.reason}" if one.reason else one.error or ""


@command
async def retry_(operator: Operator, name: Name, sequence: Sequence, stream: Stream = None) -> int | None:
    """Fold a parked event again, and then those that wait behind it.

    Example: commons projections retry stock_on_hand 1742
    """
    async with operator.database() as pool, pool.acquire() as connection:
        return _released(operator, await retry(connection, projection(name), sequence, stream))


@command
async def skip_(
    operator: Operator,
    name: Name,
    sequence: Sequence,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for whoever reads the figures later.")],
    stream: Stream = None,
) -> int | None:
    """Leave a parked event out of a read model for good, and fold those that wait behind it.

    Example: commons projections skip stock_on_hand 1742 --reason 'recorded by a broken scanner; reversed in 1760'
    """
    async with operator.database() as pool, pool.acquire() as connection:
        return _released(operator, await skip(connection, projection(name), sequence, reason, stream))


def _released(operator: Operator, released: Released) -> int:
    if operator.as_json:
        emit(asdict(released))
    else:
        folded = ", ".join(f"{sequence:,}" for sequence in released.folded) or "none"
        console().print(f"Folded: {folded}.")
    if released.failed is None:
        return OK
    if not operator.as_json:
        raise LedgerError(f"Event {released.failed:,} could not be folded: {released.error}. It stays parked.")
    return REFUSED


def register(app: typer.Typer) -> None:
    group = new_group("The read models: list and rebuild them, and release parked events.")
    group.command("list")(list_)
    group.command("rebuild")(rebuild)
    group.command("parked")(parked)
    group.command("retry")(retry_)
    group.command("skip")(skip_)
    app.add_typer(group, name="projections")
