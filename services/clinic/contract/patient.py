"""Commands and events of `patient`: who somebody is, what they agreed to, and what is known of their health for good.

    RegisterPatient -> PatientRegistered, ChangeContact -> ContactChanged
    MergePatients -> PatientsMerged, UnmergePatients -> PatientsUnmerged; NoteMerge by the process, in the other one
    GrantConsent -> ConsentGranted, WithdrawConsent -> ConsentWithdrawn
    RecordAllergy -> AllergyRecorded, RefuteAllergy -> AllergyRefuted, AssertNoKnownAllergy -> NoKnownAllergyAsserted
    RecordProblem -> ProblemRecorded, RecordResult -> ResultRecorded

Front desk, clinicians, trainees and pharmacists register patients, change how to reach them, and record consents; front
desk and clinicians merge records and part them; clinicians, trainees and pharmacists record allergies, problems and
results, of whom clinicians and pharmacists refute an allergy. Who registers a patient with `imported_from` needs no
role, since a service may do it.

That nothing is recorded of a patient's allergies is not that there are none: only NoKnownAllergyAsserted says that.
`content` is sealed under the patient's key.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from services.clinic.contract.base import (
    AllergyCategory,
    Coded,
    Date,
    Id,
    Measure,
    Moment,
    Note,
    Text,
    command,
    event,
    value,
)
from shared.personal import PersonalValue, Sealed
from shared.types import shaped

# -- who it is --------------------------------------------------------------------------------------------------------


class Sex(StrEnum):
    """Administrative gender, in the words of FHIR R4's value set."""

    FEMALE = "female"
    MALE = "male"
    OTHER = "other"
    UNKNOWN = "unknown"


_LANGUAGE: Final = shaped(r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,4}$", "a language is a tag, such as tr or es-MX")


@value
class Contact:
    """How to reach somebody. `language` is a BCP 47 tag, such as tr or es-MX."""

    phone: Text | None = None
    email: Text | None = None
    street: Text | None = None
    city: Text | None = None
    state: Text | None = None
    postal_code: Text | None = None
    country: Text | None = None
    language: Annotated[str, Field(pattern=_LANGUAGE)] | None = None
    guardian: Text | None = None
    guardian_phone: Text | None = None


@value
class Demographics:
    """Who a patient is. All but a name may be unknown. `identifiers` are numbers that others know them by."""

    family: Text | None = None
    given: Annotated[tuple[Text, ...], Field(max_length=5)] = ()
    born: Date | None = None
    died: Date | None = None
    sex: Sex = Sex.UNKNOWN
    contact: Contact | None = None
    identifiers: Annotated[tuple[Text, ...], Field(max_length=10)] = ()


@event(category="patient")
class PatientRegistered:
    """Somebody is a patient. `imported_from` names where their records were taken over from."""

    patient: Id
    content: Annotated[PersonalValue, Sealed(of="patient", holds=Demographics)]
    imported_from: Text | None = None
    occurred_at: Moment


@command(category="patient", aggregate="patient", makes=(PatientRegistered,))
class RegisterPatient:
    """Register a patient: a name, and what else is known."""

    patient: Id
    content: Demographics
    imported_from: Text | None = None
    occurred_at: Moment | None = None


@event(category="patient")
class ContactChanged:
    """Who a patient is and how to reach them is this from now on, as a whole."""

    patient: Id
    content: Annotated[PersonalValue, Sealed(of="patient", holds=Demographics)]
    occurred_at: Moment


@command(category="patient", aggregate="patient", makes=(ContactChanged,))
class ChangeContact:
    """Correct who a patient is and how to reach them, as a whole: what is left out is not known any more."""

    patient: Id
    content: Demographics
    occurred_at: Moment | None = None


@event(category="patient")
class PatientsMerged:
    """Two records are of one person: this one goes on as `into`. Both keep what was recorded in them."""

    patient: Id
    into: Id
    reason: Annotated[str, Sealed(of="patient")]
    occurred_at: Moment


@command(category="patient", aggregate="patient", makes=(PatientsMerged,))
class MergePatients:
    """Let a patient's record go on as another's, being the same person's."""

    patient: Id
    into: Id
    reason: Note
    occurred_at: Moment | None = None


