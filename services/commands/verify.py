"""`commons verify`: every check there is, over the live ledger, or over a copy of its logs and nothing else."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import TaskID
from rich.text import Text

from services.auditor.archive import unpacked
from services.auditor.offline import verify_folder
from services.auditor.opened import Keys
from services.auditor.report import Report
from services.auditor.verify import verify as check
from services.commands.common import Operator, command
from services.commands.door import OK, REFUSED, Unreachable, Usage
from services.commands.publickeys import LogKey, Needed, WitnessKey, keys_of
from services.commands.render import clean, console, emit, progress_bar
from services.commands.tables import print_table
from shared.errors import Misconfigured


@command
async def verify(
    operator: Operator,
    where: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FOLDER|ARCHIVE]", help="A folder of logs, or an archive (.tar, .tar.gz) of one. The live ledger "
            "if left out.", show_default=False,
        ),
    ] = None,
    live: Annotated[bool, typer.Option("--live", help="Check the live ledger, as without a folder.")] = False,
    log_key: LogKey = None,
    witness_key: WitnessKey = None,
    witnesses: Needed = None,
    known: Annotated[
        list[Path] | None,
        typer.Option(
            "--known", metavar="FILE", help="A checkpoint that you kept, or a receipt: the log must begin with it. "
            "With a folder or an archive.", show_default=False,
        ),
    ] = None,
    tiles: Annotated[
        Path | None,
        typer.Option(
            "--tiles", envvar="COMMONS_TILES", metavar="DIR", help="The auditor's logs, to compare the live streams "
            "with; `tiles` in the folder of `commons up`.", show_default=False,
        ),
    ] = None,
    streams_only: Annotated[bool, typer.Option("--streams-only", help="Leave the read models out.")] = False,
) -> int | None:  # fmt: skip
    """Check everything: that no event is missing or changed, every signature, and that the figures follow.

    With a folder or an archive, neither network nor database is needed. Give the keys that you have from elsewhere
    (--log-key, --witness-key): those in the folder show that it agrees with itself, and not who signed it.

    Exit code 1 when something is wrong. Examples: commons verify --data /srv/pantry · commons verify ledger.tar.gz
    --log-key log.vkey --witness-key w1.vkey --witness-key w2.vkey --witnesses 2
    """
    keys = keys_of(log_key, witness_key, witnesses)
    if where is not None:
        if live or streams_only:
            raise Usage("A folder or an archive is checked by itself: leave out --live and --streams-only.")
        report = _offline(where, keys, known or [])
    else:
        if known:
            raise Usage("--known goes with a folder or an archive: commons verify FOLDER --known FILE.")
        report = await _live(operator, tiles, keys, streams_only=streams_only)
    if operator.as_json:
        emit({"ok": report.ok, "first_problem": report.first_problem, **_first(report), **asdict(report)})
    else:
        _print(report)
    return OK if report.ok else REFUSED


class _Bar:
    """A bar a check. It is begun when there is something to show: after processes were started, as it is a thread."""

    def __init__(self) -> None:
        self._bar = progress_bar()
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, name: str, done: int, total: int) -> None:
        self._bar.start()
        if name not in self._tasks:
            self._tasks[name] = self._bar.add_task(name, total=total)
        self._bar.update(self._tasks[name], completed=done, total=total)


def _offline(where: Path, keys: Keys, known: list[Path]) -> Report:
    if not where.exists():
        raise Usage(f"There is no {where}. Name a folder of logs, or an archive of one.", file=str(where))
    with unpacked(where) as folder, _Bar() as bar:
        return verify_folder(folder, keys, bar.show, known=known)


async def _live(operator: Operator, tiles: Path | None, keys: Keys, *, streams_only: bool) -> Report:
    # The servers are asked first, so that one that is away is exit code 3 and not a broken ledger.
    async with operator.nats():
        pass
    database_url = None if streams_only else operator.address("database_url")
    if database_url is not None:
        async with operator.database():
            pass
    logs = tiles or operator.folder / "tiles"
    if tiles is not None and not logs.is_dir():
        raise Usage(f"There is no folder {logs}: --tiles takes that of the auditor's logs.")
    with _Bar() as bar:
        try:
            return await check(
                operator.address("nats_url"), database_url, bar.show, tiles=logs if logs.is_dir() else None, keys=keys
            )
        except Misconfigured as error:
            raise Unreachable(error.detail) from error


def _first(report: Report) -> dict[str, object]:
    """Where the first thing wrong is, as far as it is known."""
    return {} if report.first is None else {"where": dict(report.first.facts)}


def _print(report: Report) -> None:
    rows = [
        [one.problem is None, one.name, one.count, one.unit, f"{one.seconds:.2f} s", one.problem or one.detail]
        for one in report.checks
    ]
    print_table(["ok", "check", "count", "of", "took", "result"], rows, title="Verification")
    out = console()
    for note in report.notes:
        out.print(Text(clean(note)), style="yellow", soft_wrap=True)
    if report.ok:
        out.print("The ledger is whole.", style="bold green")
    else:
        out.print(Text(f"Not whole: {clean(report.first_problem or '')}"), style="bold red", soft_wrap=True)


def register(app: typer.Typer) -> None:
    app.command("verify")(verify)
