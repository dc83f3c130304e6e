"""Commands and events of `schedule`: the appointments of one clinician's day.

The aggregate's id is `<clinician>:<date>`, so that two desks cannot fill the same quarter of an hour unseen.

    BookAppointment -> AppointmentBooked -> CheckIn           -> CheckedIn
                                         -> RecordNoShow      -> NoShowRecorded
                                         -> CancelAppointment -> AppointmentCancelled

Who meets patients may send each of them: front desk, clinician, trainee or pharmacist. A cancelled appointment is over
for good. After a no-show a patient can still be checked in, since late ones come, and nothing else; one who was checked
in has come, and leaves without being seen by a cancellation. What was cancelled or missed takes nobody's time.
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta
from pydantic import Field

from services.clinic.contract.base import Date, Id, Moment, Note, command, event
from shared.personal import Sealed

Minutes = Annotated[int, Field(ge=5, le=480), Meta(ge=5, le=480)]


def schedule_id(clinician: str, date: Any) -> str:
    """The id of a clinician's day. Neither part can hold a colon."""
    return f"{clinician}:{date}"


def _of(command: Any) -> str:
    return schedule_id(command.clinician, command.date)


@event(category="schedule")
class AppointmentBooked:
    """A patient comes to a clinician at a time. `overlaps` are the appointments that it was booked over."""

    appointment: Id
    clinician: Id
    date: Date
    patient: Id
    starts_at: Moment
    minutes: Minutes
    reason: Annotated[str | None, Sealed(of="patient")] = None
    overbook_reason: Annotated[str | None, Sealed(of="patient")] = None
    overlaps: tuple[Id, ...] = ()
    occurred_at: Moment


@command(category="schedule", aggregate=_of, makes=(AppointmentBooked,))
class BookAppointment:
    """Book an appointment with a clinician, a trainee or a pharmacist.

    `date` is the day at the clinic, wherever on earth that is. Overlapping another needs an `overbook_reason`; those
    of the day before that last until after midnight are not looked at.
    """

    appointment: Id
    clinician: Id
    date: Date
    patient: Id
    starts_at: Moment
    minutes: Minutes = 15
    reason: Note | None = None
    overbook_reason: Note | None = None
    occurred_at: Moment | None = None


@event(category="schedule")
class CheckedIn:
    """The patient is here."""

    appointment: Id
    clinician: Id
    date: Date
    patient: Id
    occurred_at: Moment


@command(category="schedule", aggregate=_of, makes=(CheckedIn,))
class CheckIn:
    """Record that the patient of an appointment has come, be it after a no-show was recorded."""

    appointment: Id
    clinician: Id
    date: Date
    occurred_at: Moment | None = None


@event(category="schedule")
class NoShowRecorded:
    """The patient did not come."""

    appointment: Id
    clinician: Id
    date: Date
    patient: Id
    occurred_at: Moment


@command(category="schedule", aggregate=_of, makes=(NoShowRecorded,))
class RecordNoShow:
    """Record that the patient of an appointment did not come; not before it was to begin."""

    appointment: Id
    clinician: Id
    date: Date
    occurred_at: Moment | None = None


@event(category="schedule")
class AppointmentCancelled:
    """An appointment does not take place."""

    appointment: Id
    clinician: Id
    date: Date
    patient: Id
    reason: Annotated[str, Sealed(of="patient")]
    occurred_at: Moment


@command(category="schedule", aggregate=_of, makes=(AppointmentCancelled,))
class CancelAppointment:
    """Cancel an appointment of a patient."""

    appointment: Id
    clinician: Id
    date: Date
    patient: Id
    reason: Note
    occurred_at: Moment | None = None


__all__ = [
    "AppointmentBooked", "AppointmentCancelled", "BookAppointment", "CancelAppointment", "CheckIn", "CheckedIn",
    "NoShowRecorded", "RecordNoShow", "schedule_id",
]  # fmt: skip
