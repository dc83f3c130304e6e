"""Commands and events of `administration`: what was given to a patient at the clinic: a medicine, or a vaccine.

Both compare the medicine with the patient's allergies and draw on inventory's stock, and an `encounter` that they name
is one of the patient's. What was given elsewhere, or long
ago, names where it is known from, and draws on nothing.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta
from pydantic import Field

from services.clinic.contract.base import (
    REMARK,
    AdministrationId,
    ClinicError,
    Coded,
    Date,
    Id,
    LotNumber,
    Measure,
    Moment,
    Note,
    Quantity,
    Revision,
    Text,
    command,
    event,
    value,
)
from services.clinic.contract.dispensing import Check
from shared.personal import PersonalValue, Sealed


@value
class Given:
    """A medicine as it was given: dose, route and site."""

    medication: Coded
    dose: Measure
    route: Coded | None = None
    site: Coded | None = None
    note: Note | None = None


@event(category="administration")
class MedicationAdministered:
    """A medicine was given to a patient at the clinic. `breaches` are the rules that it broke: somebody looks."""

    administration: AdministrationId
    patient: Id
    encounter: Id | None = None
    item: Id
    location: Id
    quantity: Quantity
    lot: LotNumber
    expires: Date | None = None
    content: Annotated[PersonalValue, Sealed(of="patient", holds=Given)]
    override_reason: Annotated[str | None, Sealed(of="patient")] = None
    fact: bool = False
    check: Annotated[PersonalValue, Sealed(of="patient", holds=Check)]
    breaches: tuple[ClinicError, ...] = ()
    occurred_at: Moment


@command(category="administration", aggregate="administration", makes=(MedicationAdministered,))
class AdministerMedication:
    """Give a medicine from stock. An alert stops it unless a licensed role gives an `override_reason`. `expires` is the
    date on its package.

    With `fact`, or late, it is recorded whatever it broke.
    """

    administration: AdministrationId
    patient: Id
    encounter: Id | None = None
    item: Id
    location: Id
    quantity: Quantity
    lot: LotNumber
    expires: Date | None = None
    content: Given
    override_reason: Note | None = None
    fact: bool = False
    occurred_at: Moment | None = None


@value
class Immunization:
    """A vaccine as it was given (CVX): maker, lot, expiry, where on the body, and which information sheet.

    US law asks for the maker, the lot, the date, who gave it with title and address, and the edition of the
    information sheet and when it was handed over (42 U.S.C. 300aa-25).
    """

    vaccine: Coded
    manufacturer: Text | None = None
    lot: LotNumber | None = None
    expires: Date | None = None
    dose: Measure | None = None
    route: Coded | None = None
    site: Coded | None = None
    dose_number: Annotated[int, Field(ge=1, le=20), Meta(ge=1, le=20)] | None = None
    administered_by: Text | None = None
    title: Text | None = None
    sheet: Text | None = None
    sheet_edition: Date | None = None
    sheet_given_on: Date | None = None
    place: Text | None = None


@event(category="administration")
class ImmunizationGiven:
    """A vaccine was given: here, from stock (`item`, `location`), or elsewhere (`imported_from`)."""

    administration: AdministrationId
    patient: Id
    encounter: Id | None = None
    item: Id | None = None
    location: Id | None = None
    quantity: Quantity | None = None
    lot: LotNumber | None = None
    content: Annotated[PersonalValue, Sealed(of="patient", holds=Immunization)]
    override_reason: Annotated[str | None, Sealed(of="patient")] = None
    fact: bool = False
    imported_from: Text | None = None
    check: Annotated[PersonalValue | None, Sealed(of="patient", holds=Check)] = None
    breaches: tuple[ClinicError, ...] = ()
    occurred_at: Moment


@command(category="administration", aggregate="administration", makes=(ImmunizationGiven,))
class GiveImmunization:
    """Give a vaccine from stock (item, location, quantity, lot), or record one from elsewhere (`imported_from`)."""

    administration: AdministrationId
    patient: Id
    encounter: Id | None = None
    item: Id | None = None
    location: Id | None = None
    quantity: Quantity | None = None
    lot: LotNumber | None = None
    content: Immunization
    override_reason: Note | None = None
    fact: bool = False
    imported_from: Text | None = None
    occurred_at: Moment | None = None


@event(category="administration")
class StockDrawn:
    """Inventory gave out what was administered; `movement` is the revision in that stock."""

    administration: AdministrationId
    movement: Revision
    occurred_at: Moment


@command(category="administration", aggregate="administration", makes=(StockDrawn,))
class NoteDrawn:
    """Note what inventory gave out; sent by a process manager."""

    administration: AdministrationId
    movement: Revision
    occurred_at: Moment | None = None


@event(category="administration")
class AdministrationReversed:
    """It was recorded by mistake, and not given so. `movements` of stock known by then are taken back."""

    administration: AdministrationId
    patient: Id
    reason: Annotated[str, Sealed(of="patient")]
    item: Id | None = None
    location: Id | None = None
    movements: tuple[Revision, ...] = ()
    occurred_at: Moment


@command(category="administration", aggregate="administration", makes=(AdministrationReversed,))
class ReverseAdministration:
    """Take back what was recorded by mistake."""

    administration: AdministrationId
    patient: Id
    reason: Note
    occurred_at: Moment | None = None


@event(category="administration")
class AdministrationResolved:
    """Somebody looked into what was given against a rule, and closed its review."""

    administration: AdministrationId
    patient: Id
    note: Annotated[str, REMARK]
    occurred_at: Moment


@command(category="administration", aggregate="administration", makes=(AdministrationResolved,))
class ResolveAdministration:
    """Close the review of what was given against a rule."""

    administration: AdministrationId
    patient: Id
    note: Note
    occurred_at: Moment | None = None


__all__ = [
    "AdministerMedication", "AdministrationResolved", "AdministrationReversed", "GiveImmunization", "Given",
    "Immunization", "ImmunizationGiven", "MedicationAdministered", "NoteDrawn", "ResolveAdministration",
    "ReverseAdministration", "StockDrawn",
]  # fmt: skip
