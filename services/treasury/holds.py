"""Holds: placed, posted in whole or in part, voided, expired."""

from __future__ import annotations

from collections.abc import Sequence

from services.treasury import rules
from services.treasury.contract import (
    ExpireHold,
    HoldExpired,
    HoldPlaced,
    HoldPosted,
    HoldVoided,
    PlaceHold,
    PostHold,
    Posting,
    TreasuryError,
    VoidHold,
)
from services.treasury.expense_rules import approved, not_paid, not_rejected, of_book
from services.treasury.expense_state import Expense, Stage, is_for
from services.treasury.limits import Guards, judge
from services.treasury.posting import amount_text, malformed, opened, posting_day, refuse, rejected, today
from services.treasury.rules import Refusals, posted_before, recalled
from services.treasury.state import Book, Hold, effects
from shared.contract import fields_of
from shared.decider import Context


def place_hold(command: PlaceHold, book: Book, context: Context) -> HoldPlaced | None:
    at = rules.when(command.occurred_at, context)
    opened(book, command.book)
    expense: Expense | None = None
    if command.expense is not None:
        expense = context.read("expense", command.expense)
        of_book(expense, command.expense, command.book)
    standing = book.holds.get(command.hold)
    if standing is not None:
        same = (standing.debits, standing.credits, standing.expires_at, standing.expense) == (
            command.debits, command.credits, command.expires_at, command.expense,
        )  # fmt: skip
        if same:
            return None
    if standing is not None or recalled(context, command.book, f"hold:{command.hold}") is not None:
        raise rejected(
            TreasuryError.ALREADY_EXISTS, f"There is, or was, a hold {command.hold} already. Choose another id.",
            hold=command.hold,
        )  # fmt: skip
    if command.expires_at is not None and command.expires_at <= at:
        raise rejected(
            TreasuryError.INVALID_RANGE,
            f"The hold would be over at {command.expires_at:%Y-%m-%d %H:%M} UTC, which is past.",
            expires_at=command.expires_at.isoformat(),
        )  # fmt: skip
    if expense is not None:
        _as_approved(command, command.expense or "", expense, book, context)
    judge(book, command.hold, today(book, context.now), command.debits, command.credits)
    return HoldPlaced(**(dict(fields_of(command)) | {"occurred_at": at}))


def _as_approved(command: PlaceHold, id: str, expense: Expense, book: Book, context: Context) -> None:
    """Refuse a hold for an expense that is not just what was approved, once, until it is paid."""
    refusals = Refusals()
    with refusals:
        other = next((name for name, hold in book.holds.items() if hold.expense == id), None)
        if other is not None:
            raise rejected(
                TreasuryError.HELD_FOR_EXPENSE, f"Hold {other} is for expense {id} already. Money is held once for it.",
                expense=id, hold=other,
            )  # fmt: skip
    with refusals:
        if command.expires_at is not None:
            raise rejected(
                TreasuryError.INVALID_RANGE,
                "Money for an expense is held until the expense is paid, changed or rejected. Leave expires_at out.",
                expense=id, expires_at=command.expires_at.isoformat(),
            )  # fmt: skip
    with refusals:
        if problem := malformed(book, command.debits, command.credits):
            refuse(problem)
    with refusals:
        not_rejected(expense, id)
    with refusals:
        not_paid(id, command.book, context)
    with refusals:
        approved(expense, id)
    with refusals:
        if not is_for(expense, command.debits, command.credits):
            raise rejected(
                TreasuryError.AMOUNTS_DIFFER,
                f"The hold is not what was approved of expense {id}: its lines, paid from {expense.pay_from}, "
                f"{amount_text(book, expense.total, expense.unit)} in all. Give those.",
                expense=id, amount=expense.total,
            )  # fmt: skip
    refusals.answer()


def post_hold(command: PostHold, book: Book, context: Context) -> HoldPosted | None:
    opened(book, command.book)
    if posted_before(command, context, HoldPosted):
        return None
    hold = standing_hold(command.hold, command.book, book, context)
    if hold.expense is not None:
        raise rejected(
            TreasuryError.HELD_FOR_EXPENSE,
            f"Hold {command.hold} is for expense {hold.expense}. Pay that with PayExpense.",
            hold=command.hold, expense=hold.expense,
        )  # fmt: skip
    debits, credits = hold.debits, hold.credits  # noqa: A001
    if command.part_debits or command.part_credits:
        debits, credits = command.part_debits, command.part_credits  # noqa: A001
        _within(book, command.hold, hold.debits, debits)
        _within(book, command.hold, hold.credits, credits)
    day = posting_day(command.date, book, context.now)
    judge(book, command.entry, day, debits, credits, guards=without(book, hold))
    return HoldPosted(**(dict(fields_of(command)) | {"date": day}), debits=debits, credits=credits)


