"""A small synthetic contract, and read models over it, for the tests of projections: coins go into jars and out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, ClassVar

import msgspec
from nats.aio.client import Client
from pydantic import Field

from shared.contract import Contract
from shared.event import FIRST_PREVHASH, Envelope, Recorded, encode, event_id
from shared.projection import Key, Projection, Rows, Table
from shared.types import Delta, Id

till = Contract("till")
shop = Contract("shop")

AnyText = Annotated[str, Field(max_length=100), msgspec.Meta(max_length=100)]


@till.event(category="jar")
class CoinsMoved:
    """Coins went into a jar (positive) or out of it. `note` can hold what PostgreSQL refuses."""

    jar: Id
    coins: Delta
    note: AnyText = ""


@till.event(category="jar")
class JarBroken:
    """The jar is gone."""

    jar: Id


@shop.event(category="sale")
class Sold:
    """Something was sold for so many coins, into a jar."""

    jar: Id
    coins: Delta


till.freeze()
shop.freeze()


class Jars(Projection):
    """What is in each jar, a log of movements, and the sum over all of them."""

    name = "jars"
    contracts: ClassVar = {"TILL": till}
    sums = True
    tables = (
        Table("jar", key=("jar",), columns={"jar": "text", "coins": "bigint", "notes": "jsonb"}),
        Table(
            "movement", key=("sequence",), append=True,
            columns={"sequence": "bigint", "jar": "text", "coins": "bigint", "moved_at": "timestamptz"},
        ),
        Table("total", key=("name",), columns={"name": "text", "coins": "bigint", "events": "bigint"}),
    )  # fmt: skip
    views: ClassVar = {"rich": "SELECT jar FROM jar WHERE coins >= 1000"}

    def touches(self, event: Recorded) -> Iterable[tuple[str, Key]]:
        return (("jar", (event.data.jar,)), ("total", ("all",)))

    def apply(self, event: Recorded, rows: Rows) -> None:
        total = rows.get("total", ("all",)) or rows.put("total", ("all",), {"coins": 0, "events": 0})
        total["events"] += 1
        match event.data:
            case CoinsMoved(jar=jar, coins=coins, note=note):
                row = rows.get("jar", (jar,)) or rows.put("jar", (jar,), {"coins": 0, "notes": []})
                row["coins"] += coins
                total["coins"] += coins
                if note:
                    row["notes"].append(note)
                moved = {"jar": jar, "coins": coins, "moved_at": event.recorded_at}
                rows.put("movement", (event.sequence,), moved)
                if coins == POISON and not self.mended:
                    raise ZeroDivisionError(f"{POISON} coins")  # after it changed something, as bad luck would have it
            case JarBroken(jar=jar):
                row = rows.get("jar", (jar,))
                total["coins"] -= row["coins"] if row else 0
                rows.delete("jar", (jar,))

    mended = False


class Takings(Projection):
    """Reads two streams: what is in each jar, from movements and from sales. Sums, so the order does not matter."""

    name = "takings"
    contracts: ClassVar = {"TILL": till, "SHOP": shop}
    events = frozenset({CoinsMoved, Sold})
    tables = (Table("taking", key=("jar",), columns={"jar": "text", "moved": "bigint", "sold": "bigint"}),)

    def touches(self, event: Recorded) -> Iterable[tuple[str, Key]]:
        return (("taking", (event.data.jar,)),)

    def apply(self, event: Recorded, rows: Rows) -> None:
        key = (event.data.jar,)
        row = rows.get("taking", key) or rows.put("taking", key, {"moved": 0, "sold": 0})
        row["sold" if isinstance(event.data, Sold) else "moved"] += event.data.coins


POISON = 13
"""So many coins at once are more than `Jars` can bear, until it is mended."""

_CONTRACTS = {"till": till, "shop": shop}


def envelope(event: Any, number: int, *, revision: int = 1) -> tuple[str, bytes]:
    """The NATS subject and the bytes of an event; the chain of hashes is left out, which projections do not look at."""
    service = "shop" if isinstance(event, Sold) else "till"
    spec = _CONTRACTS[service].spec_of(event)
    subject = f"ledger.{service}.{spec.category}.{event.jar}"
    raw = encode(
        Envelope(
            specversion="1.0", id=event_id(subject, f"c-{number}"), source=f"/commons/local/{service}", type=spec.type,
            subject=f"{spec.category}/{event.jar}", time="2026-11-20T09:00:00.000000Z",
            dataschema=f"urn:commons:schema:{spec.type}", datacontenttype="application/json", revision=revision,
            prevhash=FIRST_PREVHASH, correlationid=f"c-{number}", causationid=f"c-{number}", authtype="user",
            authid="sam", data=event,
        )
    )  # fmt: skip
    return subject, raw


async def make_stream(nc: Client, name: str) -> None:
    config = {
        "name": name, "subjects": [f"ledger.{name.lower()}.>"], "storage": "file", "retention": "limits",
        "allow_direct": True, "allow_atomic": True, "deny_delete": False, "num_replicas": 1,
    }  # fmt: skip
    reply = json.loads((await nc.request(f"$JS.API.STREAM.CREATE.{name}", json.dumps(config).encode())).data)
    assert "error" not in reply, reply


async def publish(nc: Client, events: Sequence[Any], *, first: int = 1) -> int:
    """Store events in order, in atomic batches. Returns the stream's last sequence."""
    last = 0
    for start in range(0, len(events), 1000):
        part = events[start : start + 1000]
        for index, event in enumerate(part, 1):
            subject, raw = event if isinstance(event, tuple) else envelope(event, first + start + index - 1)
            headers = {"Nats-Batch-Id": f"{id(events)}-{start}-{first}", "Nats-Batch-Sequence": str(index)}
            if index < len(part):
                await nc.publish(subject, raw, headers=headers)
            else:
                headers["Nats-Batch-Commit"] = "1"
                reply = json.loads((await nc.request(subject, raw, headers=headers, timeout=20)).data)
                assert "error" not in reply, reply
                last = reply["seq"]
    return last


async def eventually(condition: Any, seconds: float = 20) -> Any:
    """Wait until an awaitable condition gives something true, and return that."""
    async with asyncio.timeout(seconds):
        while True:
            if found := await condition():
                return found
            await asyncio.sleep(0.01)
