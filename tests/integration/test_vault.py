"""Personal data behind the kernel, on a real server: sealed before it is stored, compared, and erased."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from services.local.nats import NatsServer
from shared.command import Answer
from shared.decider import Ref
from shared.errors import CommandIdReused, Corrupt, Erased, LedgerError, Rejected
from shared.event import FIRST_PREVHASH
from shared.sealing import is_sealed
from shared.store import chain
from tests.support.club import Club, GiveLocker, Join, Name, Place, TakeLocker, Visit, club, event_of, running
from tests.support.club import Member as MemberState


@pytest.fixture
def place(tmp_path: Path, nats_server: NatsServer) -> Place:
    return Place(tmp_path, nats_server)


ANA = Join(member="m-1", name="Ana Ruiz", contact="ana@example.org", visits=(Visit(day="Monday", guest="Bo Lind"),))


async def _state(service: Club, member: str) -> MemberState:
    state, _ = await service.handler.state(Ref("member", member))
    assert isinstance(state, MemberState)
    return state


async def test_what_is_personal_is_sealed_in_the_event_the_state_and_the_answer(place: Place) -> None:
    async with running(place) as service:
        answer = await service.send(ANA, "1")
        event = event_of(answer)
        assert is_sealed(event.name) and is_sealed(event.contact) and is_sealed(event.visits[0].guest)
        assert event.visits[0].day == "Monday"
        assert [service.opened(t) for t in (event.name, event.contact, event.visits[0].guest)] == [
            "Ana Ruiz", "ana@example.org", "Bo Lind",
        ]  # fmt: skip
        assert b"Ana" not in (answer.event or b"") and (await service.recorded(answer)).raw == answer.event
        assert (await _state(service, "m-1")).names == [event.name]


async def test_a_state_is_the_same_live_and_folded_again(place: Place) -> None:
    async with running(place) as service:
        await service.send(ANA, "1")
        await service.send(Name(member="m-1", name="Ana Lind"), "2")
        live = await _state(service, "m-1")
    async with running(place) as service:
        assert await _state(service, "m-1") == live
        assert [service.opened(name) for name in live.names] == ["Ana Ruiz", "Ana Lind"]


async def test_a_repeat_compares_equal_at_once_and_after_a_restart(place: Place) -> None:
    async with running(place) as service:
        first, second = await asyncio.gather(service.send(ANA, "1"), service.send(ANA, "1"))
        assert (first.event, second.repeated) == (second.event, True)
    async with running(place) as service:
        again = await service.send(ANA, "1")
        assert (again.event, again.repeated) == (first.event, True)


@pytest.mark.parametrize(
    ("command", "field"),
    [
        (Join(member="m-1", name="Ana Ruis", contact=ANA.contact, visits=ANA.visits), "name"),
        (Join(member="m-1", name=ANA.name, visits=ANA.visits), "contact"),
        (Join(member="m-1", name=ANA.name, contact=ANA.contact, visits=(Visit(day="Monday", guest="Cy"),)), "visits"),
    ],
)
async def test_a_repeat_that_says_something_else_is_refused_naming_the_field(
    place: Place, command: Join, field: str
) -> None:
    async with running(place) as service:
        await service.send(ANA, "1")
        with pytest.raises(CommandIdReused) as refused:
            await service.send(command, "1")
        assert refused.value.facts["field"] == field
        assert not any(word in refused.value.detail for word in ("Ana", "Cy", "example"))
    async with running(place) as service:
        with pytest.raises(CommandIdReused) as refused:
            await service.send(command, "1")
        assert refused.value.facts["field"] == field


async def test_a_repeat_that_reaches_another_process_is_compared_as_well(place: Place) -> None:
    """It ran before the owner's key was made, and has not read it yet."""
    async with running(place) as service, running(place) as other:
        first = await service.send(ANA, "1")
        with pytest.raises(CommandIdReused) as refused:
            await other.send(Join(member="m-1", name="Ana Ruis", contact=ANA.contact, visits=ANA.visits), "1")
        assert refused.value.facts["field"] == "name"
        again = await other.send(ANA, "1")
        assert (again.event, again.repeated) == (first.event, True)


