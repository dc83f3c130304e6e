"""Charts: one row for each thing that is recorded of a patient, so that a whole chart opens with one query.

One table and not fifteen: a chart is read as a whole, in the order of time, and everything in it has the same bones
(whose it is, when it was, who recorded it, what stands in it, sealed). What differs is small, clear, and in `facts`.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from services.clinic.contract import (
    AdministrationResolved,
    AdministrationReversed,
    AlertNoted,
    AlertOverridden,
    AllergyRecorded,
    AllergyRefuted,
    AppointmentBooked,
    AppointmentCancelled,
    CheckedIn,
    ConsentGranted,
    ConsentWithdrawn,
    DispensingRechecked,
    DispensingRefused,
    DispensingRequested,
    DispensingResolved,
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
    NoShowRecorded,
    NoteAmended,
    NoteAttested,
    NoteDrafted,
    NoteSigned,
    PrescriptionSigned,
    PrescriptionStopped,
    ProblemRecorded,
    ReferralClosed,
    ReferralMade,
    ReportedMedicationRecorded,
    ResultRecorded,
    SupplyAllotted,
    SupplyReturned,
    VitalsRecorded,
)
from services.projections.clinic.base import ClinicProjection, events_of, iso, lots_as_json
from shared.event import Recorded
from shared.projection import Key, Row, Rows, Table

_ENTRIES: Final = "chart_entries"

_CHARTED: Final = (
    frozenset({AllergyRecorded, AllergyRefuted, NoKnownAllergyAsserted, ProblemRecorded, ResultRecorded, ConsentGranted,
               ConsentWithdrawn, ReportedMedicationRecorded, DispensingRequested, DispensingRechecked, AlertNoted,
               AlertOverridden, DispensingVerified, MedicationDispensed, DispensingRefused, DispensingUnpicked,
               MedicineReturned, DispensingResolved, MedicationAdministered, ImmunizationGiven,
               AdministrationReversed, AdministrationResolved})
    | events_of("encounter", "prescription", "schedule", "referral")
)  # fmt: skip


class ClinicChart(ClinicProjection):
    """`chart_entries` has a row for each entry of a chart: `kind` and `id`, and `within` what the id is unique: an
    encounter's id for vitals and notes, a clinician's day for appointments, empty for the rest. `ref` is the id by
    which others ask for the entry, unlike that of any other of its kind: its own where an aggregate has it, else one
    that is made of kind, within and id, and of the patient where the id is unique in their record alone. So what later
    happens to an entry finds it by itself: it may name the patient as whom the record goes on since.

    `content` is sealed; services/queries/clinic/contents.py says which value it holds, by kind. `status` is what is
    known in clear, `author` who recorded it, `occurred_at` when it was (an appointment's is when it begins),
    `recorded_at` when it was first recorded, `changed_at` when the row last changed. `facts` are further clear values,
    and sealed texts beside the content, such as the reason why an allergy was refuted.

    | kind | status | facts |
    | --- | --- | --- |
    | allergy | active, refuted | reason (sealed), ended_by |
    | no_known_allergy | asserted | the id is the category |
    | problem, reported_medication | recorded | |
    | result, vitals | final, corrected | corrects, corrected_by, confirm_unusual |
    | consent | granted, withdrawn | ended_at |
    | encounter | open, closed | clinician, appointment, class, imported_from, ended_at, follow_up_on, unsigned |
    | note | draft, signed, to_attest, attested | signed_at, attested_by, attested_at, remark (sealed), amendments |
    | prescription | draft, signed, stopped, imported | imported_from, order_status, signed_by, signed_at, valid_days,
      ended_at, reason (sealed), allotted (in the item's base unit), dispensings |
    | dispensing | requested, verified, dispensed, refused, unpicked | prescription, item, location, quantity,
      days_supply, prescriber, expires_after, due_at, check (sealed; the last one), alerts (sealed), overrides,
      verified_by, lots (what is in the bag, and then what left), lines (what was said of it), label_printed,
      discard_by, fact, breaches, dispensed_by, dispensed_at, returned, reason (sealed) |
    | administration, immunization | given, reversed | item, location, quantity, lot, expires, check (sealed),
      override_reason (sealed), fact, breaches, imported_from, reason (sealed) |
    | referral | open, closed | due_on, outcome (sealed), ended_at |
    | appointment | booked, checked_in, no_show, cancelled | clinician, date, minutes, overbook_reason (sealed),
      overlaps, checked_in_at, reason (sealed) of a cancellation |
    """

    name = "clinic_chart"
    version = 1
    events = _CHARTED
    tables = (
        Table(
            _ENTRIES,
            key=("kind", "ref"),
            columns={
                "patient": "text", "kind": "text", "within": "text", "id": "text", "ref": "text", "encounter": "text",
                "content": "text", "status": "text", "facts": "jsonb", "author": "text", "occurred_at": "timestamptz",
                "recorded_at": "timestamptz", "changed_at": "timestamptz",
            },
            indexes=("patient, kind, occurred_at",),
        ),
    )  # fmt: skip

    def touches(self, event: Recorded) -> Iterable[tuple[str, Key]]:
        return [(_ENTRIES, _key(place)) for place in _places(event.data)]

    def apply(self, event: Recorded, rows: Rows) -> None:
        data = event.data
        match data:
            case AllergyRecorded() | NoKnownAllergyAsserted() | ProblemRecorded() | ReportedMedicationRecorded():
                (place,) = _places(data)
                status = {"allergy": "active", "no_known_allergy": "asserted"}.get(place.kind, "recorded")
                _state(event, rows, place, status)
            case AllergyRefuted():
                if (row := _row(event, rows)) is not None:
                    row["status"] = "refuted"
                    row["facts"] |= {"reason": data.reason, "ended_by": event.envelope.authid}
            case ResultRecorded() | VitalsRecorded():
                _corrected(event, rows)
            case ConsentGranted():
                _state(event, rows, _places(data)[0], "granted")
            case ConsentWithdrawn():
                if (row := _row(event, rows)) is not None:
                    row["status"] = "withdrawn"
                    row["facts"]["ended_at"] = iso(data.occurred_at)
            case EncounterOpened() | EncounterClosed():
                _encounter(event, rows)
            case NoteDrafted() | NoteSigned() | NoteAttested() | NoteAmended():
                _note(event, rows)
            case (
                MedicationPrescribed() | PrescriptionSigned() | PrescriptionStopped() | SupplyAllotted()
                | SupplyReturned()
            ):  # fmt: skip
                _prescription(event, rows)
            case MedicationAdministered() | ImmunizationGiven() | AdministrationReversed() | AdministrationResolved():
                _given(event, rows)
            case ReferralMade():
                _state(event, rows, _places(data)[0], "open", due_on=iso(data.due_on))
            case ReferralClosed():
                if (row := _row(event, rows)) is not None:
                    row["status"] = "closed"
                    row["facts"] |= {"outcome": data.outcome, "ended_at": iso(data.occurred_at)}
            case AppointmentBooked() | CheckedIn() | NoShowRecorded() | AppointmentCancelled():
                _appointment(event, rows)
            case _:
                _dispensing(event, rows)


# -- where it stands --------------------------------------------------------------------------------------------------


_OF_PATIENT: Final = {
    AllergyRecorded: ("allergy", "allergy"), AllergyRefuted: ("allergy", "allergy"),
    NoKnownAllergyAsserted: ("no_known_allergy", "category"), ProblemRecorded: ("problem", "problem"),
    ResultRecorded: ("result", "result"), ConsentGranted: ("consent", "consent"),
    ConsentWithdrawn: ("consent", "consent"), ReportedMedicationRecorded: ("reported_medication", "report"),
    EncounterOpened: ("encounter", "encounter"), EncounterClosed: ("encounter", "encounter"),
    MedicationAdministered: ("administration", "administration"),
    ImmunizationGiven: ("immunization", "administration"),
}  # fmt: skip


class _Place(NamedTuple):
    """An entry as an event names it. `patient` is whose record the event is of, which is the entry's own when it was
    recorded; later it may be the one as whom that goes on."""

    patient: str
    kind: str
    within: str
    id: str


def _places(data: Any) -> list[_Place]:
    """The entries that an event speaks of, its own first."""
    patient = data.patient
    if type(data) in _OF_PATIENT:
        kind, field = _OF_PATIENT[type(data)]
        places = [_Place(patient, kind, "", str(getattr(data, field)))]
        corrected = getattr(data, "corrects", None)
        return places if corrected is None else [*places, _Place(patient, kind, "", str(corrected))]
    match data:
        case AdministrationReversed() | AdministrationResolved():
            return [_Place(patient, kind, "", data.administration) for kind in ("administration", "immunization")]
        case VitalsRecorded():
            ids = [data.vitals] + [data.corrects] * (data.corrects is not None)
            return [_Place(patient, "vitals", data.encounter, str(id)) for id in ids]
        case NoteDrafted() | NoteSigned() | NoteAttested() | NoteAmended():
            return [_Place(patient, "note", data.encounter, data.note)]
        case AppointmentBooked() | CheckedIn() | NoShowRecorded() | AppointmentCancelled():
            return [_Place(patient, "appointment", f"{data.clinician}:{data.date}", data.appointment)]
        case ReferralMade() | ReferralClosed():
            return [_Place(patient, "referral", "", data.referral)]
    ordered = isinstance(
        data, MedicationPrescribed | PrescriptionSigned | PrescriptionStopped | SupplyAllotted | SupplyReturned
    )
    kind = "prescription" if ordered else "dispensing"
    return [_Place(patient, kind, "", getattr(data, kind))]


_ALONE: Final = frozenset({"encounter", "prescription", "dispensing", "administration", "immunization", "referral"})
"""The kinds of entries whose ids are unlike any other's, being those of aggregates."""

_REFS: Final = uuid.UUID("5b0d3c4a-86c5-5f0e-9a63-6f6c1d0f5a27")


def _key(place: _Place) -> Key:
    """The row of an entry. Whose it is counts only where nothing else tells it apart."""
    if place.kind in _ALONE:
        return place.kind, place.id
    # of an encounter and of a clinician's day there is one each, whichever patient an event names
    return place.kind, str(uuid.uuid5(_REFS, "/".join((place.kind, place.within or place.patient, place.id))))


def _state(event: Recorded, rows: Rows, place: _Place, status: str, **facts: Any) -> Row:
    """An entry as an event says that it is, from now on; who recorded it first and when stays."""
    data = event.data
    key = _key(place)
    before = rows.get(_ENTRIES, key)
    return rows.put(
        _ENTRIES,
        key,
        {
            "patient": place.patient if before is None else before["patient"],
            "within": place.within, "id": place.id,
            "encounter": getattr(data, "encounter", None),
            "content": getattr(data, "content", None), "status": status,
            "facts": {name: value for name, value in facts.items() if value is not None},
            "author": event.envelope.authid, "occurred_at": data.occurred_at,
            "recorded_at": event.recorded_at if before is None else before["recorded_at"],
            "changed_at": event.recorded_at,
        },
    )  # fmt: skip


def _row(event: Recorded, rows: Rows, place: _Place | None = None) -> Row | None:
    """The entry that an event changes, if it was ever recorded."""
    row = rows.get(_ENTRIES, _key(place or _places(event.data)[0]))
    if row is not None:
        row["changed_at"] = event.recorded_at
    return row


# -- what it says -----------------------------------------------------------------------------------------------------


def _corrected(event: Recorded, rows: Rows) -> None:
    data: ResultRecorded | VitalsRecorded = event.data
    own, *corrected = _places(data)
    unusual = getattr(data, "confirm_unusual", False) or None
    _state(event, rows, own, "final", corrects=data.corrects, confirm_unusual=unusual)
    for place in corrected:
        if (row := _row(event, rows, place)) is not None:
            row["status"] = "corrected"
            row["facts"]["corrected_by"] = own.id


def _encounter(event: Recorded, rows: Rows) -> None:
    data: EncounterOpened | EncounterClosed = event.data
    if isinstance(data, EncounterOpened):
        over = data.ended_at is not None or data.imported_from is not None
        _state(
            event, rows, _places(data)[0], "closed" if over else "open", clinician=data.clinician,
            appointment=data.appointment, imported_from=data.imported_from, ended_at=iso(data.ended_at),
            **{"class": str(data.kind)},
        )  # fmt: skip
    elif (row := _row(event, rows)) is not None:
        row["status"] = "closed"
        row["facts"].setdefault("ended_at", iso(data.occurred_at))
        if data.follow_up_on is not None:
            row["facts"]["follow_up_on"] = iso(data.follow_up_on)
        if data.unsigned:
            row["facts"]["unsigned"] = list(data.unsigned)


def _note(event: Recorded, rows: Rows) -> None:
    data: NoteDrafted | NoteSigned | NoteAttested | NoteAmended = event.data
    if isinstance(data, NoteDrafted):
        row = _state(event, rows, _places(data)[0], "draft", amendments=[])
        row |= {"content": data.text, "author": data.author}
        return
    row_or_none = _row(event, rows)
    if row_or_none is None:
        return
    row, facts = row_or_none, row_or_none["facts"]
    match data:
        case NoteSigned():
            row["status"] = "to_attest" if data.needs_attestation else "signed"
            facts["signed_at"] = iso(data.occurred_at)
        case NoteAttested():
            row["status"] = "attested"
            facts |= {"attested_by": data.attested_by, "attested_at": iso(data.occurred_at)}
            if data.remark is not None:
                facts["remark"] = data.remark
            facts["amendments"] = [one | {"needs_attestation": False} for one in facts["amendments"]]
        case NoteAmended():
            if data.needs_attestation:
                row["status"] = "to_attest"
            facts["amendments"] = [
                *facts["amendments"],
                {
                    "id": data.amendment, "text": data.text, "author": data.author,
                    "needs_attestation": data.needs_attestation, "occurred_at": iso(data.occurred_at),
                },
            ]  # fmt: skip


def _prescription(event: Recorded, rows: Rows) -> None:
    data: Any = event.data
    if isinstance(data, MedicationPrescribed):
        imported = data.imported_from is not None
        status = "imported" if imported else "draft"
        order_status = str(data.status) if imported else None
        _state(
            event, rows, _places(data)[0], status, imported_from=data.imported_from, order_status=order_status,
            allotted=0, dispensings={},
        )  # fmt: skip
        return
    row = _row(event, rows)
    if row is None:
        return
    facts = row["facts"]
    match data:
        case PrescriptionSigned():
            row["status"] = "signed"
            facts |= {
                "signed_by": data.signed_by, "signed_at": iso(data.occurred_at), "valid_days": data.valid_days,
            }  # fmt: skip
        case PrescriptionStopped():
            row["status"] = "stopped"
            facts |= {"reason": data.reason, "ended_at": iso(data.occurred_at)}
        case SupplyAllotted():
            facts["dispensings"] = facts["dispensings"] | {data.dispensing: data.quantity}
        case SupplyReturned():
            facts["dispensings"] = {id: q for id, q in facts["dispensings"].items() if id != data.dispensing}
    facts["allotted"] = sum(facts["dispensings"].values())


def _dispensing(event: Recorded, rows: Rows) -> None:
    data: Any = event.data
    if isinstance(data, DispensingRequested):
        _state(
            event, rows, _places(data)[0], "requested", prescription=data.prescription, item=data.item,
            location=data.location, quantity=data.quantity, days_supply=data.days_supply, prescriber=data.prescriber,
            expires_after=iso(data.expires_after), due_at=iso(data.due_at), check=data.check, alerts=[], overrides=[],
        )  # fmt: skip
        return
    row = _row(event, rows)
    if row is None and isinstance(data, MedicationDispensed):  # nobody had requested it
        row = _state(
            event, rows, _places(data)[0], "dispensed", prescription=data.prescription, check=data.check, alerts=[],
            overrides=[],
        )  # fmt: skip
    if row is None:
        return
    facts = row["facts"]
    match data:
        case DispensingRechecked():
            facts["check"] = data.check
        case AlertNoted():
            facts["alerts"] = [*facts["alerts"], data.content]
        case AlertOverridden():
            override = {
                "content": data.content, "answered": data.answered, "claim": data.claim and str(data.claim),
                "role": str(data.role), "by": event.envelope.authid, "occurred_at": iso(data.occurred_at),
            }  # fmt: skip
            facts["overrides"] = [*facts["overrides"], override]
        case DispensingVerified():
            row["status"] = "verified"
            facts |= {"verified_by": event.envelope.authid, "lots": lots_as_json(data.lots)}
        case MedicationDispensed():
            row |= {"status": "dispensed", "content": data.content}
            facts |= {
                "item": data.item, "location": data.location, "quantity": data.quantity,
                "days_supply": data.days_supply, "lots": lots_as_json(data.lots), "lines": lots_as_json(data.lines),
                "label_printed": data.label_printed, "fact": data.fact, "discard_by": iso(data.discard_by),
                "breaches": [str(breach) for breach in data.breaches], "dispensed_by": event.envelope.authid,
                "dispensed_at": iso(data.occurred_at),
            }  # fmt: skip
        case DispensingRefused() | DispensingUnpicked():
            row["status"] = "refused" if isinstance(data, DispensingRefused) else "unpicked"
            facts["reason"] = data.reason
        case MedicineReturned():
            facts["returned"] = data.returned


def _given(event: Recorded, rows: Rows) -> None:
    data: Any = event.data
    if isinstance(data, MedicationAdministered | ImmunizationGiven):
        _state(
            event, rows, _places(data)[0], "given", item=data.item, location=data.location, quantity=data.quantity,
            lot=data.lot, expires=iso(getattr(data, "expires", None)), check=data.check,
            override_reason=data.override_reason, fact=data.fact or None,
            breaches=[str(breach) for breach in data.breaches] or None,
            imported_from=getattr(data, "imported_from", None),
        )  # fmt: skip
        return
    for place in _places(data):
        row = _row(event, rows, place)
        if row is not None and isinstance(data, AdministrationReversed):
            row["status"] = "reversed"
            row["facts"]["reason"] = data.reason


def _appointment(event: Recorded, rows: Rows) -> None:
    data: Any = event.data
    if isinstance(data, AppointmentBooked):
        row = _state(
            event, rows, _places(data)[0], "booked", clinician=data.clinician, date=iso(data.date),
            minutes=data.minutes, overbook_reason=data.overbook_reason, overlaps=list(data.overlaps) or None,
        )  # fmt: skip
        row |= {"content": data.reason, "occurred_at": data.starts_at}
        return
    row_or_none = _row(event, rows)
    if row_or_none is None:
        return
    match data:
        case CheckedIn():
            row_or_none["status"] = "checked_in"
            row_or_none["facts"]["checked_in_at"] = iso(data.occurred_at)
        case NoShowRecorded():
            row_or_none["status"] = "no_show"
        case AppointmentCancelled():
            row_or_none["status"] = "cancelled"
            row_or_none["facts"]["reason"] = data.reason
