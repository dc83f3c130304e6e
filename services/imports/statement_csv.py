"""Bank statements out of CSV files, each bank's with its own columns: found by their usual names, or mapped by hand.

Banks put lines of their own above the header, end rows with a separator, list the newest first, and write in their
country's encoding. None of that matters to an amount; how amounts and dates are written does, and is never guessed.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Final

from services.imports import days
from services.imports.amounts import OneNotation, minor_units, notation
from services.imports.cells import Unreadable
from services.imports.columns import Usual, columns_in
from services.imports.plan import Refused, shown
from services.imports.statement import BankLine, BankStatement
from services.treasury.units import as_decimal
from shared.errors import Invalid

_ABOVE: Final = 40  # lines in which the header must come

USUAL: Final[Usual] = {
    "date": ("buchungstag", "buchungsdatum", "buchung", "booking date", "posting date", "posted date",
             "transaction date", "datum", "date", "date opération", "fecha", "data", "wertstellung", "valutadatum",
             "valuta"),
    "amount": ("betrag", "betrag (eur)", "betrag (€)", "betrag in eur", "betrag eur", "umsatz", "umsatz in eur",
               "amount", "amount (eur)", "montant", "importe", "importo"),
    "debit": ("soll", "belastung", "debit", "debit amount", "paid out", "money out", "withdrawal", "débit"),
    "credit": ("haben", "gutschrift", "credit", "credit amount", "paid in", "money in", "deposit", "crédit"),
    "payee": ("beguenstigter/zahlungspflichtiger", "begünstigter/zahlungspflichtiger", "name zahlungsbeteiligter",
              "auftraggeber/zahlungsempfänger", "auftraggeber/zahlungsempfaenger", "auftraggeber/empfänger",
              "auftraggeber/empfaenger", "auftraggeber/begünstigter", "auftraggeber/beguenstigter",
              "begünstigter/auftraggeber", "empfänger/zahlungspflichtiger", "zahlungsempfänger/zahlungspflichtiger",
              "zahlungsbeteiligter", "zahlungsempfänger", "empfänger", "empfaenger", "begünstigter", "partner name",
              "payee", "counterparty", "name", "beneficiary", "bénéficiaire"),
    "memo": ("verwendungszweck", "vwz", "memo", "description", "details", "narrative", "libellé", "concepto",
             "buchungsdetails", "buchungstext"),
    "reference": ("kundenreferenz (end-to-end)", "kundenreferenz", "end-to-end-referenz", "end-to-end referenz",
                  "end-to-end-id", "reference", "référence", "referenz"),
    "balance": ("saldo nach buchung", "saldo", "kontostand", "balance", "running balance", "solde"),
    "currency": ("waehrung", "währung", "currency", "devise"),
    "id": ("transaction id", "transaktions-id", "fitid"),
}  # fmt: skip
"""For each thing that a line says, the columns that it usually stands in; the first that a file has is taken."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file is to be read; what is None is found out. `columns` maps what a line says to the file's column."""

    columns: Mapping[str, str] = field(default_factory=dict)
    locale: str | None = None
    date_format: str | None = None
    encoding: str | None = None
    starts: date | None = None
    ends: date | None = None


def read_csv_statement(
    path: Path, data: bytes, decimals: Callable[[str], int | None], unit: str, layout: Layout
) -> BankStatement:
    """The statement in a CSV file, its amounts in `unit` unless a column says another.

    Raises Invalid when the file as a whole cannot be read; what is wrong with single lines is in `faults`.
    """
    try:
        if layout.locale is not None:
            notation(layout.locale)
        return _Table(path, _decoded(path, data, layout.encoding), layout).statement(
            decimals, unit, hashlib.sha256(data).hexdigest()
        )
    except Unreadable as error:
        raise Invalid(f"{path.name} cannot be imported: {error}.", file=path.name) from None


def _decoded(path: Path, data: bytes, encoding: str | None) -> str:
    """The text. Banks that do not write UTF-8 write Windows-1252, unless the operator knows better."""
    for codec in (encoding,) if encoding else ("utf-8-sig", "cp1252"):
        try:
            return data.decode(codec)
        except UnicodeDecodeError:
            continue
        except LookupError:
            raise Unreadable(f"the encoding '{shown(codec, 40)}' is not known; use utf-8, cp1252 or latin-1") from None
    raise Invalid(
        f"{path.name} is not text in {encoding or 'UTF-8 or Windows-1252'}; give its --encoding.", file=path.name
    )


