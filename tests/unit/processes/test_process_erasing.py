"""What ties a person to the books, the orders and the shelves; and when an erasure that nothing is tied to is due."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from services.clinic.contract import (
    AllergyCategory,
    AllergyRecorded,
    EncounterClosed,
    EncounterOpened,
    MedicationPrescribed,
    MedicineReturned,
    NoKnownAllergyAsserted,
    NoteAmended,
    NoteAttested,
    NoteDrafted,
    NoteSigned,
    PrescriptionSigned,
    PrescriptionStopped,
    ProblemRecorded,
    Purpose,
    RecordDisclosed,
    ReferralClosed,
    ReferralMade,
    ReportedMedicationRecorded,
    ResultRecorded,
    VitalsRecorded,
)
from services.clinic.processes import Erasing as OfPatients
from services.distribution.contract import (
    CompletionReversed,
    EligibilityRenewed,
    ErasureRequested,
    HandOutReversed,
    HouseholdsMerged,
    HouseholdsUnmerged,
    LotOf,
    NoShowRecorded,
    OrderCancelled,
    OrderCompleted,
    OriginNoted,
    PersonErased,
    ProgrammeOpened,
    RecallNoted,
    VisitReversed,
)
from services.distribution.contract import Stage as OrderStage
from services.distribution.processes import Erasing as OfHouseholds
from services.inventory.contract import UNKNOWN, RecallScope
from services.inventory.processes import Erasing as OfDonors
from services.treasury.processes import Erasing as OfParties
from shared.erasure import Obstacle, Stage, Terms
from tests.support.desk import Desk
from tests.support.following import Follower, ids, replay
from tests.support.hall import WEEK, Hall, goods, packed
from tests.support.infirmary import PATIENTS, Infirmary
from tests.support.pantry import Pantry

TERMS = Terms(delay=timedelta(days=30), years=0)
"""Books are kept to the end of the year alone."""


@pytest.fixture
def desk() -> Desk:
    desk = Desk().open_club()
    for account, kind in (("receivable", "asset"), ("dues", "income")):
        desk.do("OpenAccount", book="club", account=account, name=account, kind=kind)
    return desk


def ask(ledger: Any, person: str, kind: str) -> None:
    ledger.do("RequestErasure", kind=kind, person=person, reason="asked in writing")


def told(ledger: Any, person: str, kind: str) -> list[str]:
    """What stands against it, as the deciders know it."""
    return [one.what for one in ledger.state("erasure", f"{kind}:{person}").obstacles]


def assess(desk: Desk, dues: str = "d-1") -> None:
    desk.do(
        "AssessDues", book="club", entry=dues, member="ada", period=dues, amount=500, unit="EUR",
        receivable="receivable", income="dues", due_on=desk.today,
    )  # fmt: skip


def test_open_dues_tie_a_member_until_they_are_paid_or_waived(desk: Desk) -> None:
    erasing = Follower(desk, OfParties(TERMS))
    assess(desk)
    ask(desk, "ada", "party")
    erasing.settle()
    assert told(desk, "ada", "party") == ["open dues", "named in the books"]
    desk.do("ReceiveDues", book="club", entry="p-1", dues="d-1", amount=200, into="bank")
    erasing.settle()
    assert "open dues" in told(desk, "ada", "party")
    desk.do("WaiveDues", book="club", entry="w-1", dues="d-1", reason="hardship")
    erasing.settle()
    assert told(desk, "ada", "party") == ["named in the books"]
    desk.do("ReverseEntry", book="club", entry="r-1", reverses="w-1", reason="by mistake")
    erasing.settle()
    assert "open dues" in told(desk, "ada", "party")


def test_an_expense_ties_its_payee_until_it_is_paid_rejected_or_somebody_else_s(desk: Desk) -> None:
    erasing = Follower(desk, OfParties(TERMS))
    ask(desk, "shop", "party")
    erasing.settle()
    assert told(desk, "shop", "party") == []
    desk.submit()
    erasing.settle()
    assert told(desk, "shop", "party") == ["unpaid expenses"]
    desk.submit(name="ChangeExpense", payee="ada")
    erasing.settle()
    assert told(desk, "shop", "party") == []
    desk.submit(name="ChangeExpense", payee="shop")
    desk.do("RejectExpense", expense="x", book="club", reason="no")
    erasing.settle()
    assert told(desk, "shop", "party") == []


def test_the_last_day_in_the_books_is_the_one_that_counts(desk: Desk) -> None:
    erasing = Follower(desk, OfParties(TERMS))
    gift: dict[str, Any] = {"book": "club", "donor": "ada", "unit": "EUR", "into": "bank", "income": "gifts"}
    desk.do("RecordDonation", entry="g-1", amount=100, date=desk.today, **gift)
    desk.do("RecordDonation", entry="g-2", amount=100, date=desk.today - timedelta(days=90), **gift)
    desk.move("e-1", 100, party="shop")
    ask(desk, "ada", "party")
    ask(desk, "shop", "party")
    erasing.settle()
    for person in ("ada", "shop"):
        (obstacle,) = desk.state("erasure", f"party:{person}").obstacles
        assert (obstacle.what, obstacle.last) == ("named in the books", desk.today)


def test_an_open_order_ties_a_household_until_it_is_handed_out_cancelled_or_nobody_came() -> None:
    hall, erasing = Hall().furnish(), OfHouseholds(TERMS)
    hall.household("h-1", "adult")
    for order in ("o-1", "o-2", "o-3"):
        hall.order(order, "h-1", goods(rice=1))
    ends: dict[str, Any] = {"household": "h-1", "session": "monday", "occurred_at": hall.now}
    back = {**ends, "order": "o-3", "box": "B1", "programme": "box", "period": WEEK}
    expected = [{"o-1", "o-2", "o-3"}, {"o-2", "o-3"}, {"o-3"}, set(), {"o-3"}]
    for end in (
        None, OrderCancelled(order="o-1", reason="ill", **ends), NoShowRecorded(order="o-2", **ends),
        OrderCompleted(claim="o-3", **back), CompletionReversed(stage=OrderStage.CONFIRMED, **back),
    ):  # fmt: skip
        if end is not None:
            hall.record(end)
        replay(erasing, hall.events)
        assert {id for one in erasing.obstacles(("household", "h-1")) for id in one.which} == expected.pop(0)
        erasing = OfHouseholds(TERMS)


def told_of(hall: Hall, person: str = "h-1") -> dict[str, Obstacle]:
    """What stands against the erasure of a household, by all that has happened."""
    erasing = OfHouseholds(TERMS)
    replay(erasing, hall.events)
    return {one.what: one for one in erasing.obstacles(("household", person))}


def recall(hall: Hall, *lots: str, item: str = "rice", revision: int = 1, begun: bool = True) -> None:
    scope = RecallScope(lots=lots)
    hall.record(
        RecallNoted(item=item, recall="r-1", revision=revision, scope=scope, open=begun, occurred_at=hall.now)
    )  # fmt: skip


def merged(hall: Hall, household: str, into: str) -> None:
    hall.record(HouseholdsMerged(household=household, into=into, reason="twice", occurred_at=hall.now))


@pytest.mark.parametrize(
    ("given", "reached"),
    [
        (packed("rice", 2, "u-b9"), True),
        (packed("rice", 2, "U-b8"), False),
        (packed("milk", 2, "P"), True),
        (packed("milk", 2), True),
        (packed("milk", 2, "Q"), False),
    ],
)
def test_an_open_recall_ties_who_got_what_was_made_of_it(given: Any, reached: bool) -> None:
    hall = Hall().furnish()
    hall.household("h-1", "adult")
    hall.hand_out(hall.pack("b-1", "o-1", "h-1", given))
    apart = LotOf(item="rice", lot="U-b9")
    for made, source in ((apart, LotOf(item="rice", lot="A")), (LotOf(item="milk", lot="P"), apart)):
        hall.record(OriginNoted(made=(made,), made_from=(source,), occurred_at=hall.now))
    recall(hall, "A")
    assert bool(told_of(hall)) == reached


def test_a_recall_of_what_a_box_holds_that_came_back_ties_nobody_but_another_box_and_a_visit_do() -> None:
    hall = Hall().furnish()
    hall.household("h-1", "adult")
    recall(hall, "A")

    def handed_out(box: str, *lines: Any) -> Any:
        return hall.hand_out(hall.pack(box, f"o-{box}", "h-1", *lines)).data

    def back(box: Any) -> None:
        same = {name: getattr(box, name) for name in ("box", "order", "household", "programme", "period", "session",
                                                      "site", "packed")}  # fmt: skip
        hall.record(HandOutReversed(**same, reason="the wrong box", occurred_at=hall.now))

    first, second = handed_out("b-1", packed("rice", 2, "A")), handed_out("b-2", packed("rice", 1, "a"))
    back(first)
    assert told_of(hall), "the other box is out"
    back(second)
    assert told_of(hall) == {}
    hall.visit("v-1", "h-1", goods(rice=1))
    back(handed_out("b-3", packed("rice", 1)))
    assert told_of(hall), "the lot that was given at the table is not known"


@pytest.mark.parametrize(
    ("lots", "given", "reached"),
    [
        (("A",), packed("rice", 2, "a"), True),
        (("A",), packed("rice", 2, "B"), False),
        ((), packed("rice", 2, "B"), True),
        (("A",), packed("rice", 2), True),
        (("A",), packed("rice", 2, UNKNOWN), True),
        (("A",), packed("milk", 2, "A"), False),
    ],
)
def test_an_open_recall_of_what_a_box_held_ties_its_household(
    lots: tuple[str, ...], given: Any, reached: bool
) -> None:  # fmt: skip
    hall = Hall().furnish()
    for household in ("h-1", "h-2"):
        hall.household(household, "adult")
    recall(hall, *lots)
    box = hall.pack("b-1", "o-1", "h-1", given)
    assert told_of(hall) == {}, "it has left only when it is handed out"
    hall.hand_out(box)
    assert told_of(hall) == ({"open recalls of what it got": Obstacle(
        what="open recalls of what it got", which=("r-1",))} if reached else {})  # fmt: skip
    assert told_of(hall, "h-2") == {}
    recall(hall, *lots, revision=2, begun=False)
    assert told_of(hall) == {}
    recall(hall, *lots)
    assert told_of(hall) == {}, "a note that came late"


def test_any_recall_of_an_item_that_was_given_at_the_table_ties_whoever_got_it() -> None:
    hall = Hall().furnish()
    hall.visit("v-1", "h-1", goods(rice=1))
    hall.visit("v-2", None, goods(rice=1))
    recall(hall, "A")
    assert list(told_of(hall)) == ["open recalls of what it got"]
    assert told_of(hall, "h-2") == {}


def test_a_recall_that_opens_or_ends_is_noted_for_every_household_that_is_to_be_erased() -> None:
    hall, erasing = Hall().furnish(), OfHouseholds(TERMS)
    hall.visit("v-1", "h-1", goods(rice=1))
    hall.record(ErasureRequested(
        kind="household", person="h-1", stage=Stage.REQUESTED, reason="x", requested_by="sam", occurred_at=hall.now
    ))  # fmt: skip
    recall(hall, "A")
    recall(hall, "A", revision=2, begun=False)
    noted = [step.command.obstacles for step in replay(erasing, hall.events)]
    recalled = (Obstacle(what="open recalls of what it got", which=("r-1",)),)
    assert noted == [(), recalled, ()]


def test_those_who_go_on_as_a_household_are_erased_first_or_unmerged() -> None:
    hall = Hall().furnish()
    for household in ("h-1", "h-2", "h-3"):
        hall.household(household, "adult")
    merged(hall, "h-2", "h-1")
    merged(hall, "h-3", "h-1")
    assert told_of(hall)["others that go on as it"].which == ("h-2", "h-3")
    assert told_of(hall, "h-2") == {}
    hall.record(HouseholdsUnmerged(household="h-3", into="h-1", reason="cousins", occurred_at=hall.now))
    assert told_of(hall)["others that go on as it"].which == ("h-2",)
    hall.record(PersonErased(kind="household", person="h-2", stage=Stage.ERASED, occurred_at=hall.now))
    assert told_of(hall) == {}


def test_that_the_last_other_is_erased_is_noted_where_it_stood_in_the_way() -> None:
    hall, erasing = Hall().furnish(), OfHouseholds(TERMS)
    merged(hall, "h-2", "h-1")
    about: dict[str, Any] = {"kind": "household", "person": "h-1", "occurred_at": hall.now}
    hall.record(ErasureRequested(**about, stage=Stage.REQUESTED, reason="x", requested_by="sam"))
    hall.record(PersonErased(**about | {"person": "h-2"}, stage=Stage.ERASED))
    steps = [step.command for step in replay(erasing, hall.events)]
    assert [(type(one).__name__, one.person) for one in steps] == [
        ("NoteObstacles", "h-1"), ("AcknowledgeErasure", "h-2"), ("NoteObstacles", "h-1"),
    ]  # fmt: skip
    assert [len(one.obstacles) for one in (steps[0], steps[2])] == [1, 0]


def test_a_household_that_was_served_by_a_declaration_is_kept_for_its_last_day() -> None:
    hall = Hall().furnish()
    for household, declared in (("h-1", {"basis": "income"}), ("h-2", {"signature": "X"}), ("h-3", {})):
        hall.household(household, "adult", **declared)
    assert told_of(hall) == {}, "nobody was served yet"
    for n, household in enumerate(("h-1", "h-2", "h-3")):
        hall.visit(f"v-{n}", household, goods(rice=1))
    first = hall.now.date()
    hall.later(days=40)
    hall.hand_out(hall.pack("b-1", "o-1", "h-1", packed("rice", 2, "A")))
    hall.visit("late", "h-1", goods(rice=1), occurred_at=hall.now - timedelta(days=90))
    what = "served by an eligibility that was declared"
    assert told_of(hall)[what].last == hall.now.date()
    assert told_of(hall, "h-2")[what].last == first
    assert told_of(hall, "h-3") == {}


def test_what_was_declared_counts_from_then_on() -> None:
    hall = Hall().furnish()
    hall.household("h-1", "adult")
    hall.visit("v-1", "h-1")
    hall.record(EligibilityRenewed(household="h-1", basis="income", occurred_at=hall.now))
    assert told_of(hall) == {}
    day = hall.later(days=7).date()
    hall.visit("v-2", "h-1")
    hall.later(days=7)
    hall.record(EligibilityRenewed(household="h-1", occurred_at=hall.now))
    hall.visit("v-3", "h-1")
    (obstacle,) = told_of(hall).values()
    assert obstacle.last == day


def test_a_visit_that_is_reversed_keeps_nobody() -> None:
    hall = Hall().furnish()
    hall.household("h-1", "adult", basis="income")
    days = []
    for n in range(6):
        days.append(hall.now.date())
        hall.visit(f"v-{n}", "h-1")
        hall.later(days=7)
    for n in (5, 4, 3):
        hall.record(VisitReversed(visit=f"v-{n}", household="h-1", programme="box", period=WEEK, reason="wrong card",
                                  session="monday", site="hall", used=0, occurred_at=hall.now))  # fmt: skip
        (obstacle,) = told_of(hall).values()
        assert obstacle.last == days[n - 1]


def test_the_day_is_that_of_the_place() -> None:
    hall = Hall(datetime(2026, 12, 31, 23, tzinfo=UTC)).furnish()
    hall.record(ProgrammeOpened(programme="east", name="East", kind="box", utc_offset=120, occurred_at=hall.now))
    hall.household("h-1", "adult", basis="income")
    hall.visit("v-1", "h-1", programme="east")
    (obstacle,) = told_of(hall).values()
    assert obstacle.last == date(2027, 1, 1)


def test_a_declaration_of_another_that_goes_on_as_a_household_is_kept_too() -> None:
    hall = Hall().furnish()
    hall.household("h-1", "adult")
    hall.household("h-2", "adult", basis="income")
    merged(hall, "h-2", "h-1")
    hall.visit("v-1", "h-1")
    assert list(told_of(hall, "h-2")) == ["served by an eligibility that was declared"]
    assert list(told_of(hall)) == ["others that go on as it"]


def pantry() -> Pantry:
    pantry = Pantry().furnish()
    pantry.do("RegisterDonor", donor="ana", name="Ana")
    return pantry


def approve(ledger: Any) -> None:
    ledger.do("ApproveErasure", kind="donor", person="ana", actor="kim")


def stage(ledger: Any) -> Stage:
    found: Stage = ledger.state("erasure", "donor:ana").stage
    return found


def test_a_recall_of_what_a_donor_gave_ties_them_whichever_came_first() -> None:
    shelves = pantry()
    erasing = Follower(shelves, OfDonors(TERMS))
    ask(shelves, "ana", "donor")
    shelves.do("RecallLot", item="rice", recall="r-1", scope={}, reason="glass")
    erasing.settle()
    assert told(shelves, "ana", "donor") == []
    shelves.receive(10, "A", donor="ana")
    erasing.settle()
    assert told(shelves, "ana", "donor") == ["open recalls of what they gave"]
    shelves.do("LiftRecall", item="rice", recall="r-1", reason="withdrawn")
    erasing.settle()
    assert told(shelves, "ana", "donor") == []


def test_it_is_carried_out_when_it_is_due_and_not_before() -> None:
    shelves = pantry()
    erasing = Follower(shelves, OfDonors(Terms(delay=timedelta(days=30))))
    ask(shelves, "ana", "donor")
    erasing.settle()
    approve(shelves)
    assert erasing.wait(days=29) == []
    erasing.carry_out(erasing.wait(days=1))
    assert stage(shelves) is Stage.ERASED
    (acknowledge,) = erasing.catch_up()
    assert type(acknowledge.command).__name__ == "AcknowledgeErasure"
    assert erasing.wait(days=365) == []


@pytest.mark.parametrize("name", ["CancelErasure", "HoldErasure"])
def test_what_is_cancelled_or_held_is_not_carried_out(name: str) -> None:
    shelves = pantry()
    erasing = Follower(shelves, OfDonors(TERMS))
    ask(shelves, "ana", "donor")
    erasing.settle()
    approve(shelves)
    shelves.do(name, kind="donor", person="ana", reason="x")
    erasing.catch_up()
    assert erasing.wait(days=60) == []
    if name == "HoldErasure":
        shelves.do("LiftErasureHold", kind="donor", person="ana", reason="settled")
        erasing.carry_out(erasing.wait(days=0))
        assert stage(shelves) is Stage.ERASED


def test_what_only_time_ends_is_waited_for(desk: Desk) -> None:
    erasing = Follower(desk, OfParties(Terms(delay=timedelta(days=1), years=0)))
    ask(desk, "ada", "party")
    erasing.settle()
    desk.do("ApproveErasure", kind="party", person="ada", actor="kim")
    desk.move("e-1", 100, party="ada")
    erasing.settle()
    assert erasing.wait(days=2) == []
    assert erasing.wait(days=365)[0].command.person == "ada"


def test_a_restart_gives_the_same_steps_again(desk: Desk) -> None:
    assess(desk)
    ask(desk, "ada", "party")
    first = Follower(desk, OfParties(TERMS))
    first.settle()
    desk.do("WaiveDues", book="club", entry="w-1", dues="d-1", reason="hardship")
    first.settle()
    again = OfParties(TERMS)
    assert ids(again, replay(again, desk.events)) == ids(first.manager, first.steps)


def needed(ward: Infirmary, patient: str) -> dict[str, set[str]]:
    """What stands against erasing a patient, by all events so far."""
    ward.settle()
    erasing = OfPatients(TERMS)
    replay(erasing, ward.clinic.events)
    return {one.what: set(one.which) for one in erasing.obstacles(("patient", patient))}


def test_a_patient_is_needed_while_a_dispensing_is_open_a_recall_of_theirs_is_and_their_records_are_kept() -> None:
    ward, (ada, ben) = Infirmary().furnish(asked=False), PATIENTS
    ward.stock("amox", 100, "A")
    assert needed(ward, ben) == {}
    for patient in PATIENTS:
        ward.ask_for_allergies(patient)
    kept: dict[str, set[str]] = {"records of their care": set()}
    assert needed(ward, ben) == kept
    ward.order("rx", ben)
    assert needed(ward, ben) == kept
    ward.request("d", ben, "rx")
    assert needed(ward, ben) == {"open dispensings": {"d"}, **kept}
    ward.verify("d", ben)
    ward.hand_over("d", ben)
    ward.administer("g", ada, lot="B")
    assert needed(ward, ben) == {"records of their care": set()}
    for recall, lot in (("r-a", "A"), ("r-b", "B")):
        ward.inventory.do("RecallLot", item="amox", recall=recall, scope={"lots": [lot]}, reason="Glass.")
    assert needed(ward, ben) == {"open recalls of what they got": {"r-a"}, "records of their care": set()}
    assert needed(ward, ada) == {"open recalls of what they got": {"r-b"}, "records of their care": set()}
    ward.inventory.do("LiftRecall", item="amox", recall="r-a", reason="withdrawn")
    assert needed(ward, ben) == {"records of their care": set()}


def test_what_needs_a_patient_is_noted_when_their_erasure_is_asked_for_and_when_it_changes() -> None:
    ward, (ada, _) = Infirmary().furnish(asked=False), PATIENTS
    erasing = Follower(ward.clinic, OfPatients(TERMS))
    ask(ward.clinic, ada, "patient")
    erasing.settle()
    assert told(ward.clinic, ada, "patient") == []
    ward.stock("amox", 10, "A")
    ward.administer("g", ada, fact=True)
    erasing.settle()
    assert told(ward.clinic, ada, "patient") == ["records of their care"]


def test_what_came_to_nothing_or_was_never_given_ties_nobody() -> None:
    ward, (ada, ben) = Infirmary().furnish(asked=False), PATIENTS
    ward.inventory.do("RecallLot", item="amox", recall="r", scope={}, reason="Glass.")
    ward.order("rx", ben)
    ward.request("d", ben, "rx")
    ward.end("RefuseDispensing", "d", ben)
    assert needed(ward, ben) == {"records of their care": set()}
    ward.administer("g", ada, fact=True)
    ward.clinic.do("ReverseAdministration", administration="g", patient=ada, reason="never given")
    assert "open recalls of what they got" not in needed(ward, ada)


def test_those_who_go_on_as_a_patient_are_erased_first_or_parted_and_care_of_either_keeps_both() -> None:
    ward, (ada, ben), kept = Infirmary().furnish(asked=False), PATIENTS, "records of their care"
    both = {"patient": ben, "into": ada, "reason": "twice"}
    erasing = Follower(ward.clinic, OfPatients(TERMS))
    for patient in PATIENTS:
        ask(ward.clinic, patient, "patient")
    ward.clinic.do("MergePatients", **both)
    erasing.settle()
    assert told(ward.clinic, ada, "patient") == ["others that go on as them"]
    assert needed(ward, ada) == {"others that go on as them": {ben}} and needed(ward, ben) == {}
    ward.stock("amox", 10, "A")
    ward.administer("g", ada, fact=True)
    erasing.settle()
    assert told(ward.clinic, ben, "patient") == [kept], "it is the record of one person"
    ward.clinic.do("UnmergePatients", **both)
    erasing.settle()
    assert (told(ward.clinic, ada, "patient"), told(ward.clinic, ben, "patient")) == ([kept], [])


def test_that_the_last_record_is_erased_that_goes_on_as_a_patients_is_noted_for_them() -> None:
    ward, (ada, ben) = Infirmary().furnish(asked=False), PATIENTS
    erasing = Follower(ward.clinic, OfPatients(TERMS))
    ward.clinic.do("MergePatients", patient=ben, into=ada, reason="twice")
    for patient in PATIENTS:
        ask(ward.clinic, patient, "patient")
    erasing.settle()
    assert told(ward.clinic, ada, "patient") == ["others that go on as them"]
    ward.clinic.do("ApproveErasure", kind="patient", person=ben, actor="tam")
    erasing.settle()
    ward.now += timedelta(days=31)
    erasing.carry_out(erasing.manager.due(ward.now))
    erasing.catch_up()
    last = erasing.steps[-1].command
    assert (type(last).__name__, last.person, last.obstacles) == ("NoteObstacles", ada, ())


def test_an_unsigned_note_an_open_encounter_and_a_disclosure_tie_a_patient() -> None:
    erasing, at = OfPatients(TERMS), datetime(2026, 11, 20, tzinfo=UTC)
    of: dict[str, Any] = {"patient": "p", "occurred_at": at}
    note = {"encounter": "e", "note": "n", **of}

    def after(event: Any) -> list[str]:
        assert ("patient", "p") in list(erasing.tie(event))
        return [one.what for one in erasing.obstacles(("patient", "p"))]

    kept = "records of their care"
    assert after(EncounterOpened(encounter="e", **of)) == ["open encounters", kept]
    assert after(NoteDrafted(text="x", author="tam", **note)) == ["open encounters", "unsigned notes", kept]
    assert after(NoteSigned(needs_attestation=True, **note)) == ["open encounters", "unsigned notes", kept]
    assert after(NoteAttested(attested_by="osei", **note)) == ["open encounters", kept]
    assert after(EncounterClosed(encounter="e", **of)) == [kept]
    disclosed = RecordDisclosed(disclosure="x", recorded_by="rui", purpose=Purpose.LEGAL, content="sealed", **of)
    assert after(disclosed) == [kept, "account of disclosures"]


DAY, LATER = datetime(2026, 11, 20, 9, tzinfo=UTC), datetime(2027, 3, 1, 9, tzinfo=UTC)
OF: dict[str, Any] = {"patient": "p", "occurred_at": LATER}


@pytest.mark.parametrize(
    "event",
    [
        AllergyRecorded(allergy="a", content="sealed", **OF),
        NoKnownAllergyAsserted(category=AllergyCategory.FOOD, **OF),
        ProblemRecorded(problem="a", content="sealed", **OF),
        ResultRecorded(result="a", content="sealed", **OF),
        ReportedMedicationRecorded(report="a", content="sealed", **OF),
        VitalsRecorded(encounter="e", vitals="v", content="sealed", **OF),
        NoteAmended(
            encounter="e", note="n", amendment="m", text="sealed", author="osei", needs_attestation=False, **OF
        ),
        EncounterClosed(encounter="e", **OF),
        MedicationPrescribed(prescription="rx", content="sealed", imported_from="elsewhere", **OF),
        PrescriptionSigned(prescription="rx", signed_by="osei", valid_days=30, **OF),
        MedicineReturned(dispensing="d", quantity=1, reason="sealed", returned=1, **OF),
    ],
)
def test_the_years_of_keeping_count_from_the_last_record_of_care_of_any_kind(event: Any) -> None:
    erasing = OfPatients(TERMS)
    list(erasing.tie(EncounterOpened(encounter="e", patient="p", occurred_at=DAY)))
    list(erasing.tie(EncounterClosed(encounter="e", patient="p", occurred_at=DAY)))
    assert ("patient", "p") in list(erasing.tie(event))
    assert erasing.obstacles(("patient", "p")) == (Obstacle(what="records of their care", last=LATER.date()),)


def test_an_order_that_nobody_signed_and_an_open_referral_tie_a_patient() -> None:
    erasing = OfPatients(TERMS)

    def after(event: Any) -> list[str]:
        list(erasing.tie(event))
        return [one.what for one in erasing.obstacles(("patient", "p"))]

    kept = "records of their care"
    placed = MedicationPrescribed(prescription="rx", content="sealed", **OF)
    assert after(placed) == ["open orders", kept]
    assert after(PrescriptionStopped(prescription="rx", reason="sealed", **OF)) == [kept]
    assert after(ReferralMade(referral="r", content="sealed", **OF)) == ["open referrals", kept]
    assert after(ReferralClosed(referral="r", outcome="sealed", **OF)) == [kept]
