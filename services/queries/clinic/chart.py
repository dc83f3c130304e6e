"""A patient's chart, in one query: theirs, and what was recorded of them under other ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import asyncpg

from services.clinic.contract import Allergy, AllergyCategory, Check, Contact, Demographics, Order
from services.queries.answer import Column, Position, QueryResult, Question
from services.queries.clinic.contents import HOLDS, identity, in_words, opened, words
from services.queries.names import checked
from shared.errors import Corrupt
from shared.keyreader import Closed
from shared.sealing import is_sealed

STREAM: Final = "CLINIC"

WHOLE: Final = """whole AS (
    SELECT patient FROM patients WHERE patient = $1
    UNION SELECT p.patient FROM patients p JOIN whole w ON p.merged_into = w.patient)"""
"""A patient, and all whose records go on as theirs; of WITH RECURSIVE."""

_COLUMNS: Final = (
    "patient", "kind", "id", "encounter", "content", "status", "facts", "author", "occurred_at", "recorded_at",
)  # fmt: skip
"""What is told of an entry, and no more: of a thousand rows each moment costs half a millisecond to read."""

_ENTRIES: Final = Question(
    STREAM, "Chart", ("clinic_patients", "clinic_chart"), tuple(Column(name, name) for name in _COLUMNS),
    f"""WITH RECURSIVE {WHOLE}
    SELECT {", ".join(_COLUMNS)} FROM (
        SELECT patient, 'patient' AS kind, '' AS within, patient AS id, NULL AS encounter, content,
               CASE WHEN merged_into IS NULL THEN 'registered' ELSE 'goes on as ' || merged_into END AS status,
               jsonb_build_object('imported_from', imported_from) AS facts, NULL AS author,
               registered_at AS occurred_at, registered_at AS recorded_at, 0 AS rank
        FROM whole JOIN patients USING (patient) WHERE 'patient' = ANY($2)
        UNION ALL
        SELECT patient, kind, within, id, encounter, content, status, facts, author, occurred_at, recorded_at,
               CASE WHEN kind IN ('allergy', 'no_known_allergy') THEN 1 ELSE 2 END
        FROM chart_entries WHERE patient = ANY(ARRAY(SELECT patient FROM whole)) AND kind = ANY($2)) AS entries
    ORDER BY rank, occurred_at DESC, kind, within, id""",  # noqa: S608  # made of constants
    "There is no such patient, or nothing is recorded of them.",
)  # fmt: skip


async def entries(
    pool: asyncpg.Pool, *, patient: str, kinds: Sequence[str], at_least: Position | None = None
) -> QueryResult:
    """The entries of these kinds in a chart, sealed: who it is, then allergies, then the rest, the newest first.

    The columns are of `chart_entries` (services/projections/clinic/chart.py); kind `patient` is who it is.
    """
    return await _ENTRIES.rows(pool, checked(patient), list(kinds), at_least=at_least)


def sealed_in(row: Mapping[str, Any]) -> list[str]:
    """Every sealed text of an entry: its content, and those among its facts."""
    content, facts = row["content"], row["facts"]
    found = [] if content is None else [content]
    return [*found, *_sealed(facts)] if facts else found


def _sealed(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value] if value.startswith("sealed:") and is_sealed(value) else []
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for part in parts for text in _sealed(part)]


# -- in words ---------------------------------------------------------------------------------------------------------

COLUMNS: Final = (
    Column("occurred_at", "When", "moment"), Column("kind", "What"), Column("entry", "Entry"),
    Column("status", "Status"), Column("author", "By"), Column("id", "Id"), Column("encounter", "Encounter"),
    Column("patient", "Patient"), Column("recorded_at", "Recorded", "moment"),
)  # fmt: skip


def told(found: QueryResult, texts: Mapping[str, str | Closed], *, contact: bool) -> QueryResult:
    """Entries in words. `texts` are the opened ones; `contact` says whether to tell how to reach somebody."""
    records = found.records()
    orders = {
        record["id"]: value.medication.display
        for record in records if record["kind"] == "prescription"
        and isinstance(value := _value(record, texts), Order)
    }  # fmt: skip
    rows = [
        (
            record["occurred_at"], record["kind"].replace("_", " "), _entry(record, texts, orders, contact),
            (record["status"] or "").replace("_", " "), record["author"], record["id"], record["encounter"],
            record["patient"], record["recorded_at"],
        )
        for record in records
    ]  # fmt: skip
    return QueryResult(found.title, COLUMNS, rows, found.as_of, found.incomplete, found.reason, found.message)


def _value(record: Mapping[str, Any], texts: Mapping[str, str | Closed]) -> Any:
    """The value of an entry; a word that says why it is not to be had."""
    if record["content"] is None:
        return None
    text = texts.get(record["content"], Closed.SEALED)
    if isinstance(text, Closed):
        return text
    try:
        return opened(record["kind"], text)
    except Corrupt:
        return Closed.CHANGED


def _entry(
    record: Mapping[str, Any], texts: Mapping[str, str | Closed], orders: Mapping[str, str], contact: bool
) -> str:  # fmt: skip
    facts, value = record["facts"] or {}, _value(record, texts)
    said: list[str | None] = [None if value is None else words(value)]
    match record["kind"]:
        case "patient" if isinstance(value, Demographics):
            said = [identity(value), words(value.contact) if contact and isinstance(value.contact, Contact) else None]
        case "no_known_allergy":
            said = [f"no known allergy: {record['id']}"]
        case "note":
            said += [f"[{one['author']} added] {texts.get(one['text'], Closed.SEALED)}" for one in facts["amendments"]]
            said.append(facts.get("attested_by") and f"attested by {facts['attested_by']}")
        case "dispensing":
            medicine = orders.get(facts.get("prescription", ""), facts["item"])
            lots = ", ".join(f"lot {line['lot']}" for line in facts.get("lots", ()))
            said = [f"{facts['quantity']:,} {medicine}", lots, *said]
            check = facts.get("check") and texts.get(facts["check"], Closed.SEALED)
            said.append(None if check is None else check if isinstance(check, Closed) else in_words(Check)(check))
        case "prescription":
            said.append(f"{facts['allotted']:,} dispensed" if facts.get("allotted") else None)
        case "administration" | "immunization" if facts.get("lot"):
            said.append(f"lot {facts['lot']}")
        case "encounter":
            said = [facts.get("class"), facts.get("clinician") and f"with {facts['clinician']}", *said]
        case "appointment":
            said = [f"with {facts['clinician']}, {facts['minutes']} minutes", *said]
        case "referral":
            said.append(_text(facts, "outcome", texts))
    if facts:
        said += [facts.get("imported_from") and f"from {facts['imported_from']}", _text(facts, "reason", texts)]
    return "; ".join([part for part in said if part])


def _text(facts: Mapping[str, Any], name: str, texts: Mapping[str, str | Closed]) -> str | None:
    return None if facts.get(name) is None else str(texts.get(facts[name], Closed.SEALED))


# -- the allergy banner -----------------------------------------------------------------------------------------------


def banner(found: QueryResult, texts: Mapping[str, str | Closed]) -> str:
    """What is known of a patient's allergies, in a sentence or two: unknown is not none."""
    standing: list[Any] = []
    asked: dict[str, tuple[datetime, str]] = {}
    for record in found.records():
        if record["kind"] == "allergy" and record["status"] == "active":
            standing.append(_value(record, texts))
        elif record["kind"] == "no_known_allergy":
            at = record["occurred_at"], record["author"]
            asked[record["id"]] = max(asked.get(record["id"], at), at)
    known = [one for one in standing if isinstance(one, Allergy)]
    against = {str(one.category) for one in known}
    said = []
    if known:
        said.append(f"ALLERGIES: {'; '.join(words(one).rstrip('.') for one in known)}.")
    if len(known) < len(standing):
        closed = len(standing) - len(known)
        what = "recorded allergy" if closed == 1 else "recorded allergies"
        said.append(f"{closed} {what} cannot be read: take nothing for safe.")
    said += [
        f"No known {category} allergy (asked {at:%Y-%m-%d} by {by})."
        for category, (at, by) in sorted(asked.items()) if category not in against
    ]  # fmt: skip
    medicine = AllergyCategory.MEDICATION
    if medicine not in asked and medicine not in against:
        said.append("Allergies to medicines are UNKNOWN: nobody recorded having asked. Unknown is not none.")
    return " ".join(said)


__all__ = ["COLUMNS", "HOLDS", "STREAM", "WHOLE", "banner", "entries", "sealed_in", "told"]
