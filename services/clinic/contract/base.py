"""The words that all of the clinic's commands and events are written in: enums, refusals, codes and measures.

What is said of a patient is sealed under the patient's own key: codes, vitals and orders as well as names. Clear are
opaque ids, who acted and when, and of what was given the item, lot and quantity, by which a recall finds whoever got it
(docs/decisions/0031-what-stands-in-clear-of-a-patient.md). The kind of an event is clear too: that somebody has an
allergy recorded, and not which.

Units: a measure is an integer with so many decimals, and its unit as UCUM writes it; a quantity of goods is an integer
in the item's base unit. Dates are calendar dates at the clinic.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any, Final, TypeVar, dataclass_transform

from msgspec import Meta
from pydantic import AfterValidator, Field

from services.clinic.contract.codes import CODE_PATTERN, UNIT_PATTERN, URIS, CodeSystem, fault
from services.inventory.contract import LotNumber
from shared.contract import Contract, value
from shared.personal import Sealed
from shared.types import MAX_INTEGER, Amount, Date, Id, Moment, Note, Quantity, Revision, Text

__all__ = [
    "REMARK",
    "URIS",
    "AdministrationId",
    "AllergyCategory",
    "Amount",
    "ClinicError",
    "CodeSystem",
    "Coded",
    "Coding",
    "Date",
    "DispensingId",
    "Id",
    "LotNumber",
    "Measure",
    "Moment",
    "NewDispensingId",
    "Note",
    "Quantity",
    "Revision",
    "Role",
    "Text",
    "clinic",
    "command",
    "event",
    "value",
]  # fmt: skip

clinic: Final = Contract("clinic")
"""What the clinic promises."""

REMARK: Final = Sealed(of="patient", remark=True)
"""Marks what somebody found who looked into what had been done: sealed under the patient's key, and never read again
once the patient was erased. So a review is closed of whoever it is (docs/decisions/0024)."""

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True)
def event(*, category: str, version: int = 1) -> Callable[[type[T]], type[T]]:
    """Declare an event of the clinic (as a function, which type checkers follow)."""
    return clinic.event(category=category, version=version)


@dataclass_transform(frozen_default=True, kw_only_default=True)
def command(
    *, category: str, aggregate: str | Callable[[Any], str], makes: tuple[type, ...]
) -> Callable[[type[T]], type[T]]:
    """Declare a command of the clinic."""
    return clinic.command(category=category, aggregate=aggregate, makes=makes)


# -- refusals ---------------------------------------------------------------------------------------------------------


class ClinicError(StrEnum):
    """Why the clinic refuses a command. When several hold, the first in this order is the one that is answered; but who
    does not work here is told so (UNKNOWN_PRACTITIONER) before anything is looked at."""

    OCCURRED_IN_FUTURE = "OCCURRED_IN_FUTURE"
    UNKNOWN_PRACTITIONER = "UNKNOWN_PRACTITIONER"
    NOT_THE_READER = "NOT_THE_READER"
    WRONG_ROLE = "WRONG_ROLE"
    NOT_LICENSED = "NOT_LICENSED"
    UNKNOWN_PATIENT = "UNKNOWN_PATIENT"
    PATIENT_ERASED = "PATIENT_ERASED"
    CHART_LOCKED = "CHART_LOCKED"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    SAME_PATIENT = "SAME_PATIENT"
    NOT_MERGED = "NOT_MERGED"
    PATIENT_MERGED = "PATIENT_MERGED"
    UNKNOWN_CONSENT = "UNKNOWN_CONSENT"
    UNKNOWN_ALLERGY = "UNKNOWN_ALLERGY"
    ALLERGIES_STAND = "ALLERGIES_STAND"
    UNKNOWN_APPOINTMENT = "UNKNOWN_APPOINTMENT"
    UNKNOWN_ENCOUNTER = "UNKNOWN_ENCOUNTER"
    WRONG_PATIENT = "WRONG_PATIENT"
    APPOINTMENT_OVER = "APPOINTMENT_OVER"
    WRONG_DAY = "WRONG_DAY"
    OVERLAPS = "OVERLAPS"
    REASON_NEEDED = "REASON_NEEDED"
    ENCOUNTER_CLOSED = "ENCOUNTER_CLOSED"
    UNKNOWN_RECORD = "UNKNOWN_RECORD"
    INVALID_RANGE = "INVALID_RANGE"
    DUPLICATE_LINE = "DUPLICATE_LINE"
    CODE_MISMATCH = "CODE_MISMATCH"
    WRONG_UNIT = "WRONG_UNIT"
    IMPLAUSIBLE = "IMPLAUSIBLE"
    UNUSUAL = "UNUSUAL"
    UNKNOWN_NOTE = "UNKNOWN_NOTE"
    NOT_THE_AUTHOR = "NOT_THE_AUTHOR"
    NOTE_SIGNED = "NOTE_SIGNED"
    NOTE_NOT_SIGNED = "NOTE_NOT_SIGNED"
    NEEDS_ATTESTATION = "NEEDS_ATTESTATION"
    NOTES_OPEN = "NOTES_OPEN"
    CONTROLLED_SUBSTANCE = "CONTROLLED_SUBSTANCE"
    UNKNOWN_PRESCRIPTION = "UNKNOWN_PRESCRIPTION"
    IMPORTED_ORDER = "IMPORTED_ORDER"
    PRESCRIPTION_NOT_SIGNED = "PRESCRIPTION_NOT_SIGNED"
    PRESCRIPTION_SIGNED = "PRESCRIPTION_SIGNED"
    PRESCRIPTION_STOPPED = "PRESCRIPTION_STOPPED"
    PRESCRIPTION_EXPIRED = "PRESCRIPTION_EXPIRED"
    UNKNOWN_ITEM = "UNKNOWN_ITEM"
    NOT_A_MEDICINE = "NOT_A_MEDICINE"
    NOT_ON_FORMULARY = "NOT_ON_FORMULARY"
    WRONG_MEDICINE = "WRONG_MEDICINE"
    BEYOND_ORDER = "BEYOND_ORDER"
    UNKNOWN_DISPENSING = "UNKNOWN_DISPENSING"
    DISPENSING_OVER = "DISPENSING_OVER"
    ALERT_OPEN = "ALERT_OPEN"
    NO_SUCH_ALERT = "NO_SUCH_ALERT"
    DUPLICATE = "DUPLICATE"
    RECALLED = "RECALLED"
    EXPIRED = "EXPIRED"
    NOT_RESERVED = "NOT_RESERVED"
    NOT_VERIFIED = "NOT_VERIFIED"
    NOT_LABELLED = "NOT_LABELLED"
    NOT_DISPENSED = "NOT_DISPENSED"
    UNKNOWN_GIVING = "UNKNOWN_GIVING"
    UNKNOWN_REFERRAL = "UNKNOWN_REFERRAL"
    REFERRAL_CLOSED = "REFERRAL_CLOSED"
    NO_PURPOSE = "NO_PURPOSE"
    UNKNOWN_STEP = "UNKNOWN_STEP"
    NOTHING_TO_REVIEW = "NOTHING_TO_REVIEW"
    CANNOT_BE_READ = "CANNOT_BE_READ"
    ALREADY_ERASED = "ALREADY_ERASED"
    NOT_A_PERSON = "NOT_A_PERSON"
    NOT_REQUESTED = "NOT_REQUESTED"
    SECOND_PERSON_REQUIRED = "SECOND_PERSON_REQUIRED"
    NOT_APPROVED = "NOT_APPROVED"
    NOT_YET_DUE = "NOT_YET_DUE"
    ERASURE_HELD = "ERASURE_HELD"
    NOT_CHECKED = "NOT_CHECKED"
    STILL_NEEDED = "STILL_NEEDED"
    KEY_NOT_DESTROYED = "KEY_NOT_DESTROYED"


# -- enums and fields -------------------------------------------------------------------------------------------------


class Role(StrEnum):
    """What somebody may do at the clinic, and what is opened for them on a screen.

    The front desk sees who comes and when; a trainee sees charts and drafts, and signs nothing alone; a clinician
    signs and prescribes; a pharmacist verifies and dispenses; an auditor sees who did what, and no chart.
    """

    FRONT_DESK = "front_desk"
    TRAINEE = "trainee"
    CLINICIAN = "clinician"
    PHARMACIST = "pharmacist"
    AUDITOR = "auditor"


class AllergyCategory(StrEnum):
    """What kind of substance somebody does not tolerate."""

    MEDICATION = "medication"
    FOOD = "food"
    ENVIRONMENT = "environment"
    BIOLOGIC = "biologic"


DispensingId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,47}$"), Meta(max_length=48)]
"""A dispensing's id: up to 48 characters, so that the ids of what follows from it have room."""


