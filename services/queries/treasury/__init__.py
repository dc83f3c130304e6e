"""The questions that people ask of the treasury, each one function: `await trial_balance(pool, book="pantry")`.

Each is asked of one book; where there is only one, it need not be named. Amounts are integers in minor units, and
`decimals` of an answer says how many decimals that are, unit by unit.
"""

from __future__ import annotations

from services.queries.treasury.balances import account, funds, trial_balance
from services.queries.treasury.budget import budget
from services.queries.treasury.giving import acknowledgements, donations, in_kind, parties, pledges
from services.queries.treasury.journal import entries
from services.queries.treasury.owed import dues
from services.queries.treasury.reconciling import statements, unreconciled
from services.queries.treasury.results import activities, functional
from services.queries.treasury.review import review
from services.queries.treasury.spending import expenses, money_held

__all__ = [
    "account", "acknowledgements", "activities", "budget", "donations", "dues", "entries", "expenses", "functional",
    "funds", "in_kind", "money_held", "parties", "pledges", "review", "statements", "trial_balance", "unreconciled",
]  # fmt: skip
