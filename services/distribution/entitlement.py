"""Entitlements: how often one household was served in one period, and visits at the table, which count at once.

What has happened is recorded: a visit that is reported late, or as a fact, is never refused for what it broke; that is
named in its event, and somebody looks at it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from services.distribution.contract import (
    CATALOGUE,
    ClaimEntitlement,
    DistributionError,
    EntitlementClaimed,
    EntitlementReleased,
    RecordVisit,
    ReleaseEntitlement,
    ReverseVisit,
    VisitRecorded,
    VisitReversed,
    distribution,
)
from services.distribution.goods import Catalogue, distinct, known_items, look, warnings
from services.distribution.household import Household, avoided, eligible, may_collect, served_as_itself
from services.distribution.programme import Programme, bundle_for, period_of, running
from services.distribution.refusals import TOLERANCE, is_late, local_day, rejected, when
from services.distribution.session import Session, not_open, scheduled
from shared.contract import fields_of
from shared.decider import Context, Decider, Ref


@dataclass
class Entitlement:
    """The claims that count in a period, each with the session of a visit (None for an order's), and what ended."""

    claims: dict[str, str | None] = field(default_factory=dict)
    sites: dict[str, str] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)


EntitlementCommand = ClaimEntitlement | ReleaseEntitlement | RecordVisit | ReverseVisit
EntitlementEvent = EntitlementClaimed | EntitlementReleased | VisitRecorded | VisitReversed


def evolve(entitlement: Entitlement, event: EntitlementEvent) -> Entitlement:
    match event:
        case EntitlementClaimed():
            entitlement.claims[event.claim] = None
        case VisitRecorded():
            entitlement.claims[event.visit] = event.session
            entitlement.sites[event.visit] = event.site
        case EntitlementReleased():
            entitlement.claims.pop(event.claim)
            entitlement.ended.add(event.claim)
        case VisitReversed():
            entitlement.claims.pop(event.visit)
            entitlement.ended.add(event.visit)
    return entitlement


def reads(command: EntitlementCommand) -> Iterable[Ref]:
    match command:
        case ClaimEntitlement():
            return (Ref("household", command.household), Ref("programme", command.programme))
        case RecordVisit():
            served = [] if command.household is None else [Ref("household", command.household)]
            return [
                *served, Ref("programme", command.programme), Ref("session", command.session), Ref("goods", CATALOGUE),
            ]  # fmt: skip
        case _:
            return ()


def decide(command: EntitlementCommand, entitlement: Entitlement, context: Context) -> EntitlementEvent | None:
    at = when(command.occurred_at, context)
    match command:
        case ClaimEntitlement():
            return _claim(command, entitlement, context, at)
        case ReleaseEntitlement():
            if command.claim in entitlement.ended:
                return None
            if entitlement.claims.get(command.claim, "") is not None:
                raise rejected(
                    DistributionError.UNKNOWN_CLAIM,
                    f"Household {command.household} has no claim {command.claim} in {command.period}.",
                    claim=command.claim,
                )  # fmt: skip
            fields = dict(fields_of(command)) | {"occurred_at": at}
            return EntitlementReleased(**fields, used=len(entitlement.claims) - 1)
        case RecordVisit():
            return _visit(command, entitlement, context, at)
        case ReverseVisit():
            if command.visit in entitlement.ended:
                return None
            session = entitlement.claims.get(command.visit)
            if session is None:
                raise rejected(
                    DistributionError.UNKNOWN_VISIT, f"There is no visit {command.visit} in {command.period}.",
                    visit=command.visit,
                )  # fmt: skip
            fields = dict(fields_of(command)) | {"occurred_at": at}
            return VisitReversed(
                **fields, session=session, site=entitlement.sites[command.visit], used=len(entitlement.claims) - 1
            )


def _claim(
    command: ClaimEntitlement, entitlement: Entitlement, context: Context, at: datetime
) -> EntitlementClaimed | None:
    if command.claim in entitlement.claims:
        return None
    if command.claim in entitlement.ended:
        raise rejected(
            DistributionError.ALREADY_REVERSED, f"Claim {command.claim} was given back. Claim under another id.",
            claim=command.claim,
        )  # fmt: skip
    programme: Programme = context.read("programme", command.programme)
    running(programme, command.programme)
    household: Household = context.read("household", command.household)
    served_as_itself(household, command.household)
    if not eligible(household, local_day(at, programme.utc_offset)) and command.override_reason is None:
        raise _not_eligible(command.household, household)
    over = programme.times is not None and len(entitlement.claims) >= programme.times
    if over and command.override_reason is None:
        raise limit_reached(command.household, command.programme, command.period, entitlement, programme)
    return EntitlementClaimed(
        **(dict(fields_of(command)) | {"occurred_at": at}), used=len(entitlement.claims) + 1, limit=programme.times,
        over=over, claimed_by=context.actor,
    )  # fmt: skip


