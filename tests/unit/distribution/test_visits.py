"""Visits at the table, and the limit that two tables cannot pass together."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from services.distribution.contract import (
    AddMember,
    AuthoriseProxy,
    BoxHandedOut,
    CloseProgramme,
    CloseSession,
    CompleteOrder,
    ConfirmOrder,
    DistributionError,
    EntitlementClaimed,
    EntitlementReleased,
    Every,
    LimitSet,
    MergeHouseholds,
    NoteBox,
    NoteMerge,
    OpenProgramme,
    People,
    RecordVisit,
    RegisterHousehold,
    ReleaseEntitlement,
    RenewEligibility,
    ResolveVisit,
    ReverseVisit,
    RevokeProxy,
    ScheduleSession,
    SessionOpened,
    SetBundle,
    VisitRecorded,
    VisitResolved,
    VisitReversed,
    Warned,
    Warning,  # noqa: A004 - the field's own word
    fulfilment_of_visit,
    warnings_said,
)
from shared.types import MAX_INTEGER
from tests.support.distribution import (
    CATALOGUED,
    HALL,
    LIMITED,
    NOW,
    ORDERED,
    PROGRAMME,
    WEEK,
    ago,
    anonymous,
    at,
    box,
    claim,
    confirm,
    doors,
    friday,
    given,
    goods,
    hand_out,
    issued,
    limited,
    okafor,
    pack,
    packed,
    place,
    some,
    visit,
    yilmaz,
)
from tests.support.sentences import erase

E = DistributionError
reverse = ReverseVisit(**LIMITED, visit="v1", reason="The wrong card.")
expired = RenewEligibility(household="yilmaz", eligible_until=date(2026, 11, 19))
merged = (
    MergeHouseholds(household="yilmaz", into="okafor", reason="Registered twice."),
    NoteMerge(household="okafor", other="yilmaz", merged=True),
)


def test_a_visit_is_the_standard_box_for_the_households_size() -> None:
    served = given(*HALL).when(visit()).then(
        VisitRecorded, goods=some(rice=2), site="hall", used=1, limit=1, breaches=(),
        warnings=warnings_said((), ["rice"]), served=People(child=1, senior=1, unknown=2),
    )  # fmt: skip
    served.when(visit()).then_nothing()
    given(*HALL).when(visit(household="okafor")).then(VisitRecorded, goods=some(rice=1))


def test_what_is_chosen_is_given_instead() -> None:
    given(*HALL).when(visit(lines=some(milk=3), people=People(adult=1))).then(
        VisitRecorded, goods=some(milk=3), served=People(adult=1)
    )


def test_a_second_table_is_told() -> None:
    served = given(*HALL, visit())
    served.when(visit("v2")).then_rejected(E.LIMIT_REACHED, used=1, limit=1, period=WEEK)
    served.when(claim()).then_rejected(E.LIMIT_REACHED, used=1)
    served.when(visit("v2", household="okafor")).then_event()
    given(*HALL, claim()).when(visit()).then_rejected(E.LIMIT_REACHED, used=1)


def test_an_order_that_waits_is_told_so_that_nobody_is_served_twice_for_it() -> None:
    """Whoever reads that it was served looks no further, and overrides."""
    noted = NoteBox(order="o1", box="b1", packed=True)
    ordered = given(*HALL, place(), confirm, claim())
    for steps, words in ((ordered, "order o1 waiting here (not packed yet)"),
                         (ordered.when(noted).then_event(), "order o1 waiting here (box b1)")):  # fmt: skip
        refused = steps.when(visit())
        refused.then_rejected(E.LIMIT_REACHED, used=1, limit=1, orders=["o1"])
        assert f"Household yilmaz has {words}: with it, 1 of 1 times are used in {WEEK}" in str(refused.refusal)
    merge = given(*HALL, place(), confirm, claim(), *merged).when(visit(household="okafor"))
    merge.then_rejected(E.LIMIT_REACHED, orders=["o1"])
    second = ordered.when(place("o2")).then_event().when(ConfirmOrder(order="o2"))
    second.then_rejected(E.LIMIT_REACHED, orders=["o1"])
    again = given(*HALL, visit(), place(), claim(override_reason="x")).when(confirm)  # not itself
    again.then_rejected(E.LIMIT_REACHED, used=1, orders=None)
    handed = given(*ORDERED, pack(), noted, hand_out()).when(visit())
    handed.then_rejected(E.LIMIT_REACHED, orders=None)
    assert "was served 1 of 1 times" in str(handed.refusal)
    done = given(*ORDERED, CompleteOrder(order="o1", box="b1")).when(visit())
    done.then_rejected(E.LIMIT_REACHED, orders=None)


def test_an_order_that_waits_is_told_however_many_were_handed_out_before_it() -> None:
    done = [
        step for n in range(1, 7)
        for step in (place(f"o{n}"), ConfirmOrder(order=f"o{n}"), claim(f"o{n}"),
                     CompleteOrder(order=f"o{n}", box=f"b{n}"))
    ]  # fmt: skip
    hall = given(*HALL, replace(limited, times=7), *done, place("o7"), ConfirmOrder(order="o7"), claim("o7"))
    hall.when(visit()).then_rejected(E.LIMIT_REACHED, used=7, limit=7, orders=["o7"])


def test_an_override_says_why() -> None:
    served = given(*HALL, visit())
    served.when(visit("v2", override_reason="A fire.")).then(VisitRecorded, used=2, breaches=())
    served.when(visit("v2", override_reason=" ")).then_rejected(E.OVERRIDE_NEEDS_REASON)
    served.when(claim(override_reason="\n")).then_rejected(E.OVERRIDE_NEEDS_REASON)
    served.when(claim(override_reason="A fire.", asked_by="ada"), actor="fulfilling").then(
        EntitlementClaimed, over=True, used=2, claimed_by="ada"
    )
    given(*HALL).when(claim()).then(EntitlementClaimed, over=False, used=1, limit=1, claimed_by="sam")


def test_a_visit_and_an_order_of_one_name_are_two() -> None:
    given(*HALL, visit("x")).when(claim("x", override_reason="A fire.")).then(EntitlementClaimed, used=2)
    given(*HALL, claim("x")).when(visit("x")).then_rejected(E.LIMIT_REACHED, used=1)


def test_the_id_of_a_visit_is_its_own() -> None:
    """Its goods come back by that id alone."""
    known = given(*HALL, visit(), issued(fulfilment_of_visit("v1")))
    known.when(visit(household="okafor")).then_rejected(E.ALREADY_EXISTS, visit="v1")
    known.when(anonymous("v1")).then_rejected(E.ALREADY_EXISTS)
    known.when(visit()).then_nothing()


@pytest.mark.parametrize(
    "other",
    [{"lines": some(rice=5)}, {"lines": some(rice=2)}, {"people": People(adult=9)}, {"collected_by": "p"},
     {"session": "monday"}],
)  # fmt: skip
def test_a_visit_that_says_something_else_under_the_same_id_is_another(other: dict[str, Any]) -> None:
    """It was answered as recorded, and its goods were never counted."""
    known = given(*HALL, visit())
    known.when(visit(**other)).then_rejected(E.ALREADY_EXISTS, visit="v1")
    known.when(visit(occurred_at=ago(minutes=30), **other)).then_rejected(E.ALREADY_EXISTS)
    two = some(rice=1, milk=1)
    chosen = given(*HALL, visit(lines=two))
    chosen.when(visit(lines=two[::-1], override_reason="x")).then_nothing()


def test_without_a_name_there_is_no_limit_and_people_are_counted() -> None:
    first = given(*HALL).when(anonymous("v1", people=People(child=2, adult=1))).then(
        VisitRecorded, goods=some(rice=2), used=1, warnings=None
    )  # fmt: skip
    first.when(anonymous("v2")).then(VisitRecorded, used=1)
    first.when(anonymous("v1", people=People(child=2, adult=1))).then_nothing()
    given(*HALL).when(anonymous(people=None)).then_rejected(E.PEOPLE_NEEDED)
    given(*HALL).when(anonymous(people=People())).then_rejected(E.PEOPLE_NEEDED)
    back = ReverseVisit(visit="v1", programme="box", period=WEEK, reason="Counted twice.")
    first.when(back).then(VisitReversed, used=0, household=None)


# -- facts ------------------------------------------------------------------------------------------------------------


def test_what_was_given_offline_is_recorded_and_says_that_it_was_the_second_time() -> None:
    served = given(*HALL, visit())
    offline = visit("v2", occurred_at=ago(minutes=30))
    served.when(offline).then(VisitRecorded, breaches=(E.LIMIT_REACHED,), used=2, occurred_at=ago(minutes=30))
    served.when(visit("v2", fact=True)).then(VisitRecorded, breaches=(E.LIMIT_REACHED,))
    served.when(replace(offline, occurred_at=ago(minutes=4))).then_rejected(E.LIMIT_REACHED)


def test_a_fact_is_recorded_whatever_it_broke() -> None:
    stranger = visit(fact=True, collected_by="stranger")
    broken = given(*HALL, expired, *merged, CloseProgramme(programme="box")).when(stranger)
    broken.then(
        VisitRecorded, breaches=(E.PROGRAMME_CLOSED, E.HOUSEHOLD_MERGED, E.NOT_ELIGIBLE, E.WRONG_RECIPIENT)
    )  # fmt: skip
    shut = given(*CATALOGUED, *PROGRAMME, friday, yilmaz)
    shut.when(visit(fact=True)).then(VisitRecorded, breaches=(E.SESSION_NOT_OPEN,))


@pytest.mark.parametrize(
    ("since", "breaches"),
    [
        (CloseProgramme(programme="box"), (E.PROGRAMME_CLOSED,)),
        (CloseSession(session="friday", occurred_at=at(8, 10)), (E.SESSION_NOT_OPEN,)),
        (replace(expired, eligible_until=date(2026, 11, 1)), (E.NOT_ELIGIBLE,)),
        (merged[0], (E.HOUSEHOLD_MERGED,)),
        (RevokeProxy(household="yilmaz", proxy="p", occurred_at=at(8, 10)), (E.WRONG_RECIPIENT,)),
        (replace(CATALOGUED[0], revision=2, retired=True), ()),
        (SetBundle(programme="box", min_size=3, lines=()), ()),
        (replace(limited, every=Every.MONTH), ()),
    ],
)  # fmt: skip
@pytest.mark.parametrize("late", [True, False])
def test_what_became_impossible_since_is_recorded_all_the_same(
    since: Any, breaches: tuple[DistributionError, ...], late: bool
) -> None:
    may = AuthoriseProxy(household="yilmaz", proxy="p", since=date(2026, 11, 1))
    how = {"occurred_at": at(8, 20)} if late else {"fact": True}
    hall = given(*HALL, may, since)
    hall.when(visit(lines=some(rice=2), collected_by="p", **how)).then(VisitRecorded, breaches=breaches)


@pytest.mark.parametrize(
    ("steps", "said", "code", "what_to_do"),
    [
        (HALL, {"household": "nobody"}, E.UNKNOWN_HOUSEHOLD, "Check its card, or register it"),
        (HALL, {"programme": "tea"}, E.UNKNOWN_PROGRAMME, "Check its id, or open it"),
        (HALL, {"session": "monday"}, E.UNKNOWN_SESSION, "Check its id, or schedule it"),
        (HALL, {"lines": some(ryce=1)}, E.UNKNOWN_ITEM, "Check its id, or register it"),
        (HALL, {"household": None}, E.PEOPLE_NEEDED, "Say for how many people"),
        (HALL, {"people": People()}, E.PEOPLE_NEEDED, "Say for how many people"),
        (HALL, {"lines": (*some(rice=1), *some(rice=1))}, E.DUPLICATE_LINE, "Add the two up"),
        (HALL, {"override_reason": " "}, E.OVERRIDE_NEEDS_REASON, "say why in override_reason"),
        ((*HALL, OpenProgramme(programme="soup", name="Soup", kind="choice")), {"programme": "soup"}, E.WRONG_SESSION,
         "Name that programme, or the session that it was at"),
        (HALL, {"period": "2026-W46"}, E.WRONG_PERIOD, "in 2026-W47, not in 2026-W46, for programme box. Send it with"),
        ((*CATALOGUED, box, friday, doors, yilmaz), {}, E.NO_BUNDLE, "List the items in lines (what was given"),
        ((*HALL, *(SetBundle(programme="box", min_size=size, lines=()) for size in (1, 3))), {}, E.NO_BUNDLE,
         "List the items in lines (what was given"),
    ],
)  # fmt: skip
def test_a_fact_that_does_not_say_what_happened_is_told_what_to_add(
    steps: tuple[Any, ...], said: dict[str, Any], code: DistributionError, what_to_do: str
) -> None:
    outcome = given(*steps).when(visit(**{"fact": True, **said}))
    outcome.then_rejected(code)
    assert what_to_do in str(outcome.refusal)
    late = given(*steps).when(visit(**{"occurred_at": ago(minutes=30), **said}))
    late.then_rejected(code)


@pytest.mark.parametrize("how", [{"fact": True}, {"occurred_at": ago(minutes=30)}])
def test_a_fact_whose_warnings_nobody_saw_is_recorded_and_looked_into(how: dict[str, Any]) -> None:
    """Somebody has to tell the household. That there is a warning is sealed, as what it says: it outlives nobody."""
    resolve = ResolveVisit(visit="v1", household="yilmaz", programme="box", period=WEEK, note="They were told.")
    warned = (Warned(item="stew", warning=Warning.ALLERGENS_UNKNOWN),)
    hall = given(*HALL)
    hall.when(visit(lines=some(stew=1), **how)).then(
        VisitRecorded, warnings=warnings_said(warned, ["stew"], unseen=True), breaches=()
    ).when(resolve).then(VisitResolved).when(resolve).then_nothing()
    hall.when(visit(lines=some(stew=1), seen_warnings=True, **how)).then(
        VisitRecorded, warnings=warnings_said(warned, ["stew"]), breaches=()
    ).when(resolve).then_rejected(E.NOTHING_TO_REVIEW)
    hall.when(visit(lines=some(rice=1), **how)).then(
        VisitRecorded, warnings=warnings_said((), ["rice"]), breaches=()
    ).when(resolve).then_rejected(E.NOTHING_TO_REVIEW)


# -- what is refused --------------------------------------------------------------------------------------------------


def test_whoever_is_not_eligible_is_told_until_when_they_were() -> None:
    late = given(*HALL, expired)
    late.when(visit()).then_rejected(E.NOT_ELIGIBLE, eligible_until="2026-11-19", day="2026-11-20")
    late.when(visit(override_reason="The letter is on its way.")).then(VisitRecorded, breaches=())
    given(*HALL, replace(expired, eligible_until=date(2026, 11, 20))).when(visit()).then_event()


def test_somebody_else_collects_only_if_they_may() -> None:
    may = AuthoriseProxy(household="yilmaz", proxy="neighbour", since=date(2026, 11, 20), until=date(2026, 11, 20))
    given(*HALL).when(visit(collected_by="neighbour")).then_rejected(E.WRONG_RECIPIENT, proxy="neighbour")
    given(*HALL, may).when(visit(collected_by="neighbour")).then_event()


def test_a_merged_household_is_served_as_the_other_and_what_it_got_counts_there() -> None:
    known = given(*HALL, visit(), *merged)
    known.when(visit("v2")).then_rejected(E.HOUSEHOLD_MERGED, into="okafor")
    known.when(visit("v2", household="okafor")).then_rejected(E.LIMIT_REACHED, used=1)
    again = known.when(visit("v2", household="okafor", override_reason="Moved.")).then(VisitRecorded, used=2)
    again.when(claim(household="okafor")).then_rejected(E.LIMIT_REACHED, used=2)
    again.when(ReverseVisit(**{**LIMITED, "household": "okafor"}, visit="v2", reason="x")).then(VisitReversed, used=1)
    parted = known.when(NoteMerge(household="okafor", other="yilmaz", merged=False)).then_event()
    parted.when(visit("v2", household="okafor")).then(VisitRecorded, used=1)


def test_households_merged_one_after_another_all_count() -> None:
    silva = RegisterHousehold(household="silva", size=1)
    known = given(*HALL, silva, visit(), *merged, NoteMerge(household="silva", other="okafor", merged=True))
    known.when(visit("v2", household="silva")).then_rejected(E.LIMIT_REACHED, used=1)
    crossed = known.when(NoteMerge(household="yilmaz", other="silva", merged=True)).then_event()
    crossed.when(visit("v2", household="silva")).then_rejected(E.LIMIT_REACHED, used=1)


def test_a_session_that_is_not_open_serves_nobody() -> None:
    shut = given(*CATALOGUED, *PROGRAMME, friday, yilmaz, okafor)
    shut.when(visit()).then_rejected(E.SESSION_NOT_OPEN)
    closed = given(*HALL, CloseSession(session="friday"))
    closed.when(visit(), now=at(9, 30)).then_rejected(E.SESSION_NOT_OPEN)
    closed.when(visit(), now=at(8, 31)).then_rejected(E.SESSION_NOT_OPEN)
    closed.when(visit(occurred_at=at(8, 31)), now=at(8, 32)).then(VisitRecorded, breaches=())  # by the sender's clock
    closed.when(visit(fact=True), now=at(8, 31)).then(VisitRecorded, breaches=())


def test_a_clock_that_runs_back_is_told_to_be_set() -> None:
    given(*HALL).when(visit(), now=at(7, 54)).then_rejected(E.CLOCK_RUNS_BACK)
    given(*HALL).when(visit(), now=at(7, 56)).then_event()
    given(*HALL).when(visit(fact=True), now=at(7, 54)).then(VisitRecorded, breaches=(E.SESSION_NOT_OPEN,))
    weeks = given(*HALL).when(visit(), now=at(9, day=2))  # not that the period is another
    weeks.then_rejected(E.CLOCK_RUNS_BACK, session="friday").when(visit()).then_event()


def test_a_sender_whose_clock_is_wrong_is_told_or_taken_at_its_word() -> None:
    """A moment before the doors opened is told apart from no fact; one of another week is not of this period."""
    hall = given(*HALL)
    hall.when(visit(occurred_at=at(7, 30))).then(VisitRecorded, breaches=(E.SESSION_NOT_OPEN,))
    hall.when(visit(occurred_at=at(9, day=2))).then_rejected(E.WRONG_PERIOD, period="2026-W45")
    hall.when(visit(occurred_at=at(9, 36))).then_rejected(E.OCCURRED_IN_FUTURE).when(visit()).then_event()


def test_doors_that_a_clock_ahead_opened_are_opened_again_and_nobody_waits_for_years() -> None:
    ahead = datetime(2030, 1, 1, tzinfo=UTC)
    opened = given(*HALL[:-3], *HALL[-2:]).when(replace(doors, occurred_at=None), now=ahead).then_event()
    opened.when(visit()).then_rejected(E.CLOCK_RUNS_BACK, opened_at=ahead.isoformat())
    opened.when(CloseSession(session="friday")).then_rejected(E.CLOCK_RUNS_BACK, session="friday")
    again = opened.when(replace(doors, occurred_at=None)).then(SessionOpened, occurred_at=NOW)
    again.when(replace(doors, occurred_at=None)).then_nothing()
    again.when(visit()).then(VisitRecorded, breaches=())
    again.when(CloseSession(session="friday")).then_event()


def test_a_visit_is_of_the_period_that_its_day_is_in_by_the_clock_there() -> None:
    given(*HALL).when(visit(period="2026-W46")).then_rejected(E.WRONG_PERIOD, period=WEEK)
    far = replace(box, utc_offset=60 * 14)
    sunday = {"starts_at": at(8, day=22), "ends_at": at(12, day=22)}
    steps = (
        *CATALOGUED, far, *PROGRAMME[1:], replace(friday, **sunday), replace(doors, occurred_at=at(8, day=22)), yilmaz
    )  # fmt: skip
    monday = given(*steps, now=at(9, day=22) + timedelta(hours=2))
    monday.when(visit(), now=at(10, day=22)).then_rejected(E.WRONG_PERIOD, period="2026-W48")


@pytest.mark.parametrize(
    ("every", "period"),
    [(Every.DAY, "2026-11-20"), (Every.WEEK, WEEK), (Every.MONTH, "2026-11"), (Every.YEAR, "2026")],
)
def test_a_period_is_a_day_a_week_a_month_or_a_year(every: Every, period: str) -> None:
    twice = replace(limited, every=every, times=2)
    hall = given(*CATALOGUED, *PROGRAMME[:-1], twice, friday, doors, yilmaz)
    hall.when(visit(period=period)).then(VisitRecorded, limit=2)


def a_day(day: int, month: int = 11) -> datetime:
    """Half past nine on a day of that November, or another month."""
    return datetime(2026, month, day, 9, 30, tzinfo=UTC)


monthly = replace(limited, every=Every.MONTH)
from_december = LimitSet(
    programme="box", times=1, every=Every.MONTH, since=date(2026, 12, 1), occurred_at=a_day(20)
)  # fmt: skip


def fact(id: str, period: str, at: datetime, **more: Any) -> RecordVisit:
    return visit(id, period=period, occurred_at=at, fact=True, **more)


def test_another_kind_of_period_begins_with_the_next_whole_one_and_nobody_is_served_twice_for_it() -> None:
    """Served on Friday by the week, a household would be served again on Saturday by a month that began that day."""
    changed = given(*HALL, visit(), monthly)
    changed.when(visit("v2", period="2026-11"), now=at(10)).then_rejected(E.WRONG_PERIOD, period=WEEK)
    changed.when(visit("v2"), now=at(10)).then_rejected(E.LIMIT_REACHED, used=1, limit=1, period=WEEK)
    given(*HALL, monthly).when(fact("v1", "2026-W49", a_day(30)), now=a_day(30)).then(VisitRecorded, used=1)
    december = given(*HALL, monthly)
    december = december.when(fact("v1", "2026-12", a_day(1, 12)), now=a_day(1, 12)).then(VisitRecorded, used=1, limit=1)
    again = december.when(fact("v2", "2026-12", a_day(8, 12)), now=a_day(8, 12))
    again.then(VisitRecorded, used=2, breaches=(E.LIMIT_REACHED,))


def test_an_order_that_was_confirmed_before_another_kind_of_period_began_counts_in_the_one_of_its_day() -> None:
    later = replace(friday, session="later", starts_at=a_day(3, 12), ends_at=a_day(3, 12) + timedelta(hours=2))
    monday = replace(later, session="monday", starts_at=a_day(30), ends_at=a_day(30) + timedelta(hours=2))
    both = given(*HALL, later, monday)
    for session, breaches in (("later", (E.LIMIT_REACHED,)), ("monday", ())):
        ordered = both.when(place(session=session)).then_event().when(confirm).then_event()
        claimed = ordered.when(claim(period="2026-W49")).then_event().when(monthly).then_event()
        served = claimed.when(fact("v1", "2026-12", a_day(3, 12)), now=a_day(3, 12))
        used = 1 + len(breaches)
        done = served.then(VisitRecorded, used=used, limit=1, breaches=breaches)
        undo = ReverseVisit(visit="v1", household="yilmaz", programme="box", period="2026-12", reason="x")
        done.when(undo, now=a_day(3, 12)).then(VisitReversed, used=used - 1)
    second = both.when(place(session="later")).then_event().when(confirm).then_event()
    second = second.when(claim(period="2026-W49")).then_event().when(monthly).then_event()
    second = second.when(place("o2", session="later")).then_event()
    second.when(ConfirmOrder(order="o2")).then_rejected(E.LIMIT_REACHED, used=1, period="2026-12", orders=["o1"])


def test_a_fact_is_counted_in_the_period_and_by_the_number_of_its_day() -> None:
    """Whatever limit was set since."""
    hall = given(*HALL, from_december, LimitSet(
        programme="box", times=3, every=Every.MONTH, since=date(2026, 12, 10), occurred_at=a_day(10, 12)
    ))  # fmt: skip
    later = a_day(15, 12)
    before = hall.when(fact("v1", WEEK, a_day(20)), now=later).then(VisitRecorded, limit=1, breaches=())
    before.when(fact("v2", WEEK, a_day(21)), now=later).then(VisitRecorded, limit=1, breaches=(E.LIMIT_REACHED,))
    first = hall.when(fact("v2", "2026-12", a_day(9, 12)), now=later).then(VisitRecorded, limit=1, used=1)
    first.when(fact("v3", "2026-12", a_day(11, 12)), now=later).then(VisitRecorded, limit=3, used=2, breaches=())
    hall.when(fact("v4", "2026-11", a_day(20)), now=later).then_rejected(E.WRONG_PERIOD, period=WEEK)


def test_a_claim_is_counted_by_the_limit_of_its_period() -> None:
    hall = given(*HALL, visit(), from_december)
    hall.when(claim(), now=a_day(2, 12)).then_rejected(E.LIMIT_REACHED, used=1, limit=1)
    december = hall.when(claim(period="2026-12"), now=a_day(2, 12)).then(EntitlementClaimed, used=1, limit=1)
    december.when(claim("o2", period="2026-12"), now=a_day(2, 12)).then_rejected(E.LIMIT_REACHED, used=1)
    given(*HALL[:-4], yilmaz).when(claim()).then(EntitlementClaimed, limit=1)
    given(*CATALOGUED, box, yilmaz).when(claim()).then(EntitlementClaimed, limit=None, over=False)


def test_a_hand_out_is_counted_by_the_number_of_its_day() -> None:
    two = replace(limited, times=2)
    box_out = (place(), confirm, visit(occurred_at=at(8, 30), fact=True), pack("b1", packed()))
    more = given(*HALL, *box_out, two)
    on_sunday = {"now": at(10, day=22)}
    left = given(*HALL, *box_out).when(two, **on_sunday).then_event()
    left.when(hand_out(fact=True, occurred_at=at(9, 40)), **on_sunday).then(BoxHandedOut, breaches=(E.LIMIT_REACHED,))
    left.when(hand_out(fact=True), **on_sunday).then(BoxHandedOut, breaches=())
    left.when(claim(fact=True, occurred_at=at(9, 40)), **on_sunday).then(EntitlementClaimed, limit=1, over=True)
    left.when(claim(fact=True), **on_sunday).then(EntitlementClaimed, limit=2, over=False)
    more.when(hand_out(fact=True)).then(BoxHandedOut, breaches=())


def test_a_limit_that_changes_leaves_what_was_claimed() -> None:
    two = given(*HALL, visit(), replace(limited, times=2), visit("v2"))
    less = two.when(limited).then_event()
    less.when(visit("v3")).then_rejected(E.LIMIT_REACHED, used=2, limit=1)
    assert len(less.state("entitlement", f"yilmaz:box:{WEEK}").visits) == 2


# -- what is unusual --------------------------------------------------------------------------------------------------

FEW = replace(CATALOGUED[0], revision=2, unusual_above=10)


@pytest.mark.parametrize("how", [{"people": People(adult=31)}, {"lines": some(rice=11)}])
def test_what_is_unusual_is_confirmed_or_a_fact_that_is_looked_into(how: dict[str, Any]) -> None:
    hall = given(*HALL, FEW)
    hall.when(visit(**how)).then_rejected(E.UNUSUAL)
    hall.when(anonymous(**how)).then_rejected(E.UNUSUAL)
    hall.when(visit(**how, confirm_unusual=True)).then(VisitRecorded, breaches=())
    hall.when(visit(**how, fact=True)).then(VisitRecorded, breaches=(E.UNUSUAL,))
    hall.when(visit(**how, fact=True, confirm_unusual=True)).then(VisitRecorded, breaches=())


def test_what_is_usual_is_not_asked_about() -> None:
    given(*HALL, FEW).when(visit(people=People(adult=30), lines=some(rice=10))).then_event()
    given(*HALL).when(visit(lines=some(rice=1000))).then_event()


# -- warnings ---------------------------------------------------------------------------------------------------------


def test_an_allergen_of_anybody_in_the_household_warns() -> None:
    hall = given(*HALL)
    hall.when(visit(lines=some(**{"peanut-butter": 1}))).then_rejected(
        E.WARNING_NOT_SEEN, warnings=[{"item": "peanut-butter", "warning": "allergen"}]
    )
    hall.when(visit(lines=some(rice=1, stew=1))).then_rejected(
        E.WARNING_NOT_SEEN, warnings=[{"item": "stew", "warning": "allergens_unknown"}]
    )
    seen = (Warned(item="stew", warning=Warning.ALLERGENS_UNKNOWN),)
    hall.when(visit(lines=some(stew=1), seen_warnings=True)).then(VisitRecorded, warnings=warnings_said(seen, ["stew"]))
    hall.when(visit(lines=some(milk=1))).then(VisitRecorded, warnings=warnings_said((), ["milk"]))
    hall.when(visit(household="okafor", lines=some(stew=1))).then(VisitRecorded, warnings=warnings_said((), ["stew"]))


def test_what_anybody_of_merged_households_avoids_warns() -> None:
    """They are the same people, registered twice; whichever card they come with."""
    peanuts = some(**{"peanut-butter": 1})
    known = given(*HALL, *merged)
    known.when(visit(household="okafor", lines=peanuts)).then_rejected(E.WARNING_NOT_SEEN)
    known.when(place(household="okafor", lines=peanuts)).then_rejected(E.WARNING_NOT_SEEN)
    ordered = given(*HALL, *merged, place(household="okafor"), confirm)
    ordered.when(pack("b1", packed(1, "peanut-butter"))).then_rejected(E.WARNING_NOT_SEEN)
    silva = RegisterHousehold(household="silva", size=1)
    further = (MergeHouseholds(household="okafor", into="silva", reason="x"), NoteMerge(
        household="silva", other="okafor", merged=True))  # fmt: skip
    given(*HALL, silva, *merged, *further).when(visit(household="silva", lines=peanuts)).then_rejected(
        E.WARNING_NOT_SEEN
    )
    parted = known.when(NoteMerge(household="okafor", other="yilmaz", merged=False)).then_event()
    parted.when(visit(household="okafor", lines=peanuts)).then_event()


def test_an_order_of_a_household_that_was_merged_since_warns_of_what_the_other_avoids() -> None:
    milk = AddMember(household="okafor", member="m", allergens="milk", counted_already=True)
    ordered = given(*HALL, milk, place(), confirm, *merged)
    ordered.when(pack("b1", packed(1, "milk"))).then_rejected(E.WARNING_NOT_SEEN)


def test_allergens_are_compared_however_they_are_written() -> None:
    nuts = replace(CATALOGUED[0], item="nut-bar", allergens=("tree-nuts",))
    given(*HALL, nuts).when(visit(lines=some(**{"nut-bar": 1}))).then_rejected(E.WARNING_NOT_SEEN)


@pytest.mark.parametrize(
    ("written", "item"),
    [("peanut", "peanuts"), ("nut allergy", "peanuts"), ("nut allergy", "nuts"), ("milk|peanuts", "milk"),
     ("walnut", "tree-nuts"), ("prawn", "crustaceans"), ("wheat", "gluten"), ("dragonfruit", "dragonfruits")],
)  # fmt: skip
def test_an_allergen_warns_however_it_is_written(written: str, item: str) -> None:
    ada = AddMember(household="okafor", member="ada", allergens=written, counted_already=True)
    known = given(*HALL, ada, goods("snack", item))
    known.when(visit(household="okafor", lines=some(snack=1))).then_rejected(
        E.WARNING_NOT_SEEN, warnings=[{"item": "snack", "warning": "allergen"}]
    )


def test_what_is_no_word_of_the_vocabulary_warns_of_every_item() -> None:
    """No item's list says that there is no dragonfruit in it."""
    ada = AddMember(household="okafor", member="ada", allergens="dragonfruit", counted_already=True)
    known = given(*HALL, ada)
    for item in ("rice", "milk", "stew"):
        known.when(visit(household="okafor", lines=some(**{item: 1}))).then_rejected(
            E.WARNING_NOT_SEEN, warnings=[{"item": item, "warning": "allergens_unknown"}]
        )


