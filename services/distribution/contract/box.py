"""Commands and events of `box`: what is in a packed box, and who has it. The aggregate's id is the box's code.

A box's code is used once. It leads to the lots in it, so that a recall finds it; it never says what a family ate.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from services.distribution.contract.base import (
    MAX_LINES,
    REMARK,
    BoxCode,
    DistributionError,
    Id,
    Moment,
    NewBoxCode,
    Note,
    OrderId,
    PackedLine,
    People,
    Period,
    Revision,
    command,
    event,
)


def claim_of_box(box: str, hand_out: int) -> str:
    """The claim of a box that does not count by its order's; one that was given back is not made again."""
    return f"box{'' if hand_out == 1 else hand_out}-{box}"


@event(category="box")
class BoxPacked:
    """Goods were packed for an order: `packed`, by lot. They stay in the box until it is handed out or unpacked.

    `lines` is what the packer listed; nothing when the box holds just what was set aside. `warnings` are written as
    those of OrderPlaced, with `unseen` before them if nobody has looked at one yet. `breaches` are the rules that a
    fact broke: an order that had ended, was not confirmed or is in another box, more than was ordered, an unusual
    quantity.
    """

    box: BoxCode
    order: OrderId
    lines: tuple[PackedLine, ...] = ()
    seen_warnings: bool = False
    confirm_unusual: bool = False
    fact: bool = False
    packed: tuple[PackedLine, ...]
    household: Id
    programme: Id
    period: Period
    session: Id
    site: Id
    people: People
    warnings: Annotated[str | None, REMARK] = None
    breaches: tuple[DistributionError, ...] = ()
    occurred_at: Moment


@command(category="box", aggregate="box", makes=(BoxPacked,))
class PackBox:
    """Pack a box for an order. Its lots left out are those that were set aside for the order.

    Once they were in a box that was handed out, nothing is set aside anew: what is packed instead is listed.

    More of an item than is usual in inventory needs `confirm_unusual`, if it had none when it was ordered.

    What is recalled is refused, and so is a line without a lot, or of unknown lot, of an item that has an open recall.
    With `fact`, or late, it reports what was packed, and is recorded whatever it broke, so that its hand-out can be:
    what is in the box is listed, unless it was all set aside. What nobody has seen the warnings of waits for
    ResolveHandOut.
    """

    box: NewBoxCode
    order: OrderId
    lines: Annotated[tuple[PackedLine, ...], Field(max_length=MAX_LINES)] = ()
    seen_warnings: bool = False
    confirm_unusual: bool = False
    fact: bool = False
    occurred_at: Moment | None = None


@event(category="box")
class BoxUnpacked:
    """A box was taken apart: its goods are back on the shelf, and those in `quarantine` wait to be looked at."""

    box: BoxCode
    order: OrderId
    reason: Annotated[str, REMARK]
    household: Id
    site: Id
    packed: tuple[PackedLine, ...]
    quarantine: tuple[Id, ...] = ()
    occurred_at: Moment


@command(category="box", aggregate="box", makes=(BoxUnpacked,))
class UnpackBox:
    """Take a box apart. Chilled and frozen goods go to quarantine, the rest to the shelf."""

    box: BoxCode
    reason: Note
    occurred_at: Moment | None = None


@event(category="box")
class BoxHandedOut:
    """A box is in the hands of its household, or of `collected_by`, who may collect for it.

    `claimed` says whether the order's claim counted by then. `breaches` are the rules that a fact broke:
    the limit (the household was served twice), an authorisation that was over, an order that had ended, a box that was
    unpacked by mistake, a household that was erased, goods that are recalled, or were not set aside any more, a warning
    that nobody had seen, a moment before it was packed or its session opened. `hand_out` counts the hand-outs of this
    box: more than one when one was reversed. `apart` are the items that were set apart when it was unpacked, or whose
    lots were held whole.
    """

    box: BoxCode
    order: OrderId
    household: Id
    programme: Id
    period: Period
    session: Id
    site: Id
    packed: tuple[PackedLine, ...]
    people: People
    collected_by: Id | None = None
    fact: bool = False
    claimed: bool
    breaches: tuple[DistributionError, ...] = ()
    hand_out: Revision = 1
    apart: tuple[Id, ...] = ()
    occurred_at: Moment


@command(category="box", aggregate="box", makes=(BoxHandedOut,))
class HandOutBox:
    """Hand a box out. With `fact`, or late, it reports what has happened and is recorded whatever it broke.

    A box that holds what is recalled, or may be as its lot is not known, is refused; and a box of what was set aside
    when somebody took that away since it was packed. Of one whose hand-out was reversed nothing is set aside any more.
    """

    box: BoxCode
    collected_by: Id | None = None
    fact: bool = False
    occurred_at: Moment | None = None


@event(category="box")
class HandOutReversed:
    """A box was not handed out: it is here, packed, and may be handed out to whom it is for; or `unpacked`, as it was
    before.

    `hand_out` is which of its hand-outs was reversed. Its goods (`packed`) come back into stock, and are not set aside
    again; the claim of its order goes on. `breaches` are the rules that its packing broke, and that somebody is to look
    into still.
    """

    box: BoxCode
    reason: Annotated[str, REMARK]
    hand_out: Revision = 1
    unpacked: bool = False
    packed: tuple[PackedLine, ...]
    breaches: tuple[DistributionError, ...] = ()
    order: OrderId
    household: Id
    programme: Id
    period: Period
    session: Id
    site: Id
    occurred_at: Moment


@command(category="box", aggregate="box", makes=(HandOutReversed,))
class ReverseHandOut:
    """Take a hand-out back that was recorded by mistake, as when the wrong box was scanned."""

    box: BoxCode
    reason: Note
    occurred_at: Moment | None = None


@event(category="box")
class HandOutResolved:
    """Somebody looked into a box that was packed or handed out against a rule, and closed its review.

    `note` says what was found.
    """

    box: BoxCode
    note: Annotated[str, REMARK]
    household: Id
    occurred_at: Moment


@command(category="box", aggregate="box", makes=(HandOutResolved,))
class ResolveHandOut:
    """Close the review of a box that was handed out against a rule; the hand-out stands. Who finds that it is still
    here reverses it instead. Or of one that was packed while nobody saw its warnings, which they have by now."""

    box: BoxCode
    note: Note
    occurred_at: Moment | None = None


__all__ = [
    "BoxHandedOut", "BoxPacked", "BoxUnpacked", "HandOutBox", "HandOutResolved", "HandOutReversed", "PackBox",
    "ResolveHandOut", "ReverseHandOut", "UnpackBox", "claim_of_box",
]  # fmt: skip
