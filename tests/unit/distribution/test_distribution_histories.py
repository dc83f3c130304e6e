"""Whatever the history: limits, sizes and counts hold, and a command that is sent again changes nothing.

Each accepted command is checked by tests/support/sentences.py: no invariant is broken, the event survives its bytes,
the state survives a snapshot. Here the figures are added up once more, from the events alone.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.distribution.contract import (
    AddMember,
    AgeBand,
    AuthoriseProxy,
    CancelOrder,
    CertifyCount,
    CloseProgramme,
    CloseSession,
    CompleteOrder,
    ConfirmOrder,
    CountCertified,
    CountResolved,
    DeliverMeals,
    Diner,
    DiscardMeals,
    EntitlementClaimed,
    EntitlementReleased,
    Every,
    FreeSlot,
    HouseholdRegistered,
    MealEntry,
    MealsDelivered,
    MealsDiscarded,
    MealServed,
    MealsReversed,
    MealType,
    MemberAdded,
    MemberRemoved,
    MergeHouseholds,
    NoteBox,
    NoteFreed,
    NoteMerge,
    NoteRecall,
    NoteReversal,
    OpenSession,
    People,
    RecordNoShow,
    ReleaseEntitlement,
    RemoveMember,
    RenewEligibility,
    ResolveCount,
    ResolveHandOut,
    ResolveVisit,
    ReverseCompletion,
    ReverseHandOut,
    ReverseMeals,
    ReverseVisit,
    RevokeProxy,
    ServeMeal,
    SetLimit,
    UnmergeHouseholds,
    UnpackBox,
    VisitRecorded,
    VisitResolved,
    VisitReversed,
)
from services.inventory.contract import RecallScope
from shared.decider import Ref
from shared.errors import Rejected
from tests.support.distribution import (
    HALL,
    LIMITED,
    NOW,
    claim,
    hand_out,
    issued,
    pack,
    packed,
    place,
    reserved,
    some,
    visit,
)
from tests.support.distribution import given as after
from tests.support.sentences import World

TWO = st.sampled_from(("yilmaz", "okafor"))
IDS = st.sampled_from(("x1", "x2", "x3"))
WHY = st.sampled_from((None, None, "A fire."))
FACT = st.sampled_from((False, False, True))
REASON = {"reason": "x"}
MEAL: dict[str, Any] = {"site": "school", "date": NOW.date(), "meal": MealType.LUNCH}


def of(who: str) -> dict[str, Any]:
    return {**LIMITED, "household": who}


orders = st.one_of(
    st.builds(lambda o, who: place(o, household=who, lines=some(rice=2)), IDS, TWO),
    st.builds(lambda o, why: ConfirmOrder(order=o, override_reason=why), IDS, WHY),
    st.builds(lambda o: CancelOrder(order=o, **REASON), IDS),
    st.builds(lambda o: RecordNoShow(order=o), IDS),
    st.builds(lambda o, b: CompleteOrder(order=o, box=b), IDS, IDS),
    st.builds(lambda b, o, lines: pack(b, *lines, order=o), IDS, IDS, st.sampled_from(((), (packed(1),)))),
    st.builds(lambda b: UnpackBox(box=b, **REASON), IDS),
    st.builds(lambda b, fact: hand_out(b, fact=fact), IDS, FACT),
    st.builds(lambda b: ReverseHandOut(box=b, **REASON), IDS),
    st.builds(lambda b: ResolveHandOut(box=b, note="x"), IDS),
    st.builds(lambda o, b: ReverseCompletion(order=o, box=b), IDS, IDS),
    st.builds(lambda o, n: NoteReversal(order=o, box="b1", hand_out=n), IDS, st.integers(1, 2)),
    st.builds(lambda o: reserved(o), IDS),
    st.builds(lambda o, n: NoteFreed(order=o, item="rice", lots=(packed(n),)), IDS, st.integers(1, 3)),
    st.builds(lambda o, n: issued(o, n), IDS, st.integers(1, 2)),
    st.builds(lambda r, n, begun: NoteRecall(item="rice", recall=r, revision=n, scope=RecallScope(lots=("R1",)),
              open=begun), IDS, st.integers(1, 3), st.booleans()),
    st.builds(lambda o, b, packed: NoteBox(order=o, box=b, packed=packed), IDS, IDS, st.booleans()),
    st.builds(lambda o: FreeSlot(session="friday", order=o), IDS),
)  # fmt: skip
serving = st.one_of(
    st.builds(lambda who, v, why, fact: visit(v, household=who, override_reason=why, fact=fact), TWO, IDS, WHY, FACT),
    st.builds(lambda who, c, why, fact: claim(c, household=who, override_reason=why, fact=fact), TWO, IDS, WHY, FACT),
    st.builds(lambda who, c: ReleaseEntitlement(**of(who), claim=c, **REASON), TWO, IDS),
    st.builds(lambda who, v: ReverseVisit(**of(who), visit=v, **REASON), TWO, IDS),
    st.builds(lambda who, v: ResolveVisit(**of(who), visit=v, note="x"), TWO, IDS),
    st.builds(
        lambda n, every: SetLimit(programme="box", times=n, every=every), st.integers(1, 3), st.sampled_from(Every)
    ),
)
households = st.one_of(
    st.builds(lambda who, m, band, counted: AddMember(household=who, member=m, band=band, counted_already=counted),
              TWO, st.sampled_from(("ada", "m1", "m2", "m3")), st.sampled_from(AgeBand), st.booleans()),
    st.builds(lambda who, m: RemoveMember(household=who, member=m), TWO, st.sampled_from(("ada", "ben", "m1", "m2"))),
    st.builds(lambda who, since, days: AuthoriseProxy(
        household=who, proxy="p", since=NOW.date() + timedelta(days=since),
        until=None if days is None else NOW.date() + timedelta(days=since + days)),
        TWO, st.integers(-5, 5), st.one_of(st.none(), st.integers(-1, 4))),
    st.builds(lambda who: RevokeProxy(household=who, proxy="p"), TWO),
    st.builds(lambda who, days: RenewEligibility(household=who, eligible_until=NOW.date() + timedelta(days=days)),
              TWO, st.integers(-1, 1)),
    st.builds(lambda who, into: MergeHouseholds(household=who, into=into, **REASON), TWO, TWO),
    st.builds(lambda who, into: UnmergeHouseholds(household=who, into=into, **REASON), TWO, TWO),
    st.builds(lambda who, other, merged: NoteMerge(household=who, other=other, merged=merged), TWO, TWO,
              st.booleans()),
)  # fmt: skip
sessions = st.sampled_from((
    CloseSession(session="friday"), CloseSession(session="friday", end_orders=True), OpenSession(session="friday"),
    CloseProgramme(programme="box"),
))  # fmt: skip
meals = st.one_of(
    st.builds(lambda id, n: DeliverMeals(**MEAL, delivery=id, quantity=n), IDS, st.integers(1, 40)),
    st.builds(lambda id, n, who: ServeMeal(**MEAL, serving=id, quantity=n, diner=who), IDS, st.integers(1, 40),
              st.sampled_from(Diner)),
    st.builds(lambda id, n: DiscardMeals(**MEAL, discard=id, quantity=n, **REASON), IDS, st.integers(1, 5)),
    st.builds(lambda over, left, off, why: CertifyCount(**MEAL, carried_over=over, left_over=left, discrepancy=off,
              reason=why), st.integers(0, 9), st.integers(0, 40), st.integers(-40, 40), WHY),
    st.builds(lambda kind, id: ReverseMeals(**MEAL, kind=kind, entry=id, **REASON), st.sampled_from(MealEntry), IDS),
    st.just(ResolveCount(**MEAL, note="x")),
)  # fmt: skip
few = st.one_of(orders, serving, households, sessions)


def played(commands: list[Any]) -> World:
    """The world after those commands that were accepted, each sent twice."""
    world = after(*HALL).world
    for command in commands:
        with suppress(Rejected):
            event = world.decide(command, NOW, "sam", None)
            if event is not None:
                world = world.after(event)
                sent_again(world, command)
    return world


def sent_again(world: World, command: Any) -> None:
    """Under another id it changes nothing or is refused. A renewal may come twice, and so may the freeing of a part."""
    with suppress(Rejected):
        again = world.decide(command, NOW, "sam", None)
        assert again is None or isinstance(command, RenewEligibility | NoteFreed), f"{command} came twice"


@settings(max_examples=200, deadline=None)
@given(st.lists(few, min_size=5, max_size=40))
def test_whatever_happens_nothing_breaks_and_nothing_comes_twice(commands: list[Any]) -> None:
    world = played(commands)
    for ref in world.states:
        assert world.folded_again(ref) == world.states[ref]


@settings(max_examples=200, deadline=None)
@given(st.lists(serving, min_size=5, max_size=30))
def test_nobody_is_served_beyond_the_limit_without_a_word(commands: list[Any]) -> None:
    world = played(commands)
    for ref, history in world.history.items():
        if ref.category != "entitlement":
            continue
        used = 0
        for event in history:
            if isinstance(event, VisitResolved):
                continue
            used += -1 if isinstance(event, EntitlementReleased | VisitReversed) else 1
            assert event.used == used >= 0
            if isinstance(event, EntitlementClaimed):
                assert used <= event.limit or event.override_reason or event.fact
                assert event.over is (used > event.limit)
            if isinstance(event, VisitRecorded):
                assert used <= event.limit or event.override_reason or "LIMIT_REACHED" in event.breaches
                assert event.fact or not event.breaches


@settings(max_examples=150, deadline=None)
@given(st.lists(households, min_size=5, max_size=30))
def test_a_household_is_as_large_as_its_events_say(commands: list[Any]) -> None:
    world = played(commands)
    for who in ("yilmaz", "okafor"):
        state = world.state(Ref("household", who))
        size = 0
        bands: dict[str, AgeBand] = {}
        for event in world.history[Ref("household", who)]:
            match event:
                case HouseholdRegistered():
                    size, bands = event.size, {one.member: one.band for one in event.members}
                case MemberAdded():
                    size, bands[event.member] = size + (not event.counted_already), event.band
                    assert event.size == size
                case MemberRemoved():
                    size -= 1
                    del bands[event.member]
                    assert event.size == size >= 1
        counted = Counter(bands.values())
        assert state.people == People(
            child=counted[AgeBand.CHILD], adult=counted[AgeBand.ADULT], senior=counted[AgeBand.SENIOR],
            unknown=counted[AgeBand.UNKNOWN] + size - len(bands),
        )  # fmt: skip
        assert state.people.total == size
        standing = [one for one in state.proxies.get("p", ()) if one.revoked_at is None]
        for n, one in enumerate(standing):
            for other in standing[n + 1 :]:
                assert (one.until or other.since) < other.since or (other.until or one.since) < one.since


@settings(max_examples=150, deadline=None)
@given(st.lists(meals, min_size=3, max_size=25))
def test_a_certified_count_adds_up_or_says_by_how_much_and_why(commands: list[Any]) -> None:
    history = played(commands).history.get(Ref("meal_count", f"school:{NOW.date()}"), [])
    history = [event for event in history if not isinstance(event, CountResolved)]
    certified = [event for event in history if isinstance(event, CountCertified)]
    assert certified == history[-1:] or not certified
    for count in certified:
        back = Counter(dict.fromkeys(MealEntry, 0))
        for event in history:
            if isinstance(event, MealsReversed):
                back[event.kind] += event.quantity
        delivered = sum(event.quantity for event in history if isinstance(event, MealsDelivered))
        served = sum(event.quantity for event in history if isinstance(event, MealServed))
        discarded = sum(event.quantity for event in history if isinstance(event, MealsDiscarded))
        delivered -= back[MealEntry.DELIVERY]
        served -= back[MealEntry.SERVING]
        discarded -= back[MealEntry.DISCARD]
        assert (count.delivered, count.served.total, count.discarded) == (delivered, served, discarded)
        off = served + discarded + count.left_over - delivered - count.carried_over
        assert off == count.discrepancy and (not off or count.reason)
