"""The questions that people ask of distribution, each one function: `await check_in(pool, who="1001")`.

Names, contacts and the like come sealed; services/commands/opening.py opens them for who has the master key.
"""

from __future__ import annotations

from services.queries.distribution.lists import households, orders, programmes
from services.queries.distribution.preparing import packing, route, session, sessions
from services.queries.distribution.reach import reach
from services.queries.distribution.reports import meals, served
from services.queries.distribution.table import check_in, queue
from services.queries.distribution.waiting import review, stuck

__all__ = [
    "check_in", "households", "meals", "orders", "packing", "programmes", "queue", "reach", "review", "route", "served",
    "session", "sessions", "stuck",
]  # fmt: skip
