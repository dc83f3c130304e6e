"""Labels with a QR code, set out on sheets that are sold for it: as PDF, or one SVG a sheet.

A label says a code, and under it at most a session and a day: never who, and never what. The QR code holds the code
alone, as a scanner at the table types it. Lengths are in millimetres, from the sheet's upper left corner.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

import segno

QUIET: Final = 4
"""Blank modules around a QR code that ISO/IEC 18004 asks for."""

_INCH: Final = 25.4
_POINT: Final = 72 / _INCH

_FONTS: Final = {"code": "Courier-Bold", "line": "Helvetica"}
"""Those that every reader of PDF has."""


@dataclass(frozen=True, slots=True)
class Label:
    """A code, and a line under it."""

    code: str
    line: str = ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sheet of labels: its size, how many stand across and down, the size of one, and from where to where."""

    width: float
    height: float
    across: int
    down: int
    label_width: float
    label_height: float
    left: float
    top: float
    step_x: float
    step_y: float

    @property
    def labels(self) -> int:
        return self.across * self.down

    def corners(self) -> list[tuple[float, float]]:
        """The upper left corner of each label, row by row."""
        return [
            (self.left + column * self.step_x, self.top + row * self.step_y)
            for row in range(self.down) for column in range(self.across)
        ]  # fmt: skip


SHEETS: Final[dict[str, Sheet]] = {
    "a4-24": Sheet(210, 297, 3, 8, 70, 37, 0, 0.5, 70, 37),
    "a4-21": Sheet(210, 297, 3, 7, 63.5, 38.1, 7.2, 15.1, 66.0, 38.1),
    "a4-65": Sheet(210, 297, 5, 13, 38.1, 21.2, 4.75, 10.7, 40.6, 21.2),
    "letter-30": Sheet(215.9, 279.4, 3, 10, 66.675, 25.4, 4.7625, 12.7, 69.85, 25.4),
    "roll-62x29": Sheet(62, 29, 1, 1, 62, 29, 0, 0, 62, 29),
}
"""By name: paper and labels on it; 24 of 70 x 37, 21 of 63.5 x 38.1 and 65 of 38.1 x 21.2 mm on A4, 30 of 2 5/8 x 1
inch on letter, and one at a time for a printer of labels."""


@dataclass(frozen=True, slots=True)
class _Placed:
    """Where the parts of one label stand: dark bars of its QR code (x, y, width; each `module` high), and its text."""

    bars: list[tuple[float, float, float]]
    module: float
    text_x: float
    code_y: float
    code_size: float
    line_y: float
    line_size: float
    label: Label


def as_pdf(labels: Sequence[Label], sheet: Sheet, *, skip: int = 0) -> bytes:
    """All labels as one PDF, a page a sheet; `skip` places of the first stay blank. The same give the same file."""
    import pydyf  # of all commands one prints

    pdf = pydyf.PDF()
    pdf.info["Title"] = pydyf.String("Labels")
    fonts = pydyf.Dictionary()
    for key, name in _FONTS.items():
        fonts[key] = pydyf.Dictionary({"Type": "/Font", "Subtype": "/Type1", "BaseFont": f"/{name}"})
    for page in _pages(labels, sheet, skip):
        stream = pydyf.Stream(compress=True)
        stream.set_matrix(_POINT, 0, 0, _POINT, 0, 0)
        for placed in page:
            for x, y, width in placed.bars:
                stream.rectangle(x, sheet.height - y - placed.module, width, placed.module)
            stream.fill()
            for font, y, size, text in (
                ("code", placed.code_y, placed.code_size, placed.label.code),
                ("line", placed.line_y, placed.line_size, placed.label.line),
            ):
                stream.begin_text()
                stream.set_font_size(font, size)
                stream.move_text_to(placed.text_x, sheet.height - y)
                stream.show_text_string(text.encode("ascii", "replace"))  # ids, codes and days have no other letters
                stream.end_text()
        pdf.add_object(stream)
        box = pydyf.Array([0, 0, sheet.width * _POINT, sheet.height * _POINT])
        pdf.add_page(
            pydyf.Dictionary(
                {
                    "Type": "/Page", "Parent": pdf.pages.reference, "MediaBox": box, "Contents": stream.reference,
                    "Resources": pydyf.Dictionary({"Font": fonts}),
                }
            )
        )  # fmt: skip
    file = io.BytesIO()
    pdf.write(file)
    return file.getvalue()


def as_svg(labels: Sequence[Label], sheet: Sheet, *, skip: int = 0) -> list[str]:
    """All labels as SVG, one document a sheet."""
    return [_svg(page, sheet) for page in _pages(labels, sheet, skip)]


def _svg(page: Sequence[_Placed], sheet: Sheet) -> str:
    area = f'width="{sheet.width}mm" height="{sheet.height}mm" viewBox="0 0 {sheet.width} {sheet.height}"'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" {area}>']
    for placed in page:
        path = "".join(f"M{x:.3f} {y:.3f}h{width:.3f}v{placed.module:.3f}h-{width:.3f}z" for x, y, width in placed.bars)
        parts.append(f'<path d="{path}"/>')
        for font, y, size, text in (
            ("monospace", placed.code_y, placed.code_size, placed.label.code),
            ("sans-serif", placed.line_y, placed.line_size, placed.label.line),
        ):
            if text:
                parts.append(
                    f'<text x="{placed.text_x:.3f}" y="{y:.3f}" font-family="{font}" font-size="{size:.3f}">'
                    f"{escape(text)}</text>"
                )
    return "\n".join([*parts, "</svg>"]) + "\n"


def _pages(labels: Sequence[Label], sheet: Sheet, skip: int) -> Iterator[list[_Placed]]:
    corners = sheet.corners()
    places: list[Label | None] = [*[None] * skip, *labels]
    for first in range(0, len(places), sheet.labels):
        page = zip(places[first : first + sheet.labels], corners, strict=False)
        yield [_placed(label, corner, sheet) for label, corner in page if label is not None]


def _placed(label: Label, corner: tuple[float, float], sheet: Sheet) -> _Placed:
    """A QR code at the left, as high as the label with a margin, and the text beside it, as large as there is room."""
    matrix = segno.make(label.code, error="m", micro=False).matrix
    margin = 2.0
    side = min(sheet.label_height - 2 * margin, sheet.label_width / 2)
    module = side / (len(matrix) + 2 * QUIET)
    left, top = corner[0] + margin, corner[1] + (sheet.label_height - side) / 2
    bars = [
        (left + (QUIET + start) * module, top + (QUIET + row) * module, length * module)
        for row, bits in enumerate(matrix) for start, length in _runs(bits)
    ]  # fmt: skip
    text_x = left + side + 1
    room = corner[0] + sheet.label_width - margin - text_x
    code_size = min(7.0, room / (0.6 * len(label.code)))  # a character of Courier is 0.6 of its size wide
    line_size = min(3.2, room / (0.56 * max(1, len(label.line))))
    middle = corner[1] + sheet.label_height / 2
    return _Placed(bars, module, text_x, middle, code_size, middle + 1.5 * line_size, line_size, label)


def _runs(bits: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Where dark modules begin in a row, and how many follow one another."""
    start: int | None = None
    for at, bit in enumerate([*bits, 0]):
        if bit and start is None:
            start = at
        elif not bit and start is not None:
            yield start, at - start
            start = None
