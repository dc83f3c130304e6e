"""Goods: what distribution knows of inventory's items and recalls, noted from inventory's own events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from services.distribution.contract import (
    BundleLine,
    DistributionError,
    GoodsNoted,
    ItemLine,
    LotOf,
    NoteGoods,
    NoteOrigin,
    NoteRecall,
    OriginNoted,
    PackedLine,
    RecallNoted,
    Warned,
    Warning,  # noqa: A004 - the field's own word
    distribution,
    warnings_said,
    warnings_unseen,
)
from services.distribution.origins import Origins, fresh, made_from, note
from services.distribution.refusals import rejected, when
from services.inventory.contract import ALLERGENS, RecallScope, allergens_meant, lot_form
from shared.contract import fields_of
from shared.decider import Context, Decider


@dataclass(slots=True)
class Goods:
    """An item: its base unit; if known, the net weight in g of one piece or of 1,000 ml, and its allergens."""

    revision: int
    name: str
    unit: str
    weight: int | None
    allergens: frozenset[str] | None
    chilled: bool
    retired: bool
    unusual_above: int | None = None


@dataclass(slots=True)
class Recall:
    """A recall of an item: what it covers, None once it was lifted."""

    revision: int
    scope: RecallScope | None


@dataclass
class Catalogue:
    """All items, by id, and of each the recalls that there were. A note that comes late finds a newer revision.
    `origins` are the lots that others were made from."""

    items: dict[str, Goods] = field(default_factory=dict)
    recalls: dict[str, dict[str, Recall]] = field(default_factory=dict)
    origins: Origins = field(default_factory=dict)


def evolve(catalogue: Catalogue, event: GoodsNoted | RecallNoted | OriginNoted) -> Catalogue:
    match event:
        case GoodsNoted():
            catalogue.items[event.item] = Goods(
                event.revision, event.name, event.unit, event.weight,
                None if event.allergens is None else frozenset(event.allergens), event.chilled, event.retired,
                event.unusual_above,
            )  # fmt: skip
        case RecallNoted():
            recalls = catalogue.recalls.setdefault(event.item, {})
            recalls[event.recall] = Recall(event.revision, event.scope if event.open else None)
        case OriginNoted():
            note(catalogue.origins, event)
    return catalogue


def decide(
    command: NoteGoods | NoteRecall | NoteOrigin, catalogue: Catalogue, context: Context
) -> GoodsNoted | RecallNoted | OriginNoted | None:
    known: Goods | Recall | None
    if isinstance(command, NoteOrigin):
        if not any(fresh(catalogue.origins, made, command.made_from) for made in command.made):
            return None
        return OriginNoted(**(dict(fields_of(command)) | {"occurred_at": when(command.occurred_at, context)}))
    if isinstance(command, NoteGoods):
        known = catalogue.items.get(command.item)
    else:
        known = catalogue.recalls.get(command.item, {}).get(command.recall)
    if known is not None and command.revision <= known.revision:
        return None
    fields = dict(fields_of(command)) | {"occurred_at": when(command.occurred_at, context)}
    return GoodsNoted(**fields) if isinstance(command, NoteGoods) else RecallNoted(**fields)


def check(catalogue: Catalogue) -> list[str]:
    return [f"{id} was noted without a revision" for id, goods in catalogue.items.items() if goods.revision < 1]


def recalled(catalogue: Catalogue, lines: Iterable[PackedLine]) -> list[tuple[PackedLine, str]]:
    """The packed goods that an open recall covers, each with the recall. A lot that is not known counts as covered,
    be it the stock of unknown lot or the first to expire, whichever that was. So does what was made of recalled goods,
    or set apart from them, be it another item.
    """
    found: dict[tuple[PackedLine, str], None] = {}
    for line in lines:
        for one in made_from(catalogue.origins, LotOf(item=line.item, lot=line.lot, date=line.date)):
            for id, recall in catalogue.recalls.get(one.item, {}).items():
                if recall.scope is not None and recall.scope.covers(one.lot, one.date):
                    found[line, id] = None
    return list(found)


def recalls_open(catalogue: Catalogue, lines: Iterable[ItemLine]) -> list[tuple[str, str]]:
    """The items of which a recall is open, each with the recall: goods that are given by item alone may be of it."""
    unknown = [PackedLine(item=line.item, quantity=line.quantity) for line in lines]
    return [(line.item, id) for line, id in recalled(catalogue, unknown)]


def lot_named(line: PackedLine) -> str:
    """Packed goods in a sentence."""
    return f"{line.item} of lot {line.lot}" if lot_form(line.lot) else f"{line.item} of unknown lot"


def known_items(catalogue: Catalogue, lines: Iterable[ItemLine | PackedLine | BundleLine]) -> None:
    """Refuse an item that inventory's catalogue does not have, as far as it has come through."""
    for line in lines:
        if line.item not in catalogue.items:
            raise rejected(
                DistributionError.UNKNOWN_ITEM,
                f"There is no item {line.item} in the catalogue. Check its id, or register it in inventory first.",
                item=line.item,
            )  # fmt: skip


