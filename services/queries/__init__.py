"""The questions that people ask of the read models, each one function: `await stock(pool, item="rice")`.

Every answer says for which position of the stream it stands and whether anything is missing from it. An item may be
named by its id, its barcode or its name, a location by its id or name; what is not known is answered with what comes
near.
"""

from __future__ import annotations

from services.queries.answer import Column, QueryResult
from services.queries.catalogue import items, locations
from services.queries.donors import donors
from services.queries.expiry import expiring
from services.queries.flows import receipts, waste, weight
from services.queries.holds import holds, recalls
from services.queries.levels import below_minimum
from services.queries.movements import movements
from services.queries.reach import reach
from services.queries.reservations import reservations
from services.queries.review import review
from services.queries.stock import stock
from services.queries.trace import trace
from services.queries.transfers import in_transit

__all__ = [
    "Column", "QueryResult", "below_minimum", "donors", "expiring", "holds", "in_transit", "items", "locations",
    "movements", "reach", "recalls", "receipts", "reservations", "review", "stock", "trace", "waste", "weight",
]  # fmt: skip
