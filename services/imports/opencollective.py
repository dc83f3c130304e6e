"""Transactions of a fiscal host on Open Collective, from the CSV that its dashboard and its REST service give out.

Each row is one movement of the balance that the host keeps for the organisation: it becomes an entry between that
account and the one that `accounts` has for the row's kind. Fees that stand in columns of the row are posted with it.
https://github.com/opencollective/opencollective-rest/blob/main/docs/transactions.md

Descriptions on Open Collective name people, so none is taken over. Who gave or was paid becomes a party, the name
sealed. The party's id is made of the handle, which is public there; whoever knows a handle can find the party's id.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid5

from services.imports.amounts import minor_units
from services.imports.books import Units
from services.imports.cells import Unreadable, day
from services.imports.entries import EntryRead, PlannedEntry
from services.imports.plan import NAMESPACE, Planned, Refused, command_id, shown
from services.imports.source import Columns, Row, header, rows
from services.treasury.contract import DEFAULT_FUND, PartyKind
from shared.errors import Invalid
from shared.types import is_id

_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "datetime": ("datetime", "date_&_time"), "effective": ("effectivedate", "effective_date_&_time"),
    "date": ("date",), "id": ("shortid", "short_transaction_id"), "whole_id": ("id", "transaction_graphql_id"),
    "type": ("type", "credit/debit"), "kind": ("kind",), "amount": ("amount", "gross_amount"),
    "processor": ("paymentprocessorfee", "payment_processor_fee"), "host": ("hostfee", "host_fee"),
    "platform": ("platformfee", "platform_fee"), "tax": ("taxamount", "tax_amount"),
    "net": ("netamount", "amount_single_column"), "currency": ("currency",),
    "handle": ("oppositeaccountslug", "opposite_account_handle"),
    "name": ("oppositeaccountname", "opposite_account_name"),
    "party_type": ("oppositeaccounttype", "opposite_account_type"),
    "expense_type": ("expensetype", "expense_type"), "tags": ("expensetags", "expense_tags"),
    "category": ("accountingcategorycode", "accounting_category_code"),
}  # fmt: skip
"""What a row says, and the columns that it stands in: the REST service's names, and those of its dashboard."""

_FEES: Final = {"processor": "PAYMENT_PROCESSOR_FEE", "host": "HOST_FEE", "platform": "PLATFORM_FEE", "tax": "TAX"}

BALANCE: Final = "BALANCE"
"""The line of the map for the balance that the host keeps."""

DEFAULTS: Final[Mapping[str, str]] = {
    BALANCE: "open-collective", "CONTRIBUTION": "donations", "ADDED_FUNDS": "donations", "EXPENSE": "other-expenses",
    "HOST_FEE": "host-fees", "PAYMENT_PROCESSOR_FEE": "payment-fees", "PLATFORM_FEE": "payment-fees",
    "PLATFORM_TIP": "payment-fees", "PAYMENT_PROCESSOR_COVER": "payment-fees",
    "PAYMENT_PROCESSOR_DISPUTE_FEE": "payment-fees",
}  # fmt: skip
"""The accounts of the sample chart that kinds of transactions go to when no map says otherwise."""

MAP: Final = Columns(required=("kind", "account"), optional=("match", "fund"))


@dataclass(frozen=True, slots=True)
class Rule:
    """Where transactions of a kind go: those with `match` as a tag, expense type or accounting category, or all."""

    account: str
    fund: str = DEFAULT_FUND


class AccountsMap:
    """The rules by kind and match; the more particular one counts."""

    def __init__(self) -> None:
        self._rules: dict[tuple[str, str], Rule] = {(kind, ""): Rule(account) for kind, account in DEFAULTS.items()}

    @classmethod
    def read(cls, path: Path) -> AccountsMap:
        """The defaults, and over them a CSV with kind, match, account and fund. Raises Invalid for what is none."""
        made = cls()
        for row in rows(path, MAP):
            if isinstance(row, Refused):
                raise Invalid(f"{path.name}, line {row.line}: {row.reason}.", file=path.name, line=row.line)
            cells = row.cells
            rule = Rule(cells["account"], cells.get("fund") or DEFAULT_FUND)
            if not (is_id(rule.account) and is_id(rule.fund) and cells["kind"]):
                raise Invalid(
                    f"{path.name}, line {row.line}: kind, account and fund must be given as ids.", file=path.name
                )
            made._rules[_constant(cells["kind"]), cells.get("match", "").lower()] = rule
        return made

    def find(self, kind: str, matches: tuple[str, ...] = ()) -> Rule | None:
        found = (self._rules.get((kind, match.lower())) for match in (*matches, ""))
        return next((rule for rule in found if rule is not None), None)


def is_opencollective(path: Path) -> bool:
    """Whether a CSV file has the columns of such an export."""
    names = header(path)
    return {"kind", "currency"} <= names and bool(names & set(_NAMES["id"])) and bool(names & set(_NAMES["net"]))


