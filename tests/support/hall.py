"""Distribution's stream in memory, made of the contract's events as they would be stored; nothing is decided here."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from services.distribution.contract import (
    BoxHandedOut,
    BoxPacked,
    HouseholdRegistered,
    ItemLine,
    Member,
    OrderConfirmed,
    OrderPlaced,
    PackedLine,
    People,
    ProgrammeOpened,
    SessionOpened,
    SessionScheduled,
    VisitRecorded,
    distribution,
    entitlement_id,
)
from shared.erasure import erasure_id
from shared.event import FIRST_PREVHASH, Envelope, Recorded, decode, encode, event_id, sha256, timestamp
from tests.support.sentences import sealed

MONDAY: Final = datetime(2026, 6, 1, 9, tzinfo=UTC)
WEEK: Final = "2026-W23"

_ID: Final = {
    "household": "household", "programme": "programme", "session": "session", "order": "order", "box": "box",
    "fulfilment": "order", "process": "step",
}  # fmt: skip


def goods(**quantities: int) -> tuple[ItemLine, ...]:
    """So much of each item."""
    return tuple(ItemLine(item=item, quantity=quantity) for item, quantity in quantities.items())


def packed(item: str, quantity: int, lot: str | None = None, **more: Any) -> PackedLine:
    return PackedLine(item=item, quantity=quantity, lot=lot, **more)


class Hall:
    """The stream DISTRIBUTION: programme `box` at the site `hall`, session `monday`. Time stands still but for `later`.

    The words below give events with what they need, unless told otherwise.
    """

    def __init__(self, now: datetime = MONDAY) -> None:
        self.now = now
        self.events: list[Recorded] = []
        self._last: dict[str, Recorded] = {}

    def later(self, **delta: float) -> datetime:
        """Let time pass, and say when it is now."""
        self.now += timedelta(**delta)
        return self.now

    def record(self, event: Any, *, actor: str = "sam") -> Recorded:
        """Append an event to its aggregate, as the kernel would."""
        event = sealed(distribution, event)
        spec = distribution.spec_of(event)
        subject = f"ledger.distribution.{spec.category}.{self._aggregate(spec.category, event)}"
        before = self._last.get(subject)
        envelope = Envelope(
            specversion="1.0", id=event_id(subject, f"c{len(self.events)}"), source="/commons/test/distribution",
            type=spec.type, subject="/".join(subject.split(".")[2:]), time=timestamp(self.now), dataschema="",
            datacontenttype="application/json", revision=1 if before is None else before.revision + 1,
            prevhash=FIRST_PREVHASH if before is None else sha256(before.raw), correlationid="c", causationid="c",
            authtype="user", authid=actor, data=event,
        )  # fmt: skip
        stored = decode(
            encode(envelope), stream="DISTRIBUTION", sequence=len(self.events) + 1, subject=subject,
            contract=distribution,
        )  # fmt: skip
        self.events.append(stored)
        self._last[subject] = stored
        return stored

    def _aggregate(self, category: str, event: Any) -> str:
        match category:
            case "entitlement":
                own = event.visit if event.__class__.__name__.startswith("Visit") and event.household is None else None
                return entitlement_id(event.household or "anonymous", event.programme, own or event.period)
            case "meal_count":
                return f"{event.site}:{event.date}"
            case "goods":
                return "catalogue"
            case "erasure":
                return erasure_id(event)
        return str(getattr(event, _ID[category]))

    # -- the usual furniture --------------------------------------------------------------------------------------

    def furnish(self) -> Hall:
        """A programme, and a session of it that is open."""
        self.record(ProgrammeOpened(programme="box", name="Weekly box", kind="box", occurred_at=self.now))
        self.session("monday")
        self.record(SessionOpened(session="monday", occurred_at=self.now))
        return self

    def session(self, session: str, programme: str = "box", **more: Any) -> Recorded:
        announced: dict[str, Any] = {
            "site": "hall", "name": session.capitalize(), "starts_at": self.now,
            "ends_at": self.now + timedelta(hours=4),
        }  # fmt: skip
        return self.record(
            SessionScheduled(session=session, programme=programme, occurred_at=self.now, **announced | more)
        )

    def household(self, household: str, *bands: str, size: int | None = None, **more: Any) -> Recorded:
        """A household whose members are of these ages, of as many as are named unless `size` says more."""
        members = tuple(Member(member=f"m{n}", band=band) for n, band in enumerate(bands))  # type: ignore[arg-type]
        return self.record(
            HouseholdRegistered(
                household=household, members=members, size=size or max(1, len(bands)), occurred_at=self.now, **more
            )
        )

    def visit(self, visit: str, household: str | None, lines: Iterable[ItemLine] = (), **more: Any) -> Recorded:
        """Somebody is served at the table: one adult unless told otherwise."""
        fields: dict[str, Any] = {
            "programme": "box", "period": WEEK, "session": "monday", "site": "hall", "served": People(adult=1),
            "used": 1, "occurred_at": self.now, "goods": tuple(lines),
        }  # fmt: skip
        return self.record(VisitRecorded(visit=visit, household=household, **fields | more))

    def order(self, order: str, household: str, lines: Iterable[ItemLine], **more: Any) -> Recorded:
        fields: dict[str, Any] = {
            "programme": "box", "period": WEEK, "session": "monday", "site": "hall", "people": People(adult=1),
            "occurred_at": self.now,
        }  # fmt: skip
        return self.record(OrderPlaced(order=order, household=household, goods=tuple(lines), **fields | more))

    def confirm(self, placed: OrderPlaced) -> Recorded:
        """Confirm an order that was placed."""
        return self.record(
            OrderConfirmed(
                order=placed.order, household=placed.household, programme=placed.programme, period=placed.period,
                session=placed.session, site=placed.site, goods=placed.goods, people=placed.people,
                due_at=self.now + timedelta(hours=6), occurred_at=self.now,
            )
        )  # fmt: skip

    def pack(self, box: str, order: str, household: str, *lines: PackedLine, **more: Any) -> Recorded:
        fields: dict[str, Any] = {
            "programme": "box", "period": WEEK, "session": "monday", "site": "hall", "people": People(adult=1),
            "occurred_at": self.now,
        }  # fmt: skip
        return self.record(BoxPacked(box=box, order=order, household=household, packed=lines, **fields | more))

    def hand_out(self, stored: Recorded, **more: Any) -> Recorded:
        """Hand out a box that was packed."""
        data: BoxPacked = stored.data
        fields: dict[str, Any] = {
            "programme": data.programme, "period": data.period, "session": data.session, "site": data.site,
            "packed": data.packed, "people": data.people, "claimed": True, "occurred_at": self.now,
        }  # fmt: skip
        return self.record(BoxHandedOut(box=data.box, order=data.order, household=data.household, **fields | more))
