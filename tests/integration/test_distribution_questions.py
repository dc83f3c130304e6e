"""What screens and reports of distribution answer, beside what was put in: on real servers, from events as stored."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from services.distribution import contract as c
from services.local.nats import NatsServer
from services.projections.registry import DISTRIBUTION, PROJECTIONS
from services.queries import distribution
from services.queries.answer import QueryResult
from shared.erasure import Stage as Erasure
from tests.integration.test_distribution_read_models import STREAMS, busy, store
from tests.support.hall import MONDAY, WEEK, goods, packed
from tests.support.openings import Opening
from tests.support.projections import Stage

NOW = MONDAY + timedelta(hours=1)


class Asked:
    """The read models of both streams, level with what was stored."""

    def __init__(self, stage: Stage) -> None:
        self.pool = stage.pool

    async def records(self, question: Any, **filters: Any) -> list[dict[str, Any]]:
        found: QueryResult = await question(self.pool, **filters)
        assert not found.incomplete
        assert all(len(row) == len(found.columns) for row in found.rows)
        return found.records()

    async def one(self, question: Any, **filters: Any) -> dict[str, Any]:
        (row,) = await self.records(question, **filters)
        return row


@pytest.fixture
async def stage(nats_server: NatsServer, database_url: str) -> AsyncIterator[Stage]:
    async with Stage(nats_server, database_url) as made:
        for stream in STREAMS:
            await made.make(stream)
        yield made


@asynccontextmanager
async def following(stage: Stage, opening: Opening) -> AsyncIterator[Asked]:
    followed = (*DISTRIBUTION, PROJECTIONS["reservations"])
    async with AsyncExitStack() as running:
        for projection in followed:
            await running.enter_async_context(stage.running(projection))
        last = await store(stage, opening)
        for projection in followed:
            for stream in projection.streams:
                await stage.wait(projection.name, stream, last[stream])
        yield Asked(stage)


# -- at the table -----------------------------------------------------------------------------------------------------


async def test_a_household_that_was_erased_is_found_by_its_card_and_is_not_due(stage: Stage) -> None:
    made = Opening()
    hall = made.hall
    for household, card in (("h1", "c1"), ("h2", "c2")):
        hall.household(household, "adult", card=card)
    hall.record(c.PersonErased(kind="household", person="h1", stage=Erasure.ERASED, occurred_at=hall.now))
    hall.record(c.PersonErased(kind="other", person="h2", stage=Erasure.ERASED, occurred_at=hall.now))
    async with following(stage, made) as asked:
        row = await asked.one(distribution.check_in, who="c1", now=NOW)
        assert (row["household"], row["due"], row["warnings"]) == (
            "h1",
            False,
            "erased on 2026-06-01, register it anew",
        )
        row = await asked.one(distribution.check_in, who="c2", now=NOW)
        assert (row["due"], row["warnings"]) == (True, None)
        listed = await asked.records(distribution.households)
        assert [row["erased_at"] for row in listed] == [MONDAY, None]


async def test_a_household_is_due_as_often_as_its_programme_allows_under_whichever_id_it_was_served(
    stage: Stage,
) -> None:
    made = Opening()
    hall = made.hall
    hall.record(c.LimitSet(programme="box", times=2, every=c.Every.WEEK, occurred_at=hall.now))
    for household, card in (("h1", "c1"), ("h2", "c2"), ("h3", "c3")):
        hall.household(household, "adult", card=card, eligible_until=date(2026, 5, 31) if household == "h3" else None)
    hall.visit("v1", "h1", limit=2)
    hall.record(c.HouseholdsMerged(household="h1", into="h2", reason="twice", occurred_at=hall.now))
    async with following(stage, made) as asked:
        row = await asked.one(distribution.check_in, who="c1", now=NOW)
        assert (row["household"], row["due"], row["used"], row["allowed"], row["period"]) == ("h2", True, 1, 2, WEEK)
        assert row["warnings"] == "of them 1 as h1; h1 goes on as h2"
        hall.later(hours=1)
        row = await asked.one(distribution.check_in, who="h3", now=NOW)
        assert (row["due"], row["warnings"]) == (False, "was eligible until 2026-05-31")
        assert await asked.records(distribution.check_in, who="nobody", now=NOW) == []


async def test_a_limit_is_that_of_the_day_and_the_next_one_is_told_of(stage: Stage) -> None:
    made = Opening()
    hall = made.hall
    hall.household("h1", "adult")
    for times, every, since in ((1, c.Every.WEEK, None), (2, c.Every.MONTH, date(2026, 7, 1))):
        hall.record(c.LimitSet(programme="box", times=times, every=every, since=since, occurred_at=hall.now))
    hall.visit("v1", "h1", limit=1)
    hall.visit("v2", "h1", period="2026-07", limit=2)
    july = datetime(2026, 7, 1, 9, tzinfo=UTC)
    async with following(stage, made) as asked:
        row = await asked.one(distribution.check_in, who="h1", now=NOW)
        assert (row["used"], row["allowed"], row["period"], row["due"]) == (1, 1, WEEK, False)
        row = await asked.one(distribution.check_in, who="h1", now=july)
        assert (row["used"], row["allowed"], row["period"], row["due"]) == (1, 2, "2026-07", True)
        row = await asked.one(distribution.programmes, now=NOW)
        assert (row["times"], row["every"], row["next"]) == (1, "week", "2 a month from 2026-07-01")
        row = await asked.one(distribution.programmes, now=july)
        assert (row["times"], row["every"], row["next"]) == (2, "month", None)


async def test_an_unpacked_box_that_was_handed_out_is_to_be_looked_into_and_so_is_the_one_packed_instead(
    stage: Stage,
) -> None:
    made = Opening()
    hall = made.hall
    hall.household("h1", "adult")
    hall.confirm(hall.order("o1", "h1", goods(rice=1)).data)
    first = hall.pack("b1", "o1", "h1", packed("rice", 1, "A"))
    unpacked = {"order": "o1", "household": "h1", "site": "hall", "packed": first.data.packed}
    hall.record(c.BoxUnpacked(box="b1", **unpacked, reason="x", occurred_at=hall.now))
    hall.later(minutes=1)
    hall.pack("b2", "o1", "h1", packed("rice", 1, "A"))
    hall.hand_out(first, breaches=(c.DistributionError.BOX_UNPACKED,))
    of_order = {"household": "h1", "programme": "box", "period": WEEK, "session": "monday", "occurred_at": hall.now}
    hall.record(c.OrderCompleted(order="o1", box="b1", claim="o1", **of_order))
    async with following(stage, made) as asked:
        row = await asked.one(distribution.review)
        assert (row["kind"], row["subject"]) == ("box_unpacked", "box:b1")
        assert "release hold unpacked-b1, if there is one; reverse the hand-out if it is here" in row["todo"]
        (row,) = [row for row in await asked.records(distribution.stuck, now=NOW) if row["what"] == "order"]
        assert (row["waits"], row["why"]) == ("its box to be unpacked", "box b2 of an order that ended")


async def test_an_order_that_is_open_again_waits_for_nothing_of_inventory(stage: Stage) -> None:
    made = Opening()
    hall = made.hall
    hall.household("h1", "adult")
    placed = hall.order("o1", "h1", goods(rice=1)).data
    hall.confirm(placed)
    serving = {"household": "h1", "programme": "box", "period": WEEK, "occurred_at": hall.now}
    hall.record(c.EntitlementClaimed(**serving, claim="o1", used=1, claimed_by="sam"))
    done = {"order": "o1", "box": "b1", **serving, "session": "monday"}
    hall.record(c.OrderCompleted(**done, claim="o1"))
    hall.later(minutes=1)
    hall.record(c.CompletionReversed(**done | {"occurred_at": hall.now}, stage=c.Stage.CONFIRMED, due_at=hall.now))
    async with following(stage, made) as asked:
        (row,) = await asked.records(distribution.stuck, now=NOW + timedelta(days=1))
        assert (row["what"], row["id"]) == ("order", "o1")
        assert row["waits"] == "to be packed with --lines: nothing is set aside"


async def test_what_a_household_comes_for_is_no_second_serving(stage: Stage) -> None:
    made = Opening()
    hall = made.hall
    hall.record(c.LimitSet(programme="box", times=1, every=c.Every.WEEK, occurred_at=hall.now))
    hall.household("h1", "adult")
    hall.confirm(hall.order("o1", "h1", goods(rice=2)).data)
    claim = {"household": "h1", "programme": "box", "period": WEEK, "claim": "o1", "occurred_at": hall.now}
    hall.record(c.EntitlementClaimed(**claim, used=1, limit=1, claimed_by="fulfilling"))
    lots = (packed("rice", 1, "A"),)
    reserved = c.ReservedGoods(item="rice", asked=2, short=1, lots=lots)
    hall.record(c.GoodsReserved(order="o1", site="hall", goods=(reserved,), occurred_at=hall.now))
    async with following(stage, made) as asked:
        row = await asked.one(distribution.check_in, who="h1", now=NOW)
        assert (row["due"], row["used"], row["state"], row["warnings"]) == (True, 1, "to pack", "1 items are short")
        row = await asked.one(distribution.packing, session="monday")
        assert (row["item"], row["lot"], row["quantity"], row["short"]) == ("rice", "A", 1, 1)
        late = await asked.one(distribution.stuck, now=MONDAY + timedelta(hours=7))
        assert (late["what"], late["id"], late["waits"]) == ("order", "o1", "to be packed")
        assert await asked.records(distribution.stuck, now=NOW) == []


async def test_what_nobody_follows_up_is_stuck(stage: Stage) -> None:
    made = Opening()
    hall, pantry = made.hall, made.pantry
    pantry.receive(10, "A")
    pantry.do(
        "ReserveStock", item="rice", location="store", reservation="d-gone", quantity=2, purpose="household",
    )  # fmt: skip
    hall.visit("v1", "h1", goods(rice=2))
    hall.visit("v2", "h1", goods(rice=10))
    some = c.IssuedGoods(item="rice", quantity=6, site="hall", movement=3, unrecorded=4)
    for given in ("v-v2", "o1"):
        hall.record(c.GoodsIssued(order=given, goods=(some,), occurred_at=hall.now))
    hall.confirm(hall.order("o1", "h1", goods(rice=1)).data)
    box = hall.pack("b2", "o2", "h1", packed("rice", 1)).data
    hall.order("o2", "h1", goods(rice=1))
    hall.record(c.NoShowRecorded(order="o2", household="h1", session="monday", occurred_at=hall.now))
    async with following(stage, made) as asked:
        rows = await asked.records(distribution.stuck, now=NOW)
        assert {(row["what"], row["id"], row["waits"]) for row in rows} == {
            ("reservation", "d-gone rice at store", "an order"), ("visit", "v1", "inventory to give rice out"),
            ("visit", "v2", "inventory to give rice out"),
            ("order", "o1", "its claim"), ("order", box.order, "its box to be unpacked"),
        }  # fmt: skip
        assert [row["why"] for row in rows if row["id"] == "v2"] == ["6 of 10 were given out"]
        given = {row["order_id"]: row["issued"] for row in await asked.records(distribution.orders)}
        assert given["o1"] == 6  # what was beyond inventory's ledger is among them


async def test_what_two_households_have_is_one_s_after_they_were_merged_on_either_card(stage: Stage) -> None:
    made = Opening()
    hall = made.hall
    hall.household("h1", "adult", card="c1")
    hall.household("h2", "adult", card="c2")
    hall.confirm(hall.order("o1", "h1", goods(rice=1)).data)
    hall.later(minutes=1)
    hall.confirm(hall.order("o2", "h2", goods(rice=1)).data)
    hall.hand_out(hall.pack("b1", "o1", "h1", packed("rice", 1, "A")))
    for household, allergens in (("h1", "milk"), ("h2", "peanuts")):
        hall.record(
            c.MemberAdded(household=household, member="m9", band=c.AgeBand.CHILD, allergens=allergens, size=2,
                          occurred_at=hall.now)
        )  # fmt: skip
    hall.record(c.HouseholdsMerged(household="h2", into="h1", reason="twice", occurred_at=hall.now))
    async with following(stage, made) as asked:
        for card in ("c1", "c2"):
            row = await asked.one(distribution.check_in, who=card, now=NOW)
            assert (row["household"], row["order_id"], row["state"]) == ("h1", "o2", "to pack"), card
            assert len(row["avoids"]) == 2


async def test_a_card_that_two_households_have_is_to_be_looked_into_until_one_has_another_or_they_are_one(
    stage: Stage,
) -> None:
    made = Opening()
    hall = made.hall
    for household, card in (("h1", "k1"), ("h2", None), ("h3", "k1"), ("h4", "k4"), ("h5", "k4"), ("h6", "k6"),
                            ("h7", "k6")):  # fmt: skip
        hall.household(household, "adult", card=card)
    for household in ("h8", "h9"):  # the card of one that was erased is given to another
        hall.household(household, "adult", card="k8")
    hall.record(c.PersonErased(kind="household", person="h8", stage=Erasure.ERASED, occurred_at=hall.now))
    hall.record(c.HouseholdsMerged(household="h5", into="h4", reason="twice", occurred_at=hall.now))
    hall.record(c.HouseholdChanged(household="h7", card="k7", occurred_at=hall.now))
    async with following(stage, made) as asked:
        row = await asked.one(distribution.review)
        assert (row["kind"], row["subject"], row["detail"]) == ("card_shared", "card:k1", "card k1 is on h1 and h3")
        assert "ChangeHousehold" in row["todo"] and "ResolveVisit" not in row["todo"]
        rows = await asked.records(distribution.check_in, who="k1", now=NOW)
        assert [(row["household"], row["warnings"]) for row in rows] == [
            ("h1", "card k1 is also on h3"), ("h3", "card k1 is also on h1"),
        ]  # fmt: skip
        assert (await asked.one(distribution.check_in, who="k4", now=NOW))["warnings"] == "h5 goes on as h4"
        row = await asked.one(distribution.check_in, who="k8", now=NOW)
        assert (row["household"], row["warnings"]) == ("h9", None)


async def test_a_session_counts_households_once_and_who_gave_no_name_apart(stage: Stage) -> None:
    made = Opening()
    hall = made.hall
    for household in ("h1", "h2", "h3"):
        hall.household(household, "adult")
    for visit, household in (("v1", "h1"), ("v2", "h2"), ("v3", None), ("v4", None), ("v5", "h3"), ("v6", "h3")):
        hall.visit(visit, household)
    hall.record(c.HouseholdsMerged(household="h1", into="h2", reason="twice", occurred_at=hall.now))
    async with following(stage, made) as asked:
        row = await asked.one(distribution.session, session="monday")
        assert (row["visits"], row["households"], row["anonymous"]) == (6, 2, 2)
        assert (row["individuals"], row["people_served"]) == (4, 6)  # as `served` says them
        (listed,) = await asked.records(distribution.sessions)
        assert listed["households"] == 2


# -- reports ----------------------------------------------------------------------------------------------------------


async def test_who_was_served_is_what_a_count_by_hand_says(stage: Stage) -> None:
    made = busy()
    first, last = date(2026, 6, 4), date(2026, 6, 9)
    expected = _by_hand(made, first, last)
    assert expected["new"] and expected["returning"] and expected["anonymous"]
    async with following(stage, made) as asked:
        rows = await asked.records(distribution.served, first=first, last=last)
        row = next(row for row in rows if row["programme"] == "box")
        assert {name: row[name] for name in expected} == expected
        meals = await asked.records(distribution.meals, first=first, last=last)
        counted = [row["meals"] for row in rows if row["programme"] is None]
        assert counted == ([sum(meal["served"] for meal in meals)] if meals else [])


def _by_hand(made: Opening, first: date, last: date) -> dict[str, int]:
    """The report of the programme, from the events alone."""
    events = made.hall.events
    undone = {event.data.visit for event in events if isinstance(event.data, c.VisitReversed)}
    here = {event.data.box for event in events if isinstance(event.data, c.HandOutReversed)}
    facts: list[tuple[datetime, Any, c.People, Mapping[str, int]]] = []
    for event in events:
        data = event.data
        if isinstance(data, c.VisitRecorded) and data.visit not in undone:
            who = data.household or ("visit", data.visit)
            facts.append((data.occurred_at, who, data.served, {line.item: line.quantity for line in data.goods}))
        elif isinstance(data, c.BoxHandedOut) and data.box not in here:
            lines: dict[str, int] = {}
            for line in data.packed:
                lines[line.item] = lines.get(line.item, 0) + line.quantity
            facts.append((data.occurred_at, data.household, data.people, lines))
    within = [fact for fact in facts if first <= fact[0].astimezone(UTC).date() <= last]
    before = {fact[1] for fact in facts if fact[0].astimezone(UTC).date() < first}
    newest = {who: people for _, who, people, _ in sorted(within, key=lambda fact: fact[0])}
    households = {who for who in newest if isinstance(who, str)}
    return {
        "households": len(households), "new": len(households - before), "returning": len(households & before),
        "anonymous": len(newest) - len(households), "individuals": sum(people.total for people in newest.values()),
        "child": sum(people.child for people in newest.values()), "times": len(within),
        "people_served": sum(people.total for _, _, people, _ in within),
        "weight": sum(500 * quantity for _, _, _, lines in within for quantity in lines.values()), "unweighed": 0,
    }  # fmt: skip


# -- whom a recall reaches --------------------------------------------------------------------------------------------


async def test_a_recall_reaches_what_it_covers_and_what_was_made_of_it(stage: Stage) -> None:
    made = Opening()
    hall, pantry = made.hall, made.pantry
    hall.household("h1", "adult")
    day = date(2026, 7, 1)
    pantry.receive(20, "L7", date=day)
    pantry.receive(5, "P1", item="milk", made_from=[{"item": "rice", "lot": "L-7"}], source="repack")
    pantry.issue(3, None, recipient="v-v1")
    pantry.issue(1, None, recipient="somebody")
    hall.visit("v1", "h1", goods(rice=3))
    hall.hand_out(hall.pack("gone", "o1", "h1", packed("rice", 1, "l 7"), packed("rice", 2, "L7", date=day)))
    hall.pack("here", "o2", "h1", packed("rice", 1, "L8", date=date(2026, 9, 1)))
    hall.pack("made", "o3", "h1", packed("milk", 1, "P1"))
    hall.pack("unknown", "o4", "h1", packed("rice", 1))
    for recall, scope in (
        ("by-lot", {"lots": ["L7"]}), ("by-date", {"first_date": "2026-06-15", "last_date": "2026-07-15"}),
        ("all", {}),
    ):  # fmt: skip
        pantry.do("RecallLot", item="rice", recall=recall, scope=scope, reason="glass")
    async with following(stage, made) as asked:
        rows = await asked.records(distribution.reach, what="by-lot")
        found = {(row["holder"], row["certainty"]): row for row in rows}
        assert set(found) == {("gone", "known"), ("v1", "known"), ("made", "known"), ("unknown", "possibly")}
        assert sum(row["quantity"] for row in rows if row["holder"] == "gone") == 3
        assert found["v1", "known"]["quantity"] == 3
        assert found["made", "known"]["todo"].startswith("Keep it back")
        assert found["gone", "known"]["todo"] == "Tell the household."
        rows = await asked.records(distribution.reach, what="by-date")
        assert {(row["holder"], row["certainty"]) for row in rows} == {
            ("gone", "known"), ("gone", "possibly"), ("v1", "known"), ("made", "possibly"), ("unknown", "possibly"),
        }  # fmt: skip
        rows = await asked.records(distribution.reach, what="all")
        assert {row["holder"] for row in rows} == {"gone", "v1", "here", "made", "unknown"}
        rows = await asked.records(distribution.reach, what="l7")
        assert {row["holder"] for row in rows} == {"gone", "v1", "made", "unknown"}
        assert await asked.records(distribution.reach, what="L9") == []
        rows = await asked.records(distribution.reach, what="gone")
        assert [(row["recall"], row["certainty"]) for row in rows] == [
            ("all", "known"), ("all", "known"), ("by-date", "known"), ("by-date", "possibly"), ("by-lot", "known"),
            ("by-lot", "known"),
        ]  # fmt: skip
        assert {row["recall"] for row in await asked.records(distribution.reach, what="here")} == {"all"}
        assert {row["recall"] for row in await asked.records(distribution.reach, what="v1")} == {
            "all", "by-date", "by-lot",
        }  # fmt: skip
        made_of_it = await asked.records(distribution.reach, what="made")
        assert [(row["recall"], row["item"], row["certainty"]) for row in made_of_it] == [
            ("all", "milk", "known"), ("by-date", "milk", "possibly"), ("by-lot", "milk", "known"),
        ]  # fmt: skip
