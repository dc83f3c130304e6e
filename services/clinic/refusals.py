"""How a decision of the clinic says no, and the moments that several deciders look at."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from services.clinic.contract import ClinicError
from shared.decider import Context
from shared.errors import Rejected
from shared.moments import happened_at


def rejected(code: ClinicError, detail: str, **facts: Any) -> Rejected:
    """A refusal, to be raised. Neither its words nor its facts say anything of a patient but their id."""
    return Rejected(code, detail, **facts)


def waits(review: bool | None, what: str) -> bool:
    """Whether a review is open still; None is that there was never anything to look into. Refuses that."""
    if review is None:
        raise rejected(
            ClinicError.NOTHING_TO_REVIEW,
            f"{what} is not for review: nothing is known that is wrong with it. Look it up among the review items.",
        )
    return review


def when(occurred_at: datetime | None, context: Context) -> datetime:
    """When a command's fact happened: as it says, or now. Refuses the future."""
    return happened_at(occurred_at, context, ClinicError.OCCURRED_IN_FUTURE)


def says(sealed: str | None, text: str | None, context: Context) -> bool:
    """Whether a sealed text of a state says just this; one that cannot be read any more says nothing."""
    return text is None if sealed is None else text is not None and context.unseal(sealed) == text


def holds(sealed: str | None, value: object, context: Context) -> bool:
    """The same of one that holds a value."""
    return value is None if sealed is None else value is not None and context.unseal_as(sealed, type(value)) == value


def local_days(moment: datetime) -> tuple[date, date]:
    """The first and the last of the days that it may be somewhere at a moment: clocks lie 12 hours behind UTC to 14
    before it. Where the clinic is, nobody has said."""
    return (moment - timedelta(hours=12)).date(), (moment + timedelta(hours=14)).date()
