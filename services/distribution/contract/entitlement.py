"""Commands and events of `entitlement`: how often one household was served in one period of one programme.

The aggregate's id is `<household>:<programme>:<period>`: a small stream of its own, so that two tables cannot serve the
same household twice. A visit at the table is decided here, claim and goods in one. An anonymous visit has an aggregate
to itself, `anonymous:<programme>:<visit>`, and no limit.

What has happened is recorded: a visit that was made offline and sent late (`fact`) is never refused for the limit, and
names it as broken; somebody looks at it.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from services.distribution.contract.base import (
    ANONYMOUS,
    MAX_LINES,
    REMARK,
    DistributionError,
    Id,
    ItemLine,
    Moment,
    Note,
    People,
    Period,
    Text,
    VisitId,
    command,
    event,
)


def entitlement_id(household: str, programme: str, period: str) -> str:
    """The id of the entitlement of a household. None of the parts can hold a colon."""
    return f"{household}:{programme}:{period}"


def of_claim(command: Any) -> str:
    """The aggregate of a claim."""
    return entitlement_id(command.household, command.programme, command.period)


def of_visit(command: Any) -> str:
    """The aggregate of a visit."""
    if command.household is None:
        return entitlement_id(ANONYMOUS, command.programme, command.visit)
    return entitlement_id(command.household, command.programme, command.period)


@event(category="entitlement")
class EntitlementClaimed:
    """A household is to be served once; `used` of `limit` times in the period are claimed with it (None: no limit).

    `claim` is the order that it is for, or `box-` and the code of a box that was handed out without one (`box2-` when
    it was handed out anew after a reversal). An override
    says by whose word (`claimed_by`) and why. With `fact` the household has been served already: nothing is refused.
    """

    household: Id
    programme: Id
    period: Period
    claim: Id
    override_reason: Annotated[str | None, REMARK] = None
    asked_by: Text | None = None
    fact: bool = False
    used: int
    limit: int | None = None
    over: bool = False
    claimed_by: str
    occurred_at: Moment


@command(category="entitlement", aggregate=of_claim, makes=(EntitlementClaimed,))
class ClaimEntitlement:
    """Claim that a household is to be served once more in a period. `asked_by` is whose word it is, if not the
    sender's."""

    household: Id
    programme: Id
    period: Period
    claim: Id
    override_reason: Note | None = None
    asked_by: Text | None = None
    fact: bool = False
    occurred_at: Moment | None = None


@event(category="entitlement")
class EntitlementReleased:
    """A claim was given back: the household was not served."""

    household: Id
    programme: Id
    period: Period
    claim: Id
    reason: Annotated[str, REMARK]
    used: int
    occurred_at: Moment


@command(category="entitlement", aggregate=of_claim, makes=(EntitlementReleased,))
class ReleaseEntitlement:
    """Give a claim back."""

    household: Id
    programme: Id
    period: Period
    claim: Id
    reason: Note
    occurred_at: Moment | None = None


@event(category="entitlement")
class VisitRecorded:
    """A household, or somebody who gave no name, was served at the table: `goods`, for so many people (`served`).

    `lines` and `people` are what was typed: nothing for the standard box, and for the household's members. `warnings`
    are written as those of OrderPlaced; of a fact with `unseen` before them if nobody had looked, so that the household
    is to be told. They are null of somebody who gave no name. `breaches` are the rules that a fact broke: the limit
    (served twice), eligibility, a session that was not open, a programme that is closed, a proxy who may not collect, a
    household that goes on as another or was erased, an open recall of an item that nobody looked at. `used` of `limit`
    times in the period are used with it.
    """

    visit: VisitId
    household: Id | None = None
    programme: Id
    period: Period
    session: Id
    lines: tuple[ItemLine, ...] = ()
    people: People | None = None
    collected_by: Id | None = None
    override_reason: Annotated[str | None, REMARK] = None
    seen_warnings: bool = False
    confirm_unusual: bool = False
    fact: bool = False
    site: Id
    goods: tuple[ItemLine, ...]
    served: People
    warnings: Annotated[str | None, REMARK] = None
    breaches: tuple[DistributionError, ...] = ()
    used: int
    limit: int | None = None
    occurred_at: Moment


@command(category="entitlement", aggregate=of_visit, makes=(VisitRecorded,))
class RecordVisit:
    """Serve at the table: claim, goods and issue in one. `lines` left out are the standard box for the size.

    `visit` is an id that no other visit has, of no household: a UUID, say.
    `people` left out are the household's members. An anonymous visit says how many people it is for. More people than
    live in a household, or more of an item than is usual in inventory, need `confirm_unusual`. What warns needs
    `seen_warnings`: an allergen that the household avoids, or may have to, and an open recall of an item, as nobody
    says of which lot it is given.

    With `fact`, or late, it reports what has happened and is recorded whatever it broke, or what has ended since. It is
    refused only for not saying what that was, and then says what to add or correct. It must state: a household that is
    registered, or `people`; a programme, a session of it, and the `period` of its day by the limit that held then;
    `lines` of items in the catalogue, each once, unless it was the standard box as it is now; and a reason in words if
    it has an `override_reason`.
    """

    visit: VisitId
    household: Id | None = None
    programme: Id
    period: Period
    session: Id
    lines: Annotated[tuple[ItemLine, ...], Field(max_length=MAX_LINES)] = ()
    people: People | None = None
    collected_by: Id | None = None
    override_reason: Note | None = None
    seen_warnings: bool = False
    confirm_unusual: bool = False
    fact: bool = False
    occurred_at: Moment | None = None


@event(category="entitlement")
class VisitReversed:
    """A visit was recorded by mistake: its claim is given back, and its goods come back to the ledger."""

    visit: VisitId
    household: Id | None = None
    programme: Id
    period: Period
    reason: Annotated[str, REMARK]
    session: Id
    site: Id
    used: int
    occurred_at: Moment


@command(category="entitlement", aggregate=of_visit, makes=(VisitReversed,))
class ReverseVisit:
    """Take a visit back that was recorded by mistake."""

    visit: VisitId
    household: Id | None = None
    programme: Id
    period: Period
    reason: Note
    occurred_at: Moment | None = None


@event(category="entitlement")
class VisitResolved:
    """Somebody looked into a visit that broke a rule, and closed its review. `note` says what was found."""

    visit: VisitId
    household: Id | None = None
    programme: Id
    period: Period
    note: Annotated[str, REMARK]
    occurred_at: Moment


@command(category="entitlement", aggregate=of_visit, makes=(VisitResolved,))
class ResolveVisit:
    """Close the review of a visit that broke a rule; the visit stands. Who finds it wrong reverses it instead."""

    visit: VisitId
    household: Id | None = None
    programme: Id
    period: Period
    note: Note
    occurred_at: Moment | None = None


__all__ = [
    "ClaimEntitlement", "EntitlementClaimed", "EntitlementReleased", "RecordVisit", "ReleaseEntitlement",
    "ResolveVisit", "ReverseVisit", "VisitRecorded", "VisitResolved", "VisitReversed", "entitlement_id",
]  # fmt: skip
