"""The ids by which goods in inventory are known to be for an order or a visit of distribution."""

from __future__ import annotations

import re
from typing import Final

_ORDER: Final = re.compile(r"d([2-9]|[1-9][0-9]{1,8})?-([A-Za-z0-9][A-Za-z0-9_-]{0,47})")
_VISIT: Final = re.compile(r"v-[A-Za-z0-9][A-Za-z0-9_-]{0,45}")


def reservation_of(order: str) -> str:
    """The reservation in inventory of what is set aside for an order, in each item's stock."""
    return f"d-{order}"


def order_of(reservation: str | None) -> str | None:
    """The order that a reservation is for; None when it is nobody's here."""
    found = _ORDER.fullmatch(reservation or "")
    return found[2] if found and not found[1] else None


def reference_of(order: str, hand_out: int) -> str:
    """The reference in inventory of what is given out for an order: that of its reservation, and from a box's second
    hand-out on which one it is."""
    return f"d{'' if hand_out == 1 else hand_out}-{order}"


def hand_out_of(reference: str | None) -> tuple[str, int] | None:
    """The order that goods were given out for, and which hand-out of their box that was; None when it is nobody's
    here."""
    found = _ORDER.fullmatch(reference or "")
    return (found[2], int(found[1] or 1)) if found else None


def is_visit(recipient: str | None) -> bool:
    """Whether goods went to a visit of distribution's: to the id of its fulfilment."""
    return _VISIT.fullmatch(recipient or "") is not None
