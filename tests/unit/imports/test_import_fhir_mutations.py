"""Whatever is wrong with a resource, it is taken, left out or refused; it never ends the import, nor goes uncounted."""

from __future__ import annotations

import asyncio
import copy
import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.fhir.entry import Resource
from services.fhir.mapping import resources
from services.fhir.models import encoded
from services.imports.fhir.run import run
from tests.support.charts import charts

JUNK = (
    None, [], {}, "", " ", 0, -1, 1e300, True, "x", [None], [[]], [{}], {"a": 1}, {"coding": None}, {"coding": [None]},
    {"coding": [{}]}, {"reference": 5}, {"reference": "#"}, {"value": "1"}, {"value": None}, "2020", "2020-02-30",
    "\ufffd" * 300, "1" * 300, "\x7f", [{"extension": []}], [{"url": "x"}],
)  # fmt: skip

WHOLE: list[Resource] = [json.loads(encoded(made)) for entry in charts() for made in resources(entry)]


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a resource but its type."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [path] if path else []
    for name, one in inside:
        if name != "resourceType":
            found += _paths(one, (*path, name))
    return found


@st.composite
def damaged(draw: st.DrawFn) -> Resource:
    """A resource in which one or two places hold junk, lack what they held, or hold something more."""
    made = copy.deepcopy(draw(st.sampled_from(WHOLE)))
    for _ in range(draw(st.integers(1, 2))):
        places = _paths(made)
        *way, last = draw(st.sampled_from(places))
        holder: Any = made
        for step in way:
            holder = holder[step]
        match draw(st.sampled_from(["replace", "remove", "add"])):
            case "remove":
                del holder[last]
            case "add" if isinstance(holder, dict):
                name = draw(st.sampled_from(["extension", "_status", "note", "text", "code", "valueString", "period"]))
                holder[name] = copy.deepcopy(draw(st.sampled_from(JUNK)))
            case _:
                holder[last] = copy.deepcopy(draw(st.sampled_from(JUNK)))
        if not _paths(made):
            break
    return made


async def _nothing(*_: Any) -> Any:
    raise AssertionError("a dry run sends nothing")


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(damaged(), min_size=1, max_size=4))
def test_a_damaged_resource_is_accounted_for(tmp_path: Path, found: list[Resource]) -> None:
    whole = [one for one in WHOLE if one["resourceType"] in ("Patient", "Encounter")]
    file = tmp_path / "damaged.ndjson"
    file.write_text("".join(json.dumps(one) + "\n" for one in [*whole, *found]))
    report = asyncio.run(run([file], "x", _nothing, dry_run=True))
    assert report.adds_up and report.total.read == len(whole) + len(found) and report.total.waiting == 0
    json.dumps(report.as_json())
    report.as_text()