def _no_administrations(id: str) -> str:
    if id.startswith("a-"):
        raise ValueError("it begins with a-, as the goods of administrations are named; choose another")
    return id


NewDispensingId = Annotated[DispensingId, AfterValidator(_no_administrations)]
"""The id of a dispensing that is to be: inventory gives its goods out under it, and those of administrations under
`a-` and their id."""

AdministrationId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,47}$"), Meta(max_length=48)]
"""An administration's id: up to 48 characters; inventory gives its goods out under `a-` and it."""


@value
class Coding:
    """A code of a published terminology, and what it says in words.

    `system` `text` stands for what has no code: `display` alone says it, and nothing is checked against it.
    """

    system: CodeSystem
    code: Annotated[str, Field(pattern=CODE_PATTERN, max_length=32), Meta(max_length=32)] = ""
    display: Text


def _well_formed(coding: Coding) -> Coding:
    wrong = fault(coding.system, coding.code)
    if wrong is not None:
        raise ValueError(wrong)
    return coding


Coded = Annotated[Coding, AfterValidator(_well_formed)]
"""A code whose form is that of its system, check digit included."""


@value
class Measure:
    """A measured value: 366 with 1 decimal, in Cel, is 36.6 °C. `unit` is a UCUM code, `1` for a plain number."""

    value: Annotated[int, Field(ge=-MAX_INTEGER, le=MAX_INTEGER), Meta(ge=-MAX_INTEGER, le=MAX_INTEGER)]
    decimals: Annotated[int, Field(ge=0, le=6), Meta(ge=0, le=6)] = 0
    unit: Annotated[str, Field(pattern=UNIT_PATTERN, max_length=40), Meta(max_length=40)]
