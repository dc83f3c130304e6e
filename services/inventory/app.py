"""The inventory service as a process."""

from __future__ import annotations

from services.inventory.contract import inventory
from services.inventory.deciders import DECIDERS
from shared.application import run
from shared.service import Service


def main() -> None:
    run("inventory", lambda settings: Service(inventory, DECIDERS, settings))


if __name__ == "__main__":
    main()
