"""The words that all of inventory's commands and events are written in: enums, refusals, lots and lines.

Units: every quantity is an integer in the item's base unit (each, g or ml); weights are in g; temperatures in tenths
of a degree Celsius. Dates are the calendar dates printed on packages.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any, Final, TypeVar, dataclass_transform

from msgspec import Meta
from pydantic import AfterValidator, Field

from shared.contract import Contract, value
from shared.types import Amount, Date, Delta, Id, Moment, Note, Quantity, Revision, Text, shaped

inventory: Final = Contract("inventory")
"""What the inventory service promises."""

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True)
def event(*, category: str, version: int = 1) -> Callable[[type[T]], type[T]]:
    """Declare an event of inventory (as a function, which type checkers follow)."""
    return inventory.event(category=category, version=version)


@dataclass_transform(frozen_default=True, kw_only_default=True)
def command(
    *, category: str, aggregate: str | Callable[[Any], str], makes: tuple[type, ...]
) -> Callable[[type[T]], type[T]]:
    """Declare a command of inventory."""
    return inventory.command(category=category, aggregate=aggregate, makes=makes)


MAX_LINES: Final = 100
"""Lines of one command. More would not fit an event of 60,000 bytes: cut the command into several."""

MAX_MOVES: Final = 200
"""Lots that one event may touch."""

UNKNOWN: Final = "UNKNOWN"
"""As the lot of a line: stock whose lot is not known. On arrival it means the same as leaving the lot out."""

PHARMACIST: Final = "pharmacist"
"""The mandate under which donated medicine is let out of review."""


def stock_id(item: str, location: str) -> str:
    """The id of the stock of one item at one location. Neither part can hold a colon."""
    return f"{item}:{location}"


# -- refusals ---------------------------------------------------------------------------------------------------------


class InventoryError(StrEnum):
    """Why inventory refuses a command. When several hold, the first in this order is the one that is answered."""

    OCCURRED_IN_FUTURE = "OCCURRED_IN_FUTURE"
    UNKNOWN_ITEM = "UNKNOWN_ITEM"
    UNKNOWN_LOCATION = "UNKNOWN_LOCATION"
    UNKNOWN_COUNT = "UNKNOWN_COUNT"
    UNKNOWN_TRANSFER = "UNKNOWN_TRANSFER"
    UNKNOWN_RECALL = "UNKNOWN_RECALL"
    UNKNOWN_RESERVATION = "UNKNOWN_RESERVATION"
    UNKNOWN_HOLD = "UNKNOWN_HOLD"
    UNKNOWN_MOVEMENT = "UNKNOWN_MOVEMENT"
    UNKNOWN_LOT = "UNKNOWN_LOT"
    UNKNOWN_STEP = "UNKNOWN_STEP"
    UNKNOWN_DONOR = "UNKNOWN_DONOR"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    ALREADY_RECEIVED = "ALREADY_RECEIVED"
    ALREADY_REVERSED = "ALREADY_REVERSED"
    NOT_REVERSIBLE = "NOT_REVERSIBLE"
    RESERVATION_ENDED = "RESERVATION_ENDED"
    NOT_YET_DUE = "NOT_YET_DUE"
    SAME_LOCATION = "SAME_LOCATION"
    ITEM_RETIRED = "ITEM_RETIRED"
    LOCATION_CLOSED = "LOCATION_CLOSED"
    LOCATION_NOT_EMPTY = "LOCATION_NOT_EMPTY"
    WRONG_LOCATION = "WRONG_LOCATION"
    NOT_IN_COUNT = "NOT_IN_COUNT"
    UNIT_FIXED = "UNIT_FIXED"
    EXTENSION_FORBIDDEN = "EXTENSION_FORBIDDEN"
    INVALID_RANGE = "INVALID_RANGE"
    INCOMPLETE_LINE = "INCOMPLETE_LINE"
    DUPLICATE_LINE = "DUPLICATE_LINE"
    WRONG_SIGN = "WRONG_SIGN"
    REASON_REQUIRED = "REASON_REQUIRED"
    COUNT_SUPERSEDED = "COUNT_SUPERSEDED"
    CONTROLLED_SUBSTANCE = "CONTROLLED_SUBSTANCE"
    MEDICINE_FOR_CLINIC_ONLY = "MEDICINE_FOR_CLINIC_ONLY"
    PHARMACIST_REQUIRED = "PHARMACIST_REQUIRED"
    SECOND_PERSON_REQUIRED = "SECOND_PERSON_REQUIRED"
    UNUSUAL_QUANTITY = "UNUSUAL_QUANTITY"
    LOT_RECALLED = "LOT_RECALLED"
    LOT_QUARANTINED = "LOT_QUARANTINED"
    LOT_HELD = "LOT_HELD"
    LOT_EXPIRED = "LOT_EXPIRED"
    LOT_OUT_OF_ORDER = "LOT_OUT_OF_ORDER"
    STILL_RECALLED = "STILL_RECALLED"
    STILL_QUARANTINED = "STILL_QUARANTINED"
    BREAKS_LATER_MOMENT = "BREAKS_LATER_MOMENT"
    STOCK_RESERVED = "STOCK_RESERVED"
    INSUFFICIENT_STOCK = "INSUFFICIENT_STOCK"
    TOO_MANY_LOTS = "TOO_MANY_LOTS"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    ADMINISTRATOR_REQUIRED = "ADMINISTRATOR_REQUIRED"
    NOT_FOR_EVERYBODY = "NOT_FOR_EVERYBODY"
    SELF_GRANT = "SELF_GRANT"
    GRANT_ENDED = "GRANT_ENDED"
    LAST_ADMINISTRATOR = "LAST_ADMINISTRATOR"
    NOT_A_PERSON = "NOT_A_PERSON"
    ALREADY_ERASED = "ALREADY_ERASED"
    NOT_REQUESTED = "NOT_REQUESTED"
    NOT_APPROVED = "NOT_APPROVED"
    ERASURE_HELD = "ERASURE_HELD"
    NOT_CHECKED = "NOT_CHECKED"
    STILL_NEEDED = "STILL_NEEDED"
    KEY_NOT_DESTROYED = "KEY_NOT_DESTROYED"


# -- enums ------------------------------------------------------------------------------------------------------------


class BaseUnit(StrEnum):
    """What one unit of an item's quantity is."""

    EACH = "each"
    GRAM = "g"
    MILLILITRE = "ml"


