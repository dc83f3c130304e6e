"""Orders, from the household's wish to the end; programmes and sessions, which they are for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from services.distribution.contract import (
    BookSlot,
    BoxPacked,
    BundleLine,
    BundleSet,
    CancelOrder,
    CloseProgramme,
    CloseSession,
    CompleteOrder,
    CompletionReversed,
    ConfirmOrder,
    DistributionError,
    Every,
    FreeSlot,
    LimitSet,
    MergeHouseholds,
    NoShowRecorded,
    NoteMerge,
    OpenProgramme,
    OpenSession,
    OrderCancelled,
    OrderCompleted,
    OrderConfirmed,
    OrderPlaced,
    People,
    ProgrammeClosed,
    ProgrammeOpened,
    RecordNoShow,
    RenewEligibility,
    ReverseCompletion,
    SessionClosed,
    SessionOpened,
    SessionScheduled,
    SetBundle,
    SetLimit,
    SlotBooked,
    SlotFreed,
    Stage,
    VisitRecorded,
    Warned,
    Warning,  # noqa: A004 - the field's own word
    warnings_said,
)
from tests.support.distribution import (
    CATALOGUED,
    HALL,
    NOW,
    ORDERED,
    PROGRAMME,
    WEEK,
    at,
    box,
    claim,
    confirm,
    doors,
    friday,
    given,
    limited,
    pack,
    packed,
    place,
    some,
    visit,
    yilmaz,
)
from tests.support.sentences import erase

E = DistributionError
cancel = CancelOrder(order="o1", reason="Not needed.")
no_show = RecordNoShow(order="o1")
complete = CompleteOrder(order="o1", box="b1")
expired = RenewEligibility(household="yilmaz", eligible_until=date(2026, 11, 19))
merge = MergeHouseholds(household="yilmaz", into="okafor", reason="Twice.")
slotted = replace(friday, slot_minutes=30, slot_capacity=1)


# -- orders -----------------------------------------------------------------------------------------------------------


def test_an_order_is_the_standard_box_for_the_week_of_its_session() -> None:
    placed = given(*HALL).when(place()).then(
        OrderPlaced, goods=some(rice=2), programme="box", period=WEEK, site="hall",
        people=People(child=1, senior=1, unknown=2), warnings=warnings_said((), ["rice"]),
    )  # fmt: skip
    placed.when(place()).then_nothing()
    placed.when(place(household="okafor")).then_rejected(E.ALREADY_EXISTS, order="o1")
    given(*HALL).when(place(lines=some(milk=4))).then(OrderPlaced, goods=some(milk=4))


def test_an_order_that_says_why_again_is_the_same_and_one_that_says_something_else_is_another() -> None:
    why = place(override_reason="A fire.")
    placed = given(*HALL, why)
    placed.when(why).then_nothing()
    placed.when(place(override_reason="A flood.")).then_rejected(E.ALREADY_EXISTS)
    placed.when(place()).then_rejected(E.ALREADY_EXISTS)
    given(*HALL, place()).when(why).then_rejected(E.ALREADY_EXISTS)
    erase("household/yilmaz")  # nobody can tell any more
    placed.when(place(override_reason="A flood.")).then_nothing()
    placed.when(place()).then_rejected(E.ALREADY_EXISTS)


def test_an_order_is_confirmed_until_two_hours_after_the_session() -> None:
    confirmed = given(*HALL, place()).when(confirm).then(OrderConfirmed, due_at=at(13), goods=some(rice=2))
    confirmed.when(confirm).then_nothing()


def test_what_was_served_before_stands_in_the_way_of_confirming() -> None:
    served = given(*HALL, place(), visit())
    served.when(confirm).then_rejected(E.LIMIT_REACHED, used=1)
    served.when(ConfirmOrder(order="o1", override_reason="A fire.")).then(OrderConfirmed, override_reason="A fire.")
    served.when(ConfirmOrder(order="o1", override_reason=" ")).then_rejected(E.OVERRIDE_NEEDS_REASON)
    given(*HALL, place(), claim()).when(confirm).then_event()  # its own claim


def test_what_those_who_go_on_as_the_household_were_served_counts() -> None:
    note = NoteMerge(household="yilmaz", other="okafor", merged=True)
    given(*HALL, visit(household="okafor"), note, place()).when(confirm).then_rejected(E.LIMIT_REACHED, used=1)


def test_a_household_that_goes_on_as_another_orders_as_that() -> None:
    given(*HALL, merge).when(place()).then_rejected(E.HOUSEHOLD_MERGED, into="okafor")
    given(*HALL, place(), merge).when(confirm).then_rejected(E.HOUSEHOLD_MERGED, into="okafor")


def test_eligibility_is_asked_for_the_day_of_the_session_when_placed_and_when_confirmed() -> None:
    given(*HALL, expired).when(place()).then_rejected(E.NOT_ELIGIBLE, day="2026-11-20")
    given(*HALL, place(), expired).when(confirm).then_rejected(E.NOT_ELIGIBLE)
    given(*HALL, place(), expired).when(ConfirmOrder(order="o1", override_reason="Letter.")).then_event()
    given(*HALL, expired, place(override_reason="The letter is on its way.")).when(confirm).then_event()
    given(*HALL).when(place(override_reason=" ")).then_rejected(E.OVERRIDE_NEEDS_REASON)


def test_warnings_are_seen_before_an_order_is_placed() -> None:
    given(*HALL).when(place(lines=some(stew=1))).then_rejected(E.WARNING_NOT_SEEN)
    warned = (Warned(item="stew", warning=Warning.ALLERGENS_UNKNOWN),)
    given(*HALL).when(place(lines=some(stew=1), seen_warnings=True)).then(
        OrderPlaced, warnings=warnings_said(warned, ["stew"])
    )


@pytest.mark.parametrize(
    ("command", "event", "how"),
    [
        (cancel, OrderCancelled, "was cancelled"),
        (no_show, NoShowRecorded, "no-show"),
        (complete, OrderCompleted, "handed"),
    ],
)
def test_an_order_ends_once(command: Any, event: type, how: str) -> None:
    ended = given(*HALL, place(), confirm).when(command).then(event)
    ended.when(command).then_nothing()
    for other in (cancel, no_show, confirm):
        if other is not command:
            outcome = ended.when(other)
            outcome.then_rejected(E.ORDER_ENDED, order="o1")
            assert how in str(outcome.refusal)


def test_a_box_that_was_handed_out_completes_its_order_however_that_had_ended() -> None:
    given(*HALL, place(), confirm).when(complete).then(OrderCompleted, box="b1", claim="o1", beside=None)
    given(*HALL, place(), confirm, no_show).when(complete).then(OrderCompleted, box="b1", claim="box-b1")
    given(*HALL, place()).when(replace(complete, hand_out=2)).then(OrderCompleted, box="b1", claim="box2-b1")


def test_a_second_box_of_an_order_counts_by_a_claim_of_its_own_until_the_first_comes_back() -> None:
    second = CompleteOrder(order="o1", box="b2")
    both = given(*HALL, place(), confirm, complete).when(second).then(OrderCompleted, claim="box-b2", beside="b1")
    both.when(second).then_nothing()
    first, other = ReverseCompletion(order="o1", box="b1"), ReverseCompletion(order="o1", box="b2")
    both.when(other).then(CompletionReversed, stage=Stage.COMPLETED, instead="b1", released="box-b2")
    one = both.when(first).then(CompletionReversed, stage=Stage.COMPLETED, instead="b2", released="box-b2")
    one.when(first).then_nothing()
    again = one.when(replace(complete, hand_out=2)).then(OrderCompleted, claim="box2-b1", beside="b2")
    again.when(other).then(CompletionReversed, stage=Stage.COMPLETED, instead="b1", released="box2-b1")
    one.when(other).then(CompletionReversed, stage=Stage.CONFIRMED, instead=None, released=None)


@pytest.mark.parametrize("command", [confirm, cancel, no_show, complete])
def test_an_order_that_nobody_placed_is_unknown(command: Any) -> None:
    given(*HALL).when(command).then_rejected(E.UNKNOWN_ORDER, order="o1")


@pytest.mark.parametrize(
    ("steps", "command", "code"),
    [
        ((), place(occurred_at=NOW + timedelta(hours=1)), E.OCCURRED_IN_FUTURE),
        ((*HALL, place()), place(household="nobody"), E.ALREADY_EXISTS),
        ((), place(lines=some(x=1)), E.UNKNOWN_HOUSEHOLD),
        ((yilmaz,), place(lines=some(x=1)), E.UNKNOWN_SESSION),
        ((*HALL, merge), place(lines=some(x=1)), E.UNKNOWN_ITEM),
        ((*HALL, merge), place(lines=(*some(rice=1), *some(rice=2))), E.HOUSEHOLD_MERGED),
        ((*HALL, CloseProgramme(programme="box")), place(lines=(*some(rice=1), *some(rice=2))), E.DUPLICATE_LINE),
        ((*HALL, expired, CloseProgramme(programme="box")), place(), E.PROGRAMME_CLOSED),
        ((*HALL, expired, CloseSession(session="friday")), place(), E.SESSION_CLOSED),
        ((*CATALOGUED, box, friday, yilmaz, expired), place(slot=at(8)), E.NOT_ELIGIBLE),
        ((*CATALOGUED, box, friday, yilmaz), place(slot=at(8)), E.WRONG_SLOT),
        ((*CATALOGUED, box, replace(friday, capacity=1), yilmaz, BookSlot(session="friday", order="o9")), place(),
         E.SESSION_FULL),
        ((*CATALOGUED, box, friday, yilmaz), place(), E.NO_BUNDLE),
        ((*HALL, place(), cancel, merge), confirm, E.ORDER_ENDED),
        ((*HALL, place(), merge, CloseProgramme(programme="box")), confirm, E.HOUSEHOLD_MERGED),
        ((*HALL, place(), CloseProgramme(programme="box"), CloseSession(session="friday")), confirm,
         E.PROGRAMME_CLOSED),
        ((*HALL, place(), expired, CloseSession(session="friday")), confirm, E.SESSION_CLOSED),
        ((*HALL, place(), expired, visit(override_reason="x")), confirm, E.NOT_ELIGIBLE),
    ],
)  # fmt: skip
def test_the_first_reason_is_answered(steps: tuple[Any, ...], command: Any, code: DistributionError) -> None:
    given(*steps).when(command).then_rejected(code)


def test_nothing_is_ordered_for_a_session_that_is_over_though_nobody_closed_it() -> None:
    hall = given(*HALL)
    hall.when(place(), now=at(12, 59)).then_event()
    hall.when(place(), now=at(13)).then_rejected(E.SESSION_CLOSED)
    given(*HALL, place()).when(confirm, now=at(13)).then_rejected(E.SESSION_CLOSED)


# -- programmes -------------------------------------------------------------------------------------------------------


def test_a_programme_opens_once_and_ends() -> None:
    opened = given().when(box).then(ProgrammeOpened, kind="box")
    opened.when(box).then_nothing()
    opened.when(replace(box, name="Parcels")).then_rejected(E.ALREADY_EXISTS, programme="box")
    closed = opened.when(CloseProgramme(programme="box")).then(ProgrammeClosed)
    closed.when(CloseProgramme(programme="box")).then_nothing()
    closed.when(limited).then_rejected(E.PROGRAMME_CLOSED)
    closed.when(SetBundle(programme="box", lines=())).then_rejected(E.PROGRAMME_CLOSED)
    for command in (CloseProgramme(programme="box"), limited, SetBundle(programme="box", lines=())):
        given().when(command).then_rejected(E.UNKNOWN_PROGRAMME, programme="box")


def test_a_closed_programme_is_opened_again_with_the_same_facts() -> None:
    closed = given(*HALL, CloseProgramme(programme="box"))
    closed.when(replace(box, name="Bags")).then_rejected(E.ALREADY_EXISTS)
    again = closed.when(box).then(ProgrammeOpened)
    again.when(box).then_nothing()
    again.when(visit()).then(VisitRecorded, goods=some(rice=2), limit=1)
    again.when(CloseProgramme(programme="box")).then(ProgrammeClosed)


def test_a_standard_box_is_of_what_there_is() -> None:
    ryce = SetBundle(programme="box", lines=(BundleLine(item="ryce", quantity=1),))
    given(*HALL).when(ryce).then_rejected(E.UNKNOWN_ITEM, item="ryce")


def test_a_session_is_of_a_week_at_most_and_within_two_years() -> None:
    known = given(*CATALOGUED, *PROGRAMME)
    known.when(replace(friday, ends_at=at(8, day=27))).then_event()
    known.when(replace(friday, ends_at=at(9, day=27))).then_rejected(E.INVALID_RANGE)
    far = {"starts_at": datetime(2029, 11, 20, 8, tzinfo=UTC), "ends_at": datetime(2029, 11, 20, 9, tzinfo=UTC)}
    known.when(replace(friday, **far)).then_rejected(E.INVALID_RANGE)


def test_doors_are_opened_on_their_day_and_of_a_programme_that_goes_on() -> None:
    known = given(*CATALOGUED, *PROGRAMME, friday)
    opened = replace(doors, occurred_at=None)
    known.when(opened, now=at(7, 59, day=19)).then_rejected(E.INVALID_RANGE, session="friday")
    known.when(opened, now=at(8, day=19)).then_event()
    closed = known.when(CloseProgramme(programme="box")).then_event()
    closed.when(opened).then_rejected(E.PROGRAMME_CLOSED)
    closed.when(doors).then(SessionOpened)  # it was, at eight


def test_the_largest_bundle_that_fits_is_the_standard_box() -> None:
    programme = given(*CATALOGUED, *PROGRAMME)
    programme.when(PROGRAMME[1]).then_nothing()
    none = programme.when(SetBundle(programme="box", min_size=3, lines=())).then(BundleSet, lines=())
    none.when(SetBundle(programme="box", min_size=3, lines=())).then_nothing()
    without = given(*HALL, SetBundle(programme="box", min_size=3, lines=()))
    without.when(visit()).then_event()
    assert without.when(visit()).event.goods == some(rice=1)
    twice = PROGRAMME[1].lines * 2
    programme.when(SetBundle(programme="box", lines=twice)).then_rejected(E.DUPLICATE_LINE)


def test_a_limit_is_set_again_only_when_it_is_another() -> None:
    programme = given(*CATALOGUED, *PROGRAMME)
    programme.when(limited).then_nothing()
    programme.when(SetLimit(programme="box", times=1, every=Every.MONTH)).then(LimitSet, every=Every.MONTH)


def test_the_first_limit_holds_from_the_beginning_and_another_number_from_today() -> None:
    first = given(box).when(limited).then(LimitSet, since=None)
    more = first.when(replace(limited, times=2)).then(LimitSet, since=date(2026, 11, 20))
    more.when(replace(limited, times=3)).then(LimitSet, since=date(2026, 11, 20))
    east = given(replace(box, utc_offset=60 * 14), limited, now=at(10))
    east.when(replace(limited, times=2), now=at(10, 1)).then(LimitSet, since=date(2026, 11, 21))


@pytest.mark.parametrize(
    ("day", "every", "since"),
    [
        (date(2026, 11, 20), Every.DAY, date(2026, 11, 21)), (date(2026, 12, 31), Every.DAY, date(2027, 1, 1)),
        (date(2026, 11, 20), Every.MONTH, date(2026, 12, 1)), (date(2026, 12, 1), Every.MONTH, date(2027, 1, 1)),
        (date(2027, 1, 31), Every.MONTH, date(2027, 2, 1)), (date(2026, 11, 20), Every.YEAR, date(2027, 1, 1)),
        (date(2026, 11, 22), Every.WEEK, date(2026, 11, 23)), (date(2026, 11, 23), Every.WEEK, date(2026, 11, 30)),
    ],
)  # fmt: skip
def test_another_kind_of_period_holds_from_the_first_day_after_that_begins_one(
    day: date, every: Every, since: date
) -> None:
    held = Every.DAY if every is Every.WEEK else Every.WEEK
    programme = given(box, replace(limited, every=held))
    now = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    changed = programme.when(replace(limited, every=every), now=now).then(LimitSet, since=since)
    changed.when(replace(limited, every=every), now=now).then_nothing()


def test_a_limit_that_has_not_taken_effect_gives_way_to_the_next() -> None:
    monthly = given(*CATALOGUED, *PROGRAMME, replace(limited, every=Every.MONTH))
    yearly = monthly.when(replace(limited, every=Every.YEAR)).then(LimitSet, since=date(2027, 1, 1))
    assert [limit.every for limit in yearly.state("programme", "box").limits] == [Every.WEEK, Every.YEAR]
    back = yearly.when(limited).then(LimitSet, since=date(2026, 11, 20), every=Every.WEEK)
    assert {limit.every for limit in back.state("programme", "box").limits} == {Every.WEEK}
    more = monthly.when(replace(limited, times=2)).then(LimitSet, every=Every.WEEK, since=date(2026, 11, 20))
    assert [limit.times for limit in more.state("programme", "box").limits] == [1, 2]


def test_a_limit_that_was_set_before_another_is_looked_at_and_never_changes_what_was_counted() -> None:
    changed = given(*CATALOGUED, *PROGRAMME, replace(limited, every=Every.MONTH, occurred_at=at(9)))
    early = replace(limited, times=2, occurred_at=at(8, 54))
    changed.when(early).then_rejected(E.CLOCK_RUNS_BACK, programme="box")
    changed.when(replace(early, occurred_at=at(8, 56))).then(LimitSet, since=date(2026, 11, 20))
    december = datetime(2026, 12, 3, 12, tzinfo=UTC)
    overtaken = replace(early, occurred_at=at(9, day=30))  # after it was set, and before it took effect
    changed.when(overtaken, now=december).then_rejected(E.CLOCK_RUNS_BACK)
    late = replace(early, every=Every.MONTH, occurred_at=december - timedelta(days=1))
    changed.when(late, now=december).then(LimitSet, since=date(2026, 12, 3))
    given(*CATALOGUED, *PROGRAMME).when(replace(limited, times=2), now=at(8, 20)).then_rejected(E.CLOCK_RUNS_BACK)


def test_an_order_counts_by_the_limit_that_holds_when_it_is_confirmed() -> None:
    december = {"starts_at": at(8, day=20) + timedelta(days=14), "ends_at": at(11, day=20) + timedelta(days=14)}
    later = replace(friday, **december)
    placed = given(*CATALOGUED, *PROGRAMME, later, yilmaz, place())
    assert placed.state("order", "o1").placed.period == "2026-W49"
    monthly = placed.when(replace(limited, every=Every.MONTH)).then(LimitSet)
    confirmed = monthly.when(confirm).then(OrderConfirmed, period="2026-12")
    assert confirmed.state("order", "o1").placed.period == "2026-12"
    confirmed.when(pack("b1", packed())).then(BoxPacked, period="2026-12")
    served = monthly.when(claim("o9", period="2026-12")).then_event()
    served.when(confirm).then_rejected(E.LIMIT_REACHED, used=1, period="2026-12")
    kept = placed.when(confirm).then(OrderConfirmed, period="2026-W49")  # a claim stays where it was made
    kept.when(replace(limited, every=Every.MONTH)).then_event().when(pack("b1", packed())).then(
        BoxPacked, period="2026-W49"
    )


# -- sessions ---------------------------------------------------------------------------------------------------------


def test_a_session_is_scheduled_opened_and_closed_once() -> None:
    scheduled = given(box).when(friday).then(SessionScheduled, site="hall")
    scheduled.when(friday).then_nothing()
    scheduled.when(replace(friday, site="church")).then_rejected(E.ALREADY_EXISTS)
    opened = scheduled.when(doors).then(SessionOpened)
    opened.when(doors).then_nothing()
    closed = opened.when(CloseSession(session="friday")).then(SessionClosed, no_shows=())
    closed.when(CloseSession(session="friday")).then_nothing()
    closed.when(doors).then_rejected(E.SESSION_CLOSED)
    scheduled.when(CloseSession(session="friday")).then_rejected(E.SESSION_NOT_OPEN)


def test_a_session_needs_a_programme_an_end_after_its_start_and_slots_for_their_capacity() -> None:
    given().when(friday).then_rejected(E.UNKNOWN_PROGRAMME)
    given(box, CloseProgramme(programme="box")).when(friday).then_rejected(E.PROGRAMME_CLOSED)
    given(box).when(replace(friday, ends_at=friday.starts_at)).then_rejected(E.INVALID_RANGE)
    given(box).when(replace(friday, slot_capacity=3)).then_rejected(E.INVALID_RANGE)
    for command in (
        OpenSession(session="x"), CloseSession(session="x"), BookSlot(session="x", order="o1"),
        FreeSlot(session="x", order="o1"),
    ):  # fmt: skip
        given(box).when(command).then_rejected(E.UNKNOWN_SESSION, session="x")


def test_a_session_does_not_close_before_it_opened() -> None:
    early = CloseSession(session="friday", occurred_at=at(7, 59))
    opened = given(box, friday, doors)
    opened.when(early).then_rejected(E.CLOCK_RUNS_BACK)
    slow = CloseSession(session="friday")
    opened.when(slow, now=at(7, 59)).then_rejected(E.CLOCK_RUNS_BACK).when(slow).then(SessionClosed)
    opened.when(doors, now=at(8)).then_nothing()
    opened.when(OpenSession(session="friday"), now=at(7, 56)).then_nothing()
    given(box, friday).when(replace(doors, occurred_at=at(9, 36))).then_rejected(E.OCCURRED_IN_FUTURE)


def test_open_orders_are_named_when_a_session_is_to_close() -> None:
    expected = given(*HALL, *(BookSlot(session="friday", order=f"o{n}") for n in range(7)))
    outcome = expected.when(CloseSession(session="friday"))
    outcome.then_rejected(E.ORDERS_OPEN, orders=7)
    assert "o0, o1, o2, o3, o4 …" in str(outcome.refusal)
    ending = CloseSession(session="friday", end_orders=True)
    expected.when(ending).then(SessionClosed, no_shows=tuple(f"o{n}" for n in range(7)))


def test_an_order_is_booked_and_freed_once_in_either_order() -> None:
    book, free = BookSlot(session="friday", order="o1"), FreeSlot(session="friday", order="o1")
    booked = given(*HALL).when(book).then(SlotBooked)
    booked.when(book).then_nothing()
    freed = booked.when(free).then(SlotFreed)
    freed.when(free).then_nothing()
    freed.when(book).then_nothing()
    given(*HALL, free).when(book).then_nothing()
    closed = given(*HALL, CloseSession(session="friday"))
    closed.when(book).then_rejected(E.SESSION_CLOSED)
    closed.when(free).then_event()


def test_slots_have_their_times_and_their_room() -> None:
    slots = given(*CATALOGUED, *PROGRAMME, slotted, yilmaz, BookSlot(session="friday", order="o9", slot=at(8, 30)))
    for slot in (None, at(7, 30), at(11), at(8, 15)):
        slots.when(place(slot=slot)).then_rejected(E.WRONG_SLOT)
    slots.when(place(slot=at(8, 30))).then_rejected(E.SESSION_FULL, capacity=1)
    slots.when(place(slot=at(10, 30))).then(OrderPlaced, slot=at(10, 30))


def test_a_full_session_takes_no_more() -> None:
    full = given(*CATALOGUED, *PROGRAMME, replace(friday, capacity=1), yilmaz, BookSlot(session="friday", order="o9"))
    full.when(place()).then_rejected(E.SESSION_FULL, capacity=1)
    freed = full.when(FreeSlot(session="friday", order="o9")).then_event()
    freed.when(place()).then_event()


def test_the_last_place_is_booked_once_whoever_asked_first() -> None:
    """Two orders placed at once both found a place."""
    small = given(*CATALOGUED, *PROGRAMME, replace(friday, capacity=1), yilmaz)
    one, two = (BookSlot(session="friday", order=order) for order in ("o1", "o2"))
    booked = small.when(one).then(SlotBooked)
    booked.when(two).then_rejected(E.SESSION_FULL, capacity=1)
    booked.when(one).then_nothing()
    freed = booked.when(FreeSlot(session="friday", order="o1")).then_event()
    freed.when(two).then(SlotBooked)


def test_the_last_place_of_a_slot_is_booked_once_and_only_at_its_time() -> None:
    slots = given(*CATALOGUED, *PROGRAMME, slotted, yilmaz, BookSlot(session="friday", order="o9", slot=at(8, 30)))
    slots.when(BookSlot(session="friday", order="o1", slot=at(8, 30))).then_rejected(E.SESSION_FULL, capacity=1)
    slots.when(BookSlot(session="friday", order="o1", slot=at(9))).then(SlotBooked, slot=at(9))
    slots.when(BookSlot(session="friday", order="o1", slot=at(8, 15))).then_rejected(E.WRONG_SLOT)
    slots.when(BookSlot(session="friday", order="o1")).then_rejected(E.WRONG_SLOT)


def test_two_programmes_share_nothing() -> None:
    soup = OpenProgramme(programme="soup", name="Soup", kind="choice")
    evening = replace(friday, session="evening", programme="soup")
    hall = given(*HALL, soup, evening, OpenSession(session="evening"), visit())
    hall.when(visit("v2", programme="soup", session="evening", lines=some(rice=1))).then_event()


# -- a box that was not handed out after all --------------------------------------------------------------------------


def test_an_order_whose_box_is_here_still_is_what_it_was_before() -> None:
    undo = ReverseCompletion(order="o1", box="b1")
    handed = given(*ORDERED, complete)
    back = handed.when(undo).then(
        CompletionReversed, stage=Stage.CONFIRMED, due_at=at(13), ended_at=None, household="yilmaz", session="friday"
    )
    back.when(undo).then_nothing()
    back.when(RecordNoShow(order="o1")).then_event()
    back.when(CompleteOrder(order="o1", box="b2")).then_event()
    handed.when(replace(undo, box="b2")).then_nothing()
    given(*ORDERED).when(undo).then_nothing()
    given(*HALL).when(undo).then_rejected(E.UNKNOWN_ORDER, order="o1")
    late = given(*ORDERED, RecordNoShow(order="o1", occurred_at=at(9)), complete)
    late.when(undo).then(CompletionReversed, stage=Stage.NO_SHOW, ended_at=at(9))


def test_an_order_that_is_expected_again_is_seen_by_whoever_closes_the_session() -> None:
    book, free = BookSlot(session="friday", order="o1"), FreeSlot(session="friday", order="o1", served=True)
    freed = given(*HALL, book, free)
    again = freed.when(replace(book, again=True)).then_event()
    again.when(replace(book, again=True)).then_nothing()
    again.when(CloseSession(session="friday")).then_rejected(E.ORDERS_OPEN, orders=1)
    again.when(free).then_event().when(CloseSession(session="friday")).then_event()
    given(*HALL, book, free, CloseSession(session="friday")).when(replace(book, again=True)).then_event()


def test_an_order_that_was_handed_out_is_no_no_show_and_nothing_is_advised_in_its_place() -> None:
    done = given(*HALL, place(), confirm, complete)
    for command, words in ((no_show, "was handed out. Nobody is waited for"), (cancel, "There is nothing to cancel")):
        refused = done.when(command)
        refused.then_rejected(E.ORDER_ENDED, order="o1")
        assert words in str(refused.refusal) and "another" not in str(refused.refusal)


def test_who_was_served_without_their_unconfirmed_order_is_no_no_show() -> None:
    """They came, and nothing had been set aside."""
    none = no_show
    served = given(*HALL, place(), visit())
    served.when(none).then(OrderCancelled, household="yilmaz", session="friday")
    given(*HALL, place()).when(none).then(NoShowRecorded)
    given(*HALL, place(), confirm, visit()).when(none).then(NoShowRecorded)
    given(*HALL, place(), visit(household="okafor")).when(none).then(NoShowRecorded)
    other = replace(friday, session="late", starts_at=at(9), ends_at=at(12))
    elsewhere = given(
        *HALL, other, replace(doors, session="late", occurred_at=at(8, 20)), place(session="late"), visit()
    )
    elsewhere.when(none).then(NoShowRecorded)


def test_whoever_came_under_another_id_or_since_a_limit_changed_is_no_no_show() -> None:
    merge = MergeHouseholds(household="yilmaz", into="okafor", reason="Twice.")
    note = NoteMerge(household="okafor", other="yilmaz", merged=True)
    given(*HALL, place(), merge, note, visit(household="okafor")).when(no_show).then(OrderCancelled)
    given(*HALL, visit(), merge, note, place(household="okafor")).when(no_show).then(OrderCancelled)
    later = replace(friday, session="later", starts_at=at(8) + timedelta(days=14), ends_at=at(11) + timedelta(days=14))
    monthly = given(*HALL, later, place(session="later"), replace(limited, every=Every.MONTH))
    then = at(9) + timedelta(days=14)
    monthly.when(visit(session="later", period="2026-12", fact=True, occurred_at=then), now=then).then_event().when(
        no_show, now=then
    ).then(OrderCancelled)
