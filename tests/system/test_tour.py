"""The README's tour works as it is written, line by line."""

from __future__ import annotations

import re
import shlex
from datetime import UTC, datetime
from pathlib import Path

from tests.system.conftest import ROOT, Ledger


def tour() -> list[list[str]]:
    """The `commons` commands of the README's tour, in order, as a shell would split them."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.split("## Ten minutes' tour")[1].split("\n## ")[0]
    block = "\n".join(line[4:] for line in section.splitlines() if line.startswith("    "))
    lines = re.sub(r"\\\n\s*", " ", block).splitlines()
    return [shlex.split(line)[1:] for line in lines if line.startswith("commons ")]


def test_every_command_of_the_tour_does_what_the_readme_says(ledger: Ledger) -> None:
    commands = tour()
    assert len(commands) >= 15, "the tour was not found"
    refused = [c for c in commands if "500" in c]
    assert len(refused) == 1, "the tour shows one refusal, of 500"
    for command in commands:
        output = ledger.typed(*command, code=1 if command in refused else 0)
        if command in refused:
            assert "INSUFFICIENT_STOCK" in output
        if command[0] == "verify":
            assert "The ledger is whole" in output
        if command[:2] == ["show", "trace"]:
            assert "R7" in output and "donation" in output


def page(name: str) -> list[tuple[list[str], str | None]]:
    """The `commons` commands of a page of docs/, each with the code that it says the command is refused with."""
    found = []
    now = datetime.now(UTC)
    for line in (ROOT / "docs" / name).read_text(encoding="utf-8").splitlines():
        if line.startswith("    commons "):
            line = re.sub(r"\$\(date -u \+([^)]*)\)", lambda found: now.strftime(found[1]), line)  # as a shell does
            typed, _, remark = line.partition("   # refused: ")
            found.append((shlex.split(typed)[1:], remark.strip() or None))
    return found


def test_every_command_of_the_treasurers_page_does_what_it_says(ledger: Ledger, tmp_path: Path) -> None:
    commands = page("treasury.md")
    assert len(commands) >= 35, "the page was not found"
    for command, refusal in commands:
        if "--output" in command:
            command[-1] = str(tmp_path / Path(command[-1]).name)
        output = ledger.typed(*command, code=0 if refusal is None else 1)
        assert refusal is None or refusal in output
        if "ApproveExpense" in command and command[-1] == "chen":
            ledger.until("show", "holds", "--of", "money", shows="exp-1")
        if command[:2] == ["show", "trial-balance"]:
            total = next(line for line in output.splitlines() if "Total" in line).split()
            assert total[1] == total[2]
    assert (tmp_path / "kitchen.journal").read_text(encoding="utf-8").count("grant-114") >= 1


def test_every_command_of_the_volunteers_page_does_what_it_says(ledger: Ledger) -> None:
    commands = page("distribution.md")
    assert len(commands) >= 35, "the page was not found"
    for command, refusal in commands:
        if "PackBox" in command:
            ledger.until("show", "packing", "today", shows="L1")
        if command[:2] == ["show", "check-in"] and "aydemir" in command:
            ledger.until(*command, shows="K-0001")
        if command[:2] in (["show", "reach"], ["show", "session"]):
            ledger.until_well()
        output = ledger.typed(*command, code=0 if refusal is None else 1)
        assert refusal is None or refusal in output
        if command[:2] == ["show", "reach"]:
            assert "B-1001" in output and ("visit" in output or "stones" in output)


def test_every_command_of_the_clinics_page_does_what_it_says(ledger: Ledger) -> None:
    commands = page("clinic.md")
    assert len(commands) >= 55, "the page was not found"
    for command, refusal in commands:
        if "SetFormularyEntry" in command:
            ledger.until("tail", "--stream", "CLINIC", "--from", "1", shows="ItemNoted")
        if "VerifyDispensing" in command:
            ledger.until("show", "dispensing", "--as", "lind", shows="to be verified")
        if command[:2] == ["show", "patient"]:
            ledger.until(*command, shows="Leyla")
        if command[:2] in (["show", "recall-patients"], ["show", "access"]):
            ledger.until_well()
        output = ledger.typed(*command, code=0 if refusal is None else 1)
        assert refusal is None or refusal in output
        if command[:2] == ["show", "recall-patients"]:
            assert "p-1" in output and "Marchetti" in output
        if command[:2] == ["show", "access"]:
            assert refusal is not None or ("emergency" in output and "treatment" in output)
        if command[:3] == ["show", "chart", "p-2"]:
            assert "(locked)" in output and "(erased)" not in output
        if command[0] == "verify":
            assert "CLINIC: chain" in output and "The ledger is whole" in output
    everything = ledger.typed("show", "review")
    assert "Of clinic nothing is shown. Nothing is opened for" in everything and "broken glass" not in everything
    assert "broken glass" in ledger.typed("show", "review", "--as", "aud")


def test_a_restart_has_everything_that_was_acknowledged(ledger: Ledger) -> None:
    before = ledger.commons("tail", "--from", "1", "--json")
    assert before.count("\n") >= 50
    assert ledger.stop() == 0
    ledger.start()
    assert ledger.commons("tail", "--from", "1", "--json") == before
    ledger.commons("verify")
