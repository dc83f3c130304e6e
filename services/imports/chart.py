"""A chart of accounts from a CSV file: accounts, funds and units of a book, as the commands that open them.

One file, one row each; `kind` says what a row is. An account has a kind of account, `fund` is a fund, `unit` a further
currency or a unit of the book's own. Rows may stand in any order: units and accounts are opened before the funds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from services.imports.amounts import minor_units
from services.imports.cells import Unreadable, day, flag, whole
from services.imports.plan import Planned, Read, Refused, command_id, shown
from services.imports.source import Columns, Row, rows
from services.treasury.contract import AccountKind, Function, Restriction
from shared.types import is_id

COLUMNS: Final = Columns(
    required=("id", "name", "kind"),
    optional=(
        "function", "guarded", "restriction", "purpose", "pays_for", "available_from", "advance", "net_assets",
        "decimals",
    ),
)  # fmt: skip
"""`guarded` is yes for an account that refuses to go below zero. Of a fund: `restriction` (none, purpose, time),
`purpose`, the accounts it `pays_for` (`food | rent`), `available_from`, `advance` (an amount), and the account of
`net_assets` that its result goes to. Of a unit: its `decimals`, when it is no currency."""

_FUND: Final = ("restriction", "purpose", "pays_for", "available_from", "advance", "net_assets")
_ACCOUNT: Final = ("function", "guarded")
_ORDER: Final = ("OpenBook", "RegisterUnit", "OpenAccount", "OpenFund")


@dataclass(frozen=True, slots=True)
class Opening:
    """What the book is opened with, when the file comes with a new one."""

    name: str
    unit: str
    starts: str
    year_end: str | None = None
    utc_offset: int | None = None


def read_chart(path: Path, book: str, decimals: int, opening: Opening | None = None) -> Iterator[Read]:
    """The commands for a chart, `advance` in a currency of so many decimals. Raises Invalid for a file that is none."""
    read: list[Read] = [_open(book, opening)] if opening is not None else []
    seen: dict[tuple[str, str], int] = {}
    for row in rows(path, COLUMNS):
        if isinstance(row, Refused):
            read.append(row)
            continue
        try:
            planned = _planned(row, book, decimals)
        except Unreadable as error:
            read.append(Refused(row.line, str(error), shown(row.cells["id"], 60)))
            continue
        first = seen.setdefault((planned.command, row.cells["id"]), row.line)
        if first != row.line:
            planned_again = Refused(row.line, f"{row.cells['id']} stands on line {first} already", planned.what)
            read.append(planned_again)
        else:
            read.append(planned)
    yield from sorted(read, key=lambda one: _ORDER.index(one.command) if isinstance(one, Planned) else -1)


def _open(book: str, opening: Opening) -> Planned:
    data: dict[str, Any] = {"book": book, "name": opening.name, "unit": opening.unit, "starts": opening.starts}
    if opening.year_end is not None:
        data["year_end"] = opening.year_end
    if opening.utc_offset is not None:
        data["utc_offset"] = opening.utc_offset
    return Planned(1, "OpenBook", data, _id(data), f"book {book}")


def _planned(row: Row, book: str, decimals: int) -> Planned:
    cells = row.cells
    kind = cells["kind"].lower().replace(" ", "_")
    wrong = _misplaced(cells, kind)
    if wrong:
        raise Unreadable(f"{wrong} says nothing of a row whose kind is {kind}; leave it empty")
    if kind == "unit":
        name, data = "RegisterUnit", {"unit": cells["id"]} | _given("name", cells["name"])
        if cells.get("decimals"):
            data["decimals"] = whole(cells["decimals"])
    elif not is_id(cells["id"]):
        raise Unreadable(f"the id '{shown(cells['id'], 40)}' may have letters, digits, hyphens and underscores only")
    elif kind == "fund":
        name, data = "OpenFund", _fund(cells, decimals)
    elif kind in tuple(AccountKind):
        name, data = "OpenAccount", _account(cells, kind)
    else:
        known = ", ".join((*AccountKind, "fund", "unit"))
        raise Unreadable(f"the kind '{shown(cells['kind'], 40)}' is none of {known}")
    data = {"book": book, **data}
    return Planned(row.line, name, data, _id(data), f"{kind} {cells['id']}")


def _misplaced(cells: dict[str, str], kind: str) -> str | None:
    """A cell that is filled although it belongs to rows of another kind."""
    others = {"fund": (*_ACCOUNT, "decimals"), "unit": (*_ACCOUNT, *_FUND)}.get(kind, (*_FUND, "decimals"))
    return next((name for name in others if cells.get(name)), None)


def _account(cells: dict[str, str], kind: str) -> dict[str, Any]:
    data: dict[str, Any] = {"account": cells["id"], "name": cells["name"], "kind": kind}
    function = cells.get("function", "").lower()
    if function and function not in tuple(Function):
        raise Unreadable(f"the function '{shown(function, 40)}' is none of {', '.join(Function)}")
    if kind == AccountKind.EXPENSE and not function:
        raise Unreadable(f"an expense account needs its function: one of {', '.join(Function)}")
    if function:
        data["function"] = function
    if flag(cells.get("guarded", "")):
        data["guarded"] = True
    return data


def _fund(cells: dict[str, str], decimals: int) -> dict[str, Any]:
    data: dict[str, Any] = {"fund": cells["id"], "name": cells["name"], "net_assets": cells.get("net_assets", "")}
    if not data["net_assets"]:
        raise Unreadable("a fund needs net_assets: the account that its result goes to when the year is closed")
    restriction = cells.get("restriction", "").lower()
    if restriction and restriction not in tuple(Restriction):
        raise Unreadable(f"the restriction '{shown(restriction, 40)}' is none of {', '.join(Restriction)}")
    data |= _given("restriction", restriction) | _given("purpose", cells.get("purpose", ""))
    pays_for = [part.strip() for part in cells.get("pays_for", "").replace(";", "|").split("|") if part.strip()]
    if pays_for:
        data["pays_for"] = pays_for
    if cells.get("available_from"):
        data["available_from"] = day(cells["available_from"])
    if cells.get("advance"):
        data["advance"] = minor_units(cells["advance"], decimals)
    return data


def _given(name: str, text: str) -> dict[str, Any]:
    return {name: text} if text else {}


def _id(data: dict[str, Any]) -> str:
    return command_id("chart", "\x1f".join(f"{name}={data[name]!r}" for name in sorted(data)))
