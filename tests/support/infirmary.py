"""The clinic and inventory in memory, with their process managers between them, and an outbox that loses, repeats and
delays what they send (couriers.py)."""

from __future__ import annotations

from typing import Any

from services.clinic.contract import clinic
from services.clinic.deciders import DECIDERS as OF_CLINIC
from services.clinic.processes import following_inventory
from services.clinic.processes import managers as clinic_managers
from services.inventory.contract import inventory
from services.inventory.deciders import DECIDERS as OF_INVENTORY
from services.inventory.processes import managers as inventory_managers
from tests.support.couriers import FRIDAY, Courier, Letter, Service, Town

PLACE = "cupboard"
AMOXICILLIN = {"system": "rxnorm", "code": "308191", "display": "Zyamoxicillin 500 MG Oral Capsule"}
IBUPROFEN = {"system": "rxnorm", "code": "197806", "display": "Zyibuprofen 400 MG Oral Tablet"}
MEDICINES = {
    "amox": (AMOXICILLIN, {"system": "rxnorm", "code": "723", "display": "Zyamoxicillin"}),
    "ibu": (IBUPROFEN, {"system": "rxnorm", "code": "5640", "display": "Zyibuprofen"}),
}
PENICILLIN = {"system": "rxnorm", "code": "7980", "display": "Zypenicillin G"}
MARKERS = (b"zypatient", b"zyamoxicillin", b"zyibuprofen", b"zypenicillin", b"zyreason")
"""What says something of a patient, in the words of these tests: their ids, what they were ordered, and why."""

PATIENTS = ("zypatient-ada", "zypatient-ben")


class Infirmary(Town):
    """Both services and their couriers, a cupboard of two medicines, and people at work."""

    def __init__(self) -> None:
        self.now = FRIDAY
        self.clinic = Service(clinic, OF_CLINIC, lambda: self.now)
        self.inventory = Service(inventory, OF_INVENTORY, lambda: self.now)
        self.services = {"clinic": self.clinic, "inventory": self.inventory}
        self.couriers = [
            Courier(self.clinic, clinic_managers),
            Courier(self.inventory, following_inventory),
            Courier(self.inventory, inventory_managers),
        ]
        self.late: list[Letter] = []

    def furnish(self, *, asked: bool = True) -> Infirmary:
        """Sam, a clinician and pharmacist; Tam, a trainee; two patients, who were `asked` for allergies; a cupboard."""
        for who, roles, licensed in (("sam", ["clinician", "pharmacist"], True), ("tam", ["trainee"], False)):
            licence = {"title": "MD", "valid_from": "2020-01-01"} if licensed else None
            self.clinic.do("AddPractitioner", practitioner=who, name=who, roles=roles, licence=licence)
        for patient in PATIENTS:
            self.clinic.do("RegisterPatient", patient=patient, content={"family": patient})
            if asked:
                self.ask_for_allergies(patient)
        self.inventory.do("OpenLocation", location=PLACE, name="Cupboard", kind="clinic")
        for item in MEDICINES:
            self.inventory.do("RegisterItem", item=item, name=item, unit="each", medicine=True)
        self.settle()
        for item, (medication, ingredient) in MEDICINES.items():
            self.clinic.do("SetFormularyEntry", item=item, medication=medication, ingredients=[ingredient])
        return self

    def ask_for_allergies(self, patient: str) -> None:
        self.clinic.do("AssertNoKnownAllergy", patient=patient, category="medication")

    def stock(self, item: str, quantity: int, lot: str, day: str | None = "2027-06-30") -> None:
        dated = {"date": day, "date_kind": "expiry"} if day else {}
        line = {"quantity": quantity, "lot": lot, **dated}
        self.inventory.do("ReceiveStock", item=item, location=PLACE, source="purchase", lines=[line])

    def order(self, id: str, patient: str, item: str = "amox", quantity: int | None = 20, **more: Any) -> None:
        content = {"medication": MEDICINES[item][0], "directions": "zyreason", "quantity": quantity, **more}
        self.clinic.do("Prescribe", prescription=id, patient=patient, content=content)
        self.clinic.do("SignPrescription", prescription=id, patient=patient)

    def request(self, id: str, patient: str, prescription: str, item: str = "amox", quantity: int = 20) -> None:
        self.clinic.do(
            "RequestDispensing", dispensing=id, patient=patient, prescription=prescription, item=item, location=PLACE,
            quantity=quantity, days_supply=7,
        )  # fmt: skip

    def verify(self, id: str, patient: str, **more: Any) -> None:
        self.clinic.do("VerifyDispensing", dispensing=id, patient=patient, **more)

    def hand_over(self, id: str, patient: str, **more: Any) -> Any:
        fields = {"content": {"recipient": patient}, "label_printed": True, **more}
        return self.clinic.do("Dispense", dispensing=id, patient=patient, **fields)

    def override(self, id: str, patient: str, alert: str) -> None:
        content = {"alert": alert, "reason": "zyreason"}
        self.clinic.do("OverrideAlert", dispensing=id, patient=patient, content=content)

    def administer(self, id: str, patient: str, item: str = "amox", lot: str = "A", **more: Any) -> None:
        content = {"medication": MEDICINES[item][0], "dose": {"value": 500, "unit": "mg"}}
        fields = {"item": item, "location": PLACE, "quantity": 1, "lot": lot, "content": content, **more}
        self.clinic.do("AdministerMedication", administration=id, patient=patient, **fields)

    def end(self, name: str, id: str, patient: str) -> None:
        self.clinic.do(name, dispensing=id, patient=patient, reason="zyreason")

    # -- what there is ------------------------------------------------------------------------------------------------

    def dispensing(self, id: str) -> Any:
        return self.clinic.state("dispensing", id)

    def reserved(self) -> dict[str, dict[str, int]]:
        """What inventory has set aside, by reservation and lot."""
        return {
            id: {stock.rows[key].ref.lot or "UNKNOWN": quantity for key, quantity in reservation.lots.items()}
            for ref, stock in self.inventory.states.items()
            if ref.category == "stock"
            for id, reservation in stock.reservations.items()
        }

    def on_hand(self, item: str = "amox") -> int:
        stock = self.inventory.state("stock", f"{item}:{PLACE}")
        return sum(row.on_hand for row in stock.rows.values())

    def unresolved(self) -> list[Any]:
        """The steps that were refused and wait for a person."""
        return [
            event.data
            for event in self.clinic.events
            if event.envelope.type.endswith(".process-step-refused.v1")
            and not self.clinic.state("process", event.data.step).resolved
        ]
