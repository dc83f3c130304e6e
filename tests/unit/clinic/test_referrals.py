"""Referrals: made once, and closed with what came of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from services.clinic.contract import (
    ClinicError,
    CloseReferral,
    MakeReferral,
    MergePatients,
    ReferralClosed,
    ReferralMade,
)
from services.clinic.contract.referral import Referral
from tests.support.clinic import CLINIC, given, gone, visit

E = ClinicError
heart = MakeReferral(referral="r-1", patient="ada", content=Referral(to="Dr Imani"), due_on=date(2026, 12, 1))
seen = CloseReferral(referral="r-1", patient="ada", outcome="Nothing was found.")


def test_a_referral_is_made_once() -> None:
    made = given(*CLINIC).when(heart, actor="tam").then(ReferralMade, due_on=date(2026, 12, 1))
    made.when(heart, actor="osei").then_nothing()
    for other in (
        replace(heart, due_on=None), replace(heart, content=Referral(to="Dr Osei")), replace(heart, patient="ben"),
        replace(heart, encounter="e-1"),
    ):  # fmt: skip
        made.when(other, actor="osei").then_rejected(E.ALREADY_EXISTS, referral="r-1")


def test_a_referral_is_of_an_encounter_of_its_patient_s_or_of_none() -> None:
    of = replace(heart, encounter="e-1")
    given(*CLINIC).when(of, actor="osei").then_rejected(E.UNKNOWN_ENCOUNTER)
    given(*CLINIC, visit).when(of, actor="osei").then(ReferralMade, encounter="e-1")
    given(*CLINIC, visit).when(replace(of, patient="ben"), actor="osei").then_rejected(E.WRONG_PATIENT)


def test_a_referral_is_closed_once() -> None:
    closed = given(*CLINIC, heart).when(seen, actor="lind").then(ReferralClosed, patient="ada")
    closed.when(seen, actor="osei").then_nothing()
    closed.when(replace(seen, outcome="Another."), actor="osei").then_rejected(E.REFERRAL_CLOSED, referral="r-1")
    closed.when(heart, actor="osei").then_nothing()


def test_who_cares_for_patients_refers() -> None:
    for command, before in ((heart, ()), (seen, (heart,))):
        for who in ("rui", "ines"):
            given(*CLINIC, *before).when(command, actor=who).then_rejected(E.WRONG_ROLE, actor=who)


def test_a_referral_is_that_of_its_patient() -> None:
    given(*CLINIC).when(seen, actor="osei").then_rejected(E.UNKNOWN_REFERRAL, referral="r-1")
    given(*CLINIC, heart).when(replace(seen, patient="ben"), actor="osei").then_rejected(E.WRONG_PATIENT)
    given(*CLINIC).when(replace(heart, patient="nobody"), actor="osei").then_rejected(E.UNKNOWN_PATIENT)
    merged = MergePatients(patient="ada", into="ben", reason="The same.")
    given(*CLINIC, merged).when(heart, actor="osei").then_rejected(E.PATIENT_MERGED)
    given(*CLINIC, heart, merged).when(seen, actor="osei").then_event()
    for command, before in ((heart, ()), (heart, (heart,)), (seen, (heart,))):
        given(*CLINIC, *before, *gone("ada")).when(command, actor="osei").then_rejected(E.PATIENT_ERASED)
