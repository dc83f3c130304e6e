"""The one vocabulary of allergens: what people and catalogues call them, so that the two are found to mean the same.

The groups are the fourteen of Regulation (EU) No 1169/2011, Annex II, under the names of Open Food Facts, but for its
`nuts`, which is `tree-nuts` here. They hold the nine of the United States: 21 U.S.C. 321(qq), as made by the Food
Allergen Labeling and Consumer Protection Act of 2004 and the FASTER Act of 2021. Their wheat is gluten here, their
shellfish crustaceans. Particular foods that the two name (walnut, prawn, spelt) are in their group, with what is sold
of it under other names. A food that no law has labelled, such as pine nuts in the Union, is no word of it: an item that
does not list it says nothing about it.

Where a person may mean several groups (nuts, shellfish), all are meant: a warning too many is looked at, one too few
is eaten.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

__all__ = ["ALLERGENS", "allergens_in", "allergens_meant"]

_WORDS: Final[dict[str, str]] = {
    "gluten":
        "wheat rye barley oat spelt khorasan kamut emmer einkorn durum semolina couscous bulgur farro "
        "seitan triticale cereal coeliac celiac coeliac-disease celiac-disease weizen roggen gerste hafer "
        "dinkel getreide zoeliakie ble seigle orge avoine epeautre trigo centeno cebada avena",
    "crustaceans":
        "crustacean crustacean-shellfish crab prawn shrimp lobster crayfish crawfish langoustine scampi "
        "krill krebstier krebse garnele crustace crevette crustaceo gamba camaron",
    "eggs":
        "egg egg-white egg-yolk albumen mayonnaise ei eier oeuf huevo",
    "fish":
        "anchovy bass carp catfish cod eel flounder haddock hake halibut herring mackerel perch pike plaice "
        "pollock salmon sardine sole sprat swordfish tilapia trout tuna fisch poisson pescado",
    "peanuts":
        "peanut peanut-butter groundnut ground-nut monkey-nut arachis arachis-oil erdnuss erdnuesse "
        "erdnusse arachide cacahuete cacahuate",
    "soybeans":
        "soybean soy soya soja soy-bean soya-bean tofu edamame tempeh miso soy-milk soya-milk",
    "milk":
        "dairy lactose casein whey butter buttermilk cheese cream yoghurt yogurt ghee cow-milk cow-s-milk "
        "cows-milk milk-protein milk-powder milch laktose kaese lait lactaire fromage leche lactosa queso",
    "tree-nuts":
        "tree-nut treenut nut almond hazelnut filbert cobnut walnut cashew cashew-nut pecan pecan-nut "
        "pistachio pistachio-nut brazil-nut macadamia macadamia-nut queensland-nut marzipan praline nuss "
        "nuesse nusse mandel haselnuss haselnuesse walnuss walnuesse schalenfruechte schalenfrucht noix "
        "noisette amande fruits-coque nuez nueces almendra avellana frutos-secos frutos-de-cascara",
    "celery":
        "celeriac sellerie celeri apio",
    "mustard":
        "mustard-seed senf moutarde mostaza",
    "sesame-seeds":
        "sesame-seed sesame sesame-oil tahini tahina sesam sesamo ajonjoli",
    "sulphur-dioxide-and-sulphites":
        "sulphite sulfite sulphur-dioxide sulfur-dioxide sulfit sulfito so2",
    "lupin":
        "lupine lupinen lupin-flour altramuz altramuces",
    "molluscs":
        "mollusc mollusk mussel oyster clam scallop squid octopus cuttlefish calamari cockle whelk winkle "
        "snail abalone weichtiere muschel mollusque moule huitre molusco mejillon calamar",
}  # fmt: skip

_SEVERAL: Final[dict[str, tuple[str, ...]]] = {
    "shellfish": ("crustaceans", "molluscs"), "meeresfruechte": ("crustaceans", "molluscs"),
    "fruits-de-mer": ("crustaceans", "molluscs"), "mariscos": ("crustaceans", "molluscs"),
    "seafood": ("crustaceans", "fish", "molluscs"),
}  # fmt: skip

ALLERGENS: Final = tuple(_WORDS)
"""The vocabulary's own word for each group. Whatever else is said to be avoided is not known to be in any item."""

