"""Pledges: what a donor promised to give, until it is ended."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from services.treasury import rules
from services.treasury.contract import EndPledge, Pledge, PledgeEnded, PledgeMade, TreasuryError, treasury
from services.treasury.party import known
from services.treasury.posting import opened, rejected
from services.treasury.rules import differing
from services.treasury.state import Book
from shared.contract import fields_of
from shared.decider import Context, Decider, Ref


@dataclass
class Promise:
    """A pledge; `donor` is None before it is made."""

    donor: str | None = None
    book: str = ""
    unit: str = ""
    fund: str = ""
    made: PledgeMade | None = None
    ended: bool = False


def evolve(pledge: Promise, event: PledgeMade | PledgeEnded) -> Promise:
    match event:
        case PledgeMade():
            pledge.donor, pledge.book, pledge.unit, pledge.fund = event.donor, event.book, event.unit, event.fund
            pledge.made = event
        case PledgeEnded():
            pledge.ended = True
    return pledge


def reads(command: Pledge | EndPledge) -> Iterable[Ref]:
    match command:
        case Pledge():
            return (Ref("book", command.book), Ref("party", command.donor))
        case EndPledge():
            return ()


def decide(command: Pledge | EndPledge, pledge: Promise, context: Context) -> PledgeMade | PledgeEnded | None:
    match command:
        case Pledge():
            return _make(command, pledge, context)
        case EndPledge():
            at = rules.when(command.occurred_at, context)
            if pledge.made is None:
                raise rejected(
                    TreasuryError.UNKNOWN_PLEDGE, f"There is no pledge {command.pledge}. Check its id.",
                    pledge=command.pledge,
                )  # fmt: skip
            if pledge.ended:
                return None
            return PledgeEnded(pledge=command.pledge, reason=command.reason, occurred_at=at)


def _make(command: Pledge, pledge: Promise, context: Context) -> PledgeMade | None:
    at = rules.when(command.occurred_at, context)
    book: Book = context.read("book", command.book)
    opened(book, command.book)
    known(context.read("party", command.donor), command.donor)
    if pledge.made is not None:
        field = differing(command, pledge.made)
        if field is None:
            return None
        raise rejected(
            TreasuryError.ALREADY_EXISTS,
            f"Pledge {command.pledge} was made already, with another {field}. End it and make another.",
            pledge=command.pledge, field=field,
        )  # fmt: skip
    if command.ends is not None and command.ends < command.starts:
        raise rejected(
            TreasuryError.INVALID_RANGE, f"The pledge ends on {command.ends}, before it starts.",
            starts=str(command.starts), ends=str(command.ends),
        )  # fmt: skip
    fund = book.funds.get(command.fund)
    if fund is None:
        raise rejected(
            TreasuryError.UNKNOWN_FUND, f"There is no fund {command.fund} in this book. Open it with OpenFund.",
            fund=command.fund,
        )  # fmt: skip
    if fund.closed:
        raise rejected(
            TreasuryError.FUND_CLOSED, f"Fund {command.fund} is closed. Choose another.", fund=command.fund
        )  # fmt: skip
    if command.unit not in book.units:
        raise rejected(
            TreasuryError.UNKNOWN_UNIT, f"{command.unit} is no unit of this book. Register it with RegisterUnit.",
            unit=command.unit,
        )  # fmt: skip
    return PledgeMade(**(dict(fields_of(command)) | {"occurred_at": at}))


def check(pledge: Promise) -> list[str]:
    return ["a pledge ended that was never made"] if pledge.ended and pledge.made is None else []


pledge: Final = Decider(treasury, "pledge", Promise, Promise, decide, evolve, check, reads)
