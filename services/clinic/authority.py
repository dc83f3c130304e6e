"""Who may send the clinic a command: people are granted their roles by the roster, process managers by the contract."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from services.clinic.contract import ROSTER, clinic
from services.clinic.practitioner import Roster
from shared.authority import Acting, by_process
from shared.command import CommandMeta
from shared.decider import Ref
from shared.errors import Forbidden
from shared.rights import Rights


class ByRoster:
    """Names the roster's entry as the grant; what it lets somebody do, each decision asks (practitioner.py)."""

    ref = Ref("practitioner", ROSTER)

    def __init__(self) -> None:
        assert clinic.rights is not None
        self._rights: Rights = clinic.rights

    def acting(self, command: Any, meta: CommandMeta, state: Roster, now: datetime) -> Acting:
        kind = type(command)
        if meta.authtype != "user":
            return by_process(self._rights, kind, meta)
        needed, processes = self._rights.senders(kind)
        if not needed:
            raise Forbidden(
                f"{kind.__name__} is sent by {' or '.join(processes)} alone, and by nobody else.", actor=meta.actor,
                command=kind.__name__, needs=[],
            )  # fmt: skip
        entry = state.find(meta.actor)
        return Acting(meta.mandate, f"roster#{entry.number}" if entry.roles else None)
