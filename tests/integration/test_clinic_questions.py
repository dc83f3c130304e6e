"""What the clinic's screens answer, beside what was put in: on real servers, from events as they are stored."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import date, timedelta
from typing import Any

import pytest

from services.clinic import contract as c
from services.local.nats import NatsServer
from services.projections.registry import CLINIC
from services.queries import clinic
from services.queries.answer import QueryResult
from services.queries.clinic import charted
from tests.integration.test_clinic_apart import STREAMS, store
from tests.support.evenings import Evening
from tests.support.projections import Stage
from tests.support.surgery import FRIDAY, lot

TODAY = FRIDAY.date()


@pytest.fixture
async def stage(nats_server: NatsServer, database_url: str) -> AsyncIterator[Stage]:
    async with Stage(nats_server, database_url) as made:
        for stream in STREAMS:
            await made.make(stream)
        yield made


class Asked:
    """The clinic's read models, level with what was stored."""

    def __init__(self, stage: Stage) -> None:
        self.pool = stage.pool

    async def __call__(self, question: Any, *names: str, **filters: Any) -> list[tuple[Any, ...]]:
        found: QueryResult = await question(self.pool, **filters)
        assert not found.incomplete
        return [tuple(record[name] for name in names) for record in found.records()]


@asynccontextmanager
async def following(stage: Stage, evening: Evening) -> AsyncIterator[Asked]:
    async with AsyncExitStack() as running:
        for projection in CLINIC:
            await running.enter_async_context(stage.running(projection))
        last = await store(stage, evening)
        for projection in CLINIC:
            for stream in projection.streams:
                await stage.wait(projection.name, stream, last[stream])
        yield Asked(stage)


async def test_the_board_says_who_is_expected_here_and_gone(stage: Stage) -> None:
    made = Evening().play([])
    surgery = made.surgery
    surgery.book("late", "cyd")
    surgery.book("soon", "cyd", starts_at=FRIDAY + timedelta(hours=3))
    for appointment, patient in (("waits", "ada"), ("seen", "ben"), ("gone", "cyd")):
        surgery.of_appointment(c.CheckedIn, surgery.book(appointment, patient))
    surgery.of_appointment(c.NoShowRecorded, surgery.book("missed", "ada"))
    surgery.later(minutes=5)
    surgery.encounter("e1", "ben", appointment="seen")
    surgery.encounter("e2", "cyd", appointment="gone")
    surgery.now_is(c.EncounterClosed, encounter="e2", patient="cyd")
    surgery.encounter("walk-in", "ada")
    surgery.encounter("old", "ada", imported_from="elsewhere", ended_at=FRIDAY)
    async with following(stage, made) as asked:
        rows = await asked(clinic.board, "state", "appointment", "encounter", now=FRIDAY + timedelta(hours=1))
        assert set(rows) == {
            ("late", "late", None), ("expected", "soon", None), ("waiting", "waits", None),
            ("being seen", "seen", "e1"), ("gone", "gone", "e2"), ("did not come", "missed", None),
            ("being seen", None, "walk-in"),
        }  # fmt: skip
        assert rows[0] == ("waiting", "waits", None)
        assert await asked(clinic.board, "state", day=date(2026, 1, 1)) == []
        missed = await asked(clinic.no_shows, "patient", "appointment", "times", "next", now=FRIDAY)
        assert missed == [("ada", "missed", 1, None)]
        assert await asked(clinic.no_shows, "patient", first=TODAY + timedelta(days=1)) == []


async def test_what_is_left_to_do_is_listed_until_it_is_done(stage: Stage) -> None:
    made = Evening().play([])
    surgery = made.surgery
    for encounter, patient in (("e1", "ada"), ("e2", "ben")):
        surgery.encounter(encounter, patient)
        surgery.now_is(c.EncounterClosed, encounter=encounter, patient=patient, follow_up_on=TODAY + timedelta(days=7))
    for referral, patient in (("r1", "ada"), ("r2", "ben")):
        content = c.Referral(to="Eye clinic")
        surgery.now_is(c.ReferralMade, referral=referral, patient=patient, content=content, due_on=TODAY)
    surgery.now_is(c.ReferralClosed, referral="r2", patient="ben", outcome="seen")
    for note in ("n1", "n2", "n3"):
        fields = {"encounter": "e1", "patient": "ada", "note": note}
        surgery.now_is(c.NoteDrafted, **fields, text="x", author="tam", actor="tam")
        if note != "n1":
            surgery.now_is(c.NoteSigned, **fields, needs_attestation=note == "n2", actor="tam")
    surgery.later(days=8)
    surgery.encounter("e3", "ben")
    async with following(stage, made) as asked:
        assert await asked(clinic.follow_ups, "due_on", "patient", "id") == [
            (TODAY, "ada", "r1"), (TODAY + timedelta(days=7), "ada", "e1"),
        ]  # fmt: skip
        assert await asked(clinic.follow_ups, "id", until=TODAY) == [("r1",)]
        assert await asked(clinic.unsigned, "note", "waits") == [("n1", "its author"), ("n2", "attestation")]
        assert await asked(clinic.unsigned, "note", author="osei") == []


