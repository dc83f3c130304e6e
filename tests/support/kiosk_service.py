"""The kiosk as a process of its own: `python -m tests.support.kiosk_service`."""

from __future__ import annotations

from shared.application import run
from shared.service import Service
from tests.support.kiosk import DECIDERS, kiosk

if __name__ == "__main__":
    run("kiosk", lambda settings: Service(kiosk, DECIDERS, settings))