class StorageClass(StrEnum):
    """How cold goods must be kept, from the warmest to the coldest."""

    AMBIENT = "ambient"
    CHILLED = "chilled"
    FROZEN = "frozen"


class DateKind(StrEnum):
    """What the date on a package means. Only best_before may be extended, and only by the item's own extension."""

    EXPIRY = "expiry"
    USE_BY = "use_by"
    BEST_BEFORE = "best_before"


class LocationKind(StrEnum):
    """What a location is. Stock at a quarantine location is neither reserved nor issued."""

    STORE = "store"
    SITE = "site"
    KITCHEN = "kitchen"
    CLINIC = "clinic"
    VEHICLE = "vehicle"
    QUARANTINE = "quarantine"


class Source(StrEnum):
    """Where received goods came from. Goods of a transfer arrive through ReceiveTransfer; `transfer` here is for one
    that was never dispatched in this ledger. `repack` is another item's stock, packed anew."""

    OPENING = "opening"
    DONATION = "donation"
    PURCHASE = "purchase"
    TRANSFER = "transfer"
    RETURN = "return"
    REPACK = "repack"


class Purpose(StrEnum):
    """Whom goods leave for. Medicine leaves for the clinic alone."""

    HOUSEHOLD = "household"
    MEAL = "meal"
    CLINIC = "clinic"
    PARTNER = "partner"
    PROGRAMME = "programme"
    OTHER = "other"


