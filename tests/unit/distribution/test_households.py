"""Households: who lives in them, who may collect, which go on as another."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from services.distribution.contract import (
    MAX_MEMBERS,
    AddMember,
    AgeBand,
    AuthoriseProxy,
    ChangeHousehold,
    DistributionError,
    EligibilityRenewed,
    HouseholdChanged,
    HouseholdRegistered,
    HouseholdsMerged,
    HouseholdsUnmerged,
    Member,
    MemberAdded,
    MemberRemoved,
    MergeHouseholds,
    MergeNoted,
    NoteMerge,
    People,
    ProxyAuthorised,
    ProxyRevoked,
    RegisterHousehold,
    RemoveMember,
    RenewEligibility,
    RevokeProxy,
    UnmergeHouseholds,
)
from services.distribution.household import may_collect
from tests.support.distribution import NOW, ago, given, okafor, yilmaz

E = DistributionError
WHO = {"household": "yilmaz"}
cleo = AddMember(**WHO, member="cleo", band=AgeBand.ADULT, allergens="milk")
merge = MergeHouseholds(**WHO, into="okafor", reason="Registered twice.")
unmerge = UnmergeHouseholds(**WHO, into="okafor", reason="Cousins.")
FROM, UNTIL = date(2026, 11, 1), date(2026, 11, 30)
neighbour = AuthoriseProxy(**WHO, proxy="neighbour", name="Ms Silva", since=FROM, until=UNTIL)


def test_a_household_is_registered_once() -> None:
    known = given().when(yilmaz).then(HouseholdRegistered, size=4)
    assert known.state("household", "yilmaz").people == People(child=1, senior=1, unknown=2)
    known.when(yilmaz).then_rejected(E.ALREADY_EXISTS, household="yilmaz")


def test_nobody_is_called_anonymous() -> None:
    """Its entitlements would be those of visits without a name."""
    given().when(RegisterHousehold(household="anonymous", size=1)).then_rejected(E.ALREADY_EXISTS)


def test_no_more_are_listed_than_live_there_and_each_once() -> None:
    ada, ben = Member(member="ada"), Member(member="ben")
    given().when(replace(okafor, members=(ada, ben))).then_rejected(E.HOUSEHOLD_SIZE, size=1, members=2)
    given().when(replace(okafor, size=2, members=(ada, ada))).then_rejected(E.DUPLICATE_LINE)
    given().when(replace(okafor, size=2, members=(ada, ben))).then_event()


def test_members_come_and_go() -> None:
    here = given(yilmaz).when(cleo).then(MemberAdded, size=5)
    here.when(RemoveMember(**WHO, member="cleo")).then(MemberRemoved, size=4)
    given(yilmaz).when(replace(cleo, counted_already=True)).then(MemberAdded, size=4)


def test_a_member_who_is_listed_is_not_added_again_so_that_no_allergy_is_lost() -> None:
    given(yilmaz, cleo).when(replace(cleo, allergens="milk, eggs")).then_rejected(E.ALREADY_EXISTS, member="cleo")


def test_a_household_has_room_for_thirty_and_lists_no_more_than_it_has() -> None:
    full = RegisterHousehold(**WHO, size=MAX_MEMBERS)
    given(full).when(cleo).then_rejected(E.HOUSEHOLD_SIZE, size=MAX_MEMBERS)
    given(full).when(replace(cleo, counted_already=True)).then_event()
    alone = given(okafor, AddMember(household="okafor", member="ada", counted_already=True))
    alone.when(AddMember(household="okafor", member="ben", counted_already=True)).then_rejected(E.HOUSEHOLD_SIZE)


def test_the_last_member_stays() -> None:
    alone = given(okafor, AddMember(household="okafor", member="ada", counted_already=True))
    alone.when(RemoveMember(household="okafor", member="ada")).then_rejected(E.LAST_MEMBER, member="ada")
    alone.when(RemoveMember(household="okafor", member="ben")).then_rejected(E.UNKNOWN_MEMBER, member="ben")


def test_what_is_known_is_changed_and_eligibility_renewed() -> None:
    given(yilmaz).when(ChangeHousehold(**WHO, card="c-2")).then(HouseholdChanged, card="c-2")
    given(yilmaz).when(RenewEligibility(**WHO, eligible_until=UNTIL)).then(EligibilityRenewed, eligible_until=UNTIL)


@pytest.mark.parametrize(
    "command",
    [
        cleo, RemoveMember(**WHO, member="ada"), ChangeHousehold(**WHO), RenewEligibility(**WHO), neighbour,
        RevokeProxy(**WHO, proxy="neighbour"), merge, unmerge, NoteMerge(**WHO, other="okafor", merged=True),
    ],
)  # fmt: skip
def test_nothing_is_decided_of_a_household_that_nobody_registered(command: object) -> None:
    given(okafor).when(command).then_rejected(E.UNKNOWN_HOUSEHOLD, household="yilmaz")


# -- who collects -----------------------------------------------------------------------------------------------------


def test_somebody_may_collect_for_a_time() -> None:
    known = given(yilmaz).when(neighbour).then(ProxyAuthorised, since=FROM, until=UNTIL)
    known.when(neighbour).then_nothing()
    state = known.state("household", "yilmaz")
    days = (FROM - timedelta(days=1), FROM, UNTIL, UNTIL + timedelta(days=1))
    assert [may_collect(state, "neighbour", day, NOW) for day in days] == [False, True, True, False]
    assert not may_collect(state, "stranger", FROM, NOW)


@pytest.mark.parametrize(
    ("since", "until"),
    [(FROM, None), (UNTIL, None), (date(2026, 10, 1), FROM), (date(2026, 10, 1), None), (FROM, date(2026, 11, 10))],
)
def test_authorisations_of_one_person_do_not_overlap(since: date, until: date | None) -> None:
    again = replace(neighbour, since=since, until=until)
    given(yilmaz, neighbour).when(again).then_rejected(E.PROXY_OVERLAPS, since=str(FROM), until=str(UNTIL))
    given(yilmaz, neighbour).when(replace(again, proxy="another")).then_event()


def test_one_authorisation_follows_another() -> None:
    given(yilmaz, neighbour).when(replace(neighbour, since=date(2026, 12, 1), until=None)).then_event()
    given(yilmaz, neighbour).when(replace(neighbour, since=date(2026, 10, 1), until=date(2026, 10, 31))).then_event()
    given(yilmaz, replace(neighbour, until=None)).when(
        replace(neighbour, since=date(2030, 1, 1), until=None)
    ).then_rejected(E.PROXY_OVERLAPS, until=None)
    given(yilmaz).when(replace(neighbour, since=UNTIL, until=FROM)).then_rejected(E.INVALID_RANGE)


def test_a_revoked_authorisation_counts_for_what_was_collected_before() -> None:
    revoke = RevokeProxy(**WHO, proxy="neighbour", occurred_at=ago(minutes=30))
    revoked = given(yilmaz, neighbour).when(revoke).then(ProxyRevoked, proxy="neighbour")
    state = revoked.state("household", "yilmaz")
    assert may_collect(state, "neighbour", NOW.date(), ago(minutes=31))
    assert not may_collect(state, "neighbour", NOW.date(), ago(minutes=30))
    revoked.when(revoke).then_nothing()
    again = revoked.when(neighbour).then(ProxyAuthorised)
    assert may_collect(again.state("household", "yilmaz"), "neighbour", NOW.date(), NOW)


# -- registered twice -------------------------------------------------------------------------------------------------


def test_a_household_goes_on_as_another_and_is_its_own_again() -> None:
    merged = given(yilmaz, okafor).when(merge).then(HouseholdsMerged, into="okafor")
    merged.when(merge).then_nothing()
    parted = merged.when(unmerge).then(HouseholdsUnmerged)
    parted.when(unmerge).then_nothing()
    parted.when(merge).then_event()
    merged.when(replace(unmerge, into="silva")).then_rejected(E.NOT_MERGED, into="okafor")


def test_households_are_merged_with_another_that_is_its_own() -> None:
    silva = RegisterHousehold(household="silva", size=2)
    three = given(yilmaz, okafor, silva)
    three.when(replace(merge, into="yilmaz")).then_rejected(E.SAME_HOUSEHOLD)
    three.when(replace(merge, into="nobody")).then_rejected(E.UNKNOWN_HOUSEHOLD, household="nobody")
    merged = three.when(merge).then_event()
    merged.when(replace(merge, into="silva")).then_rejected(E.HOUSEHOLD_MERGED, household="yilmaz", into="okafor")
    round_about = MergeHouseholds(household="okafor", into="yilmaz", reason="x")
    merged.when(round_about).then_rejected(E.HOUSEHOLD_MERGED, household="yilmaz", into="okafor")
    merged.when(replace(round_about, into="silva")).then_event()


def test_a_household_knows_who_goes_on_as_it() -> None:
    note = NoteMerge(household="okafor", other="yilmaz", merged=True)
    noted = given(yilmaz, okafor).when(note).then(MergeNoted, other="yilmaz")
    noted.when(note).then_nothing()
    parted = noted.when(replace(note, merged=False)).then(MergeNoted, merged=False)
    assert parted.state("household", "okafor").merged == []
    parted.when(replace(note, merged=False)).then_nothing()


def test_nothing_happens_in_the_future() -> None:
    given(yilmaz).when(replace(cleo, occurred_at=NOW + timedelta(minutes=4))).then_event()
    given(yilmaz).when(replace(cleo, occurred_at=NOW + timedelta(minutes=6))).then_rejected(E.OCCURRED_IN_FUTURE)


def test_what_was_never_done_is_not_undone_and_a_slip_of_the_pen_is_told() -> None:
    revoke = RevokeProxy(**WHO, proxy="neighbour")
    known = given(yilmaz, okafor)
    known.when(revoke).then_rejected(E.UNKNOWN_PROXY, proxy="neighbour")
    known.when(unmerge).then_rejected(E.NOT_MERGED, into=None)
    revoked = given(yilmaz, neighbour, revoke)
    revoked.when(revoke).then_nothing()
    parted = given(yilmaz, okafor, merge, unmerge)
    parted.when(unmerge).then_nothing()
    parted.when(replace(unmerge, into="silva")).then_rejected(E.NOT_MERGED)
