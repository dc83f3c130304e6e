"""`commons verify`: every check there is, over the live ledger."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.progress import TaskID
from rich.text import Text

from services.auditor.verify import Report
from services.auditor.verify import verify as check
from services.commands.common import Operator, command
from services.commands.door import OK, REFUSED, Unreachable
from services.commands.render import clean, console, emit, progress_bar
from services.commands.tables import print_table
from shared.errors import Misconfigured


@command
async def verify(
    operator: Operator,
    streams_only: Annotated[bool, typer.Option("--streams-only", help="Leave the read models out.")] = False,
) -> int | None:
    """Check everything: no gap, every hash chain, the invariants, and every read model against a fresh fold.

    Exit code 1 when something is wrong. Example: commons verify --data /srv/pantry
    """
    # The servers are asked first, so that one that is away is exit code 3 and not a broken ledger.
    async with operator.nats():
        pass
    database_url = None if streams_only else operator.address("database_url")
    if database_url is not None:
        async with operator.database():
            pass
    bar = progress_bar()
    tasks: dict[str, TaskID] = {}

    def show(name: str, done: int, total: int) -> None:
        if name not in tasks:
            tasks[name] = bar.add_task(name, total=total)
        bar.update(tasks[name], completed=done, total=total)

    with bar:
        try:
            report = await check(operator.address("nats_url"), database_url, show)
        except Misconfigured as error:
            raise Unreachable(error.detail) from error
    if operator.as_json:
        emit({"ok": report.ok, "first_problem": report.first_problem, **asdict(report)})
    else:
        _print(report)
    return OK if report.ok else REFUSED


def _print(report: Report) -> None:
    rows = [
        [one.problem is None, one.name, one.count, one.unit, f"{one.seconds:.2f} s", one.problem or one.detail]
        for one in report.checks
    ]
    print_table(["ok", "check", "count", "of", "took", "result"], rows, title="Verification")
    out = console()
    if report.ok:
        out.print("The ledger is whole.", style="bold green")
    else:
        out.print(Text(f"Not whole: {clean(report.first_problem or '')}"), style="bold red", soft_wrap=True)


def register(app: typer.Typer) -> None:
    app.command("verify")(verify)
