"""Commands and events of `referral`: a patient is sent to somebody else, until it is known what came of it.

Clinicians, trainees and pharmacists refer, and close referrals.
"""

from __future__ import annotations

from typing import Annotated

from services.clinic.contract.base import Coded, Date, Id, Moment, Note, Text, command, event, value
from shared.personal import PersonalValue, Sealed


@value
class Referral:
    """To whom, and why."""

    to: Text
    reason: Coded | None = None
    note: Note | None = None
    urgent: bool = False


@event(category="referral")
class ReferralMade:
    """A patient was referred; somebody asks what came of it on `due_on`."""

    referral: Id
    patient: Id
    encounter: Id | None = None
    content: Annotated[PersonalValue, Sealed(of="patient", holds=Referral)]
    due_on: Date | None = None
    occurred_at: Moment


@command(category="referral", aggregate="referral", makes=(ReferralMade,))
class MakeReferral:
    """Refer a patient."""

    referral: Id
    patient: Id
    encounter: Id | None = None
    content: Referral
    due_on: Date | None = None
    occurred_at: Moment | None = None


@event(category="referral")
class ReferralClosed:
    """It is known what came of a referral."""

    referral: Id
    patient: Id
    outcome: Annotated[str, Sealed(of="patient")]
    occurred_at: Moment


@command(category="referral", aggregate="referral", makes=(ReferralClosed,))
class CloseReferral:
    """Close a referral, once, and say what came of it."""

    referral: Id
    patient: Id
    outcome: Note
    occurred_at: Moment | None = None


__all__ = ["CloseReferral", "MakeReferral", "Referral", "ReferralClosed", "ReferralMade"]
