"""How events, tables and times look: for people in a terminal, for programs as JSON or CSV."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

from rich import box
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
from rich.table import Table
from rich.text import Text

_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z")

LIST_SHOWN: Final = 6
"""Entries of a list that fit on an event's line; the rest are counted."""

_BAD: Final = frozenset({"breaches", "short", "short_at", "breach"})


def console() -> Console:
    """Stdout for people; without colours and as wide as needed when it is not a terminal."""
    out = Console(highlight=False, soft_wrap=False)
    if not out.is_terminal:
        out = Console(highlight=False, width=200)
    return out


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


# -- tables -------------------------------------------------------------------------------------------------------


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None, empty: str = "Nothing to show.",
    warn: Mapping[str, str] | None = None,
) -> None:  # fmt: skip
    """A table for people: numbers to the right, texts cleaned; `empty` is said when there are no rows.

    `warn` names values, by column, that are shown as a warning.
    """
    given = [list(row) for row in rows]
    out = console()
    if not given:
        out.print(Text(empty, style="dim"))
        return
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for index, name in enumerate(columns):
        numbers = any(isinstance(row[index], int) and not isinstance(row[index], bool) for row in given)
        wraps = not numbers and max((len(cell(row[index])) for row in given), default=0) > 24
        side: Any = "right" if numbers else "left"
        table.add_column(name.replace("_", " "), justify=side, no_wrap=not wraps, overflow="fold")
    for row in given:
        table.add_row(*(_styled(columns[i], value, warn or {}) for i, value in enumerate(row)))
    out.print(table)


def _styled(column: str, value: Any, warn: Mapping[str, str]) -> Text:
    text = cell(value)
    style = "yellow" if warn.get(column) == text or (isinstance(value, int) and value < 0) else ""
    return Text(text, style="dim" if value is None else style)


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
        case dict():
            return " ".join(f"{name} {cell(one)}" for name, one in value.items() if one not in (None, [], False))
    return clean(str(value))


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


# -- events -------------------------------------------------------------------------------------------------------


def event_name(type_: str) -> str:
    """`commons.inventory.stock-received.v1` -> `StockReceived`."""
    parts = type_.split(".")
    name = parts[-2] if len(parts) > 1 else type_
    return "".join(word.capitalize() for word in name.split("-"))


def event_line(sequence: int, event: Mapping[str, Any]) -> Text:
    """One event on one line: position, when it was recorded, what, of which aggregate, the facts, and by whom."""
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"{sequence:>8,} ", style="dim")
    line.append(f"{moment(str(event.get('time', '')))} ", style="dim")
    line.append(f"{event_name(str(event.get('type', ''))):<19} ", style="bold cyan")
    line.append(clean(str(event.get("subject", ""))).partition("/")[2] or "?", style="bold")
    data = event.get("data")
    subject = str(event.get("subject", ""))
    for text, bad in facts(data if isinstance(data, dict) else {}, subject):
        line.append("  ")
        line.append(text, style="yellow" if bad else "")
    line.append(f"  {clean(str(event.get('authid', '')))}", style="dim")
    return line


def facts(data: Mapping[str, Any], subject: str = "") -> Iterator[tuple[str, bool]]:
    """What an event says, shortest first: the change of stock if there is one, then each field that is not said yet.

    The second of each pair says whether it is something to look at.
    """
    told = {"occurred_at", "unit", "moves", "on_hand", "effective_at", "medicine", "lines", "weight"}
    ids = set(subject.partition("/")[2].split(":"))
    moves = data.get("moves")
    if isinstance(moves, list):
        change = sum(int(move.get("change", 0)) for move in moves)
        yield f"{change:+,} {data.get('unit', '')} → {data.get('on_hand', 0):,}", False
        lots = [f"{_lot(move)} {int(move.get('change', 0)):+,}" for move in moves if move.get("change")]
        if lots:
            yield clean(_joined(lots)), False
        beyond = sum(int(move.get("unrecorded", 0)) for move in moves)
        if beyond:
            yield f"{beyond:,} beyond the ledger", True
    for name, value in data.items():
        if (name in told and (isinstance(moves, list) or name == "occurred_at")) or value in (None, [], False, 0, ""):
            continue
        if isinstance(value, str) and value in ids:
            continue
        yield f"{name.replace('_', ' ')} {_short(value)}", name in _BAD


def _lot(move: Mapping[str, Any]) -> str:
    lot = move.get("lot") or "unknown lot"
    return f"{lot} ({move['date']})" if move.get("date") else str(lot)


def _short(value: Any) -> str:
    if isinstance(value, bool):
        return "yes"
    if isinstance(value, list):
        return _joined([_short(one) for one in value])
    if isinstance(value, dict):
        parts = [f"{_short(one)}" for one in value.values() if one not in (None, [], False, "")]
        return f"[{' '.join(parts)}]"
    if isinstance(value, int):
        return f"{value:,}"
    text = clean(str(value))
    if _MOMENT.fullmatch(text):
        return moment(text)
    return text if len(text) <= 60 else text[:59] + "…"


def _joined(parts: Sequence[str]) -> str:
    shown = ", ".join(parts[:LIST_SHOWN])
    return shown if len(parts) <= LIST_SHOWN else f"{shown} and {len(parts) - LIST_SHOWN} more"


def print_event(event: Mapping[str, Any]) -> None:
    """An event in full: its envelope in two lines, its data as a list, records inside it as rows."""
    out = console()
    data = event.get("data")
    for name, value in (data if isinstance(data, dict) else {}).items():
        if value in (None, [], False):
            continue
        label = Text(f"  {name.replace('_', ' '):<16} ", style="yellow" if name in _BAD else "dim")
        if isinstance(value, list) and value and isinstance(value[0], dict):
            for index, row in enumerate(value[:LIST_SHOWN]):
                out.print(Text.assemble(label if index == 0 else " " * 19, cell(row)), soft_wrap=True)
            if len(value) > LIST_SHOWN:
                out.print(" " * 19 + f"and {len(value) - LIST_SHOWN} more")
        else:
            out.print(Text.assemble(label, _shown(value)), soft_wrap=True)


def _shown(value: Any) -> str:
    return cell(value)
