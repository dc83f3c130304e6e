"""OFX of both versions becomes the same tree; whatever is malformed, cut off or declares entities is refused."""

from __future__ import annotations

import contextlib
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.imports.ofx import is_ofx, read_ofx
from shared.errors import Invalid

FILE = Path("bank.ofx")
HEADER = "OFXHEADER:100\r\nDATA:OFXSGML\r\nVERSION:102\r\nCHARSET:1252\r\n\r\n"
XML = '<?xml version="1.0" encoding="UTF-8"?>\n<?OFX OFXHEADER="200" VERSION="211"?>\n'


def shape(element: Element) -> tuple[object, ...]:
    return element.tag, (element.text or "").strip(), [shape(child) for child in element]


def refusal(data: bytes | str) -> str:
    with pytest.raises(Invalid) as caught:
        read_ofx(FILE, data.encode() if isinstance(data, str) else data)
    return caught.value.detail


def test_both_versions_and_every_habit_of_closing_tags_give_one_tree() -> None:
    tree = shape(read_ofx(FILE, f"{XML}<OFX><A><B>x &amp; y</B><C></C><D>2</D></A></OFX>".encode()))
    assert tree == ("OFX", "", [("A", "", [("B", "x & y", []), ("C", "", []), ("D", "2", [])])])
    for body in (
        "<OFX><A><B>x &amp; y<C><D>2</A></OFX>",
        "<OFX>\r\n<A>\r\n<B>x &amp; y\r\n<C>\r\n<D>2\r\n</A>\r\n</OFX>\r\n",
        "<ofx><a><b>x &amp; y</b><c></c><d>2</d></a></ofx>",
        "<OFX><A><B><![CDATA[x & y]]></B><C></C><D>2</D></A></OFX>",
    ):
        assert shape(read_ofx(FILE, (HEADER + body).encode())) == tree


def test_a_bank_that_writes_another_charset_than_it_names_is_understood() -> None:
    body = "<OFX><NAME>Bäckerei é</OFX>"
    for codec in ("utf-8", "cp1252"):
        assert read_ofx(FILE, (HEADER + body).encode(codec)).findtext("NAME") == "Bäckerei é"
    cyrillic = (HEADER.replace("1252", "1251") + "<OFX><NAME>Мир</OFX>").encode("cp1251")
    assert read_ofx(FILE, cyrillic).findtext("NAME") == "Мир"


BOMB = (
    '<?xml version="1.0"?>\n<!DOCTYPE OFX [\n<!ENTITY a "aaaaaaaaaa">\n'
    + "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">\n' for n in range(9))
    + "]>\n<OFX><NAME>&j;</NAME></OFX>"
)


@pytest.mark.parametrize(
    "data",
    [
        BOMB,
        f'{XML}<!DOCTYPE OFX SYSTEM "file:///etc/passwd"><OFX></OFX>',
        f'{XML}<!DOCTYPE OFX [<!ENTITY x SYSTEM "file:///etc/passwd">]><OFX><NAME>&x;</NAME></OFX>',
        f'{HEADER}<OFX><!DOCTYPE x [<!ENTITY a "b">]><NAME>&a;</OFX>',
    ],
)
def test_a_document_type_is_refused_before_any_entity_of_it_is_read(data: str) -> None:
    assert "declares a document type or entities" in refusal(data)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (f"{XML}<OFX><A>1</OFX>", "line 3: it is not well-formed XML (mismatched tag)"),
        (f"{XML}<OFX><A>1</A>", "not well-formed XML (no element found)"),
        (f"{XML}<OFX>&undeclared;</OFX>", "not well-formed XML (undefined entity)"),
        (f"{XML}<HTML></HTML>", "holds a HTML document, not OFX"),
        (f"{HEADER}<OFX>\n<A>\n<B>1\n", "the file ends in the middle: <OFX> is not closed"),
        (f"{HEADER}<OFX>\n<B>1\n</C>\n</OFX>", "</C> closes what was not opened"),
        (f"{HEADER}<OFX>\n<B>1 < 2\n</OFX>", "line 7: a tag is cut off or malformed"),
        (f"{HEADER}<OFX>\n<B>1\n</OFX><OFX></OFX>", "more than one <OFX>"),
        (f"{HEADER}<OFX><A><B>1</A> text</OFX>", "there is text behind </A>"),
        (HEADER, "there is no <OFX> in it"),
        (HEADER + "<OFX>" + "<A>" * 60, "more than 50 tags are not closed"),
        (XML + "<OFX>" + "<A>" * 60, "more than 50 deep"),
        ('<?xml version="1.0" encoding="klingon"?><OFX></OFX>', "line 1"),
    ],
)
def test_what_is_malformed_is_refused_with_its_line(data: str, said: str) -> None:
    assert said in refusal(data)


def test_a_file_is_known_by_how_it_begins() -> None:
    assert is_ofx(HEADER.encode()) and is_ofx(XML.encode()) and is_ofx(b"\xef\xbb\xbf\n<OFX>")
    assert not is_ofx(b"date,amount\n") and not is_ofx(b"")


@given(
    st.text(alphabet="<>/AB&;![CDAT]-= \n1x", max_size=80),
    st.sampled_from([HEADER, XML, HEADER + "<OFX>", XML + "<OFX>"]),
)
def test_any_text_is_a_tree_or_a_clear_refusal(text: str, head: str) -> None:
    with contextlib.suppress(Invalid):
        assert read_ofx(FILE, (head + text).encode()).tag == "OFX"
