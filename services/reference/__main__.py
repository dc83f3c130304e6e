"""Write the reference, or check that what is checked in is what the contracts say."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import sys
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
    files = {"events.md": page(list(CONTRACTS)), "schemas/commons.envelope.json": _json(envelope_schema())}
    for contract, refusals in CONTRACTS:
        made = document(contract, refusals, importlib.metadata.version("commons-ledger"))
        files[f"asyncapi-{contract.service}.json"] = _json(made)
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


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m services.reference", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if a file differs")
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="the folder to write into (docs)")
    given = parser.parse_args(arguments)
    files = reference()
    stale = [
        name
        for name, text in files.items()
        if not (given.docs / name).exists() or (given.docs / name).read_text(encoding="utf-8") != text
    ]
    lost = missing_versions(given.docs)
    for name in lost:
        print(
            f"docs/{name} is missing: restore it from history, events of that version are still read", file=sys.stderr
        )
    if given.check:
        for name in stale:
            print(f"docs/{name} is not what the contracts say; run: python -m services.reference", file=sys.stderr)
        return 1 if stale or lost else 0
    for name in stale:
        (given.docs / name).parent.mkdir(parents=True, exist_ok=True)
        (given.docs / name).write_text(files[name], encoding="utf-8")
    print(f"{len(files)} files, {len(stale)} written")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
