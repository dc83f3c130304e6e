"""Households: who is fed, who may collect for them, and until when they are eligible.

What is personal is sealed; a decision opens the allergens alone, to warn. Merged households go on as another one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final

from services.distribution.contract import (
    ANONYMOUS,
    MAX_MEMBERS,
    AddMember,
    AgeBand,
    AuthoriseProxy,
    ChangeHousehold,
    DistributionError,
    EligibilityRenewed,
    HouseholdChanged,
    HouseholdRegistered,
    HouseholdsMerged,
    HouseholdsUnmerged,
    MemberAdded,
    MemberRemoved,
    MergeHouseholds,
    MergeNoted,
    NoteMerge,
    People,
    ProxyAuthorised,
    ProxyRevoked,
    RegisterHousehold,
    RemoveMember,
    RenewEligibility,
    RevokeProxy,
    UnmergeHouseholds,
    distribution,
)
from services.distribution.goods import CANNOT_BE_READ
from services.distribution.refusals import rejected, when
from services.inventory.contract import allergens_in
from shared.contract import fields_of
from shared.decider import Context, Decider, Ref


@dataclass(slots=True)
class Living:
    """A member: their age band, and what they must not eat, sealed."""

    band: AgeBand
    allergens: str | None


@dataclass(slots=True)
class Authority:
    """Somebody may collect from one day to another, or until it was revoked."""

    since: date
    until: date | None
    revoked_at: datetime | None = None


@dataclass
class Household:
    """A household; `size` is 0 before it is registered. `proxies` may collect for it; `merged` go on as it; it
    went on as those in `parted` once, and does not any more."""

    size: int = 0
    members: dict[str, Living] = field(default_factory=dict)
    proxies: dict[str, list[Authority]] = field(default_factory=dict)
    eligible_until: date | None = None
    merged_into: str | None = None
    merged: list[str] = field(default_factory=list)
    parted: set[str] = field(default_factory=set)

    @property
    def people(self) -> People:
        """How many live there, by age; those who are not listed one by one are of unknown age."""
        bands = [member.band for member in self.members.values()]
        listed = {band: bands.count(band) for band in AgeBand}
        return People(
            child=listed[AgeBand.CHILD], adult=listed[AgeBand.ADULT], senior=listed[AgeBand.SENIOR],
            unknown=listed[AgeBand.UNKNOWN] + self.size - len(bands),
        )  # fmt: skip


HouseholdCommand = (
    RegisterHousehold | ChangeHousehold | AddMember | RemoveMember | AuthoriseProxy | RevokeProxy | RenewEligibility
    | MergeHouseholds | UnmergeHouseholds | NoteMerge
)  # fmt: skip
HouseholdEvent = (
    HouseholdRegistered | HouseholdChanged | MemberAdded | MemberRemoved | ProxyAuthorised | ProxyRevoked
    | EligibilityRenewed | HouseholdsMerged | HouseholdsUnmerged | MergeNoted
)  # fmt: skip


def evolve(household: Household, event: HouseholdEvent) -> Household:
    match event:
        case HouseholdRegistered():
            household.size, household.eligible_until = event.size, event.eligible_until
            household.members = {one.member: Living(one.band, one.allergens) for one in event.members}
        case MemberAdded():
            household.members[event.member] = Living(event.band, event.allergens)
            household.size = event.size
        case MemberRemoved():
            household.members.pop(event.member, None)
            household.size = event.size
        case ProxyAuthorised():
            household.proxies.setdefault(event.proxy, []).append(Authority(event.since, event.until))
        case ProxyRevoked():
            for one in _standing(household, event.proxy):
                one.revoked_at = event.occurred_at
        case EligibilityRenewed():
            household.eligible_until = event.eligible_until
        case HouseholdsMerged():
            household.merged_into = event.into
        case HouseholdsUnmerged():
            household.merged_into = None
            household.parted.add(event.into)
        case MergeNoted():
            household.merged = [id for id in household.merged if id != event.other] + [event.other] * event.merged
        case HouseholdChanged():
            pass  # nothing of it decides anything
    return household


def reads(command: HouseholdCommand) -> Iterable[Ref]:
    return (Ref("household", command.into),) if isinstance(command, MergeHouseholds) else ()


def decide(command: HouseholdCommand, household: Household, context: Context) -> HouseholdEvent | None:
    at = when(command.occurred_at, context)
    fields = dict(fields_of(command)) | {"occurred_at": at}
    if isinstance(command, RegisterHousehold):
        _may_be_registered(command, household)
        return HouseholdRegistered(**fields)
    registered(household, command.household)
    match command:
        case ChangeHousehold():
            not_erased(command.household, context)
            return HouseholdChanged(**fields)
        case AddMember():
            return _add(command, household, context, fields)
        case RemoveMember():
            return _remove(command, household, at)
        case AuthoriseProxy():
            not_erased(command.household, context)
            return _authorise(command, household, fields)
        case RevokeProxy():
            if command.proxy not in household.proxies:
                raise rejected(
                    DistributionError.UNKNOWN_PROXY,
                    f"{command.proxy} was never authorised to collect for household {command.household}. Check both.",
                    proxy=command.proxy,
                )  # fmt: skip
            return ProxyRevoked(**fields) if _standing(household, command.proxy) else None
        case RenewEligibility():
            not_erased(command.household, context)
            return EligibilityRenewed(**fields)
        case MergeHouseholds():
            return _merge(command, household, context, fields)
        case UnmergeHouseholds():
            if household.merged_into is None and command.into in household.parted:
                return None
            if household.merged_into != command.into:
                what = "as itself" if household.merged_into is None else f"as {household.merged_into}"
                raise rejected(
                    DistributionError.NOT_MERGED,
                    f"Household {command.household} goes on {what}, not as {command.into}. Check both ids.",
                    household=command.household, into=household.merged_into,
                )  # fmt: skip
            return HouseholdsUnmerged(**fields)
        case NoteMerge():
            return None if (command.other in household.merged) is command.merged else MergeNoted(**fields)


def _may_be_registered(command: RegisterHousehold, household: Household) -> None:
    if household.size or command.household == ANONYMOUS:
        raise rejected(
            DistributionError.ALREADY_EXISTS,
            f"The id {command.household} is taken. Change the household that has it, or choose another id.",
            household=command.household,
        )  # fmt: skip
    if len(command.members) > command.size:
        raise rejected(
            DistributionError.HOUSEHOLD_SIZE,
            f"{len(command.members)} members are listed, and the size is {command.size}. Count all who live there.",
            size=command.size, members=len(command.members),
        )  # fmt: skip
    if len({one.member for one in command.members}) < len(command.members):
        raise rejected(DistributionError.DUPLICATE_LINE, "A member is listed twice. Give each an id of their own.")


def _add(command: AddMember, household: Household, context: Context, fields: dict[str, object]) -> MemberAdded:
    if command.member in household.members:
        raise rejected(
            DistributionError.ALREADY_EXISTS,
            f"Member {command.member} is in household {command.household} already. Remove them first, or choose "
            "another id.",
            member=command.member,
        )  # fmt: skip
    not_erased(command.household, context)
    size = household.size if command.counted_already else household.size + 1
    if size > MAX_MEMBERS or len(household.members) >= size:
        what = f"at most {MAX_MEMBERS} live in one" if size > MAX_MEMBERS else "all who live there are listed already"
        raise rejected(
            DistributionError.HOUSEHOLD_SIZE, f"Household {command.household} cannot have one more: {what}.",
            size=household.size, members=len(household.members),
        )  # fmt: skip
    return MemberAdded(**fields, size=size)  # type: ignore[arg-type]


def _remove(command: RemoveMember, household: Household, at: datetime) -> MemberRemoved:
    if command.member not in household.members:
        raise rejected(
            DistributionError.UNKNOWN_MEMBER, f"Household {command.household} has no member {command.member}.",
            member=command.member,
        )  # fmt: skip
    if household.size == 1:
        raise rejected(
            DistributionError.LAST_MEMBER,
            f"{command.member} is the last of household {command.household}; a household of nobody cannot be served. "
            "Leave it, or let its eligibility end.",
            member=command.member,
        )  # fmt: skip
    return MemberRemoved(household=command.household, member=command.member, size=household.size - 1, occurred_at=at)


def _authorise(command: AuthoriseProxy, household: Household, fields: dict[str, object]) -> ProxyAuthorised | None:
    if command.until is not None and command.until < command.since:
        raise rejected(
            DistributionError.INVALID_RANGE, f"It ends on {command.until}, before it begins on {command.since}.",
            since=str(command.since), until=str(command.until),
        )  # fmt: skip
    for one in _standing(household, command.proxy):
        since, until = one.since, one.until
        if (since, until) == (command.since, command.until):
            return None
        if (until is None or command.since <= until) and (command.until is None or since <= command.until):
            raise rejected(
                DistributionError.PROXY_OVERLAPS,
                f"{command.proxy} may collect for household {command.household} from {since} to {until or 'no end'} "
                "already. Revoke that first, or begin after it.",
                proxy=command.proxy, since=str(since), until=str(until) if until else None,
            )  # fmt: skip
    return ProxyAuthorised(**fields)  # type: ignore[arg-type]


def _merge(
    command: MergeHouseholds, household: Household, context: Context, fields: dict[str, object]
) -> HouseholdsMerged | None:
    if command.into == command.household:
        raise rejected(
            DistributionError.SAME_HOUSEHOLD, f"{command.household} cannot be merged with itself. Name the other one.",
            household=command.household,
        )  # fmt: skip
    if household.merged_into == command.into:
        return None
    into: Household = context.read("household", command.into)
    registered(into, command.into)
    for id in (command.household, command.into):
        not_erased(id, context)
    for id, one in ((command.household, household), (command.into, into)):
        if one.merged_into is not None:
            raise rejected(
                DistributionError.HOUSEHOLD_MERGED,
                f"Household {id} goes on as {one.merged_into} already. Merge with that, or unmerge it first.",
                household=id, into=one.merged_into,
            )  # fmt: skip
    return HouseholdsMerged(**fields)  # type: ignore[arg-type]


# -- for the decisions that serve households --------------------------------------------------------------------------


def registered(household: Household, id: str) -> None:
    """Refuse a household that was never registered."""
    if not household.size:
        raise rejected(
            DistributionError.UNKNOWN_HOUSEHOLD, f"There is no household {id}. Check its card, or register it first.",
            household=id,
        )  # fmt: skip


def is_erased(id: str, context: Context) -> bool:
    """Whether a household was erased: its key is destroyed, or was never made and never will be."""
    return context.erased(f"household/{id}")


def not_erased(id: str, context: Context) -> None:
    """Refuse a household that was erased: nobody knows any more who is served, or may decide for it."""
    if is_erased(id, context):
        raise rejected(
            DistributionError.HOUSEHOLD_ERASED, f"Household {id} was erased. Register it anew, under another id.",
            household=id,
        )  # fmt: skip


def served_as_itself(household: Household, id: str, context: Context) -> None:
    """Refuse a household that is unknown, was erased, or goes on as another one."""
    registered(household, id)
    not_erased(id, context)
    if household.merged_into is not None:
        raise rejected(
            DistributionError.HOUSEHOLD_MERGED, f"Household {id} goes on as {household.merged_into}. Serve that one.",
            household=id, into=household.merged_into,
        )  # fmt: skip


def eligible(household: Household, day: date) -> bool:
    return household.eligible_until is None or day <= household.eligible_until


def may_collect(household: Household, proxy: str, day: date, at: datetime) -> bool:
    """Whether somebody could collect for a household at a moment of a day there."""
    return any(
        one.since <= day and (one.until is None or day <= one.until)
        and (one.revoked_at is None or at < one.revoked_at)
        for one in household.proxies.get(proxy, ())
    )  # fmt: skip


def _standing(household: Household, proxy: str) -> list[Authority]:
    """What somebody was authorised to, and was not revoked."""
    return [one for one in household.proxies.get(proxy, ()) if one.revoked_at is None]


def goes_on_as(id: str, context: Context) -> Iterator[tuple[str, Household]]:
    """A household and all that go on as it, each with its id and once; itself first."""
    seen, waiting = {id}, [id]
    while waiting:
        one = waiting.pop()
        household: Household = context.read("household", one)
        yield one, household
        more = [other for other in household.merged if other not in seen]
        seen.update(more)
        waiting += more


def same_people(id: str, context: Context) -> Iterator[tuple[str, Household]]:
    """A household and all that were merged with it, whichever goes on as which; each with its id and once."""
    first, seen = id, {id}
    while (into := context.read("household", first).merged_into) is not None and into not in seen:
        first = into
        seen.add(into)
    found = dict(goes_on_as(first, context)) | dict(goes_on_as(id, context))
    yield from found.items()


def avoided(id: str, context: Context) -> frozenset[str]:
    """What somebody of a household must not eat, in the vocabulary's words and others; and of those that are the same
    people: what goes on as it, and what it goes on as. CANNOT_BE_READ is among them when a key is gone."""
    found: set[str] = set()
    for _, household in same_people(id, context):
        for member in household.members.values():
            if member.allergens is None:
                continue
            text = context.unseal(member.allergens)
            if text is None:
                found.add(CANNOT_BE_READ)
            else:
                found.update(allergens_in(text)[0])
    return frozenset(found)


def check(household: Household) -> list[str]:
    broken = []
    if len(household.members) > household.size:
        broken.append(f"{len(household.members)} members are listed in a household of {household.size}")
    if household.merged_into is not None and not household.size:
        broken.append("it goes on as another household, and was never registered")
    return broken


household: Final = Decider(distribution, "household", Household, Household, decide, evolve, check, reads)
