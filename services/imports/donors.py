"""Donors from a CSV file, as RegisterDonor commands.

Command ids are made of the donor's id alone, and of nothing personal: an id stands in clear in every event.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from services.imports.cells import Unreadable
from services.imports.plan import Planned, Read, Refused, command_id
from services.imports.source import Columns, Row, rows
from shared.types import is_id

COLUMNS: Final = Columns(required=("donor", "name"), optional=("kind", "contact", "address", "note"))


def read_donors(path: Path) -> Iterator[Read]:
    """The donors of a file. Raises Invalid when the file as a whole is not of the form that is read."""
    seen: dict[str, tuple[int, dict[str, Any]]] = {}
    for row in rows(path, COLUMNS):
        if isinstance(row, Refused):
            yield row
            continue
        try:
            data = _facts(row)
        except Unreadable as error:
            yield Refused(row.line, str(error), row.cells["donor"][:60])
            continue
        line, said = seen.setdefault(data["donor"], (row.line, data))
        what = f"donor {data['donor']}"
        if said != data:
            yield Refused(row.line, f"{what} is already on line {line}, with other facts", what)
        elif line == row.line:
            yield Planned(line, "RegisterDonor", data, command_id("donor", data["donor"]), what)


def _facts(row: Row) -> dict[str, Any]:
    """The data of a RegisterDonor; empty cells are left out."""
    cells = row.cells
    if not is_id(cells["donor"]):
        raise Unreadable(
            f"the donor '{cells['donor'][:40]}' is not an id; use letters, digits, hyphens, at most 64, and no name"
        )
    if not cells["name"]:
        raise Unreadable("the name is empty")
    data = {name: cells[name] for name in ("donor", "name", "contact", "address", "note") if cells.get(name)}
    if cells.get("kind"):
        data["kind"] = "-".join(cells["kind"].lower().split())
    return data
