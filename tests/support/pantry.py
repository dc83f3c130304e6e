"""A ledger in memory: commands go through inventory's deciders, and the events come out as they would be stored."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from services.inventory.contract import inventory
from services.inventory.deciders import DECIDERS
from shared.decider import Context, Decider, Ref
from shared.event import FIRST_PREVHASH, Envelope, Recorded, decode, encode, event_id, sha256, timestamp
from shared.projection import Projection, Row, Rows, fold
from tests.support.sentences import sealed

MONDAY = datetime(2026, 6, 1, 9, tzinfo=UTC)

BY_CATEGORY: dict[str, Decider[Any]] = {decider.category: decider for decider in DECIDERS}


class Pantry:
    """Keeps every aggregate's state and the whole stream. Time stands still until `later` moves it."""

    def __init__(self, now: datetime = MONDAY) -> None:
        self.now = now
        self.states: dict[Ref, Any] = {}
        self.events: list[Recorded] = []
        self._last: dict[str, Recorded] = {}

    def later(self, **delta: float) -> datetime:
        """Let time pass, and say when it is now."""
        self.now += timedelta(**delta)
        return self.now

    def state(self, category: str, id: str) -> Any:
        ref = Ref(category, id)
        return self.states[ref] if ref in self.states else BY_CATEGORY[category].initial()

    def do(self, name: str, /, *, actor: str = "sam", mandate: str | None = None, **fields: Any) -> Recorded | None:
        """Send a command. Returns its event, None when nothing changed; refusals are raised."""
        command = inventory.parse(name, _plain(fields))
        spec = inventory.command_of(command)
        decider = BY_CATEGORY[spec.category]
        id = spec.aggregate(command)
        states = {ref: self.state(*ref) for ref in decider.reads(command)}
        context = Context(self.now, actor, mandate, states)
        event = decider.decide(command, self.state(spec.category, id), context)
        return None if event is None else self.record(event, spec.category, id, actor)

    def record(self, event: Any, category: str, id: str, actor: str = "sam") -> Recorded:
        """Append an event, as the kernel would."""
        event = sealed(inventory, event)
        subject = f"ledger.inventory.{category}.{id}"
        before = self._last.get(subject)
        envelope = Envelope(
            specversion="1.0", id=event_id(subject, f"c{len(self.events)}"), source="/commons/test/inventory",
            type=inventory.spec_of(event).type, subject=f"{category}/{id}", time=timestamp(self.now), dataschema="",
            datacontenttype="application/json", revision=1 if before is None else before.revision + 1,
            prevhash=FIRST_PREVHASH if before is None else sha256(before.raw), correlationid="c", causationid="c",
            authtype="user", authid=actor, data=event,
        )  # fmt: skip
        stored = decode(
            encode(envelope), stream="INVENTORY", sequence=len(self.events) + 1, subject=subject, contract=inventory
        )
        self.events.append(stored)
        self._last[subject] = stored
        ref = Ref(category, id)
        self.states[ref] = BY_CATEGORY[category].evolve(self.state(category, id), stored.data)
        return stored

    # -- the usual furniture --------------------------------------------------------------------------------------

    def furnish(self) -> Pantry:
        """Rice, milk and ibuprofen; a store, a site, a clinic and a quarantine shelf."""
        self.do("RegisterItem", item="rice", name="Long-grain rice", unit="each", net_weight=500, minimum_level=20)
        self.do(
            "RegisterItem", item="milk", name="Whole milk", unit="ml", net_weight=1030, storage="chilled",
            gtin="4006381333931", packs=[{"name": "crate", "quantity": 12000}],
        )  # fmt: skip
        self.do("RegisterItem", item="ibuprofen", name="Ibuprofen 200 mg", unit="each", medicine=True)
        for location, kind in (("store", "store"), ("site", "site"), ("clinic", "clinic"), ("shelf-q", "quarantine")):
            self.do("OpenLocation", location=location, name=location.capitalize(), kind=kind, storage="chilled")
        return self

    def receive(self, quantity: int, lot: str | None = None, **more: Any) -> Recorded:
        """Goods arrive: rice at the store unless told otherwise."""
        line: dict[str, Any] = {"quantity": quantity, "lot": lot}
        for name in ("date", "date_kind", "owner", "made_from"):
            if name in more:
                line[name] = more.pop(name)
        if line.get("date") is not None:
            line.setdefault("date_kind", "use_by")
        fields = {"item": "rice", "location": "store", "source": "donation", "lines": [line], **more}
        stored = self.do("ReceiveStock", **fields)
        assert stored is not None
        return stored

    def issue(self, quantity: int, lot: str | None = None, **more: Any) -> Recorded:
        """Goods leave: rice from the store, for a household, unless told otherwise."""
        fields = {"item": "rice", "location": "store", "purpose": "household", **more}
        stored = self.do("IssueStock", lines=[{"quantity": quantity, "lot": lot}], **fields)
        assert stored is not None
        return stored


def rows_of(projection: Projection, events: Iterable[Recorded], *, batch: int | None = None) -> Rows:
    """Fold events as a rebuild would, and check on the way that `touches` names only what its tables have."""
    rows = Rows(projection.tables, whole=True)
    wanted = [e for e in events if projection.events is None or type(e.data) in projection.events]
    tables = {table.name: table for table in projection.tables}
    for event in wanted:
        for name, key in projection.touches(event):
            assert len(key) == len(tables[name].key), (name, key)
    fold(projection, wanted, rows)
    for name, table in tables.items():
        for key, row in rows.all(name).items():
            assert set(row) <= set(table.values), (name, key, set(row) - set(table.values))
    return rows


def table(projection: Projection, events: Iterable[Recorded], name: str | None = None) -> list[Row]:
    """The rows of a table as flat records, in order of their keys."""
    chosen = next(t for t in projection.tables if t.name == (name or projection.tables[0].name))
    found = rows_of(projection, events).all(chosen.name)
    return [dict(zip(chosen.key, key, strict=True)) | row for key, row in sorted(found.items())]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(v) for name, v in value.items() if v is not None}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value.isoformat() if isinstance(value, datetime | date) else value
