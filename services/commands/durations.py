"""Lengths of time as they are typed: 90s, 15m, 8h, 1d."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

from services.commands.door import Usage

_FORM: Final = re.compile(r"([1-9][0-9]{0,5})(s|m|h|d)")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def duration(option: str, text: str) -> timedelta:
    """The time that an option was given. Raises Usage."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise Usage(f"{option} takes a time such as 90s, 15m, 1h or 1d. {text[:40]!r} is not one.")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})
