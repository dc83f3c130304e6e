"""Encounters: notes that are signed once and attested by another, and what may still be said when one is over."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from services.clinic.contract import (
    AttestNote,
    ChangeLicence,
    ClinicError,
    CloseEncounter,
    EncounterClosed,
    EncounterKind,
    EncounterOpened,
    MergePatients,
    NoteAmended,
    NoteAttested,
    NoteDrafted,
    NoteSigned,
    OpenEncounter,
    Role,
    SignNote,
    Visit,
    VitalsRecorded,
)
from tests.support.clinic import (
    CLINIC,
    SIGNED,
    UNATTESTED,
    VISIT,
    amend,
    at,
    attest,
    book,
    close,
    draft,
    given,
    gone,
    loinc,
    osei,
    practitioner,
    reading,
    sign,
    visit,
    vital,
)
from tests.support.sentences import by

E = ClinicError
OPEN = (*CLINIC, visit)
expired = practitioner("kim", Role.CLINICIAN, until=date(2026, 11, 19))
elsewhere = OpenEncounter(**VISIT, imported_from="st-mary", occurred_at=at(8, day=3), ended_at=at(9, day=3))
left_open = replace(close, leave_unsigned=True)


# -- opening ----------------------------------------------------------------------------------------------------------


def test_an_encounter_is_opened_once() -> None:
    why = Visit(reasons=(loinc("8867-4", "palpitations"),))
    opened = given(*CLINIC).when(replace(visit, content=why), actor="lind").then(EncounterOpened, clinician="osei")
    opened.when(replace(visit, content=why), actor="osei").then_nothing()
    for other in (
        visit, replace(visit, content=why, kind=EncounterKind.HOME), replace(visit, content=why, clinician=None),
        replace(visit, content=why, patient="ben"), replace(visit, content=why, occurred_at=at(9)),
    ):  # fmt: skip
        opened.when(other, actor="osei").then_rejected(E.ALREADY_EXISTS, encounter="e-1")


def test_a_patient_is_seen_as_themselves() -> None:
    given(*CLINIC).when(replace(visit, patient="nobody"), actor="osei").then_rejected(E.UNKNOWN_PATIENT)
    given(*CLINIC, *gone("ada")).when(visit, actor="osei").then_rejected(E.PATIENT_ERASED)
    merged = MergePatients(patient="ada", into="ben", reason="The same.")
    given(*CLINIC, merged).when(visit, actor="osei").then_rejected(E.PATIENT_MERGED, into="ben")
    given(*OPEN, merged).when(visit, actor="osei").then_nothing()
    given(*OPEN, merged).when(reading(), actor="osei").then_event()


def test_who_cares_for_patients_opens_an_encounter_and_is_its_clinician() -> None:
    for who in ("osei", "tam", "lind"):
        given(*CLINIC).when(replace(visit, clinician=who), actor=who).then_event()
    given(*CLINIC).when(visit, actor="rui").then_rejected(E.WRONG_ROLE, actor="rui")
    given(*CLINIC).when(visit).then_rejected(E.UNKNOWN_PRACTITIONER, practitioner="sam")
    given(*CLINIC).when(replace(visit, clinician="rui"), actor="osei").then_rejected(E.WRONG_ROLE, practitioner="rui")


def test_an_imported_encounter_is_over_and_needs_nobodys_role() -> None:
    given(*CLINIC).when(elsewhere, actor="imports").then_rejected(E.UNKNOWN_PRACTITIONER)
    imported = given(*CLINIC).when(replace(elsewhere, clinician="gp-7"), actor="rui").then(EncounterOpened)
    assert imported.state("encounter", "e-1").closed_at == at(9, day=3)
    imported.when(reading(), actor="osei").then_rejected(E.ENCOUNTER_CLOSED)
    ended = given(*CLINIC).when(replace(elsewhere, ended_at=None), actor="rui").then_event()
    assert ended.state("encounter", "e-1").closed_at == at(8, day=3)
    ended.when(close, actor="osei").then_nothing()


def test_an_encounter_ends_after_it_began_and_in_the_past() -> None:
    known = given(*CLINIC)
    known.when(replace(elsewhere, ended_at=at(7, day=3)), actor="rui").then_rejected(E.INVALID_RANGE)
    known.when(replace(elsewhere, ended_at=at(10)), actor="rui").then_rejected(E.INVALID_RANGE)
    known.when(replace(elsewhere, imported_from=None), actor="osei").then_rejected(E.INVALID_RANGE)
    known.when(replace(visit, occurred_at=at(10)), actor="osei").then_rejected(E.OCCURRED_IN_FUTURE)


# -- what is measured -------------------------------------------------------------------------------------------------


def test_a_reading_is_recorded_once_and_corrected_by_another() -> None:
    measured = given(*OPEN).when(reading(), actor="tam").then(VitalsRecorded, corrects=None)
    measured.when(reading(), actor="osei").then_nothing()
    other = vital("8867-4", 73, "/min")
    measured.when(reading(other), actor="tam").then_rejected(E.ALREADY_EXISTS, vitals="v-1")
    measured.when(reading(other, id="v-2", corrects="v-1"), actor="tam").then(VitalsRecorded, corrects="v-1")
    measured.when(reading(other, id="v-2", corrects="v-9"), actor="tam").then_rejected(E.UNKNOWN_RECORD, vitals="v-9")
    measured.when(reading(), actor="rui").then_rejected(E.WRONG_ROLE)


def test_a_reading_that_nobody_has_is_refused_and_an_unusual_one_confirmed() -> None:
    fast = reading(vital("8867-4", 230, "/min"))
    given(*OPEN).when(fast, actor="tam").then_rejected(E.UNUSUAL, place=1)
    given(*OPEN).when(replace(fast, confirm_unusual=True), actor="tam").then_event()
    beyond = reading(vital("8867-4", 2300, "/min"), confirm_unusual=True)
    given(*OPEN).when(beyond, actor="tam").then_rejected(E.IMPLAUSIBLE, place=1)


# -- notes ------------------------------------------------------------------------------------------------------------


def test_a_note_is_written_anew_by_its_author_until_it_is_signed() -> None:
    written = given(*OPEN).when(draft(), actor="tam").then(NoteDrafted, author="tam")
    written.when(draft(), actor="tam").then_nothing()
    anew = written.when(draft("Slept well."), actor="tam").then(NoteDrafted, author="tam")
    anew.when(draft("Slept well."), actor="tam").then_nothing()
    anew.when(draft(), actor="tam").then_event()
    anew.when(draft(), actor="osei").then_rejected(E.NOT_THE_AUTHOR, note="n-1")
    signed = anew.when(sign, actor="tam").then_event()
    signed.when(draft(), actor="tam").then_rejected(E.NOTE_SIGNED, note="n-1")
    signed.when(draft("Slept well."), actor="tam").then_nothing()


def test_clinicians_and_trainees_write_and_no_text_is_kept_in_the_state() -> None:
    for who in ("lind", "rui", "ines"):
        given(*OPEN).when(draft(), actor=who).then_rejected(E.WRONG_ROLE, actor=who)
    assert "Slept" not in repr(given(*SIGNED, amend()).state("encounter", "e-1"))
    assert "sealed" not in repr(given(*SIGNED, amend(), reading()).state("encounter", "e-1"))


def test_a_note_is_signed_by_its_author_once() -> None:
    written = given(*OPEN, draft())
    signed = written.when(sign, actor="osei").then(NoteSigned, needs_attestation=False)
    signed.when(sign, actor="osei").then_nothing()
    for before in (written, signed):
        before.when(sign, actor="varga").then_rejected(E.NOT_THE_AUTHOR, note="n-1")
        before.when(sign, actor="tam").then_rejected(E.NOT_THE_AUTHOR)
    given(*OPEN).when(sign, actor="osei").then_rejected(E.UNKNOWN_NOTE, note="n-1")


def test_a_trainees_note_waits_for_a_clinician_with_a_licence() -> None:
    waiting = given(*OPEN, *by("tam", draft())).when(sign, actor="tam").then(NoteSigned, needs_attestation=True)
    for who in ("tam", "lind", "rui"):
        waiting.when(attest, actor=who).then_rejected(E.WRONG_ROLE)
    attested = waiting.when(replace(attest, remark="Seen together."), actor="osei")
    done = attested.then(NoteAttested, attested_by="osei")
    done.when(replace(attest, remark="Seen together."), actor="osei").then_nothing()
    done.when(attest, actor="varga").then_rejected(E.NOTHING_TO_REVIEW, note="n-1")
    given(*UNATTESTED, expired).when(attest, actor="kim").then_rejected(E.NOT_LICENSED, actor="kim")


def test_a_clinician_signs_with_a_licence_that_is_valid_now() -> None:
    written = given(*OPEN, expired, *by("kim", draft()))
    written.when(sign, actor="kim").then_rejected(E.NOT_LICENSED, actor="kim")
    yesterday = replace(sign, occurred_at=at(9, day=19))
    written.when(yesterday, actor="kim").then_rejected(E.NOT_LICENSED, actor="kim")
    unlicensed = practitioner("lee", Role.CLINICIAN, licensed=False)
    given(*OPEN, unlicensed, *by("lee", draft())).when(sign, actor="lee").then_rejected(E.NOT_LICENSED)


def test_what_was_signed_with_a_licence_stays_signed() -> None:
    before = at(12, day=19)
    note = (*by("kim", replace(draft(), occurred_at=before)), *by("kim", replace(sign, occurred_at=before)))
    signed = given(*CLINIC, expired, replace(visit, occurred_at=before), *note, now=before)
    signed.when(sign, actor="kim").then_nothing()
    signed.when(amend(), actor="kim").then_rejected(E.NOT_LICENSED)


def test_nobody_attests_their_own_words() -> None:
    promoted = ChangeLicence(practitioner="tam", roles=(Role.CLINICIAN,), licence=expired.licence)
    given(*UNATTESTED, promoted).when(attest, actor="tam").then_rejected(E.NOT_LICENSED)
    promoted = replace(promoted, licence=osei.licence)
    given(*UNATTESTED, promoted).when(attest, actor="tam").then_rejected(E.SECOND_PERSON_REQUIRED)


def test_only_a_signed_note_is_attested_or_amended() -> None:
    for command in (attest, amend()):
        given(*OPEN, draft()).when(command, actor="varga").then_rejected(E.NOTE_NOT_SIGNED, note="n-1")
        given(*OPEN).when(command, actor="varga").then_rejected(E.UNKNOWN_NOTE)
    given(*SIGNED).when(attest, actor="varga").then_rejected(E.NOTHING_TO_REVIEW)


def test_a_signed_note_is_amended_and_a_trainees_words_wait() -> None:
    amended = given(*SIGNED).when(amend(), actor="varga").then(NoteAmended, author="varga", needs_attestation=False)
    amended.when(amend(), actor="varga").then_nothing()
    amended.when(amend(text="Other words."), actor="varga").then_rejected(E.ALREADY_EXISTS, amendment="m-1")
    amended.when(amend(), actor="osei").then_rejected(E.ALREADY_EXISTS)
    amended.when(attest, actor="osei").then_rejected(E.NOTHING_TO_REVIEW)
    waits = given(*SIGNED).when(amend(), actor="tam").then(NoteAmended, author="tam", needs_attestation=True)
    assert waits.state("encounter", "e-1").open_notes() == ("n-1",)
    attested = waits.when(attest, actor="osei").then(NoteAttested)
    assert attested.state("encounter", "e-1").open_notes() == ()


def test_two_trainees_words_are_attested_together() -> None:
    other = practitioner("uma", Role.TRAINEE, licensed=False)
    both = given(*UNATTESTED, other, *by("uma", amend()))
    assert both.state("encounter", "e-1").notes["n-1"].waiting == ["tam", "uma"]
    more = both.when(amend("m-3", "And more."), actor="tam").then_event()
    assert more.state("encounter", "e-1").notes["n-1"].waiting == ["tam", "uma"]
    done = both.when(attest, actor="osei").then_event()
    again = done.when(amend("m-2", "And more."), actor="uma").then_event()
    again.when(attest, actor="osei").then(NoteAttested)


# -- closing, and what comes late -------------------------------------------------------------------------------------


def test_an_encounter_is_closed_when_its_notes_are_done_and_once() -> None:
    closed = given(*SIGNED).when(replace(close, follow_up_on=date(2026, 12, 1)), actor="lind")
    after = closed.then(EncounterClosed, unsigned=())
    after.when(replace(close, follow_up_on=date(2026, 12, 1)), actor="osei").then_nothing()
    after.when(close, actor="osei").then_rejected(E.ENCOUNTER_CLOSED)
    given(*SIGNED).when(close, actor="rui").then_rejected(E.WRONG_ROLE)


@pytest.mark.parametrize("steps", [(*OPEN, draft()), UNATTESTED, (*SIGNED, *by("tam", amend()))])
def test_open_notes_are_left_knowingly(steps: tuple[Any, ...]) -> None:
    given(*steps).when(close, actor="osei").then_rejected(E.NOTES_OPEN, notes=["n-1"])
    given(*steps).when(left_open, actor="osei").then(EncounterClosed, unsigned=("n-1",))


def test_an_encounter_does_not_end_before_it_began() -> None:
    given(*OPEN).when(replace(close, occurred_at=at(8)), actor="osei").then_rejected(E.INVALID_RANGE)


def test_what_was_left_is_finished_and_what_was_signed_amended() -> None:
    unsigned = given(*OPEN, *by("tam", draft()), left_open)
    anew = unsigned.when(draft("Slept well."), actor="tam").then_event()
    signed = anew.when(sign, actor="tam").then_event()
    signed.when(attest, actor="osei").then_event()
    given(*SIGNED, close).when(amend(), actor="osei").then(NoteAmended)


def test_what_happened_while_it_was_open_is_recorded_late() -> None:
    closed = given(*OPEN, replace(close, occurred_at=at(8, 50)))
    for command in (reading(), draft()):
        closed.when(command, actor="osei").then_rejected(E.ENCOUNTER_CLOSED, encounter="e-1")
        closed.when(replace(command, occurred_at=at(8, 40)), actor="osei").then_event()
        closed.when(replace(command, occurred_at=at(8, 20)), actor="osei").then_rejected(E.ENCOUNTER_CLOSED)
    once = given(*OPEN, reading(), replace(close, occurred_at=at(8, 50)))
    once.when(reading(), actor="osei").then_nothing()


# -- whose ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [reading(), draft(), sign, attest, amend(), close])
def test_each_command_names_the_patient(command: Any) -> None:
    known = given(*UNATTESTED)
    known.when(replace(command, patient="ben"), actor="osei").then_rejected(E.WRONG_PATIENT, patient="ben")
    given(*CLINIC).when(command, actor="osei").then_rejected(E.UNKNOWN_ENCOUNTER, encounter="e-1")


@pytest.mark.parametrize("command", [reading(), draft("More."), sign, attest, amend()])
def test_nothing_is_said_of_somebody_who_was_erased(command: Any) -> None:
    who = "tam" if command in (draft("More."),) else "osei"
    given(*UNATTESTED, *gone("ada")).when(command, actor=who).then_rejected(E.PATIENT_ERASED)


def test_an_encounter_of_an_erased_patient_is_closed() -> None:
    given(*UNATTESTED, *gone("ada")).when(left_open, actor="osei").then(EncounterClosed, unsigned=("n-1",))


def test_two_encounters_have_notes_of_one_name() -> None:
    other = OpenEncounter(encounter="e-2", patient="ben")
    two = given(*SIGNED, other)
    two.when(replace(draft(), encounter="e-2", patient="ben"), actor="varga").then(NoteDrafted, author="varga")
    two.when(SignNote(encounter="e-2", patient="ben", note="n-1"), actor="osei").then_rejected(E.UNKNOWN_NOTE)
    two.when(AttestNote(encounter="e-2", patient="ben", note="n-1"), actor="varga").then_rejected(E.UNKNOWN_NOTE)
    two.when(CloseEncounter(encounter="e-2", patient="ben"), actor="osei").then(EncounterClosed)


def test_an_encounter_takes_no_appointment_of_somebody_else() -> None:
    booked = given(*CLINIC, book("p-1", patient="ben"), book("p-2", starts_at=at(11)))
    booked.when(replace(visit, appointment="p-1"), actor="osei").then_rejected(E.WRONG_PATIENT)
    booked.when(replace(visit, appointment="p-2"), actor="osei").then(EncounterOpened, appointment="p-2")
    booked.when(replace(visit, appointment="p-1", clinician="varga"), actor="osei").then(EncounterOpened)