@pytest.mark.parametrize("label", ["unknown", "penuts", "satay", "may-contain-traces", "---"])
def test_an_item_with_a_label_that_is_no_word_of_the_vocabulary_warns_whoever_avoids_something(label: str) -> None:
    known = given(*HALL, goods("snack", "milk", label))
    known.when(visit(lines=some(snack=1))).then_rejected(
        E.WARNING_NOT_SEEN, warnings=[{"item": "snack", "warning": "allergens_unknown"}]
    )
    known.when(visit(household="okafor", lines=some(snack=1))).then(VisitRecorded)
    ada = AddMember(household="okafor", member="ada", allergens="milk", counted_already=True)
    known.when(ada).then_event().when(visit(household="okafor", lines=some(snack=1))).then_rejected(
        E.WARNING_NOT_SEEN, warnings=[{"item": "snack", "warning": "allergen"}]
    )


def test_a_household_whose_key_is_lost_is_warned_of_whatever_may_have_allergens() -> None:
    """Nobody can tell any more what was in its records."""
    hall = given(*HALL)
    erase("household/yilmaz")
    stew = visit(lines=some(stew=1))
    hall.when(stew).then_rejected(E.WARNING_NOT_SEEN)
    unread = Warned(item="stew", warning=Warning.ALLERGENS_UNKNOWN)
    seen = hall.when(replace(stew, seen_warnings=True))
    seen.then(VisitRecorded, warnings=warnings_said([unread], ["stew"]), served=People(child=1, senior=1, unknown=2))


