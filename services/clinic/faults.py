"""What is wrong with an act: it is refused for the first of it, or recorded, if it has happened, with all of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from services.clinic.contract import ClinicError
from services.clinic.refusals import rejected
from shared.errors import Rejected

_PRECEDENCE: Final = {code: place for place, code in enumerate(ClinicError)}


@dataclass
class Faults:
    """The refusals that speak against an act, one a code."""

    found: dict[ClinicError, Rejected] = field(default_factory=dict)

    def add(self, refusal: Rejected) -> None:
        self.found.setdefault(ClinicError(refusal.code), refusal)

    def of(self, code: ClinicError, detail: str, **facts: Any) -> None:
        self.add(rejected(code, detail, **facts))

    def ask(self, question: Callable[..., Any], *args: Any) -> None:
        """Note what a question refuses, if it does."""
        try:
            question(*args)
        except Rejected as refusal:
            self.add(refusal)

    def first(self) -> Rejected | None:
        """The refusal that is answered, by precedence."""
        return self.found[self.codes()[0]] if self.found else None

    def codes(self) -> tuple[ClinicError, ...]:
        return tuple(sorted(self.found, key=_PRECEDENCE.__getitem__))
