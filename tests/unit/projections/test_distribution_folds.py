"""What each read model of distribution keeps of the events."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from services.distribution import contract as c
from services.projections.distribution.boxes import Boxes
from services.projections.distribution.entitlements import Entitlements
from services.projections.distribution.households import Households
from services.projections.distribution.meal_counts import MealCounts
from services.projections.distribution.orders import Orders
from services.projections.distribution.programmes import Programmes
from services.projections.distribution.recall_reach import RecallReachBoxes
from services.projections.distribution.review import DistributionReview
from services.projections.distribution.served import VisitsServed
from services.projections.distribution.sessions import Sessions
from shared.projection import Projection
from shared.sealing import is_sealed
from tests.support.hall import MONDAY, WEEK, Hall, goods, packed
from tests.support.pantry import Pantry, table
from tests.support.sentences import opened

IN = {"programme": "box", "period": WEEK}


@pytest.fixture
def hall() -> Hall:
    return Hall().furnish()


def cut(projection: Projection, hall: Hall, *names: str, of: str | None = None) -> list[Any]:
    found = [tuple(row[name] for name in names) for row in table(projection, hall.events, of)]
    return [row[0] for row in found] if len(names) == 1 else found


def said(texts: Iterable[str | None]) -> list[str | None]:
    """What sealed texts say."""
    return [None if text is None else opened(text) for text in texts]


# -- households -------------------------------------------------------------------------------------------------------


def test_a_household_is_counted_by_age_and_whoever_is_not_listed_is_of_unknown_age(hall: Hall) -> None:
    hall.household("h1", "child", "child", "adult", size=4, name="Grace Hopper", card="1001")
    ages = ("size", "child", "adult", "senior", "unknown")
    assert cut(Households(), hall, *ages) == [(4, 2, 1, 0, 1)]
    hall.record(
        c.MemberAdded(
            household="h1", member="gran", band=c.AgeBand.SENIOR, counted_already=True, size=4, occurred_at=hall.now
        )
    )
    assert cut(Households(), hall, *ages) == [(4, 2, 1, 1, 0)]
    hall.record(c.MemberRemoved(household="h1", member="m0", size=3, occurred_at=hall.now))
    assert cut(Households(), hall, *ages) == [(3, 1, 1, 1, 0)]
    assert cut(Households(), hall, "member", of="members") == ["gran", "m1", "m2"]


def test_what_is_personal_of_a_household_stays_sealed(hall: Hall) -> None:
    member = c.Member(member="ada", band=c.AgeBand.ADULT, name="Ada Lovelace", diet="vegan", allergens="peanuts")
    hall.record(
        c.HouseholdRegistered(
            household="h1", card="1001", name="Lovelace", contact="ada@example.org", address="12 St James's Square",
            members=(member,), size=1, basis="declared", signature="AL", occurred_at=hall.now,
        )
    )  # fmt: skip
    (row,) = table(Households(), hall.events)
    assert all(is_sealed(row[name]) for name in ("name", "contact", "address", "basis", "signature"))
    (row,) = table(Households(), hall.events, "members")
    assert all(is_sealed(row[name]) for name in ("name", "diet", "allergens"))


def test_a_merged_household_leads_to_the_one_it_goes_on_as_until_that_is_taken_back(hall: Hall) -> None:
    hall.household("h1")
    hall.household("h2")
    hall.record(c.HouseholdsMerged(household="h1", into="h2", reason="twice", occurred_at=hall.now))
    assert cut(Households(), hall, "merged_into") == ["h2", None]
    hall.record(c.HouseholdsUnmerged(household="h1", into="h2", reason="not so", occurred_at=hall.now))
    assert cut(Households(), hall, "merged_into") == [None, None]


def test_a_proxy_may_collect_on_the_days_of_every_authorisation_until_it_is_revoked(hall: Hall) -> None:
    hall.household("h1")
    for since, until in ((date(2026, 1, 1), date(2026, 1, 31)), (date(2026, 3, 1), None)):
        hall.record(c.ProxyAuthorised(household="h1", proxy="p", since=since, until=until, occurred_at=hall.now))
    assert cut(Households(), hall, "spans", of="proxies") == [[["2026-01-01", "2026-01-31"], ["2026-03-01", None]]]
    hall.record(c.ProxyRevoked(household="h1", proxy="p", occurred_at=hall.now))
    assert cut(Households(), hall, "spans", of="proxies") == []


# -- programmes and sessions --------------------------------------------------------------------------------------


def test_a_programme_has_the_limits_that_held_and_the_one_that_will(hall: Hall) -> None:
    def limit(times: int, every: c.Every, since: date | None) -> None:
        hall.record(c.LimitSet(programme="box", times=times, every=every, since=since, occurred_at=hall.now))

    limit(1, c.Every.WEEK, None)
    limit(2, c.Every.WEEK, date(2026, 6, 1))
    limit(3, c.Every.MONTH, date(2026, 7, 1))
    limit(4, c.Every.YEAR, date(2027, 1, 1))  # it takes the place of the one before
    assert cut(Programmes(), hall, "limits") == [[
        {"times": 1, "every": "week", "since": None}, {"times": 2, "every": "week", "since": "2026-06-01"},
        {"times": 4, "every": "year", "since": "2027-01-01"},
    ]]  # fmt: skip


def test_an_unpacked_box_that_was_handed_out_is_with_its_household(hall: Hall) -> None:
    box = hall.pack("b1", "o1", "h1", packed("rice", 1, "A"))
    unpacked = {"order": "o1", "household": "h1", "site": "hall", "packed": box.data.packed, "occurred_at": hall.now}
    hall.record(c.BoxUnpacked(box="b1", reason="x", **unpacked))
    hall.hand_out(box, breaches=(c.DistributionError.BOX_UNPACKED,))
    assert cut(Boxes(), hall, "box", "state", "breaches") == [("b1", "handed_out", ["BOX_UNPACKED"])]
    assert cut(RecallReachBoxes(), hall, "box", "state", of="reach_boxes") == [("b1", "handed_out")]
    assert cut(DistributionReview(), hall, "kind", "subject") == [("box_unpacked", "box:b1")]


def test_an_order_is_in_the_period_that_it_was_confirmed_for(hall: Hall) -> None:
    placed = hall.order("o1", "h1", goods(rice=1)).data
    hall.confirm(replace(placed, period="2026-06"))
    assert cut(Orders(), hall, "order_id", "period") == [("o1", "2026-06")]


def test_of_limits_that_were_set_on_one_day_the_last_one_holds(hall: Hall) -> None:
    first, today = {"every": c.Every.WEEK, "since": None}, {"every": c.Every.WEEK, "since": hall.now.date()}
    for times, how in ((1, first), (2, today), (3, today)):
        hall.record(c.LimitSet(programme="box", times=times, **how, occurred_at=hall.now))
    (limits,) = cut(Programmes(), hall, "limits")
    assert [limit["times"] for limit in limits] == [1, 3]


def test_a_programme_has_the_bundles_that_were_not_ended(hall: Hall) -> None:
    for size, lines in ((1, {"rice": 1}), (4, {"rice": 2}), (1, {})):
        bundle = tuple(c.BundleLine(item=item, quantity=quantity) for item, quantity in lines.items())
        hall.record(c.BundleSet(programme="box", min_size=size, lines=bundle, occurred_at=hall.now))
    assert cut(Programmes(), hall, "min_size", "lines", of="bundles") == [(4, [{"item": "rice", "quantity": 2}])]


def test_a_session_counts_who_is_expected_who_was_served_and_who_did_not_come(hall: Hall) -> None:
    for order in ("o1", "o2", "o3"):
        hall.record(c.SlotBooked(session="monday", order=order, slot=hall.now, occurred_at=hall.now))
    hall.record(c.SlotFreed(session="monday", order="o1", served=True, occurred_at=hall.now))
    hall.record(c.SlotFreed(session="monday", order="o2", occurred_at=hall.now))
    assert cut(Sessions(), hall, "state", "booked", "served") == [("open", 1, 1)]
    hall.record(c.SessionClosed(session="monday", end_orders=True, no_shows=("o3",), occurred_at=hall.now))
    assert cut(Sessions(), hall, "state", "no_shows") == [("closed", 1)]
    assert cut(Sessions(), hall, "order_id", "served", of="bookings") == [("o1", True), ("o2", False), ("o3", None)]


# -- entitlements and orders ------------------------------------------------------------------------------------------


def test_an_entitlement_says_how_often_it_was_used_and_by_what(hall: Hall) -> None:
    claim = {**IN, "household": "h1", "occurred_at": hall.now}
    hall.record(c.EntitlementClaimed(**claim, claim="o1", used=1, limit=1, claimed_by="sam"))
    hall.visit("v1", "h1", used=2, limit=1, breaches=(c.DistributionError.LIMIT_REACHED,), fact=True)
    hall.record(c.EntitlementReleased(**claim, claim="o1", reason="cancelled", used=1))
    hall.visit("v2", None)
    assert cut(Entitlements(), hall, "household", "used", "allowed") == [("h1", 1, 1)]
    found = cut(Entitlements(), hall, "claim", "kind", "over", of="claims")
    assert found == [("o1", "order", False), ("v1", "visit", True)]
    assert said(cut(Entitlements(), hall, "reason", of="claims")) == ["cancelled", None]


def test_an_order_shows_its_stage_and_what_inventory_answered_for_its_lines(hall: Hall) -> None:
    placed = hall.order("o1", "h1", goods(rice=2, milk=1000))
    hall.confirm(placed.data)
    lots = (packed("rice", 1, "A", date=date(2026, 7, 1)),)
    reserved = c.ReservedGoods(item="rice", asked=2, short=1, lots=lots)
    hall.record(c.GoodsReserved(order="o1", site="hall", goods=(reserved,), occurred_at=hall.now))
    assert cut(Orders(), hall, "order_id", "stage", "goods", "due_at") == [
        ("o1", "confirmed", {"rice": 2, "milk": 1000}, MONDAY + timedelta(hours=6))
    ]
    line = ("fulfilment", "item", "asked", "short", "remaining", "issued")
    assert cut(Orders(), hall, *line, of="fulfilment_lines") == [("o1", "rice", 2, 1, 1, 0)]
    assert cut(Orders(), hall, "lots", of="fulfilment_lines") == [
        [{"lot": "A", "date": "2026-07-01", "owner": None, "quantity": 1}]
    ]
    some = (packed("milk", 300, "M"), packed("milk", 700, "N"))
    reserved = c.ReservedGoods(item="milk", asked=1000, short=0, lots=some)
    hall.record(c.GoodsReserved(order="o1", site="hall", goods=(reserved,), occurred_at=hall.now))
    taken = {"lots": (packed("milk", 200, "N"),), "quantity": 200, "remaining": 800}
    hall.record(c.GoodsFreed(order="o1", item="milk", **taken, occurred_at=hall.now))
    milk = table(Orders(), hall.events, "fulfilment_lines")[0]
    assert [(lot["lot"], lot["quantity"]) for lot in milk["lots"]] == [("M", 300), ("N", 500)]
    assert (milk["remaining"], milk["freed"]) == (800, 200)
    issued = c.IssuedGoods(item="rice", quantity=1, site="hall", movement=3, reserved=True)
    hall.record(c.GoodsIssued(order="o1", goods=(issued,), occurred_at=hall.now))
    done = {"order": "o1", "household": "h1", **IN, "session": "monday", "occurred_at": hall.now}
    hall.record(c.OrderCompleted(**done, box="b1", claim="o1"))
    hall.record(c.OrderCompleted(**done, box="b2", claim="box-b2", beside="b1"))
    assert cut(Orders(), hall, "stage", "box") == [("completed", "b1")]
    hall.record(c.CompletionReversed(**done, box="b1", instead="b2", released="box-b2", stage=c.Stage.COMPLETED))
    assert cut(Orders(), hall, "stage", "box") == [("completed", "b2")]
    assert cut(Orders(), hall, *line, of="fulfilment_lines")[1:] == [("o1", "rice", 2, 1, 0, 1)]


def test_an_order_that_ended_says_how(hall: Hall) -> None:
    for order in ("o1", "o2"):
        hall.order(order, "h1", goods(rice=1))
    ended = {"household": "h1", "session": "monday", "occurred_at": hall.later(hours=1)}
    hall.record(c.OrderCancelled(order="o1", reason="moved away", **ended))
    hall.record(c.NoShowRecorded(order="o2", **ended))
    assert cut(Orders(), hall, "stage", "ended_at") == [("cancelled", hall.now), ("no_show", hall.now)]
    assert said(cut(Orders(), hall, "reason")) == ["moved away", None]


def test_what_an_order_says_in_words_stays_sealed(hall: Hall) -> None:
    stew = c.Warned(item="stew", warning=c.Warning.ALLERGEN)
    warnings = c.warnings_said([stew], ["stew"])
    hall.order("o1", "h1", goods(stew=1), override_reason="a fire", warnings=warnings)
    assert [said(row) for row in cut(Orders(), hall, "override_reason", "warnings")] == [["a fire", warnings]]
    assert c.warnings_in(warnings) == (stew,)


# -- boxes ------------------------------------------------------------------------------------------------------------


def test_a_box_leads_to_its_lots_and_to_whose_hands_it_is_in(hall: Hall) -> None:
    first = hall.pack("b1", "o1", "h1", packed("rice", 1, "l-7"), packed("rice", 2, "L 7"), packed("milk", 500))
    hall.pack("b2", "o2", "h2", packed("rice", 1, "B"))
    hall.later(hours=1)
    hall.hand_out(first, collected_by="p")
    hall.record(
        c.BoxUnpacked(
            box="b2", order="o2", reason="nobody came", household="h2", site="hall", packed=(), occurred_at=hall.now
        )
    )
    assert said(cut(Boxes(), hall, "reason")) == [None, "nobody came"]
    assert cut(Boxes(), hall, "box", "state", "collected_by", "ended_at") == [
        ("b1", "handed_out", "p", hall.now), ("b2", "unpacked", None, hall.now)
    ]  # fmt: skip
    assert cut(Boxes(), hall, "box", "item", "lot", "lot_form", "quantity", of="box_lots") == [
        ("b1", "milk", None, "", 500), ("b1", "rice", "l-7", "L7", 3), ("b2", "rice", "B", "B", 1)
    ]  # fmt: skip


def test_a_box_that_was_not_handed_out_after_all_is_here_and_nobody_was_served(hall: Hall) -> None:
    placed = hall.order("o1", "h1", goods(rice=2))
    hall.confirm(placed.data)
    hall.record(c.SlotBooked(session="monday", order="o1", occurred_at=hall.now))
    stored = hall.pack("b1", "o1", "h1", packed("rice", 2, "A"))
    broken = {"breaches": (c.DistributionError.LIMIT_REACHED,), "fact": True, "collected_by": "p"}
    hall.hand_out(stored, **broken)
    issued = c.IssuedGoods(item="rice", quantity=2, site="hall", movement=3, unrecorded=1)
    given = {"order": "o1", "box": "b1", "goods": (issued,), "occurred_at": hall.now}
    hall.record(c.GoodsIssued(**given))
    done = {"order": "o1", "box": "b1", "household": "h1", "session": "monday", "occurred_at": hall.now}
    hall.record(c.OrderCompleted(**done, **IN, claim="o1"))
    hall.record(c.SlotFreed(session="monday", order="o1", served=True, occurred_at=hall.now))
    hall.later(minutes=5)
    at = {"occurred_at": hall.now}
    hall.record(c.HandOutReversed(**done | at, **IN, packed=stored.data.packed, reason="the wrong box", site="hall"))
    hall.record(c.ReversalNoted(**given | at))
    hall.record(c.CompletionReversed(**done | at, **IN, stage=c.Stage.CONFIRMED, due_at=hall.now))
    hall.record(c.SlotBooked(session="monday", order="o1", again=True, **at))

    assert cut(Boxes(), hall, "state", "ended_at", "collected_by", "breaches", "reversed_at") == [
        ("packed", None, None, [], hall.now)
    ]  # fmt: skip
    assert cut(Orders(), hall, "stage", "ended_at", "box", "reopened_at") == [("confirmed", None, None, hall.now)]
    assert cut(Orders(), hall, "issued", "unrecorded", of="fulfilment_lines") == [(0, 0)]
    assert cut(Sessions(), hall, "booked", "served") == [(1, 0)]
    assert cut(Sessions(), hall, "freed_at", "served", of="bookings") == [(None, None)]
    assert cut(VisitsServed(), hall, "id") == []
    assert cut(DistributionReview(), hall, "kind", "closed_by") == [("limit_reached", "reversed")]
    (reach,) = table(RecallReachBoxes(), hall.events, "reach_boxes")
    assert (reach["state"], reach["since"], reach["collected_by"]) == ("packed", hall.now, None)
    hall.record(c.GoodsIssued(**given | at, reversed=True))
    assert cut(Orders(), hall, "issued", of="fulfilment_lines") == [0]
    hall.hand_out(stored, **broken, hand_out=2)
    assert cut(VisitsServed(), hall, "id") == ["b1"]
    assert cut(DistributionReview(), hall, "kind", "closed_by") == [("limit_reached", None)]


# -- reports ----------------------------------------------------------------------------------------------------------


def test_what_a_box_was_packed_against_waits_for_somebody_when_it_comes_back(hall: Hall) -> None:
    unusual = (c.DistributionError.UNUSUAL,)
    stored = hall.pack("b1", "o1", "h1", packed("rice", 2, "A"), breaches=unusual)
    handed = hall.hand_out(stored, breaches=(c.DistributionError.ORDER_ENDED,))
    told = {name: getattr(handed.data, name) for name in ("box", "order", "household", "packed")}
    hall.record(
        c.HandOutReversed(
            **told, **IN, session="monday", site="hall", reason="wrong", breaches=unusual, occurred_at=hall.now
        )
    )
    assert cut(DistributionReview(), hall, "kind", "closed_by") == [("order_ended", "reversed"), ("unusual", None)]


def test_a_visit_and_a_box_count_as_served_and_a_visit_that_was_reversed_does_not(hall: Hall) -> None:
    hall.visit("v1", "h1", goods(rice=2), served=c.People(child=2, adult=1))
    hall.visit("v2", None, goods(rice=1))
    hall.hand_out(hall.pack("b1", "o1", "h2", packed("rice", 1, "A"), packed("rice", 2, "B")))
    hall.record(
        c.VisitReversed(
            visit="v2", household=None, **IN, reason="typed twice", session="monday", site="hall", used=0,
            occurred_at=hall.now,
        )
    )  # fmt: skip
    assert cut(VisitsServed(), hall, "kind", "id", "household", "goods", "child", "adult") == [
        ("box", "b1", "h2", {"rice": 3}, 0, 1), ("visit", "v1", "h1", {"rice": 2}, 2, 1)
    ]  # fmt: skip


def test_meals_are_added_up_by_who_ate_them_until_somebody_answers_for_the_count(hall: Hall) -> None:
    day = {"site": "school", "date": date(2026, 6, 1), "meal": c.MealType.BREAKFAST, "occurred_at": hall.now}
    hall.record(c.MealsDelivered(**day, delivery="d1", quantity=40))
    for serving, diner, quantity in (("s1", c.Diner.FIRST, 30), ("s2", c.Diner.FIRST, 4), ("s3", c.Diner.OTHER, 1)):
        hall.record(c.MealServed(**day, diner=diner, quantity=quantity, serving=serving, served=0))
    hall.record(c.MealsDiscarded(**day, discard="x", quantity=2, reason="too warm"))
    hall.record(c.MealServed(**day, diner=c.Diner.SECOND, quantity=5, serving="twice", served=0))
    hall.record(c.MealsReversed(
        **day, kind=c.MealEntry.SERVING, entry="twice", reason="x", quantity=5, diner=c.Diner.SECOND
    ))  # fmt: skip
    figures = ("delivered", "first", "second", "other", "discarded", "certified_by", "discrepancy")
    assert cut(MealCounts(), hall, *figures) == [(40, 34, 0, 1, 2, None, None)]
    hall.record(
        c.CountCertified(
            **day, left_over=2, kept=0, discrepancy=-1, reason="one dropped", delivered=40, discarded=2,
            served=c.MealsServed(first=34, other=1), certified_by="kim",
        )
    )  # fmt: skip
    assert cut(MealCounts(), hall, *figures) == [(40, 34, 0, 1, 2, "kim", -1)]
    assert cut(DistributionReview(), hall, "kind", "subject", "figure", "detail") == [
        ("count_off", "school:2026-06-01:breakfast", -1, "one dropped")
    ]
    hall.record(c.CountResolved(**day, note="found under the table"))
    assert cut(DistributionReview(), hall, "closed_by", "note") == [("resolved", "found under the table")]
    assert cut(MealCounts(), hall, *figures) == [(40, 34, 0, 1, 2, "kim", -1)]


# -- review -----------------------------------------------------------------------------------------------------------


def test_a_household_that_was_served_twice_is_to_be_looked_at_until_the_visit_is_taken_back(hall: Hall) -> None:
    twice = (c.DistributionError.NOT_ELIGIBLE, c.DistributionError.LIMIT_REACHED)
    hall.visit("v1", "h1", used=2, limit=1, breaches=twice, fact=True)
    assert cut(DistributionReview(), hall, "kind", "household", "closed_by") == [
        ("limit_reached", "h1", None), ("not_eligible", "h1", None)
    ]  # fmt: skip
    hall.record(
        c.VisitReversed(
            visit="v1", household="h1", **IN, reason="mistyped", session="monday", site="hall", used=1,
            occurred_at=hall.now,
        )
    )  # fmt: skip
    assert cut(DistributionReview(), hall, "closed_by") == ["reversed"] * 2
    assert said(cut(DistributionReview(), hall, "note")) == ["mistyped"] * 2


@pytest.mark.parametrize("broken", list(c.DistributionError))
def test_whatever_a_box_broke_is_closed_with_it(hall: Hall, broken: c.DistributionError) -> None:
    hall.hand_out(hall.pack("b1", "o1", "h1", packed("rice", 1)), breaches=(broken,), fact=True)
    hall.record(c.HandOutResolved(box="b1", note="seen to", household="h1", occurred_at=hall.now))
    assert cut(DistributionReview(), hall, "kind", "closed_by") == [(str(broken).lower(), "resolved")]


def test_a_serving_that_nobody_was_asked_about_is_listed_whether_its_sealed_warnings_say_something_or_not(
    hall: Hall,
) -> None:
    """Else the list would tell in clear which household may not eat what it got."""
    stew = c.Warned(item="stew", warning=c.Warning.ALLERGEN)
    some, none = c.warnings_said([stew], ["stew"], unseen=True), c.warnings_said((), ["rice"])
    before = hall.now - timedelta(minutes=30)
    hall.visit("v1", "h1", goods(stew=1), warnings=some, fact=True)
    hall.visit("v2", "h2", goods(rice=1), warnings=none, occurred_at=before)
    hall.visit("v3", "h3", goods(stew=1), warnings=some, fact=True, seen_warnings=True)
    hall.visit("v4", "h4", goods(rice=1), warnings=none)
    hall.visit("v5", None, goods(stew=1), fact=True)
    found = cut(DistributionReview(), hall, "kind", "subject")
    assert found == [("look_at_warnings", f"visit:h{n}:box:v{n}") for n in (1, 2)]
    assert said(cut(DistributionReview(), hall, "detail")) == [some, none]
    hall.record(c.VisitResolved(visit="v1", household="h1", **IN, note="told", occurred_at=hall.now))
    assert cut(DistributionReview(), hall, "closed_by") == ["resolved", None]


def test_a_box_that_was_packed_a_while_ago_is_listed_until_somebody_looked_at_its_warnings(hall: Hall) -> None:
    none = c.warnings_said((), ["rice"])
    of = {"order": "o1", "household": "h1", "site": "hall"}
    rice = packed("rice", 1)
    box = hall.pack("b1", "o1", "h1", rice, warnings=none, occurred_at=hall.now - timedelta(minutes=30))
    hall.pack("b2", "o2", "h2", rice, warnings=none)
    assert cut(DistributionReview(), hall, "kind", "subject") == [("look_at_warnings", "box:b1")]
    hall.hand_out(box, fact=True)
    back = {"programme": "box", "period": WEEK, "session": "monday", "hand_out": 1, "unpacked": False}
    hall.record(c.HandOutReversed(box="b1", **of, **back, packed=(rice,), reason="x", occurred_at=hall.now))
    assert cut(DistributionReview(), hall, "closed_by") == [None]
    hall.record(c.BoxUnpacked(box="b1", **of, packed=(rice,), reason="x", occurred_at=hall.now))
    assert cut(DistributionReview(), hall, "closed_by") == ["unpacked"]
    hall.hand_out(box, fact=True)  # it had been handed out all the same
    assert cut(DistributionReview(), hall, "closed_by") == [None]
    hall.record(c.HandOutResolved(box="b1", note="told", household="h1", occurred_at=hall.now))
    assert cut(DistributionReview(), hall, "closed_by") == ["resolved"]


def test_a_visit_that_stands_is_closed_by_whoever_looked_into_it(hall: Hall) -> None:
    for household in ("h1", None):
        visit = f"v-{household}"
        hall.visit(visit, household, breaches=(c.DistributionError.SESSION_NOT_OPEN,), fact=True)
        found = cut(DistributionReview(), hall, "household", "period", "closed_by")
        assert (household, IN["period"], None) in found
        hall.record(c.VisitResolved(visit=visit, household=household, **IN, note="the key stuck", occurred_at=hall.now))
    assert cut(DistributionReview(), hall, "closed_by") == ["resolved"] * 2
    of_nobody, of_h1 = cut(DistributionReview(), hall, "note")
    assert of_nobody == "the key stuck"
    assert said([of_h1]) == ["the key stuck"]


def test_a_box_handed_out_without_a_claim_and_a_refused_step_wait_for_somebody(hall: Hall) -> None:
    box = hall.pack("b1", "o1", "h1", packed("rice", 1))
    hall.hand_out(box, breaches=(c.DistributionError.LIMIT_REACHED,), fact=True)
    step = c.ProcessStepRefused(
        step="s1", manager="fulfilling", cause="c", service="inventory", target="stock/rice:hall",
        command="IssueStock", code="UNKNOWN_ITEM", detail="There is no rice.", occurred_at=hall.now,
    )  # fmt: skip
    hall.record(step)
    items = cut(DistributionReview(), hall, "kind", "subject", "closed_by")
    assert items == [("limit_reached", "box:b1", None), ("step_refused", "s1", None)]
    hall.record(c.ProcessStepResolved(step="s1", note="issued by hand", occurred_at=hall.now))
    assert cut(DistributionReview(), hall, "closed_by", "note") == [(None, None), ("resolved", "issued by hand")]
    hall.record(c.HandOutResolved(box="b1", note="a second card", household="h1", occurred_at=hall.now))
    assert cut(DistributionReview(), hall, "closed_by") == ["resolved", "resolved"]
    assert said(cut(DistributionReview(), hall, "note")[:1]) == ["a second card"]


def test_a_count_that_kept_other_meals_than_the_next_one_carried_over_is_for_review(hall: Hall) -> None:
    day = {"site": "school", "date": date(2026, 6, 1), "delivered": 0, "served": c.MealsServed(), "discarded": 0}
    certified = {**day, "certified_by": "ada", "carried_on": date(2026, 6, 2), "occurred_at": hall.now}
    hall.record(c.CountCertified(**certified, meal=c.MealType.LUNCH, carried_after=7, reason="thrown away"))
    hall.record(c.CountCertified(**certified, meal=c.MealType.SNACK, carried_after=0))
    found = cut(DistributionReview(), hall, "kind", "subject", "figure", "detail")
    assert found == [("count_off", "school:2026-06-01:lunch", 7, "thrown away")]
    after = cut(MealCounts(), hall, "meal", "carried_after", "carried_on")
    assert after == [("lunch", 7, date(2026, 6, 2)), ("snack", 0, date(2026, 6, 2))]


# -- whom a recall reaches --------------------------------------------------------------------------------------------


def test_a_recall_finds_lots_in_boxes_and_what_inventory_gave_to_visits(hall: Hall) -> None:
    pantry = Pantry().furnish()
    pantry.receive(20, "L7")
    issued = pantry.issue(5, "L7", recipient="v-v1")
    pantry.issue(2, "L7", recipient="somebody-else")
    pantry.do("RecallLot", item="rice", recall="r1", scope={"lots": ["l-7"]}, reason="glass")
    hall.visit("v1", "h1", goods(rice=5))
    hall.hand_out(hall.pack("b1", "o1", "h2", packed("rice", 1, "L-7")))
    reach = RecallReachBoxes()
    both = [*pantry.events, *hall.events]
    (recall,) = table(reach, both, "reach_recalls")
    assert (recall["recall"], recall["scope_forms"], recall["ended_at"]) == ("r1", ["L7"], None)
    (lot,) = table(reach, both, "reach_visit_lots")
    assert (lot["visit"], lot["lot_form"], lot["quantity"]) == ("v1", "L7", 5)
    (lot,) = table(reach, both, "reach_box_lots")
    assert (lot["box"], lot["lot_form"], lot["quantity"]) == ("b1", "L7", 1)
    pantry.do("ReverseMovement", item="rice", location="store", movement=issued.revision, reason="mistyped")
    assert [lot["quantity"] for lot in table(reach, [*pantry.events, *hall.events], "reach_visit_lots")] == [0]
