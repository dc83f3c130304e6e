"""Every read model of the ledger, by name."""

from __future__ import annotations

from typing import Final

from services.projections.catalogue import Catalogue
from services.projections.clinic.access import ClinicAccess
from services.projections.clinic.chart import ClinicChart
from services.projections.clinic.directory import ClinicDirectory
from services.projections.clinic.dispensings import ClinicDispensings
from services.projections.clinic.given import ClinicGiven
from services.projections.clinic.patients import ClinicPatients
from services.projections.clinic.review import ClinicReview
from services.projections.clinic.visits import ClinicVisits
from services.projections.distribution.boxes import Boxes
from services.projections.distribution.entitlements import Entitlements
from services.projections.distribution.households import Households
from services.projections.distribution.meal_counts import MealCounts
from services.projections.distribution.orders import Orders
from services.projections.distribution.programmes import Programmes
from services.projections.distribution.recall_reach import RecallReachBoxes
from services.projections.distribution.review import DistributionReview
from services.projections.distribution.served import VisitsServed
from services.projections.distribution.sessions import Sessions
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
DISTRIBUTION: Final[tuple[Projection, ...]] = (
    Households(), Programmes(), Sessions(), Entitlements(), Orders(), Boxes(), VisitsServed(), MealCounts(),
    DistributionReview(), RecallReachBoxes(),
)  # fmt: skip
"""The last one reads inventory's stream too."""

CLINIC: Final[tuple[Projection, ...]] = (
    ClinicPatients(), ClinicDirectory(), ClinicChart(), ClinicVisits(), ClinicDispensings(), ClinicGiven(),
    ClinicAccess(), ClinicReview(),
)  # fmt: skip
"""They are folded by a process of their own (services/projections/clinic/app.py)."""

TOGETHER: Final[tuple[Projection, ...]] = (*INVENTORY, *TREASURY, *DISTRIBUTION)
"""Those that one process folds (services/projections/app.py): all but the clinic's."""

PROJECTIONS: Final[dict[str, Projection]] = {projection.name: projection for projection in (*TOGETHER, *CLINIC)}
