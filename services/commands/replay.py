"""`commons replay`: read models as they stood at any moment, in schemas of their own beside the live ones."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Final

import typer
from rich.progress import TaskID
from rich.text import Text

from services.auditor.replay import Kept, NothingYet, Replay, Until, kept, positions_of, remove
from services.auditor.replay import replay as replay_now
from services.commands.common import Operator, command
from services.commands.door import OK, REFUSED, Usage
from services.commands.period import recorded_by
from services.commands.projections import projection
from services.commands.render import clean, console, emit, moment, progress_bar
from services.commands.tables import print_table
from services.projections.registry import PROJECTIONS
from shared.errors import LedgerError
from shared.projection import Projection
from shared.types import MAX_INTEGER

_SEQUENCE: Final = re.compile(r"(?:([A-Za-z][A-Za-z0-9_-]{0,31}):)?([0-9]{1,20})", re.ASCII)
_PASSWORD: Final = re.compile(r"(//[^/:@]*):[^/@]*@")

_NAMED: Final = 5
"""Events left out that are named; of more, only how many there are is said."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One replay to be made; without positions it goes to where the live one is."""

    model: Projection
    positions: Mapping[str, int] | None


@command
async def replay(
    operator: Operator,
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="[MODEL]...", help="The read models, as `projections list` names them."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every read model, one after the other.")] = False,
    until: Annotated[
        list[str] | None,
        typer.Option(
            "--until",
            metavar="TIME|SEQ|STREAM:SEQ",
            help="What was recorded up to a moment (2026-11-20T09:30:00Z, or a day up to its end), or up to a "
            "sequence; of a read model with several streams STREAM:SEQ, once for each.",
        ),
    ] = None,
    drop: Annotated[bool, typer.Option("--drop", help="Compare, and keep nothing.")] = False,
    listed: Annotated[bool, typer.Option("--list", help="List the replays that were kept.")] = False,
    removed: Annotated[
        list[str] | None, typer.Option("--remove", metavar="NAME", help="Remove a replay; may be given several times.")
    ] = None,
) -> int | None:
    """Fold a read model afresh from the first event, up to now or to any moment, into a schema of its own.

    Up to now it has to equal the live one, table by table: exit code 1 when it does not. Of an earlier moment it is
    counted what has changed since. The live one is only read.

    Examples:

    commons replay stock_on_hand

    commons replay trial_balance --until 2026-06-30

    commons replay --all --drop
    """
    if listed or removed:
        if models or every or until or drop or (listed and removed):
            raise Usage("--list and --remove stand alone: each is a command of its own.")
        return await _list(operator) if listed else await _remove(operator, list(dict.fromkeys(removed or ())))
    chosen = _chosen(models or [], every)
    limit = read_until(until or [], chosen)
    wanted, passed_over = await _where(operator, chosen, limit, every)
    made: list[Replay] = []
    for one in wanted:
        try:
            made.append(await _make(operator, one, None if limit is None else limit.text, keep=not drop))
        except LedgerError as error:
            if standing := [done.schema for done in made if done.schema]:
                error.facts["kept"] = standing
            raise
        if not operator.as_json:
            _print(made[-1], operator.address("database_url"), one.model)
    sound = all(one.problem is None for one in made)
    if operator.as_json:
        emit({"ok": sound, "replays": [{**asdict(one), "problem": one.problem} for one in made],
              "nothing_yet": passed_over})  # fmt: skip
    elif passed_over:
        console().print(f"Of that moment there is nothing to show of: {', '.join(passed_over)}.")
    return OK if sound else REFUSED


# -- what is asked for ------------------------------------------------------------------------------------------------


def _chosen(names: Sequence[str], every: bool) -> list[Projection]:
    if every and names:
        raise Usage("Name read models, or give --all; not both.")
    if not every and not names:
        raise Usage("Say which read model is replayed, or --all. `commons projections list` names them.")
    return list(PROJECTIONS.values()) if every else [projection(name) for name in dict.fromkeys(names)]


def read_until(given: Sequence[str], models: Sequence[Projection]) -> Until | None:
    """What --until means, given once or several times. Raises Usage when it is neither a moment nor a sequence."""
    if not given:
        return None
    found = [_SEQUENCE.fullmatch(text.strip()) for text in given]
    if not any(found):
        if len(given) > 1:
            raise Usage("--until takes one moment. Given several times, each is STREAM:SEQ.")
        if not re.match(r"\d{4}-?\d\d", given[0].strip()):
            raise Usage(
                f"--until takes a moment as 2026-11-20T09:30:00Z, a day, or a sequence; {given[0][:40]!r} is none."
            )
        return Until(moment=recorded_by(given[0].strip(), "--until"))
    known = {stream for model in models for stream in model.streams}
    sequences: dict[str | None, int] = {}
    for text, match in zip(given, found, strict=True):
        if match is None:
            raise Usage(f"--until takes one moment, or sequences; {text[:40]!r} is not a sequence as the others are.")
        stream, sequence = match[1].upper() if match[1] else None, int(match[2])
        if stream is not None and stream not in known:
            raise Usage(f"--until {text[:60]}: the stream is none of what is replayed, {', '.join(sorted(known))}.")
        if not (0 if stream else 1) <= sequence <= MAX_INTEGER:
            raise Usage(f"--until {text[:60]}: sequences run from 1 to {MAX_INTEGER:,}.")
        if stream in sequences:
            raise Usage(f"--until says twice how far {stream or 'the stream'} is replayed.")
        sequences[stream] = sequence
    if None in sequences and (len(sequences) > 1 or len(known) > 1):
        raise Usage(
            f"--until {sequences[None]}: of which stream is not clear, for what is replayed reads "
            f"{', '.join(sorted(known))}. Give it as STREAM:SEQ, once for each."
        )
    return Until(sequences=sequences)