def void_hold(command: VoidHold, book: Book, context: Context) -> HoldVoided | None:
    at = rules.when(command.occurred_at, context)
    opened(book, command.book)
    past = recalled(context, command.book, f"hold:{command.hold}")
    if past is not None and isinstance(past.event, HoldVoided) and command.hold not in book.holds:
        return None
    hold = standing_hold(command.hold, command.book, book, context)
    if hold.expense is not None:
        _not_needed(command.hold, hold, hold.expense, context)
    return HoldVoided(**(dict(fields_of(command)) | {"occurred_at": at}), expense=hold.expense)


def _not_needed(id: str, hold: Hold, expense_id: str, context: Context) -> None:
    """Refuse to free the money of an expense that is approved; one that is paid has no open hold."""
    expense: Expense = context.read("expense", expense_id)
    if expense.stage is Stage.APPROVED and is_for(expense, hold.debits, hold.credits):
        raise rejected(
            TreasuryError.HELD_FOR_EXPENSE,
            f"Hold {id} is for expense {expense_id}, which is approved. Change or reject that, and the hold ends.",
            hold=id, expense=expense_id,
        )  # fmt: skip


def expire_hold(command: ExpireHold, book: Book, context: Context) -> HoldExpired | None:
    at = rules.when(command.occurred_at, context)
    opened(book, command.book)
    past = recalled(context, command.book, f"hold:{command.hold}")
    if past is not None and isinstance(past.event, HoldExpired) and command.hold not in book.holds:
        return None
    hold = standing_hold(command.hold, command.book, book, context)
    if hold.expires_at is None or hold.expires_at > context.now:
        until = "has no end" if hold.expires_at is None else f"lasts until {hold.expires_at:%Y-%m-%d %H:%M} UTC"
        raise rejected(
            TreasuryError.NOT_YET_DUE, f"Hold {command.hold} {until}. Void it to end it before.", hold=command.hold
        )
    return HoldExpired(book=command.book, hold=command.hold, occurred_at=at)


def standing_hold(id: str, book_id: str, book: Book, context: Context) -> Hold:
    """An open hold. Refuses one that ended, or never was."""
    hold = book.holds.get(id)
    if hold is not None:
        return hold
    past = recalled(context, book_id, f"hold:{id}")
    if past is None:
        raise rejected(TreasuryError.UNKNOWN_HOLD, f"There is no hold {id} in book {book_id}. Check its id.", hold=id)
    ended = type(past.event).__name__
    raise rejected(
        TreasuryError.HOLD_ENDED, f"Hold {id} ended already ({ended}, by {past.actor}). Place another.",
        hold=id, ended=ended,
    )  # fmt: skip


def without(book: Book, hold: Hold) -> Guards:
    """The guards of a book as if a hold had ended."""
    guards = Guards(book)
    guards.free(effects(book, hold.debits, hold.credits))
    return guards


def _within(book: Book, id: str, held: Sequence[Posting], part: Sequence[Posting]) -> None:
    """Refuse a part that takes more of an account and fund than was held there."""
    left: dict[tuple[str, str, str], int] = {}
    for posting in held:
        key = (posting.account, posting.fund, posting.unit)
        left[key] = left.get(key, 0) + posting.amount
    for posting in part:
        key = (posting.account, posting.fund, posting.unit)
        before = left.get(key, 0)
        left[key] = before - posting.amount
        if left[key] < 0:
            raise rejected(
                TreasuryError.BEYOND_HOLD,
                f"Hold {id} has {amount_text(book, before, posting.unit)} for account {posting.account} and fund "
                f"{posting.fund}, and {amount_text(book, posting.amount, posting.unit)} is asked for. Void it, and "
                "hold more.",
                hold=id, account=posting.account, fund=posting.fund, held=before, amount=posting.amount,
            )  # fmt: skip
