"""FHIR files are read resource by resource, whatever they are; what is wrong with one leaves the others alone."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from services.imports.fhir import source
from services.imports.fhir.source import Found, Place, resources
from shared.errors import Invalid

ANA = {"resourceType": "Patient", "id": "ana"}
BO = {"resourceType": "Patient", "id": "bo"}


def read(tmp_path: Path, content: bytes | str, name: str = "file.ndjson") -> list[Found]:
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(resources(file))


def ids(found: list[Found]) -> list[Any]:
    return [one.resource["id"] if one.resource else None for one in found]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\n\n  \n"])
@pytest.mark.parametrize("begin", [b"", b"\xef\xbb\xbf"])
def test_each_line_is_a_resource(tmp_path: Path, begin: bytes, end: bytes) -> None:
    lines = [json.dumps(ANA).encode(), json.dumps(BO).encode()]
    assert ids(read(tmp_path, begin + end.join(lines))) == ["ana", "bo"]
    assert ids(read(tmp_path, begin + end.join(lines) + end, "other.txt")) == ["ana", "bo"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "not JSON"),
        (b"nonsense", "not JSON"),
        (b'{"resourceType":"Patient"', "not JSON"),
        (b"[]", "no resourceType"),
        (b"null", "no resourceType"),
        (b'{"id":"x"}', "no resourceType"),
        (b'{"resourceType":5}', "no resourceType"),
        (b'{"resourceType":"Patient","id":"a","id":"b"}', "twice"),
        (b'{"resourceType":"Patient","x":NaN}', "NaN"),
        (b'{"resourceType":"Patient","x":[-Infinity]}', "NaN"),
        (b'{"resourceType":"Patient","x":"\\ud800"}', "half a character"),
        (b'{"resourceType":"Patient","x":' + b"[" * 100 + b"]" * 100 + b"}", "nested"),
        (b'{"resourceType":"Patient","x":' + b"[" * 100_000, "out of all reason"),
        (b'{"resourceType":"Patient","x":' + b"9" * 5000 + b"}", "out of all reason"),
        (b'{"resourceType":"Patient"} {"resourceType":"Patient"}', "not JSON"),
    ],
)
def test_a_line_that_is_no_resource_is_named_and_the_others_are_read(tmp_path: Path, line: bytes, reason: str) -> None:
    found = read(tmp_path, b"\n".join([json.dumps(ANA).encode(), line, json.dumps(BO).encode()]))
    assert ids(found) == ["ana", None, "bo"]
    assert found[1].place == Place(2) and reason in (found[1].fault or "")


def test_a_line_beyond_all_measure_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "MAX_RESOURCE", 1000)
    huge = json.dumps(ANA | {"x": "y" * 700_000})
    found = read(tmp_path, "\n".join([huge, json.dumps(BO), huge]))
    assert ids(found) == [None, "bo", None] and [one.place.number for one in found] == [1, 2, 3]
    assert "longer than 1,000 bytes" in (found[0].fault or "")


def test_the_last_line_of_a_file_that_was_cut_says_so(tmp_path: Path) -> None:
    whole = "\n".join([json.dumps(ANA), json.dumps(BO)])
    found = read(tmp_path, whole[:-5])
    assert ids(found) == ["ana", None] and "breaks off within it" in (found[1].fault or "")
    for ended in (whole[:-5] + "\n", json.dumps(ANA) + "\nnonsense"):
        assert "it is not JSON" in (read(tmp_path, ended)[1].fault or "")


@pytest.mark.parametrize("name", ["file.ndjson", "file.json"])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"  \n", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"PK\x03\x04", "a zip archive"),
        (b"\x1f\x8b123", "a gzip archive"),
        (b"\xff\xfe{", "UTF-16"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "line 1, byte 1: the file is not UTF-8"),
        (b'{"a":1}\n{"a":\x00}\n', "line 2, byte 6: there is a NUL byte"),
        (b'{"a":1}\n{"a":"M\xfcller"}\n' * 9, "line 2, byte 8: the file is not UTF-8 text"),
        (b"<Patient/>", "is XML"),
        (b"id,name\n1,Ana\n", "does not begin with {"),
        (b'[{"resourceType":"Patient"}]', "does not begin with {"),
    ],
)
def test_what_is_no_text_or_no_json_at_all_is_one_error(tmp_path: Path, content: bytes, reason: str, name: str) -> None:
    with pytest.raises(Invalid, match=reason):
        read(tmp_path, content, name)


def test_a_file_that_stops_being_text_far_within_is_one_error_too(tmp_path: Path) -> None:
    line = json.dumps(ANA | {"x": "y" * 1000}).encode() + b"\n"
    for name, content in (
        ("file.ndjson", line * 1000 + b"\xff\n" * 1000),
        ("b.json", json.dumps(bundle(*[ANA | {"x": "y" * 1000}] * 1000)).encode()[:-3] + b"\xff"),
    ):
        with pytest.raises(Invalid, match="UTF-8"):
            read(tmp_path, content, name)


# -- bundles ----------------------------------------------------------------------------------------------------------


def bundle(*resources_: Any, kind: str = "collection", **more: Any) -> dict[str, Any]:
    entries = [{"fullUrl": f"urn:uuid:{i}", "resource": one} for i, one in enumerate(resources_)]
    return {"resourceType": "Bundle", "type": kind, "entry": entries} | more


@pytest.mark.parametrize("kind", ["collection", "searchset", "transaction", "batch"])
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("begin", [b"", b"\xef\xbb\xbf"])
def test_the_entries_of_a_bundle_are_resources(tmp_path: Path, kind: str, indent: int | None, begin: bytes) -> None:
    text = json.dumps(bundle(ANA, BO, kind=kind, meta={"tag": [{"code": "é"}]}), indent=indent, ensure_ascii=False)
    found = read(tmp_path, begin + text.encode(), "bundle.json")
    assert ids(found) == ["ana", "bo"] and [one.place.number for one in found] == [1, 2]
    assert [one.full_url for one in found] == ["urn:uuid:0", "urn:uuid:1"]


def test_entries_that_stand_before_the_type_are_read_too(tmp_path: Path) -> None:
    made = bundle(ANA)
    text = json.dumps({"entry": made["entry"], "resourceType": "Bundle"})
    assert ids(read(tmp_path, text, "b.json")) == ["ana"]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_a_bundle_is_read_in_pieces_of_any_size(tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "_CHUNK", size)
    text = json.dumps(bundle(ANA | {"x": [1.5, -2, 'é\\"', None, True]}, BO, total=12345), ensure_ascii=False)
    (tmp_path / "b.json").write_text(text)
    with (tmp_path / "b.json").open("rb") as file:
        found = list(source._document(tmp_path / "b.json", file))
    assert ids(found) == ["ana", "bo"]


def test_one_resource_is_a_file_of_its_own_and_an_empty_bundle_of_none(tmp_path: Path) -> None:
    assert ids(read(tmp_path, json.dumps(ANA, indent=1), "ana.json")) == ["ana"]
    assert ids(read(tmp_path, json.dumps(ANA), "ana.json")) == ["ana"]
    assert read(tmp_path, json.dumps({"resourceType": "Bundle", "type": "collection"}), "b.json") == []
    assert read(tmp_path, json.dumps(bundle()), "b.json") == []
    assert read(tmp_path, json.dumps({"id": "x"}), "x.json")[0].fault


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"resource": None}, "no resourceType"),
        ({}, "no resourceType"),
        ("x", "object"),
        ([], "object"),
        ({"resource": ANA, "request": {"method": "DELETE", "url": "Patient/ana"}}, "DELETE"),
        ({"request": {"method": "GET"}}, "GET"),
    ],
)
def test_an_entry_that_is_no_resource_leaves_the_others_alone(tmp_path: Path, entry: Any, reason: str) -> None:
    made = bundle(ANA, BO)
    made["entry"].insert(1, entry)
    found = read(tmp_path, json.dumps(made), "b.json")
    assert ids(found) == ["ana", None, "bo"] and reason in (found[1].fault or "")


def test_an_entry_that_names_an_element_twice_leaves_the_others_alone(tmp_path: Path) -> None:
    text = json.dumps(bundle(ANA, BO)).replace('"id": "ana"', '"id": "ana", "id": "eve"')
    found = read(tmp_path, text, "b.json")
    assert ids(found) == [None, "bo"] and "twice" in (found[0].fault or "")


@pytest.mark.parametrize("indent", [None, 1])
def test_a_bundle_that_breaks_off_anywhere_is_invalid_as_a_whole_and_says_so(
    tmp_path: Path, indent: int | None
) -> None:
    text = json.dumps(bundle(ANA, BO, total=12, x=[True, None, -1.5, "é\\"]), indent=indent)
    for cut in range(1, len(text)):
        with pytest.raises(Invalid, match="breaks off: it was not written"):
            read(tmp_path, text[:cut], "b.json")


def test_a_bundle_that_is_no_json_says_where(tmp_path: Path) -> None:
    text = json.dumps(bundle(ANA, BO, BO))
    at = text.index('"resource"', text.index('"bo"'))
    with pytest.raises(Invalid, match=r"not JSON from character .* 2 entries were read before that\."):
        read(tmp_path, text[:at] + "oops" + text[at:], "b.json")


@pytest.mark.parametrize("tail", ["}", " x", '{"resourceType":"Bundle"}', "]"])
def test_what_stands_behind_a_bundle_is_not_passed_over(tmp_path: Path, tail: str) -> None:
    with pytest.raises(Invalid, match="something behind the end"):
        read(tmp_path, json.dumps(bundle(ANA), indent=1) + tail, "b.json")


def test_a_bundle_of_any_size_is_read_in_bounded_memory(tmp_path: Path) -> None:
    file = tmp_path / "large.json"
    entry = json.dumps({"resource": ANA | {"text": {"div": "x" * 10_000}}})
    with file.open("w") as out:
        out.write('{"resourceType":"Bundle","entry":[')
        for number in range(2_000):
            out.write(("," if number else "") + entry)
        out.write("]}")
    tracemalloc.start()
    try:
        number = sum(one.fault is None for one in resources(file))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert number == 2_000 and file.stat().st_size > 20_000_000
    assert peak < 4_000_000


def test_what_stands_beside_the_entries_of_a_bundle_is_not_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many elements that nobody asked for: each is small, and together they are as large as the file."""
    monkeypatch.setattr("services.imports.fhir.source.MAX_RESOURCE", 10_000)
    more = {f"x{n}": "y" * 1_000 for n in range(100)}
    entry = [{"resource": {"resourceType": "Patient", "id": "p1"}}]
    first = json.dumps({"resourceType": "Bundle"} | more | {"entry": entry})
    assert ids(read(tmp_path, first, "first.json")) == ["p1"]
    after = json.dumps({"entry": entry, "resourceType": "Bundle"} | more)
    assert ids(read(tmp_path, after, "after.json")) == ["p1"]
    names = {f"{n:0>200}": 1 for n in range(100)}
    for beyond in (more | {"resourceType": "Bundle", "entry": entry}, {"resourceType": "Bundle"} | names):
        with pytest.raises(Invalid, match="10,000 characters in all"):
            read(tmp_path, json.dumps(beyond), "beyond.json")


def test_an_element_beyond_all_measure_is_held_by_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "MAX_RESOURCE", 10_000)
    with pytest.raises(Invalid, match="10,000 characters"):
        read(tmp_path, json.dumps(bundle(ANA, BO | {"x": "y" * 900_000}, ANA)), "b.json")