def _visit(command: RecordVisit, entitlement: Entitlement, context: Context, at: datetime) -> VisitRecorded | None:
    if command.visit in entitlement.claims:
        return None
    if command.visit in entitlement.ended:
        raise rejected(
            DistributionError.ALREADY_REVERSED, f"Visit {command.visit} was reversed. Record it under another id.",
            visit=command.visit,
        )  # fmt: skip
    programme: Programme = context.read("programme", command.programme)
    running(programme, command.programme)
    session: Session = context.read("session", command.session)
    announced = scheduled(session, command.session)
    if announced.programme != command.programme:
        raise rejected(
            DistributionError.WRONG_SESSION, f"Session {command.session} is of programme {announced.programme}.",
            session=command.session, programme=announced.programme,
        )  # fmt: skip
    day = local_day(at, programme.utc_offset)
    if command.period != period_of(programme, day):
        raise rejected(
            DistributionError.WRONG_PERIOD,
            f"{day} is in {period_of(programme, day)}, not in {command.period}, for programme {command.programme}.",
            period=period_of(programme, day),
        )  # fmt: skip
    household: Household | None = None
    if command.household is not None:
        household = context.read("household", command.household)
        served_as_itself(household, command.household)
    served = command.people or (household.people if household is not None else None)
    if served is None or not served.total:
        raise rejected(
            DistributionError.PEOPLE_NEEDED, 'Say for how many people the visit is, by age: people={"adult": 1}.'
        )
    distinct(command.lines)
    goods = command.lines or bundle_for(programme, command.programme, served.total)
    catalogue: Catalogue = context.read("goods", CATALOGUE)
    known_items(catalogue, goods)
    fact = command.fact or is_late(command.occurred_at, context)
    breaches = _breaches(command, entitlement, household, programme, session, context, at, fact)
    warned = warnings(catalogue, avoided(household, context) if household is not None else frozenset(), goods)
    if not fact:
        look(warned, command.seen_warnings)
    return VisitRecorded(
        **(dict(fields_of(command)) | {"occurred_at": at}), site=announced.site, goods=goods, served=served,
        warnings=warned, breaches=breaches, used=len(entitlement.claims) + 1, limit=programme.times,
    )  # fmt: skip


def _breaches(
    command: RecordVisit, entitlement: Entitlement, household: Household | None, programme: Programme,
    session: Session, context: Context, at: datetime, fact: bool,
) -> tuple[DistributionError, ...]:  # fmt: skip
    """The rules that a visit breaks; refuses it for the first, unless it reports a fact or somebody answers for it."""
    found: list[DistributionError] = []
    closed = not_open(session, command.session, at)
    if closed is not None:
        if not fact:
            if session.opened_at is not None and context.now < session.opened_at - TOLERANCE:
                raise rejected(
                    DistributionError.CLOCK_RUNS_BACK,
                    f"By this machine's clock it is {context.now:%Y-%m-%d %H:%M} UTC, before session {command.session} "
                    "opened. Set the clock.",
                    session=command.session,
                )  # fmt: skip
            raise rejected(DistributionError.SESSION_NOT_OPEN, closed, session=command.session)
        found.append(DistributionError.SESSION_NOT_OPEN)
    if household is None:
        return tuple(found)
    assert command.household is not None
    day = local_day(at, programme.utc_offset)
    if not eligible(household, day) and command.override_reason is None:
        if not fact:
            raise _not_eligible(command.household, household)
        found.append(DistributionError.NOT_ELIGIBLE)
    if command.collected_by is not None and not may_collect(household, command.collected_by, day):
        if not fact:
            raise not_authorised(command.household, command.collected_by)
        found.append(DistributionError.WRONG_RECIPIENT)
    if programme.times is not None and len(entitlement.claims) >= programme.times and command.override_reason is None:
        if not fact:
            raise limit_reached(command.household, command.programme, command.period, entitlement, programme)
        found.append(DistributionError.LIMIT_REACHED)
    return tuple(found)


def _not_eligible(id: str, household: Household) -> Exception:
    return rejected(
        DistributionError.NOT_ELIGIBLE,
        f"Household {id} was eligible until {household.eligible_until}. Renew it with RenewEligibility, or give an "
        "override_reason.",
        household=id, eligible_until=str(household.eligible_until),
    )  # fmt: skip


def not_authorised(household: str, proxy: str) -> Exception:
    return rejected(
        DistributionError.WRONG_RECIPIENT,
        f"{proxy} may not collect for household {household} today. Authorise them with AuthoriseProxy.",
        household=household, proxy=proxy,
    )  # fmt: skip


def limit_reached(
    household: str, programme_id: str, period: str, entitlement: Entitlement, programme: Programme
) -> Exception:
    return rejected(
        DistributionError.LIMIT_REACHED,
        f"Household {household} was served {len(entitlement.claims)} of {programme.times} times in {period} by "
        f"programme {programme_id}. If it is to be served all the same, give an override_reason.",
        household=household, period=period, used=len(entitlement.claims), limit=programme.times,
    )  # fmt: skip


def check(entitlement: Entitlement) -> list[str]:
    both = set(entitlement.claims) & entitlement.ended
    return [f"claim {claim} counts, and was given back" for claim in sorted(both)]


entitlement: Final = Decider(
    distribution, "entitlement", Entitlement, Entitlement, decide, evolve, check, reads
)  # fmt: skip
