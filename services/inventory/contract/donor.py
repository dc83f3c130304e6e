"""Commands and events of `donor`: who gives. The aggregate's id is the donor's id, which receipts name.

Everything that says who a donor is (name, contact, address, note) is sealed under the donor's own key.
"""

from __future__ import annotations

from typing import Annotated

from services.inventory.contract.base import Id, Label, Moment, command, event
from shared.contract import value
from shared.personal import PersonalNote, PersonalText, Sealed


@value
class DonorFacts:
    """What is known of a donor. `kind` is what sort of giver it is (farm, household, supermarket), and stays in clear,
    so that reports can count by it after the donor's own data were erased."""

    name: Annotated[PersonalText, Sealed(of="donor")]
    kind: Label | None = None
    contact: Annotated[PersonalText | None, Sealed(of="donor")] = None
    address: Annotated[PersonalText | None, Sealed(of="donor")] = None
    note: Annotated[PersonalNote | None, Sealed(of="donor")] = None


@event(category="donor")
class DonorRegistered(DonorFacts):
    """A donor is known by name from now on. Receipts may name a donor's id before and without that."""

    donor: Id
    occurred_at: Moment


@command(category="donor", aggregate="donor", makes=(DonorRegistered,))
class RegisterDonor(DonorFacts):
    """Put a donor's name and contact to an id."""

    donor: Id
    occurred_at: Moment | None = None


@event(category="donor")
class DonorChanged(DonorFacts):
    """A donor's facts are these from now on, all of them."""

    donor: Id
    occurred_at: Moment


@command(category="donor", aggregate="donor", makes=(DonorChanged,))
class ChangeDonor(DonorFacts):
    """Replace a donor's facts, all of them."""

    donor: Id
    occurred_at: Moment | None = None
