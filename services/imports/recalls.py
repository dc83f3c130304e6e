"""From recall notices to recalls: which items of the catalogue a notice is about, and which of their lots.

A notice is matched by GTIN alone; names are too unsure. What it says of a matched product becomes RecallLot commands;
a notice that matches nothing, or a part that could not be read, is listed for a person.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from services.imports import gtin
from services.imports.catalogue import Catalogue
from services.imports.notice import Found, RecallNotice
from services.imports.notices import read_notices
from services.imports.plan import ForAPerson, Planned, Read, Refused, command_id, shown

MAX_LOTS: Final = 500
"""Lots of one RecallLot command."""

_CLASSES: Final = {"class i": "I", "class ii": "II", "class iii": "III"}


def read_recalls(path: Path, catalogue: Catalogue) -> Iterator[Read]:
    """The recalls of a file of openFDA enforcement reports, matched with the catalogue."""
    for one in read_notices(path):
        if isinstance(one, Refused):
            yield one
        else:
            yield from match_notice(*one, catalogue)


def match_notice(line: int, notice: RecallNotice, catalogue: Catalogue) -> Iterator[Read]:
    """The commands that a notice asks for, and what is left of it to a person."""
    items: dict[str, list[Found[str]]] = {}
    for found in notice.gtins:
        item = catalogue.gtins.get(gtin.normal(found.value))
        if item is not None:
            items.setdefault(item, []).append(found)
    if not items:
        yield _unmatched(line, notice)
        return
    for item, numbers in items.items():
        yield from _recalls(line, notice, item, numbers)
    for left in notice.unread:
        yield ForAPerson(line, notice.id, left.reason, left.fragment)


def _unmatched(line: int, notice: RecallNotice) -> ForAPerson:
    if notice.gtins:
        count = len(notice.gtins)
        reason = (
            "its barcode is not in the catalogue" if count == 1 else f"none of its {count} barcodes is in the catalogue"
        )
    else:
        reason = "no barcode could be read, so it matches no item by itself"
    if notice.unread:
        parts = "part" if len(notice.unread) == 1 else "parts"
        reason += f"; {len(notice.unread)} {parts} of it could not be read"
    return ForAPerson(line, notice.id, reason, shown(": ".join(part for part in (notice.firm, notice.product) if part)))


def _recalls(line: int, notice: RecallNotice, item: str, numbers: list[Found[str]]) -> Iterator[Read]:
    """One command for all lots; or for the lots and the first range of dates, and one for each further part.

    Dates that stand beside lots in one clause describe those lots and widen nothing; dates in a clause of their own
    are recalled for themselves.
    """
    lots = list(dict.fromkeys(one.value for one in _about(notice.lots, numbers)))
    ranges = [
        {"first_date": one.value.first.isoformat(), "last_date": one.value.last.isoformat()}
        for one in _about(notice.date_ranges, numbers)
        if not one.value.lots
    ]
    parts: list[dict[str, Any]] = []
    if any(True for _ in _about(notice.all_lots, numbers)):
        parts = [{}]
    else:
        chunks = [lots[at : at + MAX_LOTS] for at in range(0, len(lots), MAX_LOTS)]
        for at in range(max(len(chunks), len(ranges))):
            scope: dict[str, Any] = {"lots": chunks[at]} if at < len(chunks) else {}
            parts.append(scope | (ranges[at] if at < len(ranges) else {}))
    if not parts:
        barcode = numbers[0].value
        yield ForAPerson(
            line,
            notice.id,
            f"item {item} has its barcode {barcode}, but which lots are meant could not be read",
            notice.product,
        )
    for number, scope in enumerate(parts, 1):
        recall = notice.id if number == 1 else f"{notice.id}-part-{number}"
        data = {
            "item": item,
            "recall": recall,
            "scope": scope,
            "reason": notice.reason or "recalled; the notice gives no reason",
            "classification": _CLASSES.get(notice.classification.lower(), "unclassified"),
            "notice": notice.id,
        }
        if notice.firm:
            data["issued_by"] = notice.firm
        yield Planned(line, "RecallLot", data, command_id("recall", item, recall), f"recall {recall} of {item}")


def _about(found: Iterable[Any], numbers: list[Found[str]]) -> Iterator[Any]:
    """What concerns the products that these barcodes belong to; without list numbers it concerns them all."""
    mine = {product for number in numbers for product in number.products}
    everything = any(not number.products for number in numbers)
    for one in found:
        if everything or not one.products or mine.intersection(one.products):
            yield one
