"""What a measurement is, and how a run of them is shown and kept."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value, beside a peer's or a limit. `ratio` is how many times better than the peer, or the limit.

    `wanted` is the least ratio (with a peer) that the project asks of itself.
    """

    name: str
    value: float
    unit: str
    peer: str | None = None
    peer_value: float | None = None
    ratio: float | None = None
    wanted: float | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        if self.ratio is None or self.wanted is None:
            return None
        return self.ratio >= self.wanted


def against(
    name: str,
    value: float,
    unit: str,
    peer: str,
    peer_value: float,
    wanted: float,
    *,
    lower: bool = False,
    note: str = "",
) -> Figure:
    """A figure beside a peer's, or beside a limit that is named as one; `lower` when less is better."""
    ratio = peer_value / value if lower else value / peer_value
    return Figure(name, value, unit, peer, peer_value, ratio, wanted, note)


def show(figures: list[Figure]) -> None:
    table = Table(title="Measured in one run, every acknowledged write on disk", title_justify="left")
    for title in ("figure", "value", "beside", "its value", "ratio", "wanted", ""):
        table.add_column(title, justify="right" if title in ("value", "its value", "ratio", "wanted") else "left")
    for f in figures:
        table.add_row(
            f.name,
            f"{_number(f.value)} {f.unit}",
            f.peer or "",
            "" if f.peer_value is None else f"{_number(f.peer_value)} {f.unit}",
            "" if f.ratio is None else f"{f.ratio:.2f}",
            "" if f.wanted is None else f"{f.wanted:.2f}",
            {True: "met", False: "[red]not met[/red]", None: ""}[f.met],
        )
    console = Console()
    console.print(table)
    for f in figures:
        if f.note:
            console.print(f"  {f.name}: {f.note}", highlight=False)


def keep(figures: list[Figure], path: Path) -> None:
    """Write the figures as a list of JSON objects, adding to or replacing those of an earlier partial run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = {f["name"]: f for f in json.loads(path.read_text())} if path.exists() else {}
    for figure in figures:
        kept[figure.name] = {k: v for k, v in asdict(figure).items() if k not in ("wanted", "note")}
    path.write_text(json.dumps(list(kept.values()), indent=2) + "\n")


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.2f}"
