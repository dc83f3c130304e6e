"""Donations, gifts in kind and dues, as entries of the book."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.treasury.contract import (
    AcknowledgeDonation,
    CloseAccount,
    ClosePeriod,
    DonationAcknowledged,
    DonationRecorded,
    DuesAssessed,
    DuesReceived,
    DuesWaived,
    EndPledge,
    EntryReversed,
    Every,
    GiftInKindRecorded,
    Pledge,
    ReceiveDues,
    RecordGiftInKind,
    RegisterParty,
    TreasuryError,
    WaiveDues,
)
from tests.support.sentences import NOW
from tests.support.treasury import (
    CLUB,
    IN,
    TODAY,
    ada,
    assess,
    balances,
    came_in,
    donation,
    entry,
    given,
    on,
    p,
    reverse,
    spent,
    state,
)

E = TreasuryError
MEMBERS = (*CLUB, ada, RegisterParty(party="bo", name="Bo"))
pledge = Pledge(
    pledge="monthly", **IN, donor="ada", amount=10, unit="EUR", fund="youth", every=Every.MONTH, starts=on(1, 1)
)


def in_kind(amount: int = 30, **more: Any) -> RecordGiftInKind:
    fields = {"what": "Twelve cases of rice", "unit": "EUR", "into": "food", "income": "gifts", **more}
    return RecordGiftInKind(**IN, entry="kind", amount=amount, **fields)


def receive(amount: int, id: str = "paid", **more: Any) -> ReceiveDues:
    return ReceiveDues(**{**IN, "into": "bank", "dues": "asked", **more}, entry=id, amount=amount)


def waive(amount: int | None = None, id: str = "waived", **more: Any) -> WaiveDues:
    return WaiveDues(**{**IN, "dues": "asked", "reason": "Hard times", **more}, entry=id, amount=amount)


def thank(id: str = "gift", **more: Any) -> AcknowledgeDonation:
    return AcknowledgeDonation(**IN, donation=id, means="letter", **more)


# -- gifts ------------------------------------------------------------------------------------------------------------


def test_a_donation_is_income_of_its_fund() -> None:
    after = given(*MEMBERS).when(donation(50, fund="youth", donor="ada")).then(
        DonationRecorded, debits=(p("bank", 50, "youth"),), credits=(p("gifts", 50, "youth"),), date=TODAY,
    )  # fmt: skip
    assert balances(after) == {"bank/youth": 50, "gifts/youth": -50}
    after.when(donation(50, fund="youth", donor="ada")).then_nothing()
    after.when(donation(51, fund="youth", donor="ada")).then_rejected(E.ENTRY_EXISTS, field="amount")
    after.when(donation(50, fund="youth", donor="bo")).then_rejected(E.ENTRY_EXISTS, field="donor")
    after.when(spent(50, fund="youth")).then_event()


def test_a_gift_in_kind_goes_where_its_goods_are() -> None:
    given(*MEMBERS).when(in_kind()).then(GiftInKindRecorded, debits=(p("food", 30),), credits=(p("gifts", 30),))
    given(*MEMBERS).when(in_kind(into="owed")).then(GiftInKindRecorded, debits=(p("owed", 30),))
    given(*MEMBERS, in_kind()).when(in_kind()).then_nothing()
    given(*MEMBERS, in_kind()).when(in_kind(what="Beans")).then_rejected(E.ENTRY_EXISTS, field="what")
    given(*MEMBERS).when(in_kind(into="loan")).then_rejected(E.WRONG_ACCOUNT_KIND)


@pytest.mark.parametrize("gift", [donation(), in_kind()])
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"donor": "moon"}, E.UNKNOWN_PARTY),
        ({"into": "moon"}, E.UNKNOWN_ACCOUNT),
        ({"into": "gifts"}, E.WRONG_ACCOUNT_KIND),
        ({"income": "moon"}, E.UNKNOWN_ACCOUNT),
        ({"income": "bank"}, E.WRONG_ACCOUNT_KIND),
        ({"into": "cash"}, E.ACCOUNT_CLOSED),
        ({"fund": "moon"}, E.UNKNOWN_FUND),
        ({"unit": "USD"}, E.UNKNOWN_UNIT),
        ({"date": on(12, 31)}, E.DATE_OUTSIDE_BOOK),
        ({"date": on(1, 31)}, E.PERIOD_CLOSED),
        ({"into": "gifts", "income": "moon"}, E.UNKNOWN_ACCOUNT),
        ({"into": "gifts", "fund": "moon"}, E.WRONG_ACCOUNT_KIND),
    ],
)  # fmt: skip
def test_a_gift_is_right_in_itself(gift: Any, change: dict[str, Any], code: TreasuryError) -> None:
    closed = (*MEMBERS, CloseAccount(**IN, account="cash"), ClosePeriod(**IN, through=on(1, 31)))
    given(*closed).when(replace(gift, **change)).then_rejected(code)


def test_a_gift_needs_a_book() -> None:
    for command in (donation(), in_kind(), assess(), receive(1), waive(), thank()):
        given(ada).when(command).then_rejected(E.UNKNOWN_BOOK)


def test_a_donation_may_keep_a_pledge_of_its_donor() -> None:
    pledged = given(*MEMBERS, pledge)
    kept = {"donor": "ada", "pledge": "monthly", "fund": "youth"}
    pledged.when(donation(10, **kept)).then(DonationRecorded, pledge="monthly")
    for wrong in ({"pledge": "other"}, {"donor": "bo"}, {"donor": None}):
        pledged.when(donation(10, **kept | wrong)).then_rejected(E.UNKNOWN_PLEDGE)
    pledged.when(donation(10, **kept | {"unit": "HOURS"})).then_rejected(E.UNKNOWN_PLEDGE, unit="EUR")
    pledged.when(donation(10, **kept | {"fund": "general"})).then_rejected(E.UNKNOWN_PLEDGE, fund="youth")
    ended = given(*MEMBERS, pledge, EndPledge(pledge="monthly", reason="Moved away"))
    ended.when(donation(10, **kept)).then(DonationRecorded)


def test_a_gift_of_somebody_known_is_acknowledged_once() -> None:
    gift = given(*MEMBERS, donation(donor="ada"))
    thanked = gift.when(thank()).then(DonationAcknowledged, occurred_at=NOW)
    thanked.when(thank()).then_nothing()
    given(*MEMBERS, in_kind(donor="ada")).when(thank("kind")).then(DonationAcknowledged)
    given(*MEMBERS).when(thank()).then_rejected(E.UNKNOWN_ENTRY, entry="gift")
    given(*MEMBERS, donation()).when(thank()).then_rejected(E.NOT_A_DONATION)
    given(*MEMBERS, came_in()).when(thank("in")).then_rejected(E.NOT_A_DONATION)
    gift.when(thank(occurred_at=NOW + timedelta(hours=1))).then_rejected(E.OCCURRED_IN_FUTURE)


def test_a_gift_that_was_taken_back_is_not_acknowledged() -> None:
    gift = given(*MEMBERS, donation(donor="ada"))
    back = gift.when(reverse("gift", "back")).then(EntryReversed)
    back.when(thank()).then_rejected(E.ALREADY_REVERSED, entry="gift", reversed_by="back")
    kind = given(*MEMBERS, in_kind(donor="ada"), reverse("kind"))
    kind.when(thank("kind")).then_rejected(E.ALREADY_REVERSED)
    again = back.when(donation(id="gift-2", donor="ada")).then(DonationRecorded)
    again.when(thank("gift-2")).then(DonationAcknowledged)
    thanked = given(*MEMBERS, donation(donor="ada"), thank(), reverse("gift"))
    thanked.when(thank()).then_nothing()


# -- dues -------------------------------------------------------------------------------------------------------------


def test_dues_are_owed_until_they_are_paid() -> None:
    owing = given(*MEMBERS).when(assess(100)).then(
        DuesAssessed, debits=(p("owed", 100),), credits=(p("dues", 100),), date=TODAY
    )  # fmt: skip
    owing.when(assess(100)).then_nothing()
    owing.when(assess(101)).then_rejected(E.ENTRY_EXISTS, field="amount")
    part = owing.when(receive(60)).then(
        DuesReceived, remaining=40, member="ada", income="dues", debits=(p("bank", 60),), credits=(p("owed", 60),)
    )  # fmt: skip
    part.when(receive(60)).then_nothing()
    part.when(receive(59)).then_rejected(E.ENTRY_EXISTS, field="amount")
    part.when(receive(41, "more")).then_rejected(E.BEYOND_DUES, remaining=40, amount=41)
    whole = part.when(receive(40, "more")).then(DuesReceived, remaining=0)
    assert balances(whole) == {"bank/general": 100, "dues/general": -100}
    assert state(whole).dues == {}
    whole.when(receive(1, "again")).then_rejected(E.UNKNOWN_DUES)
    whole.when(receive(40, "more")).then_nothing()


def test_dues_are_asked_for_once_a_period() -> None:
    owing = given(*MEMBERS, assess(100))
    owing.when(assess(100, "twice")).then_rejected(E.ALREADY_ASSESSED, member="ada", period="2026")
    owing.when(assess(100, "next", period="2027")).then(DuesAssessed)
    owing.when(assess(100, "bo", member="bo")).then(DuesAssessed)
    paid = given(*MEMBERS, assess(100), receive(100))
    paid.when(assess(100, "twice")).then_rejected(E.ALREADY_ASSESSED)


def test_dues_that_were_assessed_wrongly_are_waived_in_whole_and_assessed_anew() -> None:
    waived = given(*MEMBERS, assess(1000)).when(waive()).then(DuesWaived, waived=1000, assessed=1000, period="2026")
    waived.when(assess(1000)).then_nothing()
    waived.when(assess(100)).then_rejected(E.ENTRY_EXISTS, field="amount")
    anew = waived.when(assess(100, "anew")).then(DuesAssessed, period="2026")
    assert balances(anew) == {"owed/general": 100, "dues/general": -100}
    anew.when(assess(100, "thrice")).then_rejected(E.ALREADY_ASSESSED, entry="anew")
    anew.when(receive(100, dues="anew")).then(DuesReceived, remaining=0, assessed=100, period="2026")
    once_more = anew.when(waive(100, "second", dues="anew")).then(DuesWaived)
    once_more.when(assess(90, "thrice")).then(DuesAssessed)


@pytest.mark.parametrize(
    "steps",
    [
        (receive(60), waive(id="rest")), (waive(30),), (waive(30), waive(id="rest")), (receive(100),),
        (receive(60), reverse("paid")), (receive(100), reverse("paid"), receive(1, "again"), waive(id="rest")),
    ],
)  # fmt: skip
def test_dues_of_which_anything_was_received_or_only_a_part_waived_are_not_assessed_anew(steps: Any) -> None:
    given(*MEMBERS, assess(100), *steps).when(assess(90, "anew")).then_rejected(E.ALREADY_ASSESSED, entry="asked")


def test_a_payment_that_came_back_is_no_obstacle_to_waiving_all_of_the_dues() -> None:
    bounced = given(*MEMBERS, assess(100), receive(100), reverse("paid"))
    waived = bounced.when(waive()).then(DuesWaived, waived=100, assessed=100)
    waived.when(assess(90, "anew")).then(DuesAssessed)


def test_the_waiver_of_all_of_the_dues_is_not_reversed_as_they_can_be_assessed_anew() -> None:
    waived = given(*MEMBERS, assess(100), waive())
    waived.when(reverse("waived")).then_rejected(E.NOT_REVERSIBLE, entry="waived")
    anew = waived.when(assess(100, "anew")).then(DuesAssessed)
    anew.when(reverse("waived")).then_rejected(E.NOT_REVERSIBLE)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (assess(member="moon"), E.UNKNOWN_PARTY),
        (assess(receivable="moon"), E.UNKNOWN_ACCOUNT),
        (assess(receivable="dues"), E.WRONG_ACCOUNT_KIND),
        (assess(income="owed"), E.WRONG_ACCOUNT_KIND),
        (assess(fund="moon"), E.UNKNOWN_FUND),
        (assess(unit="USD"), E.UNKNOWN_UNIT),
        (assess(date=on(12, 31)), E.DATE_OUTSIDE_BOOK),
        (receive(1, dues="moon"), E.UNKNOWN_DUES),
        (receive(1, dues="bos", into="moon"), E.UNKNOWN_ACCOUNT),
        (receive(1, dues="bos", into="dues"), E.WRONG_ACCOUNT_KIND),
        (receive(1, dues="bos", date=on(12, 31)), E.DATE_OUTSIDE_BOOK),
        (receive(1, dues="bos", date=on(1, 31)), E.PERIOD_CLOSED),
        (receive(8, dues="bos", into="moon", date=on(12, 31)), E.BEYOND_DUES),
        (waive(dues="moon"), E.UNKNOWN_DUES),
        (waive(8, dues="bos"), E.BEYOND_DUES),
        (waive(dues="bos", date=on(12, 31)), E.DATE_OUTSIDE_BOOK),
    ],
)  # fmt: skip
def test_what_is_said_of_dues_is_right_in_itself(command: Any, code: TreasuryError) -> None:
    steps = (*MEMBERS, assess(7, "bos", member="bo"), ClosePeriod(**IN, through=on(1, 31)))
    given(*steps).when(command).then_rejected(code)


def test_dues_are_waived_in_whole_or_in_part() -> None:
    owing = given(*MEMBERS, assess(100))
    part = owing.when(waive(30)).then(
        DuesWaived, waived=30, remaining=70, debits=(p("dues", 30),), credits=(p("owed", 30),)
    )  # fmt: skip
    whole = part.when(waive(id="rest")).then(DuesWaived, waived=70, remaining=0, amount=None)
    assert balances(whole) == {}
    whole.when(waive(id="rest")).then_nothing()
    whole.when(waive(70, id="rest")).then_rejected(E.ENTRY_EXISTS, field="amount")
    whole.when(waive(id="more")).then_rejected(E.UNKNOWN_DUES)


def test_dues_of_a_restricted_fund_are_waived_though_income_is_no_purpose() -> None:
    given(*MEMBERS, assess(100, fund="youth")).when(waive()).then(DuesWaived)


def test_dues_are_owed_again_when_a_payment_or_a_waiver_is_taken_back() -> None:
    part = given(*MEMBERS, assess(100), receive(60))
    back = part.when(reverse("paid")).then(
        EntryReversed, owed_again={"dues": "asked", "remaining": 100, "member": "ada"}
    )
    assert state(back).dues["asked"].remaining == 100
    back.when(receive(100, "again")).then(DuesReceived, remaining=0)
    whole = given(*MEMBERS, assess(100), receive(60), waive(id="rest"))
    waived = whole.when(reverse("rest")).then(EntryReversed, owed_again={"remaining": 40, "income": "dues"})
    waived.when(receive(40, "again")).then(DuesReceived, remaining=0)
    bounced = whole.when(reverse("paid")).then(EntryReversed, owed_again={"remaining": 60})
    assert balances(bounced)["owed/general"] == 60


def test_the_reversal_of_a_payment_of_dues_is_not_reversed() -> None:
    back = given(*MEMBERS, assess(100), receive(60), reverse("paid", "bounced"))
    back.when(reverse("bounced")).then_rejected(E.NOT_REVERSIBLE)


def test_dues_go_into_their_own_fund_and_unit() -> None:
    worked = given(*MEMBERS, assess(35, unit="HOURS", fund="grant"))
    worked.when(receive(35, into="cash")).then(DuesReceived, debits=(p("cash", 35, "grant", "HOURS"),))


def test_dues_are_not_received_into_the_account_in_which_they_are_owed() -> None:
    given(*MEMBERS, assess(35)).when(receive(35, into="owed")).then_rejected(E.NOTHING_MOVES, accounts=["owed"])


def test_a_member_who_pays_from_an_account_that_does_not_take_it_is_told() -> None:
    owing = given(*MEMBERS, entry(5, "owed", "gifts", "other"), assess(100), CloseAccount(**IN, account="cash"))
    owing.when(receive(5, into="cash")).then_rejected(E.ACCOUNT_CLOSED)
