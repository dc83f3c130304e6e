"""Stock of one item at one location: the decider, and which module decides what.

shelf.py        the state and how events change it
basis.py        what a decision stands on, and what all movements' events share
allocation.py   first-expired-first-out
arrivals.py     receipts and transfers that arrive
departures.py   issues, transfers, disposals, returns, repacking, adjustments
reserving.py    reservations and holds
mending.py      reversals, corrections, approved counts
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from services.inventory import rules
from services.inventory.arrivals import receive, receive_transfer
from services.inventory.basis import base_reads, stand_on
from services.inventory.contract import (
    AdjustStock,
    ApproveCount,
    CorrectMovement,
    DispatchTransfer,
    DisposeStock,
    ExpireReservation,
    HoldStock,
    IssueStock,
    ReceiveStock,
    ReceiveTransfer,
    ReleaseHold,
    ReleaseReservation,
    RepackStock,
    ReserveStock,
    ReturnToSupplier,
    ReverseMovement,
    SetApart,
    StockCommand,
    inventory,
    stock_id,
)
from services.inventory.departures import adjust, dispatch, dispose, issue, repack, return_
from services.inventory.location import known
from services.inventory.mending import approve, correct, reverse
from services.inventory.reserving import expire, hold, release, release_hold, reserve, set_apart
from services.inventory.shelf import Stock, StockChange, check, check_after, evolve
from shared.decider import Context, Decider, Ref


def reads(command: StockCommand) -> Iterable[Ref]:
    match command:
        case ReleaseReservation() | ExpireReservation():
            return ()
        case ReceiveTransfer():
            return (*base_reads(command), Ref("stock", stock_id(command.item, command.origin)))
        case DispatchTransfer():
            return dict.fromkeys((*base_reads(command), Ref("location", command.destination)))
        case RepackStock():
            others = (Ref("item", line.item) for line in command.into)
            return dict.fromkeys((*base_reads(command), *others))
        case ApproveCount():
            return (*base_reads(command), Ref("count", command.count))
    return base_reads(command)


def decide(command: StockCommand, stock: Stock, context: Context) -> StockChange | None:
    match command:
        case ReleaseReservation():
            return release(command, stock, rules.when(command.occurred_at, context))
        case ExpireReservation():
            return expire(command, stock, rules.when(command.occurred_at, context), context)
    basis = stand_on(command, stock, context)
    match command:
        case ReceiveStock():
            return receive(command, basis)
        case IssueStock():
            return issue(command, basis)
        case ReserveStock():
            return reserve(command, basis, context.now)
        case AdjustStock():
            return adjust(command, basis)
        case DisposeStock():
            return dispose(command, basis)
        case ReturnToSupplier():
            return return_(command, basis)
        case RepackStock():
            others = {line.item: context.read("item", line.item) for line in command.into}
            return repack(command, basis, others)
        case DispatchTransfer():
            destination = known(context.read("location", command.destination), command.destination)
            return dispatch(command, basis, destination, context.mandate)
        case ReceiveTransfer():
            origin = context.read("stock", stock_id(command.item, command.origin))
            return receive_transfer(command, basis, origin)
        case ReverseMovement():
            return reverse(command, basis)
        case CorrectMovement():
            return correct(command, basis)
        case ApproveCount():
            return approve(command, basis, context.read("count", command.count), context.actor)
        case HoldStock():
            return hold(command, basis)
        case SetApart():
            return set_apart(command, basis)
        case ReleaseHold():
            return release_hold(command, basis, context.mandate)
    raise TypeError(f"{type(command).__name__} is not a command of stock")


stock: Final = Decider(inventory, "stock", Stock, Stock, decide, evolve, check, reads, check_after=check_after)
