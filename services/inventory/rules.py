"""Rules that several deciders share: moments, dates, lot numbers and weights."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final

from services.inventory.contract import (
    BaseUnit,
    DateKind,
    FreedLine,
    Freeing,
    InventoryError,
    ItemFacts,
    LotQuantity,
    LotRef,
    lot_form,
)
from shared.decider import Context
from shared.moments import happened_at
from shared.types import MAX_INTEGER

REVIEW: Final = "review-"
"""How the id of a pharmacist's review begins; the receipt's revision follows. No other hold's id begins so."""


def when(occurred_at: datetime | None, context: Context) -> datetime:
    """When a command's fact happened: as it says, or now. Refuses the future."""
    return happened_at(occurred_at, context, InventoryError.OCCURRED_IN_FUTURE)


def local_day(moment: datetime, utc_offset: int) -> date:
    """The calendar day at a location whose clock is so many minutes east of UTC."""
    return (moment.astimezone(UTC) + timedelta(minutes=utc_offset)).date()


def ref_key(ref: LotRef) -> str:
    """A lot's key in a stock's state. Two references with the same key are the same goods."""
    return _key(ref.lot, ref.date, ref.date_kind, ref.owner)


@lru_cache(maxsize=65_536)
def _key(lot: str | None, dated: date | None, kind: DateKind | None, owner: str | None) -> str:
    """Kept, because every fold and check asks for the same few lots again and again."""
    if dated is None and owner is None:
        return lot_form(lot)
    return f"{lot_form(lot)}|{dated or ''}|{kind or ''}|{owner or ''}"


def ref_of(ref: LotRef) -> LotRef:
    """The lot of a line, without what the line says beside it; a lot written UNKNOWN is no lot."""
    lot = ref.lot if lot_form(ref.lot) else None
    return LotRef(lot=lot, date=ref.date, date_kind=ref.date_kind, owner=ref.owner)


def quantity_of(ref: LotRef, quantity: int) -> LotQuantity:
    """So much of a lot."""
    return LotQuantity(lot=ref.lot, date=ref.date, date_kind=ref.date_kind, owner=ref.owner, quantity=quantity)


def freed_of(ref: LotRef, quantity: int, reservation: str, why: Freeing) -> FreedLine:
    """So much of a lot that is no longer reserved."""
    return FreedLine(
        lot=ref.lot, date=ref.date, date_kind=ref.date_kind, owner=ref.owner, quantity=quantity,
        reservation=reservation, why=why,
    )  # fmt: skip


def name_of(ref: LotRef) -> str:
    """A lot in a sentence for people."""
    lot = f"lot {ref.lot}" if ref.lot else "the stock of unknown lot"
    dated = f" ({(ref.date_kind or DateKind.EXPIRY).replace('_', ' ')} {ref.date})" if ref.date else ""
    return lot + dated + (f" of {ref.owner}" if ref.owner else "")


def usable_until(ref: LotRef, facts: ItemFacts) -> date | None:
    """The last day on which goods may be given out; None when their date is not known.

    A best-before date is extended by the item's own extension, never for medicine or infant formula.
    """
    if ref.date is None:
        return None
    if ref.date_kind is DateKind.BEST_BEFORE and not (facts.medicine or facts.infant_formula):
        return ref.date + timedelta(days=facts.best_before_extension)
    return ref.date


def weight(quantity: int, facts: ItemFacts) -> int | None:
    """What a signed quantity of an item weighs in g, rounded towards zero; None when it cannot be said."""
    if facts.unit is BaseUnit.GRAM:
        grams = quantity
    elif facts.net_weight is None:
        return None
    elif facts.unit is BaseUnit.EACH:
        grams = quantity * facts.net_weight
    else:
        grams = abs(quantity) * facts.net_weight // 1000 * (1 if quantity >= 0 else -1)
    return grams if abs(grams) <= MAX_INTEGER else None
