"""How an event looks: on one line, or in full."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from rich.text import Text

from services.commands.money import with_decimals
from services.commands.render import cell, clean, console, moment

LIST_SHOWN: Final = 6
"""Entries of a list that fit on an event's line; the rest are counted."""

_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z")
_BAD: Final = frozenset({"breaches", "short", "short_at", "breach"})


def event_name(type_: str) -> str:
    """`commons.inventory.stock-received.v1` -> `StockReceived`."""
    parts = type_.split(".")
    name = parts[-2] if len(parts) > 1 else type_
    return "".join(word.capitalize() for word in name.split("-"))


def event_line(sequence: int, event: Mapping[str, Any]) -> Text:
    """One event on one line: position, when it was recorded, what, of which aggregate, the facts, and by whom."""
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"{sequence:>8,} ", style="dim")
    line.append(f"{moment(str(event.get('time', '')))} ", style="dim")
    line.append(f"{event_name(str(event.get('type', ''))):<19} ", style="bold cyan")
    line.append(clean(str(event.get("subject", ""))).partition("/")[2] or "?", style="bold")
    data = _data(event)
    subject = str(event.get("subject", ""))
    for text, bad in facts(data, subject):
        line.append("  ")
        line.append(text, style="yellow" if bad else "")
    line.append(f"  {clean(str(event.get('authid', '')))}", style="dim")
    return line


def _data(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """What an event says, money with its decimals."""
    data = event.get("data")
    if not isinstance(data, dict):
        return {}
    return with_decimals(data) if str(event.get("type", "")).startswith("commons.treasury.") else data


def facts(data: Mapping[str, Any], subject: str = "") -> Iterator[tuple[str, bool]]:
    """What an event says, shortest first: the change of stock if there is one, then each field that is not said yet.

    The second of each pair says whether it is something to look at.
    """
    told = {"occurred_at", "unit", "moves", "on_hand", "effective_at", "medicine", "lines", "weight"}
    ids = set(subject.partition("/")[2].split(":"))
    moves = data.get("moves")
    if isinstance(moves, list):
        change = sum(int(move.get("change", 0)) for move in moves)
        yield f"{change:+,} {data.get('unit', '')} → {data.get('on_hand', 0):,}", False
        lots = [f"{_lot(move)} {int(move.get('change', 0)):+,}" for move in moves if move.get("change")]
        if lots:
            yield clean(_joined(lots)), False
        beyond = sum(int(move.get("unrecorded", 0)) for move in moves)
        if beyond:
            yield f"{beyond:,} beyond the ledger", True
    for name, value in data.items():
        if (name in told and (isinstance(moves, list) or name == "occurred_at")) or value in (None, [], False, 0, ""):
            continue
        if isinstance(value, str) and value in ids:
            continue
        yield f"{name.replace('_', ' ')} {_short(value)}", name in _BAD


def _lot(move: Mapping[str, Any]) -> str:
    lot = move.get("lot") or "unknown lot"
    return f"{lot} ({move['date']})" if move.get("date") else str(lot)


def _short(value: Any) -> str:
    if isinstance(value, bool):
        return "yes"
    if isinstance(value, list):
        return _joined([_short(one) for one in value])
    if isinstance(value, dict):
        parts = [f"{_short(one)}" for one in value.values() if one not in (None, [], False, "")]
        return f"[{' '.join(parts)}]"
    if isinstance(value, int):
        return f"{value:,}"
    text = clean(str(value))
    if _MOMENT.fullmatch(text):
        return moment(text)
    return text if len(text) <= 60 else text[:59] + "…"


def _joined(parts: Sequence[str]) -> str:
    shown = ", ".join(parts[:LIST_SHOWN])
    return shown if len(parts) <= LIST_SHOWN else f"{shown} and {len(parts) - LIST_SHOWN} more"


def print_event(event: Mapping[str, Any]) -> None:
    """An event in full: its envelope in two lines, its data as a list, records inside it as rows."""
    out = console()
    for name, value in _data(event).items():
        if value in (None, [], False):
            continue
        label = Text(f"  {name.replace('_', ' '):<16} ", style="yellow" if name in _BAD else "dim")
        if isinstance(value, list) and value and isinstance(value[0], dict):
            for index, row in enumerate(value[:LIST_SHOWN]):
                out.print(Text.assemble(label if index == 0 else " " * 19, cell(row)), soft_wrap=True)
            if len(value) > LIST_SHOWN:
                out.print(" " * 19 + f"and {len(value) - LIST_SHOWN} more")
        else:
            out.print(Text.assemble(label, _short(value) if isinstance(value, str) else cell(value)), soft_wrap=True)
