"""Whatever the history: invariants hold, nothing comes twice, and what is said of patients is nowhere in clear.

Each accepted command is checked by tests/support/sentences.py: no invariant is broken, the event survives its bytes,
the state survives a snapshot. Whatever is sealed has a word and a number in it here that nothing else has.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, NamedTuple

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from services.clinic.contract import (
    Allergy,
    AllergyCategory,
    AmendNote,
    AppointmentBooked,
    AppointmentCancelled,
    AssertNoKnownAllergy,
    AttestNote,
    CancelAppointment,
    ChangeContact,
    ChartAccessed,
    CheckedIn,
    CheckIn,
    CloseEncounter,
    Consent,
    Demographics,
    Disclosure,
    DraftNote,
    EncounterClosed,
    EncounterOpened,
    GrantConsent,
    MergePatients,
    NoShowRecorded,
    NoteAmended,
    NoteAttested,
    NoteDrafted,
    NoteMerge,
    NoteSigned,
    OpenEncounter,
    Purpose,
    RecordAccess,
    RecordAllergy,
    RecordDisclosed,
    RecordDisclosure,
    RecordNoShow,
    RecordProblem,
    RecordResult,
    RecordVitals,
    RefuteAllergy,
    RegisterPatient,
    Result,
    ReviewAccess,
    ReviewDisclosure,
    SignNote,
    UnmergePatients,
    Visit,
    VitalsRecorded,
    WithdrawConsent,
)
from services.clinic.contract import Problem as Concern
from services.clinic.contract.referral import CloseReferral, MakeReferral, Referral
from shared.decider import Ref
from shared.errors import Rejected
from tests.support.clinic import STAFF, VISIT, at, book, gone, loinc, measured, rxnorm, vital
from tests.support.clinic import given as after
from tests.support.sentences import NOW, World

WORD, NUMBER = "quittenmus", 73_217
"""What nobody but a patient's chart says."""

TEXTS = st.sampled_from((f"{WORD} one", f"{WORD} two"))
WHO = st.sampled_from(("ada", "ada", "ben"))
IDS = st.sampled_from(("i1", "i2"))
MOMENTS = st.sampled_from((None, None, None, at(9), at(8, 35)))
ACTORS = st.sampled_from((*("osei", "varga", "tam") * 4, "lind", "rui", "ines", "sam"))
BOOL = st.booleans()


class Step(NamedTuple):
    """A command, and who sends it."""

    actor: str
    command: Any


def steps(*made: st.SearchStrategy[Any], actors: st.SearchStrategy[str] = ACTORS) -> st.SearchStrategy[Step]:
    return st.builds(Step, actors, st.one_of(*made))


def coded(text: str) -> Any:
    return rxnorm("7980", f"penicillin {text}")