async def test_the_same_name_has_the_same_index_and_another_has_another(place: Place) -> None:
    async with running(place) as service:
        marks = [
            event_of(await service.send(Join(member=f"m-{n}", name=name), str(n))).mark
            for n, name in enumerate(["Ana Ruiz", "ANA  ruiz", "\uff21na Ruiz", "Ana Ruis"])
        ]
        assert marks[0] == marks[1] == marks[2] != marks[3]
    async with running(place) as service:
        again = event_of(await service.send(Join(member="m-9", name="ana ruiz"), "9")).mark
        assert again == marks[0] and len(again) == 32
        assert service.handler.vault is not None
        assert service.handler.vault.blind("other", "ana ruiz") != again


# -- remarks ----------------------------------------------------------------------------------------------------------

TAKEN = TakeLocker(locker="l-1", why="Found the key of Bo's.")


async def _why(service: Club, answer: Answer) -> str | None:
    text = event_of(answer).why
    return service.opened(text) if is_sealed(text) else text


async def test_a_remark_is_sealed_for_whom_the_decision_named_whoever_made_the_key(place: Place) -> None:
    """The command does not say whose locker it is, and the other process has never heard of the member."""
    async with running(place) as service, running(place) as other:
        await service.send(ANA, "1")
        await service.send(GiveLocker(locker="l-1", member="m-1"), "2")
        taken = await other.send(TAKEN, "3")
        assert is_sealed(event_of(taken).why) and b"Found" not in (taken.event or b"")
        assert await _why(service, taken) == TAKEN.why
        assert (await service.send(TAKEN, "3")).event == taken.event
        with pytest.raises(CommandIdReused):
            await service.send(TakeLocker(locker="l-1", why="No reason."), "3")


async def test_a_key_is_made_for_whoever_has_none_once_something_is_decided_of_them(place: Place) -> None:
    async with running(place) as service:
        assert service.handler.vault is not None
        await service.send(GiveLocker(locker="l-1", member="m-5"), "1")
        assert not service.handler.vault.knows("member/m-5")
        assert await _why(service, await service.send(TAKEN, "2")) == TAKEN.why
        await service.send(Join(member="m-6", name="Cy"), "3")
        with pytest.raises(Rejected):
            await service.send(Join(member="m-6", name="Cy"), "4")


async def test_a_remark_about_nobody_stands_in_clear_and_is_compared(place: Place) -> None:
    async with running(place) as service:
        await service.send(GiveLocker(locker="l-1"), "1")
        taken = await service.send(TAKEN, "2")
        assert event_of(taken).why == TAKEN.why
    async with running(place) as service:
        assert (await service.send(TAKEN, "2")).event == taken.event
        with pytest.raises(CommandIdReused) as refused:
            await service.send(TakeLocker(locker="l-1", why="No reason."), "2")
        assert refused.value.facts["field"] == "why"


async def test_what_happened_to_who_was_erased_is_recorded_and_what_is_said_of_it_is_never_read(place: Place) -> None:
    async with running(place) as service:
        await service.send(ANA, "1")
        await service.send(GiveLocker(locker="l-1", member="m-1"), "2")
        await _erase(service, "m-1")
        taken = await service.send(TAKEN, "3")
        assert is_sealed(event_of(taken).why) and await _why(service, taken) is None
    async with running(place) as service:
        assert await _why(service, taken) is None
        assert (await service.send(TAKEN, "3")).event == taken.event
        assert service.handler.vault is not None and service.handler.vault.erased("member/m-1")


# -- erasure ----------------------------------------------------------------------------------------------------------


async def _erase(service: Club, member: str) -> None:
    assert service.handler.vault is not None
    await service.handler.vault.destroy(f"member/{member}")


async def test_after_erasure_nobody_can_open_what_was_sealed_and_everything_else_holds(place: Place) -> None:
    place.snapshot_every = 10
    async with running(place) as service:
        first = await service.send(ANA, "1")
        other = await service.send(Join(member="m-2", name="Bo Lind"), "o")
        for n in range(2, 12):
            await service.send(Name(member="m-1", name=f"Ana {n}"), str(n))
        await _erase(service, "m-1")
        assert service.opened(event_of(first).name) is None
        assert service.opened(event_of(other).name) == "Bo Lind"
        live = await _state(service, "m-1")
    async with running(place) as service:
        events, _ = await service.store.page(Ref("member", "m-1"))
        assert chain(events, revision=0, previous=FIRST_PREVHASH)[0] == 11
        assert await _state(service, "m-1") == live
        assert service.opened(event_of(first).name) is None
        assert service.opened(event_of(other).name) == "Bo Lind"


