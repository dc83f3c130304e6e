"""Recall notices from the files of openFDA: enforcement reports as its API answers them, and as published in bulk.

The API's form is one object with `results`, its keys written with underscores; the bulk form is one report a line, its
keys with hyphens, where one report may hold several numbered products and recall numbers.
https://open.fda.gov/apis/food/enforcement/searchable-fields/
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

from services.imports import dates, gtin
from services.imports.documents import documents
from services.imports.notice import Found, RecallNotice, Unread
from services.imports.notice_text import MAX_TEXT, read_codes
from services.imports.notice_words import MARKER, pattern
from services.imports.plan import Refused, shown
from shared.errors import Invalid
from shared.types import is_id

T = TypeVar("T")

_NUMBER = pattern(r"\b[A-Z]-\d{3,5}-(?:\d{4}|\d{2})(?!\d)")
_BARCODE = pattern(r"\b(?:upc|gtin|ean|bar[\s-]?code)s?\b(?:\s{0,3}(?:codes?|numbers?|nos?\b\.?|#s?)){0,2}[\s:#.]{0,4}")
_NEXT = pattern(r"\s{0,2}(?:,|and|&|/|or)\s{0,2}(?:upc\s{0,2}#?:?\s{0,2})?")
_DRUG_CODE = pattern(r"\bndc[\s:#.]{0,4}\d{4,5}-\d{3,4}(?:-\d{1,2})?")
_NAMED_LOT = pattern(
    r"\b(?:lots?|batch(?:es)?)(?:\s{0,2}(?:codes?|numbers?|nos?\b\.?|#)){0,2}[\s:#]{1,4}(?P<lot>[a-z0-9-]{0,40}\d[a-z0-9-]{0,40})"
)
_FIELDS = ("product_description", "code_info", "recall_number")


def read_notices(path: Path) -> Iterator[tuple[int, RecallNotice] | Refused]:
    """The recall notices of a file, each with its line (in one document: its place in `results`).

    Raises Invalid when the file as a whole is not of a form that is read.
    """
    for document in documents(path):
        if isinstance(document, Refused):
            yield document
            continue
        value = document.value
        if isinstance(value, dict) and "results" in value:
            value = value["results"]
        elif isinstance(value, dict) and isinstance(value.get("error"), dict):
            said = shown(str(value["error"].get("message", "")))
            raise Invalid(f"{path.name} holds an error of openFDA instead of reports: {said}", file=path.name)
        if not isinstance(value, list):
            yield _one(document.line, value)
            continue
        for place, report in enumerate(value, 1):
            yield _one(place, report)


def _one(line: int, value: Any) -> tuple[int, RecallNotice] | Refused:
    if not isinstance(value, dict):
        return Refused(line, "is not an enforcement report: a JSON object is expected", shown(str(value), 60))
    report = {key.replace("-", "_"): _text(cell) for key, cell in value.items()}
    if not any(report.get(name) for name in _FIELDS):
        return Refused(line, f"is not an enforcement report: it has none of {', '.join(_FIELDS)}")
    return line, read_notice(report)


def _text(value: Any) -> str:
    """The text of a field; a list is joined, and what is no text counts as absent."""
    if isinstance(value, list):
        return ", ".join(part for part in value if isinstance(part, str))
    return value if isinstance(value, str) else ""


def read_notice(report: dict[str, str]) -> RecallNotice:
    """One enforcement report, its keys with underscores. Never raises, whatever the texts say."""
    description = report.get("product_description", "")
    too_long = []
    if len(description) > MAX_TEXT:
        too_long = [Unread(shown(description), f"the description is longer than {MAX_TEXT:,} characters")]
        description = shown(description)
    info = "; ".join(part for name in ("code_info", "more_code_info") if (part := report.get(name, "").strip()))
    numbers = _product_numbers(description)
    codes = read_codes(info, dates.order_of(info), frozenset(numbers))
    unread = codes.unread if info else [Unread("", "the notice says nothing about codes or dates")]
    found, left = _barcodes(description, numbers)
    left += too_long
    named = {one.value.lower() for one in codes.lots}
    lots = dict.fromkeys(hit["lot"] for hit in _NAMED_LOT.finditer(description) if hit["lot"].lower() not in named)
    if lots:
        left.append(Unread(shown(", ".join(lots)), "lots that the description names and the codes do not"))
    return RecallNotice(
        id=_id(report, description),
        firm=shown(report.get("recalling_firm", "")),
        product=shown(description),
        reason=shown(report.get("reason_for_recall", "")),
        classification=report.get("classification", "").strip(),
        product_type=report.get("product_type", "").strip(),
        published=_published(report.get("report_date", "")),
        gtins=_once([*found, *codes.gtins]),
        lots=_once(codes.lots),
        date_ranges=_once(codes.dates),
        all_lots=tuple(codes.all_lots),
        unread=tuple(dict.fromkeys([*unread, *left])),
    )


def _once(found: list[Found[T]]) -> tuple[Found[T], ...]:
    """The first of each value and products; a notice often names a lot twice."""
    return tuple({(one.value, one.products): one for one in reversed(found)}.values())[::-1]


def _id(report: dict[str, str], description: str) -> str:
    """The recall's number; of several in one report, the first and the last; without any, a digest of the report."""
    number = report.get("recall_number", "").strip()
    if is_id(number):
        return number
    numbers = list(dict.fromkeys(hit.group().upper() for hit in _NUMBER.finditer(description)))
    if numbers:
        return numbers[0] if len(numbers) == 1 else f"{numbers[0]}-to-{numbers[-1]}"
    content = json.dumps(report, sort_keys=True).encode()
    return "notice-" + hashlib.sha256(content).hexdigest()[:16]