people = steps(
    st.builds(lambda who, t: RegisterPatient(patient=who, content=Demographics(family=t)), WHO, TEXTS),
    st.builds(lambda who, t: ChangeContact(patient=who, content=Demographics(family=t)), WHO, TEXTS),
    st.builds(lambda who, into, t: MergePatients(patient=who, into=into, reason=t), WHO, WHO, TEXTS),
    st.builds(lambda who, into, t: UnmergePatients(patient=who, into=into, reason=t), WHO, WHO, TEXTS),
    st.builds(lambda who, other, merged: NoteMerge(patient=who, other=other, merged=merged), WHO, WHO, BOOL),
    st.builds(lambda who, id, t: GrantConsent(patient=who, consent=id, content=Consent(purpose=t, scope=t)),
              WHO, IDS, TEXTS),
    st.builds(lambda who, id: WithdrawConsent(patient=who, consent=id), WHO, IDS),
    st.builds(
        lambda who, id, t, category: RecordAllergy(
            patient=who, allergy=id, content=Allergy(substance=coded(t), category=category)
        ), WHO, IDS, TEXTS, st.sampled_from(AllergyCategory),
    ),
    st.builds(lambda who, id, t: RefuteAllergy(patient=who, allergy=id, reason=t), WHO, IDS, TEXTS),
    st.builds(lambda who, category: AssertNoKnownAllergy(patient=who, category=category), WHO,
              st.sampled_from(AllergyCategory)),
    st.builds(lambda who, id, t: RecordProblem(patient=who, problem=id, content=Concern(code=coded(t))),
              WHO, IDS, TEXTS),
    st.builds(
        lambda who, id, t, corrects: RecordResult(
            patient=who, result=id, corrects=corrects,
            content=Result(code=loinc("2339-0", t), measured=measured(NUMBER, 0, "mg/dL"), found_at=at(7)),
        ), WHO, IDS, TEXTS, st.one_of(st.none(), IDS),
    ),
)  # fmt: skip
DAY: dict[str, Any] = {"clinician": "osei", "date": NOW.date()}
appointments = steps(
    st.builds(
        lambda id, who, minute, t, why: book(
            id, patient=who, starts_at=at(9, minute), reason=t, overbook_reason=why
        ), IDS, WHO, st.integers(0, 59), TEXTS, st.one_of(st.none(), TEXTS),
    ),
    st.builds(lambda id: CheckIn(appointment=id, **DAY), IDS),
    st.builds(lambda id: RecordNoShow(appointment=id, **DAY), IDS),
    st.builds(lambda id, who, t: CancelAppointment(appointment=id, patient=who, reason=t, **DAY), IDS, WHO, TEXTS),
)  # fmt: skip
E1 = {"encounter": "e-1"}
NOTES = st.sampled_from(("n-1", "n-1", "n-2"))
visits = steps(
    st.builds(lambda who, t: OpenEncounter(**E1, patient=who, content=Visit(reasons=(coded(t),))), WHO, TEXTS),
    st.builds(
        lambda who, id, n, unit, corrects, sure, when: RecordVitals(
            **E1, patient=who, vitals=id, content=(vital("8867-4", n, unit),), corrects=corrects,
            confirm_unusual=sure, occurred_at=when,
        ), WHO, IDS, st.sampled_from((72, 230, NUMBER)), st.sampled_from(("/min", "/min", "%")),
        st.one_of(st.none(), IDS), BOOL, MOMENTS,
    ),
    st.builds(lambda who, leave: CloseEncounter(**E1, patient=who, leave_unsigned=leave), WHO, BOOL),
)  # fmt: skip
notes = steps(
    st.builds(lambda n, t, when: DraftNote(**VISIT, note=n, text=t, occurred_at=when), NOTES, TEXTS, MOMENTS),
    st.builds(lambda n: SignNote(**VISIT, note=n), NOTES),
    st.builds(lambda n, t: AttestNote(**VISIT, note=n, remark=t), NOTES, TEXTS),
    st.builds(lambda n, id, t: AmendNote(**VISIT, note=n, amendment=id, text=t), NOTES, IDS, TEXTS),
    actors=st.sampled_from(("tam", "osei", "tam", "osei", "varga")),
)
seen = st.one_of(notes, visits)
read = st.builds(
    lambda who, id, reader, glass, t: Step(
        reader, RecordAccess(
            patient=who, access=id, reader=reader, purpose=Purpose.TREATMENT, parts=("notes",), break_glass=glass,
            reason=t,
        ),
    ), WHO, IDS, ACTORS, BOOL, st.one_of(st.none(), TEXTS),
)  # fmt: skip
shown = read | steps(
    st.builds(lambda who, id, t: ReviewAccess(patient=who, access=id, note=t), WHO, IDS, TEXTS),
    st.builds(
        lambda who, id, purpose, t, consent: RecordDisclosure(
            patient=who, disclosure=id, purpose=purpose, content=Disclosure(to=t, what=t), consent=consent
        ), WHO, IDS, st.sampled_from(Purpose), TEXTS, st.one_of(st.none(), IDS),
    ),
    st.builds(lambda who, id, t: ReviewDisclosure(patient=who, disclosure=id, note=t), WHO, IDS, TEXTS),
    st.builds(lambda who, id, t: MakeReferral(patient=who, referral=id, content=Referral(to=t)), WHO, IDS, TEXTS),
    st.builds(lambda who, id, t: CloseReferral(patient=who, referral=id, outcome=t), WHO, IDS, TEXTS),
)  # fmt: skip
groups = (st.one_of(people, appointments, notes, visits, shown), people, appointments, seen, shown)
histories = st.one_of(*(st.lists(group, min_size=20, max_size=60) for group in groups))
"""Of everything, or of one kind of thing alone, which gets further into it."""

BEGUN = (
    *STAFF, *(RegisterPatient(patient=who, content=Demographics(family=f"{WORD} one")) for who in ("ada", "ben")),
    OpenEncounter(**VISIT, content=Visit(reasons=(coded(f"{WORD} one"),))),
)  # fmt: skip


def played(history: list[Step], erased_at: int | None = None) -> World:
    """The world after those commands that were accepted, each sent twice; Ada may be erased before one of them."""
    world = after(*BEGUN).world
    for number, (actor, command) in enumerate(history):
        if number == erased_at:
            for event in gone("ada"):
                world = world.after(event)
        event = decided(world, actor, command)
        if event is not None:
            world = world.after(event)
            assert decided(world, actor, command) is None, f"{command} came twice"
    return world


