"""Blind indexes: what finds a text again without being it, for who has the key, and for nobody else.

    token(key, word) == token(key, other)      exactly if both words begin alike

A token stands for the first letters of a word and no more: names are opened before they are shown, and are compared
in full then, so a token need not tell more than how to find the few that may be meant.
"""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
from typing import Final

LETTERS: Final = 3
"""Of the beginning of a word that a token stands for; the whole of a shorter one."""

_ALIKE: Final = str.maketrans({"ı": "i", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe"})
"""Letters that no accent is taken off from, as they are typed where a keyboard lacks them."""


def blind(key: bytes, kind: str, text: str) -> str:
    """32 hex digits, the same for the same text of the same kind under a key.

    Upper and lower case, blanks and compatible characters (NFKC) make no difference.
    """
    normal = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return hmac.new(key, f"{kind}\0{normal}".encode(), hashlib.sha256).hexdigest()[:32]


def words(text: str) -> list[str]:
    """The words of a name in the form in which they are compared: no accents, no case, letters and digits alone."""
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    plain = "".join(c for c in plain if not unicodedata.combining(c)).translate(_ALIKE)
    return "".join(c if c.isalnum() else " " for c in plain).split()


def token(key: bytes, word: str) -> str:
    """What finds the words that begin as this one does, under a key; the word is one of `words`."""
    return blind(key, "word", word[:LETTERS])


def meant(asked: list[str], name_words: list[str]) -> bool:
    """Whether each word that was asked for begins some word of the names."""
    return all(any(word.startswith(one) for word in name_words) for one in asked)
