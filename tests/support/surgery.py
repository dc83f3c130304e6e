"""The clinic's stream in memory, made of the contract's events as they would be stored; nothing is decided here."""

from __future__ import annotations

import dataclasses
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from services.clinic import contract as c
from services.clinic.contract import clinic, schedule_id
from shared.event import FIRST_PREVHASH, Envelope, Recorded, decode, encode, event_id, sha256, timestamp
from tests.support.sentences import sealed

FRIDAY: Final = datetime(2026, 11, 20, 9, tzinfo=UTC)

_ID: Final = {
    "patient": "patient", "encounter": "encounter", "prescription": "prescription",
    "medication": "patient", "formulary": "item", "dispensing": "dispensing", "administration": "administration",
    "referral": "referral", "access": "patient", "process": "step",
}  # fmt: skip

amoxicillin = c.Coding(system=c.CodeSystem.RXNORM, code="308182", display="amoxicillin 250 mg capsule")
penicillin = c.Coding(system=c.CodeSystem.RXNORM, code="7980", display="penicillin G")
ORDER: Final = c.Order(medication=amoxicillin, directions="Three times a day", quantity=21, days_supply=7)
GIVEN: Final = c.Given(medication=amoxicillin, dose=c.Measure(value=500, unit="mg"))
VACCINE: Final = c.Immunization(
    vaccine=c.Coding(system=c.CodeSystem.CVX, code="140", display="influenza, seasonal"), manufacturer="Northwick"
)
WEIGHT: Final = c.Vital(
    code=c.Coding(system=c.CodeSystem.LOINC, code="29463-7", display="Body weight"),
    measured=c.Measure(value=705, decimals=1, unit="kg"),
)


