"""The words that sentences about medicines are made of.

Sam is a clinician and a pharmacist, so that what came first may be his doing. On the shelf are amoxicillin capsules and
ibuprofen tablets; Ada tolerates no penicillin, Ben tolerates everything as far as he knows.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Final

from services.clinic.contract import (
    AllergyCategory,
    AllotSupply,
    AssertNoKnownAllergy,
    ClaimFill,
    Coding,
    Fill,
    LotLine,
    NoteItem,
    NoteSetAside,
    Order,
    Prescribe,
    RequestDispensing,
    Role,
    SetFormularyEntry,
    SignPrescription,
    VerifyDispensing,
)
from tests.support.clinic import CLINIC, measured, practitioner, rxnorm
from tests.support.clinic import given as given_by_osei
from tests.support.sentences import NOW, By, Given, by

sam = practitioner("sam", Role.CLINICIAN, Role.PHARMACIST)


def given(*steps: Any, now: datetime = NOW) -> Given:
    """What came first; from when Sam works here on, he sent what nobody else is said to have sent."""
    since = steps.index(sam) + 1 if sam in steps else len(steps)
    later = (step if isinstance(step, By) else by("sam", step)[0] for step in steps[since:])
    return given_by_osei(*steps[:since], *later, now=now)


amoxicillin_500 = rxnorm("308191", "amoxicillin 500 MG Oral Capsule")
ibuprofen_400 = rxnorm("197806", "ibuprofen 400 MG Oral Tablet")
cephalexin_500 = rxnorm("309114", "cephalexin 500 MG Oral Capsule")
amoxicillin = rxnorm("723", "amoxicillin")
ibuprofen = rxnorm("5640", "ibuprofen")
cephalexin = rxnorm("2231", "cephalexin")

ben_has_none = AssertNoKnownAllergy(patient="ben", category=AllergyCategory.MEDICATION)


def noted(item: str, *, medicine: bool = True, revision: int = 1, **more: Any) -> NoteItem:
    """An item of inventory's catalogue, as the clinic knows it."""
    facts = {"name": item, "unit": "each", "controlled": False, "retired": False, **more}
    return NoteItem(item=item, revision=revision, medicine=medicine, **facts)


def entry(item: str, medication: Coding, *ingredients: Coding, **more: Any) -> SetFormularyEntry:
    facts = {"form": "capsule", "strength": "500 mg", "manufacturer": "Sandoz", **more}
    return SetFormularyEntry(item=item, medication=medication, ingredients=ingredients, **facts)


SHELF: Final = (
    noted("amox"), entry("amox", amoxicillin_500, amoxicillin),
    noted("ibu"), entry("ibu", ibuprofen_400, ibuprofen, form="tablet", strength="400 mg"),
)  # fmt: skip


def order(medication: Coding = amoxicillin_500, quantity: int | None = 21, **more: Any) -> Order:
    facts = {"dose": measured(500, 0, "mg"), "directions": "One three times a day.", "days_supply": 7, **more}
    return Order(medication=medication, quantity=quantity, **facts)


def prescribed(id: str = "rx", patient: str = "ben", content: Order | None = None, **more: Any) -> Prescribe:
    return Prescribe(prescription=id, patient=patient, content=content or order(), **more)


def signed(id: str = "rx", patient: str = "ben", **more: Any) -> SignPrescription:
    return SignPrescription(prescription=id, patient=patient, **more)


PHARMACY: Final = (*CLINIC, sam, ben_has_none, *SHELF, prescribed(), signed())
"""All of it, and a signed order of amoxicillin for Ben."""


def request(id: str = "d", patient: str = "ben", **more: Any) -> RequestDispensing:
    facts = {"prescription": "rx", "item": "amox", "location": "cupboard", "quantity": 21, "days_supply": 7, **more}
    return RequestDispensing(dispensing=id, patient=patient, **facts)


def lot(number: str = "L1", quantity: int = 21, day: date | None = date(2027, 6, 30), **more: Any) -> LotLine:
    return LotLine(lot=number, quantity=quantity, date=day, **more)


def allot(id: str = "d", quantity: int = 21, patient: str = "ben", **more: Any) -> AllotSupply:
    return AllotSupply(prescription="rx", patient=patient, dispensing=id, quantity=quantity, **more)


def fill(day: date = date(2026, 11, 20), medication: Coding = amoxicillin_500, *ingredients: Coding) -> Fill:
    return Fill(medication=medication, ingredients=ingredients or (amoxicillin,), on=day, days_supply=7)


def claim(id: str = "d", patient: str = "ben", content: Fill | None = None, **more: Any) -> ClaimFill:
    return ClaimFill(patient=patient, dispensing=id, content=content or fill(), **more)


def set_aside(id: str = "d", *lots: LotLine, short: int = 0, asked: int = 21) -> NoteSetAside:
    found = lots or (() if short else (lot(),))
    return NoteSetAside(dispensing=id, item="amox", location="cupboard", asked=asked, lots=found, short=short)


READY: Final = (*PHARMACY, request(), allot(), claim(), set_aside())
"""A dispensing of which all is there, and that waits to be verified."""

VERIFIED: Final = (*READY, VerifyDispensing(dispensing="d", patient="ben"))
