"""A week of the common fund on a real ledger: dues, a restricted grant, an expense, the bank, and the books handed on.

Everything that is shown is done by `commons` itself, beside the pantry's week and on the same ledger.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

from services.demo import samples
from services.demo.stage import DemoFailed, Stage

BOOK: Final = "kitchen"

MEMBERS: Final = (
    ("m-003", "Ines Halloran"), ("m-007", "Joon-ho Adeyemi"), ("m-009", "Marta Quill"), ("m-011", "Piotr Sandoval"),
    ("m-017", "Ruth Ekström"), ("m-019", "Yusuf Delacroix"), ("m-024", "Sabine Otieno"),
)  # fmt: skip
"""Who is asked for dues this month: an opaque id, and a name that is sealed."""

_DUES: Final = "12.00"
_PAID: Final = (("m-003", 0), ("m-007", 0), ("m-009", 0), ("m-011", 1), ("m-017", 1), ("m-019", 4))
"""Who paid, so many days after the week began."""


def show(stage: Stage, folder: Path, today: date) -> None:
    """Play the fund's week, which ends today. Raises DemoFailed when it goes wrong."""
    week = today - timedelta(days=6)
    files = samples.write(folder, week)
    accounts(stage, files, week)
    dues(stage, week)
    grant(stage, week)
    expense(stage, week)
    bank(stage, files, week)
    closing(stage, folder, week)


def accounts(stage: Stage, files: samples.Samples, week: date) -> None:
    """The chart of accounts and what was posted until now come in from files."""
    stage.heading("The common fund: what there is")
    stage.commons("import", "accounts", str(files.chart), "--book", BOOK, "--open", "Weaver Street Kitchen",
                  "--unit", "EUR", "--starts", str(week - timedelta(days=25)))  # fmt: skip
    stage.commons("import", "entries", str(files.entries), "--book", BOOK)
    stage.level()
    stage.commons("show", "trial-balance")


def dues(stage: Stage, week: date) -> None:
    """Members are asked for dues; most pay, and one is released from them."""
    stage.heading("The common fund: dues come in")
    for party, name in MEMBERS:
        _send(stage, "RegisterParty", f"party={party}", f"name={name}", quietly=True)
        _send(stage, "AssessDues", f"book={BOOK}", f"entry=dues-{party}", f"member={party}", f"period={week:%Y-%m}",
              f"amount={_DUES}", "unit=EUR", "receivable=dues-receivable", "income=dues",
              f"due_on={week + timedelta(days=14)}", f"date={week}", quietly=True)  # fmt: skip
    for party, later in _PAID:
        _send(stage, "ReceiveDues", f"book={BOOK}", f"entry=paid-{party}", f"dues=dues-{party}", f"amount={_DUES}",
              "into=bank", f"date={week + timedelta(days=later)}", quietly=party != "m-003")  # fmt: skip
    stage.say("\nNames are sealed under a key for each person; the screen opens them, a backup of the ledger does not.")
    _send(stage, "WaiveDues", f"book={BOOK}", "entry=waived-m-024", "dues=dues-m-024", "reason=between two jobs")
    stage.level()
    stage.commons("show", "dues", "--all")


def grant(stage: Stage, week: date) -> None:
    """A grant arrives that is for one purpose, and another gift without a name."""
    stage.heading("The common fund: a grant for the youth kitchen")
    _send(stage, "RegisterParty", "party=foundation", "name=Riverside Community Foundation", "kind=organisation",
          quietly=True)  # fmt: skip
    _send(stage, "RecordDonation", f"book={BOOK}", "entry=grant-114", "donor=foundation", "amount=5000.00", "unit=EUR",
          "fund=youth-kitchen", "into=bank", "income=grants", "reference=GR-2026-114",
          f"date={week + timedelta(days=1)}")  # fmt: skip
    _send(stage, "RecordDonation", f"book={BOOK}", "entry=gift-anonymous", "amount=25.00", "unit=EUR", "into=bank",
          "income=donations", f"date={week + timedelta(days=6)}", quietly=True)  # fmt: skip
    stage.level()
    stage.commons("show", "funds")


def expense(stage: Stage, week: date) -> None:
    """Two people approve what a third asked for and a fourth pays; the wrong fund does not pay."""
    stage.heading("The common fund: stock pots, and who decides")
    _send(stage, "SetApprovalRule", f"book={BOOK}", "rule=from-200", "unit=EUR", "from_amount=200.00", "approvals=2",
          actor="chen")  # fmt: skip
    _send(stage, "RegisterParty", "party=supplier-04", "name=Kettle & Pan Catering Supply", "kind=organisation",
          quietly=True)  # fmt: skip
    asked = (
        f"book={BOOK}", "payee=supplier-04", "unit=EUR", "pay_from=bank", "description=Two stock pots, invoice 8812"
    )  # fmt: skip
    line = '[{{"account":"kitchen","amount":348.60,"fund":"{}"}}]'
    _send(stage, "SubmitExpense", "expense=exp-1", *asked, f"lines={line.format('clinic')}", refused=True)
    stage.say("\nThe clinic's money is for medicine. From the fund that is meant for it:")
    _send(stage, "SubmitExpense", "expense=exp-1", *asked, f"lines={line.format('youth-kitchen')}")
    approve = ("expense=exp-1", f"book={BOOK}", "version=1")
    _send(stage, "ApproveExpense", *approve, actor="amina", refused=True)
    _send(stage, "ApproveExpense", *approve, actor="bruno")
    _send(stage, "ApproveExpense", *approve, actor="chen")
    stage.say("\nIt is approved, and the money is held for it by itself.")
    stage.wait_for("SELECT 1 FROM read.money_holds WHERE expense = 'exp-1'")
    stage.commons("show", "holds", "--of", "money")
    pay = (f"book={BOOK}", "expense=exp-1", "version=1", "entry=pots", "reference=EXP-1",
           f"date={week + timedelta(days=4)}")  # fmt: skip
    _send(stage, "PayExpense", *pay, actor="chen", refused=True)
    _send(stage, "PayExpense", *pay, actor="dora")
    stage.level()
    stage.commons("show", "expenses", "--all")


