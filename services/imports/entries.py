"""Entries of a book from a CSV file, one row a posting or one row a transfer.

    entry,date,account,fund,unit,debit,credit,description,party       the rows of an entry stand together
    date,debit_account,credit_account,amount,entry,fund,unit,…        each row is an entry

An entry is posted whole or not at all: one of whose rows cannot be read is held back, as is one that does not balance
for each unit within each fund. What `commons export csv` writes is read back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import uuid5

from services.imports import days
from services.imports.amounts import OneNotation, minor_units, notation
from services.imports.books import Units
from services.imports.cells import Unreadable, day, flag
from services.imports.plan import NAMESPACE, Planned, Refused, shown
from services.imports.source import Columns, Row, header, rows
from services.treasury.contract import DEFAULT_FUND
from services.treasury.units import as_decimal
from shared.errors import Invalid
from shared.types import is_id

_EXPORTED: Final = (
    "account_name", "kind", "party_name", "reference", "reverses", "recorded_by", "recorded_at",
    "recorded_as",
)  # fmt: skip
"""Columns of `commons export csv` that say nothing of what is to be posted; they are passed over."""

POSTINGS: Final = Columns(
    required=("entry", "date", "account"),
    optional=("fund", "unit", "debit", "credit", "description", "party", "fact", *_EXPORTED),
)
TRANSFERS: Final = Columns(
    required=("date", "debit_account", "credit_account", "amount"),
    optional=("entry", "fund", "unit", "description", "party", "fact"),
)

MAX_ROWS: Final = 200
"""Rows of one entry: a hundred debits and a hundred credits."""


@dataclass(frozen=True, slots=True)
class PlannedEntry:
    """An entry read from a file: the data of an Entry, where it begins, and what people call it."""

    line: int
    data: dict[str, Any]
    what: str


EntryRead = PlannedEntry | Planned | Refused
"""Planned are parties that entries name, to be registered before them."""


@dataclass(slots=True)
class _Group:
    """The rows of one entry. `torn` is a row beside them that cannot be told from one of its own."""

    id: str
    rows: list[Row] = field(default_factory=list)
    torn: Refused | None = None


def read_entries(path: Path, units: Units, *, locale: str | None = None, facts: bool = False) -> Iterator[EntryRead]:
    """The entries of a file, of either form. With `facts`, all of them report what has happened already.

    Raises Invalid when the file as a whole is of no form that is read, or mixes ways of writing amounts.
    """
    names = header(path)
    transfers = "debit_account" in names or "credit_account" in names
    columns = TRANSFERS if transfers else POSTINGS
    try:
        if locale is not None:
            notation(locale)
        scattered = _look_through(path, columns, locale)
    except Unreadable as error:
        raise Invalid(f"{path.name} cannot be imported: {error}.", file=path.name) from None
    reader = _Reader(units, locale, facts)
    if transfers:
        yield from reader.transfers(rows(path, columns))
    else:
        yield from reader.postings(_groups(rows(path, columns)), scattered)


def _look_through(path: Path, columns: Columns, locale: str | None) -> dict[str, int]:
    """Check that amounts are written in one way; gives the entries whose rows do not stand together, with a line."""
    one, first, scattered, last = OneNotation(), set[str](), dict[str, int](), ""
    for row in rows(path, columns):
        if isinstance(row, Refused):
            continue
        if locale is None:
            for name in ("debit", "credit", "amount"):
                one.take(row.cells.get(name, ""), row.line)
        entry = row.cells.get("entry", "")
        if entry and entry != last:
            if entry in first:
                scattered.setdefault(entry, row.line)
            first.add(entry)
        last = entry or last
    return scattered


def _groups(read: Iterable[Row | Refused]) -> Iterator[_Group]:
    """The rows, entry by entry. A row that names no entry belongs to the one before it."""
    group: _Group | None = None
    torn: Refused | None = None
    for row in read:
        if isinstance(row, Refused):
            torn = row
            if group is not None:
                group.torn = row
            continue
        id_ = row.cells["entry"] or (group.id if group is not None else "")
        if group is None or id_ != group.id:
            if group is not None:
                yield group
            group = _Group(id_, torn=torn)
        torn = None
        group.rows.append(row)
    if group is not None:
        yield group


class _Reader:
    """Rows to entries, for one book."""

    def __init__(self, units: Units, locale: str | None, facts: bool) -> None:
        self.units = units
        self.locale = locale
        self.facts = facts

    def postings(self, groups: Iterable[_Group], scattered: dict[str, int]) -> Iterator[EntryRead]:
        told: set[int] = set()
        for group in groups:
            what, line = f"entry {shown(group.id, 40)}", group.rows[0].line
            if group.torn is not None and group.torn.line not in told:
                told.add(group.torn.line)
                yield group.torn
            if group.id in scattered:
                reason = f"its rows do not stand together (again on line {scattered[group.id]}); sort the file by entry"
                yield Refused(line, reason, what)
            elif group.torn is not None:
                yield Refused(line, f"is held back until line {group.torn.line} beside it is put right", what)
            else:
                yield self._entry(group, what)

    def _entry(self, group: _Group, what: str) -> EntryRead:
        at = group.rows[0].line
        sides: dict[str, list[dict[str, Any]]] = {"debits": [], "credits": []}
        try:
            if len(group.rows) > MAX_ROWS:
                raise Unreadable(f"has {len(group.rows)} rows; an entry has at most {MAX_ROWS}")
            for row in group.rows:
                at = row.line
                side, posting = self._posting(row.cells)
                sides[side].append(posting)
                for name in ("date", "description", "party"):
                    if row.cells.get(name) and row.cells[name] != group.rows[0].cells.get(name):
                        raise Unreadable(
                            f"the {name} differs from that on line {group.rows[0].line}, of the same entry"
                        )
            at = group.rows[0].line
            data = self._head(group.id, group.rows[0].cells) | sides
            _balanced(sides, self.units)
        except Unreadable as error:
            return Refused(at, str(error), what)
        return PlannedEntry(at, data, what)

    def transfers(self, read: Iterable[Row | Refused]) -> Iterator[EntryRead]:
        for row in read:
            if isinstance(row, Refused):
                yield row
                continue
            cells = row.cells
            try:
                posting = self._money(cells, "amount")
                data = self._head(cells.get("entry") or _made(cells), cells) | {
                    "debits": [posting | {"account": _account(cells["debit_account"])}],
                    "credits": [posting | {"account": _account(cells["credit_account"])}],
                }
            except Unreadable as error:
                yield Refused(row.line, str(error), shown(cells.get("entry") or cells.get("description", ""), 40))
            else:
                yield PlannedEntry(row.line, data, f"entry {data['entry']}")

    def _head(self, entry: str, cells: dict[str, str]) -> dict[str, Any]:
        """What an entry says beside its postings."""
        if not is_id(entry):
            raise Unreadable(
                f"the entry '{shown(entry, 40)}' is not an id; use letters, digits, hyphens, at most 64"
                if entry else "the entry is empty; without an id of its own it could be posted twice"
            )  # fmt: skip
        data: dict[str, Any] = {"entry": entry, "date": entry_day(cells["date"])}
        if description := _unquoted(cells.get("description", "")):
            data["description"] = description
        if party := cells.get("party"):
            if not is_id(party):
                raise Unreadable(
                    f"the party '{shown(party, 40)}' is not an id; a name is registered with the party itself"
                )
            data["party"] = party
        if self.facts or flag(cells.get("fact", "")):
            data["fact"] = True
        return data

    def _posting(self, cells: dict[str, str]) -> tuple[str, dict[str, Any]]:
        """One row of an entry: which side it is on, and what is posted."""
        given = [name for name in ("debit", "credit") if cells.get(name)]
        if len(given) != 1:
            raise Unreadable(
                "has a debit and a credit; each has its own row"
                if given
                else "the amount is empty: it has neither debit nor credit"
            )
        return f"{given[0]}s", self._money(cells, given[0]) | {"account": _account(cells["account"])}

    def _money(self, cells: dict[str, str], name: str) -> dict[str, Any]:
        unit = cells.get("unit") or self.units.own
        decimals = self.units.decimals(unit)
        if decimals is None:
            raise Unreadable(
                f"the unit '{shown(unit, 20)}' is not one of this book's: {', '.join(sorted(self.units.scales))}"
            )
        if not cells[name]:
            raise Unreadable(f"the {name} is empty")
        amount = minor_units(cells[name], decimals, unit=unit, locale=self.locale)
        if amount <= 0:
            raise Unreadable(
                f"the {name} '{shown(cells[name], 30)}' is not above zero; what is taken away is on the other side"
            )
        fund = cells.get("fund") or DEFAULT_FUND
        if not is_id(fund):
            raise Unreadable(f"the fund '{shown(fund, 40)}' is not an id")
        return {"amount": amount, "unit": unit, "fund": fund}


def entry_day(text: str) -> str:
    """A date as 2026-11-20 or, since points have the day first everywhere, 20.11.2026."""
    return days.read_day(text, "dmy").isoformat() if "." in text else day(text)


def _account(text: str) -> str:
    if not is_id(text):
        raise Unreadable(f"the account '{shown(text, 40)}' is not an id" if text else "the account is empty")
    return text


def _unquoted(text: str) -> str:
    """A text without the apostrophe that an export puts in front of what looks like a formula."""
    return text[1:] if text[:1] == "'" and text[1:2] in ("=", "+", "-", "@") else text


def _made(cells: dict[str, str]) -> str:
    """An id out of all that a row says. Two rows that say the same are one entry, so the second of them is refused."""
    said = "\x1f".join(f"{name}={cells.get(name, '')}" for name in sorted(TRANSFERS.known))
    return f"row-{uuid5(NAMESPACE, said)}"


def _balanced(sides: dict[str, list[dict[str, Any]]], units: Units) -> None:
    """Refuse an entry whose debits are not its credits, with the figures."""
    sums: dict[tuple[str, str], int] = defaultdict(int)
    for sign, side in ((1, "debits"), (-1, "credits")):
        for posting in sides[side]:
            sums[posting["unit"], posting["fund"]] += sign * posting["amount"]
    for (unit, fund), rest in sums.items():
        if rest:
            more, less = ("debits", "credits") if rest > 0 else ("credits", "debits")
            much = as_decimal(abs(rest), units.scales[unit])
            raise Unreadable(f"does not balance: in fund {fund} the {more} are {much} {unit} more than the {less}")
