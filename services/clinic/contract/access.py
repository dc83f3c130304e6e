"""Commands and events of `access`: who read one patient's chart, and to whom it was disclosed. The id is the patient's.

Reading here is one account, disclosure to others another, which is kept for six years (45 CFR 164.528).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from services.clinic.contract.base import ClinicError, Id, Moment, Note, Role, Text, command, event, value
from shared.personal import PersonalValue, Sealed


class Purpose(StrEnum):
    """What a chart is read for, after HL7's v3 PurposeOfUse (TREAT, ETREAT, HPAYMT, HOPERAT, PATRQT, HRESCH …)."""

    TREATMENT = "treatment"
    EMERGENCY = "emergency"
    PAYMENT = "payment"
    OPERATIONS = "operations"
    PATIENT_REQUEST = "patient_request"
    RESEARCH = "research"
    PUBLIC_HEALTH = "public_health"
    LEGAL = "legal"


@event(category="access")
class ChartAccessed:
    """Somebody read a patient's chart: `parts` of it, for a purpose. `reader` is who, in which `role`.

    With `break_glass` they were shown more than their role is; somebody looks at why.
    """

    patient: Id
    access: Id
    reader: Text
    role: Role | None = None
    purpose: Purpose
    parts: tuple[Text, ...]
    break_glass: bool = False
    reason: Annotated[str | None, Sealed(of="patient")] = None
    occurred_at: Moment


@command(category="access", aggregate="patient", makes=(ChartAccessed,))
class RecordAccess:
    """Record that somebody read a chart. Breaking the glass needs a reason."""

    patient: Id
    access: Id
    reader: Text
    role: Role | None = None
    purpose: Purpose
    parts: Annotated[tuple[Text, ...], Field(min_length=1, max_length=30)]
    break_glass: bool = False
    reason: Note | None = None
    occurred_at: Moment | None = None


@event(category="access")
class AccessReviewed:
    """Somebody looked into a broken glass."""

    patient: Id
    access: Id
    note: Annotated[str, Sealed(of="patient")]
    occurred_at: Moment


@command(category="access", aggregate="patient", makes=(AccessReviewed,))
class ReviewAccess:
    """Close the review of a broken glass; another person than the reader looks."""

    patient: Id
    access: Id
    note: Note
    occurred_at: Moment | None = None


@value
class Disclosure:
    """To whom what was given, and on which ground."""

    to: Text
    what: Text
    ground: Note | None = None


@event(category="access")
class RecordDisclosed:
    """Something of a patient's record was given to somebody else. `consent` is the patient's, if it rests on one.

    `breaches` says when that consent was not there, or not any more: it is recorded all the same, and looked at.
    """

    patient: Id
    disclosure: Id
    purpose: Purpose
    content: Annotated[PersonalValue, Sealed(of="patient", holds=Disclosure)]
    consent: Id | None = None
    breaches: tuple[ClinicError, ...] = ()
    occurred_at: Moment


@command(category="access", aggregate="patient", makes=(RecordDisclosed,))
class RecordDisclosure:
    """Record that something of a patient's record was given to somebody else."""

    patient: Id
    disclosure: Id
    purpose: Purpose
    content: Disclosure
    consent: Id | None = None
    occurred_at: Moment | None = None


__all__ = [
    "AccessReviewed", "ChartAccessed", "Disclosure", "Purpose", "RecordAccess", "RecordDisclosed", "RecordDisclosure",
    "ReviewAccess",
]  # fmt: skip
