"""A food pantry's week on a real ledger, with its tables (table.py), its fund (fund.py), its clinic (evening.py), and
those who check it (audit.py).

Everything that is shown is done by `commons` itself, on servers started for it in a temporary folder.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import tempfile
import time
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

from services.demo import audit, evening, fund, samples, table
from services.demo.samples import LOCATIONS
from services.demo.stage import DemoFailed, Stage
from shared.client import CommandClient
from shared.connection import connect
from shared.store import stream_name
from shared.wire import StreamReader

VISITS: Final = 300
"""Households served while the inventory service is killed."""

HASTY: Final = """\
delivery,received_at,location,source,item,lot,date,date_kind,quantity
D-0201,yesterday,store,donation,rice-1kg,R1,,,12
D-0202,2026-01-10T09:00:00Z,store,donation,rice-2kg,R1,,,12
D-0203,2026-01-10T09:00:00Z,store,donation,rice-1kg,R1,,,"1.200,5"
"""
"""Deliveries as they are typed at the end of a long day."""

_AT_THE_TABLE: Final = ("rice-1kg", "pasta-500g", "baked-beans-415g", "uht-milk-1l")


def show(run: Any) -> int:
    """Play the week, `run` being the command line itself; gives the exit code. Raises DemoFailed when it goes wrong."""
    with tempfile.TemporaryDirectory(prefix="commons-demo-", ignore_cleanup_errors=True) as folder:
        stage = Stage(Path(folder), run)
        began = time.perf_counter()
        with audit.witnesses(Path(folder)) as watched:
            try:
                play(stage, Path(folder) / "samples", watched)
                audit.show(stage, watched, Path(folder))
            finally:
                stage.stop()
        stage.heading("The end")
        stage.say(f"  {time.perf_counter() - began:.0f} s in all. `make up` starts a ledger that stays.")
    return 0


def play(stage: Stage, folder: Path, watched: audit.Watched | None = None) -> None:
    """Start the ledger of a stage and play the week on it; the sample files are written into a folder."""
    now = datetime.now(UTC)
    today = now.date()
    files = samples.write(folder, today)
    stage.heading("Opening the ledger")
    stage.start({} if watched is None else {"COMMONS_WITNESSES": str(watched.policy)})
    stage.say("NATS JetStream, PostgreSQL, the services, the read models and the auditor run, in a temporary folder.")
    if watched is not None:
        audit.introduce(stage, watched)
    monday(stage, files)
    tuesday(stage)
    wednesday(stage)
    thursday(stage, files)
    friday(stage)
    table.show(stage, now)
    fund.show(stage, folder / "fund", today)
    evening.show(stage, files.patients)
    saturday(stage)
    summary(stage)


def monday(stage: Stage, files: samples.Samples) -> None:
    """The catalogue and eleven days of deliveries come in from files."""
    stage.heading("Monday: what the pantry has")
    for place in LOCATIONS:
        stage.send("OpenLocation", *(f"{name}={value}" for name, value in place.items()), quietly=True)
    stage.say("Six locations were opened. The catalogue and the deliveries are in files, in the formats of others:")
    stage.commons("import", "items", str(files.items), quietly=False)
    stage.commons("import", "items", str(files.products))
    stage.commons("import", "donors", str(files.donors))
    stage.level()
    stage.commons("import", "receipts", str(files.receipts))
    stage.say("\nThe same file again changes nothing:")
    stage.commons("import", "receipts", str(files.receipts))
    wrong = files.receipts.with_name("hasty-receipts.csv")
    wrong.write_text(HASTY)
    stage.say("\nLines that cannot be right are refused, each with its number and the reason:")
    stage.commons("import", "receipts", str(wrong), refused=True)
    stage.level()
    stage.commons("show", "stock", "--item", "peanut-butter-340g")
    stage.commons("show", "expiring", "--days", "7")


def tuesday(stage: Stage) -> None:
    """Goods are set aside and given out, the first to expire first; what cannot be is refused."""
    stage.heading("Tuesday: set aside, given out, first expired first out")
    stage.send("ReserveStock", "item=rice-1kg", "location=store", "reservation=box-0412", "quantity=20",
               "purpose=household", "recipient=box-0412")  # fmt: skip
    stage.send("IssueStock", "item=rice-1kg", "location=store", "reservation=box-0412", "purpose=household",
               "recipient=box-0412")  # fmt: skip
    for number, quantity in enumerate((2, 1, 3), 413):
        stage.send("IssueStock", "item=peanut-butter-340g", "location=store", "purpose=household",
                   f'lines=[{{"quantity":{quantity},"lot":"PB4471","reason":"asked for a longer date"}}]',
                   f"recipient=box-0{number}", quietly=number > 413)  # fmt: skip
    stage.say("\nSome things cannot be. Each is refused with a reason, and nothing is recorded:")
    stage.send("ReserveStock", "item=rice-1kg", "location=store", "reservation=box-0999", "quantity=5000",
               "purpose=household", refused=True)  # fmt: skip
    stage.send("IssueStock", "item=paracetamol-500mg-16", "location=clinic", "purpose=household",
               'lines=[{"quantity":1}]', refused=True)  # fmt: skip
    stage.send("RegisterItem", "item=rice.1kg", "name=Rice", "unit=kilo", refused=True)


def wednesday(stage: Stage) -> None:
    """Goods travel to the hall, and are counted there."""
    stage.heading("Wednesday: to the community hall, and counted")
    stage.send("DispatchTransfer", "item=pasta-500g", "location=store", "destination=hall", "transfer=van-1",
               'lines=[{"quantity":60}]')  # fmt: skip
    stage.level()
    stage.commons("show", "in-transit")
    stage.say("\nOn the way, goods are nobody's shelf. Two packs were torn; the receipt says so:")
    stage.send("ReceiveTransfer", "item=pasta-500g", "location=hall", "origin=store", "transfer=van-1",
               "loss_reason=damaged", f"lines={_less(stage.rows(_ON_THE_WAY), 2)}")  # fmt: skip
    stage.send("StartCount", "count=hall-1", "location=hall", 'items=["pasta-500g"]', quietly=True)
    stage.say(
        "\nAt the hall somebody counts one pack less than the ledger has, and a second person approves the count:"
    )
    stage.send("RecordCount", "count=hall-1", "location=hall", "item=pasta-500g",
               f"lines={_less(stage.rows(_AT_THE_HALL), 1)}", actor="bruno")  # fmt: skip
    stage.send("ApproveCount", "count=hall-1", "item=pasta-500g", "location=hall", actor="bruno", refused=True)
    stage.send("ApproveCount", "count=hall-1", "item=pasta-500g", "location=hall", actor="chen")
    stage.level()
    stage.commons("show", "movements", "pasta-500g", "--location", "hall")


def thursday(stage: Stage, files: samples.Samples) -> None:
    """A recall: the lot stops at once, everywhere, and whom it reached is one query."""
    stage.heading("Thursday: a recall")
    stage.commons("import", "recalls", str(files.recalls))
    stage.level()
    stage.commons("show", "recalls")
    stage.send("IssueStock", "item=peanut-butter-340g", "location=store", "purpose=household",
               'lines=[{"quantity":1,"lot":"PB4471"}]', refused=True)  # fmt: skip
    stage.say("\nWhere the lot came from, where it is, and whom it reached:")
    stage.commons("show", "trace", "PB4471")


def friday(stage: Stage) -> None:
    """A mistake is undone; the service dies in the middle of the busiest hour."""
    stage.heading("Friday: a mistake, and a bad hour")
    stage.send("ReceiveStock", "item=tea-80", "location=store", "source=donation", "donor=donor-09",
               'lines=[{"quantity":144}]')  # fmt: skip
    stage.say("\n144 was typed for 12. Nothing is edited: the movement is corrected by an event that names it.")
    stage.send("CorrectMovement", "item=tea-80", "location=store", f"movement={stage.rows(_LAST_TEA)[0]['revision']}",
               'lines=[{"quantity":12}]', "reason=typed 144 for 12")  # fmt: skip
    stage.level()
    stage.commons("show", "movements", "tea-80")
    stage.say(f"\n{VISITS} households are served. In the middle, the inventory service is killed (SIGKILL).")
    asyncio.run(_busy_hour(stage))


async def _busy_hour(stage: Stage) -> None:
    """Serve households while the service dies and comes back; every answer must be in the ledger once."""
    described = stage.described()
    nc = await connect(described["nats_url"], name="demo-tables")
    client = CommandClient(nc, actor="tables", timeout=1.0, tokens=stage.tokens())
    killed = False
    began = time.perf_counter()

    async def serve(number: int) -> dict[str, Any]:
        item = _AT_THE_TABLE[number % len(_AT_THE_TABLE)]
        reply = await client.send(
            "inventory", "IssueStock",
            {"item": item, "location": "store", "purpose": "household", "recipient": f"visit-{number}",
             "lines": [{"quantity": 1}], "already_left": True},
            id=f"visit-{number}",
        )  # fmt: skip
        return reply.event or {}

    answered: list[dict[str, Any]] = []

    async def table(first: int) -> None:
        nonlocal killed
        for number in range(first, VISITS, 6):
            answered.append(await serve(number))
            if len(answered) >= VISITS // 3 and not killed:
                killed = True
                os.kill(described["services"]["inventory"]["pid"], signal.SIGKILL)

    await asyncio.gather(*(table(n) for n in range(6)))
    seconds = time.perf_counter() - began
    await nc.close()
    ids = Counter(event["id"] for event in answered)
    if not killed or len(ids) != VISITS or max(ids.values()) > 1:
        raise DemoFailed(f"{VISITS} visits were answered with {len(ids)} different events.")
    stage.rate = VISITS / seconds
    stage.say(
        f"  {VISITS} visits, {len(ids)} events: none lost and none twice, in {seconds:.1f} s with the restart in it.\n"
        "  The supervisor started the service again; callers without an answer repeated the same command id."
    )


def saturday(stage: Stage) -> None:
    """A read model is built anew beside the live one, and everything is checked."""
    stage.heading("Saturday: the books")
    stage.level()
    stage.commons("projections", "rebuild", "stock_on_hand")
    stage.commons("show", "waste")
    stage.say("\nWho gave: names are encrypted in the ledger under a key of each donor's own, and opened to be shown.")
    stage.commons("show", "receipts", "--by", "donor")
    stage.commons("show", "review", "--as", "osei")
    stage.say("\nAnd does it all follow, from the first event on?")
    stage.commons("verify")
    stage.commons("status")


def summary(stage: Stage) -> None:
    """What was done, in figures."""
    stage.heading("The week in figures")
    events, rate = asyncio.run(_read_all(stage))
    stage.say(f"  {events:,} events in the ledger; {stage.refusals} commands were refused, and left no trace in it.")
    stage.say(f"  {stage.rate:,.0f} households a second were served over the wire, a killed service among them.")
    stage.say(f"  The whole ledger was read again from its first event at {rate:,.0f} events a second.")


_ON_THE_WAY: Final = (
    "SELECT lot, date, date_kind, owner, quantity FROM read.transfer_lots WHERE transfer = 'van-1' ORDER BY date"
)
_AT_THE_HALL: Final = (
    "SELECT lot, date, date_kind, owner, on_hand AS quantity FROM read.stock_on_hand"
    " WHERE item = 'pasta-500g' AND location = 'hall' ORDER BY date"
)
_LAST_TEA: Final = (
    "SELECT revision FROM read.movements WHERE item = 'tea-80' AND location = 'store' ORDER BY revision DESC LIMIT 1"
)


def _less(rows: list[Any], missing: int) -> str:
    """Lots as JSON lines of a command, some of the last one missing."""
    lines: list[dict[str, Any]] = [
        {k: v.isoformat() if isinstance(v, date) else v for k, v in row.items() if v is not None} for row in rows
    ]
    lines[-1]["quantity"] -= missing
    return json.dumps(lines)


async def _read_all(stage: Stage) -> tuple[int, float]:
    """How many events the ledger holds, and how many of them a second can be read from the first on."""
    read, began = 0, time.perf_counter()
    for contract in stage.contracts:
        async with StreamReader(stage.described()["nats_url"], stream_name(contract.service), name="demo") as reader:
            async for messages in reader.batches(until=reader.last_sequence):
                read += len(messages)
    return read, read / (time.perf_counter() - began)
