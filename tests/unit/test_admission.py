"""How often one actor may send, and how many bytes may wait."""

from __future__ import annotations

import asyncio

import pytest

from shared.admission import BYTES_A_COMMAND, SERVICES_TIMES, Admission, RateLimit
from shared.errors import Busy, RateLimited, retry_after
from shared.settings import Settings


class Time:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


def admission(time: Time, **settings: object) -> Admission:
    return Admission("kiosk", Settings.model_validate({"rate": 10, "rate_burst": 100, **settings}), clock=time)


def taken(limit: RateLimit, actor: str, times: int) -> int:
    return sum(limit.take(actor) == 0 for _ in range(times))


def test_so_many_at_once_and_so_many_a_second(time: Time) -> None:
    limit = RateLimit(10, 100, clock=time)
    assert taken(limit, "sam", 1000) == 100
    time.now += 1
    assert taken(limit, "sam", 1000) == 10
    time.now += 3600  # rest is not saved up
    assert taken(limit, "sam", 1000) == 100


def test_it_says_how_long_to_wait_and_is_right(time: Time) -> None:
    limit = RateLimit(10, 100, clock=time)
    taken(limit, "sam", 100)
    wait = limit.take("sam", 5)
    assert wait == pytest.approx(0.5)
    time.now += wait * 0.9
    assert limit.take("sam", 5) > 0
    time.now += wait * 0.1
    assert limit.take("sam", 5) == 0


def test_what_is_refused_costs_nothing_more(time: Time) -> None:
    limit = RateLimit(10, 100, clock=time)
    taken(limit, "sam", 100_000)
    time.now += 0.1
    assert limit.take("sam") == 0


def test_one_actor_takes_nothing_of_another(time: Time) -> None:
    limit = RateLimit(10, 100, clock=time)
    assert taken(limit, "eve", 1000) == 100
    assert taken(limit, "sam", 1000) == 100


def test_many_names_neither_fill_the_memory_nor_bring_more(time: Time) -> None:
    """Who invents a name for each command is one of many who share what is left, and nobody's debt is forgotten."""
    limit = RateLimit(10, 100, actors=50, clock=time)
    assert taken(limit, "eve", 1000) == 100
    invented = sum(limit.take(f"name-{number}") == 0 for number in range(10_000))
    assert invented == 49 + 100, "49 that found room, and one bucket for all others"
    assert len(limit) <= 51
    assert limit.take("eve") > 0
    time.now += 60  # all are full again, and make room
    assert taken(limit, "sam", 1000) == 100
    assert len(limit) <= 51


def test_more_than_a_bucket_holds_takes_all_of_it(time: Time) -> None:
    limit = RateLimit(10, 100, clock=time)
    assert limit.take("sam", 5000) == 0
    assert limit.take("sam") == pytest.approx(0.1)


def test_the_refusal_says_when_in_whole_seconds(time: Time) -> None:
    door = admission(time)
    for _ in range(100):
        door.sender("sam", "user", 500)
    with pytest.raises(RateLimited) as refused:
        door.sender("sam", "user", 500)
    problem = refused.value.problem()
    assert (problem["status"], problem["code"], problem["retry_after"]) == (429, "RATE_LIMITED", 1)
    assert retry_after(refused.value) == 1
    time.now += 1
    door.sender("sam", "user", 500)


def test_a_long_request_counts_as_several(time: Time) -> None:
    door = admission(time)
    door.sender("sam", "user", 99 * BYTES_A_COMMAND)
    with pytest.raises(RateLimited):
        door.sender("sam", "user", 500)


def test_a_service_may_send_more_and_a_person_of_its_name_takes_nothing_of_it(time: Time) -> None:
    door = admission(time)
    for _ in range(100 * SERVICES_TIMES):
        door.sender("fulfilment", "process", 500)
    with pytest.raises(RateLimited):
        door.sender("fulfilment", "process", 500)
    door.sender("fulfilment", "user", 500)


def test_without_a_rate_nobody_is_refused(time: Time) -> None:
    door = admission(time, rate=0)
    for _ in range(10_000):
        door.sender("sam", "user", 4 << 20)


async def test_bytes_are_counted_until_they_are_answered(time: Time) -> None:
    door = admission(time, max_waiting_mb=1)
    answers = [asyncio.get_running_loop().create_future() for _ in range(2)]
    for actor, answer in zip(("eve", "sam"), answers, strict=True):
        door.room(500_000)
        door.hold(500_000, actor, answer)
    with pytest.raises(Busy) as busy:
        door.room(500_000)
    assert busy.value.code == "BUSY" and retry_after(busy.value) == 1
    answers[0].set_result(None)
    answers[1].cancel()
    await asyncio.sleep(0)
    assert door.waiting_bytes == 0
    door.room(4 << 20)  # one alone is never too large: it would be refused for ever


async def test_one_sender_leaves_room_for_others(time: Time) -> None:
    door = admission(time, max_waiting_mb=1)
    door.sender("eve", "user", 4 << 20)  # alone, and so never too large
    answers = [asyncio.get_running_loop().create_future() for _ in range(3)]
    time.now += 10
    door.hold(300_000, "eve", answers[0])
    with pytest.raises(Busy) as busy:
        door.sender("eve", "user", 300_000)
    assert retry_after(busy.value) == 1
    door.sender("sam", "user", 300_000)
    door.room(300_000)
    door.hold(300_000, "sam", answers[1])
    for answer in answers:
        answer.set_result(None)
    await asyncio.sleep(0)
    door.sender("eve", "user", 300_000)
    assert door.waiting_bytes == 0 and not door._bytes_of


@pytest.mark.parametrize("said", [None, "soon", -1, 0, 1e9, float("nan"), [1]])
def test_a_wait_that_makes_no_sense_is_none(said: object) -> None:
    assert retry_after(Busy("no", **({} if said is None else {"retry_after": said}))) == 0
