"""Who saw a record and why, to whom something of it was given, and whose glass was broken."""

from __future__ import annotations

from typing import Final

import asyncpg

from services.clinic.contract import Disclosure
from services.queries.answer import Column, Position, QueryResult, Question
from services.queries.clinic.chart import STREAM, WHOLE
from services.queries.clinic.contents import in_words
from services.queries.names import checked

_READ: Final = (
    Column("occurred_at", "When", "moment"), Column("reader", "Who"), Column("role", "Role"),
    Column("purpose", "Purpose"), Column("parts", "What"), Column("break_glass", "Broke the glass", "flag"),
    Column("reason", "Reason", "sealed", part="broken_glass"), Column("reviewed_at", "Reviewed", "moment"),
    Column("reviewed_by", "Reviewed by"), Column("review_note", "Found", "sealed", part="broken_glass"),
    Column("patient", "Patient"), Column("access", "Access"), Column("recorded_at", "Recorded", "moment"),
)  # fmt: skip
_LOG: Final = Question(
    STREAM, "Who saw the record", ("clinic_access", "clinic_patients"), _READ,
    f"""WITH RECURSIVE {WHOLE}
    SELECT a.* FROM access_log a WHERE a.patient = $1 OR a.patient IN (SELECT patient FROM whole)
    ORDER BY a.occurred_at DESC, a.access""",  # noqa: S608  # made of constants
    "Nobody read it.",
)  # fmt: skip
_BROKEN: Final = Question(
    STREAM, "Broken glass", ("clinic_access",), _READ,
    """SELECT * FROM access_log WHERE break_glass AND ($1 OR reviewed_at IS NULL)
    ORDER BY reviewed_at IS NOT NULL, occurred_at, patient, access""",
    "No glass was broken that nobody looked into.",
)  # fmt: skip
_DISCLOSED: Final = Question(
    STREAM, "Disclosures", ("clinic_access", "clinic_patients"),
    (
        Column("occurred_at", "When", "moment"), Column("disclosed_by", "By"), Column("purpose", "Purpose"),
        Column("content", "What to whom", "sealed", words=in_words(Disclosure), part="disclosures"),
        Column("consent", "Consent"), Column("breaches", "Against"), Column("patient", "Patient"),
        Column("disclosure", "Disclosure"), Column("reviewed_at", "Reviewed", "moment"),
        Column("reviewed_by", "Reviewed by"), Column("review_note", "Found", "sealed", part="disclosures"),
        Column("recorded_at", "Recorded", "moment"),
    ),
    f"""WITH RECURSIVE {WHOLE}
    SELECT d.* FROM disclosures d WHERE d.patient = $1 OR d.patient IN (SELECT patient FROM whole)
    ORDER BY d.occurred_at DESC, d.disclosure""",  # noqa: S608  # made of constants
    "Nothing was given to others.",
)  # fmt: skip


async def access_log(pool: asyncpg.Pool, *, patient: str, at_least: Position | None = None) -> QueryResult:
    """Who read a patient's record, in which role, for which purpose and which parts, the newest first."""
    return await _LOG.rows(pool, checked(patient), at_least=at_least)


async def break_glass(pool: asyncpg.Pool, *, reviewed: bool = False, at_least: Position | None = None) -> QueryResult:
    """Where somebody was shown more than their role is, until another looked into it; with `reviewed`, after it too."""
    return await _BROKEN.rows(pool, reviewed, at_least=at_least)


async def disclosures(pool: asyncpg.Pool, *, patient: str, at_least: Position | None = None) -> QueryResult:
    """To whom something of a patient's record was given: the account that is kept for six years."""
    return await _DISCLOSED.rows(pool, checked(patient), at_least=at_least)
