"""The answer to a question as a table, as CSV or as JSON."""

from __future__ import annotations

import sys
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from rich import box
from rich.table import Table
from rich.text import Text

from services.commands.render import cell, console, emit, write_csv
from services.queries import Column, QueryResult

_LONG: Final = 28
"""Characters beyond which a column of texts may be broken into lines."""

_MARKED: Final = frozenset({"why", "breaches", "reason_held", "state", "unrecorded", "short", "overdue"})
"""Columns whose values are something to look at."""


class Form(StrEnum):
    """How an answer is written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def write(found: QueryResult, form: Form) -> None:
    """Write an answer to stdout; what is missing from it is also said on stderr when the form has no room for it."""
    match form:
        case Form.JSON:
            stream, sequence = found.as_of
            emit(
                {
                    "title": found.title, "as_of": {"stream": stream, "sequence": sequence},
                    "incomplete": found.incomplete, "reason": found.reason, "message": found.message,
                    "rows": found.records(),
                }
            )  # fmt: skip
        case Form.CSV:
            write_csv([column.name for column in found.columns], found.rows)
            if found.incomplete:
                sys.stderr.write(f"Incomplete: {found.reason}\n")
        case Form.TABLE:
            _table(found)


def _table(found: QueryResult) -> None:
    out = console()
    if found.rows:
        out.print(_grid(found))
    if found.message:
        out.print(Text(found.message), style="" if found.rows else "dim", soft_wrap=True)
    if found.incomplete:
        out.print(Text(f"Incomplete: {found.reason}"), style="bold yellow", soft_wrap=True)
    stream, sequence = found.as_of
    out.print(f"{_rows(len(found.rows))} as of {stream} {sequence:,}.", style="dim")


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


def _grid(found: QueryResult) -> Table:
    """The rows; a column that is empty throughout is left out."""
    shown = [i for i in range(len(found.columns)) if any(row[i] not in (None, "", [], ()) for row in found.rows)]
    grid = Table(title=found.title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    texts = [[text_of(found.columns[i], row[i]) for i in shown] for row in found.rows]
    for place, i in enumerate(shown):
        column = found.columns[i]
        long = not column.right and max(len(row[place]) for row in texts) > _LONG
        grid.add_column(
            column.title, justify="right" if column.right else "left", no_wrap=not long, overflow="fold",
            min_width=12 if long else None,
        )  # fmt: skip
    for row, values in zip(texts, found.rows, strict=True):
        grid.add_row(*(_styled(found.columns[i], values[i], text) for i, text in zip(shown, row, strict=True)))
    return grid


def _styled(column: Column, value: Any, text: str) -> Text:
    if value in (None, "", [], ()):
        return Text("")
    if column.name in _MARKED or (column.right and isinstance(value, int) and value < 0):
        return Text(text, style="yellow")
    return Text(text)


def text_of(column: Column, value: Any) -> str:
    """A value for people: weights from a kilogram on in kg, temperatures in degrees, moments to the minute in UTC."""
    if value is None:
        return ""
    match column.kind:
        case "weight" if abs(value) >= 1000:
            return f"{value / 1000:,.1f} kg"
        case "weight":
            return f"{value:,} g"
        case "temperature":
            return f"{value / 10:.1f} °C"
        case "moment" if isinstance(value, datetime):
            return value.strftime("%Y-%m-%d %H:%MZ")
    return cell(value)