def read_opencollective(path: Path, units: Units, accounts: AccountsMap) -> Iterator[EntryRead]:
    """Parties and entries of a file. Raises Invalid when the file as a whole is not of the form that is read."""
    names = header(path)
    where = {said: next((name for name in usual if name in names), "") for said, usual in _NAMES.items()}
    required = tuple(where[said] or _NAMES[said][0] for said in ("type", "kind", "net", "currency"))
    known = Columns(required, tuple(name for name in where.values() if name and name not in required), others=True)
    parties: set[str] = set()
    for row in rows(path, known):
        if isinstance(row, Refused):
            yield row
            continue
        cells = {said: row.cells.get(name, "") for said, name in where.items()}
        what = f"transaction {shown(cells['id'] or cells['whole_id'], 20)}"
        try:
            party = _party(row, cells)
            entry = _entry(row, cells, units, accounts, party.data["party"] if party else None, what)
        except Unreadable as error:
            yield Refused(row.line, str(error), what)
            continue
        if entry is None:
            continue  # nothing moved: a free ticket
        if party is not None and party.data["party"] not in parties:
            parties.add(party.data["party"])
            yield party
        yield entry


def _party(row: Row, cells: Mapping[str, str]) -> Planned | None:
    """Who is on the other side of a contribution or an expense; fees have nobody there that matters."""
    kind = _constant(cells["kind"])
    if kind not in ("CONTRIBUTION", "ADDED_FUNDS", "EXPENSE") or not cells["handle"]:
        return None
    person = _constant(cells["party_type"] or "INDIVIDUAL") in ("INDIVIDUAL", "USER")
    id_ = f"oc-{uuid5(NAMESPACE, 'opencollective:' + cells['handle'].lower())}"
    data = {
        "party": id_, "kind": str(PartyKind.PERSON if person else PartyKind.ORGANISATION),
        "name": shown(cells["name"] or cells["handle"], 200),
    }  # fmt: skip
    return Planned(row.line, "RegisterParty", data, command_id("party", id_), f"party {id_}")


def _entry(
    row: Row, cells: Mapping[str, str], units: Units, accounts: AccountsMap, party: str | None, what: str
) -> PlannedEntry | None:
    kind = _constant(cells["kind"])
    unit = cells["currency"].upper()
    decimals = units.decimals(unit)
    if decimals is None:
        raise Unreadable(f"is in {shown(unit, 10)}, which is not a unit of this book; RegisterUnit makes it one")
    net = minor_units(cells["net"], decimals, unit=unit, locale="en")
    fees = {
        name: minor_units(cells[column], decimals, unit=unit, locale="en")
        for column, name in _FEES.items()
        if cells[column]
    }
    gross = (
        minor_units(cells["amount"], decimals, unit=unit, locale="en") if cells["amount"] else net - sum(fees.values())
    )
    if gross + sum(fees.values()) != net:
        raise Unreadable(
            "does not add up: its amount and fees do not give its net amount; add the columns of fees "
            "(paymentProcessorFee, hostFee, taxAmount) to the export"
        )
    if (net > 0 and cells["type"].upper() != "CREDIT") or (net < 0 and cells["type"].upper() != "DEBIT"):
        raise Unreadable(f"is a {shown(cells['type'], 20)} of {cells['net']}; a credit is above zero, a debit below")
    matches = tuple(part.strip() for part in (cells["category"], *cells["tags"].split(","), cells["expense_type"]))
    counter = accounts.find(kind, tuple(match for match in matches if match))
    if counter is None:
        raise Unreadable(
            f"is of the kind {shown(kind, 40)}, for which there is no account; give one with --accounts-map"
        )
    moves = [(_rule(accounts, BALANCE).account, net), (counter.account, -gross)]
    moves += [(_rule(accounts, name).account, -amount) for name, amount in fees.items() if amount]
    sides: dict[str, list[dict[str, Any]]] = {"debits": [], "credits": []}
    for account, amount in moves:
        if amount:
            posting = {"account": account, "amount": abs(amount), "unit": unit, "fund": counter.fund}
            sides["debits" if amount > 0 else "credits"].append(posting)
    if not sides["debits"]:
        return None
    date = day((cells["effective"] or cells["datetime"] or cells["date"])[:10])
    data: dict[str, Any] = {"entry": _id(cells, date), "date": date, **sides, "description": _words(kind), "fact": True}
    if party is not None:
        data["party"] = party
    return PlannedEntry(row.line, data, what)


def _rule(accounts: AccountsMap, kind: str) -> Rule:
    found = accounts.find(kind)
    if found is None:
        raise Unreadable(f"has a part of the kind {kind}, for which there is no account; give one with --accounts-map")
    return found


def _id(cells: Mapping[str, str], date: str) -> str:
    """The entry's id: the first eight characters of the transaction's, and its day, for eight alone might recur."""
    short = (cells["id"] or cells["whole_id"])[:8]
    id_ = f"oc-{date}-{short}"
    if not short or not is_id(id_):
        raise Unreadable(f"has no id that can be used: '{shown(short, 20)}'")
    return id_


def _constant(text: str) -> str:
    """`Added funds` and `ADDED_FUNDS` alike."""
    return re.sub(r"[^A-Z0-9]+", "_", text.strip().upper())


def _words(kind: str) -> str:
    return f"{kind.replace('_', ' ').capitalize()} on Open Collective"
