"""Patients: who is one, which allergies stand, what was agreed to, and two records of one person, or of two."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from services.clinic.contract import (
    Allergy,
    AllergyCategory,
    AllergyRecorded,
    AllergyRefuted,
    AssertNoKnownAllergy,
    ChangeContact,
    ClinicError,
    Consent,
    ConsentGranted,
    ConsentWithdrawn,
    Contact,
    ContactChanged,
    Demographics,
    GrantConsent,
    MergeNoted,
    MergePatients,
    NoKnownAllergyAsserted,
    NoteMerge,
    PatientRegistered,
    PatientsMerged,
    PatientsUnmerged,
    Problem,
    ProblemRecorded,
    ProblemStatus,
    RecordAllergy,
    RecordProblem,
    RecordResult,
    RefuteAllergy,
    RegisterPatient,
    Result,
    ResultRecorded,
    UnmergePatients,
    WithdrawConsent,
)
from services.clinic.patient import allergies, everyone
from shared.decider import Context, Ref
from tests.support.clinic import (
    CLINIC,
    STAFF,
    ada,
    amoxicillin,
    at,
    ben,
    given,
    gone,
    loinc,
    measured,
    no_penicillin,
    penicillin,
)
from tests.support.sentences import NOW, Given, opened

E = ClinicError
ADA = {"patient": "ada"}
merge = MergePatients(**ADA, into="ben", reason="Both gave the same card.")
unmerge = UnmergePatients(**ADA, into="ben", reason="Twins.")
note = NoteMerge(patient="ben", other="ada", merged=True)
moved = ChangeContact(**ADA, content=replace(ada.content, contact=Contact(phone="555 0100", language="tr")))
agree = GrantConsent(**ADA, consent="c-1", content=Consent(purpose="a study", scope="everything"))
withdraw = WithdrawConsent(**ADA, consent="c-1")
refute = RefuteAllergy(**ADA, allergy="a-1", reason="She tolerated it under watch.")
nuts = RecordAllergy(**ADA, allergy="a-2", content=Allergy(substance=penicillin, category=AllergyCategory.FOOD))
none_known = AssertNoKnownAllergy(patient="ben")
cough = RecordProblem(**ADA, problem="q-1", content=Problem(code=loinc("8867-4", "x")))
found = RecordResult(
    **ADA, result="t-1", content=Result(code=loinc("2339-0", "x"), measured=measured(95, 0, "mg/dL"), found_at=at(7))
)


def counted(known: Given, id: str) -> set[str]:
    """The allergies that count for a patient, being theirs or those of a record that goes on as theirs."""
    world = known.world
    context = Context(NOW, states={ref: world.state(ref) for ref in world.states}, unseal=opened)
    people = everyone(world.state(Ref("patient", id)), id, context)
    return {f"{who}/{allergy}" for who, one in people.items() for allergy in allergies(one, context)}


# -- who it is --------------------------------------------------------------------------------------------------------


def test_a_patient_is_registered_once_and_changed() -> None:
    known = given(*STAFF).when(ada, actor="rui").then(PatientRegistered, imported_from=None)
    known.when(ada, actor="rui").then_rejected(E.ALREADY_EXISTS, patient="ada")
    changed = known.when(moved, actor="rui").then(ContactChanged)
    changed.when(moved, actor="osei").then_nothing()
    changed.when(replace(moved, content=ada.content), actor="rui").then(ContactChanged)


def test_a_service_that_imports_registers_without_a_role() -> None:
    imported = replace(ada, imported_from="st-mary")
    given(*STAFF).when(imported, actor="imports").then_rejected(E.UNKNOWN_PRACTITIONER)
    given(*STAFF).when(imported, actor="ines").then(PatientRegistered, imported_from="st-mary")
    given(*STAFF).when(ada, actor="imports").then_rejected(E.UNKNOWN_PRACTITIONER)


DESK, CARE = {"rui", "osei", "tam", "lind"}, {"osei", "tam", "lind"}


@pytest.mark.parametrize(
    ("command", "who"),
    [
        (RegisterPatient(patient="cleo", content=Demographics(family="Okafor")), DESK),
        (moved, DESK), (agree, DESK), (withdraw, DESK), (merge, {"rui", "osei"}), (unmerge, {"rui", "osei"}),
        (nuts, CARE), (refute, {"osei", "lind"}), (none_known, CARE), (cough, CARE), (found, CARE),
    ],
)  # fmt: skip
def test_who_may_do_what(command: Any, who: set[str]) -> None:
    known = given(*CLINIC, *((agree,) if command == withdraw else ()), *((merge,) if command == unmerge else ()))
    for actor in ("rui", "osei", "tam", "lind", "ines"):
        if actor in who:
            known.when(command, actor=actor).then_event()
        else:
            known.when(command, actor=actor).then_rejected(E.WRONG_ROLE, actor=actor)
    known.when(command, actor="sam").then_rejected(E.UNKNOWN_PRACTITIONER, practitioner="sam")


OF_ADA = [moved, merge, unmerge, agree, withdraw, nuts, refute, replace(none_known, **ADA), cough, found]


@pytest.mark.parametrize("command", OF_ADA)
def test_nothing_is_decided_of_a_stranger_or_of_somebody_erased(command: Any) -> None:
    given(*STAFF, ben).when(command, actor="osei").then_rejected(E.UNKNOWN_PATIENT, patient="ada")
    given(*CLINIC, *gone("ada")).when(command, actor="osei").then_rejected(E.PATIENT_ERASED, patient="ada")


# -- allergies --------------------------------------------------------------------------------------------------------


def test_an_allergy_stands_until_it_is_refuted() -> None:
    known = given(*CLINIC)
    known.when(no_penicillin, actor="tam").then_nothing()
    worse = replace(no_penicillin, content=replace(no_penicillin.content, intolerance=True))
    known.when(worse, actor="tam").then(AllergyRecorded, allergy="a-1")
    refuted = known.when(refute, actor="osei").then(AllergyRefuted, allergy="a-1")
    assert counted(known, "ada") == {"ada/a-1"} and counted(refuted, "ada") == set()
    refuted.when(refute, actor="lind").then_nothing()
    again = refuted.when(no_penicillin, actor="tam").then(AllergyRecorded)
    assert counted(again, "ada") == {"ada/a-1"}
    known.when(replace(refute, allergy="a-9"), actor="osei").then_rejected(E.UNKNOWN_ALLERGY, allergy="a-9")


def test_that_none_is_known_is_said_of_a_kind_and_not_against_what_stands() -> None:
    asked = given(*CLINIC).when(none_known, actor="tam").then(NoKnownAllergyAsserted, patient="ben")
    asked.when(none_known, actor="tam").then_nothing()
    of_ada = replace(none_known, **ADA)
    given(*CLINIC).when(of_ada, actor="tam").then_rejected(E.ALLERGIES_STAND, allergies=["a-1"])
    food = replace(of_ada, category=AllergyCategory.FOOD)
    given(*CLINIC).when(food, actor="tam").then(NoKnownAllergyAsserted)
    given(*CLINIC, nuts).when(food, actor="tam").then_rejected(E.ALLERGIES_STAND, allergies=["a-2"])
    given(*CLINIC, refute).when(of_ada, actor="tam").then(NoKnownAllergyAsserted)


# -- problems, results and consents -----------------------------------------------------------------------------------


def test_a_problem_is_what_was_said_last() -> None:
    known = given(*CLINIC).when(cough, actor="tam").then(ProblemRecorded, problem="q-1")
    known.when(cough, actor="osei").then_nothing()
    over = replace(cough, content=replace(cough.content, status=ProblemStatus.RESOLVED))
    known.when(over, actor="osei").then(ProblemRecorded).when(cough, actor="osei").then(ProblemRecorded)


def test_a_result_is_corrected_by_another() -> None:
    known = given(*CLINIC).when(found, actor="lind").then(ResultRecorded, result="t-1")
    known.when(found, actor="lind").then_rejected(E.ALREADY_EXISTS, result="t-1")
    known.when(replace(found, result="t-2", corrects="t-1"), actor="lind").then(ResultRecorded, corrects="t-1")
    known.when(replace(found, result="t-2", corrects="t-9"), actor="lind").then_rejected(E.UNKNOWN_RECORD, result="t-9")


def test_a_consent_is_granted_once_and_withdrawn() -> None:
    granted = given(*CLINIC).when(agree, actor="rui").then(ConsentGranted, consent="c-1")
    granted.when(agree, actor="rui").then_nothing()
    other = replace(agree, content=replace(agree.content, until=date(2027, 1, 1)))
    granted.when(other, actor="rui").then_rejected(E.ALREADY_EXISTS, consent="c-1")
    ended = granted.when(withdraw, actor="rui").then(ConsentWithdrawn, consent="c-1")
    ended.when(withdraw, actor="rui").then_nothing()
    ended.when(agree, actor="rui").then_rejected(E.ALREADY_EXISTS)
    given(*CLINIC).when(withdraw, actor="rui").then_rejected(E.UNKNOWN_CONSENT, consent="c-1")


# -- registered twice -------------------------------------------------------------------------------------------------


def test_a_record_goes_on_as_another_and_stands_for_itself_again() -> None:
    merged = given(*CLINIC).when(merge, actor="rui").then(PatientsMerged, into="ben")
    merged.when(merge, actor="osei").then_nothing()
    parted = merged.when(unmerge, actor="rui").then(PatientsUnmerged, into="ben")
    parted.when(unmerge, actor="rui").then_nothing()
    parted.when(replace(unmerge, into="cleo"), actor="rui").then_rejected(E.NOT_MERGED)
    given(*CLINIC).when(unmerge, actor="rui").then_rejected(E.NOT_MERGED)
    parted.when(merge, actor="rui").then_event()
    merged.when(replace(unmerge, into="cleo"), actor="rui").then_rejected(E.NOT_MERGED, into="ben")


def test_a_merge_of_two_people_is_undone_and_neither_has_the_others_allergies() -> None:
    of_ben = replace(no_penicillin, patient="ben", content=replace(no_penicillin.content, substance=amoxicillin))
    one = given(*CLINIC, of_ben, merge, note)
    assert counted(one, "ben") == {"ada/a-1", "ben/a-1"}
    since = one.when(replace(nuts, patient="ben"), actor="osei").then_event()
    parted = since.when(unmerge, actor="osei").then_event()
    two = parted.when(replace(note, merged=False)).then(MergeNoted, merged=False)
    assert counted(two, "ada") == {"ada/a-1"}
    assert counted(two, "ben") == {"ben/a-1", "ben/a-2"}, "what was recorded since stays where it was recorded"
    two.when(nuts, actor="osei").then_event()


def test_records_are_merged_with_another_that_stands_for_itself() -> None:
    cleo = RegisterPatient(patient="cleo", content=Demographics(family="Okafor"))
    three = given(*CLINIC, cleo)
    three.when(replace(merge, into="ada"), actor="rui").then_rejected(E.SAME_PATIENT, patient="ada")
    three.when(replace(merge, into="nobody"), actor="rui").then_rejected(E.UNKNOWN_PATIENT, patient="nobody")
    given(*CLINIC, *gone("ben")).when(merge, actor="rui").then_rejected(E.PATIENT_ERASED, patient="ben")
    merged = three.when(merge, actor="rui").then_event()
    merged.when(replace(merge, into="cleo"), actor="rui").then_rejected(E.PATIENT_MERGED, patient="ada", into="ben")
    back = MergePatients(patient="ben", into="ada", reason="x")
    merged.when(back, actor="rui").then_rejected(E.PATIENT_MERGED, patient="ada", into="ben")
    merged.when(replace(back, into="cleo"), actor="rui").then_event()


def test_a_patient_knows_whose_records_go_on_as_theirs_through_others_too() -> None:
    cleo = RegisterPatient(patient="cleo", content=Demographics(family="Okafor"))
    further = MergePatients(patient="ben", into="cleo", reason="x")
    chain = given(*CLINIC, cleo, merge, note, further, NoteMerge(patient="cleo", other="ben", merged=True))
    assert counted(chain, "cleo") == {"ada/a-1"}
    chain.when(note).then_nothing()
    round_about = chain.when(NoteMerge(patient="ada", other="cleo", merged=True)).then_event()
    assert counted(round_about, "cleo") == {"ada/a-1"}, "a circle ends"


def test_a_merge_is_noted_of_an_erased_patient_and_not_of_a_stranger() -> None:
    given(*CLINIC, note, *gone("ben")).when(replace(note, merged=False)).then(MergeNoted)
    given(*STAFF, ada).when(note).then_rejected(E.UNKNOWN_PATIENT, patient="ben")


def test_nothing_happens_in_the_future() -> None:
    given(*CLINIC).when(replace(cough, occurred_at=at(9, 34)), actor="osei").then_event()
    given(*CLINIC).when(replace(cough, occurred_at=at(9, 36)), actor="osei").then_rejected(E.OCCURRED_IN_FUTURE)


def test_nobody_is_born_on_a_day_that_is_yet_to_come() -> None:
    today, tomorrow = Demographics(family="Byron", born=NOW.date()), NOW.date() + timedelta(days=1)
    later = replace(today, born=tomorrow)
    for command in (replace(ada, patient="eve"), ChangeContact(patient="ada", content=today)):
        there = given(*CLINIC)
        there.when(replace(command, content=today), actor="rui").then_event()
        refused = there.when(replace(command, content=later), actor="rui")
        refused.then_rejected(E.IMPLAUSIBLE)
        assert str(tomorrow.year) not in str(refused.refusal)
    elsewhere = replace(ada, patient="eve", content=later, imported_from="st-mary")
    given(*CLINIC).when(elsewhere, actor="rui").then_rejected(E.IMPLAUSIBLE)
