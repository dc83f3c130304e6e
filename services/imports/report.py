"""What became of a file: how much of it is new, was already known, was refused, and waits for a person."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import zip_longest
from typing import Any, Final

from services.imports.plan import ForAPerson, Refused

KEPT: Final = 1000
"""Refused lines, and things for a person, that are kept with their words; beyond it they are only counted."""

WIDTH: Final = 80
"""Columns of a window for which a report is written."""

_NARROWEST: Final = 20
"""Characters that a column of words has at the least."""


@dataclass
class Report:
    """The counts of one import, and what a person has to look at, in the order of the file.

    `new` and `unchanged` are what the ledger answered; in a dry run `valid` counts what would be sent. `stopped` says
    why the import ended early: the same file may then be imported again, and goes on where it stopped. `notes` are
    sentences about the file as a whole. `other_facts` are those refused lines whose thing is registered already, as
    something else than the file says. `counts` says the counts in words of the file's own, when all of it was taken.
    """

    file: str
    dry_run: bool = False
    valid: int = 0
    new: int = 0
    unchanged: int = 0
    refused: int = 0
    other_facts: int = 0
    for_a_person: int = 0
    counts: str | None = None
    stopped: str | None = None
    refusals: list[Refused] = field(default_factory=list)
    questions: list[ForAPerson] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def refuse(self, refusal: Refused) -> None:
        self.refused += 1
        if len(self.refusals) < KEPT:
            self.refusals.append(refusal)

    def ask(self, question: ForAPerson) -> None:
        self.for_a_person += 1
        if len(self.questions) < KEPT:
            self.questions.append(question)

    @property
    def ok(self) -> bool:
        """Whether everything in the file was taken. What waits for a person is no failure."""
        return self.refused == 0 and self.stopped is None

    def sort(self) -> None:
        """Puts the details into the file's order; answers come in any order."""
        self.refusals.sort(key=lambda one: one.line)
        self.questions.sort(key=lambda one: one.line)

    def as_json(self) -> dict[str, Any]:
        """A JSON-ready mapping with the same names."""
        return asdict(self)

    def as_text(self) -> str:
        """The counts in one line, then a table of refused lines, then one of what waits for a person."""
        if self.counts is not None and self.ok:
            counts = [self.counts]
        elif self.dry_run:
            counts = [f"{self.valid} valid (nothing was sent)"]
        else:
            counts = [f"{self.new} new", f"{self.unchanged} unchanged"]
        if self.counts is None or not self.ok:
            otherwise = f" ({self.other_facts} registered with other facts)" if self.other_facts else ""
            counts.append(f"{self.refused} refused{otherwise}")
        if self.for_a_person:
            counts.append(f"{self.for_a_person} for a person")
        text = [f"{self.file}: {', '.join(counts)}", *(line for note in self.notes for line in _lines(note, WIDTH))]
        if self.stopped:
            text += _lines(f"Stopped early: {self.stopped} Import the same file again to go on.", WIDTH)
        refused = [(str(one.line), one.what, one.reason) for one in self.refusals]
        text += _table("Refused", ("line", "what", "why"), refused, self.refused)
        asked = [(str(one.line), one.what, one.reason, one.fragment) for one in self.questions]
        text += _table("For a person", ("line", "what", "why", "text"), asked, self.for_a_person)
        return "\n".join(text) + "\n"


def _table(title: str, names: tuple[str, ...], rows: Sequence[tuple[str, ...]], total: int) -> list[str]:
    """Left-aligned columns as wide as their widest cell, if all have room; else the widest are broken into lines."""
    if not rows:
        return []
    widths = [max(len(row[column]) for row in [names, *rows]) for column in range(len(names))]
    while (over := sum(widths) + 2 * len(widths) - WIDTH) > 0 and max(widths) > _NARROWEST:
        widest = widths.index(max(widths))
        next_widest = sorted(widths)[-2]
        widths[widest] = max(_NARROWEST, widths[widest] - over, min(next_widest, widths[widest] - 1))
    lines = []
    for row in [names, *rows]:
        cells = [_lines(cell, width) for cell, width in zip(row, widths, strict=True)]
        lines += [
            "  ".join(part.ljust(width) for part, width in zip(parts, widths, strict=True))
            for parts in zip_longest(*cells, fillvalue="")
        ]
    more = [f"… and {total - len(rows)} more"] if total > len(rows) else []
    return ["", title, *("  " + line.rstrip() for line in lines), *more]


def _lines(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_on_hyphens=False) or [""]
