"""What reading a file yields, line by line: commands to send, lines refused, and things a person must look at."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid5

NAMESPACE = UUID("6f1c1f52-3a2b-5c59-9a53-6a3f8b0f7a10")
"""The namespace of the command ids that imports derive; changing it would import everything a second time."""

_SHOWN = 160


@dataclass(frozen=True, slots=True)
class Planned:
    """A command read from a file, not yet checked against its contract and not yet sent.

    `line` is where it begins in the file; `what` names it for people; `id` is derived from what the command says and
    never from the file's name or the line, so the same fact in another file is the same command.
    """

    line: int
    command: str
    data: dict[str, Any]
    id: str
    what: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A line that became no command, and why."""

    line: int
    reason: str
    what: str = ""


@dataclass(frozen=True, slots=True)
class ForAPerson:
    """Something that was understood in part, or not at all, and that someone has to decide."""

    line: int
    what: str
    reason: str
    fragment: str = ""


Read = Planned | Refused | ForAPerson


@dataclass
class Lines:
    """A plain holder for tests and small files: everything that was read, sorted into its three kinds."""

    planned: list[Planned] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    for_a_person: list[ForAPerson] = field(default_factory=list)

    @classmethod
    def of(cls, read: Iterable[Read]) -> Lines:
        lines = cls()
        for one in read:
            match one:
                case Planned():
                    lines.planned.append(one)
                case Refused():
                    lines.refused.append(one)
                case ForAPerson():
                    lines.for_a_person.append(one)
        return lines


def command_id(kind: str, *parts: object) -> str:
    """A command id that depends on the parts alone: `import:receipt:<UUIDv5>`."""
    name = "\x1f".join([kind, *(str(part) for part in parts)])
    return f"import:{kind}:{uuid5(NAMESPACE, name)}"


def shown(text: str, limit: int = _SHOWN) -> str:
    """A text on one line, cut to a length that fits a report, with control characters made visible."""
    flat = re.sub(r"[\x00-\x1f\x7f-\x9f\s]+", " ", text[: 4 * limit]).strip()
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"
