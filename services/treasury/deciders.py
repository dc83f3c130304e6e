"""All deciders of the treasury, for the service that runs them and for the auditor that folds them."""

from __future__ import annotations

from typing import Any, Final

from services.treasury.book import book
from services.treasury.expense import expense
from services.treasury.party import party
from services.treasury.pledge import pledge
from services.treasury.process import process
from services.treasury.statement import statement
from shared.decider import Decider

DECIDERS: Final[tuple[Decider[Any], ...]] = (book, expense, statement, pledge, party, process)
