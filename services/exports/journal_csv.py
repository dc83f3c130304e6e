"""A book as CSV, one row a posting: for spreadsheets, and for `commons import entries` of another ledger."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Final

from services.exports.book import Book, Booked
from services.treasury.units import as_decimal

COLUMNS: Final = (
    "entry", "date", "account", "account_name", "kind", "fund", "unit", "debit", "credit", "description", "party",
    "party_name", "reference", "reverses", "recorded_by", "recorded_at",
    "recorded_as",
)  # fmt: skip


def head(_book: Book) -> str:
    return ",".join(COLUMNS) + "\n"


def entry(book: Book, booked: Booked, parties: Mapping[str, str]) -> str:
    """The rows of one entry; amounts are decimals with a point, in one of two columns."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for change in booked.changes:
        account = book.accounts[change.account]
        amount = as_decimal(abs(change.amount), book.decimals[change.unit])
        writer.writerow((
            booked.entry, booked.date, change.account, safe(account.name), account.kind, change.fund, change.unit,
            amount if change.amount > 0 else "", amount if change.amount < 0 else "", safe(booked.description),
            booked.party, safe(parties.get(booked.party, "")), safe(booked.reference), booked.reverses,
            safe(booked.actor), booked.at.isoformat() if booked.at else "", booked.kind,
        ))  # fmt: skip
    return out.getvalue()


def safe(text: str) -> str:
    """A text that no spreadsheet takes for a formula: an apostrophe in front makes it one that is shown as it is."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text
