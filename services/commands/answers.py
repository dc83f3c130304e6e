"""The answer to a question as a table, as CSV or as JSON."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from rich.text import Text

from services.commands.render import cell, console, emit, money, write_csv
from services.commands.tables import Head, print_grid
from services.queries import Column, QueryResult

_EMPTY: Final[tuple[Any, ...]] = (None, "", [], ())

_MARKED: Final = frozenset({"why", "breaches", "unrecorded", "short", "overdue", "not_held"})
"""Columns whose values are something to look at."""


class Form(StrEnum):
    """How an answer is written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def write(found: QueryResult, form: Form) -> None:
    """Write an answer to stdout; what is missing from it is also said on stderr when the form has no room for it.

    Money is written in minor units in JSON, with the `decimals` of each unit beside the rows, and with its decimals
    everywhere else: a spreadsheet reads the CSV, and sums it up, so totals are left out of that.
    """
    match form:
        case Form.JSON:
            emit(as_json(found))
        case Form.CSV:
            rows = [[_decimal(found, column, row, v) for column, v in _cells(found, row)] for row in found.rows]
            write_csv([column.name for column in found.columns], rows)
            if found.incomplete:
                sys.stderr.write(f"Incomplete: {found.reason}\n")
        case Form.TABLE:
            _table(found)


def as_json(found: QueryResult) -> dict[str, Any]:
    """An answer as one JSON object."""
    stream, sequence = found.as_of
    answer: dict[str, Any] = {
        "title": found.title, "as_of": {"stream": stream, "sequence": sequence}, "incomplete": found.incomplete,
        "reason": found.reason, "message": found.message, "rows": found.records(),
    }  # fmt: skip
    if any(column.kind == "money" for column in found.columns):
        answer |= {"totals": [found.record(row) for row in found.totals], "decimals": dict(found.decimals)}
    return answer


def _cells(found: QueryResult, row: tuple[Any, ...]) -> Iterable[tuple[Column, Any]]:
    return zip(found.columns, row, strict=True)


def _decimal(found: QueryResult, column: Column, row: tuple[Any, ...], value: Any) -> Any:
    """A value; of money the amount in the unit itself."""
    if column.kind != "money" or value is None:
        return value
    return money(value, found.decimals.get(found.record(row)["unit"], 0))


def _table(found: QueryResult) -> None:
    out = console()
    if found.rows:
        _grid(found)
    if found.message:
        out.print(Text(found.message), style="" if found.rows else "dim", soft_wrap=True)
    if found.incomplete:
        out.print(Text(f"Incomplete: {found.reason}"), style="bold yellow", soft_wrap=True)
    stream, sequence = found.as_of
    rows = "1 row" if len(found.rows) == 1 else f"{len(found.rows):,} rows"
    out.print(f"{rows} as of {stream} {sequence:,}.", style="dim")


def _grid(found: QueryResult) -> None:
    """The rows; a column that is empty throughout is left out."""
    shown = [i for i in range(len(found.columns)) if any(row[i] not in _EMPTY for row in found.rows)]
    heads = [
        Head(column.title, column.right, column.rank, column.kind == "moment")
        for column in (found.columns[i] for i in shown)
    ]

    def texts(rows: Iterable[tuple[Any, ...]]) -> list[list[Text]]:
        return [
            [_styled(found.columns[i], _decimal(found, found.columns[i], row, row[i])) for i in shown] for row in rows
        ]

    print_grid(found.title, heads, texts(found.rows), texts(found.totals))


def _styled(column: Column, value: Any) -> Text:
    bad = column.name in _MARKED and value is not False and value != 0
    if bad or (column.right and isinstance(value, int | Decimal) and value < 0):
        return Text(text_of(column, value), style="yellow")
    return Text(text_of(column, value))


def text_of(column: Column, value: Any) -> str:
    """A value for people: weights from a kilogram on in kg, temperatures in degrees, moments to the minute in UTC,
    codes with blanks.

    Money comes in the unit itself.
    """
    if value in _EMPTY:
        return ""
    match column.kind:
        case "weight" if abs(value) >= 1000:
            return f"{value / 1000:,.1f} kg"
        case "weight":
            return f"{value:,} g"
        case "temperature":
            return f"{value / 10:.1f} °C"
        case "money":
            return f"{value:,f}"
        case "code":
            return str(value).replace("_", " ")
        case "moment" if isinstance(value, datetime):
            return value.strftime("%Y-%m-%d %H:%MZ")
    return cell(value)
