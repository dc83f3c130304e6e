"""Medicines on their way to patients: where each stands, and why it does not move on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import asyncpg

from services.clinic.contract import Alert, Check, Order
from services.queries.answer import Column, Position, QueryResult, Question
from services.queries.clinic.chart import STREAM
from services.queries.clinic.day import NAME, PATIENT
from shared.clock import utc_now
from shared.errors import Corrupt
from shared.heldvalue import read
from shared.keyreader import Closed

_SHORT: Final = """CASE WHEN d.remaining = 0 AND d.freed_at IS NULL AND d.short > 0 THEN d.short
    ELSE d.quantity - d.remaining END"""
"""How much is missing. Where nothing was set aside because there is not enough, that is less than was asked for."""

WAITS: Final = f"""CASE
    WHEN d.state = 'requested' AND d.answered_at IS NULL THEN 'inventory to set its goods aside'
    WHEN d.state = 'requested' AND d.remaining < d.quantity
        THEN 'goods: ' || {_SHORT} || CASE {_SHORT} WHEN 1 THEN ' is short' ELSE ' are short' END
    WHEN d.state = 'requested' THEN 'to be verified'
    WHEN d.state = 'verified' AND d.remaining < d.quantity THEN 'goods that were taken away: refuse it'
    WHEN d.state = 'verified' THEN 'to be handed over'
    WHEN d.state = 'dispensed' AND d.issued + d.unrecorded < d.quantity THEN 'inventory to give it out'
    WHEN d.state IN ('refused', 'unpicked') AND d.remaining > 0 THEN 'its goods to go back'
    END"""
"""What a dispensing waits for, of `dispensings AS d`; null when for nothing. Open alerts are sealed."""

SINCE: Final = """CASE
    WHEN d.state = 'requested' THEN coalesce(d.freed_at, d.answered_at, d.requested_at)
    WHEN d.state = 'verified' THEN greatest(d.verified_at, d.freed_at) ELSE d.ended_at END"""


def _checked(text: str) -> str:
    return _told(lambda: read(text, Check).alerts)


def _alert(text: str) -> str:
    return _told(lambda: (read(text, Alert),))


def _answered(text: str) -> str:
    return _told(lambda: read(text, tuple[Alert, ...]))


def _told(alerts: Callable[[], Iterable[Alert]]) -> str:
    """Alerts, one a line, each with what it is about: of one kind one may be answered for, and another not."""
    try:
        return "\n".join(f"{one.kind}: {one.detail}" for one in alerts())
    except Corrupt:
        return str(Closed.CHANGED)


def _medicine(text: str) -> str:
    try:
        return read(text, Order).medication.display
    except Corrupt:
        return str(Closed.CHANGED)


_QUEUE: Final = Question(
    STREAM, "Dispensing", ("clinic_patients", "clinic_dispensings", "clinic_directory", "clinic_chart"),
    (
        Column("dispensing", "Dispensing"), Column("waits", "Waits for"), Column("since", "Since", "moment"), PATIENT,
        NAME, Column("medicine", "Medicine", "sealed", words=_medicine, part="medicines"),
        Column("alerts", "Alerts", "sealed", words=_alert, part="medicines"),
        Column("check", "Checked", "sealed", words=_checked, part="medicines"),
        Column("answered", "Answered for", "sealed", words=_answered, part="medicines"),
        Column("quantity", "Quantity", "number"), Column("item", "Item", part="medicines"),
        Column("item_name", "Item name", part="medicines"), Column("lots", "Lots", part="medicines"),
        Column("due_at", "Kept until", "moment"), Column("location", "Location"),
        Column("prescription", "Prescription"), Column("prescriber", "Prescriber"), Column("state", "State"),
    ),
    f"""SELECT d.*, {WAITS} AS waits, {SINCE} AS since, p.content AS name, d.check_content AS check,
               f.name AS item_name, rx.content AS medicine,
               (SELECT string_agg(coalesce(l.lot, 'unknown') || ' ' || l.quantity, ', ')
                FROM jsonb_to_recordset(d.lots) AS l(lot text, quantity bigint)) AS lots
    FROM dispensings d LEFT JOIN patients p USING (patient) LEFT JOIN formulary f USING (item)
    LEFT JOIN chart_entries rx ON (rx.kind, rx.ref) = ('prescription', d.prescription)
    WHERE $1 OR {WAITS} IS NOT NULL
    ORDER BY {WAITS} IS NULL, coalesce(d.due_at < $2, false) DESC, since, d.dispensing""",  # noqa: S608  # made of constants
    "No medicine is on its way.",
)  # fmt: skip


async def queue(
    pool: asyncpg.Pool, *, ended: bool = False, now: datetime | None = None, at_least: Position | None = None
) -> QueryResult:  # fmt: skip
    """Dispensings that wait for something, what nobody fetched in time on top; with `ended`, those done with too.

    Which alerts are open can be said once the columns are opened: `with_open_alerts`.
    """
    return await _QUEUE.rows(pool, ended, now or utc_now(), at_least=at_least)


def with_open_alerts(found: QueryResult) -> QueryResult:
    """The opened answer with those of the alerts that nobody answered for yet, in one column."""
    names = [column.name for column in found.columns]
    if "check" not in names:
        return found
    rows = []
    for record in found.records():
        answered = {alert for text in record["answered"] for alert in _lines(text)}
        noted = [alert for text in (record["check"], *record["alerts"]) for alert in _lines(text)]
        still = dict.fromkeys(alert.partition(": ")[0] for alert in noted if alert not in answered)
        record["alerts"] = [kind.replace("_", " ") for kind in still]
        if still and record["state"] == "requested":
            record["waits"] = " and ".join(filter(None, ["alerts to be answered for", record["waits"]]))
        rows.append(tuple(value for name, value in record.items() if name not in ("check", "answered")))
    columns = tuple(
        Column("alerts", "Open alerts") if column.name == "alerts" else column
        for column in found.columns if column.name not in ("check", "answered")
    )  # fmt: skip
    return replace(found, columns=columns, rows=rows)


def _lines(text: Any) -> list[str]:
    return str(text or "").splitlines()