# -- undone -----------------------------------------------------------------------------------------------------------


def test_a_household_served_twice_waits_until_somebody_has_looked_into_it() -> None:
    resolve = ResolveVisit(**LIMITED, visit="v2", note="Two tables, one card.")
    twice = given(*HALL, visit(), visit("v2", fact=True))
    seen = twice.when(resolve).then(VisitResolved, note=resolve.note)
    seen.when(resolve).then_nothing()
    seen.when(replace(reverse, visit="v2")).then(VisitReversed, used=1).when(resolve).then_nothing()
    twice.when(replace(resolve, visit="v1")).then_rejected(E.NOTHING_TO_REVIEW)
    twice.when(replace(resolve, visit="v3")).then_rejected(E.UNKNOWN_VISIT, visit="v3")
    twice.when(replace(resolve, occurred_at=NOW + timedelta(hours=1))).then_rejected(E.OCCURRED_IN_FUTURE)


def test_a_visit_is_reversed_once_and_its_claim_is_free() -> None:
    back = given(*HALL, visit()).when(reverse).then(VisitReversed, used=0, session="friday", site="hall")
    back.when(reverse).then_nothing()
    back.when(visit()).then_rejected(E.ALREADY_REVERSED, visit="v1")
    back.when(visit("v2")).then(VisitRecorded, used=1)
    served = given(*HALL, visit())  # at half past eight
    served.when(replace(reverse, occurred_at=at(8, 20))).then_rejected(E.CLOCK_RUNS_BACK, visit="v1")
    served.when(replace(reverse, occurred_at=at(8, 26))).then_event()
    given(*HALL).when(reverse).then_rejected(E.UNKNOWN_VISIT, visit="v1")
    given(*HALL, claim("v1")).when(reverse).then_rejected(E.UNKNOWN_VISIT)


