"""The sample files of the demo, moved to the days before it.

The files in `samples/` have the formats of real ones, written for BASE as first day of the demo's week: a catalogue
(items.csv, products.json), donors by opaque id (donors.csv), households in two layouts (households.csv, people.csv),
eleven days of deliveries before that day (receipts.csv), and four recall notices (recalls.json). Of the money there
are a chart of accounts (chart.csv), the entries up to that day (entries.csv), the bank's statement of the month that
ends with the week (statement.ofx, and the same as a German bank's statement.csv), and what a fiscal host on Open
Collective lists (opencollective.csv, with the accounts that it goes to in opencollective-accounts.csv). Of the clinic
there are two patients' records from another one, in FHIR R4 (patients.ndjson).

Every person, product, firm and number is invented: the barcodes lie in the ranges that GS1 keeps for use inside an
organisation (prefixes 04 and 20), so they name no product of anybody's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

BASE: Final = date(2026, 1, 15)
"""The day that the files as they stand take for the first of the demo's week."""

_FOLDER: Final = Path(__file__).parent / "samples"
_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_ISO = re.compile(r"\b(20\d\d)-(\d\d)-(\d\d)(?=\b|T)")
_REPORT = re.compile(r'"(20\d\d)(\d\d)(\d\d)"')
_NAMED = re.compile(rf"\b({'|'.join(_MONTHS)}) (\d\d) (20\d\d)\b")
_MONTH = re.compile(r"\b(\d\d)/(\d\d)\b")
_OFX = re.compile(r"(?<=>)(20\d\d)(\d\d)(\d\d)")
_GERMAN = re.compile(r"\b(\d\d)\.(\d\d)\.(20\d\d)\b")

LOCATIONS: Final[tuple[dict[str, Any], ...]] = (
    {"location": "store", "name": "Dry store", "kind": "store", "storage": "ambient", "self_approval": 5},
    {"location": "cold-room", "name": "Cold room", "kind": "store", "storage": "chilled", "minimum": 0, "maximum": 50},
    {"location": "freezer", "name": "Walk-in freezer", "kind": "store", "storage": "frozen", "maximum": -180},
    {"location": "clinic", "name": "Clinic cupboard", "kind": "clinic", "storage": "ambient", "maximum": 250},
    {"location": "hall", "name": "Community hall, Saturdays", "kind": "site", "storage": "ambient"},
    {"location": "quarantine", "name": "Quarantine shelf", "kind": "quarantine", "storage": "ambient"},
)
"""OpenLocation data of the places that the deliveries and the demo use; temperatures in tenths of a degree Celsius."""


@dataclass(frozen=True, slots=True)
class Samples:
    """Where the files were written."""

    items: Path
    products: Path
    donors: Path
    households: Path
    people: Path
    receipts: Path
    recalls: Path
    chart: Path
    entries: Path
    statement_ofx: Path
    statement_csv: Path
    opencollective: Path
    opencollective_accounts: Path
    patients: Path


def write(folder: Path, today: date) -> Samples:
    """Writes the sample files into a folder, all their dates moved so that `today` is the first day of the demo's week.

    The same day gives the same files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for source in sorted(_FOLDER.iterdir()):
        text = source.read_text(encoding="utf-8")
        (folder / source.name).write_text(_moved(text, today - BASE), encoding="utf-8", newline="")
    return Samples(
        items=folder / "items.csv",
        products=folder / "products.json",
        donors=folder / "donors.csv",
        households=folder / "households.csv",
        people=folder / "people.csv",
        receipts=folder / "receipts.csv",
        recalls=folder / "recalls.json",
        chart=folder / "chart.csv",
        entries=folder / "entries.csv",
        statement_ofx=folder / "statement.ofx",
        statement_csv=folder / "statement.csv",
        opencollective=folder / "opencollective.csv",
        opencollective_accounts=folder / "opencollective-accounts.csv",
        patients=folder / "patients.ndjson",
    )


def _moved(text: str, by: timedelta) -> str:
    """The text with every date in it moved: 2026-01-15, "20260115", >20260115, 15.01.2026, JAN 15 2026, 01/26."""

    def iso(found: re.Match[str]) -> str:
        return (date(int(found[1]), int(found[2]), int(found[3])) + by).isoformat()

    def report(found: re.Match[str]) -> str:
        return f'"{date(int(found[1]), int(found[2]), int(found[3])) + by:%Y%m%d}"'

    def named(found: re.Match[str]) -> str:
        day = date(int(found[3]), _MONTHS.index(found[1]) + 1, int(found[2])) + by
        return f"{_MONTHS[day.month - 1]} {day:%d %Y}"

    def month(found: re.Match[str]) -> str:
        return f"{date(2000 + int(found[2]), int(found[1]), 15) + by:%m/%y}"

    def ofx(found: re.Match[str]) -> str:
        return f"{date(int(found[1]), int(found[2]), int(found[3])) + by:%Y%m%d}"

    def german(found: re.Match[str]) -> str:
        return f"{date(int(found[3]), int(found[2]), int(found[1])) + by:%d.%m.%Y}"

    forms = ((_ISO, iso), (_REPORT, report), (_OFX, ofx), (_GERMAN, german), (_NAMED, named), (_MONTH, month))
    for form, move in forms:
        text = form.sub(move, text)
    return text
