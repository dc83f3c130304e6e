"""All deciders of the treasury, for the service that runs them and for the auditor that folds them."""

from __future__ import annotations

from typing import Any, Final

from services.treasury.authority import authority
from services.treasury.book import book
from services.treasury.erasure import erasure, erasure_under
from services.treasury.expense import expense
from services.treasury.party import party
from services.treasury.pledge import pledge
from services.treasury.process import process
from services.treasury.statement import statement
from shared.decider import Decider
from shared.erasure import Terms

DECIDERS: Final[tuple[Decider[Any], ...]] = (book, expense, statement, pledge, party, process, erasure, authority)


def deciders_under(terms: Terms) -> tuple[Decider[Any], ...]:
    """The same, under what an operator has set."""
    return tuple(erasure_under(terms) if one is erasure else one for one in DECIDERS)
