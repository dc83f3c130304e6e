"""What each read model of the clinic keeps of the events."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from services.clinic import contract as c
from services.projections.clinic.access import ClinicAccess
from services.projections.clinic.chart import ClinicChart
from services.projections.clinic.directory import ClinicDirectory
from services.projections.clinic.dispensings import ClinicDispensings
from services.projections.clinic.given import ClinicGiven
from services.projections.clinic.naming import PATIENTS, born_token, identifier_token
from services.projections.clinic.patients import ClinicPatients
from services.projections.clinic.review import ClinicReview
from services.projections.clinic.visits import ClinicVisits
from shared.blind import token
from shared.heldvalue import written
from shared.personal import Sealed
from shared.projection import Projection
from shared.sealing import is_sealed
from tests.support.pantry import table
from tests.support.surgery import WEIGHT, Surgery, amoxicillin, lot, penicillin

KEY = bytes(32)
BORN = date(1985, 12, 10)


@pytest.fixture
def surgery() -> Surgery:
    return Surgery()


def cut(projection: Projection, surgery: Surgery, *names: str, of: str | None = None) -> list[Any]:
    found = [tuple(row[name] for name in names) for row in table(projection, surgery.events, of)]
    return [row[0] for row in found] if len(names) == 1 else found


def entry(surgery: Surgery, kind: str, id: str) -> dict[str, Any]:
    (row,) = [row for row in table(ClinicChart(), surgery.events) if (row["kind"], row["id"]) == (kind, id)]
    return row


# -- patients ---------------------------------------------------------------------------------------------------------


def test_a_merged_patient_goes_on_as_another_until_that_is_taken_back(surgery: Surgery) -> None:
    surgery.patient("ada")
    surgery.patient("ben")
    surgery.now_is(c.PatientsMerged, patient="ada", into="ben", reason="twice")
    assert cut(ClinicPatients(), surgery, "patient", "merged_into") == [("ada", "ben"), ("ben", None)]
    surgery.now_is(c.PatientsUnmerged, patient="ada", into="ben", reason="two people")
    assert cut(ClinicPatients(), surgery, "merged_into") == [None, None]
    assert all(is_sealed(content) for content in cut(ClinicPatients(), surgery, "content"))


def test_a_patient_is_found_by_names_birth_date_and_identifiers(surgery: Surgery) -> None:
    registered = surgery.patient("ada", "Byron-Noel", identifiers=("MRN 7",)).data
    assert PATIENTS.sealed(registered) == {("ada", "demographics"): [registered.content]}
    who = c.Demographics(family="Byron-Noel", given=("Ada",), born=BORN, identifiers=("MRN 7",))
    text = written(Sealed(of="patient", holds=c.Demographics), "content", who)
    assert set(PATIENTS.tokens(KEY, text)) == {
        token(KEY, "ada"), token(KEY, "byr"), token(KEY, "noel"), born_token(KEY, BORN),
        identifier_token(KEY, "mrn 7"),
    }  # fmt: skip
    assert list(PATIENTS.tokens(KEY, "not a value")) == []


# -- who works here ---------------------------------------------------------------------------------------------------


def test_who_left_stays_listed_without_roles_and_licence_until_they_are_added_again(surgery: Surgery) -> None:
    surgery.staff("osei", c.Role.CLINICIAN)
    surgery.staff("tam", c.Role.TRAINEE)
    of = "practitioners"
    seen = ("practitioner", "roles", "licence", "valid_from", "removed_at")
    before = cut(ClinicDirectory(), surgery, *seen, of=of)
    left = surgery.now_is(c.PractitionerRemoved, practitioner="tam")
    osei, tam = cut(ClinicDirectory(), surgery, *seen, of=of)
    assert osei == before[0]
    assert tam == ("tam", [], None, None, left.data.occurred_at)
    assert all(is_sealed(name) for name in cut(ClinicDirectory(), surgery, "name", of=of))
    surgery.staff("tam", c.Role.TRAINEE)
    assert cut(ClinicDirectory(), surgery, *seen, of=of) == before


# -- charts -----------------------------------------------------------------------------------------------------------


def test_an_allergy_stands_until_it_is_refuted_and_again_when_it_is_recorded_anew(surgery: Surgery) -> None:
    content = c.Allergy(substance=penicillin, category=c.AllergyCategory.MEDICATION)
    for _ in range(2):
        surgery.now_is(c.AllergyRecorded, patient="ada", allergy="a1", content=content)
        assert entry(surgery, "allergy", "a1")["status"] == "active"
        surgery.now_is(c.AllergyRefuted, patient="ada", allergy="a1", reason="tested", actor="lind")
        row = entry(surgery, "allergy", "a1")
        assert (row["status"], row["facts"]["ended_by"], is_sealed(row["facts"]["reason"])) == ("refuted", "lind", True)


def test_a_corrected_reading_names_what_stands_for_it(surgery: Surgery) -> None:
    surgery.encounter("e1", "ada")
    for id, corrects in (("v1", None), ("v2", "v1")):
        surgery.now_is(
            c.VitalsRecorded, encounter="e1", patient="ada", vitals=id, content=(WEIGHT,), corrects=corrects
        )  # fmt: skip
    assert (entry(surgery, "vitals", "v1")["status"], entry(surgery, "vitals", "v2")["status"]) == (
        "corrected", "final",
    )  # fmt: skip
    assert entry(surgery, "vitals", "v1")["facts"] == {"corrected_by": "v2"}
    assert entry(surgery, "vitals", "v2")["within"] == "e1"


def test_a_note_waits_for_attestation_and_so_does_what_is_added_to_it(surgery: Surgery) -> None:
    note = {"encounter": "e1", "patient": "ada", "note": "n1"}
    surgery.now_is(c.NoteDrafted, **note, text="first", author="tam", actor="tam")
    assert cut(ClinicVisits(), surgery, "signed_at", "to_attest", of="clinic_notes") == [(None, False)]
    surgery.now_is(c.NoteSigned, **note, needs_attestation=True, actor="tam")
    assert entry(surgery, "note", "n1")["status"] == "to_attest"
    surgery.now_is(c.NoteAttested, **note, attested_by="osei")
    assert entry(surgery, "note", "n1")["status"] == "attested"
    assert cut(ClinicVisits(), surgery, "to_attest", of="clinic_notes") == [False]
    surgery.now_is(
        c.NoteAmended, **note, amendment="m1", text="more", author="tam", needs_attestation=True, actor="tam"
    )
    row = entry(surgery, "note", "n1")
    assert (row["status"], row["author"], row["facts"]["attested_by"]) == ("to_attest", "tam", "osei")
    assert [(one["id"], one["author"], is_sealed(one["text"])) for one in row["facts"]["amendments"]] == [
        ("m1", "tam", True)
    ]
    assert cut(ClinicVisits(), surgery, "to_attest", of="clinic_notes") == [True]


def test_a_prescription_says_how_much_of_it_was_allotted_and_what_became_of_it(surgery: Surgery) -> None:
    surgery.prescribe("rx", "ada")
    of = {"prescription": "rx", "patient": "ada"}
    for dispensing in ("d1", "d2"):
        surgery.now_is(c.SupplyAllotted, **of, dispensing=dispensing, quantity=21, allotted=21, over=False)
    surgery.now_is(c.SupplyReturned, **of, dispensing="d1")
    row = entry(surgery, "prescription", "rx")
    assert (row["status"], row["facts"]["allotted"], row["facts"]["dispensings"]) == ("signed", 21, {"d2": 21})
    surgery.now_is(c.PrescriptionStopped, **of, reason="better")
    assert entry(surgery, "prescription", "rx")["status"] == "stopped"
    surgery.prescribe("old", "ada", sign=False, imported_from="elsewhere", status=c.OrderStatus.COMPLETED)
    row = entry(surgery, "prescription", "old")
    assert (row["status"], row["facts"]["order_status"]) == ("imported", "completed")


def test_what_happens_to_an_order_after_a_merge_is_of_that_order_whichever_record_is_named(surgery: Surgery) -> None:
    """A command may name the record as whom the patient goes on; its events then carry that patient."""
    surgery.prescribe("rx", "ada")
    surgery.now_is(c.PatientsMerged, patient="ada", into="ben", reason="twice")
    of = {"prescription": "rx", "patient": "ben"}
    surgery.now_is(c.SupplyAllotted, **of, dispensing="d1", quantity=21, allotted=21, over=False)
    assert entry(surgery, "prescription", "rx")["facts"]["allotted"] == 21
    surgery.now_is(c.PrescriptionStopped, **of, reason="better")
    row = entry(surgery, "prescription", "rx")
    assert (row["status"], row["patient"], is_sealed(row["facts"]["reason"])) == ("stopped", "ada", True)


def test_what_happens_to_any_entry_after_a_merge_finds_it(surgery: Surgery) -> None:
    surgery.administer("m1", "ada")
    asked = surgery.request("d1", "ada")
    surgery.encounter("e1", "ada")
    booked = surgery.book("ap", "ada")
    surgery.now_is(c.ReferralMade, referral="r1", patient="ada", content=c.Referral(to="Eye clinic"))
    surgery.now_is(c.NoteDrafted, encounter="e1", patient="ada", note="n1", text="first", author="osei")
    surgery.now_is(c.PatientsMerged, patient="ada", into="ben", reason="twice")
    surgery.now_is(c.AdministrationReversed, administration="m1", patient="ben", reason="not given")
    surgery.now_is(c.DispensingRefused, dispensing=asked.data.dispensing, patient="ben", reason="recalled")
    surgery.now_is(c.NoteSigned, encounter="e1", patient="ben", note="n1", needs_attestation=False)
    surgery.now_is(c.EncounterClosed, encounter="e1", patient="ben")
    surgery.now_is(c.ReferralClosed, referral="r1", patient="ben", outcome="seen")
    surgery.of_appointment(c.CheckedIn, booked, patient="ben")
    for kind, id, status in (
        ("administration", "m1", "reversed"), ("dispensing", "d1", "refused"), ("note", "n1", "signed"),
        ("encounter", "e1", "closed"), ("referral", "r1", "closed"), ("appointment", "ap", "checked_in"),
    ):  # fmt: skip
        row = entry(surgery, kind, id)
        assert (row["status"], row["patient"]) == (status, "ada"), kind


def test_entries_of_two_patients_with_one_id_are_two(surgery: Surgery) -> None:
    content = c.Allergy(substance=penicillin, category=c.AllergyCategory.MEDICATION)
    for patient in ("ada", "ben"):
        surgery.now_is(c.AllergyRecorded, patient=patient, allergy="a1", content=content)
    surgery.now_is(c.AllergyRefuted, patient="ben", allergy="a1", reason="tested")
    rows = table(ClinicChart(), surgery.events)
    assert sorted((row["patient"], row["status"]) for row in rows) == [("ada", "active"), ("ben", "refuted")]


def test_an_administration_that_was_not_so_is_reversed_in_the_chart_and_used_nothing(surgery: Surgery) -> None:
    surgery.administer("m1", "ada")
    surgery.vaccinate("v1", "ada")
    for id in ("m1", "v1"):
        surgery.now_is(c.AdministrationReversed, administration=id, patient="ada", reason="ben's")
    assert entry(surgery, "administration", "m1")["status"] == entry(surgery, "immunization", "v1")["status"]
    assert cut(ClinicGiven(), surgery, "state", of="clinic_given") == ["reversed", "reversed"]


def test_an_appointment_stands_at_the_time_at_which_it_begins(surgery: Surgery) -> None:
    booked = surgery.book("ap", "ada", reason="a cough")
    surgery.later(minutes=5)
    surgery.of_appointment(c.CheckedIn, booked)
    row = entry(surgery, "appointment", "ap")
    assert (row["within"], row["occurred_at"], row["status"]) == (
        "osei:2026-11-20", booked.data.starts_at, "checked_in",
    )  # fmt: skip
    assert cut(ClinicVisits(), surgery, "state", "checked_in_at") == [("checked_in", surgery.now)]


# -- medicines --------------------------------------------------------------------------------------------------------


def test_a_dispensing_says_what_is_set_aside_and_what_was_taken_away_again(surgery: Surgery) -> None:
    asked = surgery.request("d1", "ada")
    surgery.set_aside("d1", lot("A", 15), lot("B", 5))
    assert cut(ClinicDispensings(), surgery, "short", "remaining") == [(1, 20)]
    surgery.now_is(c.GoodsFreed, dispensing="d1", lots=(lot("A", 15),), remaining=5)
    assert cut(ClinicDispensings(), surgery, "remaining") == [5]
    assert [line["lot"] for line in cut(ClinicDispensings(), surgery, "lots")[0]] == ["B"]
    surgery.verify(asked, lot("B", 21))
    surgery.dispense(asked, lot("B", 21), quantity=21)
    surgery.now_is(c.GoodsIssued, dispensing="d1", movement=4, quantity=21)
    assert cut(ClinicDispensings(), surgery, "state", "issued", "remaining") == [("dispensed", 21, 0)]


def test_of_a_lot_in_two_lines_both_are_taken_away(surgery: Surgery) -> None:
    surgery.request("d1", "ada")
    surgery.set_aside("d1", lot("A", 15), lot("a", 6))
    surgery.now_is(c.GoodsFreed, dispensing="d1", lots=(lot("A", 10), lot("A", 10)), remaining=1)
    assert [line["quantity"] for line in cut(ClinicDispensings(), surgery, "lots")[0]] == [1]


def test_the_lots_that_were_handed_over_take_the_place_of_those_that_were_verified(surgery: Surgery) -> None:
    asked = surgery.request("d1", "ada")
    surgery.verify(asked, lot("A", 20), lot("B", 1))
    surgery.dispense(asked, lot("b", 21))
    assert cut(ClinicGiven(), surgery, "lot_form", "quantity", of="clinic_given_lots") == [("B", 21)]
    surgery.now_is(c.MedicineReturned, dispensing="d1", patient="ada", quantity=4, reason="ill", returned=4)
    assert cut(ClinicGiven(), surgery, "state", "returned", of="clinic_given") == [("given", 4)]


def test_what_was_handed_over_and_never_requested_is_shown_as_what_was(surgery: Surgery) -> None:
    what: dict[str, Any] = {"item": "amoxicillin", "location": "store", "days_supply": 7}
    surgery.now_is(
        c.MedicationDispensed, dispensing="d1", patient="ada", prescription=None, **what, quantity=21,
        lots=(lot("A", 21),), content=c.Handed(recipient="Ada"), label_printed=True, fact=True,
        unrequested=c.Unrequested(**what), check=c.Check(), breaches=(c.ClinicError.UNKNOWN_DISPENSING,),
    )  # fmt: skip
    surgery.now_is(c.GoodsIssued, dispensing="d1", movement=4, quantity=21)
    assert cut(ClinicDispensings(), surgery, "state", "issued", "requested_at") == [("dispensed", 21, None)]
    assert cut(ClinicGiven(), surgery, "state", "quantity", of="clinic_given") == [("given", 21)]
    assert cut(ClinicGiven(), surgery, "lot_form", "quantity", of="clinic_given_lots") == [("A", 21)]
    assert entry(surgery, "dispensing", "d1")["status"] == "dispensed"


def test_what_was_handed_over_out_of_nobody_knows_which_lot_is_stock_of_unknown_lot(surgery: Surgery) -> None:
    surgery.dispense(surgery.request("d1", "ada"), fact=True)
    assert cut(ClinicGiven(), surgery, "lot_form", "quantity", of="clinic_given_lots") == [("", 21)]


def test_the_date_on_the_package_of_what_was_administered_is_that_of_its_lot(surgery: Surgery) -> None:
    surgery.administer("m1", "ada", "UNKNOWN", expires=BORN)
    assert cut(ClinicGiven(), surgery, "lot_form", "date", of="clinic_given_lots") == [("", BORN)]
    assert entry(surgery, "administration", "m1")["facts"]["expires"] == "1985-12-10"


def test_a_dispensing_keeps_the_last_check_and_which_alerts_each_answer_was_for(surgery: Surgery) -> None:
    alert = c.Alert(kind=c.AlertKind.DUPLICATE, detail="given on Monday")
    asked = surgery.request("d1", "ada")
    noted = surgery.note_alert(asked, alert)
    answer = surgery.override(asked, alert)
    checked = surgery.recheck(asked, c.Alert(kind=c.AlertKind.ALLERGY, detail="penicillin G"))
    assert cut(ClinicDispensings(), surgery, "check_content", "alerts", "answered") == [
        (checked.data.check, [noted.data.content], [answer.data.answered])
    ]
    facts = entry(surgery, "dispensing", "d1")["facts"]
    assert facts["check"] == checked.data.check
    (override,) = facts["overrides"]
    assert (override["role"], override["by"], is_sealed(override["answered"])) == ("pharmacist", "lind", True)


def test_stock_of_unknown_lot_has_no_form_by_which_it_could_be_ruled_out(surgery: Surgery) -> None:
    surgery.administer("m1", "ada", "UNKNOWN")
    surgery.vaccinate("v1", "ada", None)
    surgery.vaccinate("v2", "ada", "V", item=None, location=None, quantity=None, imported_from="elsewhere")
    assert cut(ClinicGiven(), surgery, "lot", "lot_form", of="clinic_given_lots") == [(None, ""), (None, "")]


# -- who looks, who works here, what to look at -----------------------------------------------------------------------


def test_a_broken_glass_waits_until_somebody_looked_into_it(surgery: Surgery) -> None:
    surgery.read("ada", "x1", break_glass=True, reason="she was unconscious", role=c.Role.FRONT_DESK)
    (row,) = table(ClinicAccess(), surgery.events)
    assert (row["reader"], row["role"], row["reviewed_at"], is_sealed(row["reason"])) == (
        "osei", "front_desk", None, True,
    )  # fmt: skip
    surgery.now_is(c.AccessReviewed, patient="ada", access="x1", note="rightly so", actor="lind")
    assert cut(ClinicAccess(), surgery, "reviewed_by") == ["lind"]


def test_roles_and_licence_are_those_that_were_set_last(surgery: Surgery) -> None:
    surgery.staff("osei", c.Role.CLINICIAN)
    surgery.now_is(c.LicenceChanged, practitioner="osei", roles=(c.Role.TRAINEE, c.Role.FRONT_DESK))
    assert cut(ClinicDirectory(), surgery, "roles", "licence") == [(["trainee", "front_desk"], None)]


def test_an_item_is_known_by_what_inventory_says_and_what_a_person_says_of_it(surgery: Surgery) -> None:
    note = {"item": "amox", "revision": 1, "name": "Amoxicillin 250", "unit": "each", "medicine": True,
            "retired": False}  # fmt: skip
    surgery.now_is(c.FormularyEntrySet, item="amox", medication=amoxicillin, ingredients=(amoxicillin,))
    surgery.now_is(c.ItemNoted, **note, controlled=True)
    assert cut(ClinicDirectory(), surgery, "name", "controlled", of="formulary") == [("Amoxicillin 250", True)]
    assert cut(ClinicDirectory(), surgery, "medication", of="formulary")[0]["code"] == "308182"


def test_what_a_fact_broke_is_open_until_it_is_resolved_or_was_not_so(surgery: Surgery) -> None:
    broke = (c.ClinicError.DUPLICATE, c.ClinicError.EXPIRED)
    surgery.dispense(surgery.request("d1", "ada"), lot("A", 21), fact=True, breaches=broke)
    surgery.administer("m1", "ada", breaches=(c.ClinicError.RECALLED,), override_reason="nothing else was there")
    assert cut(ClinicReview(), surgery, "kind", "subject", "closed_at") == [
        ("duplicate", "dispensing:d1", None), ("expired", "dispensing:d1", None),
        ("recalled", "administration:m1", None),
    ]  # fmt: skip
    surgery.now_is(c.DispensingResolved, dispensing="d1", patient="ada", note="seen to")
    surgery.now_is(c.AdministrationReversed, administration="m1", patient="ada", reason="not given")
    assert cut(ClinicReview(), surgery, "closed_by") == ["resolved", "resolved", "reversed"]


def test_that_more_came_back_than_was_handed_over_is_open_for_review(surgery: Surgery) -> None:
    surgery.dispense(surgery.request("d1", "ada"), lot("A", 21))
    back = {"dispensing": "d1", "patient": "ada", "quantity": 30, "reason": "ill", "returned": 30}
    surgery.now_is(c.MedicineReturned, **back, breaches=(c.ClinicError.NOT_DISPENSED,))
    assert cut(ClinicReview(), surgery, "kind", "subject") == [("not_dispensed", "dispensing:d1")]


def test_a_disclosure_against_a_rule_is_open_until_somebody_looked_into_it(surgery: Surgery) -> None:
    content = c.Disclosure(to="the county", what="results")
    surgery.now_is(
        c.RecordDisclosed, patient="ada", disclosure="x1", purpose=c.Purpose.RESEARCH, content=content,
        recorded_by="osei", breaches=(c.ClinicError.NO_PURPOSE,),
    )  # fmt: skip
    assert cut(ClinicReview(), surgery, "kind", "subject", "closed_at") == [("no_purpose", "disclosure:ada:x1", None)]
    surgery.now_is(c.DisclosureReviewed, patient="ada", disclosure="x1", note="a board waived it", actor="aud")
    assert cut(ClinicReview(), surgery, "closed_by") == ["resolved"]
    assert cut(ClinicAccess(), surgery, "reviewed_by", of="disclosures") == ["aud"]