_KNOWN: Final[dict[str, tuple[str, ...]]] = {
    **{word: (group,) for group, words in _WORDS.items() for word in (group, *words.split())}, **_SEVERAL
}  # fmt: skip
_MEANT: Final = _KNOWN | dict.fromkeys(
    ("nut", "nuss", "nuesse", "nusse", "noix", "nuez", "nueces", "frutos-secos"), ("peanuts", "tree-nuts")
)
"""The same as people mean it: by nuts a law means tree nuts, and a person perhaps peanuts."""

_LONGEST: Final = max(word.count("-") + 1 for word in _KNOWN)
_NONE: Final = frozenset({
    "none", "no", "nil", "n-a", "na", "nka", "nkda", "none-known", "keine", "kein", "aucun", "aucune", "ninguno",
    "ninguna", "nothing",
})  # fmt: skip
_APART: Final = re.compile(r"[,;|/+&\n\r]|\.(?:\s|$)|\s(?:and|und|et|y|e|or|oder|ou|o)\s", re.IGNORECASE)
_AROUND: Final = frozenset({
    "a", "all", "allergen", "allergens", "allergic", "allergie", "allergies", "allergy", "any", "contains", "food",
    "free", "has", "intolerance", "intolerances", "intolerant", "is", "known", "mild", "no", "of", "product",
    "products", "severe", "strong", "the", "to", "very",
})  # fmt: skip
"""Words that stand around an allergen and change nothing of what is meant."""


def allergens_in(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What a person avoids by what was written of them: groups and unknown words, sorted; and the unknown words alone.

    A word is unknown when it is none of the vocabulary. It is looked for in items as it is, in the singular.
    """
    groups: set[str] = set()
    unknown: set[str] = set()
    if _named(_words(text)) in _NONE:
        return (), ()
    for part in _APART.split(text):
        said = _words(part)
        words = [word for word in said if word not in _AROUND]
        if not words and _NONE.isdisjoint(said):
            words = said  # "allergic", and to what is not said
        if not words or _named(words) in _NONE:
            continue
        found, left = _found(words, _MEANT)
        groups.update(found)
        if left:
            unknown.add(_named(words))
    return tuple(sorted(groups | unknown)), tuple(sorted(unknown))


@lru_cache(maxsize=4096)
def allergens_meant(label: str) -> frozenset[str]:
    """What an item has by one label of the catalogue: groups of the vocabulary, and the label itself, in the singular,
    if more is said in it. `nuts` is the law's word here, and means tree nuts alone.
    """
    words = _words(label)
    found, left = _found(words, _KNOWN)
    return frozenset(found | {_named(words)} if left else found)


def _named(words: list[str]) -> str:
    return "-".join([*words[:-1], _singular(words[-1])]) if words else ""


def _found(words: list[str], known: Mapping[str, tuple[str, ...]]) -> tuple[set[str], bool]:
    """The groups that words name, the longest names first, and whether any word is left."""
    groups: set[str] = set()
    left, at = False, 0
    while at < len(words):
        for length in range(min(_LONGEST, len(words) - at), 0, -1):
            name = "-".join(words[at : at + length])
            if meant := known.get(name) or known.get(_singular(name)) or known.get(name.removesuffix("es")):
                groups.update(meant)
                at += length
                break
        else:
            left, at = True, at + 1
    return groups, left


def _singular(word: str) -> str:
    """`anchovies` -> `anchovy`, `walnuts` -> `walnut`; what is in the singular stays."""
    if word.endswith("ies") and len(word) > 4:
        return f"{word[:-3]}y"
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word


def _words(text: str) -> list[str]:
    """`Œufs, Brazil_nuts` -> `oeufs`, `brazil`, `nuts`."""
    spelt = text.casefold().translate({0xE4: "ae", 0xF6: "oe", 0xFC: "ue", 0xDF: "ss", 0x153: "oe"})
    flat = "".join(c for c in unicodedata.normalize("NFKD", spelt) if not unicodedata.combining(c))
    return re.sub(r"[^\w]|_", " ", unicodedata.normalize("NFC", flat)).split()