def distinct(lines: Sequence[ItemLine]) -> None:
    """Refuse an item that is listed twice."""
    seen: set[str] = set()
    for line in lines:
        if line.item in seen:
            raise rejected(
                DistributionError.DUPLICATE_LINE, f"{line.item} is listed twice. Add the two up.", item=line.item
            )
        seen.add(line.item)


def unusual(catalogue: Catalogue, lines: Iterable[ItemLine | PackedLine]) -> dict[str, str]:
    """Of which items there is more than is usual, each in words."""
    totals: dict[str, int] = {}
    for line in lines:
        totals[line.item] = totals.get(line.item, 0) + line.quantity
    found = {}
    for item, total in totals.items():
        goods = catalogue.items.get(item)
        if goods is not None and goods.unusual_above is not None and total > goods.unusual_above:
            found[item] = f"{total:,} {goods.unit} of {item} are more than the {goods.unusual_above:,} that are usual"
    return found


def usual(told: Iterable[str], confirmed: bool) -> None:
    """Refuse what is unusual, unless somebody confirmed it."""
    told = tuple(told)
    if told and not confirmed:
        raise rejected(
            DistributionError.UNUSUAL,
            f"Look twice: {'; '.join(told)}. Correct it, or send it again with confirm_unusual.", unusual=list(told),
        )  # fmt: skip


CANNOT_BE_READ: Final = "?"
"""Stands among what a household avoids for allergens that were recorded, and whose key is lost or destroyed."""


def warnings(
    catalogue: Catalogue, avoided: frozenset[str], lines: Iterable[ItemLine | PackedLine]
) -> tuple[Warned, ...]:
    """What somebody should look at before these goods go to a household that avoids some allergens.

    An item whose allergens are not known warns too, and so does one with a label that is no word of the vocabulary: it
    may mean anything. So does any with allergens when what the household avoids cannot be read any more, and every one
    when it avoids what is no word of the vocabulary: no list of allergens says of it that it is not there. A household
    that avoids nothing is warned of nothing.
    """
    if not avoided:
        return ()
    strange = avoided.difference(ALLERGENS, (CANNOT_BE_READ,))
    found: dict[str, Warned] = {}
    for line in lines:
        goods = catalogue.items.get(line.item)
        has = goods.allergens if goods is not None else None
        if has and any(allergens_meant(label) & avoided for label in has):
            found[line.item] = Warned(item=line.item, warning=Warning.ALLERGEN)
        elif has is None or strange or (has and CANNOT_BE_READ in avoided) or any(map(_unclear, has)):
            found[line.item] = Warned(item=line.item, warning=Warning.ALLERGENS_UNKNOWN)
    return tuple(found.values())


def _unclear(label: str) -> bool:
    """Whether an item's label says something that is none of the vocabulary, or nothing at all."""
    meant = allergens_meant(label)
    return not meant or not meant.issubset(ALLERGENS)


def said(warned: Iterable[Warned], lines: Iterable[ItemLine | PackedLine], *, unseen: bool = False) -> str:
    """The warnings about goods of a household, to be sealed: there is a text whether there is a warning or not."""
    return warnings_said(warned, [line.item for line in lines], unseen=unseen)


def nobody_looked(warnings: str | None, context: Context) -> bool:
    """Whether a sealed text of warnings holds one that nobody has seen; one that nobody can open any more may."""
    text = None if warnings is None else context.unseal(warnings)
    return warnings is not None and (text is None or warnings_unseen(text))


def look(warned: Iterable[Warned], seen: bool, recalls: Sequence[tuple[str, str]] = ()) -> None:
    """Refuse to go on over warnings that nobody has looked at, about a household's allergens or `recalls` of items. All
    are told at once: one answer stands for all of them."""
    warned = tuple(warned)
    if not (warned or recalls) or seen:
        return
    words = {
        Warning.ALLERGEN: "{} has an allergen that the household avoids",
        Warning.ALLERGENS_UNKNOWN: "whether {} is safe for them is not known",
    }
    told = [words[one.warning].format(one.item) for one in warned]
    told += [f"some of {item} is recalled (recall {id}): see that it is another lot" for item, id in recalls]
    facts: list[dict[str, str]] = [{"item": one.item, "warning": str(one.warning)} for one in warned]
    facts += [{"item": item, "warning": "recalled", "recall": id} for item, id in recalls]
    raise rejected(
        DistributionError.WARNING_NOT_SEEN,
        f"Look before you go on: {'; '.join(told)}. Choose something else, or send it again with seen_warnings.",
        warnings=facts,
    )  # fmt: skip


goods: Final = Decider(distribution, "goods", Catalogue, Catalogue, decide, evolve, check)
