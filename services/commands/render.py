"""How values look: in a terminal for people, as JSON or CSV for programs."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from shared.sealing import is_sealed

_ANY_WIDTH: Final = 500
"""Columns of a line that is not for a terminal, unless COLUMNS says otherwise."""


def console() -> Console:
    """Stdout for people; without colours and as wide as needed when it is not a terminal."""
    out = Console(highlight=False)
    return out if out.is_terminal or os.environ.get("COLUMNS") else Console(highlight=False, width=_ANY_WIDTH)


def clean(text: str) -> str:
    """A text without control characters, so that what somebody typed cannot move the cursor or hide a line."""
    return "".join(c if c.isprintable() else "·" for c in text)


def emit(value: Any) -> None:
    """One JSON value on a line of stdout."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=_plain) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return moment(value)
    if isinstance(value, bytes | memoryview):
        return bytes(value).decode(errors="replace")
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    return str(value)


def moment(value: datetime | date | str) -> str:
    """A moment to the second in UTC, or a date."""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    return str(value) if isinstance(value, date) else value[:19] + "Z"


class _Rate(ProgressColumn):
    """How many a second."""

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:,.0f}/s", style="dim")


def progress_bar() -> Progress:
    """A bar on stderr that goes away when it is done; nothing is shown when stderr is not a terminal."""
    err = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    )


def cell(value: Any) -> str:
    """A value in a table's cell."""
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case datetime():
            return value.strftime("%Y-%m-%d %H:%M")
        case list() | tuple():
            return ", ".join(cell(one) for one in value) if value else "–"
        case str() if value.startswith("sealed:") and is_sealed(value):
            return "(sealed)"
        case dict():
            return " ".join(f"{name} {cell(one)}" for name, one in value.items() if one not in (None, [], False))
    return clean(str(value))


def money(amount: int, decimals: int) -> Decimal:
    """An amount of minor units in the unit itself, exactly."""
    return Decimal(amount).scaleb(-decimals)


def write_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """CSV on stdout with a header, RFC 4180; null is an empty cell, a list or record is JSON."""
    writer = csv.writer(sys.stdout)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_csv_cell(value) for value in row])


def _csv_cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple | dict):
        return json.dumps(value, ensure_ascii=False, default=_plain)
    if isinstance(value, datetime | date):
        return moment(value)
    # A cell that begins like a formula would be run by a spreadsheet that opens the file.
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value
    return value
