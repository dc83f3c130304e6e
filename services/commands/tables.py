"""Tables for people, as wide as the window allows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich import box
from rich.table import Table
from rich.text import Text

from services.commands.render import cell, console

WRAPPED: Final = 16
"""Characters to which a column of texts may be narrowed; longer texts then take several lines."""

_GAP: Final = 3


@dataclass(frozen=True, slots=True)
class Head:
    """A column: its title, and whether it holds figures, which stand at the right and are never broken."""

    title: str
    right: bool = False


def print_grid(
    title: str | None, heads: Sequence[Head], rows: Sequence[Sequence[Text]], totals: Sequence[Sequence[Text]] = ()
) -> None:
    """A table, with totals under a line. Columns for which the window has no room are left out from the right, and
    named below it."""
    out = console()
    least = [_least(head, [row[i] for row in (*rows, *totals)]) for i, head in enumerate(heads)]
    shown = len(heads)
    while shown > 1 and sum(least[:shown]) + _GAP * shown > out.width:
        shown -= 1
    grid = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for head, width in zip(heads[:shown], least, strict=False):
        grid.add_column(head.title, justify="right" if head.right else "left", overflow="fold", min_width=width)
    for row in rows:
        grid.add_row(*row[:shown])
    if totals:
        grid.add_section()
    for row in totals:
        grid.add_row(*row[:shown], style="bold")
    out.print(grid)
    if shown < len(heads):
        names = ", ".join(head.title for head in heads[shown:])
        out.print(f"No room here for: {names}. A wider window or --json has it all.", style="dim", soft_wrap=True)


def _least(head: Head, cells: Sequence[Text]) -> int:
    """The narrowest that a column may be."""
    longest = max((len(one.plain) for one in cells), default=0)
    words = max((len(word) for word in head.title.split()), default=0)
    if head.right:
        return max(longest, words)
    return max(min(longest, WRAPPED), words)


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None, empty: str = "Nothing to show."
) -> None:
    """A table of plain values; `empty` is said when there are no rows."""
    given = [list(row) for row in rows]
    if not given:
        console().print(Text(empty, style="dim"))
        return
    heads = [
        Head(name.replace("_", " "), any(isinstance(row[i], int) and not isinstance(row[i], bool) for row in given))
        for i, name in enumerate(columns)
    ]
    print_grid(title, heads, [[Text(cell(v), style="dim" if v is None else "") for v in row] for row in given])
