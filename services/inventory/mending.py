"""What mends the record: reversals, corrections, and counts that are approved.

History is never edited. A reversal is an event of its own that stands at the moment of what it undoes, so every figure
from then on is as if that had not been; it is refused when that would take a later figure below zero, and names the
movements that depend on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from services.inventory.allocation import Drawing
from services.inventory.arrivals import distinct
from services.inventory.basis import Basis, effect, said
from services.inventory.contract import (
    ApproveCount,
    Breach,
    CorrectMovement,
    CountApproved,
    HoldReason,
    InventoryError,
    LotMove,
    MovementCorrected,
    MovementReversed,
    ReverseMovement,
)
from services.inventory.count import Counting, recorded, superseded, variances
from services.inventory.rules import name_of, weight
from services.inventory.shelf import KINDS, Mark, Stock
from services.inventory.timeline import microseconds, moment_of
from shared.errors import Rejected

_REVERSIBLE: Final = (Mark.RECEIVED, Mark.ISSUED, Mark.ADJUSTED, Mark.DISPOSED, Mark.RETURNED)
_NAMED: Final = 20


@dataclass
class _Movement:
    """What a movement stands for now: its moment and kind, and its changes and unrecorded part."""

    moment: int
    kind: int
    changes: dict[str, int]
    unrecorded: int = 0


def reverse(command: ReverseMovement, basis: Basis) -> MovementReversed | None:
    """Undo a movement; one that is undone already stays so."""
    stock = basis.stock
    if command.movement in stock.reversed:
        return None
    movement = _find(stock, command.movement)
    changes = {key: -change for key, change in movement.changes.items()}
    absorbed = _check_later(stock, command.movement, movement.moment, changes)
    fields = effect(
        basis, changes, unrecorded=-movement.unrecorded, effective_at=moment_of(movement.moment), absorbed_by=absorbed
    )
    return MovementReversed(**said(command), **fields, kind=KINDS[movement.kind])


def correct(command: CorrectMovement, basis: Basis) -> MovementCorrected | None:
    """Replace what a movement did; one that did just this stays as it is."""
    stock = basis.stock
    if command.movement in stock.reversed:
        raise Rejected(
            InventoryError.ALREADY_REVERSED,
            f"Movement {command.movement} was reversed. Record the right one anew.",
            movement=command.movement,
        )
    movement = _find(stock, command.movement)
    out = _is_out(movement, command.movement)
    changes = {key: -change for key, change in movement.changes.items()}
    distinct(command.lines)
    refs = stock.resolve(command.lines)
    for key, line in zip(refs, command.lines, strict=True):
        changes[key] = changes.get(key, 0) + (-line.quantity if out else line.quantity)
    if not (any(changes.values()) or movement.unrecorded):
        return None
    if not out:
        _check_review(stock, command.movement, movement, changes)
    absorbed = _check_later(stock, command.movement, movement.moment, changes)
    fields = effect(
        basis, changes, refs=refs, unrecorded=-movement.unrecorded, effective_at=moment_of(movement.moment),
        absorbed_by=absorbed, breaches=_kept_or_handed_on(basis, movement, out),
    )  # fmt: skip
    return MovementCorrected(
        **said(command), **fields, kind=KINDS[movement.kind], was=_was(basis, movement),
    )  # fmt: skip


def approve(command: ApproveCount, basis: Basis, counting: Counting, actor: str) -> CountApproved | None:
    """Assert what was counted, as of the moment of counting."""
    stock = basis.stock
    record = recorded(counting, command)
    last = stock.counted
    if last is not None and (last.count, last.record) == (command.count, record.revision):
        return None
    if last is not None and record.at <= last.at:
        raise superseded(stock)
    moment = microseconds(record.at)
    changes, expected, refs = variances(stock, record.lines, moment)
    if record.counted_by == actor:
        _check_self_approval(basis, sum(expected.values()), sum(abs(c) for c in changes.values()), actor)
    drawing = Drawing(basis)
    for key, change in changes.items():
        row = stock.rows.get(key)
        if row is None or change >= 0:
            continue
        fall = row.timeline.first_below(moment, -change)
        if fall is not None:
            raise _breaks(
                stock, key, fall, change, row.timeline.outgoing_after(moment, stock.revision, _NAMED), "Count it again."
            )
        if row.on_hand + change < row.reserved:
            drawing.take_reserved(key, row.reserved - row.on_hand - change)
    told = drawing.told()
    fields = effect(basis, changes, refs=refs, freed=told["freed"], breaches=told["breaches"], effective_at=record.at)
    return CountApproved(
        **said(command), **fields, record=record.revision, counted=tuple(record.lines),
        counted_by=record.counted_by, approved_by=actor,
    )  # fmt: skip


def _check_self_approval(basis: Basis, expected: int, variance: int, actor: str) -> None:
    allowed = basis.place.self_approval
    if basis.facts.medicine or variance * 100 > expected * allowed:
        why = "the count of a medicine" if basis.facts.medicine else f"a variance of {variance:,} in {expected:,}"
        raise Rejected(
            InventoryError.SECOND_PERSON_REQUIRED,
            f"{actor} counted this; {why} is approved by somebody else.",
            counted_by=actor, variance=variance, expected=expected, self_approval_percent=allowed,
        )  # fmt: skip


def _find(stock: Stock, revision: int) -> _Movement:
    """What a movement stands for now, after the corrections there were."""
    movement = _Movement(0, 0, {})
    for key, row in stock.rows.items():
        for entry in row.timeline.entries_of(revision):
            if stock.counted is not None and entry.moment < stock.counted.kept_from:
                continue
            movement.moment = entry.moment
            movement.changes[key] = movement.changes.get(key, 0) + entry.change
            if entry.kind == Mark.FOUND:
                movement.unrecorded += entry.change
            else:
                movement.kind = entry.kind
    if revision in stock.mended:
        raise Rejected(
            InventoryError.NOT_REVERSIBLE,
            f"Revision {revision} mends movement {stock.mended[revision]}. Correct that one again, or record it anew.",
            movement=revision, mends=stock.mended[revision],
        )  # fmt: skip
    if not movement.kind:
        raise Rejected(
            InventoryError.UNKNOWN_MOVEMENT,
            f"Revision {revision} of this stock is no movement, or lies before the last count but one. It has "
            f"{stock.revision} revisions; the bin card lists the movements.",
            movement=revision, revisions=stock.revision,
        )  # fmt: skip
    if movement.kind not in _REVERSIBLE:
        raise Rejected(
            InventoryError.NOT_REVERSIBLE,
            f"Movement {revision} is a {KINDS[movement.kind]}, which is undone by its like: send a transfer back, "
            "count "
            "again, repack again.",
            movement=revision, kind=KINDS[movement.kind],
        )  # fmt: skip
    return movement


def _check_review(stock: Stock, revision: int, movement: _Movement, changes: dict[str, int]) -> None:
    """Refuse to write medicine that waits for a pharmacist over to a lot that does not: nobody has looked at it."""
    waiting = {id for id, hold in stock.holds.items() if hold.reason is HoldReason.PHARMACIST_REVIEW}
    under = {key: waiting.intersection(stock.rows[key].holds) for key in changes if key in stock.rows}
    came = sorted({id for key in movement.changes for id in under.get(key, ())})
    if came and any(change > 0 and not under.get(key) for key, change in changes.items()):
        raise Rejected(
            InventoryError.LOT_HELD,
            f"What came with movement {revision} waits for a pharmacist ({', '.join(came[:3])}), and so must what it "
            "is corrected to. Reverse the movement and receive the goods again, under the right lot.",
            movement=revision, holds=came[:_NAMED],
        )  # fmt: skip


def _kept_or_handed_on(basis: Basis, movement: _Movement, out: bool) -> set[Breach]:
    """A corrected movement of a controlled item is one of a controlled item still; giving it up breaks nothing."""
    return {Breach.CONTROLLED} if basis.facts.controlled and (movement.kind == Mark.ISSUED or not out) else set()


def _is_out(movement: _Movement, revision: int) -> bool:
    """Whether a movement took goods away. One that did both cannot be corrected line by line."""
    signs = {change > 0 for change in movement.changes.values() if change}
    if len(signs) > 1 or (movement.unrecorded and True in signs):
        raise Rejected(
            InventoryError.NOT_REVERSIBLE,
            f"Movement {revision} went both ways. Reverse it, and record the right one anew.",
            movement=revision,
        )
    return True not in signs


def _check_later(stock: Stock, revision: int, moment: int, changes: dict[str, int]) -> str | None:
    """Refuse changes at a past moment that a later figure or a reservation depends on. Returns the count, if any, that
    came after the moment: before it nothing depends on anything any more."""
    absorbed = stock.absorbing(moment, revision)
    if absorbed is not None:
        return absorbed
    less = {key: change for key, change in changes.items() if change < 0}
    for key, change in less.items():
        row = stock.rows.get(key)
        if row is None:
            raise _breaks(stock, key, (moment, 0), change, [], "Check the lot.")
        fall = row.timeline.first_below(moment, -change, revision)
        if fall is not None:
            depends = row.timeline.outgoing_after(moment, revision, _NAMED)
            raise _breaks(stock, key, fall, change, depends, "Mend those first, or adjust the stock as it is now.")
    for key, change in less.items():
        row = stock.rows[key]
        if row.on_hand + change < row.reserved:
            ids = [id for id, reservation in stock.reservations.items() if key in reservation.lots][:_NAMED]
            raise Rejected(
                InventoryError.STOCK_RESERVED,
                f"{row.reserved:,} of {name_of(row.ref)} are reserved ({', '.join(ids[:5])}), and only "
                f"{row.on_hand + change:,} would be left. Release them first.",
                reserved=row.reserved, balance=row.on_hand + change, reservations=ids,
            )  # fmt: skip
    return None


def _breaks(stock: Stock, key: str, fall: tuple[int, int], change: int, movements: list[int], advice: str) -> Rejected:
    row = stock.rows.get(key)
    name = name_of(row.ref) if row is not None else "a lot that was never here"
    at: datetime = moment_of(fall[0])
    listed = f" Later movements depend on it: {', '.join(map(str, movements))}." if movements else ""
    return Rejected(
        InventoryError.BREAKS_LATER_MOMENT,
        f"At {at.isoformat()} there were {fall[1]:,} of {name}; {-change:,} fewer would be "
        f"{fall[1] + change:,}.{listed} {advice}",
        moment=at.isoformat(), balance=fall[1], change=change, movements=movements,
        lot=row.ref.lot if row is not None else None,
    )  # fmt: skip


def _was(basis: Basis, movement: _Movement) -> tuple[LotMove, ...]:
    moves = []
    keys = dict.fromkeys([*movement.changes, *([""] if movement.unrecorded else [])])
    for key in keys:
        row = basis.stock.rows[key]
        change, beyond = movement.changes.get(key, 0), movement.unrecorded if key == "" else 0
        moves.append(
            LotMove(
                lot=row.ref.lot,
                date=row.ref.date,
                date_kind=row.ref.date_kind,
                owner=row.ref.owner,
                change=change,
                unrecorded=beyond,
                on_hand=row.on_hand,
                weight=weight(change - beyond, basis.facts),
            )
        )
    return tuple(moves)
