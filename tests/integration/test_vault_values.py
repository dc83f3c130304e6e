"""Values in personal fields behind the kernel, on a real server: sealed as JSON, compared as values, and erased."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec
import pytest

from services.commands.render import cell
from services.local.nats import NatsServer
from shared.client import CommandClient
from shared.command import Answer
from shared.connection import connect
from shared.decider import Ref
from shared.errors import CommandIdReused, Erased, Invalid, Rejected, TooLarge
from shared.keyreader import Closed, open_texts
from shared.masterkeys import from_file
from shared.message import Refused
from shared.sealing import MAX_TEXT_BYTES, is_sealed
from tests.support.club import Club, Place
from tests.support.leaks import leaks
from tests.support.ward import (
    Allergy,
    Bed,
    Patient,
    Reaction,
    Reading,
    RecordAllergy,
    Severity,
    TakeVitals,
    event_of,
    running,
)  # fmt: skip


@pytest.fixture
def place(tmp_path: Path, nats_server: NatsServer) -> Place:
    return Place(tmp_path, nats_server)


NUTS = Allergy(
    substance="Quillwort nuts", since=date(2020, 2, 29),
    reactions=(Reaction(sign="Marginal hives", severity=Severity.SEVERE),),
)  # fmt: skip
FIRST = RecordAllergy(patient="p-1", allergy="a-1", content=NUTS, remark="told by Ana")
MILK = Allergy(substance="Milk")
BED = Bed(bed="b-2")
READINGS = tuple(
    Reading(code="bodytemperature", reading=371 + n, at=datetime(2026, 11, 20, 9, n, 0, 250, tzinfo=UTC))
    for n in range(3)
)
VITALS = TakeVitals(
    patient="p-1", readings=READINGS, first=READINGS[0],
    beds=(Bed(bed="b-1", stay=Reaction(sign="slept", severity=Severity.MILD)), BED),
)  # fmt: skip


async def _state(service: Club) -> Patient:
    state, _ = await service.handler.state(Ref("patient", "p-1"))
    assert isinstance(state, Patient)
    return state


def _opened(service: Club, answer: Answer, field: str) -> object:
    text = service.opened(getattr(event_of(answer), field))
    return None if text is None else msgspec.json.decode(text)


async def test_a_value_is_sealed_as_its_json_in_the_event_and_the_state(place: Place) -> None:
    async with running(place) as service:
        answer = await service.send(FIRST, "1")
        event = event_of(answer)
        assert is_sealed(event.content) and is_sealed(event.remark)
        assert _opened(service, answer, "content") == {
            "substance": "Quillwort nuts", "since": "2020-02-29",
            "reactions": [{"sign": "Marginal hives", "severity": "severe"}],
        }  # fmt: skip
        assert (await _state(service)).allergies == {"a-1": event.content}
        vitals = event_of(await service.send(VITALS, "2"))
        assert is_sealed(vitals.readings) and is_sealed(vitals.first) and is_sealed(vitals.beds[0].stay)
        assert vitals.beds[0].bed == "b-1" and vitals.beds[1].stay is None
        least = event_of(await service.send(TakeVitals(patient="p-1", readings=READINGS[:1]), "3"))
        assert least.first is None


async def test_a_repeat_with_the_same_value_gets_the_first_answer_at_once_and_after_a_restart(place: Place) -> None:
    async with running(place) as service:
        first, second = await asyncio.gather(service.send(FIRST, "1"), service.send(FIRST, "1"))
        assert (first.event, second.repeated) == (second.event, True)
        vitals = await service.send(VITALS, "2")
        assert (await service.send(VITALS, "2")).event == vitals.event
    async with running(place) as service, running(place) as other:
        for one in (service, other):
            assert (await one.send(FIRST, "1")).event == first.event
            assert (await one.send(VITALS, "2")).event == vitals.event


@pytest.mark.parametrize(
    ("command", "id", "field"),
    [
        (RecordAllergy(patient="p-1", allergy="a-1", content=MILK, remark=FIRST.remark), "1", "content"),
        (
            RecordAllergy(
                patient="p-1", allergy="a-1", remark=FIRST.remark,
                content=Allergy(substance=NUTS.substance, since=NUTS.since),
            ),
            "1", "content",
        ),
        (TakeVitals(patient="p-1", readings=READINGS[::-1], first=VITALS.first, beds=VITALS.beds), "2", "readings"),
        (TakeVitals(patient="p-1", readings=READINGS, beds=VITALS.beds), "2", "first"),
        (TakeVitals(patient="p-1", readings=READINGS, first=READINGS[0], beds=(Bed(bed="b-1"), BED)), "2", "beds"),
    ],
)  # fmt: skip
async def test_a_repeat_with_another_value_is_refused_naming_the_field_and_not_the_value(
    place: Place, command: object, id: str, field: str
) -> None:
    async with running(place) as service:
        await service.send(FIRST, "1")
        await service.send(VITALS, "2")
        with pytest.raises(CommandIdReused) as refused:
            await service.send(command, id)
        assert refused.value.facts["field"] == field
        assert not any(word in str(refused.value.problem()) for word in ("Quillwort", "Milk", "371"))
    async with running(place) as service:
        with pytest.raises(CommandIdReused) as refused:
            await service.send(command, id)
        assert refused.value.facts["field"] == field


async def test_after_erasure_any_value_is_the_same_and_nothing_new_is_sealed(place: Place) -> None:
    async with running(place) as service:
        first = await service.send(FIRST, "1")
        assert service.handler.vault is not None
        await service.handler.vault.destroy("patient/p-1")
        assert _opened(service, first, "content") is None
        with pytest.raises(Erased):  # the decision, which can no longer open what it knows, lets it pass
            await service.send(RecordAllergy(patient="p-1", allergy="a-2", content=NUTS), "2")
    async with running(place) as service:
        other = RecordAllergy(patient="p-1", allergy="a-1", content=MILK, remark="x")
        assert (await service.send(other, "1")).event == first.event
        with pytest.raises(CommandIdReused) as refused:
            await service.send(RecordAllergy(patient="p-1", allergy="a-9", content=NUTS), "1")
        assert refused.value.facts["field"] == "allergy"


async def test_a_decision_opens_values_live_after_a_restart_and_from_a_snapshot(place: Place) -> None:
    place.snapshot_every = 10
    again = RecordAllergy(patient="p-1", allergy="a-2", content=Allergy(substance="Quillwort nuts"))
    async with running(place) as service:
        await service.send(FIRST, "1")
        with pytest.raises(Rejected, match="known already"):
            await service.send(again, "2")
        for n in range(3, 16):
            await service.send(TakeVitals(patient="p-1", readings=READINGS), str(n))
        live = await _state(service)
    async with running(place) as service:
        assert await _state(service) == live
        with pytest.raises(Rejected, match="known already"):
            await service.send(again, "2")
        assert (await service.send(FIRST, "1")).repeated


async def test_the_json_is_bounded_as_a_text_is_and_the_field_is_named(place: Place) -> None:
    async with running(place) as service:
        for signs, field in ((8, None), (9, "content")):
            reactions = tuple(Reaction(sign="x" * 2000, severity=Severity.MILD) for _ in range(signs))
            command = RecordAllergy(
                patient="p-1", allergy="a", content=Allergy(substance=f"{signs} signs", reactions=reactions)
            )
            if field is None:
                await service.send(command, str(signs))
                continue
            with pytest.raises(TooLarge, match=f"The field content is .* at most {MAX_TEXT_BYTES:,}") as refused:
                await service.send(command, str(signs))
            assert refused.value.facts["field"] == field


async def test_a_value_comes_over_the_wire_and_is_checked_at_the_door(place: Place) -> None:
    async with running(place):
        nc = await connect(place.server.url, name="test")
        try:
            client = CommandClient(nc, actor="sam")
            data = {"patient": "p-1", "allergy": "a-1", "content": msgspec.to_builtins(NUTS), "remark": "told by Ana"}
            reply = await client.send("ward", "RecordAllergy", data, id="1")
            assert reply.event is not None and is_sealed(reply.event["data"]["content"])
            with pytest.raises(Refused) as refused:
                await client.send("ward", "RecordAllergy", data | {"content": {"substance": 7}}, id="2")
            assert refused.value.code == Invalid.code and "content.substance" in refused.value.detail
            repeated = await client.send("ward", "RecordAllergy", data, id="1")
            assert repeated.repeated
        finally:
            await nc.close()


async def test_whoever_looks_with_the_master_key_is_given_the_json(place: Place) -> None:
    async with running(place) as service:
        text = event_of(await service.send(FIRST, "1")).content
        assert cell(text) == "(sealed)"
        masters = from_file(place.masters)
        found = await open_texts(service.nc, "ward", masters, [text])
        assert msgspec.json.decode(found[text], type=Allergy) == NUTS
        assert service.handler.vault is not None
        await service.handler.vault.destroy("patient/p-1")
        assert await open_texts(service.nc, "ward", masters, [text]) == {text: Closed.ERASED}


async def test_no_stored_byte_shows_what_is_inside(place: Place) -> None:
    place.snapshot_every = 10
    async with running(place) as service:
        await service.send(FIRST, "1")
        for n in range(2, 16):
            await service.send(VITALS, str(n))
        with pytest.raises(CommandIdReused):
            await service.send(RecordAllergy(patient="p-1", allergy="marker-of-a-9", content=NUTS), "1")
        await service.send(RecordAllergy(patient="p-1", allergy="marker-of-a-1", content=MILK), "99")
    personal = ["Quillwort", "Marginal hives", "bodytemperature", "substance", "2020-02-29", "told by Ana"]
    found = leaks([*personal, "marker-of-a-1"], place.folder)
    assert found.pop("marker-of-a-1"), "what is in clear is found"
    assert found == {}