class Surgery:
    """The stream CLINIC. Time stands still but for `later`. The words below give events with what they need."""

    def __init__(self, now: datetime = FRIDAY) -> None:
        self.now = now
        self.events: list[Recorded] = []
        self._last: dict[str, Recorded] = {}

    def later(self, **delta: float) -> datetime:
        self.now += timedelta(**delta)
        return self.now

    def record(self, event: Any, *, actor: str = "osei") -> Recorded:
        """Append an event to its aggregate, as the kernel would."""
        event = sealed(clinic, event)
        spec = clinic.spec_of(event)
        match spec.category:
            case "schedule":
                id = schedule_id(event.clinician, event.date)
            case "practitioner":
                id = c.ROSTER
            case category:
                id = getattr(event, _ID[category])
        subject = f"ledger.clinic.{spec.category}.{id}"
        before = self._last.get(subject)
        envelope = Envelope(
            specversion="1.0", id=event_id(subject, f"c{len(self.events)}"), source="/commons/test/clinic",
            type=spec.type, subject=f"{spec.category}/{id}", time=timestamp(self.now), dataschema="",
            datacontenttype="application/json", revision=1 if before is None else before.revision + 1,
            prevhash=FIRST_PREVHASH if before is None else sha256(before.raw), correlationid="c", causationid="c",
            authtype="user", authid=actor, data=event,
        )  # fmt: skip
        stored = decode(
            encode(envelope), stream="CLINIC", sequence=len(self.events) + 1, subject=subject, contract=clinic
        )
        self.events.append(stored)
        self._last[subject] = stored
        return stored

    def now_is(self, cls: type, /, *, actor: str = "osei", **fields: Any) -> Recorded:
        """Record an event that happens now."""
        known = {field.name for field in dataclasses.fields(cls)}
        return self.record(cls(**{"occurred_at": self.now} | fields if "occurred_at" in known else fields), actor=actor)

    # -- the usual --------------------------------------------------------------------------------------------------

    def patient(self, patient: str, family: str | None = None, **more: Any) -> Recorded:
        who = c.Demographics(family=family or patient.title(), given=("Ada",), born=date(1985, 12, 10), **more)
        return self.now_is(c.PatientRegistered, actor="rui", patient=patient, content=who)

    def staff(self, practitioner: str, *roles: c.Role) -> Recorded:
        return self.now_is(
            c.PractitionerAdded, practitioner=practitioner, name=practitioner.title(), roles=roles,
            licence=c.Licence(title="MD", valid_from=date(2020, 1, 1)),
        )  # fmt: skip

    def book(self, appointment: str, patient: str, **more: Any) -> Recorded:
        fields = {"clinician": "osei", "date": self.now.date(), "starts_at": self.now, "minutes": 15}
        return self.now_is(
            c.AppointmentBooked, actor="rui", appointment=appointment, patient=patient, **fields | more
        )  # fmt: skip

    def of_appointment(self, cls: type, booked: Recorded, **more: Any) -> Recorded:
        data = booked.data
        fields = {
            "appointment": data.appointment, "clinician": data.clinician, "date": data.date, "patient": data.patient,
        }  # fmt: skip
        return self.now_is(cls, actor="rui", **fields | more)

    def encounter(self, encounter: str, patient: str, **more: Any) -> Recorded:
        return self.now_is(c.EncounterOpened, encounter=encounter, patient=patient, clinician="osei", **more)

    def prescribe(self, prescription: str, patient: str, *, sign: bool = True, **more: Any) -> Recorded:
        made = self.now_is(
            c.MedicationPrescribed, prescription=prescription, patient=patient, content=ORDER, **more
        )  # fmt: skip
        if sign:
            self.now_is(
                c.PrescriptionSigned, prescription=prescription, patient=patient, signed_by="osei", valid_days=365
            )
        return made

    def request(self, dispensing: str, patient: str, prescription: str = "rx", **more: Any) -> Recorded:
        fields: dict[str, Any] = {
            "item": "amoxicillin", "location": "store", "quantity": 21, "days_supply": 7, "check": c.Check(),
            "prescriber": "osei", "expires_after": self.now.date() + timedelta(days=7),
            "due_at": self.now + timedelta(days=3),
        }  # fmt: skip
        return self.now_is(
            c.DispensingRequested, dispensing=dispensing, patient=patient, prescription=prescription, **fields | more
        )

    def set_aside(self, dispensing: str, *lots: c.LotLine, asked: int = 21) -> Recorded:
        short = asked - sum(line.quantity for line in lots)
        fields = {"item": "amoxicillin", "location": "store", "asked": asked, "lots": lots, "short": short}
        return self.now_is(c.GoodsSetAside, dispensing=dispensing, **fields)

    def note_alert(self, requested: Recorded, alert: c.Alert) -> Recorded:
        data = requested.data
        return self.now_is(c.AlertNoted, dispensing=data.dispensing, patient=data.patient, content=alert)

    def override(self, requested: Recorded, *alerts: c.Alert) -> Recorded:
        """Answer for these alerts, all of one kind."""
        data = requested.data
        return self.now_is(
            c.AlertOverridden, actor="lind", dispensing=data.dispensing, patient=data.patient,
            content=c.Override(alert=alerts[0].kind, reason="rightly so"), answered=alerts, role=c.Role.PHARMACIST,
        )  # fmt: skip

    def recheck(self, requested: Recorded, *alerts: c.Alert) -> Recorded:
        data = requested.data
        check = c.Check(alerts=alerts, checked=("penicillin G",))
        return self.now_is(c.DispensingRechecked, dispensing=data.dispensing, patient=data.patient, check=check)

    def verify(self, requested: Recorded, *lots: c.LotLine) -> Recorded:
        data = requested.data
        return self.now_is(
            c.DispensingVerified, actor="lind", dispensing=data.dispensing, patient=data.patient,
            role=c.Role.PHARMACIST, lots=lots,
        )  # fmt: skip

    def dispense(self, requested: Recorded, *lots: c.LotLine, **more: Any) -> Recorded:
        data = requested.data
        fields: dict[str, Any] = {
            "dispensing": data.dispensing, "patient": data.patient, "prescription": data.prescription,
            "item": data.item, "location": data.location, "quantity": data.quantity, "days_supply": data.days_supply,
            "lots": lots, "lines": lots, "content": c.Handed(recipient="Ada"), "label_printed": True,
        }  # fmt: skip
        return self.now_is(c.MedicationDispensed, actor="lind", **fields | more)

    def administer(self, administration: str, patient: str, lot: str = "A", **more: Any) -> Recorded:
        fields: dict[str, Any] = {
            "item": "amoxicillin", "location": "store", "quantity": 1, "content": GIVEN, "check": c.Check(),
        }  # fmt: skip
        return self.now_is(
            c.MedicationAdministered, administration=administration, patient=patient, lot=lot, **fields | more
        )

    def vaccinate(self, administration: str, patient: str, lot: str | None = "V", **more: Any) -> Recorded:
        fields: dict[str, Any] = {"item": "flu", "location": "store", "quantity": 1, "content": VACCINE}
        return self.now_is(
            c.ImmunizationGiven, administration=administration, patient=patient, lot=lot, **fields | more
        )

    def read(self, patient: str, access: str, *, actor: str = "osei", **more: Any) -> Recorded:
        fields: dict[str, Any] = {"reader": actor, "purpose": c.Purpose.TREATMENT, "parts": ("notes",)}
        return self.now_is(c.ChartAccessed, actor=actor, patient=patient, access=access, **fields | more)


def lot(number: str, quantity: int, **more: Any) -> c.LotLine:
    return c.LotLine(lot=number, quantity=quantity, **more)