class AdjustReason(StrEnum):
    """Why stock is there or gone without being received or issued. `found` only adds; `counting_error` goes both
    ways; all others only take away. `lost`, `stolen` and `counting_error` are read off the ledger, so they cannot
    exceed it; the others are seen with one's own eyes, and can."""

    DAMAGED = "damaged"
    EXPIRED = "expired"
    SPOILED = "spoiled"
    LOST = "lost"
    STOLEN = "stolen"
    COLD_CHAIN_FAILURE = "cold_chain_failure"
    RECALLED = "recalled"
    FOUND = "found"
    COUNTING_ERROR = "counting_error"


class HoldReason(StrEnum):
    """Why a lot at a location waits."""

    RECALL = "recall"
    QUARANTINE = "quarantine"
    TEMPERATURE = "temperature"
    PHARMACIST_REVIEW = "pharmacist_review"
    DAMAGE = "damage"
    INSPECTION = "inspection"
    OTHER = "other"


class RecallClass(StrEnum):
    """How grave a recall is, in the three classes of the United States Food and Drug Administration (21 CFR 7.3(m)):
    I may cause death or serious harm, II temporary or reversible harm, III is not likely to harm."""

    CLASS_I = "I"
    CLASS_II = "II"
    CLASS_III = "III"
    UNCLASSIFIED = "unclassified"


class Breach(StrEnum):
    """What a recorded fact broke. Each is a review item that someone must close."""

    BEYOND_LEDGER = "beyond_ledger"
    RESERVED_TAKEN = "reserved_taken"
    EXPIRED = "expired"
    HELD = "held"
    RECALLED = "recalled"
    QUARANTINED = "quarantined"
    OUT_OF_ORDER = "out_of_order"
    NOT_FOR_CLINIC = "not_for_clinic"
    CONTROLLED = "controlled"
    STORAGE_MISMATCH = "storage_mismatch"
    ITEM_RETIRED = "item_retired"
    LOCATION_CLOSED = "location_closed"
    DATE_CONFLICT = "date_conflict"
    RESERVATION_ENDED = "reservation_ended"
    SURPLUS = "surplus"


class MovementKind(StrEnum):
    """The kinds of event that move stock, by the event's name."""

    STOCK_RECEIVED = "StockReceived"
    STOCK_ISSUED = "StockIssued"
    STOCK_ADJUSTED = "StockAdjusted"
    STOCK_DISPOSED = "StockDisposed"
    STOCK_RETURNED = "StockReturned"
    STOCK_REPACKED = "StockRepacked"
    TRANSFER_DISPATCHED = "TransferDispatched"
    TRANSFER_RECEIVED = "TransferReceived"
    COUNT_APPROVED = "CountApproved"
    MOVEMENT_REVERSED = "MovementReversed"
    MOVEMENT_CORRECTED = "MovementCorrected"


class Freeing(StrEnum):
    """Why a reserved quantity is no longer reserved: it was used by its own issue, released with the rest of its
    reservation, expired with it, or taken away by a fact (a review item)."""

    USED = "used"
    RELEASED = "released"
    EXPIRED = "expired"
    TAKEN = "taken"


# -- field types ------------------------------------------------------------------------------------------------------


def gtin_is_valid(gtin: str) -> bool:
    """Whether the last digit of a GTIN is its check digit (GS1 General Specifications, section 7.9)."""
    weighted = sum(int(digit) * (3 if i % 2 == 0 else 1) for i, digit in enumerate(reversed(gtin[:-1])))
    return (10 - weighted % 10) % 10 == int(gtin[-1])


def _checked_gtin(gtin: str) -> str:
    if not gtin_is_valid(gtin):
        raise ValueError("the last digit of this GTIN is not its check digit; scan or type the barcode again")
    return gtin


