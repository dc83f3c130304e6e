"""`commons import`: catalogues, donors, households, deliveries, recalls, the treasury's files, patients' records."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import asyncpg
import typer

from services.commands import imports_fhir, imports_treasury
from services.commands.common import Operator, command
from services.commands.door import Unreachable, Usage, new_group
from services.commands.importing import DryRun, File, import_lines, must_exist
from services.distribution.contract import distribution
from services.imports.catalogue import Catalogue
from services.imports.cells import Unreadable
from services.imports.columns import column_map
from services.imports.donors import read_donors
from services.imports.households import EXAMPLE, USUAL, Form, read_households
from services.imports.items import read_items
from services.imports.plan import Planned
from services.imports.recalls import read_recalls
from services.imports.receipts import read_receipts
from services.inventory.contract import inventory
from shared.clock import utc_now

Concurrency = Annotated[
    int, typer.Option("--concurrency", metavar="N", min=1, max=1024, help="Commands that may be under way at once.")
]


@command
async def items(operator: Operator, file: File, dry_run: DryRun = False, concurrency: Concurrency = 64) -> int | None:
    """Import the catalogue: CSV (columns name, unit, item, gtin, pack_sizes …) or Open Food Facts product JSON.

    The same file twice changes nothing; an import that was interrupted is run again and goes on.

    Example: commons import items pantry-items.csv --dry-run
    """
    return await import_lines(
        operator, file, lambda: read_items(file), inventory, dry_run=dry_run, concurrency=concurrency
    )


@command
async def households(
    operator: Operator,
    file: File,
    columns: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="WHAT=COLUMN,…", help="Which column is the household, size, name, allergens …"),
    ] = None,
    date_format: Annotated[
        str | None, typer.Option("--date-format", metavar="FORM", help="dd.mm.yyyy, mm/dd/yyyy, yyyy-mm-dd …")
    ] = None,
    on: Annotated[
        datetime | None,
        typer.Option("--on", formats=["%Y-%m-%d"], metavar="DATE", help="Ages are as of this day; today if left out."),
    ] = None,
    dry_run: DryRun = False,
    concurrency: Concurrency = 64,
) -> int | None:
    """Import households from CSV: one row a household, or one row a person with the household's id in each.

    Columns are found by their usual names. Ages and births become age bands, and are stored nowhere.

    Examples:

    commons import households households.csv --dry-run

    commons import households people.csv --map "household=Case No,born=DOB" --date-format mm/dd/yyyy
    """
    must_exist(file)
    try:
        by_hand = column_map(columns or (), USUAL, EXAMPLE)
    except Unreadable as error:
        raise Usage(f"{error}.") from None
    form = Form((on or utc_now()).date(), by_hand, date_format, await _cards(operator))
    return await import_lines(
        operator, file, lambda: read_households(file, form), distribution, dry_run=dry_run, concurrency=concurrency
    )


@command
async def receipts(
    operator: Operator,
    file: File,
    dry_run: DryRun = False,
    concurrency: Concurrency = 64,
    catalogue: Annotated[
        Path | None, typer.Option("--catalogue", metavar="FILE", help="Items from this file, not from the read model.")
    ] = None,
) -> int | None:
    """Import deliveries from CSV, one line a lot: delivery, received_at, location, source, item, quantity, lot, date …

    Items are named by id or GTIN, and looked up in the catalogue's read model.

    Example: commons import receipts deliveries.csv
    """
    known = await _catalogue(operator, catalogue)
    return await import_lines(
        operator, file, lambda: read_receipts(file, known), inventory, dry_run=dry_run, concurrency=concurrency
    )


@command
async def recalls(
    operator: Operator,
    file: File,
    dry_run: DryRun = False,
    concurrency: Concurrency = 64,
    catalogue: Annotated[
        Path | None, typer.Option("--catalogue", metavar="FILE", help="Items from this file, not from the read model.")
    ] = None,
) -> int | None:
    """Import recalls from openFDA enforcement reports (JSON), matched with the catalogue by GTIN alone.

    What cannot be read of a notice is listed for a person, never guessed.

    Example: commons import recalls food-enforcement.json --dry-run
    """
    known = await _catalogue(operator, catalogue)
    return await import_lines(
        operator, file, lambda: read_recalls(file, known), inventory, dry_run=dry_run, concurrency=concurrency
    )


@command
async def donors(operator: Operator, file: File, dry_run: DryRun = False, concurrency: Concurrency = 64) -> int | None:
    """Import donors from CSV: donor (an id that says nothing of who it is), name, kind, contact, address, note.

    Names and contacts are encrypted under a key of each donor's own before anything is stored.

    Example: commons import donors donors.csv
    """
    return await import_lines(
        operator, file, lambda: read_donors(file), inventory, dry_run=dry_run, concurrency=concurrency
    )


async def _cards(operator: Operator) -> dict[str, str]:
    """The cards of households that are registered, as the read model knows them; a dry run may be without a ledger."""
    try:
        async with operator.database() as pool:
            found = await pool.fetch(
                "SELECT card, household FROM read.households WHERE card IS NOT NULL AND merged_into IS NULL"
            )
    except (Unreachable, asyncpg.UndefinedTableError) as error:
        sys.stderr.write(f"Cards are compared within the file alone. {getattr(error, 'detail', error)}\n")
        return {}
    return {row["card"]: row["household"] for row in found}


async def _catalogue(operator: Operator, file: Path | None) -> Catalogue:
    """The items that lines are matched with: of a file of items, or as the read model knows them."""
    if file is not None:
        must_exist(file)
        return Catalogue.of(one.data for one in read_items(file) if isinstance(one, Planned))
    async with operator.database() as pool:
        return Catalogue.of([dict(row) for row in await pool.fetch("SELECT item, unit, gtin, packs FROM read.items")])


def register(app: typer.Typer) -> None:
    group = new_group("Import a file. The same file twice changes nothing.")
    group.command("items")(items)
    group.command("donors")(donors)
    group.command("households")(households)
    group.command("receipts")(receipts)
    group.command("recalls")(recalls)
    imports_treasury.register(group)
    imports_fhir.register(group)
    app.add_typer(group, name="import")
