"""The words and marks by which the text of a recall notice says what its codes and dates are.

Every pattern is bounded, so that matching takes a time that does not grow with the text behind it.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final


class Label(Enum):
    LOT = "lot"
    EXPIRY = "expiry"
    USE_BY = "use_by"
    BEST_BEFORE = "best_before"
    SELL_BY = "a sell-by date; the ledger keeps expiry, use-by and best-before dates"
    MADE = "a date of making or distributing; the ledger keeps expiry, use-by and best-before dates"
    GTIN = "gtin"
    NDC = "a national drug code; compare it with the package"


DATED = (Label.EXPIRY, Label.USE_BY, Label.BEST_BEFORE)
OTHER_DATES = (Label.SELL_BY, Label.MADE)


def pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE | re.ASCII)


_AFTER = r"(?:[\s.]{0,3}(?:dates?|dated|codes?|coded|of|is|are|on)\b){0,3}"
_NUMBER = r"(?:\s{0,3}(?:codes?|numbers?|nos?\b\.?|#s?))?"
_MADE = (
    r"manufactur(?:ed?|ing)|mfg|mfd|produced|production|packed|packing|packaged|pack|made|distributed|distribution"
    r"|shipped|shipping|sold|born|julian|harvested|harvest"
)
LABELS: Final = (
    (
        Label.BEST_BEFORE,
        pattern(
            r"(?:best|better|fresh|enjoy)[\s-]{1,3}(?:if[\s-]{1,3})?(?:used?[\s-]{1,3})?(?:by|before)\b" + _AFTER,
        ),
    ),
    (Label.USE_BY, pattern(r"used?[\s-]{1,3}(?:by|before)\b" + _AFTER)),
    (Label.SELL_BY, pattern(r"sell[\s-]{1,3}by\b" + _AFTER)),
    (Label.EXPIRY, pattern(r"(?:expir(?:ation|y|es|ed|e|ing|ations)|exp)\b" + _AFTER)),
    (Label.MADE, pattern(rf"(?:dates?\s{{1,3}})?(?:of\s{{1,3}})?(?:{_MADE})\b{_AFTER}")),
    (Label.GTIN, pattern(r"(?:upc|gtin|ean|bar[\s-]?code)s?\b" + _NUMBER)),
    (Label.NDC, pattern(r"ndc\b" + _NUMBER)),
    (
        Label.LOT,
        pattern(
            r"(?:lots?|batch(?:es)?|codes?|units?)(?![a-z0-9])(?:\s{0,3}\(s\))?"
            r"(?:\s{0,3}(?:codes?|numbers?|nos?\b\.?|#'?s?\b|#|\(s\))){0,4}"
        ),
    ),
)
"""What announces codes or dates. The first that fits is taken: `best if used by` stands before `used by`."""

WORD = pattern(r"[a-z0-9][a-z0-9./_*#-]{0,199}")
GAP = re.compile(r"[\s,:=\"'*#.&/\\–—-]+")
JOIN = pattern(r"\s{0,3}(?:through|thru|until|till|up\s{1,3}to|to|-|–|—)\s{0,3}")
WORD_RANGE = pattern(r"\s{1,3}(?:through|thru|until|to|-|–|—)\s{1,3}(?=[a-z0-9-]{0,40}\d)")
FROM = pattern(r"(?:dated\s{1,3})?(?P<word>from|between)\s{1,3}")
AND = pattern(r"\s{0,3}(?:and|&)\s{0,3}")
_AMOUNT = (
    r"\d{1,9}(?:\.\d{1,3})?\s{0,2}(?:oz|ozs|ounces?|lbs?|pounds?|k?g|m?l|liters?|litres?|ct|count|units?|cases?|bottles?"
    r"|bags?|packs?|packages?|pieces?|boxes|cartons?|cans?|jars?|each|ea|pallets?)\b"
)
AMOUNT = pattern(_AMOUNT)
BRACKETED_AMOUNT = pattern(rf"\(\s{{0,3}}{_AMOUNT}\s{{0,3}}\)")
"""`(2 units)`: how much of a lot, which no recall asks for."""

MARKER = pattern(r"(?<![\w(#/.])(\d{1,2}|[a-z])\)")
MARKER_JOIN = pattern(r"[\s,]{0,3}(and|&|to|through|thru|-)?\s{0,3}")
NOT_ALL = pattern(r"including,?\s{1,3}\(?but\s{1,3}not\s{1,3}limited\s{1,3}to\)?")
_NOUN = r"(?:lots?|batch(?:es)?|products?|codes?|units?|packages?|dates?)(?: (?:codes?|numbers?|nos?|dates?))?"
ALL = pattern(
    rf"all(?: of)?(?: the)?(?: affected)?(?: (?:expiration|use by|best by|date|lot))?(?: {_NOUN})?"
    rf"(?:(?:,| and| &|/) ?(?:all )?(?:expiration |use by |best by )?{_NOUN}){{0,3}}"
    r"(?: (?:are|were))?(?: (?:affected|recalled|included|involved))?"
)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


TURNS: Final = _words(
    "except excepting excluding excludes exclude other not no non unless without prior before after earlier later "
    "older newer higher greater lower less above below beginning begins begin starting starts start ending ends end "
    "to through thru until till up since sooner "
    "first last digit digits prefix suffix onward onwards any some contains containing within remaining unaffected "
    "january february march april may june july august september october november december "
    "jan feb mar apr jun jul aug sep sept oct nov dec < > ≤ ≥"
)
"""Words that turn the meaning of a clause, so that reading its codes alone would be wrong. The middle of a range and
the name of a month are among them, for when what stands beside them was not understood."""

NOT_LOTS: Final = _words("all item product plant sku part model zip style establishment")
"""After these, `code` and `lots` announce something else than a lot's number."""

FILLER: Final = _words(
    "a an and or the of with on in is are was were as at by for this these that both also following affected recalled "
    "date dates dated code codes coded number numbers nos product products item items label labeled labelled marked "
    "stamped printed from each all s"
)
"""Words that say nothing when they stand alone between labels and codes."""

ENDS_CODE = re.compile(r"$|[\s,;()&\"']|[.:](?:$|\s)")
"""What may stand behind a code. Anything else (12+, 14:05, 12=3) makes it something other than a plain code."""

MAX_WORDS: Final = 6
_MAX_LOT: Final = 50
_LIKE_A_DATE = pattern(r"(?<![a-z0-9])\d{1,2}([/.-])\d{1,2}\1(?:\d{4}|\d{2})(?![a-z0-9])|^\d{1,2}/\d{2,4}$")


def lot_fault(words: list[str], *, single: bool) -> str:
    """Why a run of words is not taken for one lot's number; empty when it is."""
    written = " ".join(words)
    if len(words) > MAX_WORDS or len(written) > _MAX_LOT:
        return "is too long for a lot's number"
    if re.search(r"[*#]|[xX]{2}", written):
        return "holds a placeholder"
    shapes = [re.sub(r"[A-Za-z]", "A", re.sub(r"\d", "9", word)) for word in words]
    if len(words) > 1 and (not single or len(set(shapes)) < len(shapes)):
        return "several words: one code, or more than one?"
    if _LIKE_A_DATE.search(written):
        return "may be a date or a lot's number"
    halves = written.split("-")
    if (
        len(halves) == 2
        and all(half.isdigit() and len(half) >= 4 for half in halves)
        and len(halves[0]) == len(halves[1])
    ):
        return "may be a range of codes, or one code"
    return ""
