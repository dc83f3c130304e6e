"""Books for the tests of exports, and what beancount and hledger make of them when they are run as commands."""

from __future__ import annotations

import csv
import io
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from types import ModuleType

from services.exports.book import Book, Booked, Change
from services.treasury.contract import AccountKind, AccountOpened, Function, FundOpened, Restriction

NOW = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
HLEDGER = shutil.which("hledger")
Balances = dict[tuple[str, str], Decimal]
"""By the tool's account name and the unit; zero is left out."""


def book(
    accounts: Mapping[str, AccountKind], decimals: Mapping[str, int], *, name: str = "House", **names: str
) -> Book:
    """A book with these accounts and units, and two funds; `names` are the names of accounts."""
    made = Book("house", name, next(iter(decimals)), date(2026, 1, 1), dict(decimals))
    for id_, kind in accounts.items():
        function = Function.PROGRAM if kind is AccountKind.EXPENSE else None
        made.accounts[id_] = AccountOpened(
            book="house", account=id_, name=names.get(id_, id_), kind=kind, function=function, occurred_at=NOW
        )
        made.names.add(id_, kind)
    for fund, restriction in (("general", Restriction.NONE), ("youth", Restriction.PURPOSE)):
        made.funds[fund] = FundOpened(
            book="house",
            fund=fund,
            name=names.get(fund, fund),
            restriction=restriction,
            net_assets="net",
            occurred_at=NOW,
        )
    return made


def booked(entry: str, *changes: tuple[str, str, str, int], day: date = date(2026, 2, 3), **said: str) -> Booked:
    return Booked(entry, day, "Entry posted", NOW, 7, tuple(Change(*change) for change in changes), **said)


def written(writer: ModuleType, made: Book, entries: Iterable[Booked], parties: Mapping[str, str] | None = None) -> str:
    return str(writer.head(made)) + "".join(writer.entry(made, one, parties or {}) for one in entries)


def sums(made: Book, entries: Iterable[Booked], fund: str | None = None) -> Balances:
    """What the balances must be, reckoned from the entries themselves."""
    found: Balances = defaultdict(Decimal)
    for one in entries:
        for change in one.changes:
            if fund in (None, change.fund):
                exact = Decimal(change.amount).scaleb(-made.decimals[change.unit])
                found[made.names[change.account], change.unit] += exact
    return {key: amount for key, amount in found.items() if amount}


def _run(*command: str) -> str:
    environment = os.environ | {"LC_ALL": "C.UTF-8", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=60)
    assert done.returncode == 0, f"{command[0]}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def beancount_checks(path: Path) -> None:
    """`bean-check` finds nothing to complain about."""
    bin_ = Path(sys.executable).parent
    _run(str(bin_ / "bean-check"), str(path))


def beancount_balances(path: Path, where: str = "TRUE") -> Balances:
    bin_ = Path(sys.executable).parent
    query = f"SELECT account, currency, sum(number) AS total WHERE {where} GROUP BY account, currency"
    rows = csv.DictReader(io.StringIO(_run(str(bin_ / "bean-query"), "-f", "csv", "-m", str(path), query)))
    found = {(row["account"].strip(), row["currency"].strip()): Decimal(row["total"].strip()) for row in rows}
    return {key: amount for key, amount in found.items() if amount}


def hledger_checks(path: Path) -> None:
    """`hledger check --strict` finds nothing to complain about: balanced, every account and commodity declared."""
    assert HLEDGER is not None
    _run(HLEDGER, "-f", str(path), "check", "--strict")


def hledger_balances(path: Path, *query: str) -> Balances:
    assert HLEDGER is not None
    output = _run(HLEDGER, "-f", str(path), "balance", "-N", "--flat", "--layout=bare", "-O", "csv", *query)
    rows = csv.DictReader(io.StringIO(output))
    found = {(row["account"], row["commodity"]): Decimal(row["balance"]) for row in rows}
    return {key: amount for key, amount in found.items() if amount}