Gtin = Annotated[
    str,
    Field(pattern=shaped(r"^([0-9]{8}|[0-9]{12,14})$", "a GTIN has 8, 12, 13 or 14 digits and nothing else")),
    AfterValidator(_checked_gtin),
    Meta(max_length=14),
]
"""A GS1 trade item number of 8, 12, 13 or 14 digits, with its check digit."""

LotNumber = Annotated[
    str,
    Field(
        pattern=shaped(
            r"^[^\x00-\x20\x7f-\xa0]([^\x00-\x1f\x7f-\x9f]*[^\x00-\x20\x7f-\xa0])?$",
            "a lot number has no control characters, and no blank at its beginning or end",
        ),
        max_length=50,
    ),
    Meta(min_length=1, max_length=50),
]
"""A lot or batch number as printed. Compared without regard to case, spaces and punctuation."""


@lru_cache(maxsize=65_536)
def lot_form(lot: str | None) -> str:
    """What two spellings of one lot number have in common: "l 12-34a" and "L1234A" are one lot. Unknown is empty."""
    if lot is None:
        return ""
    form = "".join(c for c in lot.upper() if c.isalnum()) or lot
    return "" if form == UNKNOWN else form


Label = Annotated[
    str,
    Field(
        pattern=shaped(
            r"^[a-z][a-z0-9_-]{0,39}$", "a word is 1 to 40 lower-case letters, digits, hyphens, as tree-nuts"
        )
    ),
    Meta(min_length=1, max_length=40),
]
"""A short lower-case word, such as an allergen's: peanuts, tree-nuts."""

Days = Annotated[int, Field(ge=0, le=3650), Meta(ge=0, le=3650)]
Percent = Annotated[int, Field(ge=0, le=100), Meta(ge=0, le=100)]
Celsius = Annotated[int, Field(ge=-2731, le=10_000), Meta(ge=-2731, le=10_000)]
"""A temperature in tenths of a degree Celsius: 45 is 4.5 degrees."""

UtcOffset = Annotated[int, Field(ge=-720, le=840), Meta(ge=-720, le=840)]
"""A location's clock, in minutes east of UTC; it decides on which day a package's date is past there."""

# -- lots and lines ---------------------------------------------------------------------------------------------------


@value
class LotRef:
    """Goods of one kind on one shelf: same lot, same date, same owner. Each part may be unknown (null).

    `owner` is the programme whose goods these are (government food is accounted apart); null is the organisation's own.
    """

    lot: LotNumber | None = None
    date: Date | None = None
    date_kind: DateKind | None = None
    owner: Id | None = None


@value
class LotQuantity(LotRef):
    """A quantity of one lot, in base units."""

    quantity: Quantity


@value
class CountedLot(LotRef):
    """What was found of one lot, in base units; zero is allowed."""

    quantity: Amount


@value
class MadeFrom:
    """A lot that repacked goods were made from. A null lot is unknown."""

    item: Id
    lot: LotNumber | None = None


@value
class ReceiptLine(LotQuantity):
    """Goods that arrived. No lot and no date are allowed, and recorded as unknown; a date needs its kind.

    `made_from` names the lots of repacked goods.
    """

    made_from: Annotated[tuple[MadeFrom, ...], Field(max_length=20)] = ()


@value
class PickLine:
    """Goods to take, in base units. What is left out is chosen first-expired-first-out.

    `lot` may be UNKNOWN for stock of unknown lot. `reason` says why a lot was taken out of order.
    """

    quantity: Quantity
    lot: LotNumber | None = None
    date: Date | None = None
    owner: Id | None = None
    reason: Text | None = None


@value
class AdjustLine(LotRef):
    """A change of one lot, in base units: positive is found, negative is gone; never zero.

    When goods are gone, what is left out is chosen as in PickLine, and UNKNOWN is the stock of unknown lot; when they
    are found, no lot means that it is not known.
    """

    change: Delta


