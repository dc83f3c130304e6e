"""The ids by which goods in inventory are known to be for an order or a visit of distribution."""

from __future__ import annotations

_ORDER = "d-"
_VISIT = "v-"


def reservation_of(order: str) -> str:
    """The reservation in inventory of what is set aside for an order, in each item's stock."""
    return f"{_ORDER}{order}"


def order_of(reservation: str | None) -> str | None:
    """The order that a reservation is for; None when it is nobody's here."""
    return reservation.removeprefix(_ORDER) if reservation and reservation.startswith(_ORDER) else None


def recipient_of(visit: str) -> str:
    """Whom inventory gives the goods of a visit to; also the id of the visit's fulfilment."""
    return f"{_VISIT}{visit}"


def is_visit(recipient: str | None) -> bool:
    """Whether goods went to a visit of distribution's."""
    return recipient is not None and recipient.startswith(_VISIT)
