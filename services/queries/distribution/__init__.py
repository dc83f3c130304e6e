"""The questions that people ask of distribution, each one function: `await check_in(pool, who="1001")`.

Names, contacts, reasons and the like come sealed; services/commands/opening.py opens them for who has the master key.
Warnings about goods are put into words after that: `check_in_told`, `packing_told`, `review_told`.
"""

from __future__ import annotations

from services.queries.distribution.lists import households, orders, programmes
from services.queries.distribution.preparing import packing, route, session, sessions
from services.queries.distribution.reach import reach
from services.queries.distribution.reports import meals, served
from services.queries.distribution.table import check_in, queue
from services.queries.distribution.waiting import review, stuck
from services.queries.distribution.warned import check_in_told, packing_told, review_told

__all__ = [
    "check_in", "check_in_told", "households", "meals", "orders", "packing", "packing_told", "programmes", "queue",
    "reach", "review", "review_told", "route", "served", "session", "sessions", "stuck",
]  # fmt: skip
