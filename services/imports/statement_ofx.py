"""Bank statements out of OFX files: bank accounts and credit cards, one account of the file at a time."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element

from services.imports.cells import Unreadable
from services.imports.ofx import read_ofx
from services.imports.plan import Refused, shown
from services.imports.statement import BankLine, BankStatement
from shared.errors import Invalid
from shared.types import MAX_INTEGER

_STATEMENTS: Final = ("STMTRS", "CCSTMTRS")
_AMOUNT: Final = re.compile(r"([+-]?)(\d{0,30})(?:[.,](\d{1,30}))?", re.ASCII)
_DAY: Final = re.compile(r"(\d{4})(\d\d)(\d\d)(?:\d{4,6}(?:\.\d{1,6})?)?\s*(?:\[[^\]]{1,20}\])?", re.ASCII)


def read_ofx_statement(
    path: Path, data: bytes, decimals: Callable[[str], int | None], number: str | None = None
) -> BankStatement:
    """The statement in an OFX file; of several accounts, the one that the bank knows under `number`.

    `decimals` says how many a unit has. Raises Invalid for a file that is no statement, or is not of one account and
    currency. What is wrong with single lines is in the statement's `faults`.
    """
    found = [each for name in _STATEMENTS for each in read_ofx(path, data).iter(name)]
    numbers = [_number(each) for each in found]
    if number is not None:
        found = [each for each, its in zip(found, numbers, strict=True) if its == number]
    if not found:
        what = f"no statement of account {shown(number, 40)}" if number else "no bank statement"
        raise Invalid(f"{path.name} holds {what}{_those(numbers)}.", file=path.name)
    if len(found) > 1:
        raise Invalid(
            f"{path.name} holds {len(found)} statements{_those(numbers)}; say which with --number.", file=path.name
        )
    return _Reader(path, found[0], decimals).statement(hashlib.sha256(data).hexdigest())


def _number(statement: Element) -> str:
    return next((each.text or "" for each in statement.iter("ACCTID")), "")


def _those(numbers: list[str]) -> str:
    """Which accounts a file has, by the last digits of their numbers."""
    return f" (of accounts ending in {', '.join(number[-4:] for number in numbers)})" if any(numbers) else ""


class _Reader:
    """One statement of a file. OFX has no line numbers that a person would look up, so its lines are counted."""

    def __init__(self, path: Path, element: Element, decimals: Callable[[str], int | None]) -> None:
        self.path = path
        self.element = element
        self.unit = _text(element, "CURDEF").upper()
        known = decimals(self.unit)
        if known is None:
            raise self.refusal(f"its currency is '{shown(self.unit, 20)}', which is not one of this book's units")
        self.decimals = known
        self.faults: list[Refused] = []
        self.empty: list[int] = []

    def refusal(self, what: str) -> Invalid:
        return Invalid(f"{self.path.name} cannot be imported: {what}.", file=self.path.name)

    def statement(self, digest: str) -> BankStatement:
        listed = self.element.find("BANKTRANLIST")
        balance = self.element.find("LEDGERBAL")
        closing, balance_day = self.balance(balance) if balance is not None else (None, None)
        lines = [line for line in map(self.line, *self._numbered(listed)) if line is not None]
        days = [line.date for line in lines]
        starts = self.day(listed, "DTSTART") or min(days, default=balance_day)
        ends = self.day(listed, "DTEND") or max([*days, *([balance_day] if balance_day else [])], default=None)
        if starts is None or ends is None:
            raise self.refusal("it has neither days nor lines")
        if balance_day is not None and balance_day > ends and closing is not None:
            # Banks give the balance of the moment of the download, often after the last day that was asked for. It is
            # the closing balance only if nothing happened in between, which the next statement shows as a gap.
            ends = balance_day
        return BankStatement(
            unit=self.unit, decimals=self.decimals, starts=starts, ends=ends, lines=lines, digest=digest,
            closing=closing, known_as=_number(self.element), faults=self.faults,
            empty=tuple(self.empty),
        )  # fmt: skip

    def _numbered(self, listed: Element | None) -> tuple[range, list[Element]]:
        elements = [] if listed is None else listed.findall("STMTTRN")
        return range(1, len(elements) + 1), elements

    def line(self, number: int, element: Element) -> BankLine | None:
        try:
            currency = (
                next((each.text or "" for each in element.iter("CURSYM")), "")
                if element.find("CURRENCY") is not None
                else ""
            )
            if currency and currency.upper() != self.unit:
                raise Unreadable(
                    f"is in {shown(currency, 10)}, the statement in {self.unit}; import each currency apart"
                )
            amount = ofx_amount(_text(element, "TRNAMT"), self.decimals)
            payee = element.find("PAYEE")
            name = _text(element, "NAME") or (_text(payee, "NAME") if payee is not None else "")
            line = BankLine(
                number, ofx_day(_text(element, "DTPOSTED")), amount, _text(element, "FITID") or None, name,
                _text(element, "MEMO"), _text(element, "REFNUM") or _text(element, "CHECKNUM"),
            )  # fmt: skip
        except Unreadable as error:
            self.faults.append(Refused(number, str(error), f"line {number} of the statement"))
            return None
        if not line.amount:  # a note of the bank's, about no money
            self.empty.append(number)
            return None
        return line

    def balance(self, element: Element) -> tuple[int, date | None]:
        try:
            as_of = _text(element, "DTASOF")
            return ofx_amount(_text(element, "BALAMT"), self.decimals), ofx_day(as_of) if as_of else None
        except Unreadable as error:
            raise self.refusal(f"its balance {error}") from None

    def day(self, listed: Element | None, name: str) -> date | None:
        text = _text(listed, name) if listed is not None else ""
        try:
            return ofx_day(text) if text else None
        except Unreadable as error:
            raise self.refusal(f"its {name} {error}") from None


def _text(element: Element, name: str) -> str:
    return (element.findtext(name) or "").strip()


def ofx_amount(text: str, decimals: int) -> int:
    """An amount as OFX writes it: point or comma before the decimals, nothing between thousands (section 3.2.9.2)."""
    found = _AMOUNT.fullmatch(text)
    if found is None or not (found[2] or found[3]):
        raise Unreadable(f"is '{shown(text, 40)}', which is no amount as OFX writes it, such as -1234.50")
    fraction = (found[3] or "").rstrip("0") if len(found[3] or "") > decimals else found[3] or ""
    if len(fraction) > decimals:
        raise Unreadable(f"is '{shown(text, 40)}', with more decimals than its currency has ({decimals})")
    minor = int((found[2] or "0") + fraction.ljust(decimals, "0"))
    if minor > MAX_INTEGER:
        raise Unreadable(f"is '{shown(text, 40)}', which is too large")
    return -minor if found[1] == "-" else minor


def ofx_day(text: str) -> date:
    """The day of an OFX date-time, as the bank's own clock had it."""
    found = _DAY.fullmatch(text)
    try:
        if found is not None:
            return date(int(found[1]), int(found[2]), int(found[3]))
    except ValueError:
        pass
    raise Unreadable(f"is '{shown(text, 40)}', which is no date as OFX writes it, such as 20261120")
