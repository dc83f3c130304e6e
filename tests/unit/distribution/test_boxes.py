"""Boxes: packed from what is set aside, handed out or unpacked; and the memory of what inventory did for an order."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import msgspec
import pytest

from services.distribution.contract import (
    MAX_LINES,
    AuthoriseProxy,
    BoxHandedOut,
    BoxNoted,
    BoxPacked,
    BoxUnpacked,
    CancelOrder,
    CompleteOrder,
    DistributionError,
    GoodsFreed,
    GoodsIssued,
    GoodsNoted,
    GoodsReserved,
    HandOutResolved,
    HandOutReversed,
    MergeHouseholds,
    NoteBox,
    NoteFreed,
    NoteGoods,
    NoteMerge,
    NoteRefusal,
    NoteReserved,
    NoteReversal,
    ProcessStepRefused,
    ProcessStepResolved,
    RecordNoShow,
    ReleaseEntitlement,
    ReservedGoods,
    ResolveHandOut,
    ResolveStep,
    ReversalNoted,
    ReverseHandOut,
    RevokeProxy,
    UnpackBox,
    Warned,
    Warning,  # noqa: A004 - the field's own word
    warnings_said,
)
from shared.event import MAX_EVENT_BYTES
from tests.support.distribution import (
    CATALOGUED,
    HALL,
    LIMITED,
    NOW,
    ORDERED,
    PACKED,
    ago,
    at,
    claim,
    confirm,
    given,
    goods,
    hand_out,
    issued,
    pack,
    packed,
    place,
    reserved,
    some,
    visit,
)
from tests.support.sentences import erase

E = DistributionError
unpack = UnpackBox(box="b1", reason="Not wanted.")
cancel = CancelOrder(order="o1", reason="Ill.")
release = ReleaseEntitlement(**LIMITED, claim="o1", reason="Ill.")
noted = NoteBox(order="o1", box="b1", packed=True)
taken = NoteFreed(order="o1", item="rice", lots=(packed(),))
R2 = packed(1, lot="R2")


# -- packing ----------------------------------------------------------------------------------------------------------


def test_a_box_is_what_is_set_aside_for_its_order() -> None:
    boxed = given(*ORDERED).when(pack()).then(
        BoxPacked, packed=(packed(),), lines=(), household="yilmaz", site="hall",
        warnings=warnings_said((), ["rice"]),
    )  # fmt: skip
    boxed.when(pack()).then_nothing()


def test_a_box_is_what_the_packer_lists() -> None:
    given(*ORDERED).when(pack("b1", packed(1), R2)).then(BoxPacked, packed=(packed(1), R2))
    given(*HALL, place(), confirm).when(pack("b1", packed())).then_event()  # before anything was set aside
    given(*ORDERED).when(pack("b1", packed(5, "milk", None))).then_event()  # in place of what is short


def test_only_what_is_still_set_aside_is_packed_by_itself() -> None:
    some_gone = NoteFreed(order="o1", item="rice", lots=(packed(1), packed(3, lot="R9")))
    given(*ORDERED, some_gone).when(pack()).then(BoxPacked, packed=(packed(1),))
    recalled = given(*ORDERED, taken)
    recalled.when(pack()).then_rejected(E.BOX_EMPTY, order="o1")
    recalled.when(pack("b1", R2)).then(BoxPacked, packed=(R2,))
    two = given(*HALL, place(), confirm, claim(), reserved("o1", packed(1), R2), NoteFreed(order="o1", item="rice",
                lots=(packed(1),)))  # fmt: skip
    two.when(pack()).then(BoxPacked, packed=(R2,))


def test_what_is_not_there_yet_is_waited_for_and_what_is_short_is_not() -> None:
    two = (*HALL, place(lines=some(rice=2, milk=1)), confirm, claim(), reserved())
    given(*two).when(pack()).then_rejected(E.NOT_RESERVED, items=["milk"])
    short = NoteReserved(order="o1", site="hall", goods=(ReservedGoods(item="milk", asked=1, lots=(), short=1),))
    given(*two, short).when(pack()).then(BoxPacked, packed=(packed(),))


def test_no_more_is_packed_than_was_asked_for_and_nothing_is_listed_twice() -> None:
    given(*ORDERED).when(pack("b1", packed(2), R2)).then_rejected(E.BEYOND_ORDER, quantity=3, asked=2)
    given(*ORDERED).when(pack("b1", packed(1), packed(1, lot="r-1"))).then_rejected(E.DUPLICATE_LINE, item="rice")
    dated = packed(1, date=date(2027, 1, 1))
    given(*ORDERED).when(pack("b1", packed(1), dated)).then_event()


def test_a_code_is_used_once() -> None:
    other = (*PACKED, place("o2", household="okafor"))
    given(*other).when(pack(order="o2")).then_rejected(E.BOX_CODE_USED, box="b1", order="o1")
    given(*PACKED).when(pack("b1", R2)).then_rejected(E.BOX_CODE_USED)
    given(*PACKED, unpack).when(pack()).then_rejected(E.BOX_CODE_USED)
    given(*PACKED, hand_out()).when(pack()).then_rejected(E.BOX_CODE_USED)


def test_one_order_is_in_one_box() -> None:
    given(*PACKED, noted).when(pack("b2")).then_rejected(E.ALREADY_PACKED, box="b1")
    again = given(*PACKED, noted, unpack, replace(noted, packed=False))
    again.when(pack("b2")).then(BoxPacked, packed=(packed(),))


def test_warnings_that_were_seen_at_ordering_are_not_asked_again_but_new_ones_are() -> None:
    stew = Warned(item="stew", warning=Warning.ALLERGENS_UNKNOWN)
    nuts = Warned(item="rice", warning=Warning.ALLERGEN)
    seen = (*HALL, place(lines=some(stew=1, rice=1), seen_warnings=True), confirm)
    of_both = (packed(1, "stew"), packed(1))
    given(*seen).when(pack("b1", *of_both)).then(BoxPacked, warnings=warnings_said([stew], ["stew", "rice"]))
    changed = given(*seen, replace(CATALOGUED[0], revision=2, allergens=("peanuts",)))
    changed.when(pack("b1", *of_both)).then_rejected(
        E.WARNING_NOT_SEEN, warnings=[{"item": "rice", "warning": "allergen"}]
    )
    changed.when(pack("b1", *of_both, seen_warnings=True)).then(
        BoxPacked, warnings=warnings_said([stew, nuts], ["stew", "rice"])
    )
    instead = pack("b1", packed(1, "peanut-butter"))
    given(*seen).when(instead).then_rejected(E.WARNING_NOT_SEEN)
    unreadable = given(*seen)
    erase("household/yilmaz")  # what they must not eat cannot be read any more: anything with allergens warns
    unread = Warned(item="peanut-butter", warning=Warning.ALLERGENS_UNKNOWN)
    unreadable.when(instead).then_rejected(E.WARNING_NOT_SEEN)
    unreadable.when(replace(instead, seen_warnings=True)).then(
        BoxPacked, warnings=warnings_said([unread], ["peanut-butter"])
    )
    unreadable.when(pack("b1", packed(1, "stew"))).then_rejected(E.WARNING_NOT_SEEN)  # nor what was seen at ordering


def test_a_merged_households_order_is_packed_and_handed_out() -> None:
    merge = MergeHouseholds(household="yilmaz", into="okafor", reason="Twice.")
    given(*ORDERED, merge, pack()).when(hand_out()).then(BoxHandedOut, household="yilmaz", claimed=True)


def test_of_households_that_were_merged_with_a_box_each_one_gets_theirs() -> None:
    okafor = {"household": "okafor", "programme": "box", "period": LIMITED["period"]}
    second = (place("o2", household="okafor"), replace(confirm, order="o2"), claim("o2", **okafor))
    merge = MergeHouseholds(household="yilmaz", into="okafor", reason="Twice.")
    merged = given(*PACKED, *second, pack("b2", packed(1), order="o2"), merge,
                   NoteMerge(household="okafor", other="yilmaz", merged=True))  # fmt: skip
    for first, then, done in (("b1", "b2", "o1"), ("b2", "b1", "o2")):
        out = merged.when(hand_out(first)).then(BoxHandedOut, breaches=())
        served = out.when(CompleteOrder(order=done, box=first)).then_event()
        served.when(hand_out(then)).then_rejected(E.LIMIT_REACHED)
        served.when(hand_out(then, fact=True)).then(BoxHandedOut, breaches=(E.LIMIT_REACHED,), claimed=True)
    visited = merged.when(visit("v1", fact=True, **okafor)).then_event()
    visited.when(hand_out("b1")).then_rejected(E.LIMIT_REACHED, household="yilmaz")


@pytest.mark.parametrize(
    ("steps", "command", "code"),
    [
        ((), pack("b1", packed(1, "x"), occurred_at=NOW + timedelta(hours=1)), E.OCCURRED_IN_FUTURE),
        (PACKED, pack("b1", packed(1, "x"), order="o9"), E.BOX_CODE_USED),
        (HALL, pack("b1", packed(1, "x")), E.UNKNOWN_ORDER),
        ((*HALL, place(), cancel), pack("b1", packed(1, "x")), E.UNKNOWN_ITEM),
        ((*HALL, place(), cancel), pack(), E.ORDER_ENDED),
        ((*HALL, place()), pack("b1", packed(1), packed(1)), E.NOT_CONFIRMED),
        ((*HALL, place(), confirm, noted), pack("b2", packed(1), packed(1)), E.DUPLICATE_LINE),
        ((*HALL, place(), confirm, noted), pack("b2"), E.ALREADY_PACKED),
        ((*HALL, place(lines=some(stew=1), seen_warnings=True), confirm), pack("b1", packed(2, "stew")),
         E.BEYOND_ORDER),
        ((), hand_out(occurred_at=NOW + timedelta(hours=1)), E.OCCURRED_IN_FUTURE),
        ((), hand_out(), E.UNKNOWN_BOX),
        ((), unpack, E.UNKNOWN_BOX),
        ((*PACKED, unpack, cancel), hand_out(), E.BOX_UNPACKED),
        ((*PACKED, cancel, release), hand_out(occurred_at=None, collected_by="x"), E.ORDER_ENDED),
        ((*PACKED, release, taken), hand_out(collected_by="x"), E.GOODS_TAKEN),
        ((*PACKED, release), hand_out(collected_by="x"), E.WRONG_RECIPIENT),
        ((*PACKED, release), hand_out(), E.UNKNOWN_CLAIM),
        ((*PACKED, hand_out()), unpack, E.BOX_GONE),
    ],
)  # fmt: skip
def test_the_first_reason_is_answered(steps: tuple[Any, ...], command: Any, code: DistributionError) -> None:
    given(*steps).when(command).then_rejected(code)


def test_what_was_packed_a_while_ago_is_recorded_and_waits_until_somebody_saw_its_warnings() -> None:
    stew = pack("b1", packed(1, "stew"))
    unseen = [Warned(item="stew", warning=Warning.ALLERGENS_UNKNOWN)]
    ordered = given(*ORDERED)
    ordered.when(stew).then_rejected(E.WARNING_NOT_SEEN)
    ordered.when(replace(stew, occurred_at=ago(minutes=30), seen_warnings=True)).then(BoxPacked, breaches=())
    late = ordered.when(replace(stew, occurred_at=ago(minutes=30))).then(
        BoxPacked, breaches=(), warnings=warnings_said(unseen, ["stew"], unseen=True)
    )
    late.when(hand_out()).then_rejected(E.WARNING_NOT_SEEN, box="b1")
    left = late.when(hand_out(fact=True)).then(BoxHandedOut, breaches=())
    left.when(ResolveHandOut(box="b1", note="They were told.")).then(HandOutResolved)
    back = left.when(ReverseHandOut(box="b1", reason="The wrong box.")).then_event()
    back.when(hand_out()).then_rejected(E.WARNING_NOT_SEEN)
    back.when(ResolveHandOut(box="b1", note="It is without nuts.")).then(HandOutResolved)
    seen = late.when(ResolveHandOut(box="b1", note="It is without nuts.")).then(HandOutResolved)
    seen.when(hand_out()).then(BoxHandedOut, breaches=())
    gone = late.when(unpack).then(BoxUnpacked)
    gone.when(ResolveHandOut(box="b1", note="x")).then_nothing()


@pytest.mark.parametrize(
    ("steps", "command", "breach"),
    [
        ((*HALL, place()), pack("b1", packed()), E.NOT_CONFIRMED),
        ((*ORDERED, cancel), pack("b1", packed()), E.ORDER_ENDED),
        ((*PACKED, noted), pack("b2", packed()), E.ALREADY_PACKED),
        (ORDERED, pack("b1", packed(2), R2), E.BEYOND_ORDER),
    ],
)  # fmt: skip
def test_what_was_packed_is_recorded_whatever_it_broke_and_so_is_its_hand_out(
    steps: tuple[Any, ...], command: Any, breach: DistributionError
) -> None:
    known = given(*steps)
    known.when(command).then_rejected(breach)
    fact = known.when(replace(command, fact=True)).then(BoxPacked, breaches=(breach,), fact=True)
    known.when(replace(command, occurred_at=ago(minutes=30))).then(BoxPacked, breaches=(breach,), fact=False)
    fact.when(hand_out(command.box, fact=True)).then_event()
    fact.when(ResolveHandOut(box=command.box, note="They said so.")).then(HandOutResolved)


def test_a_fact_of_what_was_packed_says_what_unless_it_was_all_set_aside() -> None:
    given(*HALL, place(), confirm).when(pack(fact=True)).then_rejected(E.NOT_RESERVED)
    given(*ORDERED, taken).when(pack(fact=True)).then_rejected(E.BOX_EMPTY)
    given(*ORDERED).when(pack(fact=True)).then(BoxPacked, breaches=(), packed=(packed(),))


def test_an_unusual_quantity_is_confirmed_once() -> None:
    few = replace(CATALOGUED[0], revision=2, unusual_above=10)
    many = some(rice=11)
    hall = given(*HALL, few)
    hall.when(place(lines=many)).then_rejected(E.UNUSUAL)
    hall.when(place(lines=some(rice=10))).then_event()
    ordered = given(*HALL, few, place(lines=many, confirm_unusual=True), confirm)
    ordered.when(pack("b1", packed(11))).then(BoxPacked, breaches=())
    other = given(*HALL, few, place(lines=some(milk=1)), confirm, claim())
    instead = pack("b1", packed(6), R2, packed(4, lot="R3"))
    other.when(instead).then_rejected(E.UNUSUAL)
    other.when(replace(instead, confirm_unusual=True)).then(BoxPacked, breaches=())
    late = other.when(replace(instead, occurred_at=ago(minutes=30))).then(BoxPacked, breaches=(E.UNUSUAL,))
    late.when(hand_out()).then(BoxHandedOut, breaches=())


# -- handing out and unpacking ----------------------------------------------------------------------------------------


def test_a_box_is_handed_out_once() -> None:
    handed = given(*PACKED).when(hand_out()).then(
        BoxHandedOut, order="o1", packed=(packed(),), claimed=True, breaches=(), household="yilmaz"
    )  # fmt: skip
    handed.when(hand_out()).then_nothing()


def test_a_box_goes_to_whoever_may_collect() -> None:
    may = AuthoriseProxy(household="yilmaz", proxy="neighbour", since=date(2026, 11, 1))
    given(*PACKED).when(hand_out(collected_by="neighbour")).then_rejected(E.WRONG_RECIPIENT, proxy="neighbour")
    given(*PACKED, may).when(hand_out(collected_by="neighbour")).then_event()
    revoked = given(*PACKED, may, RevokeProxy(household="yilmaz", proxy="neighbour", occurred_at=ago(minutes=20)))
    revoked.when(hand_out(collected_by="neighbour", occurred_at=ago(minutes=30))).then(BoxHandedOut, breaches=())
    revoked.when(hand_out(collected_by="neighbour", occurred_at=ago(minutes=10))).then(
        BoxHandedOut, breaches=(E.WRONG_RECIPIENT,)
    )


def test_a_box_handed_out_offline_is_recorded_though_its_order_had_ended() -> None:
    ended = given(*PACKED, RecordNoShow(order="o1"), release)
    late = hand_out(occurred_at=ago(minutes=30))
    ended.when(hand_out()).then_rejected(E.ORDER_ENDED)
    ended.when(late).then(BoxHandedOut, breaches=(E.ORDER_ENDED,), claimed=False, occurred_at=ago(minutes=30))
    served = ended.when(visit()).then_event()
    served.when(late).then(BoxHandedOut, breaches=(E.ORDER_ENDED, E.LIMIT_REACHED), claimed=False)
    served.when(hand_out(fact=True)).then(BoxHandedOut, breaches=(E.ORDER_ENDED, E.LIMIT_REACHED))


def test_an_unpacked_box_that_was_handed_out_is_recorded_and_looked_into() -> None:
    """What the ledger thinks to be on the shelf has left."""
    back = given(*PACKED, unpack)
    refused = back.when(hand_out())
    refused.then_rejected(E.BOX_UNPACKED, box="b1")
    assert "if it was handed out, record that with `fact`" in str(refused.refusal)
    left = back.when(hand_out(fact=True)).then(
        BoxHandedOut, breaches=(E.BOX_UNPACKED,), packed=(packed(),), claimed=True
    )
    left.when(hand_out(fact=True)).then_nothing()
    left.when(unpack).then_rejected(E.BOX_GONE)
    left.when(ResolveHandOut(box="b1", note="The label of another was read.")).then(HandOutResolved)
    back.when(hand_out(occurred_at=ago(minutes=30))).then(BoxHandedOut, breaches=(E.BOX_UNPACKED,))
    ended = given(*PACKED, unpack, cancel, release, visit())
    ended.when(hand_out(fact=True)).then(
        BoxHandedOut, breaches=(E.BOX_UNPACKED, E.ORDER_ENDED, E.LIMIT_REACHED), claimed=False
    )


def test_a_fact_about_a_box_says_which() -> None:
    outcome = given(*PACKED).when(hand_out("b9", fact=True))
    outcome.then_rejected(E.UNKNOWN_BOX, box="b9")
    assert "Check its label, or pack it first" in str(outcome.refusal)


def test_a_box_handed_out_against_a_rule_waits_until_somebody_has_looked_into_it() -> None:
    resolve = ResolveHandOut(box="b1", note="It was there on Friday, and the no-show was a slip.")
    late = given(*PACKED, RecordNoShow(order="o1"), release, hand_out(fact=True))
    seen = late.when(resolve).then(HandOutResolved, note=resolve.note, household="yilmaz")
    seen.when(resolve).then_nothing()
    seen.when(hand_out()).then_nothing()
    given(*PACKED, hand_out()).when(resolve).then_rejected(E.NOTHING_TO_REVIEW)
    given(*PACKED).when(resolve).then_rejected(E.NOTHING_TO_REVIEW)
    given(*HALL).when(resolve).then_rejected(E.UNKNOWN_BOX, box="b1")


undo = ReverseHandOut(box="b1", reason="Scanned the box beside it.")


def test_a_box_that_was_not_handed_out_is_here_still() -> None:
    back = given(*PACKED, hand_out()).when(undo).then(
        HandOutReversed, order="o1", household="yilmaz", hand_out=1, site="hall", session="friday",
        reason=undo.reason,
    )  # fmt: skip
    back.when(undo).then_nothing()
    again = back.when(hand_out()).then(BoxHandedOut, hand_out=2, claimed=True, breaches=())
    again.when(undo).then(HandOutReversed, hand_out=2)
    back.when(UnpackBox(box="b1", reason="Torn.")).then_event().when(undo).then_nothing()


def test_a_box_does_not_come_back_before_it_was_handed_out() -> None:
    out = given(*PACKED, hand_out(occurred_at=ago(minutes=10)))
    out.when(replace(undo, occurred_at=ago(minutes=20))).then_rejected(E.CLOCK_RUNS_BACK, box="b1")
    out.when(replace(undo, occurred_at=ago(minutes=13))).then(HandOutReversed)


def test_what_a_box_was_packed_against_stands_when_it_comes_back() -> None:
    over = given(*ORDERED, pack("b1", packed(2), R2, fact=True), hand_out(fact=True))
    back = over.when(undo).then(HandOutReversed, breaches=(E.BEYOND_ORDER,))
    back.when(ResolveHandOut(box="b1", note="Seen.")).then_event()
    looked = over.when(ResolveHandOut(box="b1", note="Seen.")).then_event()
    looked.when(undo).then(HandOutReversed, breaches=())
    apart = given(*ORDERED, pack("b1", packed(2), R2, fact=True), unpack, hand_out(fact=True))
    apart.when(undo).then(HandOutReversed, breaches=(), unpacked=True)


def test_only_a_box_that_was_handed_out_comes_back() -> None:
    given(*HALL).when(undo).then_rejected(E.UNKNOWN_BOX, box="b1")
    given(*PACKED).when(undo).then_rejected(E.NOT_HANDED_OUT, box="b1")
    unpacked = given(*PACKED, UnpackBox(box="b1", reason="Torn."))
    unpacked.when(undo).then_rejected(E.NOT_HANDED_OUT, box="b1")
    handed = given(*PACKED, hand_out())
    handed.when(UnpackBox(box="b1", reason="x")).then_rejected(E.BOX_GONE, box="b1")


def test_a_box_that_came_back_goes_out_though_nothing_of_it_is_set_aside_any_more() -> None:
    back = given(*PACKED, hand_out(), issued(), undo, NoteReversal(order="o1", box="b1"))
    back.when(hand_out()).then(BoxHandedOut, breaches=())


def test_a_box_that_came_back_goes_out_at_once_unless_its_order_had_ended() -> None:
    """The order hears of it a moment later."""
    done = CompleteOrder(order="o1", box="b1")
    given(*PACKED, hand_out(), done, undo).when(hand_out()).then(BoxHandedOut, breaches=(), hand_out=2)
    ended = given(*PACKED, RecordNoShow(order="o1"), hand_out(fact=True), done, undo)
    ended.when(hand_out()).then_rejected(E.ORDER_ENDED)
    ended.when(hand_out(fact=True)).then(BoxHandedOut, breaches=(E.ORDER_ENDED,))
    other = given(*PACKED, hand_out(), CompleteOrder(order="o1", box="b2"), undo)
    other.when(hand_out()).then_rejected(E.ORDER_ENDED)


def test_the_review_of_a_box_ends_when_it_was_not_handed_out() -> None:
    resolve = ResolveHandOut(box="b1", note="x")
    back = given(*PACKED, RecordNoShow(order="o1"), release, hand_out(fact=True), undo)
    back.when(resolve).then_nothing()
    given(*PACKED, hand_out(), undo).when(resolve).then_rejected(E.NOTHING_TO_REVIEW)
    back.when(hand_out(fact=True)).then_event().when(resolve).then_event()


def test_what_left_for_a_reversed_hand_out_is_known_whenever_it_is_noted() -> None:
    noted_back = NoteReversal(order="o1", box="b1")
    back = given(reserved(), issued()).when(noted_back).then(ReversalNoted, goods=[{"item": "rice", "movement": 7}])
    back.when(noted_back).then_nothing()
    assert back.state("fulfilment", "o1").lines["rice"].issued == 0
    back.when(issued()).then_nothing()
    back.when(issued(movement=8)).then(GoodsIssued, reversed=True)
    again = replace(issued(movement=9), hand_out=2)
    second = back.when(again).then(GoodsIssued, reversed=False)
    assert second.state("fulfilment", "o1").lines["rice"].issued == 2
    second.when(replace(noted_back, hand_out=2)).then(ReversalNoted, goods=[{"movement": 9}])
    given().when(noted_back).then(ReversalNoted, goods=[])


def test_a_box_whose_claim_is_not_there_waits_unless_it_has_left() -> None:
    unclaimed = given(*HALL, place(), confirm, reserved(), pack())
    unclaimed.when(hand_out()).then_rejected(E.UNKNOWN_CLAIM, household="yilmaz")
    unclaimed.when(hand_out(fact=True)).then(BoxHandedOut, claimed=False, breaches=())


def test_a_box_whose_goods_were_taken_away_since_is_looked_at() -> None:
    """As a recall does, when the box is packed already."""
    recalled = given(*PACKED, taken)
    recalled.when(hand_out()).then_rejected(E.GOODS_TAKEN, goods=["rice of lot R1"])
    recalled.when(hand_out(fact=True)).then(BoxHandedOut, breaches=(E.GOODS_TAKEN,))
    part = given(*PACKED, NoteFreed(order="o1", item="rice", lots=(packed(1),)))
    part.when(hand_out()).then_rejected(E.GOODS_TAKEN)
    listed = given(*ORDERED, pack("b1", R2), taken)
    listed.when(hand_out()).then(BoxHandedOut, breaches=())


def test_a_clock_that_runs_back_is_told_to_be_set() -> None:
    early = given(*HALL, place(), confirm, claim(), reserved(), replace(pack(), occurred_at=at(9)))
    early.when(hand_out(), now=at(8, 54)).then_rejected(E.CLOCK_RUNS_BACK).when(hand_out()).then_event()
    early.when(hand_out(), now=at(8, 56)).then_event()
    early.when(hand_out(fact=True), now=at(8, 54)).then(BoxHandedOut, breaches=(E.CLOCK_RUNS_BACK,))


def test_a_hand_out_dated_before_its_box_was_packed_or_the_doors_opened_is_looked_into() -> None:
    known = given(*PACKED)  # packed at half past eight, the doors open at eight
    known.when(hand_out(occurred_at=at(8, 26))).then(BoxHandedOut, breaches=())
    known.when(hand_out(occurred_at=at(8, 20))).then(BoxHandedOut, breaches=(E.CLOCK_RUNS_BACK,))
    early = given(*HALL, place(occurred_at=at(7)), replace(confirm, occurred_at=at(7)), claim(occurred_at=at(7)),
                  reserved(), replace(pack(), occurred_at=at(7)))  # fmt: skip
    early.when(hand_out(occurred_at=at(7, 30))).then(BoxHandedOut, breaches=(E.CLOCK_RUNS_BACK,))
    early.when(hand_out(occurred_at=at(7, 56))).then(BoxHandedOut, breaches=())


def test_an_unpacked_box_sends_what_must_be_kept_cold_to_be_looked_at() -> None:
    cold = (packed(1), packed(2, "milk", "M1"), packed(1, "milk", "M2"))
    boxed = given(*HALL, place(lines=some(rice=1, milk=3)), confirm, pack("b1", *cold))
    gone = boxed.when(unpack).then(BoxUnpacked, packed=cold, quarantine=("milk",), site="hall", household="yilmaz")
    gone.when(unpack).then_nothing()
    given(*PACKED, cancel).when(unpack).then(BoxUnpacked, quarantine=())


# -- what inventory did -----------------------------------------------------------------------------------------------


def test_what_is_set_aside_is_noted_once_and_goes_down() -> None:
    known = given().when(reserved()).then(GoodsReserved, goods=[{"item": "rice", "asked": 2, "short": 0}])
    known.when(reserved()).then_nothing()
    one = NoteFreed(order="o1", item="rice", lots=(packed(1),))
    less = known.when(one).then(GoodsFreed, quantity=1, remaining=1)
    none = less.when(taken).then(GoodsFreed, quantity=1, remaining=0)
    none.when(taken).then_nothing()
    given().when(taken).then_nothing()
    assert none.state("fulfilment", "o1").lots() == ()


def test_what_was_given_out_is_noted_once() -> None:
    gone = given(reserved()).when(issued()).then(GoodsIssued, goods=[{"item": "rice", "movement": 7}])
    gone.when(issued()).then_nothing()
    gone.when(taken).then_nothing()
    gone.when(issued(movement=8)).then_event()
    assert gone.state("fulfilment", "o1").lots() == ()


def test_a_box_is_noted_and_a_second_one_noticed() -> None:
    known = given().when(noted).then(BoxNoted, packed=True)
    known.when(noted).then_nothing()
    known.when(replace(noted, box="b2")).then_rejected(E.ALREADY_PACKED, box="b1")
    known.when(replace(noted, box="b2", packed=False)).then_nothing()
    known.when(replace(noted, packed=False)).then(BoxNoted, packed=False)
    given().when(replace(noted, packed=False)).then_nothing()


def test_goods_are_noted_as_inventory_knew_them_last() -> None:
    rice = NoteGoods(item="rice", revision=2, name="Rice", unit="each")
    known = given().when(rice).then(GoodsNoted, revision=2)
    known.when(rice).then_nothing()
    known.when(replace(rice, revision=1, name="Old rice")).then_nothing()
    known.when(replace(rice, revision=3, retired=True)).then(GoodsNoted, retired=True)


def test_a_refused_step_is_noted_and_resolved_once() -> None:
    step = NoteRefusal(
        step="st-1", manager="fulfilling", cause="ev-1", service="inventory", command="IssueStock",
        target="stock/rice:hall", code="UNKNOWN_LOCATION", detail="There is no location hall.",
    )  # fmt: skip
    resolve = ResolveStep(step="st-1", note="Opened the hall.")
    refused = given().when(step).then(ProcessStepRefused, code="UNKNOWN_LOCATION")
    refused.when(step).then_nothing()
    refused.when(resolve).then(ProcessStepResolved).when(resolve).then_nothing()
    given().when(resolve).then_rejected(E.UNKNOWN_STEP, step="st-1")
    given().when(replace(resolve, occurred_at=NOW + timedelta(hours=1))).then_rejected(E.OCCURRED_IN_FUTURE)


def test_a_completed_order_is_not_packed_again() -> None:
    done = given(*PACKED, hand_out(), CompleteOrder(order="o1", box="b1"))
    done.when(pack("b2", R2)).then_rejected(E.ORDER_ENDED)


def test_ids_at_their_longest_fit() -> None:
    longest = "x" * 48
    steps = (*HALL, place(longest), replace(confirm, order=longest), claim(longest), reserved(longest))
    given(*steps, pack(longest, order=longest)).when(hand_out(longest)).then(BoxHandedOut, order=longest)


def test_a_box_of_as_many_lines_as_may_be_listed_fits_in_an_event() -> None:
    items = [f"{n:02}" + "x" * 46 for n in range(MAX_LINES)]
    lines = [packed(999_999_999, item, f"{item}yy", date=date(2027, 1, 1), owner="o" * 48) for item in items]
    steps = (*HALL, *(goods(item, known=False) for item in items), place(), confirm)
    fact = pack("b" * 40, *lines, seen_warnings=True)
    outcome = given(*steps).when(fact)
    outcome.then_event()
    assert len(msgspec.json.encode(outcome.event)) < MAX_EVENT_BYTES - 4_000, "its envelope fits too"
