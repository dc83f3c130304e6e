"""Every read model of the ledger, by name."""

from __future__ import annotations

from typing import Final

from services.projections.catalogue import Catalogue
from services.projections.donors import Donors
from services.projections.holds import Holds
from services.projections.movements import Movements
from services.projections.reservations import Reservations
from services.projections.review import Review
from services.projections.stock_on_hand import StockOnHand
from services.projections.transfers import Transfers
from shared.projection import Projection

PROJECTIONS: Final[dict[str, Projection]] = {
    projection.name: projection
    for projection in (
        Catalogue(),
        StockOnHand(),
        Reservations(),
        Movements(),
        Transfers(),
        Holds(),
        Donors(),
        Review(),
    )
}