def test_a_claim_is_given_back_once() -> None:
    release = ReleaseEntitlement(**LIMITED, claim="o1", reason="Nobody came.")
    free = given(*HALL, claim()).when(release).then(EntitlementReleased, used=0)
    free.when(release).then_nothing()
    free.when(claim()).then_rejected(E.ALREADY_REVERSED, claim="o1")
    free.when(visit()).then_event()
    given(*HALL).when(release).then_rejected(E.UNKNOWN_CLAIM, claim="o1")
    given(*HALL, visit("o1")).when(release).then_rejected(E.UNKNOWN_CLAIM)
    given(*HALL, claim()).when(claim()).then_nothing()


def test_a_claim_is_refused_for_what_has_ended_and_recorded_for_what_has_happened() -> None:
    closed = given(*HALL, visit(), CloseProgramme(programme="box"))
    closed.when(claim()).then_rejected(E.PROGRAMME_CLOSED)
    closed.when(claim("box-b1", fact=True)).then(EntitlementClaimed, over=True, used=2)
    given(*HALL, *merged).when(claim()).then_rejected(E.HOUSEHOLD_MERGED, into="okafor")
    given(*HALL, *merged).when(claim(fact=True)).then(EntitlementClaimed, over=False)
    given(*CATALOGUED, *PROGRAMME).when(claim()).then_rejected(E.UNKNOWN_HOUSEHOLD)


