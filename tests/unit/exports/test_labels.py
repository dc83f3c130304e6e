"""Labels stand on their sheet, hold their code in a QR code that is whole, and say nothing of anybody."""

from __future__ import annotations

import re
import zlib
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
import segno

from services.exports.labels import QUIET, SHEETS, Label, as_pdf, as_svg

BOX = Label("b-7K2M9XQ", "sat-12  2026-11-21")
_BAR = re.compile(r"M([\d.]+) ([\d.]+)h([\d.]+)v([\d.]+)")


def bars(svg: str) -> list[list[tuple[float, ...]]]:
    """The dark bars of each QR code on a sheet: x, y, width, height."""
    root = ET.fromstring(svg)
    paths = [element.attrib["d"] for element in root if element.tag.endswith("path")]
    return [[tuple(map(float, bar)) for bar in _BAR.findall(path)] for path in paths]


@pytest.mark.parametrize("code", ["A", "b-7K2M9XQ", "x" * 48])
@pytest.mark.parametrize("name", SHEETS)
def test_the_bars_are_the_qr_code_of_the_code_alone(name: str, code: str) -> None:
    wanted = segno.make(code, error="m", micro=False).matrix
    (found,) = bars(as_svg([Label(code, "sat-12  2026-11-21")], SHEETS[name])[0])
    module = found[0][3]
    left, top = min(bar[0] for bar in found), min(bar[1] for bar in found)
    dark = {
        (round((y - top) / module), round((x - left) / module) + n)
        for x, y, width, _ in found for n in range(round(width / module))
    }  # fmt: skip
    assert dark == {(row, n) for row, bits in enumerate(wanted) for n, bit in enumerate(bits) if bit}


@pytest.mark.parametrize("name", SHEETS)
def test_every_label_stands_on_the_sheet_and_apart_from_the_others(name: str) -> None:
    sheet = SHEETS[name]
    (page,) = as_svg([Label("x" * 48, "y" * 64)] * sheet.labels, sheet)
    found = bars(page)
    assert len(found) == sheet.labels
    for corner, code in zip(sheet.corners(), found, strict=True):
        quiet = QUIET * code[0][3]
        assert corner[0] <= min(x for x, *_ in code) - quiet
        assert corner[1] <= min(y for _, y, *_ in code) - quiet
        assert max(x + w for x, _, w, _ in code) <= corner[0] + sheet.label_width
        assert max(y + h for _, y, _, h in code) <= corner[1] + sheet.label_height
    assert max(x + sheet.label_width for x, _ in sheet.corners()) <= sheet.width + 1e-6
    assert max(y + sheet.label_height for _, y in sheet.corners()) <= sheet.height + 1e-6
    rows = sorted({y for _, y in sheet.corners()})
    assert all(two - one > sheet.label_height - 1e-6 for one, two in pairwise(rows))


def test_places_that_are_used_up_stay_blank_and_a_full_sheet_is_followed_by_another() -> None:
    sheet = SHEETS["a4-24"]
    pages = as_svg([BOX] * 24, sheet, skip=5)
    assert [len(bars(page)) for page in pages] == [19, 5]
    assert bars(pages[0])[0][0][1] > sheet.corners()[3][1], "the first label stands in the second row"


def test_a_pdf_has_a_page_a_sheet_and_the_same_bytes_for_the_same_labels() -> None:
    made = as_pdf([BOX] * 25, SHEETS["a4-24"])
    assert made.startswith(b"%PDF-") and made.rstrip().endswith(b"%%EOF")
    assert len(re.findall(rb"/Type /Page\b", made)) == 2
    assert made == as_pdf([BOX] * 25, SHEETS["a4-24"])


@pytest.mark.parametrize("name", SHEETS)
def test_a_pdf_draws_what_the_svg_draws(name: str) -> None:
    sheet, scale = SHEETS[name], 72 / 25.4
    labels = [Label("b-(1", "sat-12  2026-11-21"), BOX]
    made = as_pdf(labels, sheet)
    pages = [zlib.decompress(found) for found in re.findall(rb"stream\n(.*?)\nendstream", made, re.DOTALL)]
    drawn = [
        [float(number) for number in found.split()[:4]]
        for page in pages for found in re.findall(rb"^[\d. ]+re$", page, re.MULTILINE)
    ]  # fmt: skip
    wanted = [bar for page in as_svg(labels, sheet) for code in bars(page) for bar in code]
    for (x, y, width, height), bar in zip(drawn, wanted, strict=True):
        assert (x, sheet.height - y - height, width, height) == pytest.approx(bar, abs=0.001)
    said = b"".join(pages)
    assert [rb"(b-\(1) Tj" in said, b"(b-7K2M9XQ) Tj" in said, said.count(b"(sat-12  2026-11-21) Tj")] == [
        True,
        True,
        2,
    ]
    box = re.search(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", made)
    assert box is not None
    assert [float(side) / scale for side in box.groups()] == pytest.approx([sheet.width, sheet.height], abs=0.001)


def test_what_is_said_is_escaped() -> None:
    (page,) = as_svg([Label("b-1", "<a> & b")], SHEETS["a4-24"])
    texts = [element.text for element in ET.fromstring(page) if element.tag.endswith("text")]
    assert texts == ["b-1", "<a> & b"]
