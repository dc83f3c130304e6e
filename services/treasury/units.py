"""How many decimals a currency has, as ISO 4217 says: 2 for EUR, 0 for JPY, 3 for KWD.

The table is that of the maintenance agency, which the package iso4217 brings along. What people are used to see in
shops differs for a dozen currencies (they write no cents of a Serbian dinar), so locale data is no source for it.
"""

from __future__ import annotations

from functools import cache
from types import MappingProxyType


def decimals_of(code: str) -> int | None:
    """The decimals of the minor unit of a currency; None for what is no ISO 4217 currency or has none (XAU, XXX)."""
    return currencies().get(code)


@cache
def currencies() -> MappingProxyType[str, int]:
    """Every currency of ISO 4217 that is in use and has a minor unit, with its decimals."""
    from iso4217 import Currency  # reads its table when it is imported, and most commands need none

    return MappingProxyType({each.code: each.exponent for each in Currency if each.exponent is not None})


def as_decimal(amount: int, decimals: int) -> str:
    """An amount in minor units as a decimal text, exact and without separators: -1234 with two decimals is `-12.34`."""
    digits = str(abs(amount)).rjust(decimals + 1, "0")
    sign = "-" if amount < 0 else ""
    return f"{sign}{digits[:-decimals]}.{digits[-decimals:]}" if decimals else f"{sign}{digits}"
