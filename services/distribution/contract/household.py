"""Commands and events of `household`: who is fed. What is personal is sealed under the household's own key.

Clear are an opaque id, a card's code, the size and the age bands of its members, and until when it is eligible: what
reports and the table need. Everything else (names, contact, diet, allergens, the basis of eligibility, and every reason
in words) is sealed, and when the key is destroyed the reports of the past still hold.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from services.distribution.contract.base import (
    REMARK,
    AgeBand,
    Date,
    Id,
    Moment,
    Note,
    Text,
    command,
    event,
    value,
)
from shared.personal import PersonalText, Sealed

MAX_MEMBERS: Final = 30
"""Members of one household; more are several households, or a partner organisation."""


@value
class Member:
    """One person of a household.

    `allergens` are what they must not eat, with commas between, none when empty: gluten, crustaceans, eggs, fish,
    peanuts, soybeans, milk, tree-nuts, celery, mustard, sesame-seeds, sulphur-dioxide-and-sulphites, lupin, molluscs,
    and other names and foods of these (`walnut`, `dairy`, `shellfish`); any other word warns of every item.
    """

    member: Id
    band: AgeBand = AgeBand.UNKNOWN
    name: Annotated[PersonalText | None, Sealed(of="household")] = None
    diet: Annotated[PersonalText | None, Sealed(of="household")] = None
    allergens: Annotated[PersonalText | None, Sealed(of="household")] = None


@event(category="household")
class HouseholdRegistered:
    """A household may be served. `card` is the code on its card; `size` is how many live in it.

    `basis` is why it is eligible (income, a programme it is in, a declaration), `signature` what was signed or the mark
    that was made.
    """

    household: Id
    card: Id | None = None
    name: Annotated[str | None, Sealed(of="household")] = None
    contact: Annotated[str | None, Sealed(of="household")] = None
    address: Annotated[str | None, Sealed(of="household")] = None
    language: Annotated[str | None, Sealed(of="household")] = None
    note: Annotated[str | None, Sealed(of="household")] = None
    members: tuple[Member, ...] = ()
    size: int
    basis: Annotated[str | None, Sealed(of="household")] = None
    signature: Annotated[str | None, Sealed(of="household")] = None
    eligible_until: Date | None = None
    occurred_at: Moment


@command(category="household", aggregate="household", makes=(HouseholdRegistered,))
class RegisterHousehold:
    """Register a household: how many live there; all else is asked only where it is needed.

    Members may be listed one by one, with age band, diet and allergens, or left out; `size` counts them all.
    """

    household: Id
    card: Id | None = None
    name: Text | None = None
    contact: Text | None = None
    address: Text | None = None
    language: Text | None = None
    note: Note | None = None
    members: Annotated[tuple[Member, ...], Field(max_length=MAX_MEMBERS)] = ()
    size: Annotated[int, Field(ge=1, le=MAX_MEMBERS)]
    basis: Text | None = None
    signature: Text | None = None
    eligible_until: Date | None = None
    occurred_at: Moment | None = None


@event(category="household")
class HouseholdChanged:
    """What is known of a household beside its members is this from now on."""

    household: Id
    card: Id | None = None
    name: Annotated[str | None, Sealed(of="household")] = None
    contact: Annotated[str | None, Sealed(of="household")] = None
    address: Annotated[str | None, Sealed(of="household")] = None
    language: Annotated[str | None, Sealed(of="household")] = None
    note: Annotated[str | None, Sealed(of="household")] = None
    occurred_at: Moment


@command(category="household", aggregate="household", makes=(HouseholdChanged,))
class ChangeHousehold:
    """Correct a household's card, name, contact and notes, as a whole: what is left out is not known any more."""

    household: Id
    card: Id | None = None
    name: Text | None = None
    contact: Text | None = None
    address: Text | None = None
    language: Text | None = None
    note: Note | None = None
    occurred_at: Moment | None = None


@event(category="household")
class MemberAdded:
    """Somebody lives in a household from now on, or is now listed in it; `size` is how many live there."""

    household: Id
    member: Id
    band: AgeBand = AgeBand.UNKNOWN
    name: Annotated[str | None, Sealed(of="household")] = None
    diet: Annotated[str | None, Sealed(of="household")] = None
    allergens: Annotated[str | None, Sealed(of="household")] = None
    counted_already: bool = False
    size: int
    occurred_at: Moment


