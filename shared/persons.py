"""Whether two who acted are one person, where a second one is asked for."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable


def person_of(actor: str) -> str:
    """What the spellings of one login have in common: case, width and blanks around make nobody a second person."""
    return " ".join(unicodedata.normalize("NFKC", actor).casefold().split())


def is_among(actor: str, others: Iterable[str]) -> bool:
    """Whether somebody is one of others, however each is spelt."""
    return person_of(actor) in map(person_of, others)
