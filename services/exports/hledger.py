"""A book as an hledger journal: https://hledger.org/1.25/hledger.html#journal-format

Accounts have the names of account_names.py, declared with their types. The fund of a posting is a tag (`fund:`), so
`hledger balance tag:fund=youth` shows a fund alone. The entry's id stands as the transaction's code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from services.exports.book import Book, Booked
from services.treasury.contract import AccountKind
from services.treasury.units import as_decimal

_TYPES: Final = {
    AccountKind.ASSET: "A", AccountKind.LIABILITY: "L", AccountKind.NET_ASSETS: "E", AccountKind.INCOME: "R",
    AccountKind.EXPENSE: "X",
}  # fmt: skip


def head(book: Book) -> str:
    """The notation, units and accounts, all declared, so that `hledger check --strict` holds."""
    lines = [f"; {plain(book.name)}", "", "decimal-mark .", ""]
    for unit in sorted(book.decimals):
        decimals = book.decimals[unit]
        lines.append(f"commodity {as_decimal(1000 * 10**decimals, decimals)}{'' if decimals else '.'} {symbol(unit)}")
    lines.append("")
    for id_, account in book.accounts.items():
        lines.append(f"account {book.names[id_]}  ; type:{_TYPES[account.kind]}, id:{id_}, name:{tag(account.name)}")
    lines.append("")
    lines += [f"; fund {id_}: {plain(fund.name)} ({fund.restriction})" for id_, fund in book.funds.items()]
    return "\n".join(lines) + "\n"


def entry(book: Book, booked: Booked, parties: Mapping[str, str]) -> str:
    """One entry; `parties` are names that may be shown, by id."""
    description = plain(booked.description or booked.kind)
    payee = f"{plain(parties[booked.party]).replace('|', '/')} | " if booked.party in parties else ""
    lines = ["", f"{booked.date} * ({booked.entry}) {payee}{description}", f"    ; kind:{tag(booked.kind)}"]
    if booked.at is not None:
        lines.append(f"    ; recorded:{booked.at.isoformat()}, sequence:{booked.sequence}")
    if booked.actor:
        lines.append(f"    ; recorded_by:{tag(booked.actor)}")
    said = {name: getattr(booked, name) for name in ("party", "reference", "reverses")}
    lines += [f"    ; {name}:{tag(value)}" for name, value in said.items() if value]
    for change in booked.changes:
        amount = as_decimal(change.amount, book.decimals[change.unit])
        lines.append(f"    {book.names[change.account]}  {amount} {symbol(change.unit)}  ; fund:{change.fund}")
    return "\n".join(lines) + "\n"


def plain(text: str) -> str:
    """A text on one line; a semicolon, which would begin a comment, becomes a comma, for hledger knows no escapes."""
    return " ".join(text.split()).replace(";", ",")


def tag(text: str) -> str:
    """A text as the value of a tag, which a comma would end."""
    return plain(text).replace(",", " ")


def symbol(unit: str) -> str:
    """A unit as hledger writes it: one with digits stands in quotation marks."""
    return unit if unit.isalpha() else f'"{unit}"'