@event(category="patient")
class PatientsUnmerged:
    """The two records were of two people after all: each stands for itself again."""

    patient: Id
    into: Id
    reason: Annotated[str, Sealed(of="patient")]
    occurred_at: Moment


@command(category="patient", aggregate="patient", makes=(PatientsUnmerged,))
class UnmergePatients:
    """Take back a merge of two different people. What was recorded since in the one that went on stays there."""

    patient: Id
    into: Id
    reason: Note
    occurred_at: Moment | None = None


@event(category="patient")
class MergeNoted:
    """Another record goes on as this patient's, or (`merged` false) does not any more."""

    patient: Id
    other: Id
    merged: bool
    occurred_at: Moment


@command(category="patient", aggregate="patient", makes=(MergeNoted,))
class NoteMerge:
    """Note that another record goes on as this one; sent by a process manager."""

    patient: Id
    other: Id
    merged: bool
    occurred_at: Moment | None = None


# -- consent ----------------------------------------------------------------------------------------------------------


@value
class Consent:
    """What a patient agreed to: `purpose` of what in `scope`, with whom. Without an end it stands until withdrawn."""

    purpose: Text
    scope: Text
    with_whom: Text | None = None
    until: Date | None = None


@event(category="patient")
class ConsentGranted:
    """A patient agreed."""

    patient: Id
    consent: Id
    content: Annotated[PersonalValue, Sealed(of="patient", holds=Consent)]
    occurred_at: Moment


@command(category="patient", aggregate="patient", makes=(ConsentGranted,))
class GrantConsent:
    """Record what a patient agreed to."""

    patient: Id
    consent: Id
    content: Consent
    occurred_at: Moment | None = None


@event(category="patient")
class ConsentWithdrawn:
    """A patient agrees no longer. What was done before stays rightful."""

    patient: Id
    consent: Id
    occurred_at: Moment


@command(category="patient", aggregate="patient", makes=(ConsentWithdrawn,))
class WithdrawConsent:
    """Record that a patient withdrew a consent."""

    patient: Id
    consent: Id
    occurred_at: Moment | None = None


# -- allergies --------------------------------------------------------------------------------------------------------


class Severity(StrEnum):
    """How bad a reaction was, in the words of FHIR R4's value set."""

    MILD = "mild"
    MODERATE = "moderate"
    SEVERE = "severe"


class Verification(StrEnum):
    """How sure an allergy is, in FHIR's words. One that is refuted is recorded as that (RefuteAllergy)."""

    UNCONFIRMED = "unconfirmed"
    PRESUMED = "presumed"
    CONFIRMED = "confirmed"


class AllergyStatus(StrEnum):
    """Whether an allergy lasts, in the words of FHIR R4's value set."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    RESOLVED = "resolved"


@value
class Allergy:
    """What a patient does not tolerate: a substance, coded where it can be (RxNorm, ATC, SNOMED CT).

    How sure it is and whether it lasts are what somebody said, here or where it came from; None when nobody did. It
    stands, and is compared with medicines, until it is refuted here.
    """

    substance: Coded
    category: AllergyCategory
    intolerance: bool = False
    reaction: Coded | None = None
    severity: Severity | None = None
    since: Date | None = None
    note: Note | None = None
    verification: Verification | None = None
    clinical_status: AllergyStatus | None = None


@event(category="patient")
class AllergyRecorded:
    """A patient has an allergy or intolerance, until it is refuted."""

    patient: Id
    allergy: Id
    content: Annotated[PersonalValue, Sealed(of="patient", holds=Allergy)]
    occurred_at: Moment


@command(category="patient", aggregate="patient", makes=(AllergyRecorded,))
class RecordAllergy:
    """Record an allergy or intolerance. The same id again with other content says what is known of it from now on."""

    patient: Id
    allergy: Id
    content: Allergy
    occurred_at: Moment | None = None


@event(category="patient")
class AllergyRefuted:
    """An allergy that was recorded is none."""

    patient: Id
    allergy: Id
    reason: Annotated[str, Sealed(of="patient")]
    occurred_at: Moment


@command(category="patient", aggregate="patient", makes=(AllergyRefuted,))
class RefuteAllergy:
    """Record that an allergy was found to be none, and how."""

    patient: Id
    allergy: Id
    reason: Note
    occurred_at: Moment | None = None


@event(category="patient")
class NoKnownAllergyAsserted:
    """Somebody asked, and no allergy of the kind is known: the patient's allergies are known to be none so far."""

    patient: Id
    category: AllergyCategory
    occurred_at: Moment


