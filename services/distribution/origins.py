"""Origins: what lots were made from, by item and lot, so that a recall of one reaches what was made of it.

Known of those alone that were packed anew out of others, or set apart from them.
"""

from __future__ import annotations

from services.distribution.contract import LotOf, OriginNoted
from services.inventory.contract import RecallScope, lot_form

Origins = dict[str, dict[str, list[LotOf]]]
"""Of each item and lot (its form), the lots that it was made from."""


def fresh(origins: Origins, made: LotOf, made_from: tuple[LotOf, ...]) -> list[LotOf]:
    """Of what a lot was made from, what is not known of it yet. A lot of which the date is not known adds nothing where
    it is known with its date."""
    known = {_key(one) for one in origins.get(made.item, {}).get(lot_form(made.lot), ())}
    known.add((made.item, lot_form(made.lot), None))
    named = {(item, form) for item, form, _ in known}
    found: dict[tuple[object, ...], LotOf] = {}
    for one in sorted(made_from, key=lambda one: one.date is None):
        item, form, day = _key(one)
        if (item, form, day) not in known and not (day is None and (item, form) in named):
            named.add((item, form))
            found.setdefault((item, form, day), one)
    return list(found.values())


def note(origins: Origins, event: OriginNoted) -> None:
    """Take in what lots were made from."""
    for made in event.made:
        if more := fresh(origins, made, event.made_from):
            origins.setdefault(made.item, {}).setdefault(lot_form(made.lot), []).extend(more)


def made_from(origins: Origins, lot: LotOf) -> list[LotOf]:
    """A lot, and all that it was made from, step by step. One that is not known may be any lot of its item."""
    found, seen = [lot], {_key(lot)}
    for one in found:
        lots = origins.get(one.item, {})
        form = lot_form(one.lot)
        parents = lots.get(form, []) if form else [parent for some in lots.values() for parent in some]
        for parent in parents:
            if _key(parent) not in seen:
                seen.add(_key(parent))
                found.append(parent)
    return found


def made_of(origins: Origins, item: str, scope: RecallScope) -> dict[str, set[str]]:
    """The lots that were made from what a recall covers, or from such lots: of each item, their forms."""
    found: dict[str, set[str]] = {}
    while True:
        grown = sum(map(len, found.values()))
        for made, lots in origins.items():
            for form, parents in lots.items():
                if form not in found.get(made, ()) and any(
                    (one.item == item and scope.covers(one.lot, one.date))
                    or (one.item in found and (not lot_form(one.lot) or lot_form(one.lot) in found[one.item]))
                    for one in parents
                ):
                    found.setdefault(made, set()).add(form)
        if sum(map(len, found.values())) == grown:
            return found


def _key(lot: LotOf) -> tuple[str, str, object]:
    return lot.item, lot_form(lot.lot), lot.date