async def test_nothing_new_is_sealed_for_who_was_erased(place: Place) -> None:
    async with running(place) as service:
        await service.send(ANA, "1")
        await _erase(service, "m-1")
        with pytest.raises(Erased, match="was erased"):
            await service.send(Name(member="m-1", name="Ana"), "2")
        with pytest.raises(Rejected):
            await service.send(ANA, "3")
    async with running(place) as service:
        with pytest.raises(Erased):
            await service.send(Name(member="m-1", name="Ana"), "2")


async def test_who_was_erased_before_the_first_event_gets_no_key(place: Place) -> None:
    async with running(place) as service:
        await _erase(service, "m-7")
        with pytest.raises(Erased):
            await service.send(Join(member="m-7", name="Ana"), "1")
        assert await service.store.last_sequence() == 0


async def test_a_repeat_for_who_was_erased_gets_the_first_answer_whatever_its_name(place: Place) -> None:
    async with running(place) as service:
        first = await service.send(ANA, "1")
        await _erase(service, "m-1")
        assert (await service.send(ANA, "1")).event == first.event
    async with running(place) as service:
        changed = Join(member="m-1", name="Someone", contact="c", visits=(Visit(day="Monday", guest="d"),))
        assert (await service.send(changed, "1")).event == first.event
        with pytest.raises(CommandIdReused) as refused:  # what is in clear still tells
            await service.send(Join(member="m-1", name="Someone", contact="c", visits=(Visit(day="Friday"),)), "1")
        assert refused.value.facts["field"] == "visits"


async def test_what_one_process_erased_the_other_seals_no_more(place: Place) -> None:
    async with running(place) as one, running(place) as other:
        first = await one.send(ANA, "1")
        await _erase(other, "m-1")
        async with asyncio.timeout(5):
            while one.opened(event_of(first).name) is not None:
                await asyncio.sleep(0.01)
        with pytest.raises(Erased):
            await one.send(Name(member="m-1", name="Ana"), "2")


async def test_what_was_erased_while_the_connection_was_lost_is_known_when_it_is_back(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.vault.Vault._hear", lambda *_: None)  # no hint arrives
    async with running(place) as service:
        first = await service.send(ANA, "1")
        async with running(place) as other:
            await _erase(other, "m-1")
        assert service.opened(event_of(first).name) == "Ana Ruiz"
        service.handler.connection_changed()
        async with asyncio.timeout(10):
            while service.opened(event_of(first).name) is not None:
                await asyncio.sleep(0.01)
        new = await service.send(Join(member="m-3", name="Cy"), "3")
        assert service.opened(event_of(new).name) == "Cy"


# -- a sealed text where it does not belong ---------------------------------------------------------------------------


async def test_a_sealed_text_in_another_event_or_field_is_seen(place: Place) -> None:
    async with running(place) as service:
        answer = await service.send(ANA, "1")
        event, raw = event_of(answer), json.loads(answer.event or b"")
        vault = service.handler.vault
        assert vault is not None
        assert vault.unseal(event.name, owner="member/m-1", event_id=raw["id"], field="name") == "Ana Ruiz"
        for wrong in ({"owner": "member/m-2"}, {"event_id": "x"}, {"field": "contact"}):
            with pytest.raises(Corrupt, match="does not belong"):
                vault.unseal(event.name, **wrong)


async def test_a_service_without_a_master_key_or_a_folder_does_not_start(place: Place) -> None:
    whole = place.settings()
    for missing, message in (("master_key_file", "COMMONS_MASTER_KEY_FILE"), ("keyring", "COMMONS_KEYRING")):
        service = Club(club, [], whole.model_copy(update={missing: None}))
        with pytest.raises(LedgerError, match=message):
            await service.start()
