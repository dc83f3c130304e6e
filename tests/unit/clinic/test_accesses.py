"""Accesses and disclosures: every reading is a fact; what broke a rule is looked into by another person."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from functools import partial
from typing import Any

import pytest

from services.clinic.access import Access
from services.clinic.contract import (
    AccessReviewed,
    ChartAccessed,
    ClinicError,
    Consent,
    Disclosure,
    DisclosureReviewed,
    GrantConsent,
    MergePatients,
    NoteMerge,
    Purpose,
    RecordAccess,
    RecordDisclosed,
    RecordDisclosure,
    ReviewAccess,
    ReviewDisclosure,
    Role,
    WithdrawConsent,
)
from tests.support.clinic import CLINIC, at, given, gone, practitioner
from tests.support.sentences import Given, by

E = ClinicError
read = RecordAccess(
    patient="ada", access="x-1", reader="osei", role=Role.CLINICIAN, purpose=Purpose.TREATMENT, parts=("allergies",)
)
glass = replace(read, access="x-2", purpose=Purpose.EMERGENCY, break_glass=True, reason="She fainted.")
looked = ReviewAccess(patient="ada", access="x-2", note="Rightly so.")
given_away = RecordDisclosure(
    patient="ada", disclosure="d-1", purpose=Purpose.TREATMENT, content=Disclosure(to="St Mary", what="Allergies")
)
study = replace(given_away, purpose=Purpose.RESEARCH)
agreed = GrantConsent(
    patient="ada", consent="c-1", content=Consent(purpose="a study", scope="all", until=date(2026, 11, 20))
)
looked_into = ReviewDisclosure(patient="ada", disclosure="d-1", note="A board had waived it.")


# -- who read ---------------------------------------------------------------------------------------------------------


def test_a_reading_is_recorded_by_whatever_showed_the_chart() -> None:
    shown = partial(Given.when, actor="fhir", authtype="service")
    seen = shown(given(*CLINIC), read).then(ChartAccessed, reader="osei", parts=("allergies",))
    shown(seen, read).then_nothing()
    shown(seen, replace(read, reader="tam")).then_rejected(E.ALREADY_EXISTS, access="x-1")
    assert seen.state("access", "ada") == Access()


def test_a_person_records_what_they_read_themselves_and_in_a_role_of_theirs() -> None:
    there = given(*CLINIC)
    for spelt in ("osei", "Osei"):
        there.when(replace(read, reader=spelt), actor="osei").then(ChartAccessed, reader=spelt)
    for who in ("varga", "rui"):
        there.when(read, actor=who).then_rejected(E.NOT_THE_READER, actor=who, reader="osei")
        there.when(replace(read, role=None), actor=who).then_rejected(E.NOT_THE_READER)
    there.when(replace(read, reader="rui"), actor="rui").then_rejected(E.WRONG_ROLE, actor="rui")
    there.when(replace(read, role=Role.AUDITOR), actor="osei").then_rejected(E.WRONG_ROLE, roles=["auditor"])
    for reader in ("osei", "eve"):
        there.when(replace(read, reader=reader), actor="eve").then_rejected(E.UNKNOWN_PRACTITIONER)
    both = given(*CLINIC, practitioner("kim", Role.CLINICIAN, Role.AUDITOR))
    hers = replace(read, reader="kim", role=Role.AUDITOR)
    for roles, mandate in ((frozenset({"auditor"}), None), (None, "auditor"), (None, None)):
        both.when(hers, actor="kim", roles=roles, mandate=mandate).then_event()
        refused = both.when(replace(hers, role=Role.CLINICIAN), actor="kim", roles=roles, mandate=mandate)
        if roles or mandate:
            refused.then_rejected(E.WRONG_ROLE, actor="kim")


def test_a_reading_is_of_a_patient_merged_or_erased_as_they_may_be() -> None:
    given(*CLINIC).when(replace(read, patient="nobody"), actor="osei").then_rejected(
        E.UNKNOWN_PATIENT, patient="nobody"
    )
    given(*CLINIC, MergePatients(patient="ada", into="ben", reason="x")).when(read, actor="osei").then_event()
    given(*CLINIC, *gone("ada")).when(read, actor="osei").then(ChartAccessed, reason=None)
    given(*CLINIC, *gone("ada")).when(glass, actor="osei").then_rejected(E.PATIENT_ERASED)


def test_a_glass_is_broken_with_a_reason_and_waits_for_another_person() -> None:
    given(*CLINIC).when(replace(glass, reason=None), actor="osei").then_rejected(
        E.REASON_NEEDED, access="x-2", patient="ada"
    )
    broken = given(*CLINIC).when(glass, actor="osei").then(ChartAccessed, break_glass=True)
    assert broken.state("access", "ada").glasses == {"x-2": "osei"}
    broken.when(looked, actor="osei").then_rejected(E.SECOND_PERSON_REQUIRED, actor="osei")
    hers = given(*CLINIC, replace(glass, reader="Osei"))  # however she spells herself
    hers.when(looked, actor="osei").then_rejected(E.SECOND_PERSON_REQUIRED, actor="osei")
    for who in ("tam", "lind", "rui"):
        broken.when(looked, actor=who).then_rejected(E.WRONG_ROLE, actor=who)
    for who in ("varga", "ines"):
        done = broken.when(looked, actor=who).then(AccessReviewed, access="x-2")
        assert done.state("access", "ada") == Access()
        done.when(looked, actor="ines").then_nothing()
        done.when(glass, actor="osei").then_nothing()


def test_only_a_broken_glass_is_reviewed() -> None:
    given(*CLINIC, read).when(replace(looked, access="x-1"), actor="ines").then_rejected(E.NOTHING_TO_REVIEW)
    given(*CLINIC).when(looked, actor="ines").then_rejected(E.NOTHING_TO_REVIEW)
    given(*CLINIC).when(replace(looked, patient="nobody"), actor="ines").then_rejected(E.UNKNOWN_PATIENT)
    given(*CLINIC, glass, *gone("ada")).when(looked, actor="ines").then(AccessReviewed)


# -- what was given to others -----------------------------------------------------------------------------------------


def test_a_disclosure_is_recorded_once_by_anybody_who_works_here() -> None:
    for who in ("osei", "tam", "lind", "rui", "ines"):
        told = given(*CLINIC).when(given_away, actor=who).then(RecordDisclosed, recorded_by=who, breaches=())
        told.when(given_away, actor="rui").then_nothing()
        told.when(study, actor="rui").then_rejected(E.ALREADY_EXISTS, disclosure="d-1")
    given(*CLINIC).when(given_away).then_rejected(E.UNKNOWN_PRACTITIONER)
    given(*CLINIC).when(replace(given_away, patient="nobody"), actor="rui").then_rejected(E.UNKNOWN_PATIENT)
    given(*CLINIC, *gone("ada")).when(given_away, actor="rui").then_rejected(E.PATIENT_ERASED)
    given(*CLINIC, MergePatients(patient="ada", into="ben", reason="x")).when(given_away, actor="rui").then_event()


@pytest.mark.parametrize("purpose", list(Purpose))
def test_a_purpose_permits_it_or_a_consent_or_a_ground_does(purpose: Purpose) -> None:
    unfounded = purpose in (Purpose.RESEARCH, Purpose.PUBLIC_HEALTH, Purpose.LEGAL)
    known = given(*CLINIC, agreed)
    without = known.when(replace(given_away, purpose=purpose), actor="rui")
    without.then(RecordDisclosed, breaches=(E.NO_PURPOSE,) if unfounded else ())
    founded = replace(given_away.content, ground="Order 7 of the county court")
    told = known.when(replace(given_away, purpose=purpose, content=founded), actor="rui")
    told.then(RecordDisclosed, breaches=(E.NO_PURPOSE,) if purpose is Purpose.RESEARCH else ())
    known.when(replace(given_away, purpose=purpose, consent="c-1"), actor="rui").then(RecordDisclosed, breaches=())


@pytest.mark.parametrize(
    ("when", "breaches"),
    [
        (at(7, 50), (E.UNKNOWN_CONSENT,)),
        (at(8, 10), ()),
        (at(8, 40), (E.UNKNOWN_CONSENT,)),
    ],
)
def test_a_consent_stood_when_it_was_given_away(when: Any, breaches: tuple[ClinicError, ...]) -> None:
    granted = replace(agreed, occurred_at=at(8))
    ended = WithdrawConsent(patient="ada", consent="c-1", occurred_at=at(8, 30))
    told = given(*CLINIC, granted, ended).when(replace(study, consent="c-1", occurred_at=when), actor="rui")
    told.then(RecordDisclosed, breaches=breaches)


@pytest.mark.parametrize(("now", "breaches"), [(at(11, 59, day=21), ()), (at(12, day=21), (E.UNKNOWN_CONSENT,))])
def test_a_consent_ends_with_its_day_wherever_the_clinic_is(now: Any, breaches: tuple[ClinicError, ...]) -> None:
    told = given(*CLINIC, agreed).when(replace(study, consent="c-1"), now=now, actor="rui")
    told.then(RecordDisclosed, breaches=breaches)


def test_a_consent_of_a_record_that_goes_on_as_this_one_counts() -> None:
    of_ben = replace(study, patient="ben", consent="c-1")
    known = given(*CLINIC, agreed, MergePatients(patient="ada", into="ben", reason="x"))
    known.when(of_ben, actor="rui").then(RecordDisclosed, breaches=(E.UNKNOWN_CONSENT,))
    noted = given(*CLINIC, agreed, NoteMerge(patient="ben", other="ada", merged=True))
    noted.when(of_ben, actor="rui").then(RecordDisclosed, breaches=())
    noted.when(replace(of_ben, consent="c-9"), actor="rui").then(RecordDisclosed, breaches=(E.UNKNOWN_CONSENT,))


def test_what_broke_a_rule_is_looked_into_by_another_person() -> None:
    told = given(*CLINIC, *by("osei", study))
    assert told.state("access", "ada").disclosures == {"d-1": "osei"}
    told.when(looked_into, actor="osei").then_rejected(E.SECOND_PERSON_REQUIRED)
    told.when(looked_into, actor="rui").then_rejected(E.WRONG_ROLE)
    done = told.when(looked_into, actor="ines").then(DisclosureReviewed, disclosure="d-1")
    done.when(looked_into, actor="varga").then_nothing()
    given(*CLINIC, given_away).when(looked_into, actor="ines").then_rejected(E.NOTHING_TO_REVIEW)
    given(*CLINIC, study, *gone("ada")).when(looked_into, actor="ines").then(DisclosureReviewed)
    given(*CLINIC).when(replace(looked_into, patient="nobody"), actor="ines").then_rejected(E.UNKNOWN_PATIENT)
