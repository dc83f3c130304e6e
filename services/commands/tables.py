"""Tables for people, as wide as the window allows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich import box
from rich.table import Table
from rich.text import Text

from services.commands.render import cell, console

WRAPPED: Final = 14
"""Characters to which a column of texts may be narrowed; longer texts then take several lines."""

_GAP: Final = 3


CARDS: Final = 3
"""Rows that are written as cards, a line a column, when a table has no room for all their columns."""


@dataclass(frozen=True, slots=True)
class Head:
    """A column: its title, whether it holds figures, which stand at the right and are never broken, and how much it is
    needed, 1 most: where there is no room, the highest go first. A moment may be broken after its day."""

    title: str
    right: bool = False
    rank: int = 2
    moment: bool = False


def print_grid(
    title: str | None, heads: Sequence[Head], rows: Sequence[Sequence[Text]], totals: Sequence[Sequence[Text]] = ()
) -> None:
    """A table, with totals under a line.

    If the window has no room for all columns, a few rows are written one below the other, a line a column; of more,
    the least needed columns are left out, and named below the table.
    """
    out = console()
    least = [_least(head, [row[i] for row in (*rows, *totals)]) for i, head in enumerate(heads)]
    shown = _fitting(heads, least, out.width)
    if len(shown) < len(heads) and len(rows) <= CARDS and not totals:
        _print_cards(title, heads, rows)
        return
    grid = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for i in shown:
        head = heads[i]
        grid.add_column(head.title, justify="right" if head.right else "left", overflow="fold", min_width=least[i])
    for row in rows:
        grid.add_row(*(row[i] for i in shown))
    if totals:
        grid.add_section()
    for row in totals:
        grid.add_row(*(row[i] for i in shown), style="bold")
    out.print(grid)
    if left := [head.title for i, head in enumerate(heads) if i not in shown]:
        names = ", ".join(left)
        out.print(f"No room here for: {names}. A wider window or --json has it all.", style="dim", soft_wrap=True)


def _fitting(heads: Sequence[Head], least: Sequence[int], width: int) -> list[int]:
    """The columns for which there is room, at least one; the least needed go first, of several the one at the right."""
    shown = list(range(len(heads)))
    while len(shown) > 1 and sum(least[i] for i in shown) + _GAP * len(shown) > width:
        shown.remove(max(shown, key=lambda i: (heads[i].rank, i)))
    return shown


def _print_cards(title: str | None, heads: Sequence[Head], rows: Sequence[Sequence[Text]]) -> None:
    """Each row as lines of a column's title and its value, those that are empty left out."""
    out = console()
    wide = max(len(head.title) for head in heads)
    if title is not None:
        out.print(Text(title, style="bold"))
    for row in rows:
        card = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        card.add_column(style="dim", min_width=wide, no_wrap=True)
        card.add_column(overflow="fold")
        for head, value in zip(heads, row, strict=True):
            if value.plain:
                card.add_row(head.title, value)
        out.print()
        out.print(card)
    out.print()


def _least(head: Head, cells: Sequence[Text]) -> int:
    """The narrowest that a column may be."""
    longest = max((len(one.plain) for one in cells), default=0)
    words = max((len(word) for word in head.title.split()), default=0)
    if head.right:
        return max(longest, words)
    if head.moment:
        return max((len(part) for one in cells for part in one.plain.split()), default=0) or words
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
