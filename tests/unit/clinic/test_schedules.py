"""Schedules: who is booked with whom, who came, and two desks that book the same time."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from services.clinic.contract import (
    AppointmentBooked,
    AppointmentCancelled,
    CancelAppointment,
    CheckedIn,
    CheckIn,
    ClinicError,
    MergePatients,
    NoShowRecorded,
    RecordNoShow,
    Role,
)
from tests.support.clinic import CLINIC, at, book, given, gone, practitioner
from tests.support.sentences import NOW, Outcome

E = ClinicError
WHICH: dict[str, Any] = {"appointment": "p-1", "clinician": "osei", "date": NOW.date()}
here = CheckIn(**WHICH)
missed = RecordNoShow(**WHICH, occurred_at=at(10, 30))
cancel = CancelAppointment(**WHICH, patient="ada", reason="Her bus did not come.")
LATER = {"now": at(11), "actor": "rui"}


def desk(command: Any, *before: Any) -> Outcome:
    """What follows at the front desk, after the clinic's hours began."""
    return given(*CLINIC, *before, now=at(11)).when(command, **LATER)


def test_an_appointment_is_booked_once() -> None:
    booked = desk(book(reason="A cough.")).then(AppointmentBooked, overlaps=())
    booked.when(book(reason="A cough."), actor="tam").then_nothing()
    for other in (
        book(reason="A rash."), book(), book(reason="A cough.", minutes=30), book(reason="A cough.", patient="ben"),
        book(reason="A cough.", starts_at=at(12)), book(reason="A cough.", overbook_reason="x"),
    ):  # fmt: skip
        booked.when(other, actor="rui").then_rejected(E.ALREADY_EXISTS, appointment="p-1")


def test_a_patient_is_known_is_here_and_is_themselves() -> None:
    desk(book(patient="nobody")).then_rejected(E.UNKNOWN_PATIENT, patient="nobody")
    desk(book(), *gone("ada")).then_rejected(E.PATIENT_ERASED, patient="ada")
    merged = MergePatients(patient="ada", into="ben", reason="The same.")
    desk(book(), merged).then_rejected(E.PATIENT_MERGED, into="ben")
    desk(book(), book(), merged).then_nothing()


@pytest.mark.parametrize("who", ["rui", "ines"])
def test_nobody_is_booked_with_somebody_who_sees_no_patients(who: str) -> None:
    desk(book(clinician=who)).then_rejected(E.WRONG_ROLE, practitioner=who)


def test_a_clinician_is_somebody_who_works_here_in_any_role_that_cares() -> None:
    desk(book(clinician="nobody")).then_rejected(E.UNKNOWN_PRACTITIONER, practitioner="nobody")
    for who in ("osei", "tam", "lind"):
        desk(book(clinician=who)).then(AppointmentBooked, clinician=who)
    both = practitioner("kim", Role.FRONT_DESK, Role.TRAINEE)
    desk(book(clinician="kim"), both).then_event()


@pytest.mark.parametrize("command", [book(), here, missed, cancel])
def test_who_meets_patients_keeps_the_schedule(command: Any) -> None:
    before = given(*CLINIC, *(() if command == book() else (book(),)), now=at(11))
    for who in ("rui", "osei", "tam", "lind"):
        before.when(command, now=at(11), actor=who).then_event()
    before.when(command, now=at(11), actor="ines").then_rejected(E.WRONG_ROLE, actor="ines")
    before.when(command, now=at(11), actor="sam").then_rejected(E.UNKNOWN_PRACTITIONER, practitioner="sam")


@pytest.mark.parametrize(
    ("hour", "minute", "days"),
    [(0, 0, (-1, 0)), (9, 59, (-1, 0)), (10, 0, (-1, 0, 1)), (11, 59, (-1, 0, 1)), (12, 0, (0, 1)), (23, 59, (0, 1))],
)
def test_the_day_is_one_that_it_can_be_somewhere(hour: int, minute: int, days: tuple[int, ...]) -> None:
    """From 10:00 to 11:59 UTC it is three days at once: 12 hours behind it, and 14 before it."""
    for day in range(-2, 3):
        wanted = desk(book(date=NOW.date() + timedelta(days=day), starts_at=at(hour, minute)))
        if day in days:
            wanted.then_event()
        else:
            wanted.then_rejected(E.WRONG_DAY)


