"""Commands and events of `medication`: what one patient takes. The aggregate's id is the patient's.

What was dispensed here is claimed in it, so that two counters cannot give the same medicine twice within seven days;
what a patient says they take from elsewhere stands beside it.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from services.clinic.contract.base import Coded, Date, DispensingId, Id, Moment, Note, Text, command, event, value
from services.clinic.contract.prescription import Days
from shared.personal import PersonalValue, Sealed


@value
class ReportedMedication:
    """What a patient says they take: a medicine, how, and since when until when."""

    medication: Coded
    directions: Note | None = None
    since: Date | None = None
    until: Date | None = None
    source: Text | None = None


@event(category="medication")
class ReportedMedicationRecorded:
    """A patient takes something that was not dispensed here; this is what is known of it from now on."""

    patient: Id
    report: Id
    content: Annotated[PersonalValue, Sealed(of="patient", holds=ReportedMedication)]
    occurred_at: Moment


@command(category="medication", aggregate="patient", makes=(ReportedMedicationRecorded,))
class RecordReportedMedication:
    """Record what a patient says they take. The same id again says what is known of it from now on."""

    patient: Id
    report: Id
    content: ReportedMedication
    occurred_at: Moment | None = None


@value
class Fill:
    """A medicine that is dispensed to a patient: which it is, what is in it, when, and for how long it lasts."""

    medication: Coded
    ingredients: Annotated[tuple[Coded, ...], Field(max_length=20)]
    on: Date
    days_supply: Days


@event(category="medication")
class FillClaimed:
    """A dispensing gives a patient a medicine; with `overridden` or as a `fact`, within seven days of the last."""

    patient: Id
    dispensing: DispensingId
    content: Annotated[PersonalValue, Sealed(of="patient", holds=Fill)]
    overridden: bool = False
    fact: bool = False
    occurred_at: Moment


@command(category="medication", aggregate="patient", makes=(FillClaimed,))
class ClaimFill:
    """Claim that a dispensing gives a patient a medicine; sent by the dispensing process."""

    patient: Id
    dispensing: DispensingId
    content: Fill
    overridden: bool = False
    fact: bool = False
    occurred_at: Moment | None = None


@event(category="medication")
class FillReleased:
    """A dispensing came to nothing: the patient did not get the medicine by it."""

    patient: Id
    dispensing: DispensingId
    occurred_at: Moment


@command(category="medication", aggregate="patient", makes=(FillReleased,))
class ReleaseFill:
    """Give a claim back; sent by the dispensing process."""

    patient: Id
    dispensing: DispensingId
    occurred_at: Moment | None = None


__all__ = [
    "ClaimFill", "Fill", "FillClaimed", "FillReleased", "RecordReportedMedication", "ReleaseFill",
    "ReportedMedication", "ReportedMedicationRecorded",
]  # fmt: skip
