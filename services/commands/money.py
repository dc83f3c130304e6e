"""Money as people write it: `12.50` beside `EUR` for 1,250 cents, both ways.

The ledger counts in minor units. What is typed with a decimal point is turned into them, exactly, by the decimals that
ISO 4217 gives the unit. A whole number on the command line is refused, as it could be either; in JSON it is minor
units, which is how programs write them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from services.commands.common import Operator
from services.commands.render import money
from services.treasury.units import decimals_of
from shared.errors import Invalid

_TYPED: Final = re.compile(r"-?[0-9]{1,18}\.[0-9]{1,6}")
_WHOLE: Final = re.compile(r"-?[0-9]{1,18}")

_AMOUNTS: Final = frozenset({
    "advance", "amount", "balance", "closing", "from_amount", "gap", "limit", "opening", "remaining", "waived"
})  # fmt: skip
"""The fields of the treasury that hold money."""


def typed_amount(name: str, text: str) -> Decimal:
    """An amount as it was typed, with its decimals. Raises Invalid: a whole number could be taken for cents."""
    if _TYPED.fullmatch(text):
        return Decimal(text)
    meant = f"{text}.00" if _WHOLE.fullmatch(text) else "1234.56"
    raise Invalid(
        f"{name} is {text[:40]!r}: write an amount with its decimals and nothing else, as {meant}, so that nobody "
        "takes it for cents.",
        field=name,
    )  # fmt: skip


async def unit_meant(operator: Operator, data: Mapping[str, Any]) -> str | None:
    """The currency of a command that names none: of its dues, else of its book, as the read models know them.

    None when nothing has to be turned into minor units, or nothing is known.
    """
    book = data.get("book")
    if "unit" in data or not isinstance(book, str) or not any(isinstance(value, Decimal) for value in data.values()):
        return None
    async with operator.database() as pool:
        dues = await pool.fetchval("SELECT unit FROM read.dues WHERE book = $1 AND entry = $2", book, data.get("dues"))
        found = dues or await pool.fetchval("SELECT unit FROM read.books WHERE book = $1", book)
    return str(found) if found else None


def in_minor_units(data: Any, unit: str | None = None, where: str = "") -> Any:
    """A command's data with every decimal number in the minor units of the `unit` beside it, or of what it stands in.

    Raises Invalid when no currency is there, or it has fewer decimals than were written.
    """
    match data:
        case dict():
            beside = data.get("unit", unit)
            return {name: in_minor_units(value, beside, f"{where}{name}.") for name, value in data.items()}
        case list():
            return [in_minor_units(value, unit, where) for value in data]
        case Decimal():
            return _minor(data, unit if isinstance(unit, str) else None, where.rstrip("."))
    return data


def _minor(amount: Decimal, unit: str | None, where: str) -> int:
    decimals = decimals_of(unit) if unit else None
    if decimals is None:
        raise Invalid(
            f"{where} is {amount}: a number has no decimals, unless it is money and its currency stands beside it "
            "(unit=EUR). Write it in minor units, 1250 for 12.50.",
            field=where,
        )  # fmt: skip
    scaled = amount.scaleb(decimals)
    if scaled != int(scaled):
        raise Invalid(f"{where} is {amount}, and {unit} has {decimals} decimals. Check the amount.", field=where)
    return int(scaled)


def with_decimals(data: Mapping[str, Any], unit: str | None = None) -> dict[str, Any]:
    """An event's data for the screen: amounts of money with their decimals, where their currency is known.

    Where it is not, such as in a matched line of the bank's, they stay in minor units and say so.
    """
    beside = data.get("unit") or unit or _unit_of_postings(data)
    decimals = decimals_of(beside) if isinstance(beside, str) else None
    shown: dict[str, Any] = {}
    for name, value in data.items():
        if isinstance(value, dict):
            shown[name] = with_decimals(value, beside)
        elif isinstance(value, list):
            shown[name] = [with_decimals(one, beside) if isinstance(one, dict) else one for one in value]
        elif name in _AMOUNTS and decimals is not None and isinstance(value, int) and not isinstance(value, bool):
            shown[name] = f"{money(value, decimals):,}"
        elif name in _AMOUNTS and isinstance(value, int) and value and not isinstance(value, bool):
            shown[name] = f"{value:,} (in minor units)"
        else:
            shown[name] = value
    return shown


def _unit_of_postings(data: Mapping[str, Any]) -> str | None:
    """The one unit of an entry's postings; None when there are several, or it is no entry."""
    units = {
        posting.get("unit")
        for side in ("debits", "credits")
        for posting in data.get(side) or ()
        if isinstance(posting, dict)
    }
    found = units.pop() if len(units) == 1 else None
    return found if isinstance(found, str) else None