def _published(text: str) -> date | None:
    """A report's own date: the API writes 20120613, the bulk form 06/13/2012; both are fixed by their publisher."""
    text = text.strip()
    if re.fullmatch(r"\d{8}", text, re.ASCII):
        text = f"{text[4:6]}/{text[6:]}/{text[:4]}"
    reading = dates.at(text, 0, dates.Order.MONTH_FIRST)
    return reading.day if reading and reading.end == len(text) else None


# -- the description: which products, which barcodes ------------------------------------------------------------------


def _product_numbers(description: str) -> dict[str, int]:
    """Where each product's list number stands: 1), 2), 3) … or a), b) …; nothing when they do not run in order."""
    places: dict[str, int] = {}
    for hit in MARKER.finditer(description):
        number = hit[1].lower()
        expected = str(len(places) + 1) if number.isdigit() else chr(ord("a") + len(places))
        if number != expected:
            return {}
        places[number] = hit.start()
    return places


def _barcodes(description: str, numbers: dict[str, int]) -> tuple[list[Found[str]], list[Unread]]:
    """The GTINs of a description, each with the product it belongs to, and what stands in the place of one."""
    found: dict[int, Found[str]] = {}
    left: list[Unread] = []

    def take(start: int, end: int, number: str) -> None:
        before = [product for product, place in numbers.items() if place <= start]
        found[start] = Found(number, shown(description[max(0, start - 30) : end]), tuple(before[-1:]))

    for label in _BARCODE.finditer(description):
        place = label.end()
        while reading := gtin.at(description, place):
            if reading.gtin is not None:
                take(place, reading.end, reading.gtin)
            elif place == label.end() or sum(map(str.isdigit, reading.text)) >= 8:
                left.append(Unread(shown(description[label.start() : reading.end]), reading.reason))
            following = _NEXT.match(description, reading.end)
            if following is None:
                break
            place = following.end()
    for place, number in gtin.printed(description):
        if place not in found:
            take(place, place + 15, number)
    left += [
        Unread(shown(hit.group()), "a national drug code; compare it with the package")
        for hit in _DRUG_CODE.finditer(description)
    ]
    return [found[place] for place in sorted(found)], left
