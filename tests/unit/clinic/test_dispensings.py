"""One medicine on its way to a patient: what must be so before it is handed over, and what is recorded if not."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from services.clinic.contract import (
    AlertNoted,
    AlertOverridden,
    Allergy,
    AllergyCategory,
    AllergyRecorded,
    AssertNoKnownAllergy,
    ChangeLicence,
    Claim,
    ClinicError,
    Dispense,
    DispensingRechecked,
    DispensingRefused,
    DispensingRequested,
    DispensingResolved,
    DispensingUnpicked,
    DispensingVerified,
    GoodsFreed,
    GoodsIssued,
    GoodsSetAside,
    Handed,
    MedicationDispensed,
    MedicineReturned,
    MergePatients,
    NoKnownAllergyAsserted,
    NoteFreed,
    NoteIssued,
    NoteRecall,
    RecheckDispensing,
    RecordAllergy,
    ResolveDispensing,
    ReturnMedicine,
    Role,
    StopPrescription,
    UnpickDispensing,
    Unrequested,
    clinic,
)
from services.inventory.contract import RecallScope
from shared.errors import Invalid
from tests.support.clinic import CLINIC, at, measured, practitioner, rxnorm
from tests.support.dispensings import alert, hand_over, kinds, override, refuse, verify
from tests.support.pharmacy import (
    PHARMACY,
    READY,
    SHELF,
    VERIFIED,
    allot,
    amoxicillin,
    amoxicillin_500,
    claim,
    entry,
    given,
    ibuprofen_400,
    lot,
    order,
    prescribed,
    request,
    sam,
    set_aside,
    signed,
)
from tests.support.sentences import NOW, erase

E = ClinicError
ADA = (*CLINIC, sam, *SHELF, prescribed(patient="ada"), signed(patient="ada"))
"""Ada, who tolerates no penicillin, with a signed order of one."""

IN_FEW_WORDS = rxnorm("308191", "amoxicillin")
"""The medicine on the shelf, in words that say neither strength nor form."""

UNPICK = UnpickDispensing(dispensing="d", patient="ben", reason="Nobody came.")
STOP = StopPrescription(prescription="rx", patient="ben", reason="He is better.")


def recall(*lots: str, standing: bool = True, revision: int = 1) -> NoteRecall:
    return NoteRecall(
        item="amox", recall="r", revision=revision, scope=RecallScope(lots=lots), reason="Glass.", standing=standing
    )


# -- requesting -------------------------------------------------------------------------------------------------------


def test_a_request_says_who_prescribed_how_long_it_lasts_and_until_when_it_waits() -> None:
    given(*PHARMACY).when(request(), actor="tam").then(
        DispensingRequested, prescriber="sam", expires_after=date(2026, 11, 26), due_at=NOW + timedelta(days=14)
    )


def test_the_front_desk_requests_none() -> None:
    given(*PHARMACY).when(request(), actor="rui").then_rejected(E.WRONG_ROLE)


def test_an_id_is_used_once() -> None:
    there = given(*PHARMACY, request())
    there.when(request()).then_nothing()
    there.when(request(quantity=5)).then_rejected(E.ALREADY_EXISTS)
    there.when(refuse()).then_event().when(request()).then_rejected(E.ALREADY_EXISTS)


@pytest.mark.parametrize(
    ("history", "command", "code"),
    [
        (PHARMACY, request(patient="ada"), E.WRONG_PATIENT),
        (PHARMACY, request(patient="nobody"), E.UNKNOWN_PATIENT),
        (PHARMACY, request(prescription="none"), E.UNKNOWN_PRESCRIPTION),
        ((*PHARMACY, STOP), request(), E.PRESCRIPTION_STOPPED),
        ((*PHARMACY, prescribed("rx2")), request(prescription="rx2"), E.PRESCRIPTION_NOT_SIGNED),
        (PHARMACY, request(item="ibu"), E.WRONG_MEDICINE),
        (
            (*PHARMACY, prescribed("rx2", content=order(ibuprofen_400)), signed("rx2")),
            request(prescription="rx2"),
            E.WRONG_MEDICINE,
        ),
        (
            (*PHARMACY, prescribed("rx2", content=order(quantity=None)), signed("rx2")),
            request(prescription="rx2"),
            E.BEYOND_ORDER,
        ),
        (
            (*PHARMACY, prescribed("rx2", content=order(IN_FEW_WORDS, dose=measured(500, 0, "g"))), signed("rx2")),
            request(prescription="rx2"),
            E.WRONG_UNIT,
        ),
        (
            (*PHARMACY, prescribed("rx2", content=order(IN_FEW_WORDS, dose=measured(5, 0, "mL"))), signed("rx2")),
            request(prescription="rx2"),
            E.WRONG_UNIT,
        ),
        (
            (*PHARMACY, MergePatients(patient="ben", into="ada", reason="One person.")),
            request(),
            E.PATIENT_MERGED,
        ),
    ],
)
def test_what_is_not_in_order_is_not_requested(history: Any, command: Any, code: E) -> None:
    given(*history).when(command).then_rejected(code)


def test_an_id_that_would_be_taken_for_an_administration_s_goods_is_refused_at_the_door() -> None:
    fields = {
        "dispensing": "a-1", "patient": "ben", "prescription": "rx", "item": "amox", "location": "x", "quantity": 1,
        "days_supply": 1,
    }  # fmt: skip
    with pytest.raises(Invalid, match="begins with a-"):
        clinic.parse("RequestDispensing", fields)


def test_so_much_lasts_as_long_as_its_order_says() -> None:
    for quantity, days in ((21, 6), (21, 8), (42, 7), (42, 13), (10, 3), (10, 8)):
        asked = given(*PHARMACY).when(request(quantity=quantity, days_supply=days))
        asked.then_rejected(E.INVALID_RANGE)
        assert asked.refusal is not None
        assert not any(str(number) in asked.refusal.detail for number in (21, 7)), "an order is the patient's"
    for quantity, days in ((21, 7), (42, 14), (10, 4), (10, 7)):
        given(*PHARMACY).when(request(quantity=quantity, days_supply=days)).then(DispensingRequested)
    without = given(*PHARMACY, prescribed("rx2", content=order(days_supply=None)), signed("rx2"))
    without.when(request(prescription="rx2", days_supply=1)).then(DispensingRequested)


# -- alerts -----------------------------------------------------------------------------------------------------------


def test_an_allergy_stops_it_until_somebody_licensed_answers_for_it() -> None:
    there = given(*ADA).when(request(patient="ada")).then(DispensingRequested)
    ready = (
        there.when(allot(patient="ada")).then_event().when(claim(patient="ada")).then_event().when(set_aside())
        .then_event()
    )  # fmt: skip
    ready.when(verify(patient="ada")).then_rejected(E.ALERT_OPEN, alerts=1)
    for actor, code in (("tam", E.WRONG_ROLE), ("rui", E.WRONG_ROLE), ("nobody", E.UNKNOWN_PRACTITIONER)):
        ready.when(override("allergy", patient="ada"), actor=actor).then_rejected(code)
    answered = ready.when(override("allergy", patient="ada"), actor="lind").then(
        AlertOverridden, role=Role.PHARMACIST, claim=None
    )
    answered.when(verify(patient="ada")).then(DispensingVerified)


def test_a_licence_that_is_over_answers_for_nothing() -> None:
    old = practitioner("old", Role.PHARMACIST, until=date(2026, 11, 19))
    none = practitioner("none", Role.CLINICIAN, licensed=False)
    there = given(*ADA, old, none, request(patient="ada"))
    for actor in ("old", "none"):
        there.when(override("allergy", patient="ada"), actor=actor).then_rejected(E.NOT_LICENSED)


def test_a_licence_that_is_over_is_not_made_valid_by_an_earlier_moment() -> None:
    yesterday = NOW - timedelta(days=1)
    old = practitioner("old", Role.PHARMACIST, Role.CLINICIAN, until=date(2026, 11, 19))
    there = given(*ADA, old, request(patient="ada"))
    answer = replace(override("allergy", patient="ada"), occurred_at=yesterday)
    there.when(answer, actor="old").then_rejected(E.NOT_LICENSED)
    given(*READY, old).when(replace(verify(), occurred_at=yesterday), actor="old").then_rejected(E.NOT_LICENSED)
    unsigned = given(*PHARMACY, old, prescribed("rx2"))
    unsigned.when(signed("rx2", occurred_at=yesterday), actor="old").then_rejected(E.NOT_LICENSED)


def test_only_alerts_that_stand_are_answered_for() -> None:
    given(*PHARMACY, request()).when(override("allergy")).then_rejected(E.NO_SUCH_ALERT)
    there = given(*ADA, request(patient="ada"), override("allergy", patient="ada"))
    there.when(override("allergy", patient="ada")).then_rejected(E.NO_SUCH_ALERT)
    there.when(override("duplicate", patient="ada")).then_rejected(E.NO_SUCH_ALERT)


def test_an_allergy_recorded_since_stands_for_itself() -> None:
    another = RecordAllergy(
        patient="ada", allergy="a-2", content=Allergy(substance=amoxicillin, category=AllergyCategory.MEDICATION)
    )
    there = given(*ADA, request(patient="ada"), override("allergy", patient="ada"))
    now = there.when(another).then(AllergyRecorded)
    recheck = RecheckDispensing(dispensing="d", patient="ada")
    there.when(recheck).then_nothing()
    shown = now.when(recheck).then(DispensingRechecked)
    shown.when(recheck).then_nothing()
    shown.when(override("allergy", patient="ada")).then(AlertOverridden)


def test_an_allergy_recorded_after_it_was_verified_stops_the_hand_over() -> None:
    late = RecordAllergy(
        patient="ben", allergy="x", content=Allergy(substance=amoxicillin, category=AllergyCategory.MEDICATION)
    )
    there = given(*VERIFIED, late)
    there.when(hand_over()).then_rejected(E.ALERT_OPEN)
    there.when(hand_over(fact=True)).then(MedicationDispensed, breaches=(E.ALERT_OPEN,))
    there.when(override("allergy")).then_event().when(hand_over()).then(MedicationDispensed, breaches=())


def test_asking_settles_that_nobody_had_asked() -> None:
    asked = AssertNoKnownAllergy(patient="ben", category=AllergyCategory.MEDICATION)
    history = [one for one in READY if one != asked]
    there = given(*history)
    there.when(verify()).then_rejected(E.ALERT_OPEN)
    there.when(asked).then(NoKnownAllergyAsserted).when(verify()).then(DispensingVerified)


def test_what_other_aggregates_say_against_it_is_noted_once_and_answered_for() -> None:
    for kind, may in (("beyond_order", Claim.SUPPLY), ("duplicate", Claim.FILL)):
        noted = given(*READY).when(alert(kind)).then(AlertNoted)
        noted.when(alert(kind)).then_nothing()
        noted.when(verify()).then_rejected(E.ALERT_OPEN)
        answered = noted.when(override(kind)).then(AlertOverridden, claim=may)
        answered.when(alert(kind)).then_nothing()
        answered.when(verify()).then(DispensingVerified)
    given(*READY, refuse()).when(alert("duplicate")).then_nothing()


def test_more_than_was_ordered_is_allotted_once_somebody_answers_for_it() -> None:
    there = given(*PHARMACY, request(quantity=30, days_supply=10), alert("beyond_order"), override("beyond_order"))
    there.when(allot(quantity=30)).then_rejected(E.BEYOND_ORDER)
    there.when(allot(quantity=30, overridden=True)).then_event()


def test_no_refusal_says_which_alert_it_is() -> None:
    there = given(*ADA, request(patient="ada"), allot(patient="ada"), claim(patient="ada"), set_aside())
    for refused in (there.when(verify(patient="ada")), there.when(override("duplicate", patient="ada"))):
        assert refused.refusal is not None
        told = str(refused.refusal.problem()).lower()
        assert not any(word in told for word in ("allerg", "penicillin", "amoxicillin", "duplicate")), told


def test_what_cannot_be_read_any_more_is_not_given() -> None:
    there = given(*READY, alert("duplicate"))
    erase("patient/ben")
    there.when(verify()).then_rejected(E.CANNOT_BE_READ)


# -- goods ------------------------------------------------------------------------------------------------------------


def test_what_was_set_aside_first_counts_but_for_that_there_was_nothing() -> None:
    there = given(*PHARMACY, request()).when(set_aside()).then(GoodsSetAside, short=0)
    there.when(set_aside("d", lot("L2"))).then_nothing()
    short = given(*PHARMACY, request()).when(set_aside(short=21)).then(GoodsSetAside, short=21)
    short.when(verify()).then_rejected(E.NOT_RESERVED)
    short.when(set_aside(short=21)).then_nothing()
    short.when(set_aside()).then(GoodsSetAside, short=0)
    part = given(*PHARMACY, request()).when(set_aside(short=9)).then(GoodsSetAside, short=9, lots=())
    part.when(set_aside(short=9)).then_nothing()
    part.when(set_aside()).then(GoodsSetAside, short=0).when(set_aside()).then_nothing()


def test_what_is_freed_is_there_no_more() -> None:
    freed = given(*READY).when(NoteFreed(dispensing="d", lots=(lot(quantity=20),))).then(GoodsFreed, remaining=1)
    freed.when(NoteFreed(dispensing="d", lots=(lot("L9"),))).then_nothing()
    freed.when(verify()).then_rejected(E.NOT_RESERVED)


def test_an_issue_is_noted_once() -> None:
    issued = NoteIssued(dispensing="d", movement=7, quantity=21)
    given(*VERIFIED).when(issued).then(GoodsIssued).when(issued).then_nothing()
    given(*PHARMACY).when(issued).then_rejected(E.UNKNOWN_DISPENSING)


# -- verifying --------------------------------------------------------------------------------------------------------


def test_a_pharmacist_or_the_prescriber_verifies_and_no_other_clinician() -> None:
    given(*READY).when(verify(), actor="lind").then(DispensingVerified, role=Role.PHARMACIST)
    given(*READY).when(verify(), actor="osei").then_rejected(E.WRONG_ROLE)
    given(*READY).when(verify(), actor="tam").then_rejected(E.WRONG_ROLE)
    mine = given(*[one for one in PHARMACY if one != signed()]).when(signed(), actor="osei").then_event()
    for step in (request(), allot(), claim(), set_aside()):
        mine = mine.when(step).then_event()
    mine.when(verify(), actor="osei").then(DispensingVerified, role=Role.CLINICIAN)
    gone = mine.when(ChangeLicence(practitioner="osei", roles=(Role.CLINICIAN,)), actor="varga").then_event()
    gone.when(verify(), actor="osei").then_rejected(E.NOT_LICENSED)


def test_what_is_verified_names_maker_and_lot() -> None:
    there = (
        given(*READY)
        .when(verify(), actor="lind")
        .then(DispensingVerified, lots=[{"lot": "L1", "quantity": 21, "manufacturer": "Sandoz"}])
    )
    there.when(verify(), actor="lind").then_nothing()


@pytest.mark.parametrize(
    ("history", "code"),
    [
        ((*PHARMACY, request()), E.NOT_RESERVED),
        ((*PHARMACY, request(), claim(), set_aside()), E.NOT_RESERVED),
        ((*PHARMACY, request(), allot(), set_aside()), E.NOT_RESERVED),
        ((*PHARMACY, request(), allot(), claim()), E.NOT_RESERVED),
        ((*READY, STOP), E.PRESCRIPTION_STOPPED),
        ((*READY, recall("L1")), E.RECALLED),
        ((*READY, recall("l 1")), E.RECALLED),
        ((*READY, refuse()), E.DISPENSING_OVER),
        ((*READY, UNPICK), E.DISPENSING_OVER),
        ((*PHARMACY, request(), allot(), claim(), set_aside("d", lot(day=date(2026, 11, 25)))), E.EXPIRED),
        ((*PHARMACY, request(), allot(), claim(), set_aside("d", lot(day=date(2026, 11, 19)))), E.EXPIRED),
    ],
)
def test_what_is_not_whole_and_sound_is_not_verified(history: Any, code: E) -> None:
    given(*history).when(verify()).then_rejected(code)


def test_a_recall_that_was_lifted_or_is_of_another_lot_stops_nothing() -> None:
    given(*READY, recall("L2")).when(verify()).then_event()
    given(*READY, recall("L1"), recall("L1", standing=False, revision=2)).when(verify()).then_event()


# -- handing over -----------------------------------------------------------------------------------------------------


def test_a_verified_labelled_medicine_is_handed_over_with_lot_maker_date_and_recipient() -> None:
    done = given(*VERIFIED).when(hand_over(), actor="tam").then(
        MedicationDispensed, prescription="rx", item="amox", location="cupboard", quantity=21, days_supply=7,
        lots=[{"lot": "L1", "date": date(2027, 6, 30), "manufacturer": "Sandoz"}], discard_by=date(2027, 6, 30),
        breaches=(),
    )  # fmt: skip
    done.when(hand_over()).then_nothing()
    done.when(refuse()).then_rejected(E.DISPENSING_OVER)
    done.when(UNPICK).then_rejected(E.DISPENSING_OVER)
    done.when(ResolveDispensing(dispensing="d", patient="ben", note="?")).then_rejected(E.NOTHING_TO_REVIEW)


def test_it_is_discarded_a_year_after_it_was_handed_over_at_the_latest() -> None:
    for day in (date(2030, 1, 1), None):
        far = given(*PHARMACY, request(), allot(), claim(), set_aside("d", lot(day=day)), verify())
        far.when(hand_over()).then(MedicationDispensed, discard_by=date(2027, 11, 20))


@pytest.mark.parametrize(
    ("history", "command", "code"),
    [
        (READY, hand_over(), E.NOT_VERIFIED),
        (VERIFIED, hand_over(label_printed=False), E.NOT_LABELLED),
        (VERIFIED, hand_over(lines=(lot("L2"),)), E.NOT_RESERVED),
        (VERIFIED, hand_over(lines=(lot(quantity=20),)), E.NOT_VERIFIED),
        ((*VERIFIED, NoteFreed(dispensing="d", lots=(lot(),))), hand_over(), E.NOT_RESERVED),
        ((*VERIFIED, recall("L1")), hand_over(), E.RECALLED),
        ((*VERIFIED, recall()), hand_over(), E.RECALLED),
        ((*VERIFIED, STOP), hand_over(), E.PRESCRIPTION_STOPPED),
        ((*VERIFIED, refuse()), hand_over(), E.DISPENSING_OVER),
        ((*VERIFIED, UNPICK), hand_over(), E.DISPENSING_OVER),
        (
            (*VERIFIED, entry("amox", amoxicillin_500, amoxicillin, controlled=True)),
            hand_over(),
            E.CONTROLLED_SUBSTANCE,
        ),
        (VERIFIED, hand_over(patient="ada"), E.WRONG_PATIENT),
    ],
)
def test_what_may_not_be_handed_over_is_refused_and_recorded_if_it_was(history: Any, command: Any, code: E) -> None:
    given(*history).when(command).then_rejected(code)
    if code is not E.WRONG_PATIENT:
        fact = hand_over(label_printed=command.label_printed, lines=command.lines, fact=True)
        event = given(*history).when(fact).event
        assert code in event.breaches


def test_a_lot_that_is_named_twice_is_no_more_than_was_set_aside() -> None:
    twice = [{"lot": one, "quantity": 21, "date": "2027-06-30"} for one in ("L1", "l 1")]
    fields = {"dispensing": "d", "patient": "ben", "content": {"recipient": "Ben"}, "label_printed": True}
    with pytest.raises(Invalid, match="l 1 is in it twice"):
        clinic.parse("Dispense", {**fields, "lines": twice})
    clinic.parse("Dispense", {**fields, "lines": [twice[0], {**twice[1], "date": "2027-07-31"}]})
    halves = (lot(quantity=10), lot(quantity=11))
    there = given(*PHARMACY, request(), allot(), claim(), set_aside("d", *halves), verify())
    there.when(hand_over(lines=(lot(),))).then(MedicationDispensed, quantity=21, breaches=())
    gone = there.when(NoteFreed(dispensing="d", lots=(lot(quantity=6), lot(quantity=6)))).then(GoodsFreed, remaining=9)
    gone.when(hand_over()).then_rejected(E.NOT_RESERVED)


def test_goods_that_would_end_before_the_supply_does_are_not_handed_over() -> None:
    there = given(*PHARMACY, request(), allot(), claim(), set_aside("d", lot(day=date(2026, 11, 30))), verify())
    there.when(hand_over(), now=at(9, 0, 24)).then(MedicationDispensed)
    there.when(hand_over(), now=at(9, 0, 25)).then_rejected(E.EXPIRED)


def test_the_front_desk_hands_nothing_over_and_is_recorded_if_it_did() -> None:
    given(*VERIFIED).when(hand_over(), actor="rui").then_rejected(E.WRONG_ROLE)
    given(*VERIFIED).when(hand_over(fact=True), actor="rui").then(MedicationDispensed, breaches=(E.WRONG_ROLE,))


def test_what_is_reported_late_is_recorded_as_a_fact_and_judged_by_its_own_moment() -> None:
    before = hand_over(occurred_at=NOW - timedelta(minutes=30))
    given(*VERIFIED, now=NOW - timedelta(hours=2)).when(before).then(MedicationDispensed, breaches=())
    stopped = given(*VERIFIED, now=NOW - timedelta(hours=2)).when(STOP).then_event()
    stopped.when(before).then(MedicationDispensed, breaches=())
    stopped.when(hand_over(fact=True)).then(MedicationDispensed, breaches=(E.PRESCRIPTION_STOPPED,))
    recalled = given(*VERIFIED, now=NOW - timedelta(hours=2)).when(recall("L1")).then_event()
    recalled.when(before).then(MedicationDispensed, breaches=())


def test_a_broken_rule_waits_for_somebody_with_a_licence_s_role() -> None:
    resolve = ResolveDispensing(dispensing="d", patient="ben", note="Called them; all well.")
    broke = given(*READY).when(hand_over(fact=True)).then(MedicationDispensed, breaches=(E.NOT_VERIFIED,))
    broke.when(resolve, actor="rui").then_rejected(E.WRONG_ROLE)
    broke.when(resolve, actor="lind").then(DispensingResolved).when(resolve).then_nothing()
    broke.erased("patient/ben").when(resolve, actor="lind").then(DispensingResolved)


def test_a_fact_says_which_lots_they_were_or_those_that_were_set_aside_are_meant() -> None:
    given(*READY).when(hand_over(fact=True)).then(MedicationDispensed, lots=[{"lot": "L1"}], quantity=21)
    given(*READY).when(hand_over(fact=True, lines=(lot("Z", 5),))).then(
        MedicationDispensed, quantity=5, breaches=(E.NOT_RESERVED, E.NOT_VERIFIED)
    )
    given(*PHARMACY, request()).when(hand_over(fact=True)).then(MedicationDispensed, lots=(), quantity=21)


@pytest.mark.parametrize("fact", [False, True])
def test_a_second_hand_over_is_not_taken_for_the_first(fact: bool) -> None:
    for history in (VERIFIED, READY):
        done = given(*history).when(hand_over(fact=history is READY)).then_event()
        done.when(hand_over(fact=fact)).then_nothing()
        done.when(hand_over(fact=fact, lines=(lot(),))).then_nothing()
        for other in (
            hand_over(fact=fact, lines=(lot("Z", 40),)), hand_over(fact=fact, content=Handed(recipient="His sister")),
        ):  # fmt: skip
            done.when(other).then_rejected(E.ALREADY_EXISTS)
        second = unrequested("d2", lines=(lot("Z", 40),))
        done.when(second).then(MedicationDispensed, quantity=40, lots=[{"lot": "Z"}])
    broke = given(*VERIFIED).when(hand_over(fact=True, lines=(lot("Z", 40),))).then_event()
    broke.when(hand_over()).then_rejected(E.ALREADY_EXISTS)


def unrequested(id: str = "d", patient: str = "ben", prescription: str | None = "rx", **more: Any) -> Dispense:
    """Handed over while the network was down: nobody had requested it."""
    facts = {"item": "amox", "location": "cupboard", "days_supply": 7, "prescription": prescription}
    return hand_over(id, patient, **{"fact": True, "lines": (lot(),), "unrequested": Unrequested(**facts)} | more)


NOBODY_LOOKED = (E.UNKNOWN_DISPENSING, E.NOT_RESERVED, E.NOT_VERIFIED)


def test_a_hand_over_that_nobody_requested_is_recorded_as_a_fact_that_says_what_it_was() -> None:
    told = given(*PHARMACY).when(unrequested(), actor="tam")
    made = told.then(
        MedicationDispensed, prescription="rx", item="amox", location="cupboard", quantity=21, days_supply=7,
        lots=[{"lot": "L1"}], breaches=NOBODY_LOOKED,
    )  # fmt: skip
    assert kinds(told.event.check) == []
    made.when(unrequested()).then_nothing()
    made.when(hand_over()).then_nothing()
    other = Unrequested(item="ibu", location="cupboard", days_supply=7)
    made.when(unrequested(unrequested=other)).then_rejected(E.ALREADY_EXISTS)
    made.when(unrequested(lines=(lot(quantity=20),))).then_rejected(E.ALREADY_EXISTS)
    made.when(unrequested(patient="ada")).then_rejected(E.WRONG_PATIENT)
    made.when(request()).then_rejected(E.ALREADY_EXISTS)
    made.when(verify()).then_rejected(E.DISPENSING_OVER)
    made.when(refuse()).then_rejected(E.DISPENSING_OVER)
    made.when(RecheckDispensing(dispensing="d", patient="ben")).then_nothing()
    made.when(NoteIssued(dispensing="d", movement=3, quantity=21)).then(GoodsIssued)
    made.when(ReturnMedicine(dispensing="d", patient="ben", quantity=21, reason="?")).then(MedicineReturned)
    made.when(ResolveDispensing(dispensing="d", patient="ben", note="?"), actor="lind").then(DispensingResolved)


def test_what_nobody_requested_is_no_authority_and_not_recorded_without_a_word_of_what_it_was() -> None:
    given(*PHARMACY).when(unrequested(fact=False)).then_rejected(E.UNKNOWN_DISPENSING)
    given(*PHARMACY).when(hand_over(fact=True)).then_rejected(E.UNKNOWN_DISPENSING)
    given(*PHARMACY).when(unrequested(lines=())).then_rejected(E.UNKNOWN_DISPENSING)
    late = unrequested(fact=False, occurred_at=NOW - timedelta(hours=2))
    given(*PHARMACY, now=NOW - timedelta(hours=3)).when(late, now=NOW).then(MedicationDispensed)


@pytest.mark.parametrize(
    ("history", "command", "code"),
    [
        (PHARMACY, unrequested(prescription=None), E.UNKNOWN_PRESCRIPTION),
        (PHARMACY, unrequested(prescription="paper"), E.UNKNOWN_PRESCRIPTION),
        ((*PHARMACY, prescribed("rx2")), unrequested(prescription="rx2"), E.PRESCRIPTION_NOT_SIGNED),
        ((*PHARMACY, STOP), unrequested(), E.PRESCRIPTION_STOPPED),
        (PHARMACY, unrequested(patient="ada"), E.WRONG_PATIENT),
        (PHARMACY, unrequested(patient="ada"), E.ALERT_OPEN),
        ((*PHARMACY, allot("d0", 1)), unrequested(), E.BEYOND_ORDER),
        ((*PHARMACY, claim("d0")), unrequested(), E.DUPLICATE),
        ((*PHARMACY, recall("L1")), unrequested(), E.RECALLED),
        (PHARMACY, unrequested(lines=(lot(day=date(2026, 11, 22)),)), E.EXPIRED),
        (PHARMACY, unrequested(label_printed=False), E.NOT_LABELLED),
        (
            PHARMACY,
            unrequested(unrequested=Unrequested(item="new", location="cupboard", days_supply=7)),
            E.UNKNOWN_ITEM,
        ),
        (
            PHARMACY,
            unrequested(unrequested=Unrequested(item="ibu", location="cupboard", days_supply=7, prescription="rx")),
            E.WRONG_MEDICINE,
        ),
        (
            (*PHARMACY, MergePatients(patient="ben", into="ada", reason="One person.")),
            unrequested(),
            E.PATIENT_MERGED,
        ),
    ],
)
def test_what_a_hand_over_broke_that_nobody_requested_is_named(history: Any, command: Any, code: E) -> None:
    event = given(*history).when(command).event
    assert code in event.breaches and E.UNKNOWN_DISPENSING in event.breaches


def test_what_was_requested_is_not_handed_over_as_something_else() -> None:
    given(*VERIFIED).when(unrequested(fact=False, lines=())).then(MedicationDispensed, breaches=())
    given(*VERIFIED).when(unrequested(prescription=None)).then_rejected(E.ALREADY_EXISTS)


# -- coming to nothing, and coming back -------------------------------------------------------------------------------


def test_it_is_refused_or_unpicked_as_long_as_it_was_not_handed_over() -> None:
    for history in (READY, VERIFIED):
        given(*history).when(refuse()).then(DispensingRefused).when(refuse()).then_nothing()
        given(*history).when(UNPICK).then(DispensingUnpicked).when(UNPICK).then_nothing()
    given(*READY, refuse()).when(UNPICK).then_rejected(E.DISPENSING_OVER)


def test_only_who_handles_medicines_ends_a_dispensing_or_takes_one_back_and_the_process_may() -> None:
    back = ReturnMedicine(dispensing="d", patient="ben", quantity=1, reason="Side effects.")
    for history, command in ((READY, refuse()), (VERIFIED, UNPICK), ((*VERIFIED, hand_over()), back)):
        there = given(*history)
        there.when(command, actor="nobody").then_rejected(E.UNKNOWN_PRACTITIONER)
        there.when(command, actor="rui").then_rejected(E.WRONG_ROLE)
        there.when(command, actor="tam").then_event()
        there.when(command, actor="dispensing", authtype="process").then_event()


def test_what_comes_back_is_recorded_and_more_than_was_handed_over_waits_for_somebody() -> None:
    def back(quantity: int) -> ReturnMedicine:
        return ReturnMedicine(dispensing="d", patient="ben", quantity=quantity, reason="Side effects.")

    look = ResolveDispensing(dispensing="d", patient="ben", note="Counted again.")
    gone = given(*VERIFIED, hand_over())
    some = gone.when(back(15)).then(MedicineReturned, returned=15, breaches=())
    some.when(back(6)).then(MedicineReturned, returned=21, breaches=())
    some.when(look).then_rejected(E.NOTHING_TO_REVIEW)
    more = some.when(back(7)).then(MedicineReturned, returned=22, breaches=(E.NOT_DISPENSED,))
    more.when(look).then(DispensingResolved)
    never = given(*VERIFIED).when(back(1)).then(MedicineReturned, returned=1, breaches=(E.NOT_DISPENSED,))
    never.when(hand_over()).then(MedicationDispensed)
    given(*PHARMACY).when(back(1)).then_rejected(E.UNKNOWN_DISPENSING)


def test_a_check_is_sealed_with_the_patient_s_key() -> None:
    state = given(*ADA, request(patient="ada")).state("dispensing", "d")
    assert state.check.startswith("sealed:1:patient/ada:check:")
    assert kinds(state.check) == ["allergy"]
