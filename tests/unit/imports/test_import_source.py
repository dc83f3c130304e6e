"""A file that somebody else made is refused with one clear error, or streamed with the line numbers of an editor."""

from __future__ import annotations

import contextlib
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.imports import source
from services.imports.documents import Document, documents, is_json
from services.imports.plan import Refused
from services.imports.source import Columns, Row, rows
from shared.errors import Invalid

COLUMNS = Columns(("item", "name"), ("note",))


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    return tmp_path / "given.csv"


def read(file: Path, data: bytes | str) -> list[Row | Refused]:
    file.write_bytes(data.encode() if isinstance(data, str) else data)
    return list(rows(file, COLUMNS))


def refusal(file: Path, data: bytes | str) -> str:
    with pytest.raises(Invalid) as caught:
        read(file, data)
    return caught.value.detail


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_common_dialect_reads_the_same(file: Path, separator: str, bom: str, end: str) -> None:
    text = bom + end.join(["Item;Name", 'a;"x y"', "b; été "]).replace(";", separator) + end
    assert read(file, text) == [Row(2, {"item": "a", "name": "x y"}), Row(3, {"item": "b", "name": "été"})]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_header_in_quotation_marks_is_read_under_every_separator(file: Path, separator: str) -> None:
    got = read(file, '"item";"name"\n"a";"x, y"\n'.replace(";", separator))
    assert got == [Row(2, {"item": "a", "name": "x, y"})]


def test_lines_are_numbered_as_in_an_editor_when_a_cell_holds_line_breaks(file: Path) -> None:
    got = read(file, '\n\nitem,name\na,"one\ntwo\nthree"\n\nb,four\n')
    assert [(row.line, row.cells["item"]) for row in got if isinstance(row, Row)] == [(4, "a"), (8, "b")]


def test_a_ragged_line_is_refused_and_the_others_are_read(file: Path) -> None:
    got = read(file, "item,name\na,b,c\nd\ne,f\n")
    assert [type(one) for one in got] == [Refused, Refused, Row]
    assert got[0].line == 2 and "3 cells where the header has 2 (separator: comma)" in got[0].reason


def test_bytes_that_are_not_utf8_are_named_with_line_and_offset(file: Path) -> None:
    assert "line 3, byte 15: 0xe9 is not UTF-8; save the file again" in refusal(file, b"item,name\na,b\nc\xe9,d\n")


def test_a_character_cut_off_at_the_end_is_not_utf8(file: Path) -> None:
    assert "line 2, byte 12: 0xc3 is not UTF-8" in refusal(file, b"item,name\na,\xc3")


def test_characters_across_the_reader_s_chunks_are_whole(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "CHUNK", 3)
    got = read(file, "item,name\r\né€,😀\r\n")
    assert got == [Row(2, {"item": "é€", "name": "😀"})]
    assert "line 3, byte 16" in refusal(file, b"item,name\r\na,b\r\n\xff,d\r\n")


def test_a_nul_byte_is_named(file: Path) -> None:
    assert "line 2, byte 11: there is a NUL byte" in refusal(file, b"item,name\na\0,b\n")


@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf", b" \r\n\n  "])
def test_an_empty_file_is_refused(file: Path, data: bytes) -> None:
    assert refusal(file, data) == "given.csv is empty."


@pytest.mark.parametrize(
    ("data", "what"),
    [("item,name\n".encode("utf-16"), "UTF-16"), (b"PK\x03\x04rest", "spreadsheet"), (b"\x1f\x8b0", "gzip")],
)
def test_another_format_is_called_by_its_name(file: Path, data: bytes, what: str) -> None:
    assert what in refusal(file, data)


def test_a_file_that_is_not_there_is_said_so(file: Path) -> None:
    with pytest.raises(Invalid, match=r"given\.csv cannot be opened: No such file"):
        rows(file, COLUMNS)


def test_missing_unknown_and_doubled_columns_are_named_with_those_expected(file: Path) -> None:
    said = refusal(file, "item,colour,item\na,b,c\n")
    assert "lacks the columns name" in said and "not known: colour" in said and "names twice: item" in said
    assert "must have item, name; it may have note" in said


def test_an_over_long_line_is_refused_before_it_is_held(file: Path) -> None:
    assert "line 3: the line is longer than 1,000,000 bytes" in refusal(file, "item,name\na,b\n" + "x" * 1_000_100)


def test_a_quotation_that_never_ends_refuses_the_whole_file(file: Path) -> None:
    assert "line 3: the record that begins here cannot be read" in refusal(file, 'item,name\na,b\nc,"d\ne,f\n')


def test_a_hundred_thousand_lines_stream_in_little_memory(file: Path) -> None:
    with file.open("w") as out:
        out.write("item,name\n")
        out.writelines(f"item-{i},Rice {i}\n" for i in range(100_000))
    tracemalloc.start()
    try:
        last = None
        for row in rows(file, COLUMNS):
            last = row
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(last, Row) and last.line == 100_001
    assert peak < 2_000_000


@given(data=st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_no_bytes_raise_anything_but_a_clear_refusal(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "any"
    path.write_bytes(data)
    for reader in (lambda: rows(path, COLUMNS), lambda: documents(path)):
        with contextlib.suppress(Invalid):
            list(reader())


# -- JSON ---------------------------------------------------------------------------------------------------------


def values(file: Path, text: str | bytes) -> list[Document | Refused]:
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return list(documents(file))


def test_one_document_and_json_lines_are_told_apart_by_content(file: Path) -> None:
    assert values(file, '{\n "a": 1\n}\n') == [Document(1, {"a": 1})]
    assert values(file, '{"a": 1}') == [Document(1, {"a": 1})]
    assert values(file, '\ufeff{"a": 1}\n\n{"b": 2}\n') == [Document(1, {"a": 1}), Document(3, {"b": 2})]
    assert is_json(file)


def test_a_truncated_document_is_called_truncated(file: Path) -> None:
    with pytest.raises(Invalid, match=r"given\.csv is not a JSON document: it ends in the middle"):
        values(file, '{"results": [\n{"a": 1},')


def test_a_malformed_document_names_byte_and_line(file: Path) -> None:
    with pytest.raises(Invalid, match=r"\(byte \d+\) \(line 2 of it\)"):
        values(file, '{"a":\n nope}')


def test_a_truncated_last_line_of_json_lines_is_one_refused_line(file: Path) -> None:
    whole = json.dumps({"a": 1})
    got = values(file, f"{whole}\n{whole}\n{whole[:-2]}")
    assert got[:2] == [Document(1, {"a": 1}), Document(2, {"a": 1})]
    assert isinstance(got[2], Refused) and got[2].line == 3 and "ends in the middle" in got[2].reason


def test_deep_nesting_is_refused_not_a_crash(file: Path) -> None:
    with pytest.raises(Invalid, match=r"nested too deeply|ends in the middle"):
        values(file, "[" * 200_000)
