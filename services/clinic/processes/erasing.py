"""Erases patients: once nothing of theirs is open, no recall of what they got is, no record goes on as theirs, and
their records were kept as long as they must be. These are counted from the last that was recorded of their care, be it
an allergy, a note, a result or a medicine.

An order is open until it is signed or stopped. A signed one ends within 366 days, and its record is kept for longer.

A record that goes on as another's has data under a key of its own, and is erased first, or parted. Until then it is one
person's with the other: care that is recorded in the one that went on, and disclosures, keep both.

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
    AlertOverridden,
    AllergyRecorded,
    AllergyRefuted,
    DispensingRefused,
    DispensingRequested,
    DispensingUnpicked,
    DispensingVerified,
    EncounterClosed,
    EncounterOpened,
    ImmunizationGiven,
    MedicationAdministered,
    MedicationDispensed,
    MedicationPrescribed,
    MedicineReturned,
    NoKnownAllergyAsserted,
    NoteAmended,
    NoteAttested,
    NoteDrafted,
    NoteSigned,
    PatientsMerged,
    PatientsUnmerged,
    PersonErased,
    PrescriptionSigned,
    PrescriptionStopped,
    ProblemRecorded,
    RecallNoted,
    RecordDisclosed,
    ReferralClosed,
    ReferralMade,
    ReportedMedicationRecorded,
    ResultRecorded,
    VitalsRecorded,
    clinic,
)
from services.clinic.recalled import covers
from shared import erasing
from shared.erasing import Person, some
from shared.erasure import Happened, Obstacle, Terms

_KIND = "patient"
_CARE = (
    AllergyRecorded, AllergyRefuted, NoKnownAllergyAsserted, ProblemRecorded, ResultRecorded,
    ReportedMedicationRecorded, EncounterOpened, VitalsRecorded, NoteDrafted, NoteSigned, NoteAttested, NoteAmended,
    EncounterClosed, MedicationPrescribed, PrescriptionSigned, PrescriptionStopped, DispensingRequested,
    AlertOverridden, DispensingVerified, MedicationDispensed, DispensingRefused, MedicineReturned,
    MedicationAdministered, ImmunizationGiven, ReferralMade, ReferralClosed,
)  # fmt: skip
"""What is a record of care: of each patient the last day of any of it is known."""


@dataclass
class _Ties:
    """What ties one patient: open dispensings, orders, encounters, notes and referrals; what they got, by what it was
    given as: item, lot and date; and the last days of their care and of a disclosure."""

    dispensings: set[str] = field(default_factory=set)
    orders: set[str] = field(default_factory=set)
    referrals: set[str] = field(default_factory=set)
    encounters: set[str] = field(default_factory=set)
    notes: set[tuple[str, str]] = field(default_factory=set)
    got: dict[str, list[tuple[str, str | None, date | None]]] = field(default_factory=dict)
    cared: date | None = None
    disclosed: date | None = None


class Erasing(erasing.Erasing):
    """Remembers what ties each patient, whose record goes on as whose, and the open recalls of each item."""

    reads = (
        *_CARE, Happened, DispensingUnpicked, AdministrationReversed, RecallNoted, RecordDisclosed, PatientsMerged,
        PatientsUnmerged,
    )  # fmt: skip

    def __init__(self, terms: Terms) -> None:
        super().__init__(clinic, terms)
        self._ties: dict[str, _Ties] = {}
        self._recalls: dict[str, dict[str, RecallNoted]] = {}
        self._into: dict[str, str] = {}
        """As whom each patient's record goes on."""
        self._others: dict[str, set[str]] = {}
        """Of each patient, those whose records go on as theirs and are not erased."""

    def tie(self, event: Any) -> Iterable[Person]:
        if isinstance(event, Happened):
            if isinstance(event, PersonErased) and event.person in self._into:
                yield from self._part(event.person)
            return
        if isinstance(event, PatientsMerged):
            self._into[event.patient] = event.into
            self._others.setdefault(event.into, set()).add(event.patient)
            yield from ((_KIND, one) for one in (event.into, *self._family(event.patient)))
            return
        if isinstance(event, PatientsUnmerged):
            yield from self._part(event.patient)
            return
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
        if isinstance(event, _CARE):
            ties.cared = _later(ties.cared, day)
        match event:
            case DispensingRequested():
                ties.dispensings.add(event.dispensing)
            case DispensingRefused() | DispensingUnpicked():
                ties.dispensings.discard(event.dispensing)
            case MedicationDispensed():
                ties.dispensings.discard(event.dispensing)
                lots: list[tuple[str | None, date | None]] = [(line.lot, line.date) for line in event.lots]
                ties.got[f"c-{event.dispensing}"] = [(event.item, *lot) for lot in lots or [(None, None)]]
            case MedicationAdministered():
                ties.got[f"a-{event.administration}"] = [(event.item, event.lot, event.expires)]
            case ImmunizationGiven():
                if event.item is not None and event.imported_from is None:
                    ties.got[f"a-{event.administration}"] = [(event.item, event.lot, None)]
            case AdministrationReversed():
                ties.got.pop(f"a-{event.administration}", None)
            case EncounterOpened():
                if event.imported_from is None:
                    ties.encounters.add(event.encounter)
                elif event.ended_at is not None:
                    ties.cared = _later(ties.cared, event.ended_at.date())
            case EncounterClosed():
                ties.encounters.discard(event.encounter)
            case MedicationPrescribed():
                if event.imported_from is None:
                    ties.orders.add(event.prescription)
            case PrescriptionSigned() | PrescriptionStopped():
                ties.orders.discard(event.prescription)
            case ReferralMade():
                ties.referrals.add(event.referral)
            case ReferralClosed():
                ties.referrals.discard(event.referral)
            case NoteDrafted():
                ties.notes.add((event.encounter, event.note))
            case NoteSigned() | NoteAmended() if event.needs_attestation:
                ties.notes.add((event.encounter, event.note))
            case NoteSigned() | NoteAttested():
                ties.notes.discard((event.encounter, event.note))
            case RecordDisclosed():
                ties.disclosed = _later(ties.disclosed, day)
        yield from ((_KIND, one) for one in self._family(event.patient))

    def _part(self, patient: str) -> Iterable[Person]:
        """A record goes on as another's no longer: it was parted from it, or erased."""
        into = self._into.pop(patient, patient)
        self._others.get(into, set()).discard(patient)
        yield from ((_KIND, one) for one in (into, *self._family(patient)))

    def _family(self, patient: str) -> list[str]:
        """A patient and all whose records go on as theirs."""
        found = [patient]
        for one in found:
            found += sorted(self._others.get(one, set()).difference(found))
        return found

    def _line(self, patient: str) -> list[str]:
        """A patient and all as whom their record goes on, one after the other."""
        found = [patient]
        while (into := self._into.get(found[-1])) is not None and into not in found:
            found.append(into)
        return found

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
            ("open dispensings", ties.dispensings), ("open orders", ties.orders),
            ("open recalls of what they got", recalls), ("open encounters", ties.encounters),
            ("unsigned notes", {note for _, note in ties.notes}), ("open referrals", ties.referrals),
            ("others that go on as them", self._others.get(person[1], set())),
        )  # fmt: skip
        line = [self._ties.get(one, _Ties()) for one in self._line(person[1])]
        kept = (
            ("records of their care", _last(one.cared for one in line)),
            ("account of disclosures", _last(one.disclosed for one in line)),
        )
        return (
            *(Obstacle(what=what, which=some(ids)) for what, ids in found if ids),
            *(Obstacle(what=what, last=last) for what, last in kept if last is not None),
        )


def _later(one: date | None, other: date) -> date:
    return other if one is None else max(one, other)


def _last(days: Iterable[date | None]) -> date | None:
    return max((day for day in days if day is not None), default=None)