@value
class RepackLine(LotQuantity):
    """Goods that came out of repacking: a quantity of `item`, in that item's base unit."""

    item: Id


@value
class LotMove(LotRef):
    """What an event did to one lot at its location.

    `change` is the signed change of what is on hand, in base units. `unrecorded` is what left beyond the ledger:
    counted as found and gone in one moment, from an unknown lot, so it changes no balance; what left is
    `unrecorded - change`. A reversal carries both with the opposite sign. `on_hand` is the lot's figure after the
    event, in recorded order. `weight` is what moved in g, signed like the movement (in is positive); null when the
    item's weight is not known.
    """

    change: Delta
    unrecorded: Delta = 0
    on_hand: Amount
    weight: Delta | None = None


@value
class FreedLine(LotQuantity):
    """A quantity of a lot that is no longer reserved under a reservation, and why."""

    reservation: Id
    why: Freeing


@value
class LotHold:
    """A hold that begins: its id, its reason, and the lots it covers whole, including what arrives of them later.

    The hold of a recall bears the recall's id, that of a quarantine the quarantine's.
    """

    hold: Id
    reason: HoldReason
    lots: tuple[LotRef, ...]


@value
class StockCommand:
    """What every command to a stock says. `occurred_at` left out means now; it may not lie in the future.

    A fact that happened more than five minutes ago is recorded whatever the rules say of it, and what it broke is
    named in the event.
    """

    item: Id
    location: Id
    occurred_at: Moment | None = None
    note: Note | None = None


def stock_of(command: StockCommand) -> str:
    """The id of the stock that a command is sent to."""
    return stock_id(command.item, command.location)


@value
class StockEvent:
    """What every event of a stock says: which item, where, when it happened, and a remark if there was one."""

    item: Id
    location: Id
    occurred_at: Moment
    note: Note | None = None


@value
class Movement(StockEvent):
    """What every event that moves stock says, in the same words, so that one fold reads them all.

    `unit` is the item's base unit. `moves` are the changes by lot; they stand at `effective_at` (the moment it
    happened; of a reversal or correction, the moment of the movement it mends; of a count, the moment of counting).
    `freed` lists what is no longer reserved because of it. `on_hand` is the whole stock's figure after the event, in
    recorded order. `absorbed_by` names the approved count that came after `effective_at`, if there is one: then
    `moves` change that count's variance (by the opposite amount) and nothing that came after it, and `on_hand` stays
    as it was. `breaches` are what the fact broke; `short_at` is the first moment at which the ledger fell short of it.
    `medicine` says whether the item was a medicine at the time.
    """

    unit: BaseUnit
    moves: tuple[LotMove, ...]
    freed: tuple[FreedLine, ...] = ()
    on_hand: Amount
    effective_at: Moment
    absorbed_by: Id | None = None
    breaches: tuple[Breach, ...] = ()
    short_at: Moment | None = None
    medicine: bool = False


__all__ = [
    "MAX_LINES", "MAX_MOVES", "PHARMACIST", "UNKNOWN", "AdjustLine", "AdjustReason", "Amount", "BaseUnit", "Breach",
    "Celsius", "CountedLot", "Date", "DateKind", "Days", "Delta", "FreedLine", "Freeing", "Gtin", "HoldReason", "Id",
    "InventoryError", "Label", "LocationKind", "LotHold", "LotMove", "LotNumber", "LotQuantity", "LotRef", "MadeFrom",
    "Moment", "Movement", "MovementKind", "Note", "Percent", "PickLine", "Purpose", "Quantity", "RecallClass",
    "ReceiptLine", "RepackLine", "Revision", "Source", "StockCommand", "StockEvent", "StorageClass", "Text",
    "UtcOffset",
    "gtin_is_valid", "inventory", "lot_form", "stock_id", "stock_of",
]  # fmt: skip