def decided(world: World, actor: str, command: Any) -> Any:
    """The event, or None when there was none or it was refused: in words that say nothing of a patient."""
    try:
        return world.decide(command, NOW, actor, None)
    except Rejected as refusal:
        told = f"{refusal.detail} {refusal.facts} {refusal.problem()}"
        assert WORD not in told and str(NUMBER) not in told, told
        return None


def nothing_in_clear(world: World) -> None:
    for ref, history in world.history.items():
        for event in history:
            assert WORD.encode() not in msgspec.json.encode(event), f"{type(event).__name__} of {ref} says it"
            assert str(NUMBER).encode() not in msgspec.json.encode(event)
    for ref, state in world.snapshot().items():
        assert WORD.encode() not in state, f"the state of {ref} says it"


@settings(max_examples=250, deadline=None)
@given(histories, st.one_of(st.none(), st.integers(10, 60)))
def test_whatever_happens_nothing_breaks_nothing_comes_twice_and_nothing_is_told(
    history: list[Step], erased_at: int | None
) -> None:
    world = played(history, erased_at)
    for ref in world.states:
        assert world.folded_again(ref) == world.states[ref]
    nothing_in_clear(world)


@settings(max_examples=200, deadline=None)
@given(st.lists(appointments, min_size=5, max_size=30))
def test_nobody_is_booked_over_another_without_a_word(history: list[Step]) -> None:
    booked: dict[str, AppointmentBooked] = {}
    takes: dict[str, AppointmentBooked] = {}
    for event in played(history).history.get(Ref("schedule", f"osei:{NOW.date()}"), []):
        match event:
            case AppointmentBooked():
                ends = event.starts_at + timedelta(minutes=event.minutes)
                over = {
                    id for id, one in takes.items()
                    if one.starts_at < ends and event.starts_at < one.starts_at + timedelta(minutes=one.minutes)
                }  # fmt: skip
                assert set(event.overlaps) == over
                assert not over or event.overbook_reason
                booked[event.appointment] = takes[event.appointment] = event
            case CheckedIn():
                takes[event.appointment] = booked[event.appointment]
            case AppointmentCancelled() | NoShowRecorded():
                takes.pop(event.appointment, None)


@settings(max_examples=300, deadline=None)
@given(st.lists(seen, min_size=15, max_size=50))
def test_a_signed_note_is_never_written_anew_and_a_trainees_words_wait_for_another(history: list[Step]) -> None:
    authors: dict[str, str] = {}
    signed: set[str] = set()
    waiting: dict[str, set[str]] = {}
    ids: set[tuple[str, str]] = set()
    closed = False
    for event in played(history).history[Ref("encounter", "e-1")]:
        match event:
            case NoteDrafted():
                assert event.note not in signed
                assert authors.setdefault(event.note, event.author) == event.author
            case NoteSigned():
                assert event.note in authors and event.note not in signed
                assert event.needs_attestation is (authors[event.note] == "tam")
                signed.add(event.note)
                waiting[event.note] = {authors[event.note]} if event.needs_attestation else set()
            case NoteAmended():
                assert event.note in signed and ("a", event.amendment) not in ids
                ids.add(("a", event.amendment))
                waiting[event.note] |= {event.author} if event.needs_attestation else set()
            case NoteAttested():
                assert waiting[event.note] and event.attested_by in {"osei", "varga"} - waiting[event.note]
                waiting[event.note] = set()
            case EncounterClosed():
                assert not closed
                closed = True
                left = sorted(id for id in authors if id not in signed or waiting[id])
                assert list(event.unsigned) == left and (event.leave_unsigned or not left)
            case VitalsRecorded():
                assert ("v", event.vitals) not in ids
                assert event.corrects is None or ("v", event.corrects) in ids
                ids.add(("v", event.vitals))
            case EncounterOpened():
                assert not authors


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(shown, people), min_size=5, max_size=40))
def test_what_waits_for_a_review_is_what_broke_a_rule_and_was_not_looked_into(history: list[Step]) -> None:
    world = played(history)
    for who in ("ada", "ben"):
        glasses: dict[str, str] = {}
        disclosures: dict[str, str] = {}
        for event in world.history.get(Ref("access", who), []):
            match event:
                case ChartAccessed():
                    assert event.reason or not event.break_glass
                    glasses |= {event.access: event.reader} if event.break_glass else {}
                case RecordDisclosed():
                    disclosures |= {event.disclosure: event.recorded_by} if event.breaches else {}
                case _:
                    opened = glasses if hasattr(event, "access") else disclosures
                    opened.pop(getattr(event, "access", None) or event.disclosure)
        state = world.state(Ref("access", who))
        assert (state.glasses, state.disclosures) == (glasses, disclosures)
