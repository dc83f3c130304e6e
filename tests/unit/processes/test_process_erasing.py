"""What ties a person to the books, the orders and the shelves; and when an erasure that nothing is tied to is due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.clinic.contract import (
    EncounterClosed,
    EncounterOpened,
    NoteAttested,
    NoteDrafted,
    NoteSigned,
    Purpose,
    RecordDisclosed,
)
from services.clinic.processes import Erasing as OfPatients
from services.distribution.contract import NoShowRecorded, OrderCancelled, OrderCompleted
from services.distribution.processes import Erasing as OfHouseholds
from services.inventory.processes import Erasing as OfDonors
from services.treasury.processes import Erasing as OfParties
from shared.erasure import Stage, Terms
from tests.support.desk import Desk
from tests.support.following import Follower, ids, replay
from tests.support.hall import Hall, goods
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
    expected = [{"o-1", "o-2", "o-3"}, {"o-2", "o-3"}, {"o-3"}, set()]
    for end in (
        None, OrderCancelled(order="o-1", reason="ill", **ends), NoShowRecorded(order="o-2", **ends),
        OrderCompleted(order="o-3", box="B1", **ends),
    ):  # fmt: skip
        if end is not None:
            hall.record(end)
        replay(erasing, hall.events)
        assert {id for one in erasing.obstacles(("household", "h-1")) for id in one.which} == expected.pop(0)
        erasing = OfHouseholds(TERMS)


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
    ward, (ada, ben) = Infirmary().furnish(), PATIENTS
    ward.stock("amox", 100, "A")
    assert needed(ward, ben) == {}
    ward.order("rx", ben)
    ward.request("d", ben, "rx")
    assert needed(ward, ben) == {"open dispensings": {"d"}}
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


def test_what_came_to_nothing_or_was_never_given_ties_nobody() -> None:
    ward, (ada, ben) = Infirmary().furnish(), PATIENTS
    ward.inventory.do("RecallLot", item="amox", recall="r", scope={}, reason="Glass.")
    ward.order("rx", ben)
    ward.request("d", ben, "rx")
    ward.end("RefuseDispensing", "d", ben)
    assert needed(ward, ben) == {}
    ward.administer("g", ada, fact=True)
    ward.clinic.do("ReverseAdministration", administration="g", patient=ada, reason="never given")
    assert "open recalls of what they got" not in needed(ward, ada)


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
