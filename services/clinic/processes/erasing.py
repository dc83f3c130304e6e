"""Erases patients: once nothing of theirs is open, no recall of what they got is, and their records were kept as long
as they must be.

How long records are kept after the last care is for a state's law; COMMONS_RETENTION_YEARS_CLINIC says it, and is six
years at the least, for which the account of disclosures is kept (45 CFR 164.528(a), 164.316(b)(2)).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from services.clinic.contract import (
    AdministrationReversed,
    DispensingRefused,
    DispensingRequested,
    DispensingUnpicked,
    EncounterClosed,
    EncounterOpened,
    ImmunizationGiven,
    MedicationAdministered,
    MedicationDispensed,
    NoteAmended,
    NoteAttested,
    NoteDrafted,
    NoteSigned,
    RecallNoted,
    RecordDisclosed,
    clinic,
)
from services.clinic.recalled import covers
from shared import erasing
from shared.erasing import Person, some
from shared.erasure import Happened, Obstacle, Terms

_KIND = "patient"


@dataclass
class _Ties:
    """What ties one patient: open dispensings, encounters and notes; what they got, by what it was given as: item, lot
    and date; and the last days of their care and of a disclosure."""

    dispensings: set[str] = field(default_factory=set)
    encounters: set[str] = field(default_factory=set)
    notes: set[tuple[str, str]] = field(default_factory=set)
    got: dict[str, list[tuple[str, str | None, date | None]]] = field(default_factory=dict)
    cared: date | None = None
    disclosed: date | None = None


class Erasing(erasing.Erasing):
    """Remembers what ties each patient, and the open recalls of each item."""

    reads = (
        Happened, DispensingRequested, MedicationDispensed, DispensingRefused, DispensingUnpicked,
        MedicationAdministered, ImmunizationGiven, AdministrationReversed, RecallNoted, EncounterOpened,
        EncounterClosed, NoteDrafted, NoteSigned, NoteAttested, NoteAmended, RecordDisclosed,
    )  # fmt: skip

    def __init__(self, terms: Terms) -> None:
        super().__init__(clinic, terms)
        self._ties: dict[str, _Ties] = {}
        self._recalls: dict[str, dict[str, RecallNoted]] = {}

    def tie(self, event: Any) -> Iterable[Person]:
        if isinstance(event, Happened):
            return  # an erasure frees nobody else
        if isinstance(event, RecallNoted):
            recalls = self._recalls.setdefault(event.item, {})
            if event.standing:
                recalls[event.recall] = event
            else:
                recalls.pop(event.recall, None)
            for patient, ties in sorted(self._ties.items()):
                if any(item == event.item for got in ties.got.values() for item, _, _ in got):
                    yield (_KIND, patient)
            return
        ties = self._ties.setdefault(event.patient, _Ties())
        day = event.occurred_at.date()
        match event:
            case DispensingRequested():
                ties.dispensings.add(event.dispensing)
            case DispensingRefused() | DispensingUnpicked():
                ties.dispensings.discard(event.dispensing)
            case MedicationDispensed():
                ties.dispensings.discard(event.dispensing)
                lots: list[tuple[str | None, date | None]] = [(line.lot, line.date) for line in event.lots]
                ties.got[f"c-{event.dispensing}"] = [(event.item, *lot) for lot in lots or [(None, None)]]
                ties.cared = _later(ties.cared, day)
            case MedicationAdministered():
                ties.got[f"a-{event.administration}"] = [(event.item, event.lot, event.expires)]
                ties.cared = _later(ties.cared, day)
            case ImmunizationGiven():
                if event.item is not None and event.imported_from is None:
                    ties.got[f"a-{event.administration}"] = [(event.item, event.lot, None)]
                ties.cared = _later(ties.cared, day)
            case AdministrationReversed():
                ties.got.pop(f"a-{event.administration}", None)
            case EncounterOpened():
                ties.cared = _later(ties.cared, day)
                if event.imported_from is None:
                    ties.encounters.add(event.encounter)
            case EncounterClosed():
                ties.encounters.discard(event.encounter)
            case NoteDrafted():
                ties.notes.add((event.encounter, event.note))
            case NoteSigned() | NoteAmended() if event.needs_attestation:
                ties.notes.add((event.encounter, event.note))
            case NoteSigned() | NoteAttested():
                ties.notes.discard((event.encounter, event.note))
            case RecordDisclosed():
                ties.disclosed = _later(ties.disclosed, day)
        yield (_KIND, event.patient)

    def obstacles(self, person: Person) -> tuple[Obstacle, ...]:
        ties = self._ties.get(person[1], _Ties())
        recalls = {
            id
            for got in ties.got.values()
            for item, lot, day in got
            for id, recall in self._recalls.get(item, {}).items()
            if covers(recall.scope, lot, day)
        }
        found = (
            ("open dispensings", ties.dispensings), ("open recalls of what they got", recalls),
            ("open encounters", ties.encounters), ("unsigned notes", {note for _, note in ties.notes}),
        )  # fmt: skip
        kept = (("records of their care", ties.cared), ("account of disclosures", ties.disclosed))
        return (
            *(Obstacle(what=what, which=some(ids)) for what, ids in found if ids),
            *(Obstacle(what=what, last=last) for what, last in kept if last is not None),
        )


def _later(one: date | None, other: date) -> date:
    return other if one is None else max(one, other)
