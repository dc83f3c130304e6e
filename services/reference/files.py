"""Every file of the reference, generated: what there is, and which older ones must stay."""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path
from typing import Any

from services.clinic.contract import ClinicError, clinic
from services.distribution.contract import DistributionError, distribution
from services.inventory.contract import InventoryError, inventory
from services.reference.asyncapi import document
from services.reference.catalogue import page
from services.reference.schemas import command_schema, envelope_schema, event_schema
from services.treasury.contract import TreasuryError, treasury

CONTRACTS = [
    (inventory, InventoryError),
    (distribution, DistributionError),
    (treasury, TreasuryError),
    (clinic, ClinicError),
]


def reference() -> dict[str, str]:
    """Every generated file: its path under docs/, and what it holds."""
    version = importlib.metadata.version("commons-ledger")
    return schemas_and_catalogue() | {
        f"asyncapi-{contract.service}.json": _json(document(contract, refusals, version))
        for contract, refusals in CONTRACTS
    }


def schemas_and_catalogue() -> dict[str, str]:
    """What a reader of events needs: the catalogue, and the JSON Schemas of envelope, events and commands."""
    files = {"events.md": page(list(CONTRACTS)), "schemas/commons.envelope.json": _json(envelope_schema())}
    for contract, _ in CONTRACTS:
        for event in contract.events.values():
            files[f"schemas/{event.type}.json"] = _json(event_schema(event))
        for command in contract.commands.values():
            schema = command_schema(contract, command)
            files[f"schemas/commons.{contract.service}.{command.subject_token}.json"] = _json(schema)
    return files


def missing_versions(docs: Path) -> list[str]:
    """Schemas of older event versions that are not there: events under them are in the ledger for ever."""
    return [
        f"schemas/{contract.event_type(spec.name, version)}.json"
        for contract, _ in CONTRACTS
        for spec in contract.events.values()
        for version in range(1, spec.version)
        if not (docs / f"schemas/{contract.event_type(spec.name, version)}.json").exists()
    ]


def _json(made: dict[str, Any]) -> str:
    return json.dumps(made, indent=2, ensure_ascii=False) + "\n"