@command(category="patient", aggregate="patient", makes=(NoKnownAllergyAsserted,))
class AssertNoKnownAllergy:
    """Record that the patient was asked and no allergy of the kind is known. Refused while one is recorded."""

    patient: Id
    category: AllergyCategory = AllergyCategory.MEDICATION
    occurred_at: Moment | None = None


# -- problems and results ---------------------------------------------------------------------------------------------


class ProblemStatus(StrEnum):
    """Whether a problem stands, in the words of FHIR R4's value set."""

    ACTIVE = "active"
    REMISSION = "remission"
    RESOLVED = "resolved"
    REFUTED = "refuted"


@value
class Problem:
    """A diagnosis or another concern (SNOMED CT or ICD-10)."""

    code: Coded
    status: ProblemStatus = ProblemStatus.ACTIVE
    since: Date | None = None
    ended: Date | None = None
    note: Note | None = None


@event(category="patient")
class ProblemRecorded:
    """A patient has a problem; this is what is known of it from now on."""

    patient: Id
    problem: Id
    content: Annotated[PersonalValue, Sealed(of="patient", holds=Problem)]
    occurred_at: Moment


@command(category="patient", aggregate="patient", makes=(ProblemRecorded,))
class RecordProblem:
    """Record a problem. The same id again with other content says what is known of it from now on."""

    patient: Id
    problem: Id
    content: Problem
    occurred_at: Moment | None = None


class ResultCategory(StrEnum):
    """What kind of examination a result is of: HL7's observation-category."""

    LABORATORY = "laboratory"
    IMAGING = "imaging"
    PROCEDURE = "procedure"
    SURVEY = "survey"
    EXAM = "exam"
    THERAPY = "therapy"
    ACTIVITY = "activity"
    SOCIAL_HISTORY = "social-history"
    VITAL_SIGNS = "vital-signs"


@value
class Result:
    """What was found (LOINC): a measure, a code, or words. Without a `category` it is of the one that its code is known
    for, or else of a laboratory."""

    code: Coded
    measured: Measure | None = None
    coded: Coded | None = None
    text: Note | None = None
    found_at: Moment
    reference: Text | None = None
    category: ResultCategory | None = None


@event(category="patient")
class ResultRecorded:
    """A result of a laboratory or of another examination came. `corrects` is the earlier one that it stands for."""

    patient: Id
    result: Id
    content: Annotated[PersonalValue, Sealed(of="patient", holds=Result)]
    encounter: Id | None = None
    corrects: Id | None = None
    occurred_at: Moment


@command(category="patient", aggregate="patient", makes=(ResultRecorded,))
class RecordResult:
    """Record a result; a mistaken one is corrected by another, which names it."""

    patient: Id
    result: Id
    content: Result
    encounter: Id | None = None
    corrects: Id | None = None
    occurred_at: Moment | None = None


__all__ = [
    "Allergy", "AllergyRecorded", "AllergyRefuted", "AllergyStatus", "AssertNoKnownAllergy", "ChangeContact", "Consent",
    "ConsentGranted", "ConsentWithdrawn", "Contact", "ContactChanged", "Demographics", "GrantConsent", "MergeNoted",
    "MergePatients", "NoKnownAllergyAsserted", "NoteMerge", "PatientRegistered", "PatientsMerged", "PatientsUnmerged",
    "Problem", "ProblemRecorded", "ProblemStatus", "RecordAllergy", "RecordProblem", "RecordResult", "RefuteAllergy",
    "RegisterPatient", "Result", "ResultCategory", "ResultRecorded", "Severity", "Sex", "UnmergePatients",
    "Verification", "WithdrawConsent",
]  # fmt: skip
