"""All deciders of distribution, for the service that runs them and for the auditor that folds them."""

from __future__ import annotations

from typing import Any, Final

from services.distribution.authority import authority
from services.distribution.box import box
from services.distribution.entitlement import entitlement
from services.distribution.erasure import erasure, erasure_under
from services.distribution.fulfilment import fulfilment
from services.distribution.goods import goods
from services.distribution.household import household
from services.distribution.meals import meal_count
from services.distribution.order import order
from services.distribution.process import process
from services.distribution.programme import programme
from services.distribution.session import session
from shared.decider import Decider
from shared.erasure import Terms

DECIDERS: Final[tuple[Decider[Any], ...]] = (
    household, programme, session, entitlement, order, box, fulfilment, goods, meal_count, process,
    erasure, authority,
)  # fmt: skip


def deciders_under(terms: Terms) -> tuple[Decider[Any], ...]:
    """The same, under what an operator has set."""
    return tuple(erasure_under(terms) if one is erasure else one for one in DECIDERS)
