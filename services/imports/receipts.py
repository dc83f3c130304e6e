"""Deliveries from a CSV file, one line a lot, as ReceiveStock commands.

The lines of one delivery stand together. Those of one item at one location become one command (or several, when they
are many), whose id is made of delivery, item, location and part, never of the file: the same delivery in another file
is the same command, and an import that was cut off goes on where it stopped. A delivery with a line that cannot be
read is held back as a whole, so that the corrected file brings it in as it should have been.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from services.imports.catalogue import Catalogue
from services.imports.cells import Unreadable, amount, day, flag, moment
from services.imports.plan import Planned, Read, Refused, command_id, shown
from services.imports.source import Columns, Row, rows
from services.inventory.contract import MAX_LINES, DateKind, inventory, lot_form
from shared.errors import Invalid
from shared.types import is_id

COLUMNS: Final = Columns(
    required=("delivery", "received_at", "location", "source", "item", "quantity"),
    optional=("donor", "supplier", "owner", "lot", "date", "date_kind", "unit", "confirm_unusual"),
)
"""`item` is an item's id or a GTIN; `unit` is each, g, kg, ml, l, a pack (case of 12), or empty for the base unit."""

MAX_DELIVERY: Final = 20_000
"""Lines of one delivery, which is held in memory as a whole."""

_KINDS: Final = tuple(DateKind)
_HEAD: Final = ("received_at", "location", "source", "donor", "supplier")


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    item: str
    location: str
    head: dict[str, Any]
    lot: dict[str, Any]

    @property
    def key(self) -> tuple[str, ...]:
        """What tells one line of a delivery from another."""
        return tuple(str(self.lot.get(name, "")) for name in ("lot", "date", "date_kind", "owner"))


def read_receipts(path: Path, catalogue: Catalogue) -> Iterator[Read]:
    """The deliveries of a file. Raises Invalid when the file as a whole is not of the form that is read."""
    scattered = _scattered(path)
    for group in _deliveries(rows(path, COLUMNS)):
        if group.delivery is None:
            yield from group.stray
        elif group.delivery in scattered:
            yield from group.stray[group.shared :]
            at, again = scattered[group.delivery]
            if group.lines[0].line == at:
                reason = f"its lines do not stand together (again from line {again}); sort the file by delivery"
                yield Refused(at, reason, f"delivery {group.delivery}")
        else:
            yield from _read_delivery(group.delivery, group, catalogue)


@dataclass
class _Group:
    """The lines of one delivery that stand together. `stray` are lines beside them that may belong to it."""

    delivery: str | None
    lines: list[Row] = field(default_factory=list)
    stray: list[Refused] = field(default_factory=list)
    too_many: bool = False
    shared: int = 0  # how many of the stray lines were already reported with the delivery before


def _deliveries(read: Iterable[Row | Refused]) -> Iterator[_Group]:
    """Cuts the lines into deliveries. A line that names none may belong to its neighbours, and holds both back."""
    group = _Group(None)
    for row in read:
        name = row.cells["delivery"] if isinstance(row, Row) else ""
        if isinstance(row, Refused) or not is_id(name):
            group.stray.append(row if isinstance(row, Refused) else _nameless(row.line, name))
            continue
        if name != group.delivery:
            end = group.lines[-1].line if group.lines else 0
            between = [one for one in group.stray if one.line > end]
            if group.delivery is not None:
                yield group
            group = _Group(name, stray=between, shared=len(between) if group.delivery is not None else 0)
        if len(group.lines) < MAX_DELIVERY:
            group.lines.append(row)
        else:
            group.too_many = True
    if group.delivery is not None or group.stray:
        yield group


def _scattered(path: Path) -> dict[str, tuple[int, int]]:
    """Deliveries whose lines do not stand together: where they begin, and where they begin again."""
    first: dict[str, int] = {}
    scattered: dict[str, tuple[int, int]] = {}
    last = None
    for row in rows(path, COLUMNS):
        if isinstance(row, Row) and is_id(row.cells["delivery"]):
            name = row.cells["delivery"]
            begins = first.setdefault(name, row.line)
            if name != last and begins != row.line:
                scattered.setdefault(name, (begins, row.line))
            last = name
    return scattered


def _nameless(line: int, given: str) -> Refused:
    if not given:
        return Refused(line, "the delivery is empty; without it the same goods could come in twice")
    given = shown(given, 40)
    return Refused(line, f"the delivery '{given}' is not an id; use letters, digits, hyphens, at most 64", given)


