"""The inventory service as a process: its commands, and the process managers that follow its events."""

from __future__ import annotations

from services.inventory.contract import inventory
from services.inventory.deciders import deciders_under
from services.inventory.processes import managers
from shared.actors import verifier
from shared.application import run
from shared.authority import ByGrants
from shared.erasure import Terms
from shared.service import Service
from shared.settings import Settings


def service(settings: Settings) -> Service:
    terms = Terms.of(settings, settings.retention_years)
    return Service(
        inventory,
        deciders_under(terms),
        settings,
        managers(terms),
        verifier=verifier(settings, "inventory"),
        authority=ByGrants(inventory, from_tokens=settings.roles_from_tokens),
    )


def main() -> None:
    run("inventory", service)


if __name__ == "__main__":
    main()