async def _where(
    operator: Operator, models: Sequence[Projection], until: Until | None, every: bool
) -> tuple[list[_Wanted], list[str]]:
    """How far each is replayed, and of --all those that had nothing to show yet. All is checked before any is made."""
    async with operator.database():  # one that is away is an answer before anything is begun
        pass
    wanted: list[_Wanted] = []
    nothing: list[str] = []
    async with operator.nats() as nc:
        for model in models:
            try:
                wanted.append(_Wanted(model, None if until is None else await positions_of(nc, model, until)))
            except NothingYet:
                if not every:
                    raise
                nothing.append(model.name)
                if len(nothing) == len(models):
                    raise
    return wanted, nothing


# -- making -----------------------------------------------------------------------------------------------------------


async def _make(operator: Operator, wanted: _Wanted, until: str | None, *, keep: bool) -> Replay:
    bar = progress_bar()
    tasks: dict[str, TaskID] = {}

    def show(stream: str, done: int, total: int) -> None:
        if stream not in tasks:
            tasks[stream] = bar.add_task(f"{wanted.model.name} {stream}", total=total)
        bar.update(tasks[stream], completed=done, total=total)

    with bar:
        return await replay_now(
            wanted.model, operator.address("nats_url"), operator.address("database_url"),
            positions=wanted.positions, until=until, keep=keep, on_progress=show,
        )  # fmt: skip


def _at(positions: Mapping[str, int]) -> str:
    return ", ".join(f"{stream} {sequence:,}" for stream, sequence in positions.items())


def _print(one: Replay, database_url: str, model: Projection) -> None:
    out = console()

    def say(text: str, style: str = "") -> None:
        out.print(Text(clean(text)), style=style, soft_wrap=True)

    rows = [[t.table, t.rows, t.stored_rows, t.missing, t.extra, t.changed] for t in one.tables]
    title = f"{one.model} as of {_at(one.positions)}"
    columns = ["table", "rows", "live_rows", "only_replayed", "only_live", "changed"]
    print_table(columns, rows, title=title, empty=f"{title}: no live read model of this version to compare with.")
    say(f"{one.events:,} event(s) were folded in {one.seconds:.2f} s.")
    if one.problem:
        say(f"The live read model differs: {one.problem}", "bold red")
    elif one.level:
        say("Equal to the live read model, table by table.", "bold green")
    elif one.live is not None:
        say(f"The live read model is at {_at(one.live.positions)}: what differs is what changed in between.")
    if one.left_out:
        named = ", ".join(f"{e.stream} {e.sequence:,} ({e.status})" for e in one.left_out[:_NAMED])
        more = f" and {len(one.left_out) - _NAMED:,} more" if len(one.left_out) > _NAMED else ""
        say(f"Left out, as the live read model does: {named}{more}. "
            f"`commons projections parked {one.model} --settled` says why.", "yellow")  # fmt: skip
    if one.schema is None:
        return
    role = "" if model.role is None else f" -c 'SET ROLE {model.role}'"
    look = f"TABLE {one.schema}.{model.tables[0].name} LIMIT 10"
    address = shlex.quote(_PASSWORD.sub(r"\1@", database_url))
    say(f"Query it:  psql {address}{role} -c {shlex.quote(look)}")
    say(f"Remove it: commons replay --remove {one.schema}")


# -- what was kept ----------------------------------------------------------------------------------------------------


async def _list(operator: Operator) -> int:
    async with operator.database() as pool, pool.acquire() as connection:
        found = await kept(connection)
    if operator.as_json:
        emit({"replays": [asdict(one) for one in found]})
        return OK
    columns = ["replay", "projection", "version", "until", "positions", "left_out", "made_at", "KiB"]
    print_table(columns, [_row(one) for one in found], empty="No replay was kept.")
    return OK


def _row(one: Kept) -> list[Any]:
    until = one.until or "as live"
    return [
        one.schema,
        one.model,
        one.version,
        until,
        _at(one.positions),
        one.left_out,
        moment(one.made_at),
        one.bytes >> 10,
    ]


async def _remove(operator: Operator, names: Sequence[str]) -> int:
    gone = []
    async with operator.database() as pool, pool.acquire() as connection:
        for name in names:
            gone.append((await remove(connection, name)).schema)
            if not operator.as_json:
                console().print(f"{gone[-1]} was removed.")
    if operator.as_json:
        emit({"removed": gone})
    return OK


def register(app: typer.Typer) -> None:
    app.command("replay")(replay)
