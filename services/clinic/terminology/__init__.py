"""Small tables of published terminologies that decisions look things up in; each says where it is from, and when.

They are a start and no formulary: what a table does not have is not compared by it, and a check says so. Of a
medicine that is missing, its formulary entry tells the ingredients and ATC classes.
"""

from __future__ import annotations

import re
from functools import lru_cache

_NO_WORD = re.compile(r"[^0-9a-z]+")


@lru_cache(maxsize=8192)
def plain(text: str) -> str:
    """A text as words are compared: lower case, with one space for all that is no letter or digit, and one at each end,
    so that a word is found in it as a whole."""
    return f" {_NO_WORD.sub(' ', text.casefold()).strip()} "
