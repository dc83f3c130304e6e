"""A process manager beside the ledger in memory: shown every event in order, its steps carried out by the deciders."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Protocol

import msgspec

from shared.event import Recorded
from shared.manager import Manager, Step


class Ledger(Protocol):
    """A service's ledger in memory, as pantry.py and desk.py have one."""

    events: list[Recorded]

    def do(self, name: str, /, *, actor: str = "sam", **fields: Any) -> Recorded | None: ...

    def later(self, **delta: float) -> datetime: ...


class Follower:
    """One manager and how far it has read; `steps` are all that it ever wanted."""

    def __init__(self, ledger: Ledger, manager: Manager) -> None:
        self.ledger = ledger
        self.manager = manager
        self.read = 0
        self.steps: list[Step] = []

    def catch_up(self) -> list[Step]:
        """Show the manager what is new, and give the steps that follow; nothing is carried out."""
        steps = []
        while self.read < len(self.ledger.events):
            self.read += 1
            steps += shown(self.manager, self.ledger.events[self.read - 1])
        self.steps += steps
        return steps

    def carry_out(self, steps: Iterable[Step]) -> list[Recorded]:
        """Let the deciders take steps that are not needless; the events they made."""
        made = []
        for step in steps:
            if not self.manager.moot(step):
                name, fields = command(step)
                made.append(self.ledger.do(name, actor=self.manager.name, **fields))
        return [event for event in made if event is not None]

    def settle(self) -> list[Recorded]:
        """Show and carry out until nothing more follows; the events that came of it."""
        made = []
        while steps := self.catch_up():
            made += self.carry_out(steps)
        return made

    def wait(self, **delta: float) -> list[Step]:
        """Let time pass and give the steps that are due."""
        self.catch_up()
        steps = list(self.manager.due(self.ledger.later(**delta)))
        self.steps += steps
        return steps


def shown(manager: Manager, event: Recorded) -> list[Step]:
    """What follows from one event; a manager is shown only what it reads."""
    return list(manager.react(event)) if isinstance(event.data, manager.reads) else []


def replay(manager: Manager, events: Iterable[Recorded]) -> list[Step]:
    return [step for event in events for step in shown(manager, event)]


def ids(manager: Manager, steps: Iterable[Step]) -> list[str]:
    return [step.id(manager.name) for step in steps]


def command(step: Step) -> tuple[str, dict[str, Any]]:
    """A step's command as it is sent: its name, and its fields as JSON has them; None is left out."""
    fields = msgspec.to_builtins(step.command)
    return step.contract.command_of(step.command).name, {
        name: value for name, value in fields.items() if value is not None
    }
