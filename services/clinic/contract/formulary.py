"""Commands and events of `formulary`: what the clinic knows of an item of inventory's. The id is the item's.

A process follows inventory's catalogue and recalls (ItemNoted, RecallNoted); a person says which medicine an item is
(FormularyEntrySet), so that an order and a box on the shelf can be compared, and both with an allergy.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from services.clinic.contract.base import Coded, Id, Moment, Revision, Text, command, event
from services.inventory.contract import RecallScope


@event(category="formulary")
class FormularyEntrySet:
    """An item is this medicine: `medication` with its strength (RxNorm), what is in it, and the classes it is of (ATC).

    `vaccine` is its CVX code, if it is one. Of a `controlled` substance nothing is prescribed or dispensed here.
    """

    item: Id
    medication: Coded
    ingredients: tuple[Coded, ...]
    classes: tuple[Coded, ...] = ()
    strength: Text | None = None
    form: Text | None = None
    manufacturer: Text | None = None
    vaccine: Coded | None = None
    controlled: bool = False
    occurred_at: Moment


@command(category="formulary", aggregate="item", makes=(FormularyEntrySet,))
class SetFormularyEntry:
    """Say which medicine an item is, as a whole. Without its ingredients nothing can be checked against an allergy."""

    item: Id
    medication: Coded
    ingredients: Annotated[tuple[Coded, ...], Field(min_length=1, max_length=20)]
    classes: Annotated[tuple[Coded, ...], Field(max_length=20)] = ()
    strength: Text | None = None
    form: Text | None = None
    manufacturer: Text | None = None
    vaccine: Coded | None = None
    controlled: bool = False
    occurred_at: Moment | None = None


@event(category="formulary")
class ItemNoted:
    """What inventory says of an item; `revision` is that of the item's event."""

    item: Id
    revision: Revision
    name: Text
    unit: Text
    medicine: bool
    controlled: bool
    retired: bool
    occurred_at: Moment


@command(category="formulary", aggregate="item", makes=(ItemNoted,))
class NoteItem:
    """Note what inventory says of an item; sent by a process manager."""

    item: Id
    revision: Revision
    name: Text
    unit: Text
    medicine: bool
    controlled: bool
    retired: bool
    occurred_at: Moment | None = None


@event(category="formulary")
class RecallNoted:
    """Inventory recalled lots of the item, or (`standing` false) lifted the recall; `revision` is of that event."""

    item: Id
    recall: Id
    revision: Revision
    scope: RecallScope
    reason: Text
    standing: bool
    occurred_at: Moment


@command(category="formulary", aggregate="item", makes=(RecallNoted,))
class NoteRecall:
    """Note a recall of inventory's; sent by a process manager."""

    item: Id
    recall: Id
    revision: Revision
    scope: RecallScope
    reason: Text
    standing: bool
    occurred_at: Moment | None = None


__all__ = ["FormularyEntrySet", "ItemNoted", "NoteItem", "NoteRecall", "RecallNoted", "SetFormularyEntry"]
