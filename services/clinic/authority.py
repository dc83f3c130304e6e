"""Who may send the clinic a command: people are granted their roles by the roster, process managers by the contract."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from services.clinic.contract import ROSTER, AddPractitioner, clinic
from services.clinic.practitioner import Practitioner, Roster, in_words, roles_of, unknown
from shared.authority import Acting, by_process
from shared.command import CommandMeta
from shared.decider import Ref
from shared.errors import Forbidden
from shared.rights import Rights


class ByRoster:
    """Lets those send who work here, in the roles that their token carries, and names the roster's entry as the grant.

    What a role lets somebody do, each decision asks (practitioner.py). Whoever adds the first is asked there, too.
    """

    ref = Ref("practitioner", ROSTER)

    def __init__(self) -> None:
        assert clinic.rights is not None
        self._rights: Rights = clinic.rights

    def acting(self, command: Any, meta: CommandMeta, state: Roster, now: datetime) -> Acting:
        """Raises Rejected, too: UNKNOWN_PRACTITIONER, for who is not on the roster."""
        kind = type(command)
        if meta.authtype != "user":
            return by_process(self._rights, kind, meta)
        entry = state.find(meta.actor)
        needed, processes = self._rights.senders(kind)
        if not needed:
            raise Forbidden(
                f"{kind.__name__} is sent by {' or '.join(processes)} alone, and by nobody else.", actor=meta.actor,
                command=kind.__name__, needs=[], granted=[str(role) for role in entry.roles],
            )  # fmt: skip
        if isinstance(command, AddPractitioner) and not state.people:
            return Acting(None, None)
        if not entry.roles:
            raise unknown(meta.actor)
        if not roles_of(entry, meta.roles, meta.mandate):
            raise _forbidden(kind, meta, entry)
        minute = meta.mandate if meta.mandate is not None and "/" in meta.mandate else None
        grant = f"roster#{entry.number}"
        return Acting(meta.mandate, grant if minute is None else f"{grant} {minute}")


def _forbidden(kind: type, meta: CommandMeta, entry: Practitioner) -> Forbidden:
    held, named = [str(role) for role in entry.roles], meta.mandate
    if named is None or "/" in named:
        why = "the token carries no such role. Make one that does"
    elif named not in held:
        why = f"not as {named}. Leave out the mandate, or name a role that is theirs"
    else:
        why = f"the token does not carry {named}. Make one that does"
    return Forbidden(
        f"{meta.actor} works here as {in_words(entry.roles)}, and {why}.", actor=meta.actor, command=kind.__name__,
        needs=held, granted=held,
    )  # fmt: skip
