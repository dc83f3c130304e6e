"""The questions that people ask of the clinic, each one function: `await board(pool)`.

What is said of patients comes sealed, and each such column names the part of the record that it is of: roles.py says
for whom that is opened, contents.py how it is put in words. Who opens it records the access first.
"""

from __future__ import annotations

from services.queries.clinic.access import access_log, break_glass, disclosures
from services.queries.clinic.chart import entries
from services.queries.clinic.day import board, follow_ups, no_shows, unsigned
from services.queries.clinic.dispensing import queue
from services.queries.clinic.finding import find_patients
from services.queries.clinic.goods import recall_patients, stock_used
from services.queries.clinic.people import practitioners, roles_of
from services.queries.clinic.waiting import review, stuck

__all__ = [
    "access_log", "board", "break_glass", "disclosures", "entries", "find_patients", "follow_ups", "no_shows",
    "practitioners", "queue", "recall_patients", "review", "roles_of", "stock_used", "stuck", "unsigned",
]  # fmt: skip
