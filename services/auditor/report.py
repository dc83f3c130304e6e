"""What an audit found: one line a check, with how much was checked, and the first thing that is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any, Self

from shared.errors import LedgerError

Progress = Callable[[str, int, int], None]
"""Told the name of the check, how far it is, and how much there is; called a few times a second at most."""


def silent(_name: str, _done: int, _total: int) -> None:
    """Progress that nobody watches."""


@dataclass(slots=True)
class Check:
    """One thing that was checked: how much of it, in how many seconds, and what was wrong, if anything.

    `facts` say where that is: the stream, the sequence in it and the aggregate's subject, as far as they are known.
    """

    name: str
    count: int
    unit: str
    seconds: float
    problem: str | None = None
    detail: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    def failed(self, error: LedgerError) -> Self:
        """The same check, which found this."""
        self.problem, self.facts = error.detail, dict(error.facts)
        return self


@dataclass(slots=True)
class Report:
    """All that was checked, in order. `notes` are what a reader has to know of it, such as what was not there."""

    checks: list[Check] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return all(check.problem is None for check in self.checks)

    @property
    def first(self) -> Check | None:
        """The first check that failed; of those of one stream, the one that names the earliest event."""
        failed = [check for check in self.checks if check.problem]
        same = [check for check in failed if check.facts.get("stream") == failed[0].facts.get("stream")]
        return min(same, key=lambda check: check.facts.get("sequence", inf)) if failed else None

    @property
    def first_problem(self) -> str | None:
        return None if self.first is None else self.first.problem
