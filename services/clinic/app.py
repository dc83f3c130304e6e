"""The clinic as a process: its commands, and managers that follow its events and inventory's."""

from __future__ import annotations

from datetime import timedelta

from services.clinic.authority import ByRoster
from services.clinic.contract import clinic
from services.clinic.deciders import deciders_under
from services.clinic.processes import following_inventory, managers
from services.inventory.contract import inventory
from shared.actors import verifier
from shared.application import run
from shared.erasure import Terms
from shared.service import Service
from shared.settings import Settings


def service(settings: Settings) -> Service:
    terms = Terms(timedelta(days=settings.erasure_delay_days), settings.retention_years_clinic)
    return Service(
        clinic,
        deciders_under(terms),
        settings,
        managers(terms),
        following=((inventory, following_inventory()),),
        verifier=verifier(settings, "clinic"),
        authority=ByRoster(),
    )


def main() -> None:
    run("clinic", service)


if __name__ == "__main__":
    main()
