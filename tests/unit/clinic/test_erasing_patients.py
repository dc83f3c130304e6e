"""Erasure of a patient: who is one, and that a second person decides. The rest is in test_erasure_deciding.py."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from services.clinic.contract import (
    ApproveErasure,
    CancelErasure,
    ClinicError,
    ErasePerson,
    ErasureApproved,
    ErasureRequested,
    HoldErasure,
    LiftErasureHold,
    NoteObstacles,
    PersonErased,
    RequestErasure,
)
from services.clinic.deciders import deciders_under
from services.clinic.erasure import erasure_under
from shared.erasure import Obstacle, Stage, Terms
from tests.support.clinic import CLINIC, book, given, no_penicillin, visit
from tests.support.pharmacy import prescribed
from tests.support.sentences import NOW, by

E = ClinicError
ADA = {"kind": "patient", "person": "ada"}
ask = RequestErasure(**ADA, reason="Asked in writing.")


def test_a_patient_is_erased_after_a_second_person_agreed_and_the_delay() -> None:
    asked = given(*CLINIC).when(ask, actor="rui").then(ErasureRequested, stage=Stage.REQUESTED)
    looked = asked.when(NoteObstacles(**ADA)).then_event()
    looked.when(ApproveErasure(**ADA), actor="rui").then_rejected(E.SECOND_PERSON_REQUIRED)
    approved = looked.when(ApproveErasure(**ADA), actor="osei").then(ErasureApproved)
    due = approved.state("erasure", "patient:ada").due_at
    assert due == NOW + Terms().delay
    approved.when(ErasePerson(**ADA), now=due - timedelta(hours=1)).then_rejected(E.NOT_YET_DUE)
    approved.when(ErasePerson(**ADA), now=due).then(PersonErased, stage=Stage.ERASED)


def test_only_a_patient_can_be() -> None:
    for command in (RequestErasure, HoldErasure):
        given(*CLINIC).when(command(kind="patient", person="nobody", reason="x"), actor="rui").then_rejected(
            E.UNKNOWN_PATIENT
        )
        given(*CLINIC).when(command(kind="practitioner", person="osei", reason="x"), actor="rui").then_rejected(
            E.NOT_A_PERSON
        )


def test_what_needs_the_data_stands_against_it() -> None:
    needed = NoteObstacles(**ADA, obstacles=(Obstacle(what="an open recall", which=("rc-1",)),))
    given(*CLINIC, *by("rui", ask), needed).when(ApproveErasure(**ADA), actor="osei").then_rejected(E.STILL_NEEDED)


def test_only_who_works_here_asks_for_it_or_decides_on_it() -> None:
    looked = given(*CLINIC, *by("rui", ask), NoteObstacles(**ADA))
    why = {"reason": "Asked in writing."}
    held = looked.when(HoldErasure(**ADA, **why), actor="osei").then_event()
    for there, command in (
        (given(*CLINIC), ask), (looked, ApproveErasure(**ADA)), (looked, CancelErasure(**ADA, **why)),
        (looked, HoldErasure(**ADA, **why)), (held, LiftErasureHold(**ADA, **why)),
    ):  # fmt: skip
        there.when(command, actor="stranger").then_rejected(E.UNKNOWN_PRACTITIONER)
        there.when(command, actor="ines").then_event()


def test_an_operators_terms_are_those_of_the_erasures_alone() -> None:
    terms = Terms(delay=timedelta(days=1))
    categories = [decider.category for decider in deciders_under(terms)]
    assert categories.count("erasure") == 1 and len(set(categories)) == len(categories)
    assert erasure_under(terms).category == "erasure"


def test_of_a_patient_whose_chart_is_locked_facts_are_recorded_and_nothing_new_is_begun() -> None:
    approved = given(*CLINIC, *by("rui", ask), NoteObstacles(**ADA), ApproveErasure(**ADA))
    for command in (book(), prescribed(patient="ada")):
        given(*CLINIC).when(command, actor="osei").then_event()
        approved.when(command, actor="osei").then_rejected(E.CHART_LOCKED)
        back = approved.when(CancelErasure(**ADA, reason="She came again."), actor="osei").then_event()
        back.when(command, actor="osei").then_event()
    for fact in (visit, replace(no_penicillin, allergy="a-2")):
        approved.when(fact, actor="osei").then_event()
