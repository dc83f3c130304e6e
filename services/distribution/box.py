"""Boxes: packed for an order, unpacked, handed out. A box's code is used once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
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
    PackBox,
    UnpackBox,
    distribution,
    entitlement_id,
)
from services.distribution.entitlement import Entitlement, not_authorised
from services.distribution.fulfilment import Fulfilment
from services.distribution.goods import Catalogue, known_items, look, warnings
from services.distribution.household import Household, avoided, may_collect
from services.distribution.order import Order, Stage, known, open_still
from services.distribution.programme import Programme
from services.distribution.refusals import TOLERANCE, is_late, local_day, rejected, when
from shared.contract import fields_of
from shared.decider import Context, Decider, Ref


class Where(StrEnum):
    """Where a box is."""

    NOWHERE = "nowhere"
    PACKED = "packed"
    UNPACKED = "unpacked"
    HANDED_OUT = "handed_out"


@dataclass
class Box:
    """A box; `packed` is what was put into it."""

    packed: BoxPacked | None = None
    where: Where = Where.NOWHERE


BoxCommand = PackBox | UnpackBox | HandOutBox
BoxEvent = BoxPacked | BoxUnpacked | BoxHandedOut


def evolve(box: Box, event: BoxEvent) -> Box:
    match event:
        case BoxPacked():
            box.packed, box.where = event, Where.PACKED
        case BoxUnpacked():
            box.where = Where.UNPACKED
        case BoxHandedOut():
            box.where = Where.HANDED_OUT
    return box


def reads(command: BoxCommand) -> Iterable[Ref]:
    if isinstance(command, PackBox):
        return (Ref("order", command.order), Ref("fulfilment", command.order), Ref("goods", CATALOGUE))
    return ()


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
                box=command.box, order=packed.order, reason=command.reason, site=packed.site, packed=packed.packed,
                quarantine=tuple(dict.fromkeys(line.item for line in packed.packed if line.item in cold)),
                occurred_at=at,
            )  # fmt: skip
        case HandOutBox():
            return _hand_out(command, box, context, at)


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
    open_still(order, command.order)
    if order.stage is not Stage.CONFIRMED:
        raise rejected(
            DistributionError.NOT_CONFIRMED, f"Order {command.order} is not confirmed. Confirm it first.",
            order=command.order,
        )  # fmt: skip
    fulfilment: Fulfilment = context.read("fulfilment", command.order)
    if fulfilment.box is not None and fulfilment.box != command.box:
        raise rejected(
            DistributionError.ALREADY_PACKED, f"Order {command.order} is in box {fulfilment.box} already.",
            order=command.order, box=fulfilment.box,
        )  # fmt: skip
    waiting = [line.item for line in placed.goods if line.item not in fulfilment.lines]
    if waiting and not command.lines:
        raise rejected(
            DistributionError.NOT_RESERVED,
            f"Nothing is set aside for order {command.order} yet of: {', '.join(waiting)}. Wait a moment, or list what "
            "you pack.",
            order=command.order, items=waiting,
        )  # fmt: skip
    packed = command.lines or fulfilment.lots()
    if not packed:
        raise rejected(
            DistributionError.BOX_EMPTY, f"There is nothing to pack for order {command.order}: all of it was short.",
            order=command.order,
        )  # fmt: skip
    asked = {line.item: line.quantity for line in placed.goods}
    for item in dict.fromkeys(line.item for line in packed):
        total = sum(line.quantity for line in packed if line.item == item)
        if total > asked.get(item, total if item not in asked else 0):
            raise rejected(
                DistributionError.BEYOND_ORDER,
                f"{total} of {item} would be packed, and order {command.order} asks for {asked[item]}.",
                item=item, quantity=total, asked=asked[item],
            )  # fmt: skip
    catalogue: Catalogue = context.read("goods", CATALOGUE)
    known_items(catalogue, packed)
    household: Household = context.read("household", placed.household)
    warned = warnings(catalogue, avoided(household, context), packed)
    look(warned, command.seen_warnings or placed.seen_warnings)
    return BoxPacked(
        **(dict(fields_of(command)) | {"occurred_at": at}), packed=packed, household=placed.household,
        programme=placed.programme, period=placed.period, session=placed.session, site=placed.site,
        people=placed.people, warnings=warned,
    )  # fmt: skip


def _hand_out(command: HandOutBox, box: Box, context: Context, at: datetime) -> BoxHandedOut | None:
    packed = _there(box, command.box)
    if box.where is Where.HANDED_OUT:
        return None
    if box.where is Where.UNPACKED:
        raise rejected(
            DistributionError.BOX_EMPTY, f"Box {command.box} was unpacked. Pack another for the order.", box=command.box
        )
    order: Order = context.read("order", packed.order)
    programme: Programme = context.read("programme", packed.programme)
    household: Household = context.read("household", packed.household)
    claims: Entitlement = context.read("entitlement", entitlement_id(packed.household, packed.programme, packed.period))
    fact = command.fact or is_late(command.occurred_at, context)
    if at < packed.occurred_at - TOLERANCE and not fact:
        raise rejected(
            DistributionError.CLOCK_RUNS_BACK,
            f"Box {command.box} was packed at {packed.occurred_at:%Y-%m-%d %H:%M} UTC, later. Check the clock.",
            box=command.box,
        )  # fmt: skip
    breaches: list[DistributionError] = []
    if order.stage is not Stage.CONFIRMED:
        if not fact:
            open_still(order, packed.order)
        breaches.append(DistributionError.ORDER_ENDED)
    day = local_day(at, programme.utc_offset)
    if command.collected_by is not None and not may_collect(household, command.collected_by, day):
        if not fact:
            raise not_authorised(packed.household, command.collected_by)
        breaches.append(DistributionError.WRONG_RECIPIENT)
    if packed.order not in claims.claims:
        if not fact:
            raise rejected(
                DistributionError.UNKNOWN_CLAIM,
                f"Household {packed.household} has no claim for order {packed.order} in {packed.period}: it may have "
                "been served already. Look it up; if it was handed out, record that with `fact`.",
                household=packed.household, order=packed.order,
            )  # fmt: skip
        breaches.append(DistributionError.LIMIT_REACHED)
    return BoxHandedOut(
        **(dict(fields_of(command)) | {"occurred_at": at}), order=packed.order, household=packed.household,
        programme=packed.programme, period=packed.period, session=packed.session, site=packed.site,
        packed=packed.packed, people=packed.people, breaches=tuple(breaches),
    )  # fmt: skip


def _there(box: Box, id: str) -> BoxPacked:
    if box.packed is None:
        raise rejected(
            DistributionError.UNKNOWN_BOX, f"There is no box {id}. Check its label, or pack it first.", box=id
        )
    return box.packed


def _gone(id: str) -> Exception:
    return rejected(DistributionError.BOX_GONE, f"Box {id} was handed out.", box=id)


def check(box: Box) -> list[str]:
    return ["a box went on that was never packed"] if box.where is not Where.NOWHERE and box.packed is None else []


box: Final = Decider(distribution, "box", Box, Box, decide, evolve, check, reads)