@dataclass(frozen=True, slots=True)
class _Row:
    at: int
    cells: Mapping[str, str]  # by what they say, stripped


class _Table:
    """The rows of a file under its header."""

    def __init__(self, path: Path, text: str, layout: Layout) -> None:
        self.path = path
        self.layout = layout
        self.faults: list[Refused] = []
        self.rows: list[_Row] = []
        records, at, columns = self._header(text)
        self.said = frozenset(columns)
        names = records[at][1]
        self.unread = tuple(
            shown(name, 40) for n, name in enumerate(names) if name.strip() and n not in columns.values()
        )
        for line, cells in records[at + 1 :]:
            if len(cells) > len(records[at][1]) and not any(cell.strip() for cell in cells[len(records[at][1]) :]):
                cells = cells[: len(records[at][1])]
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) <= max(columns.values()):
                self.faults.append(
                    Refused(line, f"has {len(cells)} cells, fewer than the header", shown(" ".join(cells), 60))
                )
                continue
            self.rows.append(_Row(line, {name: cells[index].strip() for name, index in columns.items()}))

    def _header(self, text: str) -> tuple[list[tuple[int, list[str]]], int, dict[str, int]]:
        """All records, which of them is the header, and where in it stands what; for the separator that finds most."""
        best: tuple[list[tuple[int, list[str]]], int, dict[str, int]] = ([], 0, {})
        for delimiter in ";,\t":
            records = _records(text, delimiter)
            for at, (_, cells) in enumerate(records[:_ABOVE]):
                columns = self._columns(cells)
                if len(columns) > len(best[2]):
                    best = (records, at, columns)
        columns = best[2]
        lacking = [name for name in self.layout.columns if name not in columns]
        if lacking:
            raise Unreadable("it has no column " + ", ".join(f"'{self.layout.columns[name]}'" for name in lacking))
        if "date" not in columns or not columns.keys() & {"amount", "debit", "credit"}:
            raise Unreadable(
                "there is no header with a date and an amount in it; "
                "name its columns, as in --map date=Buchungstag,amount=Betrag"
            )
        if "amount" in columns and columns.keys() & {"debit", "credit"}:
            columns = {name: index for name, index in columns.items() if name not in ("debit", "credit")}
        return best[0], best[1], columns

    def _columns(self, cells: Sequence[str]) -> dict[str, int]:
        names = [_heading(cell) for cell in cells]
        return {said: names.index(name) for said, name in columns_in(names, USUAL, self.layout.columns).items()}

    # -- what the rows say --------------------------------------------------------------------------------------------

    def statement(self, decimals: Callable[[str], int | None], unit: str, digest: str) -> BankStatement:
        unit = self._unit(unit)
        places = decimals(unit)
        if places is None:
            raise Unreadable(f"its currency '{shown(unit, 20)}' is not one of this book's units")
        self._one_notation(unit)
        order = self._order()
        lines: list[BankLine] = []
        balances: list[int] = []
        empty: list[int] = []
        for row in self.rows:
            try:
                line = self._line(row, unit, places, order)
                balance = self._amount(row, "balance", unit, places) if "balance" in self.said else None
            except Unreadable as error:
                self.faults.append(Refused(row.at, str(error), shown(row.cells.get("payee", ""), 40)))
                continue
            if line.amount:
                lines.append(line)
                balances += [] if balance is None else [balance]
            else:
                empty.append(row.at)
        opening, closing, lines = self._balances(lines, balances, places)
        # One of whose lines none can be read is refused for them, whatever its days.
        dates = [line.date for line in lines] or [date.min] * bool(self.faults)
        starts, ends = self.layout.starts or min(dates, default=None), self.layout.ends or max(dates, default=None)
        if starts is None or ends is None:
            raise Unreadable("it has no lines; give its days with --from and --to")
        return BankStatement(
            unit=unit, decimals=places, starts=starts, ends=ends, lines=lines, digest=digest, opening=opening,
            closing=closing, faults=self.faults, unread=self.unread, empty=tuple(empty),
        )  # fmt: skip

    def _unit(self, unit: str) -> str:
        said = {row.cells["currency"].upper() for row in self.rows if row.cells.get("currency")}
        said = {{"€": "EUR", "$": "USD", "£": "GBP"}.get(one, one) for one in said}
        if len(said) > 1:
            raise Unreadable(
                f"it has lines in {', '.join(sorted(said))}; import each currency apart, into its own account"
            )
        return said.pop() if said else unit

    def _one_notation(self, unit: str) -> None:
        """Refuse a file with `1.234,56` in one line and `12.50` in another: one of the two would be misread."""
        one = OneNotation()
        for row in self.rows if self.layout.locale is None else ():
            for name in ("amount", "debit", "credit", "balance"):
                one.take(row.cells.get(name, ""), row.at, unit)

    def _order(self) -> days.Order:
        if self.layout.date_format is not None:
            return days.order_of(self.layout.date_format)
        texts = [row.cells["date"] for row in self.rows if row.cells["date"]]
        if not texts:
            return "ymd"
        try:
            return days.column_order(texts)
        except Unreadable:
            if self.layout.locale is None:
                raise
            return days.locale_order(self.layout.locale)

    def _line(self, row: _Row, unit: str, places: int, order: days.Order) -> BankLine:
        cells = row.cells
        if not cells["date"]:
            raise Unreadable("has no date")
        if "amount" in self.said:
            amount = self._amount(row, "amount", unit, places)
        else:
            out, into = (
                self._amount(row, name, unit, places) if cells.get(name) else 0 for name in ("debit", "credit")
            )
            if bool(out) == bool(into):
                raise Unreadable("has an amount on both sides, or on neither")
            amount = into - abs(out)
        return BankLine(
            row.at, days.read_day(cells["date"], order), amount, cells.get("id") or None, cells.get("payee", ""),
            cells.get("memo", ""), cells.get("reference", ""),
        )  # fmt: skip

    def _amount(self, row: _Row, name: str, unit: str, places: int) -> int:
        return minor_units(row.cells[name], places, unit=unit, locale=self.layout.locale)

    def _balances(
        self, lines: list[BankLine], balances: list[int], places: int
    ) -> tuple[int | None, int | None, list[BankLine]]:
        """Opening and closing balance out of the running one, and the lines with the oldest first.

        Each balance must follow from the one before it, so a line that is missing or misread shows. Beside a line that
        cannot be read nothing follows, and nothing is said of balances.
        """
        newest_first = bool(lines) and lines[0].date > lines[-1].date
        if self.faults or len(balances) != len(lines) or not lines:
            return None, None, lines[::-1] if newest_first else lines
        ways = [
            list(zip(lines, balances, strict=True))[:: -1 if turned else 1]
            for turned in (newest_first, not newest_first)
        ]
        for ordered in ways:
            if _broken(ordered) is None:
                return ordered[0][1] - ordered[0][0].amount, ordered[-1][1], [line for line, _ in ordered]
        at = _broken(ways[0]) or 0
        (_, before), (line, balance) = ways[0][at - 1], ways[0][at]
        self.faults.append(
            Refused(
                line.at, f"the balance {as_decimal(balance, places)} does not follow from the one before it, "
                f"{as_decimal(before, places)}, and the amount {as_decimal(line.amount, places)}; "
                "a line is missing or misread",
            )
        )  # fmt: skip
        return None, None, lines


def _heading(text: str) -> str:
    """A column's name as USUAL writes it: in lower case, without spaces around a stroke."""
    return re.sub(r"\s*/\s*", "/", text.strip().lower())


def _broken(ordered: Sequence[tuple[BankLine, int]]) -> int | None:
    """Where a balance does not follow from the one before it and the line's amount."""
    return next((n for n in range(1, len(ordered)) if ordered[n - 1][1] + ordered[n][0].amount != ordered[n][1]), None)


def _records(text: str, delimiter: str) -> list[tuple[int, list[str]]]:
    """Each record with the line that it ends on. A quotation that never ends leaves a last record that fits nothing."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    found: list[tuple[int, list[str]]] = []
    begins = 1
    try:
        for cells in reader:
            found.append((begins, cells))
            begins = reader.line_num + 1
    except csv.Error as error:
        raise Unreadable(f"line {begins}: the record that begins here cannot be read ({error})") from None
    return found