async def test_a_dispensing_says_what_it_waits_for(stage: Stage) -> None:
    made = Evening().play([])
    surgery = made.surgery
    surgery.prescribe("rx", "ada")
    expected = {}
    for dispensing, waits in (
        ("d0", "goods: 9 are short"), ("d1", "inventory to set its goods aside"), ("d2", "goods: 1 is short"),
        ("d3", "to be verified"),
        ("d4", "to be handed over"), ("d5", "inventory to give it out"), ("d6", "its goods to go back"), ("d7", None),
    ):  # fmt: skip
        expected[dispensing] = waits
        wanted = surgery.request(dispensing, "ada")
        if dispensing == "d0":  # twelve are there, and were not set aside
            of = {"item": "amox", "location": "cupboard", "lots": ()}
            surgery.now_is(c.GoodsSetAside, dispensing="d0", asked=21, short=9, **of)
        if dispensing > "d1":
            surgery.set_aside(dispensing, lot("A", 20 if dispensing == "d2" else 21))
        if dispensing in ("d4", "d5", "d7"):
            surgery.verify(wanted, lot("A", 21))
        if dispensing in ("d5", "d7"):
            surgery.dispense(wanted, lot("A", 21))
        if dispensing == "d6":
            surgery.now_is(c.DispensingRefused, dispensing="d6", patient="ada", reason="x")
        if dispensing == "d7":
            surgery.now_is(c.GoodsIssued, dispensing="d7", movement=3, quantity=21)
    surgery.administer("m1", "ada")
    async with following(stage, made) as asked:
        rows = dict(await asked(clinic.queue, "dispensing", "waits", ended=True))
        assert rows == expected
        assert "d7" not in dict(await asked(clinic.queue, "dispensing", "waits"))
        soon = dict(await asked(clinic.stuck, "id", "waits", now=surgery.now + timedelta(minutes=5)))
        assert set(soon) == {"d0", "d1", "d2", "d5", "d6", "m1"}
        late = dict(await asked(clinic.stuck, "id", "todo", now=surgery.now + timedelta(days=4)))
        assert late["d4"] == "Unpick it, or refuse it."


async def test_a_dispensing_of_an_order_in_a_record_that_was_merged_names_its_medicine(stage: Stage) -> None:
    """Who is given it is the patient as whom the record with the order goes on."""
    made = Evening().play([])
    surgery = made.surgery
    ordered = surgery.prescribe("rx", "ada")
    surgery.now_is(c.PatientsMerged, patient="ada", into="ben", reason="twice")
    surgery.request("d1", "ben")
    async with following(stage, made) as asked:
        assert await asked(clinic.queue, "dispensing", "medicine") == [("d1", ordered.data.content)]
        (found,) = await charted.entries(stage.pool, kinds=["dispensing"], patients=["ben"], goes_on=True)
        assert found["ordered"] == ordered.data.content


async def test_an_order_says_how_much_of_it_was_handed_out(stage: Stage) -> None:
    """What is only set aside may still go back."""
    made = Evening().play([])
    surgery = made.surgery
    surgery.prescribe("rx", "ada")
    for dispensing in ("d1", "d2", "d3"):
        wanted = surgery.request(dispensing, "ada")
        surgery.now_is(c.SupplyAllotted, prescription="rx", patient="ada", dispensing=dispensing, quantity=21,
                       allotted=21, over=False)  # fmt: skip
        if dispensing != "d3":
            surgery.dispense(wanted, lot("A", 21))
    surgery.prescribe("other", "ada")
    async with following(stage, made):
        found = await charted.entries(stage.pool, kinds=["prescription"], patients=["ada"])
        assert {one["id"]: one["dispensed"] for one in found} == {"rx": 42, "other": None}


async def test_a_recall_reaches_every_patient_who_got_the_lot_or_may_have(stage: Stage) -> None:
    made = Evening().play([])
    surgery, pantry = made.surgery, made.pantry
    surgery.prescribe("rx", "ada")
    for dispensing, number in (("known", "L7"), ("other", "L8"), ("unknown", "UNKNOWN"), ("made", "P1")):
        item = "milk" if dispensing == "made" else "rice"
        wanted = surgery.request(dispensing, "ada", item=item)
        surgery.verify(wanted, lot(number, 21))
        if dispensing != "known":
            surgery.dispense(wanted, lot(number, 21))
    surgery.administer("m1", "ben", "l 7", item="rice")
    surgery.administer("m2", "ben", "L7", item="rice")
    surgery.now_is(c.AdministrationReversed, administration="m2", patient="ben", reason="x")
    surgery.vaccinate("v1", "cyd", "L7", item="rice")
    surgery.vaccinate("v2", "cyd", "L7", item=None, location=None, quantity=None, imported_from="elsewhere")
    pantry.receive(20, "L7")
    pantry.receive(5, "P1", item="milk", made_from=[{"item": "rice", "lot": "L7"}], source="repack")
    pantry.do("RecallLot", item="rice", recall="r1", scope={"lots": ["L-7"]}, reason="glass")
    async with following(stage, made) as asked:
        rows = await asked(clinic.recall_patients, "id", "patient", "certainty", "todo", recall="r1")
        assert set(rows) == {
            ("known", "ada", "known", "Keep it back, and refuse it."), ("made", "ada", "known", "Tell the patient."),
            ("m1", "ben", "known", "Tell the patient."), ("v1", "cyd", "known", "Tell the patient."),
            ("unknown", "ada", "possibly it", "Tell the patient."),
        }  # fmt: skip
        assert rows[0][0] == "known" and rows[-1][0] == "unknown"
        used = await asked(clinic.stock_used, "item", "dispensed", "administered", "vaccines", "used")
        assert used == [("milk", 21, 0, 0, 21), ("rice", 42, 1, 1, 44)]
        assert await asked(clinic.recall_patients, "id", recall="r2") == []