def _read_delivery(delivery: str, group: _Group, catalogue: Catalogue) -> Iterator[Read]:
    """All commands of a delivery, or the reasons why none of it is taken."""
    what = f"delivery {delivery}"
    if group.too_many:
        yield Refused(
            group.lines[0].line, f"has more than {MAX_DELIVERY:,} lines; cut it into several deliveries", what
        )
        return
    refused = list(group.stray)
    groups: dict[tuple[str, str], list[_Line]] = {}
    for row in group.lines:
        try:
            line = _line(row, catalogue)
            groups.setdefault((line.location, line.item), []).append(line)
        except Unreadable as error:
            refused.append(Refused(row.line, str(error), what))
    for lines in groups.values():
        refused += _contradictions(what, lines)
    commands = [one for place, lines in groups.items() for one in _commands(delivery, *place, lines)]
    refused += [fault for one in commands if (fault := _fault(one))]
    if not refused:
        yield from commands
        return
    yield from sorted(refused[group.shared :], key=lambda one: one.line)
    held = len(group.lines) - len({one.line for one in refused} & {row.line for row in group.lines})
    if held:
        lines_are = "1 line is" if held == 1 else f"{held} lines are"
        why = f"{lines_are} held back until line {min(one.line for one in refused)} is put right"
        yield Refused(group.lines[0].line, why, what)


def _contradictions(what: str, group: list[_Line]) -> Iterator[Refused]:
    """Lines of one item that disagree about the delivery, or that name the same lot twice."""
    first = group[0]
    seen: dict[tuple[str, ...], int] = {}
    for line in group:
        for name in _HEAD:
            if line.head.get(name) != first.head.get(name):
                reason = f"{name} differs from line {first.number} of the same delivery and item"
                yield Refused(line.number, reason, what)
                break
        else:
            form = (lot_form(line.lot.get("lot")), *line.key[1:])
            earlier = seen.setdefault(form, line.number)
            if earlier != line.number:
                reason = f"repeats the lot and date of line {earlier}; add the two up in one line"
                yield Refused(line.number, reason, what)


def _commands(delivery: str, location: str, item: str, group: list[_Line]) -> Iterator[Planned]:
    """One command for up to MAX_LINES lines, in an order that does not depend on the file's."""
    ordered = sorted(group, key=lambda line: line.key)
    head = {name: value for name, value in group[0].head.items() if name not in ("received_at", "location")}
    for part, at in enumerate(range(0, len(ordered), MAX_LINES), 1):
        lines = ordered[at : at + MAX_LINES]
        data: dict[str, Any] = {
            "item": item,
            "location": location,
            "occurred_at": group[0].head["received_at"],
            "delivery": delivery,
            **head,
            "lines": [line.lot for line in lines],
        }
        if any(line.head.get("confirm_unusual") for line in group):
            data["confirm_unusual"] = True
        first = min(line.number for line in lines)
        id_ = command_id("receipt", delivery, item, location, part)
        yield Planned(first, "ReceiveStock", data, id_, f"delivery {delivery}: {item} at {location}")


def _fault(command: Planned) -> Refused | None:
    try:
        inventory.parse(command.command, command.data)
    except Invalid as error:
        return Refused(command.line, error.detail, command.what)
    return None


def _line(row: Row, catalogue: Catalogue) -> _Line:
    cells = row.cells
    named = catalogue.find(cells["item"])
    if named is None:
        raise Unreadable(f"the item '{shown(cells['item'], 40)}' is not in the catalogue; import or register it first")
    item, pack = named
    for name in ("location", "donor", "supplier", "owner"):
        if cells.get(name) and not is_id(cells[name]):
            raise Unreadable(f"the {name} '{shown(cells[name], 40)}' is not an id; use letters, digits, hyphens")
    if not cells["location"]:
        raise Unreadable("the location is empty")
    head: dict[str, Any] = {
        "received_at": moment(cells["received_at"]),
        "location": cells["location"],
        "source": cells["source"].lower(),
    }
    for name in ("donor", "supplier"):
        if cells.get(name):
            head[name] = cells[name]
    if flag(cells.get("confirm_unusual", "")):
        head["confirm_unusual"] = True
    return _Line(row.line, item, cells["location"], head, _lot(row, item, catalogue.units[item], pack))


def _lot(row: Row, item: str, unit: str, pack: int) -> dict[str, Any]:
    """One line of a receipt: lot, date and owner where they are known, and the quantity in base units."""
    cells = row.cells
    quantity, counted = amount(cells["quantity"], cells.get("unit", ""))
    if counted is not None and counted != unit:
        raise Unreadable(f"the quantity is in {counted}, but {item} is kept in {unit}")
    if pack > 1 and counted is not None:
        raise Unreadable(f"the barcode is that of a pack of {pack}; leave the unit empty and give the number of packs")
    lot: dict[str, Any] = {"quantity": quantity * pack}
    written = cells.get("lot", "")
    if written.lower() in ("n/a", "na", "none", "-", "?", "x"):
        raise Unreadable(f"the lot '{written}' is no lot number; leave it empty when it is not known")
    if written and written.lower() != "unknown":
        lot["lot"] = written
    printed, kind = cells.get("date", ""), cells.get("date_kind", "").lower().replace(" ", "_").replace("-", "_")
    if printed:
        if kind not in _KINDS:
            raise Unreadable(f"the date needs its kind: one of {', '.join(_KINDS)}")
        lot["date"], lot["date_kind"] = day(printed), kind
    elif kind:
        raise Unreadable("there is a date_kind but no date")
    if cells.get("owner"):
        lot["owner"] = cells["owner"]
    return lot
