"""What a recall of inventory's covers, as far as the clinic can tell. What is not known of goods counts as covered."""

from __future__ import annotations

from datetime import date

from services.inventory.contract import RecallScope, lot_form


def covers(scope: RecallScope, lot: str | None, day: date | None) -> bool:
    """Whether a recall covers goods of a lot, with a date on their package."""
    dated = scope.first_date is not None or scope.last_date is not None
    if not scope.lots and not dated:
        return True
    form = lot_form(lot)
    if scope.lots and (not form or form in {lot_form(one) for one in scope.lots}):
        return True
    return dated and (day is None or (scope.first_date or date.min) <= day <= (scope.last_date or date.max))
