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
from services.projections.treasury.chart import Chart
from services.projections.treasury.expenses import Expenses
from services.projections.treasury.giving import Giving
from services.projections.treasury.holds import MoneyHeld
from services.projections.treasury.journal import GeneralJournal
from services.projections.treasury.review import TreasuryReview
from services.projections.treasury.statements import BankStatements
from services.projections.treasury.trial_balance import TrialBalance
from shared.projection import Projection

INVENTORY: Final[tuple[Projection, ...]] = (
    Catalogue(), StockOnHand(), Reservations(), Movements(), Transfers(), Holds(), Donors(), Review(),
)  # fmt: skip
TREASURY: Final[tuple[Projection, ...]] = (
    Chart(), TrialBalance(), GeneralJournal(), MoneyHeld(), Expenses(), BankStatements(), Giving(), TreasuryReview(),
)  # fmt: skip

PROJECTIONS: Final[dict[str, Projection]] = {projection.name: projection for projection in (*INVENTORY, *TREASURY)}
