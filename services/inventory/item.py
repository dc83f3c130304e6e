"""The catalogue: what each item is, and whether it is still taken in."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

from services.inventory import rules
from services.inventory.contract import (
    BaseUnit,
    ChangeItem,
    InventoryError,
    ItemChanged,
    ItemFacts,
    ItemRegistered,
    ItemRetired,
    RegisterItem,
    RetireItem,
    inventory,
)
from shared.decider import Context, Decider
from shared.errors import Rejected


@dataclass
class Item:
    """An item's facts as they are now; None before it is registered."""

    facts: ItemFacts | None = None
    retired_at: datetime | None = None


ItemCommand = RegisterItem | ChangeItem | RetireItem
ItemEvent = ItemRegistered | ItemChanged | ItemRetired

_FACTS: Final = tuple(f.name for f in fields(ItemFacts))


def _facts(source: ItemFacts) -> ItemFacts:
    return ItemFacts(**{name: getattr(source, name) for name in _FACTS})


def evolve(item: Item, event: ItemEvent) -> Item:
    match event:
        case ItemRegistered() | ItemChanged():
            return Item(facts=_facts(event))
        case ItemRetired():
            return Item(facts=item.facts, retired_at=event.occurred_at)


def decide(command: ItemCommand, item: Item, context: Context) -> ItemEvent | None:
    at = rules.when(command.occurred_at, context)
    match command:
        case RegisterItem():
            facts = _facts(command)
            if item.facts is not None:
                if item.facts == facts:
                    return None
                raise Rejected(
                    InventoryError.ALREADY_EXISTS,
                    f"Item {command.item} is in the catalogue already, as {item.facts.name!r}. "
                    "Use ChangeItem to change it, or choose another id.",
                    item=command.item,
                )
            _check(facts)
            return ItemRegistered(**_named(facts), item=command.item, occurred_at=at)
        case ChangeItem():
            before = registered(item, command.item)
            facts = _facts(command)
            if facts.unit != before.unit:
                raise Rejected(
                    InventoryError.UNIT_FIXED,
                    f"Item {command.item} is counted in {before.unit}; its stock could not be read in {facts.unit}. "
                    "Register a new item instead.",
                    item=command.item, unit=before.unit,
                )  # fmt: skip
            _check(facts)
            if facts == before and item.retired_at is None:
                return None
            return ItemChanged(**_named(facts), item=command.item, occurred_at=at)
        case RetireItem():
            registered(item, command.item)
            if item.retired_at is not None:
                return None
            return ItemRetired(item=command.item, occurred_at=at, note=command.note)


def registered(item: Item, id: str) -> ItemFacts:
    """The item's facts, or a refusal."""
    if item.facts is None:
        raise Rejected(
            InventoryError.UNKNOWN_ITEM,
            f"No item {id} is in the catalogue. Register it first, or check the spelling.",
            item=id,
        )
    return item.facts


def _named(facts: ItemFacts) -> dict[str, Any]:
    return {name: getattr(facts, name) for name in _FACTS}


def _check(facts: ItemFacts) -> None:
    if facts.best_before_extension and (facts.medicine or facts.infant_formula):
        raise Rejected(
            InventoryError.EXTENSION_FORBIDDEN,
            "The date of a medicine or of infant formula is never extended. Set best_before_extension to 0.",
            best_before_extension=facts.best_before_extension,
        )
    if facts.unit is BaseUnit.GRAM and facts.net_weight is not None:
        raise Rejected(
            InventoryError.INVALID_RANGE,
            "An item counted in g weighs its quantity. Leave net_weight out.",
            net_weight=facts.net_weight,
        )
    names = [pack.name for pack in facts.packs]
    if len(set(names)) < len(names):
        raise Rejected(
            InventoryError.DUPLICATE_LINE,
            "Two packs have the same name. Give each pack a name of its own.",
            packs=names,
        )
    allergens = facts.allergens or ()
    if len(set(allergens)) < len(allergens):
        raise Rejected(
            InventoryError.DUPLICATE_LINE, "An allergen is named twice. Name each once.", allergens=list(allergens)
        )


def check(item: Item) -> list[str]:
    if item.facts is None:
        return ["an item was retired without having been registered"] if item.retired_at else []
    if item.facts.best_before_extension and (item.facts.medicine or item.facts.infant_formula):
        return ["the date of a medicine or of infant formula is extended"]
    return []


item: Final = Decider(inventory, "item", Item, Item, decide, evolve, check)
