"""Boxes: packed for an order, unpacked, handed out, and back when that was a mistake. A box's code is used once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from services.distribution.contract import (
    CATALOGUE,
    BoxHandedOut,
    BoxPacked,
    BoxUnpacked,
    DistributionError,
    HandOutBox,
    HandOutResolved,
    HandOutReversed,
    OrderPlaced,
    PackBox,
    PackedLine,
    ResolveHandOut,
    ReverseHandOut,
    Stage,
    UnpackBox,
    Warned,
    distribution,
    entitlement_id,
    warnings_in,
)
from services.distribution.entitlement import Entitlement, not_authorised, used_as_others
from services.distribution.fulfilment import Fulfilment
from services.distribution.goods import (
    Catalogue,
    known_items,
    look,
    lot_named,
    nobody_looked,
    recalled,
    said,
    unusual,
    usual,
    warnings,
)
from services.distribution.household import Household, avoided, is_erased, may_collect, not_erased, same_people
from services.distribution.order import Order, known, open_still
from services.distribution.programme import Programme, limit_in
from services.distribution.refusals import local_day, rejected, waits, when
from services.distribution.session import Session
from services.inventory.contract import lot_form
from shared.contract import fields_of
from shared.decider import Context, Decider, Ref
from shared.moments import TOLERANCE, is_late


class Where(StrEnum):
    """Where a box is."""

    NOWHERE = "nowhere"
    PACKED = "packed"
    UNPACKED = "unpacked"
    HANDED_OUT = "handed_out"


@dataclass
class Box:
    """A box; `packed` is what was put into it, `unpacked` is there once it was taken apart, `reversed` is how many of
    its hand-outs were reversed, `handed_at` when the last one was, `standing` the rules that its packing broke and
    nobody has looked into, `warnings` those about what is in it, sealed, until somebody has looked at them.
    `review` says whether a rule that was broken waits for somebody; None when none was."""

    packed: BoxPacked | None = None
    where: Where = Where.NOWHERE
    review: bool | None = None
    reversed: int = 0
    handed_at: datetime | None = None
    standing: tuple[DistributionError, ...] = ()
    unpacked: BoxUnpacked | None = None
    warnings: str | None = None


BoxCommand = PackBox | UnpackBox | HandOutBox | ReverseHandOut | ResolveHandOut
BoxEvent = BoxPacked | BoxUnpacked | BoxHandedOut | HandOutReversed | HandOutResolved


def evolve(box: Box, event: BoxEvent) -> Box:
    match event:
        case BoxPacked():
            box.packed, box.where, box.standing = event, Where.PACKED, event.breaches
            box.warnings = None if event.seen_warnings else event.warnings
            box.review = True if event.breaches else None
        case BoxUnpacked():
            box.where, box.unpacked, box.standing = Where.UNPACKED, event, ()
            box.review = None if box.review is None else False
        case BoxHandedOut():
            box.handed_at = event.occurred_at
            box.where, box.review = Where.HANDED_OUT, True if event.breaches else box.review
        case HandOutReversed():
            box.where, box.reversed = Where.UNPACKED if event.unpacked else Where.PACKED, event.hand_out
            box.review = True if box.standing else None if box.review is None else False
        case HandOutResolved():
            box.review, box.warnings, box.standing = False, None, ()
    return box


def reads(command: BoxCommand) -> Iterable[Ref]:
    if isinstance(command, PackBox):
        return (Ref("order", command.order), Ref("fulfilment", command.order), Ref("goods", CATALOGUE))
    return (Ref("goods", CATALOGUE),) if isinstance(command, HandOutBox | UnpackBox) else ()


def decide(command: BoxCommand, box: Box, context: Context) -> BoxEvent | None:
    at = when(command.occurred_at, context)
    match command:
        case PackBox():
            return _pack(command, box, context, at)
        case UnpackBox():
            packed = _there(box, command.box)
            if box.where is Where.UNPACKED:
                return None
            if box.where is Where.HANDED_OUT:
                raise _gone(command.box)
            catalogue: Catalogue = context.read("goods", CATALOGUE)
            cold = {id for id, goods in catalogue.items.items() if goods.chilled}
            return BoxUnpacked(
                box=command.box, order=packed.order, reason=command.reason, household=packed.household,
                site=packed.site, packed=packed.packed,
                quarantine=tuple(dict.fromkeys(line.item for line in packed.packed if line.item in cold)),
                occurred_at=at,
            )  # fmt: skip
        case HandOutBox():
            return _hand_out(command, box, context, at)
        case ReverseHandOut():
            return _reverse(command, box, at)
        case ResolveHandOut():
            packed = _there(box, command.box)
            unseen = nobody_looked(box.warnings, context)
            review = box.review or box.where is not Where.UNPACKED if unseen else box.review
            if not waits(review, f"Box {command.box}"):
                return None
            return HandOutResolved(box=command.box, note=command.note, household=packed.household, occurred_at=at)


def _pack(command: PackBox, box: Box, context: Context, at: datetime) -> BoxPacked | None:
    if box.packed is not None:
        if box.packed.order == command.order and box.packed.lines == command.lines and box.where is Where.PACKED:
            return None
        raise rejected(
            DistributionError.BOX_CODE_USED,
            f"The box code {command.box} was used for order {box.packed.order}. Take a new label.",
            box=command.box, order=box.packed.order,
        )  # fmt: skip
    order: Order = context.read("order", command.order)
    placed = known(order, command.order)
    catalogue: Catalogue = context.read("goods", CATALOGUE)
    known_items(catalogue, command.lines)
    fact = command.fact or is_late(command.occurred_at, context)
    breaches = []
    if order.stage is not Stage.CONFIRMED:
        if not fact:
            open_still(order, command.order)
            raise rejected(
                DistributionError.NOT_CONFIRMED, f"Order {command.order} is not confirmed. Confirm it first; if it was "
                "packed, record that with `fact`.",
                order=command.order,
            )  # fmt: skip
        breaches.append(_not_open(order.stage))
    if not fact:
        not_erased(placed.household, context)
    _distinct(command.lines)
    fulfilment: Fulfilment = context.read("fulfilment", command.order)
    if fulfilment.box is not None and fulfilment.box != command.box:
        if not fact:
            raise rejected(
                DistributionError.ALREADY_PACKED,
                f"Order {command.order} is in box {fulfilment.box} already. Unpack that first, or hand it out.",
                order=command.order, box=fulfilment.box,
            )  # fmt: skip
        breaches.append(DistributionError.ALREADY_PACKED)
    waiting = [line.item for line in placed.goods if line.item not in fulfilment.lines]
    if waiting and not command.lines and not order.reopened:
        raise rejected(
            DistributionError.NOT_RESERVED,
            f"Nothing is set aside for order {command.order} yet of: {', '.join(waiting)}. Wait a moment, or list what "
            "you pack.",
            order=command.order, items=waiting,
        )  # fmt: skip
    packed = command.lines or fulfilment.lots()
    if not packed:
        raise rejected(
            DistributionError.BOX_EMPTY,
            f"Nothing is set aside for order {command.order}: all of it was short, taken away, or in a box before. "
            "List what you pack, or cancel the order.",
            order=command.order,
        )  # fmt: skip
    for line in placed.goods:  # what was not asked for may stand in for what is short
        total = sum(one.quantity for one in packed if one.item == line.item)
        if total > line.quantity:
            if not fact:
                raise rejected(
                    DistributionError.BEYOND_ORDER,
                    f"{total} of {line.item} would be packed, and order {command.order} asks for {line.quantity}. "
                    "Pack less; if it was packed, record that with `fact`.",
                    item=line.item, quantity=total, asked=line.quantity,
                )  # fmt: skip
            breaches.append(DistributionError.BEYOND_ORDER)
    if not fact:  # what was packed is in the box: it is not handed out, or that it was is looked into
        _not_recalled(catalogue, packed)
    gone = is_erased(placed.household, context)  # it cannot be read what they avoid, and nobody is warned
    warned = warnings(catalogue, frozenset() if gone else avoided(placed.household, context), packed)
    seen = _seen(placed, context)
    unseen = [one for one in warned if one not in seen]
    ordered = {line.item for line in placed.goods} if placed.confirm_unusual else set()
    strange = [told for item, told in unusual(catalogue, packed).items() if item not in ordered]
    if not fact:
        usual(strange, command.confirm_unusual)
        look(unseen, command.seen_warnings)
    if strange and not command.confirm_unusual:
        breaches.append(DistributionError.UNUSUAL)
    return BoxPacked(
        **(dict(fields_of(command)) | {"occurred_at": at}), packed=packed, household=placed.household,
        programme=placed.programme, period=placed.period, session=placed.session, site=placed.site,
        people=placed.people, warnings=said(warned, packed, unseen=bool(unseen) and not command.seen_warnings),
        breaches=tuple(dict.fromkeys(breaches)),
    )  # fmt: skip


def _not_open(stage: Stage) -> DistributionError:
    """The rule that a box breaks of which the order is not confirmed."""
    return DistributionError.NOT_CONFIRMED if stage is Stage.PLACED else DistributionError.ORDER_ENDED


def _seen(placed: OrderPlaced, context: Context) -> tuple[Warned, ...]:
    """The warnings that were seen when an order was placed; none when nobody can read any more which they were."""
    text = None if placed.warnings is None else context.unseal(placed.warnings)
    return () if text is None else warnings_in(text)


def _hand_out(command: HandOutBox, box: Box, context: Context, at: datetime) -> BoxHandedOut | None:
    packed = _there(box, command.box)
    if box.where is Where.HANDED_OUT:
        return None
    fact = command.fact or is_late(command.occurred_at, context)
    breaches: list[DistributionError] = []
    if box.where is Where.UNPACKED:
        if not fact:
            raise rejected(
                DistributionError.BOX_UNPACKED,
                f"Box {command.box} was unpacked. Pack another for the order; if it was handed out, record that with "
                "`fact`.",
                box=command.box,
            )  # fmt: skip
        breaches.append(DistributionError.BOX_UNPACKED)
    order: Order = context.read("order", packed.order)
    programme: Programme = context.read("programme", packed.programme)
    household: Household = context.read("household", packed.household)
    claims: Entitlement = context.read("entitlement", entitlement_id(packed.household, packed.programme, packed.period))
    fulfilment: Fulfilment = context.read("fulfilment", packed.order)
    # Completed by this very box, whose hand-out was reversed, it is about to be what it was before.
    stage = order.before if order.stage is Stage.COMPLETED and order.box == command.box else order.stage
    if stage is not Stage.CONFIRMED:
        if not fact:
            open_still(replace(order, stage=stage), packed.order)
        breaches.append(_not_open(stage))
    if is_erased(packed.household, context):
        if not fact:
            not_erased(packed.household, context)
        breaches.append(DistributionError.HOUSEHOLD_ERASED)
    before = at < packed.occurred_at - TOLERANCE
    if before and not fact:
        raise rejected(
            DistributionError.CLOCK_RUNS_BACK,
            f"Box {command.box} was packed at {packed.occurred_at:%Y-%m-%d %H:%M} UTC, later. Check the clock; if it "
            "is right, hand the box out with `fact`.",
            box=command.box,
        )  # fmt: skip
    session: Session = context.read("session", packed.session)
    opened = session.opened_at
    if fact and (before or (opened is not None and at < opened - TOLERANCE)):
        breaches.append(DistributionError.CLOCK_RUNS_BACK)
    catalogue: Catalogue = context.read("goods", CATALOGUE)
    affected = recalled(catalogue, packed.packed)
    if affected:
        if not fact:
            raise rejected(
                DistributionError.RECALLED,
                f"Box {command.box} holds what is recalled: {_told(affected)}. Unpack it, and set that aside; if the "
                "box was handed out, record that with `fact`.",
                box=command.box, recalled=_named(affected),
            )  # fmt: skip
        breaches.append(DistributionError.RECALLED)
    gone: list[str] = []
    set_aside = box.where is Where.PACKED and not box.reversed and stage is Stage.CONFIRMED
    if set_aside and not packed.lines:
        rest = [line for line in packed.packed if all(line is not one for one, _ in affected)]
        gone = _taken_away(rest, fulfilment)
    if gone:
        if not fact:
            raise rejected(
                DistributionError.GOODS_TAKEN,
                f"In box {command.box}, {' and '.join(gone)} is not set aside any more: it may be recalled. Look at "
                "it, and unpack the box; if it was handed out, record that with `fact`.",
                box=command.box, goods=gone,
            )  # fmt: skip
        breaches.append(DistributionError.GOODS_TAKEN)
    day = local_day(at, programme.utc_offset)
    if command.collected_by is not None and not may_collect(household, command.collected_by, day, at):
        if not fact:
            raise not_authorised(packed.household, command.collected_by)
        breaches.append(DistributionError.WRONG_RECIPIENT)
    claimed = packed.order in claims.claims
    if not claimed:
        if not fact:
            raise rejected(
                DistributionError.UNKNOWN_CLAIM,
                f"Household {packed.household} has no claim for order {packed.order} in {packed.period} yet, and may "
                "have been served already. Look it up; if it was handed out, record that with `fact`.",
                household=packed.household, order=packed.order,
            )  # fmt: skip
        used = claims.used + used_as_others(packed.household, packed.programme, packed.period, context)
        limit = limit_in(programme, packed.period, day)
        if limit is not None and used >= limit.times:
            breaches.append(DistributionError.LIMIT_REACHED)
    if DistributionError.LIMIT_REACHED not in breaches and (twice := _served_as_other(packed, context)):
        if not fact:
            raise rejected(DistributionError.LIMIT_REACHED, twice, household=packed.household, order=packed.order)
        breaches.append(DistributionError.LIMIT_REACHED)
    if not fact and nobody_looked(box.warnings, context):
        raise rejected(
            DistributionError.WARNING_NOT_SEEN,
            f"Nobody has seen a warning about what is in box {command.box}. Look at it, and send ResolveHandOut or "
            "unpack the box; if it was handed out, record that with `fact`.",
            box=command.box,
        )  # fmt: skip
    return BoxHandedOut(
        **(dict(fields_of(command)) | {"occurred_at": at}), order=packed.order, household=packed.household,
        programme=packed.programme, period=packed.period, session=packed.session, site=packed.site,
        packed=packed.packed, people=packed.people, claimed=claimed, breaches=tuple(breaches),
        hand_out=box.reversed + 1, apart=() if box.unpacked is None else box.unpacked.quarantine,
    )  # fmt: skip


def _served_as_other(packed: BoxPacked, context: Context) -> str | None:
    """Says that the same people were served as often as they may be, under another id too; None when they were not.
    Claims do not tell: of households that were merged with an order each, either may be the one that is handed out."""
    programme: Programme = context.read("programme", packed.programme)
    limit = limit_in(programme, packed.period)
    family = [one for one, _ in same_people(packed.household, context)]
    if limit is None or len(family) == 1:
        return None
    served = {}
    for one in family:
        of_it: Entitlement = context.read("entitlement", entitlement_id(one, packed.programme, packed.period))
        over = [id for id in of_it.claims if id != packed.order and _over(id, context)]
        served[one] = len(of_it.visits) + len(over)
    others = [one for one in family if one != packed.household and served[one]]
    times = sum(served.values())
    if not others or times < limit.times:
        return None
    return (
        f"Household {packed.household} is the same as {others[0]}, and they were served {times} of {limit.times} times "
        f"in {packed.period}. Unpack the box and cancel order {packed.order}; if it was handed out, record that with "
        "`fact`."
    )


def _over(claim: str, context: Context) -> bool:
    """Whether a claim is for what was handed out, not for an order that waits, or that ended."""
    order: Order = context.read("order", claim)
    return order.stage in (Stage.NONE, Stage.COMPLETED)  # that of a box is of no order


def _reverse(command: ReverseHandOut, box: Box, at: datetime) -> HandOutReversed | None:
    packed = _there(box, command.box)
    if box.where is not Where.HANDED_OUT:
        if box.reversed:
            return None
        unpacked = "was unpacked, and" if box.where is Where.UNPACKED else "is here and"
        raise rejected(
            DistributionError.NOT_HANDED_OUT,
            f"Box {command.box} {unpacked} was never handed out: there is nothing to reverse. Check its label.",
            box=command.box,
        )  # fmt: skip
    if box.handed_at is not None and at < box.handed_at - TOLERANCE:
        raise rejected(
            DistributionError.CLOCK_RUNS_BACK,
            f"Box {command.box} was handed out at {box.handed_at:%Y-%m-%d %H:%M} UTC, later than {at:%Y-%m-%d %H:%M} "
            "UTC. Check the moment; leave occurred_at out for now.",
            box=command.box,
        )  # fmt: skip
    return HandOutReversed(
        box=command.box, reason=command.reason, hand_out=box.reversed + 1, unpacked=box.unpacked is not None,
        packed=packed.packed, breaches=box.standing, order=packed.order,
        household=packed.household, programme=packed.programme, period=packed.period, session=packed.session,
        site=packed.site, occurred_at=at,
    )  # fmt: skip


def _not_recalled(catalogue: Catalogue, lines: Iterable[PackedLine]) -> None:
    """Refuse to pack what an open recall covers, or may cover as its lot is not known."""
    affected = recalled(catalogue, lines)
    if affected:
        raise rejected(
            DistributionError.RECALLED,
            f"Recalled: {_told(affected)}. Set it aside, and list other lots, by number and date: what is not known of "
            "goods counts as recalled.",
            recalled=_named(affected),
        )


def _told(affected: Iterable[tuple[PackedLine, str]]) -> str:
    return " and ".join(f"{lot_named(line)} (recall {id})" for line, id in affected)


def _named(affected: Iterable[tuple[PackedLine, str]]) -> list[dict[str, str | None]]:
    return [{"item": line.item, "lot": line.lot, "recall": id} for line, id in affected]


def _taken_away(lines: Iterable[PackedLine], fulfilment: Fulfilment) -> list[str]:
    """What of a box is not set aside for its order any more, in words."""
    there = {(line.item, line.lot, line.date, line.owner): line.quantity for line in fulfilment.lots()}
    return [
        lot_named(line) for line in lines if there.get((line.item, line.lot, line.date, line.owner), 0) < line.quantity
    ]


def _distinct(lines: Iterable[PackedLine]) -> None:
    """Refuse goods that are listed twice."""
    seen = set()
    for line in lines:
        key = (line.item, line.lot and lot_form(line.lot), line.date, line.owner)
        if key in seen:
            lot = f" of lot {line.lot}" if line.lot else ""
            raise rejected(
                DistributionError.DUPLICATE_LINE, f"{line.item}{lot} is listed twice. Add the two up.", item=line.item
            )
        seen.add(key)


def _there(box: Box, id: str) -> BoxPacked:
    if box.packed is None:
        raise rejected(
            DistributionError.UNKNOWN_BOX, f"There is no box {id}. Check its label, or pack it first.", box=id
        )
    return box.packed


def _gone(id: str) -> Exception:
    return rejected(
        DistributionError.BOX_GONE,
        f"Box {id} was handed out. If it is here still, take that back first, with ReverseHandOut.",
        box=id,
    )  # fmt: skip


def check(box: Box) -> list[str]:
    return ["a box went on that was never packed"] if box.where is not Where.NOWHERE and box.packed is None else []


box: Final = Decider(distribution, "box", Box, Box, decide, evolve, check, reads)
