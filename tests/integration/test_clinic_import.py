"""`commons import fhir` into a clinic that runs: counted, reconciled, and the same again when it is repeated."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.demo import samples
from tests.integration.commands.conftest import Commons, Done, running
from tests.support.leaks import leaks

_DATA = Path(os.environ.get("COMMONS_DATA") or Path(__file__).parents[3] / "shared" / "data")
_SYNTHEA = sorted((_DATA / "synthea").glob("*.ndjson"))
_SAMPLE = Path(samples.__file__).parent / "samples" / "patients.ndjson"


@pytest.fixture(scope="module")
def commons(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commons]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("NATS_URL", "DATABASE_URL", "COMMONS_DATA", "COLUMNS"):
            patch.delenv(name, raising=False)
        with running(tmp_path_factory.mktemp("import")) as found:
            for who, role in (("osei", "clinician"), ("rui", "front_desk")):
                _send(found, "AddPractitioner", practitioner=who, name=who.title(), roles=[role])
            yield found


def _send(commons: Commons, name: str, /, **fields: Any) -> None:
    flags = [
        part for field, value in fields.items()
        for part in ("--set", f"{field}={value if isinstance(value, str) else json.dumps(value)}")
    ]  # fmt: skip
    done = commons("send", "clinic", name, *flags, "--as", "osei")
    assert done.code == 0, done


def _import(commons: Commons, *files: Path, system: str, actor: str = "osei") -> Done:
    return commons("import", "fhir", *map(str, files), "--from", system, "--as", actor, "--json")


def _figures(done: Done) -> dict[str, tuple[int, int, int, int]]:
    """Of each type what was read, taken, the same as before and refused; what is rightly left out is left out."""
    report = done.json
    assert report["adds_up"] and report["stopped"] is None
    return {
        name: (one["read"], one["taken"], one["same"], one["refused"])
        for name, one in report["types"].items() if not one["left_out"]
    }  # fmt: skip


def _level(commons: Commons) -> str:
    return f"CLINIC:{commons.last('CLINIC')}"


def test_a_sample_of_two_patients_is_imported_shown_and_the_same_again(commons: Commons) -> None:
    dry = commons("import", "fhir", str(_SAMPLE), "--from", "County Clinic", "--as", "osei", "--dry-run")
    assert dry.code == 0 and "Nothing was sent." in dry.out
    first = _import(commons, _SAMPLE, system="County Clinic")
    assert first.code == 0, first
    assert _figures(first) == {
        "Patient": (2, 2, 0, 0), "Encounter": (2, 2, 0, 0), "AllergyIntolerance": (1, 1, 0, 0),
        "Condition": (1, 1, 0, 0), "Observation": (1, 1, 0, 0), "MedicationRequest": (1, 1, 0, 0),
        "Immunization": (1, 1, 0, 0),
    }  # fmt: skip
    last = commons.last("CLINIC")
    again = _import(commons, _SAMPLE, system="County Clinic")
    assert {figures[2] for figures in _figures(again).values()} == {1, 2}
    assert all(taken == 0 for _, taken, _, _ in _figures(again).values())
    assert commons.last("CLINIC") == last, "what is the same adds no event"

    found = commons("show", "patient", "wetherby", "--as", "osei", "--json", "--at-least", _level(commons)).json["rows"]
    assert ["Wetherby" in row["name"] for row in found] == [True], found
    chart = commons("show", "chart", found[0]["patient"], "--purpose", "treatment", "--as", "osei", "--json",
                    "--at-least", _level(commons)).json  # fmt: skip
    assert {"patient", "encounter", "allergy", "problem", "prescription"} <= {row["kind"] for row in chart["rows"]}
    assert "lisinopril 10 MG Oral Tablet" in str(chart) and "ALLERGIES: penicillin G" in chart["message"]


def test_who_has_not_the_role_registers_patients_and_records_nothing_clinical_of_them(commons: Commons) -> None:
    done = _import(commons, _SAMPLE, system="Another", actor="rui")
    assert done.code == 1
    figures = _figures(done)
    assert figures["Patient"] == (2, 2, 0, 0) and figures["AllergyIntolerance"] == (1, 0, 0, 1)
    assert any(one["reason"].startswith("WRONG_ROLE") for one in done.json["refused"])
    again = _import(commons, _SAMPLE, system="Another")
    assert again.code == 0, str(again.json["refused"][-1])
    corrected = _figures(again)
    assert corrected["AllergyIntolerance"] == (1, 1, 0, 0) and corrected["Patient"] == (2, 0, 2, 0)
    unknown = _import(commons, _SAMPLE, system="A third", actor="mallory")
    assert any(one["reason"].startswith("UNKNOWN_PRACTITIONER") for one in unknown.json["refused"])


@pytest.mark.skipif(not _SYNTHEA, reason="the synthetic patients are not at hand")
def test_synthetic_patients_are_imported_whole_and_all_is_the_same_again(commons: Commons) -> None:
    first = _import(commons, *_SYNTHEA, system="Synthea")
    assert first.code == 0, first
    expected = {
        "Patient": 13, "Encounter": 1215, "MedicationRequest": 1745, "Immunization": 161, "AllergyIntolerance": 11,
    }  # fmt: skip
    assert _figures(first) == {name: (number, number, 0, 0) for name, number in expected.items()}
    again = _import(commons, *_SYNTHEA, system="Synthea")
    assert _figures(again) == {name: (number, 0, number, 0) for name, number in expected.items()}
    assert not leaks(["Leopold", "Wetherby", "penicillin G", "lisinopril 10", "Marine542", "Tree nut"], commons.data)
    assert commons("verify").code == 0
