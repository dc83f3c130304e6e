"""What is checked in under docs/ is what the contracts say, and it is valid in its own standards."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from services.reference.__main__ import main
from services.reference.files import CONTRACTS, reference
from services.reference.schemas import envelope_schema, event_schema
from shared.event import FIRST_PREVHASH, Envelope, encode, event_id

DOCS = Path(__file__).parents[3] / "docs"


def test_what_is_checked_in_is_what_the_contracts_say() -> None:
    assert main(["--check", "--docs", str(DOCS)]) == 0, "run: python -m services.reference"


def test_a_stale_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--docs", str(tmp_path)]) == 0
    (tmp_path / "events.md").write_text("something else")
    capsys.readouterr()
    assert main(["--check", "--docs", str(tmp_path)]) == 1
    assert "docs/events.md" in capsys.readouterr().err


def test_every_schema_is_a_valid_json_schema() -> None:
    for name, text in reference().items():
        if name.startswith("schemas/"):
            jsonschema.Draft202012Validator.check_schema(json.loads(text))


def test_every_reference_inside_the_asyncapi_document_leads_somewhere() -> None:
    for name, text in reference().items():
        if name.startswith("asyncapi"):
            document = json.loads(text)
            references = _references(document)
            assert references, "a document without references is not one of ours"
            for reference_ in references:
                target = document
                for part in reference_.removeprefix("#/").split("/"):
                    assert part in target, f"{reference_} leads nowhere"
                    target = target[part]


def test_every_event_of_a_contract_has_a_schema_whose_id_events_name() -> None:
    for contract, _ in CONTRACTS:
        for spec in contract.events.values():
            assert event_schema(spec)["$id"] == f"urn:commons:schema:{spec.type}"


def test_an_envelope_as_it_is_written_fits_its_schema() -> None:
    raw = encode(
        Envelope(
            specversion="1.0", id=event_id("ledger.inventory.item.rice", "1"), source="/commons/local/inventory",
            type="commons.inventory.item-registered.v1", subject="item/rice", time="2026-11-20T09:30:00.000000Z",
            dataschema="urn:commons:schema:commons.inventory.item-registered.v1", datacontenttype="application/json",
            revision=1, prevhash=FIRST_PREVHASH, correlationid="1", causationid="1", authtype="user", authid="sam",
            data={},
        )
    )  # fmt: skip
    validator = jsonschema.Draft202012Validator(envelope_schema())
    validator.validate(json.loads(raw))
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(json.loads(raw) | {"more": 1})


def _references(value: object) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [r for item in value.values() for r in _references(item)]
    return [r for item in value for r in _references(item)] if isinstance(value, list) else []
