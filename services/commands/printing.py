"""`commons print labels`: QR labels for boxes and household cards, as PDF or SVG."""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import Annotated, Final

import typer

from services.commands.common import Operator, command
from services.commands.door import REFUSED, Usage, new_group
from services.commands.exporting import whole
from services.commands.render import emit
from services.exports.labels import SHEETS, Label, as_pdf, as_svg
from services.queries.distribution.known import must_be_known
from services.queries.distribution.printing import BoxLabel, cards, labels_of_boxes, labels_of_session

_CODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,47}")
_LETTERS: Final = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
_LONGEST: Final = 5_000


@command
async def labels(
    operator: Operator,
    session: Annotated[
        str | None, typer.Option("--session", metavar="SESSION", help="One for each confirmed order of a session.")
    ] = None,
    boxes: Annotated[str | None, typer.Option("--boxes", metavar="CODE,…", help="One for each of these codes.")] = None,
    new: Annotated[
        int | None, typer.Option("--new", metavar="N", min=1, max=_LONGEST, help="So many new box codes.")
    ] = None,
    of_cards: Annotated[bool, typer.Option("--cards", help="One for the card of each household.")] = False,
    sheet: Annotated[str, typer.Option("--sheet", metavar="SHEET", help=f"The sheet: {', '.join(SHEETS)}.")] = "a4-24",
    skip: Annotated[int, typer.Option("--skip", metavar="N", min=0, help="Places used up on the first sheet.")] = 0,
    out: Annotated[
        Path, typer.Option("--output", "--out", metavar="FILE", help="Ends in .pdf, or .svg (one file a sheet).")
    ] = Path("labels.pdf"),
) -> int | None:
    """Labels with a QR code of box codes or household cards, on sheets that are sold for it.

    A label has the code, the session and its day; never a name, and never what is in the box. Print at full size.

    Examples:

    commons print labels --session sat-12 --output saturday.pdf

    commons print labels --new 48 --sheet letter-30

    commons print labels --cards --sheet a4-65 --output cards.svg
    """
    if sum((session is not None, boxes is not None, new is not None, of_cards)) != 1:
        raise Usage("Say what to print, one at a time: --session, --boxes, --new or --cards.")
    if sheet not in SHEETS:
        raise Usage(f"--sheet is one of {', '.join(SHEETS)}; {sheet[:40]!r} is none.")
    if skip >= SHEETS[sheet].labels:
        raise Usage(f"--skip {skip} leaves no place on a sheet of {SHEETS[sheet].labels}.")
    if out.suffix not in (".pdf", ".svg"):
        raise Usage(f"--output ends in .pdf or .svg; {out.name[:60]!r} does not.")
    made = await _labels(operator, session, boxes, new)
    if not made:
        typer.echo("There is nothing to print: no confirmed order, or no household with a card.", err=True)
        return REFUSED
    files = _write(made, sheet, skip, out)
    if operator.as_json:
        emit({"files": [str(file) for file in files], "labels": [label.code for label in made]})
    else:
        typer.echo(f"{len(made):,} labels in {', '.join(map(str, files))}. Print at full size (100 %).")
    return None


async def _labels(operator: Operator, session: str | None, boxes: str | None, new: int | None) -> list[Label]:
    if new is not None:
        return [Label(f"b-{''.join(secrets.choice(_LETTERS) for _ in range(7))}") for _ in range(new)]
    codes = [code.strip() for code in boxes.split(",") if code.strip()] if boxes is not None else []
    if twice := sorted({code for code in codes if codes.count(code) > 1}):
        raise Usage(
            f"--boxes names {', '.join(twice[:5])} more than once: two boxes with one code cannot be told apart."
        )
    if wrong := [code for code in codes if not _CODE.fullmatch(code)]:
        raise Usage(f"A box code has letters, digits, hyphens, at most 48; {wrong[0][:60]!r} is none.")
    async with operator.database() as pool:
        if session is not None:
            await must_be_known(pool, "session", session)
            return [_of_box(box) for box in await labels_of_session(pool, session)]
        if boxes is not None:
            return [_of_box(box) for box in await labels_of_boxes(pool, codes)]
        return [Label(card) for card in await cards(pool)]


def _of_box(box: BoxLabel) -> Label:
    return Label(box.box) if box.session is None else Label(box.box, f"{box.session}  {box.day}")


def _write(made: list[Label], sheet: str, skip: int, out: Path) -> list[Path]:
    if out.suffix == ".pdf":
        pages = [as_pdf(made, SHEETS[sheet], skip=skip)]
    else:
        pages = [page.encode() for page in as_svg(made, SHEETS[sheet], skip=skip)]
    files = [out if n == 1 else out.with_stem(f"{out.stem}-{n}") for n in range(1, len(pages) + 1)]
    for path, page in zip(files, pages, strict=True):
        with whole(path) as file:
            file.write(page)
    return files


def register(app: typer.Typer) -> None:
    group = new_group("Print: labels for boxes and cards.")
    group.command("labels")(labels)
    app.add_typer(group, name="print")
