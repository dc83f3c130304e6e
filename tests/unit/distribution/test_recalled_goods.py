"""What is recalled is neither packed nor handed out, as far as distribution knows of it; that it was is recorded."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from services.distribution.contract import (
    BoxHandedOut,
    BoxPacked,
    DistributionError,
    LotOf,
    NoteFreed,
    NoteOrigin,
    NoteRecall,
    OriginNoted,
    PackedLine,
    RecallNoted,
    ResolveHandOut,
    UnpackBox,
    VisitRecorded,
)
from services.distribution.processes.supply import Supply
from services.inventory.contract import UNKNOWN, RecallScope
from tests.support.distribution import (
    HALL,
    ORDERED,
    PACKED,
    ago,
    anonymous,
    claim,
    confirm,
    given,
    hand_out,
    pack,
    packed,
    place,
    some,
    visit,
)
from tests.support.following import replay
from tests.support.pantry import Pantry

E = DistributionError
EARLY, LATE = date(2026, 12, 1), date(2027, 6, 1)
glass = NoteRecall(item="rice", recall="glass", revision=3, scope=RecallScope(lots=("R 1",)), open=True)
withdrawn = replace(glass, revision=4, open=False)
dated = replace(glass, scope=RecallScope(first_date=EARLY, last_date=EARLY))
all_of_it = replace(glass, scope=RecallScope())


def listed(*lines: PackedLine, **more: Any) -> Any:
    return pack("b1", *lines, **more)


# -- what is known of recalls -----------------------------------------------------------------------------------------


def test_a_recall_is_noted_once_and_so_is_its_end() -> None:
    known = given().when(glass).then(RecallNoted, open=True, revision=3)
    known.when(glass).then_nothing()
    over = known.when(withdrawn).then(RecallNoted, open=False)
    over.when(withdrawn).then_nothing()


def test_a_note_that_comes_late_opens_no_recall_that_is_over() -> None:
    over = given(*ORDERED, withdrawn)
    over.when(glass).then_nothing()
    over.when(listed(packed())).then(BoxPacked)


def test_inventorys_recalls_are_noted_with_the_revision_of_their_events() -> None:
    pantry = Pantry().furnish()
    pantry.do("QuarantineLot", item="rice", quarantine="q-1", lot="A", reason="Wet.")
    pantry.do("RecallLot", item="rice", recall="r-1", scope={"lots": ["A"]}, reason="Glass.")
    pantry.do("LiftRecall", item="rice", recall="r-1", reason="Withdrawn.")
    steps = [step.command for step in replay(Supply(), pantry.events)]
    notes = [one for one in steps if isinstance(one, NoteRecall)]
    assert [(one.recall, one.revision, one.open) for one in notes] == [("r-1", 2, True), ("r-1", 3, False)]
    assert {one.scope for one in notes} == {RecallScope(lots=("A",))}


# -- what was made of it ----------------------------------------------------------------------------------------------


def made(*of: LotOf, item: str = "rice", lot: str | None = "U-b1") -> NoteOrigin:
    return NoteOrigin(made=(LotOf(item=item, lot=lot),), made_from=of)


R1 = LotOf(item="rice", lot="R1")


def test_what_lots_were_made_from_is_noted_once() -> None:
    known = given().when(made(R1)).then(OriginNoted)
    known.when(made(replace(R1, lot="r 1"))).then_nothing()
    known.when(made(R1, replace(R1, lot="R2"))).then(OriginNoted)
    given().when(made(LotOf(item="rice", lot="U-b1"))).then_nothing()
    dated_too = given().when(made(replace(R1, date=LATE))).then_event()
    dated_too.when(made(R1)).then_nothing()  # a receipt says the lot alone


@pytest.mark.parametrize(
    ("origins", "line", "covered"),
    [
        ([made(R1)], packed(1, lot="u b1"), True),
        ([made(replace(R1, lot="R2"))], packed(1, lot="U-b1"), False),
        ([made(R1, lot="X"), made(LotOf(item="rice", lot="X"))], packed(1, lot="U-b1"), True),
        ([made(R1, item="stew", lot="S")], packed(1, "stew", "S"), True),
        ([made(R1, item="stew", lot="S")], packed(1, "stew", "T"), False),
        ([made(R1, item="stew", lot="S")], packed(1, "stew", None), True),
        ([made(R1), made(LotOf(item="rice", lot="U-b1"), lot="R1")], packed(1, lot="U-b1"), True),  # in a ring
    ],
)
def test_what_was_made_of_recalled_goods_is_recalled(
    origins: list[NoteOrigin], line: PackedLine, covered: bool
) -> None:  # fmt: skip
    stew = {"seen_warnings": True}
    box = given(*ORDERED, *origins, listed(line, **stew), glass)
    packing = given(*ORDERED, *origins, glass).when(listed(line, **stew))
    if covered:
        packing.then_rejected(E.RECALLED, recalled=[{"item": line.item, "lot": line.lot, "recall": "glass"}])
        box.when(hand_out()).then_rejected(E.RECALLED)
        box.when(hand_out(fact=True)).then(BoxHandedOut, breaches=(E.RECALLED,))
    else:
        packing.then_event()
        box.when(hand_out()).then(BoxHandedOut, breaches=())


def test_a_recall_by_date_looks_at_what_the_lot_was_made_from() -> None:
    of_early, of_late = made(replace(R1, date=EARLY)), made(replace(R1, date=LATE))
    given(*ORDERED, of_early, dated).when(listed(packed(1, lot="U-b1", date=LATE))).then_rejected(E.RECALLED)
    given(*ORDERED, of_late, dated).when(listed(packed(1, lot="U-b1", date=LATE))).then(BoxPacked)


def test_inventory_tells_what_was_made_from_what() -> None:
    pantry = Pantry().furnish()
    at = {"location": "store"}
    pantry.do("ReceiveStock", item="rice", **at, source="donation", lines=[{"lot": "A", "quantity": 4}])
    into = [{"item": "rice", "lot": "B", "quantity": 1}, {"item": "milk", "lot": "C", "quantity": 1}]
    pantry.do("RepackStock", item="rice", **at, lines=[{"lot": "A", "quantity": 2}], into=into)
    made_of = [{"item": "rice", "lot": "A"}]
    lines = [{"lot": "D", "quantity": 1, "made_from": made_of}]
    pantry.do("ReceiveStock", item="milk", **at, source="repack", lines=lines)
    steps = [step.command for step in replay(Supply(), pantry.events)]
    notes = [one for one in steps if isinstance(one, NoteOrigin)]
    assert [([lot.lot for lot in one.made], [lot.lot for lot in one.made_from]) for one in notes] == [
        (["B", "C"], ["A"]), (["D"], ["A"])
    ]  # fmt: skip


# -- packing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recall", "line", "covered"),
    [
        (glass, packed(1), True),
        (glass, packed(1, lot="r1"), True),
        (glass, packed(1, lot="R2"), False),
        (glass, packed(1, lot=None), True),
        (glass, packed(1, lot=UNKNOWN), True),
        (glass, packed(1, "milk", None), False),
        (dated, packed(1, lot="R2", date=EARLY), True),
        (dated, packed(1, lot="R2", date=LATE), False),
        (dated, packed(1, lot="R2"), True),
        (dated, packed(1, lot=None, date=LATE), False),
        (all_of_it, packed(1, lot="R2", date=LATE), True),
    ],
)
def test_what_a_recall_covers_or_may_cover_is_not_packed(recall: NoteRecall, line: PackedLine, covered: bool) -> None:
    packing = given(*ORDERED, recall).when(listed(line))
    if covered:
        packing.then_rejected(E.RECALLED, recalled=[{"item": line.item, "lot": line.lot, "recall": "glass"}])
    else:
        packing.then(BoxPacked, packed=(line,))


def test_what_was_set_aside_is_not_packed_by_itself_once_it_is_recalled() -> None:
    """Inventory frees it too, a moment later."""
    outcome = given(*ORDERED, glass).when(pack())
    outcome.then_rejected(E.RECALLED)
    assert outcome.refusal is not None
    assert "rice of lot R1 (recall glass). Set it aside, and list other lots" in outcome.refusal.detail
    given(*ORDERED, glass, withdrawn).when(pack()).then(BoxPacked)


def test_a_line_without_a_lot_is_asked_which_it_is() -> None:
    outcome = given(*ORDERED, glass).when(listed(packed(1, lot=None)))
    outcome.then_rejected(E.RECALLED)
    assert outcome.refusal is not None
    assert "rice of unknown lot (recall glass)" in outcome.refusal.detail
    assert "by number and date" in outcome.refusal.detail


def test_a_box_that_was_packed_a_while_ago_is_recorded_so_that_its_hand_out_can_be() -> None:
    late = given(*ORDERED, glass).when(listed(packed(), occurred_at=ago(minutes=30))).then(BoxPacked)
    late.when(hand_out()).then_rejected(E.RECALLED)
    late.when(hand_out(occurred_at=ago(minutes=20))).then(BoxHandedOut, breaches=(E.RECALLED,))


def test_a_line_that_is_beyond_the_order_is_told_first() -> None:
    given(*ORDERED, glass).when(listed(packed(3))).then_rejected(E.BEYOND_ORDER)


# -- handing out ------------------------------------------------------------------------------------------------------


def test_a_box_that_holds_what_is_recalled_stays() -> None:
    by_list = (*HALL, place(), confirm, claim(), listed(packed()))
    for steps in (PACKED, by_list):
        recalled = given(*steps, glass)
        recalled.when(hand_out()).then_rejected(
            E.RECALLED, box="b1", recalled=[{"item": "rice", "lot": "R1", "recall": "glass"}]
        )
        recalled.when(UnpackBox(box="b1", reason="Recalled.")).then_event()
        given(*steps, glass, withdrawn).when(hand_out()).then(BoxHandedOut, breaches=())
        given(*steps, replace(glass, scope=RecallScope(lots=("R2",)))).when(hand_out()).then(BoxHandedOut, breaches=())


def test_that_it_left_all_the_same_is_recorded_and_looked_into() -> None:
    left = given(*PACKED, glass).when(hand_out(fact=True)).then(BoxHandedOut, breaches=(E.RECALLED,))
    left.when(ResolveHandOut(box="b1", note="They brought it back.")).then_event()


def test_goods_that_a_recall_took_are_told_as_recalled_alone() -> None:
    taken = NoteFreed(order="o1", item="rice", lots=(packed(),))
    given(*PACKED, taken, glass).when(hand_out()).then_rejected(E.RECALLED)
    given(*PACKED, taken, glass).when(hand_out(fact=True)).then(BoxHandedOut, breaches=(E.RECALLED,))
    given(*PACKED, taken).when(hand_out(fact=True)).then(BoxHandedOut, breaches=(E.GOODS_TAKEN,))


def test_a_box_whose_lot_nobody_knows_stays_while_any_recall_of_the_item_may_cover_it() -> None:
    unknown = (*HALL, place(), confirm, claim(), listed(packed(lot=None)))
    given(*unknown, glass).when(hand_out()).then_rejected(E.RECALLED)
    given(*unknown, replace(glass, item="milk")).when(hand_out()).then_event()


def test_of_a_box_that_was_unpacked_nothing_is_expected_to_be_set_aside() -> None:
    freed = NoteFreed(order="o1", item="rice", lots=(packed(),))
    unpacked = given(*PACKED, UnpackBox(box="b1", reason="Not wanted."), freed)
    unpacked.when(hand_out(fact=True)).then(BoxHandedOut, breaches=(E.BOX_UNPACKED,))


# -- at the table -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("served", [visit, anonymous])
def test_what_is_given_by_item_warns_of_an_open_recall_of_the_item_until_somebody_looked(served: Any) -> None:
    rice = served(lines=some(rice=1))
    recall = given(*HALL, glass)
    outcome = recall.when(rice)
    outcome.then_rejected(E.WARNING_NOT_SEEN, warnings=[{"item": "rice", "warning": "recalled", "recall": "glass"}])
    assert outcome.refusal is not None
    assert "some of rice is recalled (recall glass): see that it is another lot" in outcome.refusal.detail
    recall.when(replace(rice, seen_warnings=True)).then(VisitRecorded, breaches=())
    recall.when(served(lines=some(milk=1))).then(VisitRecorded)
    given(*HALL, glass, withdrawn).when(rice).then(VisitRecorded)


def test_the_standard_box_and_what_was_made_of_recalled_goods_warn_as_well() -> None:
    given(*HALL, glass).when(visit()).then_rejected(E.WARNING_NOT_SEEN)
    cooked = given(*HALL, made(R1, item="milk", lot="M"), glass)
    cooked.when(visit(lines=some(milk=1))).then_rejected(
        E.WARNING_NOT_SEEN, warnings=[{"item": "milk", "warning": "recalled", "recall": "glass"}]
    )


def test_allergens_and_recalls_are_told_in_one_refusal_as_one_answer_stands_for_both() -> None:
    given(*HALL, replace(glass, item="stew")).when(visit(lines=some(stew=1))).then_rejected(
        E.WARNING_NOT_SEEN,
        warnings=[
            {"item": "stew", "warning": "allergens_unknown"}, {"item": "stew", "warning": "recalled", "recall": "glass"}
        ],
    )  # fmt: skip


@pytest.mark.parametrize("how", [{"fact": True}, {"occurred_at": ago(minutes=30)}])
def test_a_visit_of_recalled_goods_that_has_happened_is_recorded_and_looked_into(how: dict[str, Any]) -> None:
    recall = given(*HALL, glass)
    recall.when(visit(**how)).then(VisitRecorded, breaches=(E.RECALLED,))
    recall.when(anonymous(lines=some(rice=1), **how)).then(VisitRecorded, breaches=(E.RECALLED,))
    recall.when(visit(seen_warnings=True, **how)).then(VisitRecorded, breaches=())
