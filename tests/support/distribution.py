"""The words that sentences about distribution are made of.

A Friday in November, half past nine: the programme `box` gives each household one box a week, rice, and twice as much
from three people on. The session `friday` is open in the hall since eight. Of the stew nobody knows what is in it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from services.distribution.contract import (
    CATALOGUE,
    AgeBand,
    BundleLine,
    ClaimEntitlement,
    ConfirmOrder,
    Every,
    HandOutBox,
    IssuedGoods,
    ItemLine,
    Member,
    NoteGoods,
    NoteIssued,
    NoteReserved,
    OpenProgramme,
    OpenSession,
    PackBox,
    PackedLine,
    People,
    PlaceOrder,
    RecordVisit,
    RegisterHousehold,
    ReservedGoods,
    ScheduleSession,
    SetBundle,
    SetLimit,
    entitlement_id,
)
from services.distribution.contract.entitlement import of_visit
from services.distribution.deciders import DECIDERS
from tests.support.sentences import NOW, sentences

WEEK: Final = "2026-W47"
LIMITED: Final[dict[str, Any]] = {"household": "yilmaz", "programme": "box", "period": WEEK}
"""The entitlement that sentences are about."""


def _entitlement(event: Any) -> str:
    return (
        of_visit(event) if hasattr(event, "visit") else entitlement_id(event.household, event.programme, event.period)
    )


given = sentences(
    DECIDERS,
    {
        "household": lambda event: event.household,
        "programme": lambda event: event.programme,
        "session": lambda event: event.session,
        "entitlement": _entitlement,
        "order": lambda event: event.order,
        "box": lambda event: event.box,
        "fulfilment": lambda event: event.order,
        "goods": lambda _: CATALOGUE,
        "meal_count": lambda event: f"{event.site}:{event.date}",
        "process": lambda event: event.step,
    },
)


def at(hour: int, minute: int = 0, day: int = 20) -> datetime:
    """A moment of that November."""
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


def ago(**how_long: float) -> datetime:
    return NOW - timedelta(**how_long)


def some(**goods: int) -> tuple[ItemLine, ...]:
    """Lines of an order, a visit or a bundle."""
    return tuple(ItemLine(item=item, quantity=quantity) for item, quantity in goods.items())


def packed(quantity: int = 2, item: str = "rice", lot: str | None = "R1", **more: Any) -> PackedLine:
    return PackedLine(item=item, quantity=quantity, lot=lot, **more)


# -- what there is ----------------------------------------------------------------------------------------------------


def goods(item: str, *allergens: str, known: bool = True, **more: Any) -> NoteGoods:
    fields = {"item": item, "revision": 1, "name": item.title(), "unit": "each", **more}
    return NoteGoods(**fields, allergens=allergens if known else None)


CATALOGUED: Final = (
    goods("rice", weight=500), goods("peanut-butter", "peanuts"), goods("stew", known=False),
    goods("milk", "milk", chilled=True),
)  # fmt: skip
box = OpenProgramme(programme="box", name="Boxes", kind="box")
friday = ScheduleSession(session="friday", programme="box", site="hall", name="Friday", starts_at=at(8), ends_at=at(11))
doors = OpenSession(session="friday", occurred_at=at(8))
yilmaz = RegisterHousehold(
    household="yilmaz", card="c-1", name="Familie Yilmaz", size=4,
    members=(
        Member(member="ada", band=AgeBand.CHILD, allergens="Peanuts, tree nuts"),
        Member(member="ben", band=AgeBand.SENIOR),
    ),
)  # fmt: skip
okafor = RegisterHousehold(household="okafor", size=1)
limited = SetLimit(programme="box", times=1, every=Every.WEEK)
PROGRAMME: Final = (
    box,
    SetBundle(programme="box", lines=(BundleLine(item="rice", quantity=1),)),
    SetBundle(programme="box", min_size=3, lines=(BundleLine(item="rice", quantity=2),)),
    limited,
)
HALL: Final = (*CATALOGUED, *PROGRAMME, friday, doors, yilmaz, okafor)


# -- what is done -----------------------------------------------------------------------------------------------------


def visit(id: str = "v1", **more: Any) -> RecordVisit:
    return RecordVisit(**{**LIMITED, "visit": id, "session": "friday", **more})


def anonymous(id: str = "v1", **more: Any) -> RecordVisit:
    return visit(id, **{"household": None, "people": People(adult=1), **more})


def place(id: str = "o1", **more: Any) -> PlaceOrder:
    return PlaceOrder(**{"order": id, "household": "yilmaz", "session": "friday", **more})


def claim(id: str = "o1", **more: Any) -> ClaimEntitlement:
    return ClaimEntitlement(**{**LIMITED, "claim": id, **more})


def reserved(id: str = "o1", *lots: PackedLine, item: str = "rice", asked: int = 2) -> NoteReserved:
    """What inventory set aside: all of the standard box unless told otherwise."""
    lots = lots or (packed(asked, item),)
    short = asked - sum(lot.quantity for lot in lots)
    return NoteReserved(order=id, site="hall", goods=(ReservedGoods(item=item, asked=asked, lots=lots, short=short),))


def issued(id: str = "o1", movement: int = 7, quantity: int = 2) -> NoteIssued:
    """What inventory gave out of the rice."""
    goods = IssuedGoods(item="rice", quantity=quantity, site="hall", movement=movement, reserved=True)
    return NoteIssued(order=id, box="b1", goods=(goods,))


def pack(id: str = "b1", *lines: PackedLine, order: str = "o1", **more: Any) -> PackBox:
    return PackBox(box=id, order=order, lines=lines, **more)


def hand_out(id: str = "b1", **more: Any) -> HandOutBox:
    return HandOutBox(box=id, **more)


confirm = ConfirmOrder(order="o1")
ORDERED: Final = (*HALL, place(), confirm, claim(), reserved())
PACKED: Final = (*ORDERED, pack())
