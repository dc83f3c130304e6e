"""A command's circumstances, the answer to it, and what makes two commands the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.actorkeys import Authtype
from shared.contract import FILLED, fields_of
from shared.errors import CommandIdReused


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandMeta:
    """What a command's envelope says about it: its id, who sends it, and what it follows from."""

    id: str
    actor: str
    authtype: Authtype = "user"
    mandate: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    traceparent: str | None = None
    roles: frozenset[str] | None = None
    """The roles that the actor's token carries; None where nobody asks for a token."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command led to: an event at (stream, sequence), or nothing because it was already true.

    `event` is the envelope's bytes, or None, and `data` the event itself, as its contract's newest class. `sequence` is
    where a read model must have arrived to show the answer.
    """

    stream: str
    sequence: int
    event: bytes | None
    repeated: bool = False
    data: Any = field(default=None, compare=False, repr=False)

    @property
    def status(self) -> str:
        return "unchanged" if self.event is None else "accepted"


@dataclass(frozen=True, slots=True)
class BulkAnswer:
    """What a bulk command led to: one result an element, in order, and how many there are of each kind.

    `sequence` is that of the last of its events; `repeated` says that all of them were recorded before.
    """

    stream: str
    sequence: int
    status: str
    repeated: bool
    results: list[Mapping[str, Any]]
    counts: dict[str, int]


def assert_same(command: Any, meta: CommandMeta, event: Any, actor: str, makes: tuple[type, ...]) -> None:
    """Refuse a command whose id was used before for something else: another event, or another actor's.

    What a decision fills in (`FILLED`) does not differ when the repeat leaves it out, as the first may have done. The
    actor is looked at last: `authid` differs when all else is the same.
    """
    differs: str | None = None
    if not isinstance(event, makes):
        differs = "type"
    else:
        for name, value in fields_of(command):
            if getattr(event, name) != value and not (value is None and name in FILLED):
                differs = name
                break
        if differs is None and meta.actor != actor:
            differs = "authid"
    if differs:
        raise CommandIdReused(
            f"The command id {meta.id!r} was used before with another {differs}. Nothing was recorded. "
            "Send a new command under an id of its own, or repeat the first one unchanged.",
            field=differs, command_id=meta.id,
        )  # fmt: skip
