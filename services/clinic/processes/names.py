"""The ids by which goods in inventory are known to be for a dispensing or an administration of the clinic.

None of them says who the patient is, nor does anything else that the clinic sends to inventory.
"""

from __future__ import annotations

import re
from typing import Final

_DISPENSING: Final = re.compile(r"c-([A-Za-z0-9][A-Za-z0-9_-]{0,47})")
_ADMINISTRATION: Final = re.compile(r"a-([A-Za-z0-9][A-Za-z0-9_-]{0,47})")


def reservation_of(dispensing: str) -> str:
    """The reservation in inventory of what is set aside for a dispensing."""
    return f"c-{dispensing}"


def dispensing_of(reservation: str | None) -> str | None:
    """The dispensing that a reservation is for; None when it is nobody's here."""
    found = _DISPENSING.fullmatch(reservation or "")
    return found[1] if found else None


def recipient_of(administration: str) -> str:
    """To whom inventory gives what was administered. A dispensing's goods go to its own id, which never begins so."""
    return f"a-{administration}"


def administration_of(recipient: str | None) -> str | None:
    """The administration that goods went to; None when it was none."""
    found = _ADMINISTRATION.fullmatch(recipient or "")
    return found[1] if found else None
