"""Schedules: who comes to one clinician on one day, and when."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from services.clinic.contract import (
    ROSTER,
    AppointmentBooked,
    AppointmentCancelled,
    BookAppointment,
    CancelAppointment,
    CheckedIn,
    CheckIn,
    ClinicError,
    NoShowRecorded,
    RecordNoShow,
    clinic,
)
from services.clinic.patient import known, not_erased, seen_as_themselves
from services.clinic.practitioner import DESK, in_role, sees_patients
from services.clinic.refusals import local_days, rejected, says, when
from shared.contract import fields_of
from shared.decider import Context, Decider, Ref
from shared.errors import Rejected
from shared.moments import TOLERANCE


class Stands(StrEnum):
    """How an appointment stands."""

    BOOKED = "booked"
    HERE = "here"
    MISSED = "missed"
    CANCELLED = "cancelled"


_TAKES_TIME: Final = (Stands.BOOKED, Stands.HERE)


@dataclass
class Appointment:
    """One appointment; its reasons as they are stored, sealed."""

    patient: str
    starts_at: datetime
    minutes: int
    reason: str | None
    overbook_reason: str | None
    stands: Stands = Stands.BOOKED

    @property
    def ends_at(self) -> datetime:
        return self.starts_at + timedelta(minutes=self.minutes)


@dataclass
class Schedule:
    """One clinician's day."""

    appointments: dict[str, Appointment] = field(default_factory=dict)


ScheduleCommand = BookAppointment | CheckIn | RecordNoShow | CancelAppointment
ScheduleEvent = AppointmentBooked | CheckedIn | NoShowRecorded | AppointmentCancelled


def evolve(schedule: Schedule, event: ScheduleEvent) -> Schedule:
    match event:
        case AppointmentBooked():
            schedule.appointments[event.appointment] = Appointment(
                event.patient, event.starts_at, event.minutes, event.reason, event.overbook_reason
            )
        case CheckedIn():
            schedule.appointments[event.appointment].stands = Stands.HERE
        case NoShowRecorded():
            schedule.appointments[event.appointment].stands = Stands.MISSED
        case AppointmentCancelled():
            schedule.appointments[event.appointment].stands = Stands.CANCELLED
    return schedule


def reads(command: ScheduleCommand) -> Iterable[Ref]:
    if isinstance(command, BookAppointment):
        return (Ref("patient", command.patient), Ref("practitioner", ROSTER))
    return ()


def decide(command: ScheduleCommand, schedule: Schedule, context: Context) -> ScheduleEvent | None:
    at = when(command.occurred_at, context)
    fields = dict(fields_of(command)) | {"occurred_at": at}
    in_role(context, DESK, _DEEDS[type(command)])
    if isinstance(command, BookAppointment):
        return _book(command, schedule, context, fields)
    if isinstance(command, CancelAppointment):
        not_erased(command.patient, context)
    appointment = schedule.appointments.get(command.appointment)
    if appointment is None:
        raise rejected(
            ClinicError.UNKNOWN_APPOINTMENT,
            f"{command.clinician} has no appointment {command.appointment} on {command.date}. Check id and day.",
            appointment=command.appointment,
        )  # fmt: skip
    match command:
        case CheckIn():
            return _check_in(command, appointment, fields)
        case RecordNoShow():
            return _no_show(command, appointment, at, fields)
        case CancelAppointment():
            return _cancel(command, appointment, fields)


_DEEDS: Final = {
    BookAppointment: "book an appointment", CheckIn: "check a patient in", RecordNoShow: "record a no-show",
    CancelAppointment: "cancel an appointment",
}  # fmt: skip


