"""Allergens as people write them, in the words that the catalogue uses, so that the two are found to be the same.

The words are those of Open Food Facts for the fourteen of Regulation (EU) No 1169/2011, Annex II. Where a person means
several of them (shellfish), all are meant: a warning too many is looked at, one too few is eaten.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_NUTS: Final = ("nuts", "tree-nuts")

_WORDS: Final[dict[tuple[str, ...], str]] = {
    ("gluten",): "gluten wheat rye barley oats spelt cereals coeliac celiac weizen roggen getreide zoeliakie ble trigo",
    ("crustaceans",): "crustaceans crustacean crab prawn prawns shrimp shrimps lobster krebstiere crustaces crustaceos",
    ("eggs",): "eggs egg ei eier oeuf oeufs huevo huevos",
    ("fish",): "fish fisch poisson pescado",
    ("peanuts",): "peanuts peanut groundnuts groundnut erdnuss erdnuesse erdnusse arachides cacahuetes",
    ("soybeans",): "soybeans soybean soy soya soja",
    ("milk",): "milk dairy lactose milch laktose lait leche lactosa",
    _NUTS: "nuts nut tree-nuts tree-nut almond almonds hazelnut hazelnuts walnut walnuts cashew cashews pecan pecans "
           "pistachio pistachios brazil-nuts macadamia nuss nuesse nusse schalenfruechte noix frutos-secos nueces",
    ("celery",): "celery celeriac sellerie celeri apio",
    ("mustard",): "mustard senf moutarde mostaza",
    ("sesame-seeds",): "sesame-seeds sesame-seed sesame sesam sesamo",
    ("sulphur-dioxide-and-sulphites",): "sulphur-dioxide-and-sulphites sulphites sulphite sulfites sulfite "
                                        "sulphur-dioxide sulfur-dioxide sulfit sulfitos so2",
    ("lupin",): "lupin lupins lupine lupinen altramuces",
    ("molluscs",): "molluscs mollusc mollusks mussels oysters squid weichtiere mollusques moluscos",
    ("crustaceans", "molluscs"): "shellfish seafood meeresfruechte fruits-de-mer mariscos",
}  # fmt: skip

_KNOWN: Final[dict[str, tuple[str, ...]]] = {word: labels for labels, words in _WORDS.items() for word in words.split()}
_NONE: Final = frozenset({"none", "no", "nil", "na", "keine", "kein", "aucun", "aucune", "ninguno", "ninguna"})
_APART: Final = re.compile(r"[,;|/+&\n]|\s(?:and|und|et|y|or|oder)\s", re.IGNORECASE)
_AROUND: Final = frozenset({"allergy", "allergies", "allergic", "to", "allergie", "intolerance", "intolerant", "free"})


def allergens(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The catalogue's words for what a cell says, sorted; and those words of it that are none of the known ones.

    An unknown word is kept among the first, in the catalogue's form: it warns of items that say it just so.
    """
    labels: set[str] = set()
    unknown: set[str] = set()
    for part in _APART.split(text):
        words = [word for word in _plain(part).split("-") if word and word not in _AROUND]
        word = "-".join(words) if _plain(part) else " ".join(part.casefold().split())  # another script than Latin
        if not word or word in _NONE:
            continue
        found = _KNOWN.get(word)
        if found is None:
            unknown.add(word)
        labels.update(found or (word,))
    return tuple(sorted(labels)), tuple(sorted(unknown))


def _plain(text: str) -> str:
    """`Œufs, Brazil nuts` -> `oeufs`, `brazil-nuts`."""
    spelt = text.casefold().translate({0xE4: "ae", 0xF6: "oe", 0xFC: "ue", 0xDF: "ss", 0x153: "oe"})
    flat = unicodedata.normalize("NFKD", spelt).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", flat).strip("-")
