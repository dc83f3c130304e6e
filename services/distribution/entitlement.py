"""Entitlements: how often one household was served in one period, and visits at the table, which count at once.

What has happened is recorded: a visit that is reported late, or as a fact, is never refused for what it broke; that is
named in its event, and somebody looks at it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import islice
from typing import Final, Protocol

from services.distribution.contract import (
    ANONYMOUS,
    CATALOGUE,
    MAX_MEMBERS,
    ClaimEntitlement,
    DistributionError,
    EntitlementClaimed,
    EntitlementReleased,
    RecordVisit,
    ReleaseEntitlement,
    ResolveVisit,
    ReverseVisit,
    VisitRecorded,
    VisitResolved,
    VisitReversed,
    distribution,
    entitlement_id,
    fulfilment_of_visit,
)
from services.distribution.fulfilment import Fulfilment
from services.distribution.goods import (
    Catalogue,
    distinct,
    known_items,
    look,
    nobody_looked,
    recalls_open,
    said,
    unusual,
    usual,
    warnings,
)
from services.distribution.household import (
    Household,
    avoided,
    eligible,
    goes_on_as,
    is_erased,
    may_collect,
    registered,
    served_as_itself,
)
from services.distribution.programme import (
    Limit,
    Programme,
    bundle_for,
    kept_from,
    known,
    limit_in,
    limit_on,
    period_of,
    running,
)
from services.distribution.refusals import local_day, rejected, waits, when
from services.distribution.session import Session, not_open, scheduled
from shared.contract import fields_of
from shared.decider import Context, Decider, Ref
from shared.moments import TOLERANCE, is_late


@dataclass(slots=True)
class Visit:
    """A visit: when and at which session, the site that its goods left from, and a digest of what was said. `review`
    says whether a rule that it broke waits for somebody; None when it broke none. `warnings` are those about its
    goods, sealed, until somebody has looked at them."""

    session: str
    site: str
    at: datetime
    said: str
    review: bool | None = None
    warnings: str | None = None


@dataclass
class Entitlement:
    """The claims of orders and the visits that count in a period, and those that were given back or reversed."""

    claims: set[str] = field(default_factory=set)
    visits: dict[str, Visit] = field(default_factory=dict)
    released: set[str] = field(default_factory=set)
    reversed: set[str] = field(default_factory=set)

    @property
    def used(self) -> int:
        """How many times the household is served in the period."""
        return len(self.claims) + len(self.visits)


EntitlementCommand = ClaimEntitlement | ReleaseEntitlement | RecordVisit | ReverseVisit | ResolveVisit
EntitlementEvent = EntitlementClaimed | EntitlementReleased | VisitRecorded | VisitReversed | VisitResolved


def evolve(entitlement: Entitlement, event: EntitlementEvent) -> Entitlement:
    match event:
        case EntitlementClaimed():
            entitlement.claims.add(event.claim)
        case VisitRecorded():
            entitlement.visits[event.visit] = Visit(
                event.session, event.site, event.occurred_at, _said(event), True if event.breaches else None,
                None if event.seen_warnings else event.warnings,
            )  # fmt: skip
        case EntitlementReleased():
            entitlement.claims.discard(event.claim)
            entitlement.released.add(event.claim)
        case VisitReversed():
            entitlement.visits.pop(event.visit, None)
            entitlement.reversed.add(event.visit)
        case VisitResolved():
            visit = entitlement.visits[event.visit]
            visit.review, visit.warnings = False, None
    return entitlement


def _said(told: RecordVisit | VisitRecorded) -> str:
    """A digest of what a visit says: where, of whom, for whom and of what. Two that differ in it are not the same."""
    lines = sorted((line.item, line.quantity) for line in told.lines)
    people = None if told.people is None else [value for _, value in fields_of(told.people)]
    text = json.dumps([told.session, lines, people, told.collected_by])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def reads(command: EntitlementCommand) -> Iterable[Ref]:
    match command:
        case ClaimEntitlement():
            return (Ref("household", command.household), Ref("programme", command.programme))
        case RecordVisit():
            served = [] if command.household is None else [Ref("household", command.household)]
            return [
                *served, Ref("programme", command.programme), Ref("session", command.session), Ref("goods", CATALOGUE),
                Ref("fulfilment", fulfilment_of_visit(command.visit)),
            ]  # fmt: skip
        case ReleaseEntitlement():
            return (Ref("household", command.household),)
        case ReverseVisit():
            whose = [] if command.household is None else [Ref("household", command.household)]
            return [*whose, Ref("programme", command.programme)]
        case ResolveVisit():
            return ()


def decide(command: EntitlementCommand, entitlement: Entitlement, context: Context) -> EntitlementEvent | None:
    at = when(command.occurred_at, context)
    match command:
        case ClaimEntitlement():
            return _claim(command, entitlement, context, at)
        case ReleaseEntitlement():
            if command.claim in entitlement.released:
                return None
            if command.claim not in entitlement.claims:
                raise rejected(
                    DistributionError.UNKNOWN_CLAIM,
                    f"Household {command.household} has no claim {command.claim} in {command.period}.",
                    claim=command.claim,
                )  # fmt: skip
            fields = dict(fields_of(command)) | {"occurred_at": at}
            return EntitlementReleased(**fields, used=used(command, entitlement, context) - 1)
        case RecordVisit():
            return _visit(command, entitlement, context, at)
        case ReverseVisit():
            if command.visit in entitlement.reversed:
                return None
            visit = _known_visit(command, entitlement)
            if at < visit.at - TOLERANCE:
                raise rejected(
                    DistributionError.CLOCK_RUNS_BACK,
                    f"Visit {command.visit} was at {visit.at:%Y-%m-%d %H:%M} UTC, later than {at:%Y-%m-%d %H:%M} UTC. "
                    "Check the moment; leave occurred_at out for now.",
                    visit=command.visit,
                )  # fmt: skip
            fields = dict(fields_of(command)) | {"occurred_at": at}
            programme: Programme = context.read("programme", command.programme)
            day = local_day(visit.at, programme.utc_offset)
            left = used(command, entitlement, context) - 1
            left += len(claimed_before(command.household, programme, command.programme, day, context))
            return VisitReversed(**fields, session=visit.session, site=visit.site, used=left)
        case ResolveVisit():
            if command.visit in entitlement.reversed:
                return None
            seen = _known_visit(command, entitlement)
            review = True if nobody_looked(seen.warnings, context) else seen.review
            if not waits(review, f"Visit {command.visit}"):
                return None
            return VisitResolved(**(dict(fields_of(command)) | {"occurred_at": at}))


def _known_visit(command: ReverseVisit | ResolveVisit, entitlement: Entitlement) -> Visit:
    visit = entitlement.visits.get(command.visit)
    if visit is None:
        raise rejected(
            DistributionError.UNKNOWN_VISIT, f"There is no visit {command.visit} in {command.period}.",
            visit=command.visit,
        )  # fmt: skip
    return visit


def _claim(
    command: ClaimEntitlement, entitlement: Entitlement, context: Context, at: datetime
) -> EntitlementClaimed | None:
    if command.claim in entitlement.claims:
        return None
    if command.claim in entitlement.released:
        raise rejected(
            DistributionError.ALREADY_REVERSED, f"Claim {command.claim} was given back. Claim under another id.",
            claim=command.claim,
        )  # fmt: skip
    programme: Programme = context.read("programme", command.programme)
    before = used(command, entitlement, context)
    limit = limit_in(programme, command.period, local_day(at, programme.utc_offset) if command.fact else None)
    over = limit is not None and before >= limit.times
    known(programme, command.programme)
    if not command.fact:
        household: Household = context.read("household", command.household)
        served_as_itself(household, command.household, context)
        has_reason(command.override_reason)
        running(programme, command.programme)
        if limit is not None and over and command.override_reason is None:
            raise limit_reached(command, entitlement, before, limit, None, context)
    return EntitlementClaimed(
        **(dict(fields_of(command)) | {"occurred_at": at}), used=before + 1,
        limit=None if limit is None else limit.times, over=over, claimed_by=command.asked_by or context.actor,
    )  # fmt: skip


def used(command: EntitlementCommand, entitlement: Entitlement, context: Context) -> int:
    """How often the household of a command is served in the period, by itself and as those that go on as it."""
    if command.household is None:
        return entitlement.used
    return entitlement.used + used_as_others(command.household, command.programme, command.period, context)


def used_as_others(household: str, programme: str, period: str, context: Context) -> int:
    """How often those that go on as a household were served in a period under their own ids."""
    total = 0
    for other, _ in goes_on_as(household, context):
        if other != household:
            of_other: Entitlement = context.read("entitlement", entitlement_id(other, programme, period))
            total += of_other.used
    return total


def claimed_before(
    household: str | None, programme: Programme, id: str, day: date, context: Context, but: str | None = None
) -> list[str]:
    """The orders of a household for the period of a day that are counted in one of another kind, which the day was in
    when they were confirmed: the limit has changed since. `but` is none of them.

    Of the periods before, it is the one that the day itself was in: no decision reads all that one of a year takes in.
    """
    before = kept_from(programme, day)
    if before is None or household is None:
        return []
    period, since = before
    found = []
    for one, _ in goes_on_as(household, context):
        claims: Entitlement = context.read("entitlement", entitlement_id(one, id, period))
        for claim in sorted(claims.claims - {but}):
            order = context.read("order", claim)
            if order.placed is None:
                continue
            session: Session = context.read("session", order.placed.session)
            announced = scheduled(session, order.placed.session)
            if local_day(announced.starts_at, programme.utc_offset) >= since:
                found.append(claim)
    return found


def _visit(command: RecordVisit, entitlement: Entitlement, context: Context, at: datetime) -> VisitRecorded | None:
    known_visit = entitlement.visits.get(command.visit)
    if known_visit is not None:
        if known_visit.said == _said(command):
            return None
        raise rejected(
            DistributionError.ALREADY_EXISTS,
            f"There is a visit {command.visit} already, of other goods, people or session. Record this one under "
            "another id; if that one is wrong, reverse it with ReverseVisit.",
            visit=command.visit,
        )  # fmt: skip
    if command.visit in entitlement.reversed:
        raise rejected(
            DistributionError.ALREADY_REVERSED, f"Visit {command.visit} was reversed. Record it under another id.",
            visit=command.visit,
        )  # fmt: skip
    elsewhere: Fulfilment = context.read("fulfilment", fulfilment_of_visit(command.visit))
    if elsewhere.lines:
        raise rejected(
            DistributionError.ALREADY_EXISTS,
            f"There is a visit {command.visit} already, of another household or period. Choose another id.",
            visit=command.visit,
        )  # fmt: skip
    fact = command.fact or is_late(command.occurred_at, context)
    household: Household | None = None
    if command.household is not None:
        household = context.read("household", command.household)
        registered(household, command.household)
    programme: Programme = context.read("programme", command.programme)
    known(programme, command.programme)
    session: Session = context.read("session", command.session)
    announced = scheduled(session, command.session)
    catalogue: Catalogue = context.read("goods", CATALOGUE)
    known_items(catalogue, command.lines)
    if household is not None and not fact:
        served_as_itself(household, command.household or ANONYMOUS, context)
    served = command.people or (household.people if household is not None else None)
    if served is None or not served.total:
        raise rejected(
            DistributionError.PEOPLE_NEEDED, 'Say for how many people the visit is, by age: people={"adult": 1}.'
        )
    distinct(command.lines)
    has_reason(command.override_reason)
    if not fact:
        running(programme, command.programme)
    if announced.programme != command.programme:
        raise rejected(
            DistributionError.WRONG_SESSION, f"Session {command.session} is of programme {announced.programme}. "
            "Name that programme, or the session that it was at.",
            session=command.session, programme=announced.programme,
        )  # fmt: skip
    if not fact:
        _clock_is_right(session, command.session, context.now)
    day = local_day(at, programme.utc_offset)
    if command.period != period_of(programme, day):
        raise rejected(
            DistributionError.WRONG_PERIOD,
            f"{day} is in {period_of(programme, day)}, not in {command.period}, for programme {command.programme}. "
            "Send it with that period.",
            period=period_of(programme, day),
        )  # fmt: skip
    before = used(command, entitlement, context)
    before += len(claimed_before(command.household, programme, command.programme, day, context))
    limit = limit_on(programme, day)
    breaches = _breaches(command, entitlement, before, limit, household, programme, session, context, at, fact)
    goods = command.lines or bundle_for(programme, command.programme, served.total)
    known_items(catalogue, goods)
    strange = list(unusual(catalogue, goods).values())
    if served.total > MAX_MEMBERS:
        strange.insert(0, f"{served.total} people are more than the {MAX_MEMBERS} who may live in one household")
    if not fact:
        usual(strange, command.confirm_unusual)
    elif strange and not command.confirm_unusual:
        breaches += (DistributionError.UNUSUAL,)
    gone = DistributionError.HOUSEHOLD_ERASED in breaches  # it cannot be read what they avoid, and nobody is warned
    avoid = avoided(command.household, context) if command.household is not None and not gone else frozenset[str]()
    warned = warnings(catalogue, avoid, goods)
    recalls = recalls_open(catalogue, goods)
    if not fact:
        look(warned, command.seen_warnings, recalls)
    elif recalls and not command.seen_warnings:
        breaches += (DistributionError.RECALLED,)
    told = said(warned, goods, unseen=not command.seen_warnings)
    return VisitRecorded(
        **(dict(fields_of(command)) | {"occurred_at": at}), site=announced.site, goods=goods, served=served,
        warnings=None if household is None else told, breaches=breaches, used=before + 1,
        limit=None if limit is None else limit.times,
    )  # fmt: skip


def _breaches(
    command: RecordVisit, entitlement: Entitlement, before: int, limit: Limit | None, household: Household | None,
    programme: Programme, session: Session, context: Context, at: datetime, fact: bool,
) -> tuple[DistributionError, ...]:  # fmt: skip
    """The rules that a visit breaks; refuses it for the first, unless it reports a fact or somebody answers for it."""
    found: list[DistributionError] = []
    if programme.closed:
        found.append(DistributionError.PROGRAMME_CLOSED)
    closed = not_open(session, command.session, at, now=not fact and command.occurred_at is None)
    if closed is not None:
        if not fact:
            raise rejected(DistributionError.SESSION_NOT_OPEN, closed, session=command.session)
        found.append(DistributionError.SESSION_NOT_OPEN)
    if household is None:
        return tuple(found)
    assert command.household is not None
    if is_erased(command.household, context):
        found.append(DistributionError.HOUSEHOLD_ERASED)
    if household.merged_into is not None:
        found.append(DistributionError.HOUSEHOLD_MERGED)
    day = local_day(at, programme.utc_offset)
    if not eligible(household, day) and command.override_reason is None:
        if not fact:
            raise not_eligible(command.household, household, day)
        found.append(DistributionError.NOT_ELIGIBLE)
    if command.collected_by is not None and not may_collect(household, command.collected_by, day, at):
        if not fact:
            raise not_authorised(command.household, command.collected_by)
        found.append(DistributionError.WRONG_RECIPIENT)
    if limit is not None and before >= limit.times and command.override_reason is None:
        if not fact:
            kept = claimed_before(command.household, programme, command.programme, day, context)
            raise limit_reached(command, entitlement, before, limit, command.session, context, kept=kept)
        found.append(DistributionError.LIMIT_REACHED)
    return tuple(found)


def _clock_is_right(session: Session, id: str, now: datetime) -> None:
    """Refuse to serve at a session before it opened: one of the two clocks is wrong, and no day or period is known."""
    if session.opened_at is not None and now < session.opened_at - TOLERANCE:
        raise rejected(
            DistributionError.CLOCK_RUNS_BACK,
            f"By this machine's clock it is {now:%Y-%m-%d %H:%M} UTC, before session {id} opened at "
            f"{session.opened_at:%Y-%m-%d %H:%M} UTC. Set the clock; if it is right, open the session again with "
            "OpenSession.",
            session=id, opened_at=session.opened_at.isoformat(),
        )  # fmt: skip


# -- how serving is refused -------------------------------------------------------------------------------------------


def has_reason(override: str | None) -> None:
    """Refuse an override whose reason is blank."""
    if override is not None and not override.strip():
        raise rejected(
            DistributionError.OVERRIDE_NEEDS_REASON, "An override needs a reason in words: say why in override_reason."
        )


def not_eligible(id: str, household: Household, day: date) -> Exception:
    return rejected(
        DistributionError.NOT_ELIGIBLE,
        f"Household {id} is eligible until {household.eligible_until}, and this is for {day}. Renew it with "
        "RenewEligibility, or give an override_reason.",
        household=id, eligible_until=str(household.eligible_until), day=str(day),
    )  # fmt: skip


def not_authorised(household: str, proxy: str) -> Exception:
    return rejected(
        DistributionError.WRONG_RECIPIENT,
        f"{proxy} may not collect for household {household} today. Authorise them with AuthoriseProxy.",
        household=household, proxy=proxy,
    )  # fmt: skip


_TOLD: Final = 5
"""How many orders that wait are told of at most. Those that were handed out count as well, and tell of nothing."""


class _Served(Protocol):
    """What is to be served: a household, by a programme, in a period."""

    @property
    def household(self) -> str | None: ...
    @property
    def programme(self) -> str: ...
    @property
    def period(self) -> str: ...


def limit_reached(
    asked: _Served, own: Entitlement, before: int, limit: Limit, session: str | None, context: Context,
    but: str | None = None, kept: Sequence[str] = (),
) -> Exception:  # fmt: skip
    """The refusal of serving a household once more, whose entitlement is `own`, beside the orders `kept` in a period of
    another kind. An order that waits for it, beside
    `but`, is told: whoever overrides the limit for the sake of that serves it twice."""
    household = asked.household or ANONYMOUS
    waiting = list(islice(_waiting(household, asked, own, session, context, but, kept), _TOLD))
    facts = {"household": household, "period": asked.period, "used": before, "limit": limit.times}
    if waiting:
        told = " and ".join(words for _, words in waiting)
        it = "it" if len(waiting) == 1 else "them"
        return rejected(
            DistributionError.LIMIT_REACHED,
            f"Household {household} has {told}: with {it}, {before} of {limit.times} times are used in {asked.period} "
            f"of programme {asked.programme}. Hand {it} out, or cancel {it}; if the household is to be served beside, "
            "give an override_reason.",
            **facts, orders=[order for order, _ in waiting],
        )  # fmt: skip
    return rejected(
        DistributionError.LIMIT_REACHED,
        f"Household {household} was served {before} of {limit.times} times in {asked.period} by programme "
        f"{asked.programme}. If it is to be served all the same, give an override_reason.",
        **facts,
    )


def _waiting(
    household: str, asked: _Served, own: Entitlement, session: str | None, context: Context, but: str | None,
    kept: Sequence[str],
) -> Iterator[tuple[str, str]]:  # fmt: skip
    """The orders that count for a household in a period and are not handed out, each with the words for it."""
    others = [
        context.read("entitlement", entitlement_id(one, asked.programme, asked.period))
        for one, _ in goes_on_as(household, context) if one != household
    ]  # fmt: skip
    for claim in sorted(own.claims.union(kept, *(other.claims for other in others)) - {but}):
        order = context.read("order", claim)
        if order.placed is None or order.stage != "confirmed":
            continue
        fulfilment: Fulfilment = context.read("fulfilment", claim)
        box = fulfilment.box
        if box is not None and context.read("box", box).where == "handed_out":
            continue
        where = "here" if order.placed.session == session else f"at session {order.placed.session}"
        yield claim, f"order {claim} waiting {where} ({f'box {box}' if box else 'not packed yet'})"


def check(entitlement: Entitlement) -> list[str]:
    both = (entitlement.claims & entitlement.released) | (entitlement.visits.keys() & entitlement.reversed)
    return [f"{id} counts, and was given back" for id in sorted(both)]


entitlement: Final = Decider(
    distribution, "entitlement", Entitlement, Entitlement, decide, evolve, check, reads
)  # fmt: skip
