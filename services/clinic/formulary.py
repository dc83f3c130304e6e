"""Formulary: which medicine an item of inventory's is, what inventory says of it, and what of it is recalled."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final

from services.clinic.contract import (
    ClinicError,
    Coding,
    FormularyEntrySet,
    ItemNoted,
    NoteItem,
    NoteRecall,
    RecallNoted,
    Role,
    SetFormularyEntry,
    clinic,
)
from services.clinic.practitioner import in_role
from services.clinic.recalled import covers
from services.clinic.refusals import rejected, when
from services.clinic.terminology import plain
from services.clinic.terminology.controlled import is_controlled
from services.clinic.terminology.ingredients import contradicts
from shared.contract import fields_of
from shared.decider import Context, Decider
from shared.moments import TOLERANCE


@dataclass
class Formulary:
    """One item. `recalls` holds the newest that is known of each recall, whether it stands or not."""

    noted: ItemNoted | None = None
    entry: FormularyEntrySet | None = None
    recalls: dict[str, RecallNoted] = field(default_factory=dict)


FormularyCommand = SetFormularyEntry | NoteItem | NoteRecall
FormularyEvent = FormularyEntrySet | ItemNoted | RecallNoted


def evolve(formulary: Formulary, event: FormularyEvent) -> Formulary:
    match event:
        case FormularyEntrySet():
            formulary.entry = event
        case ItemNoted():
            formulary.noted = event
        case RecallNoted():
            formulary.recalls[event.recall] = event
    return formulary


def decide(command: FormularyCommand, formulary: Formulary, context: Context) -> FormularyEvent | None:
    fields = dict(fields_of(command)) | {"occurred_at": when(command.occurred_at, context)}
    match command:
        case NoteItem():
            known = formulary.noted
            return None if known is not None and command.revision <= known.revision else ItemNoted(**fields)
        case NoteRecall():
            before = formulary.recalls.get(command.recall)
            return None if before is not None and command.revision <= before.revision else RecallNoted(**fields)
        case SetFormularyEntry():
            in_role(context, (Role.CLINICIAN, Role.PHARMACIST), "set what an item is on the formulary")
            if formulary.noted is None:
                raise _unknown(command.item)
            if not formulary.noted.medicine:
                raise _no_medicine(command.item)
            if any(contradicts(one) for one in (command.medication, *command.ingredients)):
                raise rejected(
                    ClinicError.CODE_MISMATCH,
                    f"{command.item} has the code of one substance and the words of another. Look at the package, and "
                    "give each code its own words.",
                    item=command.item,
                )  # fmt: skip
            if not command.controlled and is_controlled((command.medication, *command.ingredients)):
                raise rejected(
                    ClinicError.CONTROLLED_SUBSTANCE,
                    f"{command.item} has a controlled substance in it. Say so with `controlled`; it is not dispensed.",
                    item=command.item,
                )  # fmt: skip
            made = FormularyEntrySet(**fields)
            return None if formulary.entry is not None and _said(formulary.entry) == _said(made) else made


def _said(entry: FormularyEntrySet) -> dict[str, object]:
    return {name: value for name, value in fields_of(entry) if name != "occurred_at"}


def _unknown(item: str) -> Exception:
    return rejected(
        ClinicError.UNKNOWN_ITEM,
        f"There is no medicine {item} in inventory's catalogue, as far as is known here. Check the item, or wait a "
        "moment.",
        item=item,
    )  # fmt: skip


def _no_medicine(item: str) -> Exception:
    return rejected(
        ClinicError.NOT_A_MEDICINE, f"{item} is no medicine by inventory's catalogue. Have it corrected there first.",
        item=item,
    )  # fmt: skip


def check(formulary: Formulary) -> list[str]:
    broken = []
    if formulary.entry is not None and formulary.noted is None:
        broken.append("an item was described that inventory does not have")
    if any(id != recall.recall for id, recall in formulary.recalls.items()):
        broken.append("a recall stands under another's id")
    return broken


formulary: Final = Decider(clinic, "formulary", Formulary, Formulary, decide, evolve, check)


# -- for the decisions about medicines --------------------------------------------------------------------------------


def dispensable(formulary: Formulary, item: str) -> FormularyEntrySet:
    """What an item is, if it may be given to somebody. Refuses an item that may not, whatever it is."""
    if formulary.noted is None:
        raise _unknown(item)
    entry = formulary.entry
    if formulary.noted.controlled or (entry is not None and entry.controlled):
        raise rejected(
            ClinicError.CONTROLLED_SUBSTANCE, f"{item} is a controlled substance, of which nothing is given here.",
            item=item,
        )  # fmt: skip
    if not formulary.noted.medicine:
        raise _no_medicine(item)
    if entry is None or formulary.noted.retired:
        raise rejected(
            ClinicError.NOT_ON_FORMULARY,
            f"{item} {'is retired' if entry else 'is not on the formulary'}. Choose another item, or set its entry "
            "with SetFormularyEntry.",
            item=item,
        )  # fmt: skip
    return entry


def recalls_of(formulary: Formulary, lots: Iterable[tuple[str | None, date | None]], at: datetime) -> list[str]:
    """The recalls that stand, stood at a moment and cover any of these lots, each with the date on its package."""
    lots = list(lots)
    return sorted(
        id
        for id, recall in formulary.recalls.items()
        if recall.standing
        and recall.occurred_at <= at + TOLERANCE
        and any(covers(recall.scope, lot, day) for lot, day in lots)
    )


def same_medicine(one: Coding, other: Coding) -> bool:
    """Whether two codings say the same: by code, or by their words where neither has one."""
    if one.system is not other.system:
        return False
    return one.code == other.code if one.code else plain(one.display) == plain(other.display)
