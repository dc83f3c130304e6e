"""What became of FHIR files, by type of resource; the figures add up, and what was not understood is named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

from services.fhir.entry import Resource
from services.imports.fhir.source import Place

KEPT: Final = 1000
"""Refused resources that are listed one by one; beyond it they are only counted."""

UNREADABLE: Final = "(unreadable)"
"""Stands for the type of what is no resource."""

Fate = Literal["taken", "same", "refused", "left_out", "waiting"]


@dataclass
class Counts:
    """Of one type of resource: `read` is the sum of the others.

    `taken` are new in the ledger (in a dry run: would be sent); `same` said what was known before, or what another
    line said; `refused` should have been taken and were not, or not whole, which the reason says; `left_out` are
    rightly not taken; `waiting` were not reached because the import ended early.
    """

    read: int = 0
    taken: int = 0
    same: int = 0
    refused: int = 0
    left_out: int = 0
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class Refusal:
    """A resource that was not taken and should have been: where it stands, which it is, and why."""

    file: str
    place: Place
    type: str
    id: str
    reason: str


@dataclass
class Report:
    """What became of the files. `left_out`, `notes` and `unknown` count by type or path and reason.

    `notes` are about what was taken otherwise than it stands, `unknown` about elements that nothing here reads.
    `stopped` says why the import ended early; run again, it goes on.
    """

    files: tuple[str, ...]
    origin: str
    dry_run: bool = False
    types: dict[str, Counts] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    left_out: Counter[tuple[str, str]] = field(default_factory=Counter)
    notes: Counter[tuple[str, str]] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    stopped: str | None = None

    def count(self, type_: str) -> Counts:
        return self.types.setdefault(type_, Counts())

    def fell(self, type_: str, fate: Fate) -> None:
        counts = self.count(type_)
        setattr(counts, fate, getattr(counts, fate) + 1)

    def refuse(self, refusal: Refusal) -> None:
        self.fell(refusal.type, "refused")
        self.reasons[refusal.type, refusal.reason] += 1
        if len(self.refusals) < KEPT:
            self.refusals.append(refusal)

    def leave_out(self, type_: str, reason: str) -> None:
        self.fell(type_, "left_out")
        self.left_out[type_, reason] += 1

    @property
    def total(self) -> Counts:
        names = Counts.__dataclass_fields__
        return Counts(**{name: sum(getattr(each, name) for each in self.types.values()) for name in names})

    @property
    def adds_up(self) -> bool:
        """Whether every resource that was read is accounted for."""
        return all(
            one.read == one.taken + one.same + one.refused + one.left_out + one.waiting for one in self.types.values()
        )

    @property
    def ok(self) -> bool:
        """Whether all that should be taken was; what is rightly left out is no failure."""
        return self.total.refused == 0 and self.stopped is None

    def finish(self) -> None:
        """Counts as waiting whatever was not reached, and puts the refusals into the files' order."""
        for one in self.types.values():
            one.waiting = one.read - one.taken - one.same - one.refused - one.left_out
        order = {name: place for place, name in enumerate(self.files)}
        self.refusals.sort(key=lambda each: (order.get(each.file, 0), each.place.number))

    # -- told ---------------------------------------------------------------------------------------------------------

    def as_json(self) -> Resource:
        """A JSON-ready mapping; `total` is the sum over all types."""
        return {
            "files": list(self.files), "from": self.origin, "dry_run": self.dry_run,
            "types": {name: asdict(self.types[name]) for name in sorted(self.types)},
            "total": asdict(self.total), "adds_up": self.adds_up, "stopped": self.stopped,
            "refusals": [_as_json(one) for one in self.refusals],
            "refused": _listed(self.reasons, "type"), "left_out": _listed(self.left_out, "type"),
            "notes": _listed(self.notes, "path"), "not_understood": dict(sorted(self.unknown.items())),
        }  # fmt: skip

    def as_text(self) -> str:
        """A table of the types, then the reasons, then what was taken otherwise and what was not understood."""
        names: tuple[str, ...] = ("read", "valid" if self.dry_run else "taken", "same as before", "refused", "left out")
        rows: list[tuple[str, ...]] = [(name, *_figures(self.types[name])) for name in sorted(self.types)]
        rows.append(("all", *_figures(self.total)))
        if self.total.waiting:
            names = (*names, "not reached")
        else:
            rows = [row[:-1] for row in rows]
        text = _table(("resource", *names), rows)
        if self.dry_run:
            text.append("Nothing was sent.")
        if self.stopped:
            text.append(f"Stopped early: {self.stopped} Import the same files again to go on.")
        text += _refused(self.refusals, self.total.refused)
        text += _section("Left out", ("resource", "number", "why"), _rows(self.left_out))
        text += _section("Taken otherwise than it stands", ("element", "number", "how"), _rows(self.notes))
        unknown = [(path, str(number)) for path, number in sorted(self.unknown.items())]
        text += _section("Not understood, and not taken", ("element", "number"), unknown)
        return "\n".join(text) + "\n"


def _as_json(one: Refusal) -> Resource:
    """`line` is where it stands, or in a Bundle `entry`; the other is null."""
    number, entry = one.place.number, one.place.entry
    return {
        "file": one.file, "line": None if entry else number, "entry": number if entry else None, "type": one.type,
        "id": one.id, "reason": one.reason,
    }  # fmt: skip


def _refused(refusals: Sequence[Refusal], total: int) -> list[str]:
    """With a column for lines, for entries, or for both, as the files have them."""
    kinds = [entry for entry in (False, True) if any(one.place.entry is entry for one in refusals)]
    rows = [
        (one.file, *(str(one.place.number) if one.place.entry is entry else "" for entry in kinds), one.type, one.id,
         one.reason)
        for one in refusals
    ]  # fmt: skip
    places = ("entry" if entry else "line" for entry in kinds)
    return _section("Refused", ("file", *places, "resource", "id", "why"), rows, total)


def _figures(counts: Counts) -> tuple[str, ...]:
    return tuple(f"{getattr(counts, name):,}" for name in Counts.__dataclass_fields__)


def _listed(counted: Counter[tuple[str, str]], what: str) -> list[dict[str, Any]]:
    return [{what: name, "reason": why, "number": number} for (name, why), number in sorted(counted.items())]


def _rows(counted: Counter[tuple[str, str]]) -> list[tuple[str, ...]]:
    return [(name, f"{number:,}", why) for (name, why), number in sorted(counted.items())]


def _section(
    title: str, names: tuple[str, ...], rows: Sequence[tuple[str, ...]], total: int | None = None
) -> list[str]:
    if not rows:
        return []
    more = [] if total is None or total <= len(rows) else [f"… and {total - len(rows):,} more"]
    return ["", f"{title}:", *(f"  {line}" for line in _table(names, rows)), *more]


def _table(names: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Columns as wide as their widest cell; figures to the right, the last one may run on."""
    widths = [max(len(row[column]) for row in [names, *rows]) for column in range(len(names))]
    return [
        "  ".join(_cell(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [names, *rows]
    ]


def _cell(cell: str, width: int) -> str:
    return cell.rjust(width) if cell.replace(",", "").isdigit() else cell.ljust(width)
