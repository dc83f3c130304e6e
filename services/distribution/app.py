"""The distribution service as a process: its commands, and managers that follow its events and inventory's."""

from __future__ import annotations

from services.distribution.contract import distribution
from services.distribution.deciders import DECIDERS
from services.distribution.processes import following_inventory, managers
from services.inventory.contract import inventory
from shared.application import run
from shared.service import Service
from shared.settings import Settings


def service(settings: Settings) -> Service:
    return Service(distribution, DECIDERS, settings, managers(), following=((inventory, following_inventory()),))


def main() -> None:
    run("distribution", service)


if __name__ == "__main__":
    main()
