"""Commands and events of `access`: who read one patient's chart, and to whom it was disclosed. The id is the patient's.

Reading here is one account, disclosure to others another, which is kept for six years (45 CFR 164.528).

    RecordAccess     -> ChartAccessed, ReviewAccess -> AccessReviewed (of a broken glass)
    RecordDisclosure -> RecordDisclosed, ReviewDisclosure -> DisclosureReviewed (of one with breaches)

Both are facts: they are recorded whatever they broke, of merged patients as well. Of an erased one a reading is still
recorded, without a reason: nothing can be sealed for them, and nothing of theirs is opened any more. What waits for a
review of theirs is reviewed still; no word of what was found is ever read. RecordAccess is sent by whatever showed the
chart: by a service, which says who read it, or in the reader's own name, and then in no role but one of theirs. Anybody
who works at the clinic records a disclosure; a clinician or an auditor reviews what another did.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from services.clinic.contract.base import REMARK, ClinicError, Id, Moment, Note, Role, Text, command, event, value
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
    """Record that somebody read a chart: `reader`, who sends it, unless a service does. Breaking the glass needs a
    reason."""

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
    note: Annotated[str, REMARK]
    occurred_at: Moment


@command(category="access", aggregate="patient", makes=(AccessReviewed,))
class ReviewAccess:
    """Close the review of a broken glass; a clinician or an auditor looks, and not the reader."""

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

    `breaches` are looked at by somebody: UNKNOWN_CONSENT when that consent did not stand then, NO_PURPOSE when the
    purpose alone does not permit it. By 45 CFR 164.506 treatment, an emergency, payment and operations need no consent,
    and by 164.502(a)(1)(i) the patient themselves none; research needs theirs (164.508), and one that a board has
    waived (164.512(i)) is looked at; public health and legal process (164.512(b), (e), (f)) need a `ground` instead.
    """

    patient: Id
    disclosure: Id
    purpose: Purpose
    content: Annotated[PersonalValue, Sealed(of="patient", holds=Disclosure)]
    consent: Id | None = None
    recorded_by: str
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


@event(category="access")
class DisclosureReviewed:
    """Somebody looked into a disclosure that broke a rule."""

    patient: Id
    disclosure: Id
    note: Annotated[str, REMARK]
    occurred_at: Moment


@command(category="access", aggregate="patient", makes=(DisclosureReviewed,))
class ReviewDisclosure:
    """Close the review of a disclosure that broke a rule; a clinician or an auditor looks, and not who recorded it."""

    patient: Id
    disclosure: Id
    note: Note
    occurred_at: Moment | None = None


__all__ = [
    "AccessReviewed", "ChartAccessed", "Disclosure", "DisclosureReviewed", "Purpose", "RecordAccess", "RecordDisclosed",
    "RecordDisclosure", "ReviewAccess", "ReviewDisclosure",
]  # fmt: skip
