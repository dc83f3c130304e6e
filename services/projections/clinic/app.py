"""The clinic's read models as a process of their own, and the search for patients."""

from __future__ import annotations

from services.projections.app import ReadModels
from services.projections.clinic.naming import PATIENTS
from services.projections.registry import CLINIC
from shared.application import run
from shared.settings import Settings

NAME = "clinic-projections"


def read_models(settings: Settings) -> ReadModels:
    return ReadModels(settings, NAME, CLINIC, PATIENTS)


def main() -> None:
    run(NAME, read_models)


if __name__ == "__main__":
    main()