# -- the first of several reasons -------------------------------------------------------------------------------------

TWICE = (*some(rice=1), *some(rice=1))
EVERYTHING: dict[str, Any] = {
    "lines": TWICE, "override_reason": " ", "period": "2026-W40", "collected_by": "stranger", "people": People()
}  # fmt: skip
other = OpenProgramme(programme="soup", name="Soup", kind="choice")
of_soup = ScheduleSession(session="friday", programme="soup", site="hall", name="Soup", starts_at=at(8), ends_at=at(11))


@pytest.mark.parametrize(
    ("steps", "command", "code"),
    [
        ((), visit(**EVERYTHING, occurred_at=NOW + timedelta(hours=1)), E.OCCURRED_IN_FUTURE),
        ((), visit(**EVERYTHING), E.UNKNOWN_HOUSEHOLD),
        ((yilmaz,), visit(**EVERYTHING), E.UNKNOWN_PROGRAMME),
        ((yilmaz, box), visit(**EVERYTHING), E.UNKNOWN_SESSION),
        ((yilmaz, okafor, other, of_soup, box, *merged), visit(**EVERYTHING), E.UNKNOWN_ITEM),
        ((*HALL, *merged), visit(**EVERYTHING), E.HOUSEHOLD_MERGED),
        (HALL, visit(**EVERYTHING), E.PEOPLE_NEEDED),
        (HALL, visit(**EVERYTHING | {"people": None}), E.DUPLICATE_LINE),
        (HALL, visit(**EVERYTHING | {"people": None, "lines": ()}), E.OVERRIDE_NEEDS_REASON),
        ((*CATALOGUED, yilmaz, other, of_soup, box, CloseProgramme(programme="box")), visit(period="2026-W40"),
         E.PROGRAMME_CLOSED),
        ((*CATALOGUED, yilmaz, other, of_soup, box), visit(period="2026-W40"), E.WRONG_SESSION),
        ((*CATALOGUED, yilmaz, box, friday, expired), visit(period="2026-W40"), E.WRONG_PERIOD),
        ((*CATALOGUED, yilmaz, box, friday, expired), visit(), E.SESSION_NOT_OPEN),
        ((*CATALOGUED, yilmaz, box, friday, doors, expired), visit(collected_by="x"), E.NOT_ELIGIBLE),
        ((*HALL, visit()), visit("v2", collected_by="x"), E.WRONG_RECIPIENT),
        ((*HALL, visit()), visit("v2", lines=some(stew=1)), E.LIMIT_REACHED),
        ((*CATALOGUED, yilmaz, box, friday, doors), visit(), E.NO_BUNDLE),
    ],
)  # fmt: skip
def test_the_first_reason_is_answered(steps: tuple[Any, ...], command: Any, code: DistributionError) -> None:
    given(*steps).when(command).then_rejected(code)


def test_ids_at_their_longest_and_figures_at_their_largest_fit() -> None:
    longest = "x" * 64
    other = RegisterHousehold(household=longest, size=30)
    programme = OpenProgramme(programme=longest, name="y" * 200, kind="box")
    session = ScheduleSession(
        session=longest, programme=longest, site=longest, name="z" * 200, starts_at=at(8), ends_at=at(11)
    )
    served = visit(
        "v" * 46, household=longest, programme=longest, session=longest, lines=some(rice=MAX_INTEGER),
        people=People(child=1000, adult=1000, senior=1000, unknown=1000), override_reason="w" * 2000,
        confirm_unusual=True,
    )  # fmt: skip
    hall = given(*CATALOGUED, other, programme, session, replace(doors, session=longest))
    hall.when(served).then(VisitRecorded, used=1)
