"""Donors: who gives. The state knows only that there is one; who it is stays sealed in the events."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

from services.inventory import rules
from services.inventory.contract import (
    ChangeDonor,
    DonorChanged,
    DonorFacts,
    DonorRegistered,
    InventoryError,
    RegisterDonor,
    inventory,
)
from shared.decider import Context, Decider
from shared.errors import Rejected


@dataclass
class Donor:
    """Since when a donor is registered; None before that."""

    registered_at: datetime | None = None


DonorCommand = RegisterDonor | ChangeDonor
DonorEvent = DonorRegistered | DonorChanged

_FACTS: Final = tuple(f.name for f in fields(DonorFacts))


def evolve(donor: Donor, event: DonorEvent) -> Donor:
    if isinstance(event, DonorRegistered):
        donor.registered_at = event.occurred_at
    return donor


def decide(command: DonorCommand, donor: Donor, context: Context) -> DonorEvent:
    at = rules.when(command.occurred_at, context)
    match command:
        case RegisterDonor():
            if donor.registered_at is not None:
                raise Rejected(
                    InventoryError.ALREADY_EXISTS,
                    f"Donor {command.donor} is registered already. Use ChangeDonor to change what is known, or choose "
                    "another id.",
                    donor=command.donor,
                )
            return DonorRegistered(**_facts(command), donor=command.donor, occurred_at=at)
        case ChangeDonor():
            if donor.registered_at is None:
                raise Rejected(
                    InventoryError.UNKNOWN_DONOR,
                    f"No donor {command.donor} is registered. Register it first, or check the spelling.",
                    donor=command.donor,
                )
            return DonorChanged(**_facts(command), donor=command.donor, occurred_at=at)


def _facts(command: DonorFacts) -> dict[str, Any]:
    return {name: getattr(command, name) for name in _FACTS}


def check(_: Donor) -> list[str]:
    return []


donor: Final = Decider(inventory, "donor", Donor, Donor, decide, evolve, check)
