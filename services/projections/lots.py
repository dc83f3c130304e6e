"""Lots as the read models know them: one row's key, and the columns that say which goods are meant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from services.inventory.contract import LotRef, lot_form

COLUMNS: Final[Mapping[str, str]] = {
    "lot": "text",
    "lot_form": "text",
    "date": "date",
    "date_kind": "text",
    "owner": "text",
}
"""A lot as recorded, its comparable form (empty when unknown), its date, what that means, and whose goods these are."""


def lot_key(ref: LotRef) -> str:
    """The key of goods of one lot, date and owner. Two references with the same key are the same goods."""
    form = lot_form(ref.lot)
    if ref.date is None and ref.owner is None:
        return form
    return f"{form}|{ref.date or ''}|{ref.date_kind or ''}|{ref.owner or ''}"


def lot_columns(ref: LotRef) -> dict[str, Any]:
    """The values of COLUMNS; a lot that was written as UNKNOWN is none."""
    form = lot_form(ref.lot)
    return {
        "lot": ref.lot if form else None,
        "lot_form": form,
        "date": ref.date,
        "date_kind": ref.date_kind and str(ref.date_kind),
        "owner": ref.owner,
    }