@command(category="household", aggregate="household", makes=(MemberAdded,))
class AddMember:
    """Add a member. With `counted_already` the household's size had them in it, and stays.

    `allergens` are what they must not eat, with commas between: gluten, crustaceans, eggs, fish, peanuts, soybeans,
    milk, tree-nuts, celery, mustard, sesame-seeds, sulphur-dioxide-and-sulphites, lupin, molluscs,
    and other names and foods of these (`walnut`, `dairy`, `shellfish`); any other word warns of every item.

    Who is listed already is refused: what is new about them (an allergy) would be lost. Remove them first.
    """

    household: Id
    member: Id
    band: AgeBand = AgeBand.UNKNOWN
    name: Text | None = None
    diet: Text | None = None
    allergens: Text | None = None
    counted_already: bool = False
    occurred_at: Moment | None = None


@event(category="household")
class MemberRemoved:
    """Somebody does not live in a household any more; `size` is how many still do."""

    household: Id
    member: Id
    size: int
    occurred_at: Moment


@command(category="household", aggregate="household", makes=(MemberRemoved,))
class RemoveMember:
    """Remove a member; the last one stays, as a household of nobody cannot be served."""

    household: Id
    member: Id
    occurred_at: Moment | None = None


@event(category="household")
class ProxyAuthorised:
    """Somebody may collect for a household, from one day to another."""

    household: Id
    proxy: Id
    name: Annotated[str | None, Sealed(of="household")] = None
    since: Date
    until: Date | None = None
    occurred_at: Moment


@command(category="household", aggregate="household", makes=(ProxyAuthorised,))
class AuthoriseProxy:
    """Let somebody collect for a household. One authorisation of a person ends before the next begins."""

    household: Id
    proxy: Id
    name: Text | None = None
    since: Date
    until: Date | None = None
    occurred_at: Moment | None = None


@event(category="household")
class ProxyRevoked:
    """Somebody may not collect for a household any more; what they collected before stays rightful."""

    household: Id
    proxy: Id
    occurred_at: Moment


@command(category="household", aggregate="household", makes=(ProxyRevoked,))
class RevokeProxy:
    """End an authorisation to collect."""

    household: Id
    proxy: Id
    occurred_at: Moment | None = None


@event(category="household")
class EligibilityRenewed:
    """A household is eligible until a day; None is without an end."""

    household: Id
    basis: Annotated[str | None, Sealed(of="household")] = None
    signature: Annotated[str | None, Sealed(of="household")] = None
    eligible_until: Date | None = None
    occurred_at: Moment


@command(category="household", aggregate="household", makes=(EligibilityRenewed,))
class RenewEligibility:
    """Record that a household is eligible, why, and until when."""

    household: Id
    basis: Text | None = None
    signature: Text | None = None
    eligible_until: Date | None = None
    occurred_at: Moment | None = None


# -- merged -----------------------------------------------------------------------------------------------------------


@event(category="household")
class HouseholdsMerged:
    """A household was registered twice: this one goes on as `into`. Nothing of either is lost."""

    household: Id
    into: Id
    reason: Annotated[str, REMARK]
    occurred_at: Moment


@command(category="household", aggregate="household", makes=(HouseholdsMerged,))
class MergeHouseholds:
    """Let a household that was registered twice go on as another one, which its card then leads to."""

    household: Id
    into: Id
    reason: Note
    occurred_at: Moment | None = None


@event(category="household")
class HouseholdsUnmerged:
    """A merge was a mistake: the household is its own again. What was served meanwhile stays with `into`."""

    household: Id
    into: Id
    reason: Annotated[str, REMARK]
    occurred_at: Moment


@command(category="household", aggregate="household", makes=(HouseholdsUnmerged,))
class UnmergeHouseholds:
    """Take a merge back."""

    household: Id
    into: Id
    reason: Note
    occurred_at: Moment | None = None


@event(category="household")
class MergeNoted:
    """Another household goes on as this one (`merged`), or is its own again: what it was served counts here too."""

    household: Id
    other: Id
    merged: bool
    occurred_at: Moment


@command(category="household", aggregate="household", makes=(MergeNoted,))
class NoteMerge:
    """Note that another household goes on as this one, or does not any more; sent by the fulfilment process."""

    household: Id
    other: Id
    merged: bool
    occurred_at: Moment | None = None


__all__ = [
    "MAX_MEMBERS", "AddMember", "AuthoriseProxy", "ChangeHousehold", "EligibilityRenewed", "HouseholdChanged",
    "HouseholdRegistered", "HouseholdsMerged", "HouseholdsUnmerged", "Member", "MemberAdded", "MemberRemoved",
    "MergeHouseholds", "MergeNoted", "NoteMerge",
    "ProxyAuthorised", "ProxyRevoked", "RegisterHousehold", "RemoveMember", "RenewEligibility",
    "RevokeProxy", "UnmergeHouseholds",
]  # fmt: skip
