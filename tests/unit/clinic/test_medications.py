"""No medicine twice within days; and what a patient takes besides."""

from __future__ import annotations

from datetime import date

import pytest

from services.clinic.contract import (
    AlertNoted,
    AlertOverridden,
    ClinicError,
    FillClaimed,
    FillReleased,
    MergePatients,
    NoteMerge,
    RecordReportedMedication,
    ReleaseFill,
    ReportedMedication,
    ReportedMedicationRecorded,
)
from tests.support.clinic import CLINIC, rxnorm
from tests.support.dispensings import alert, override
from tests.support.pharmacy import (
    PHARMACY,
    amoxicillin,
    amoxicillin_500,
    claim,
    fill,
    given,
    ibuprofen,
    ibuprofen_400,
    request,
)
from tests.support.sentences import erase

E = ClinicError
FIRST = date(2026, 11, 14)


@pytest.mark.parametrize(("day", "refused"), [(14, True), (20, True), (21, False), (8, True), (7, False)])
def test_the_same_within_seven_days_before_or_after_is_a_duplicate(day: int, refused: bool) -> None:
    once = given(*CLINIC, claim("d1", content=fill(FIRST)))
    again = once.when(claim("d2", content=fill(date(2026, 11, day))))
    if refused:
        again.then_rejected(E.DUPLICATE, other="d1")
    else:
        again.then(FillClaimed, dispensing="d2")


def test_another_strength_of_the_same_ingredient_is_one_too_and_another_medicine_is_not() -> None:
    once = given(*CLINIC, claim("d1"))
    once.when(claim("d2", content=fill(medication=rxnorm("308192", "amoxicillin 500 MG Oral Tablet")))).then_rejected(
        E.DUPLICATE
    )
    other = fill(date(2026, 11, 20), ibuprofen_400, ibuprofen)
    once.when(claim("d2", content=other)).then(FillClaimed)
    both = fill(date(2026, 11, 20), rxnorm("999", "both"), ibuprofen, amoxicillin)
    once.when(claim("d2", content=both)).then_rejected(E.DUPLICATE)


def test_what_came_to_nothing_does_not_count_and_is_not_claimed_again() -> None:
    freed = given(*CLINIC, claim("d1")).when(ReleaseFill(patient="ben", dispensing="d1")).then(FillReleased)
    freed.when(ReleaseFill(patient="ben", dispensing="d1")).then_nothing()
    freed.when(claim("d2")).then(FillClaimed)
    freed.when(claim("d1")).then_rejected(E.DISPENSING_OVER)
    freed.when(claim("d1", fact=True)).then(FillClaimed, fact=True)


def test_a_claim_is_made_once_and_a_fact_counts_whatever_it_breaks() -> None:
    once = given(*CLINIC, claim("d1"))
    once.when(claim("d1")).then_nothing()
    once.when(claim("d2", fact=True)).then(FillClaimed, fact=True)


def test_that_somebody_answers_for_it_is_looked_up_in_the_dispensing() -> None:
    once = given(*PHARMACY, claim("d0"), request())
    once.when(claim(overridden=True)).then_rejected(E.DUPLICATE)
    noted = once.when(alert("duplicate")).then(AlertNoted)
    answered = noted.when(override("duplicate"), actor="lind").then(AlertOverridden)
    answered.when(claim()).then_rejected(E.DUPLICATE)
    answered.when(claim(overridden=True)).then(FillClaimed, overridden=True)


def test_what_was_given_under_a_record_that_goes_on_as_this_one_counts() -> None:
    merged = given(
        *CLINIC, claim("d1"), MergePatients(patient="ben", into="ada", reason="One person."),
        NoteMerge(patient="ada", other="ben", merged=True),
    )  # fmt: skip
    merged.when(claim("d2", patient="ada")).then_rejected(E.DUPLICATE, other="d1")


def test_what_cannot_be_read_any_more_is_no_duplicate_of_anything() -> None:
    merged = given(
        *CLINIC, claim("d1"), MergePatients(patient="ben", into="ada", reason="One person."),
        NoteMerge(patient="ada", other="ben", merged=True),
    )  # fmt: skip
    erase("patient/ben")
    merged.when(claim("d2", patient="ada")).then(FillClaimed)


def test_what_a_patient_reports_is_recorded_and_replaced() -> None:
    def report(directions: str) -> RecordReportedMedication:
        content = ReportedMedication(medication=amoxicillin_500, directions=directions)
        return RecordReportedMedication(patient="ben", report="m", content=content)

    given(*CLINIC).when(report("Daily."), actor="nobody").then_rejected(E.UNKNOWN_PRACTITIONER)
    given(*CLINIC).when(report("Daily."), actor="rui").then_rejected(E.WRONG_ROLE)
    told = given(*CLINIC).when(report("Daily."), actor="tam").then(ReportedMedicationRecorded)
    told.when(report("Daily."), actor="osei").then_nothing()
    told.when(report("Twice."), actor="osei").then(ReportedMedicationRecorded)
    given(*CLINIC).when(claim(patient="nobody")).then_rejected(E.UNKNOWN_PATIENT)
