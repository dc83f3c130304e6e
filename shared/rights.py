"""Which roles may send which commands of a service, and which processes; every contract has such a table.

    inventory.rights = Rights(
        inventory, Role,
        {Role.STEWARD: (RegisterItem, ReceiveStock), Role.VOLUNTEER: (ReceiveStock,)},
        processes={"fulfilling": (IssueStock,), "recalls": (HoldStock,)},
        outside=("fulfilling",),
    )

A person acts in a role that was granted to them (authority.py) and that their token carries. A process manager, or a
service, acts by the table alone, and nobody else in its name: what only processes are listed for is refused to people.
Those of other services are `outside`; a service's own act within it, and no command that comes over NATS is theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from shared.contract import Contract

ADMINISTRATOR: Final = "administrator"
"""The role, in every service with grants, that grants roles and takes them back."""


class Rights:
    """The table of one service."""

    def __init__(
        self,
        contract: Contract,
        roles: type[StrEnum],
        may: Mapping[StrEnum, Iterable[type]],
        processes: Mapping[str, Iterable[type]] | None = None,
        outside: Iterable[str] = (),
    ) -> None:
        self.outside = frozenset(outside)
        self.roles: tuple[str, ...] = tuple(str(role) for role in roles)
        self.processes: dict[str, frozenset[type]] = {
            name: frozenset(commands) for name, commands in (processes or {}).items()
        }
        listed = {str(role): set(commands) for role, commands in may.items()}
        self.needed: dict[type, tuple[str, ...]] = {
            spec.cls: tuple(role for role in self.roles if spec.cls in listed.get(role, ()))
            for spec in contract.commands.values()
        }

    def check(self, contract: Contract) -> None:
        """Raises TypeError when nobody may send a command of the contract, or a process from outside none."""
        sent = frozenset[type]().union(*self.processes.values())
        unlisted = [
            spec.name for spec in contract.commands.values() if not self.needed.get(spec.cls) and spec.cls not in sent
        ]
        if unlisted:
            raise TypeError(f"Nobody may send these commands of {contract.service}: {unlisted}")
        if idle := self.outside - self.processes.keys():
            raise TypeError(f"These processes send {contract.service} nothing: {sorted(idle)}")

    def senders(self, command: type) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The roles, and the processes, that may send a command."""
        by = tuple(name for name, commands in self.processes.items() if command in commands)
        return self.needed[command], by
