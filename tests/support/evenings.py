"""Generated histories of the clinic, beside what inventory recorded: streams whose aggregates each make sense."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from hypothesis import strategies as st

from services.clinic import contract as c
from shared.event import Recorded
from tests.support.pantry import Pantry
from tests.support.surgery import WEIGHT, Surgery, lot, penicillin

PATIENTS: Final = ("ada", "ben", "cyd")
LOTS: Final = ("A", "b-7", "UNKNOWN")
KINDS: Final = 34


class Draft(NamedTuple):
    """The numbers that an event is made from."""

    kind: int
    patient: int
    lot: int
    pick: int
    hours: int


drafts = st.builds(Draft, st.integers(0, KINDS - 1), st.integers(0, 2), st.integers(0, 2), st.integers(0, 30),
                   st.integers(0, 40))  # fmt: skip
histories = st.lists(drafts, min_size=15, max_size=60)


class Evening:
    """Plays drafts on both streams: what does not make sense at its time is passed over."""

    def __init__(self) -> None:
        self.pantry = Pantry().furnish()
        self.surgery = Surgery()
        self._made: dict[str, list[Recorded]] = {}

    @property
    def events(self) -> list[Recorded]:
        return [*self.pantry.events, *self.surgery.events]

    def play(self, history: list[Draft]) -> Evening:
        self.surgery.staff("osei", c.Role.CLINICIAN)
        for patient in PATIENTS:
            self.surgery.patient(patient)
        for number, draft in enumerate(history):
            self.surgery.later(hours=draft.hours)
            self._play(f"x{number}", draft, PATIENTS[draft.patient])
        return self

    def _keep(self, kind: str, made: Recorded) -> None:
        self._made.setdefault(kind, []).append(made)

    def _one(self, kind: str, draft: Draft, *, last: bool = False) -> Any:
        """The data of an event that was recorded, if there is one; `last`: no other follows it."""
        made = self._made.get(kind)
        if not made:
            return None
        found = made.pop(draft.pick % len(made)) if last else made[draft.pick % len(made)]
        return found.data

    def _play(self, id: str, draft: Draft, patient: str) -> None:
        do = self.surgery.now_is
        of = {"patient": patient}
        match draft.kind:
            case 0 | 1:
                content = c.Allergy(substance=penicillin, category=c.AllergyCategory.MEDICATION)
                self._keep("allergy", do(c.AllergyRecorded, allergy=id, content=content, **of))
            case 2:
                if allergy := self._one("allergy", draft):
                    do(c.AllergyRefuted, patient=allergy.patient, allergy=allergy.allergy, reason="proved harmless")
            case 3:
                do(c.NoKnownAllergyAsserted, category=list(c.AllergyCategory)[draft.pick % 4], **of)
            case 4:
                before = self._one("result", draft)
                corrects = before.result if before and before.patient == patient else None
                found = c.Result(code=WEIGHT.code, text="as expected", found_at=self.surgery.now)
                self._keep("result", do(c.ResultRecorded, result=id, content=found, corrects=corrects, **of))
            case 5:
                content = c.Consent(purpose="referral", scope="notes")
                self._keep("consent", do(c.ConsentGranted, consent=id, content=content, **of))
            case 6:
                if consent := self._one("consent", draft):
                    do(c.ConsentWithdrawn, patient=consent.patient, consent=consent.consent)
            case 7:
                into = PATIENTS[(draft.patient + 1) % 3]
                cls = c.PatientsMerged if draft.pick % 2 else c.PatientsUnmerged
                do(cls, into=into, reason="the same", **of)
            case 8 | 9:
                self._keep("appointment", self.surgery.book(id, patient))
            case 10 | 11:
                if booked := self._made.get("appointment"):
                    cls = (c.CheckedIn, c.NoShowRecorded)[draft.pick % 2]
                    self.surgery.of_appointment(cls, booked[draft.pick % len(booked)])
            case 12:
                if booked := self._made.get("appointment"):
                    one = booked.pop(draft.pick % len(booked))
                    self.surgery.of_appointment(c.AppointmentCancelled, one, reason="ill")
            case 13 | 14:
                booked_one = self._one("appointment", draft)
                appointment = booked_one.appointment if booked_one else None
                self._keep("encounter", self.surgery.encounter(id, patient, appointment=appointment))
            case 15 | 16:
                if visit := self._one("encounter", draft):
                    fields = {"encounter": visit.encounter, "patient": visit.patient}
                    do(c.VitalsRecorded, vitals=id, content=(WEIGHT,), **fields)
                    drafted = do(c.NoteDrafted, note=id, text="came with a cough", author="osei", **fields)
                    self._keep("note", drafted)
            case 17:
                if note := self._one("note", draft, last=True):
                    fields = {"encounter": note.encounter, "patient": note.patient, "note": note.note}
                    self._keep("signed", do(c.NoteSigned, needs_attestation=bool(draft.pick % 2), **fields))
            case 18:
                if note := self._one("signed", draft):
                    fields = {"encounter": note.encounter, "patient": note.patient, "note": note.note}
                    if draft.pick % 2:
                        do(c.NoteAttested, attested_by="osei", **fields)
                    else:
                        do(
                            c.NoteAmended,
                            amendment=id,
                            text="and a fever",
                            author="tam",
                            needs_attestation=True,
                            **fields,
                        )
            case 19:
                if visit := self._one("encounter", draft, last=True):
                    day = self.surgery.now.date() if draft.pick % 2 else None
                    do(c.EncounterClosed, encounter=visit.encounter, patient=visit.patient, follow_up_on=day)
            case 20 | 21:
                imported = "elsewhere" if draft.pick % 5 == 0 else None
                made = self.surgery.prescribe(id, patient, sign=imported is None, imported_from=imported)
                self._keep("prescription", made)
            case 22:
                if order := self._one("prescription", draft, last=True):
                    do(c.PrescriptionStopped, prescription=order.prescription, patient=order.patient, reason="done")
            case 23 | 24:
                if order := self._one("prescription", draft):
                    self._keep("request", self.surgery.request(id, order.patient, order.prescription))
                    do(c.SupplyAllotted, prescription=order.prescription, patient=order.patient, dispensing=id,
                       quantity=21, allotted=21, over=False)  # fmt: skip
            case 25 | 26:
                if requests := self._made.get("request"):
                    asked = requests[draft.pick % len(requests)]
                    wanted, number = asked.data, LOTS[draft.lot]
                    self.surgery.set_aside(wanted.dispensing, lot(number, 20))
                    if draft.pick % 4 == 0:
                        do(c.GoodsFreed, dispensing=wanted.dispensing, lots=(lot(number, 5),), remaining=15)
                    alert = c.Alert(kind=c.AlertKind.DUPLICATE, detail="given within seven days")
                    self.surgery.note_alert(asked, alert)
                    if draft.pick % 3 == 0:
                        self.surgery.override(asked, alert)
                    if draft.lot == 1:
                        self.surgery.recheck(asked, c.Alert(kind=c.AlertKind.ALLERGY, detail="penicillin G"))
            case 27 | 28:
                if requests := self._made.get("request"):
                    one = requests.pop(draft.pick % len(requests))
                    self.surgery.verify(one, lot(LOTS[draft.lot], 21))
                    self._keep("verified", one)
            case 29:
                if verified := self._made.get("verified"):
                    one = verified.pop(draft.pick % len(verified))
                    if draft.pick % 3 == 0:
                        fields = {"dispensing": one.data.dispensing, "patient": one.data.patient}
                        do(c.DispensingUnpicked, reason="never came", **fields)
                    else:
                        breaches = (c.ClinicError.DUPLICATE,) if draft.pick % 2 else ()
                        self.surgery.dispense(one, lot(LOTS[draft.pick % 3], 21), fact=True, breaches=breaches)
                        do(c.GoodsIssued, dispensing=one.data.dispensing, movement=draft.pick + 1, quantity=21)
            case 30:
                breaches = (c.ClinicError.EXPIRED,) if draft.pick % 2 else ()
                give = self.surgery.administer if draft.lot else self.surgery.vaccinate
                dated = {"expires": self.surgery.now.date()} if draft.lot and draft.pick % 3 else {}
                self._keep("given", give(id, patient, LOTS[draft.lot], breaches=breaches, **dated))
                do(c.StockDrawn, administration=id, movement=draft.pick + 1)
            case 31:
                if given := self._one("given", draft, last=True):
                    fields = {"administration": given.administration, "patient": given.patient}
                    if draft.pick % 2:
                        do(c.AdministrationReversed, reason="somebody else's", **fields)
                    else:
                        do(c.AdministrationResolved, note="seen", **fields)
            case 32:
                self.surgery.read(patient, id, break_glass=bool(draft.pick % 2))
                said = c.Disclosure(to="the county", what="penicillin")
                breaches = (c.ClinicError.UNKNOWN_CONSENT,) if draft.pick % 2 else ()
                do(c.RecordDisclosed, disclosure=id, purpose=c.Purpose.LEGAL, content=said, recorded_by="osei",
                   breaches=breaches, **of)  # fmt: skip
                if draft.lot == 2:
                    do(c.DisclosureReviewed, disclosure=id, note="rightly so", actor="lind", **of)
                if draft.lot:
                    do(c.AccessReviewed, access=id, note="rightly so", actor="lind", **of)
            case _:
                self.pantry.receive(5, LOTS[draft.lot] if draft.lot < 2 else None)
                recalled = f"r{id}"
                self.pantry.do("RecallLot", item="rice", recall=recalled, scope={"lots": ["A"]}, reason="glass")
                if draft.pick % 2:
                    self.pantry.do("LiftRecall", item="rice", recall=recalled, reason="another lot")
