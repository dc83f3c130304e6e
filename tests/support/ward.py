"""A small synthetic service whose personal data has a structure: allergies and readings of the patients of a ward."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from shared.command import Answer
from shared.contract import Contract, fields_of, value
from shared.decider import Context, Decider
from shared.errors import Rejected
from shared.event import decode
from shared.personal import PersonalValue, Sealed
from shared.types import Date, Delta, Id, Moment, Note, Text
from tests.support.club import Club, Place

ward = Contract("ward")


class WardError(StrEnum):
    KNOWN_ALREADY = "KNOWN_ALREADY"


class Severity(StrEnum):
    MILD = "mild"
    SEVERE = "severe"


@value
class Reaction:
    """What somebody got of it."""

    sign: Note
    severity: Severity


@value
class Allergy:
    """What somebody does not tolerate, since when, and what they get of it."""

    substance: Text
    since: Date | None = None
    reactions: tuple[Reaction, ...] = ()


@value
class Reading:
    """One vital sign, in its own base unit."""

    code: Text
    reading: Delta
    at: Moment


@value
class Bed:
    """Where somebody lies: a value in clear, what is said of whose stay is sealed."""

    bed: Id
    stay: Annotated[PersonalValue | None, Sealed(of="patient", holds=Reaction)] = None


@ward.event(category="patient")
class AllergyRecorded:
    """Somebody does not tolerate something."""

    patient: Id
    allergy: Id
    content: Annotated[PersonalValue, Sealed(of="patient", holds=Allergy)]
    remark: Annotated[str | None, Sealed(of="patient")] = None


@ward.command(category="patient", aggregate="patient", makes=(AllergyRecorded,))
class RecordAllergy:
    """Record an allergy; a substance that is known already is refused."""

    patient: Id
    allergy: Id
    content: Allergy
    remark: Note | None = None


@ward.event(category="patient")
class VitalsTaken:
    """Somebody's vital signs were taken."""

    patient: Id
    readings: Annotated[PersonalValue, Sealed(of="patient", holds=tuple[Reading, ...])]
    first: Annotated[PersonalValue, Sealed(of="patient", holds=Reading)] | None = None
    beds: tuple[Bed, ...] = ()


@ward.command(category="patient", aggregate="patient", makes=(VitalsTaken,))
class TakeVitals:
    """Record vital signs."""

    patient: Id
    readings: Annotated[tuple[Reading, ...], Field(min_length=1, max_length=500)]
    first: Reading | None = None
    beds: tuple[Bed, ...] = ()


ward.freeze()


@dataclass
class Patient:
    allergies: dict[str, str] = field(default_factory=dict)
    """By id, sealed."""
    readings: list[str] = field(default_factory=list)


def _decide(command: Any, state: Patient, context: Context) -> Any:
    match command:
        case RecordAllergy(content=content):
            known = (context.unseal_as(text, Allergy) for text in state.allergies.values())
            if any(one is not None and one.substance == content.substance for one in known):
                raise Rejected(WardError.KNOWN_ALREADY, "It is known already.")
            return AllergyRecorded(
                patient=command.patient, allergy=command.allergy, content=content, remark=command.remark
            )
        case TakeVitals():
            return VitalsTaken(**dict(fields_of(command)))
    raise AssertionError(command)


def _evolve(state: Patient, event: Any) -> Patient:
    match event:
        case AllergyRecorded():
            state.allergies[event.allergy] = event.content
        case VitalsTaken():
            state.readings.append(event.readings)
    return state


def _check(state: Patient) -> list[str]:
    texts = [*state.allergies.values(), *state.readings]
    return [f"{text} stands there for all to read" for text in texts if not text.startswith("sealed:")]


patients: Decider[Patient] = Decider(ward, "patient", Patient, Patient, _decide, _evolve, _check)


@asynccontextmanager
async def running(place: Place) -> AsyncIterator[Club]:
    service = Club(ward, [patients], place.settings())
    await service.start()
    try:
        yield service
    finally:
        await service.stop()


def event_of(answer: Answer) -> Any:
    assert answer.event is not None
    return decode(answer.event, contract=ward).data
