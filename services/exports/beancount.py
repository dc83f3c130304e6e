"""A book in beancount's syntax, version 3: https://beancount.github.io/docs/beancount_language_syntax.html

Accounts have the names of account_names.py. The fund of a posting is metadata (`fund`), and each entry says its own id
and what recorded it. Amounts are exact; no price and no cost is used.
"""

from __future__ import annotations

from collections.abc import Mapping

from services.exports.book import Book, Booked
from services.treasury.units import as_decimal


def head(book: Book) -> str:
    """Options, commodities and accounts. All are opened on the book's first day: entries may be dated back to it."""
    lines = [f'option "title" {quoted(book.name)}', f'option "operating_currency" "{book.unit}"', ""]
    for unit in sorted(book.decimals):
        lines += [f"{book.starts} commodity {unit}", f"  decimals: {book.decimals[unit]}"]
    lines.append("")
    for id_, account in book.accounts.items():
        lines += [f"{book.starts} open {book.names[id_]}", f'  id: "{id_}"', f"  name: {quoted(account.name)}"]
        if account.function is not None:
            lines.append(f'  function: "{account.function}"')
    lines.append("")
    for id_, fund in book.funds.items():
        lines += [f'{book.starts} custom "fund" "{id_}" {quoted(fund.name)} "{fund.restriction}"']
    return "\n".join(lines) + "\n"


def entry(book: Book, booked: Booked, parties: Mapping[str, str]) -> str:
    """One entry; `parties` are names that may be shown, by id."""
    said = quoted(booked.description or booked.kind)
    payee = f"{quoted(parties[booked.party])} " if booked.party in parties else ""
    lines = ["", f"{booked.date} * {payee}{said}", f'  entry: "{booked.entry}"', f"  kind: {quoted(booked.kind)}"]
    if booked.at is not None:
        lines += [f'  recorded: "{booked.at.isoformat()}"', f"  sequence: {booked.sequence}"]
    if booked.actor:
        lines.append(f"  recorded_by: {quoted(booked.actor)}")
    for name in ("party", "reference", "reverses"):
        if value := getattr(booked, name):
            lines.append(f"  {name}: {quoted(value)}")
    for change in booked.changes:
        amount = as_decimal(change.amount, book.decimals[change.unit])
        lines += [f"  {book.names[change.account]}  {amount} {change.unit}", f'    fund: "{change.fund}"']
    return "\n".join(lines) + "\n"


def quoted(text: str) -> str:
    """A text as a string of beancount's, on one line."""
    flat = " ".join(text.split()).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{flat}"'