def bank(stage: Stage, files: samples.Samples, week: date) -> None:
    """What the bank says is matched with the books, line by line."""
    stage.heading("The common fund: what the bank says")
    stage.say("Two small things have happened at the bank, and are posted as facts:")
    _send(stage, "PostEntry", f"book={BOOK}", "entry=fee-grant", *_sides("bank-fees", "bank", "9.90"),
          "description=Charge for the incoming grant", "fact=true", f"date={week + timedelta(days=5)}")  # fmt: skip
    _send(stage, "PostEntry", f"book={BOOK}", "entry=post", *_sides("office", "bank", "31.75"),
          "description=Parcel and stamps", "fact=true", f"date={week + timedelta(days=6)}", quietly=True)  # fmt: skip
    stage.commons("import", "statement", str(files.statement_ofx), "--book", BOOK, "--account", "bank")
    stage.commons("import", "statement", str(files.statement_ofx), "--book", BOOK, "--account", "bank")
    stage.say("\nThe same statement again changes nothing. Line by line it is matched with the books:")
    for number, (bank_line, entry) in enumerate(_pairs(stage)):
        _send(stage, "MatchLine", f"book={BOOK}", "account=bank", f"line={bank_line}", f'entries=["{entry}"]',
              quietly=number > 0)  # fmt: skip
    stage.level()
    stage.commons("show", "unreconciled")


def _pairs(stage: Stage) -> Iterable[tuple[str, str]]:
    """Each line of the bank's with the entry of its amount that is nearest in days."""
    entries = [dict(row) for row in stage.rows(_ON_THE_BANK)]
    for line in stage.rows(_BANK_LINES):
        fitting = [entry for entry in entries if entry["amount"] == line["amount"]]
        if not fitting:
            raise DemoFailed(f"No entry of the book is what the bank's line {line['line']} says.")
        nearest = min(fitting, key=lambda entry: abs(entry["date"] - line["date"]))
        entries.remove(nearest)
        yield line["line"], nearest["entry"]


def closing(stage: Stage, folder: Path, week: date) -> None:
    """The period closes, and the books leave in the tools of the trade."""
    stage.heading("The common fund: closed, reported, handed on")
    through = week - timedelta(days=1)
    _send(stage, "ClosePeriod", f"book={BOOK}", f"through={through}", "note=agreed with the statement of the bank",
          actor="dora")  # fmt: skip
    _send(stage, "PostEntry", f"book={BOOK}", "entry=late", f"date={through}", *_sides("food", "cash", "10.00"),
          refused=True)  # fmt: skip
    stage.commons("show", "activities")
    stage.commons("show", "functional")
    for tool, suffix in (("beancount", "beancount"), ("hledger", "journal")):
        stage.commons("export", tool, "--book", BOOK, "--output", str(folder / f"{BOOK}.{suffix}"))
    _check(stage, "bean-check", [str(folder / f"{BOOK}.beancount")])
    _check(stage, "hledger", ["-f", str(folder / f"{BOOK}.journal"), "check", "--strict"])


def _check(stage: Stage, tool: str, arguments: list[str]) -> None:
    """Let another program of the trade check the books, if it is installed here."""
    found = shutil.which(tool, path=str(Path(sys.executable).parent)) or shutil.which(tool)
    if found is None:
        stage.say(f"  {tool} is not installed here; it would check the file that was written.")
        return
    done = subprocess.run([found, *arguments], capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise DemoFailed(f"{tool} does not accept the books: {(done.stdout + done.stderr).strip()[:500]}")
    stage.say(f"  {tool} read the books and accepts them.")


def _sides(debit: str, credit: str, amount: str) -> tuple[str, str]:
    """The two sides of an entry of one amount, as fields of a command."""
    form = '{}=[{{"account":"{}","amount":{},"unit":"EUR"}}]'
    return form.format("debits", debit, amount), form.format("credits", credit, amount)


def _send(stage: Stage, command: str, *fields: str, **how: Any) -> None:
    stage.send(command, *fields, service="treasury", **how)


_BANK_LINES: Final = (
    "SELECT line, date, amount FROM read.bank_lines WHERE book = 'kitchen' AND account = 'bank' ORDER BY date, line"
)
_ON_THE_BANK: Final = (
    "SELECT entry, min(date) AS date, sum(amount)::bigint AS amount FROM read.postings"
    " WHERE book = 'kitchen' AND account = 'bank' GROUP BY entry ORDER BY entry"
)
