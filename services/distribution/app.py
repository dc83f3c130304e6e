"""The distribution service as a process: its commands, and managers that follow its events and inventory's."""

from __future__ import annotations

from services.distribution.contract import distribution
from services.distribution.deciders import deciders_under
from services.distribution.processes import following_inventory, managers
from services.inventory.contract import inventory
from shared.actors import verifier
from shared.application import run
from shared.authority import ByGrants
from shared.erasure import Terms
from shared.service import Service
from shared.settings import Settings


def service(settings: Settings) -> Service:
    terms = Terms.of(settings, settings.retention_years_served)
    return Service(
        distribution,
        deciders_under(terms),
        settings,
        managers(terms),
        following=((inventory, following_inventory()),),
        verifier=verifier(settings, "distribution"),
        authority=ByGrants(distribution, from_tokens=settings.roles_from_tokens),
    )


def main() -> None:
    run("distribution", service)


if __name__ == "__main__":
    main()
