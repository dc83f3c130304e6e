"""The vocabulary of allergens: what people write, and what items have, come to the same words."""

from __future__ import annotations

import pytest

from services.inventory.contract import ALLERGENS, allergens_in, allergens_meant, inventory
from services.inventory.contract.allergens import _KNOWN


@pytest.mark.parametrize(
    ("text", "words", "unknown"),
    [
        ("", (), ()),
        ("None", (), ()),
        ("n/a", (), ()),
        ("-", (), ()),
        ("No known food allergies", (), ()),
        ("peanut", ("peanuts",), ()),
        ("Peanut allergy", ("peanuts",), ()),
        ("severe peanut allergy", ("peanuts",), ()),
        ("nut allergy", ("peanuts", "tree-nuts"), ()),
        ("tree nuts", ("tree-nuts",), ()),
        ("lactose-free", ("milk",), ()),
        ("cow's milk", ("milk",), ()),
        ("milk|peanuts", ("milk", "peanuts"), ()),
        ("milk\npeanuts", ("milk", "peanuts"), ()),
        ("milk peanuts", ("milk", "peanuts"), ()),
        ("Walnuts, prawn; spelt / anchovies", ("crustaceans", "fish", "gluten", "tree-nuts"), ()),
        ("Nüsse und Ei", ("eggs", "peanuts", "tree-nuts"), ()),
        ("shellfish / soya; SESAME", ("crustaceans", "molluscs", "sesame-seeds", "soybeans"), ()),
        ("kiwis, milk", ("kiwi", "milk"), ("kiwi",)),
        ("coconut milk", ("coconut-milk", "milk"), ("coconut-milk",)),
        ("حليب", ("حليب",), ("حليب",)),
        ("حليب milk", ("milk", "حليب-milk"), ("حليب-milk",)),
        ("unknown", ("unknown",), ("unknown",)),
        ("allergic", ("allergic",), ("allergic",)),
        ("not known", ("not",), ("not",)),
    ],
)
def test_what_people_write_is_found(text: str, words: tuple[str, ...], unknown: tuple[str, ...]) -> None:
    assert allergens_in(text) == (words, unknown)


@pytest.mark.parametrize(
    ("label", "has"),
    [
        ("nuts", {"tree-nuts"}), ("tree_nuts", {"tree-nuts"}), ("walnut", {"tree-nuts"}), ("sesame", {"sesame-seeds"}),
        ("wheat-flour", {"gluten", "wheat-flour"}), ("dragonfruits", {"dragonfruit"}), ("sulphites", {ALLERGENS[11]}),
    ],
)  # fmt: skip
def test_what_items_are_labelled_is_found(label: str, has: set[str]) -> None:
    assert allergens_meant(label) == has


def test_every_group_is_a_label_that_an_item_may_have_and_means_itself() -> None:
    assert len(ALLERGENS) == 14
    inventory.parse("RegisterItem", {"item": "i", "name": "n", "unit": "each", "allergens": list(ALLERGENS)})
    for group in ALLERGENS:
        assert allergens_in(group) == ((group,), ()) and allergens_meant(group) == {group}


def test_every_word_is_understood_and_none_of_the_law_s_foods_is_missing() -> None:
    for word, groups in _KNOWN.items():
        assert set(groups) <= set(allergens_in(word)[0]) and not allergens_in(word)[1]
    annex_ii = "wheat rye barley oats spelt almonds hazelnuts walnuts cashews pecan pistachio macadamia lactose lupin"
    united_states = "bass flounder cod crab lobster shrimp almonds pecans walnuts soybeans sesame peanuts eggs"
    for word in f"{annex_ii} {united_states}".split():
        assert not allergens_in(word)[1], word
    assert allergens_in("Brazil nuts, Queensland nuts, khorasan wheat") == (("gluten", "tree-nuts"), ())