def test_what_overlaps_needs_a_reason_and_is_named() -> None:
    full = given(*CLINIC, book("p-2", patient="ben", starts_at=at(10, 10)), book("p-3", starts_at=at(9, 50)))
    full.when(book(), actor="rui").then_rejected(E.OVERLAPS, appointments=["p-2", "p-3"])
    over = full.when(book(overbook_reason="Her fever is high."), actor="rui")
    over.then(AppointmentBooked, overlaps=("p-2", "p-3"))
    full.when(book(starts_at=at(10, 25)), actor="rui").then(AppointmentBooked, overlaps=())
    full.when(book(clinician="tam"), actor="rui").then(AppointmentBooked, overlaps=())


def test_one_appointment_follows_another() -> None:
    for minute in (45, 15):
        other = book("p-2", patient="ben", starts_at=at(9 if minute == 45 else 10, minute))
        desk(book(), other).then(AppointmentBooked, overlaps=())


def test_what_was_cancelled_or_missed_takes_no_time() -> None:
    for freed in (cancel, missed):
        desk(book("p-2", patient="ben"), book(), freed).then(AppointmentBooked, overlaps=())
    desk(book("p-2", patient="ben"), book(), here).then_rejected(E.OVERLAPS)


def test_a_patient_comes_late_though_the_no_show_is_recorded() -> None:
    late = desk(here, book(), missed).then(CheckedIn, patient="ada")
    late.when(here, **LATER).then_nothing()
    late.when(missed, **LATER).then_rejected(E.APPOINTMENT_OVER)


def test_nobody_is_missed_before_their_time() -> None:
    desk(replace(missed, occurred_at=at(9, 50)), book()).then_rejected(E.INVALID_RANGE)
    desk(replace(missed, occurred_at=at(9, 56)), book()).then(NoShowRecorded, patient="ada")


def test_a_cancelled_appointment_is_over() -> None:
    over = desk(cancel, book()).then(AppointmentCancelled, patient="ada")
    over.when(cancel, **LATER).then_nothing()
    over.when(here, **LATER).then_rejected(E.APPOINTMENT_OVER, appointment="p-1")
    over.when(missed, **LATER).then_rejected(E.APPOINTMENT_OVER)


def test_who_left_without_being_seen_is_cancelled_and_who_never_came_is_not() -> None:
    desk(cancel, book(), here).then(AppointmentCancelled)
    desk(cancel, book(), missed).then_rejected(E.APPOINTMENT_OVER)
    desk(missed, book(), missed).then_nothing()


@pytest.mark.parametrize("command", [here, missed, cancel])
def test_an_appointment_is_known(command: Any) -> None:
    desk(command).then_rejected(E.UNKNOWN_APPOINTMENT, appointment="p-1")
    desk(command, book(clinician="tam")).then_rejected(E.UNKNOWN_APPOINTMENT)


def test_an_appointment_of_another_is_not_cancelled() -> None:
    desk(replace(cancel, patient="ben"), book()).then_rejected(E.WRONG_PATIENT, patient="ben")


def test_an_erased_patient_may_still_be_missed_and_nothing_is_sealed_for_them() -> None:
    desk(missed, book(), *gone("ada")).then(NoShowRecorded)
    desk(cancel, book(), *gone("ada")).then_rejected(E.PATIENT_ERASED)
    desk(book(), book(reason="A cough."), *gone("ada")).then_rejected(E.PATIENT_ERASED)


def test_nothing_happens_in_the_future() -> None:
    desk(replace(here, occurred_at=at(12)), book()).then_rejected(E.OCCURRED_IN_FUTURE)
    desk(book(starts_at=at(10, day=27), date=date(2026, 11, 27))).then_event()
