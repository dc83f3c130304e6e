"""The names of things in the folder of the logs: which logs there are, their origins, and where their files stand.

TILES/inventory/checkpoint                       the newest checkpoint, signed and cosigned
TILES/inventory/tile/…                           hash tiles and bundles of entries (services/auditor/tiles.py)
TILES/inventory/checkpoints/2026-11-26.jsonl     every checkpoint that was published, {"time", "note"} a line
TILES/inventory/keys/log.vkey, witness-NAME.vkey public keys
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final

SERVICES: Final = ("inventory", "distribution", "treasury", "clinic")
"""The services that have a log each."""

OPEN: Final = frozenset({"inventory"})
"""The logs whose entries anybody may read; those of the others need a token. Hash tiles and checkpoints are public."""


def origin(prefix: str | None, chapter: str, service: str) -> str:
    """The name of a log, first line of its checkpoints and name of its key."""
    return f"{prefix or f'{chapter}/commons'}/{service}"


def log_folder(tiles: Path, service: str) -> Path:
    return tiles / service


def history_folder(folder: Path) -> Path:
    """The files of checkpoints in a log's folder, one a day."""
    return folder / "checkpoints"


def history_file(folder: Path, moment: datetime) -> Path:
    """Where a checkpoint of a moment in UTC is kept."""
    return history_folder(folder) / f"{moment:%Y-%m-%d}.jsonl"


def log_vkey(folder: Path) -> Path:
    """The public key of a log."""
    return folder / "keys" / "log.vkey"


def witness_vkey(folder: Path, name: str) -> Path:
    """The public key of a witness; `name` is the one that its operator's list gives it."""
    return folder / "keys" / f"witness-{name}.vkey"