def _book(
    command: BookAppointment, schedule: Schedule, context: Context, fields: dict[str, object]
) -> AppointmentBooked | None:
    before = schedule.appointments.get(command.appointment)
    if before is not None and _same(command, before, context):
        return None
    sees_patients(command.clinician, context)
    known(context.read("patient", command.patient), command.patient, context)
    if before is not None:
        raise rejected(
            ClinicError.ALREADY_EXISTS,
            f"{command.clinician} has, or had, an appointment {command.appointment} on {command.date}. Choose another "
            "id, or cancel that one first.",
            appointment=command.appointment,
        )  # fmt: skip
    seen_as_themselves(command.patient, context)
    first, last = local_days(command.starts_at)
    if not first <= command.date <= last:
        raise rejected(
            ClinicError.WRONG_DAY,
            f"{command.date} is no day on which {command.starts_at:%Y-%m-%d %H:%M} UTC falls, by any clock on earth. "
            "Give the day on which the appointment begins at the clinic.",
            date=str(command.date), starts_at=command.starts_at.isoformat(),
        )  # fmt: skip
    overlaps = _overlapping(command, schedule)
    if overlaps and command.overbook_reason is None:
        raise rejected(
            ClinicError.OVERLAPS,
            f"{command.clinician} sees others then: {', '.join(overlaps)}. Choose another time, or say why both are "
            "booked (overbook_reason).",
            appointments=overlaps,
        )  # fmt: skip
    return AppointmentBooked(**fields, overlaps=tuple(overlaps))  # type: ignore[arg-type]


def _same(command: BookAppointment, appointment: Appointment, context: Context) -> bool:
    return (
        (command.patient, command.starts_at, command.minutes)
        == (appointment.patient, appointment.starts_at, appointment.minutes)
        and says(appointment.reason, command.reason, context)
        and says(appointment.overbook_reason, command.overbook_reason, context)
    )


def _overlapping(command: BookAppointment, schedule: Schedule) -> list[str]:
    ends_at = command.starts_at + timedelta(minutes=command.minutes)
    return sorted(
        id
        for id, one in schedule.appointments.items()
        if one.stands in _TAKES_TIME and one.starts_at < ends_at and command.starts_at < one.ends_at
    )


def _check_in(command: CheckIn, appointment: Appointment, fields: dict[str, object]) -> CheckedIn | None:
    match appointment.stands:
        case Stands.HERE:
            return None
        case Stands.CANCELLED:
            raise _over(command, "was cancelled. Book another, or see the patient without one")
        case _:
            return CheckedIn(**fields, patient=appointment.patient)  # type: ignore[arg-type]


def _no_show(
    command: RecordNoShow, appointment: Appointment, at: datetime, fields: dict[str, object]
) -> NoShowRecorded | None:
    match appointment.stands:
        case Stands.MISSED:
            return None
        case Stands.CANCELLED:
            raise _over(command, "was cancelled, so nobody was to come")
        case Stands.HERE:
            raise _over(command, "is that of a patient who has come. Cancel it if they left without being seen")
    if at < appointment.starts_at - TOLERANCE:
        raise rejected(
            ClinicError.INVALID_RANGE,
            f"Appointment {command.appointment} begins at {appointment.starts_at:%Y-%m-%d %H:%M} UTC, and nobody is "
            "late for it before. Record the no-show then, or cancel it.",
            appointment=command.appointment, starts_at=appointment.starts_at.isoformat(),
        )  # fmt: skip
    return NoShowRecorded(**fields, patient=appointment.patient)  # type: ignore[arg-type]


def _cancel(
    command: CancelAppointment, appointment: Appointment, fields: dict[str, object]
) -> AppointmentCancelled | None:
    if command.patient != appointment.patient:
        raise rejected(
            ClinicError.WRONG_PATIENT,
            f"Appointment {command.appointment} is not one of patient {command.patient}. Check both ids.",
            appointment=command.appointment, patient=command.patient,
        )  # fmt: skip
    match appointment.stands:
        case Stands.CANCELLED:
            return None
        case Stands.MISSED:
            raise _over(command, "was missed, which stays recorded")
        case _:
            return AppointmentCancelled(**fields)  # type: ignore[arg-type]


def _over(command: CheckIn | RecordNoShow | CancelAppointment, what: str) -> Rejected:
    return rejected(
        ClinicError.APPOINTMENT_OVER, f"Appointment {command.appointment} {what}.", appointment=command.appointment
    )


def check(schedule: Schedule) -> list[str]:
    return [f"appointment {id} is no time at all" for id, one in schedule.appointments.items() if one.minutes < 1]


schedule: Final = Decider(clinic, "schedule", Schedule, Schedule, decide, evolve, check, reads)
