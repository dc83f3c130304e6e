"""Commands and events of `prescription`: what was ordered for a patient, who stands for it, and how much was given.

    Prescribe   -> MedicationPrescribed -> SignPrescription -> PrescriptionSigned
    StopPrescription -> PrescriptionStopped
    AllotSupply -> SupplyAllotted, ReturnSupply -> SupplyReturned: sent by the dispensing process, so that no more is
                   given than was ordered

An order that was imported says what somebody took elsewhere; nothing is ever dispensed on it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta
from pydantic import Field

from services.clinic.contract.base import (
    Coded,
    DispensingId,
    Id,
    Measure,
    Moment,
    Note,
    Quantity,
    Text,
    command,
    event,
    value,
)
from shared.personal import PersonalValue, Sealed

Days = Annotated[int, Field(ge=1, le=366), Meta(ge=1, le=366)]


class OrderStatus(StrEnum):
    """How an imported order stood where it came from."""

    ACTIVE = "active"
    COMPLETED = "completed"
    STOPPED = "stopped"


@value
class Order:
    """What is ordered: a medicine (RxNorm), its dose, in words how to take it, and how much to give out.

    `quantity` is in the item's base unit for one fill, and lasts `days_supply` days; `repeats` are further fills.
    """

    medication: Coded
    dose: Measure | None = None
    route: Coded | None = None
    directions: Note
    as_needed: bool = False
    quantity: Quantity | None = None
    days_supply: Days | None = None
    repeats: Annotated[int, Field(ge=0, le=12), Meta(ge=0, le=12)] = 0
    reason: Coded | None = None
    prescriber: Text | None = None


@event(category="prescription")
class MedicationPrescribed:
    """A medicine was ordered for a patient; without effect until it is signed."""

    prescription: Id
    patient: Id
    encounter: Id | None = None
    content: Annotated[PersonalValue, Sealed(of="patient", holds=Order)]
    imported_from: Text | None = None
    status: OrderStatus = OrderStatus.ACTIVE
    occurred_at: Moment


@command(category="prescription", aggregate="prescription", makes=(MedicationPrescribed,))
class Prescribe:
    """Order a medicine, in an `encounter` of the patient's if it names one. Controlled substances are refused.

    `status` is of an imported order alone, and its encounter is taken as it came.
    """

    prescription: Id
    patient: Id
    encounter: Id | None = None
    content: Order
    imported_from: Text | None = None
    status: OrderStatus = OrderStatus.ACTIVE
    occurred_at: Moment | None = None


@event(category="prescription")
class PrescriptionSigned:
    """A licensed clinician stands for an order; it may be dispensed until the end of `valid_days`."""

    prescription: Id
    patient: Id
    signed_by: str
    valid_days: Days
    occurred_at: Moment


@command(category="prescription", aggregate="prescription", makes=(PrescriptionSigned,))
class SignPrescription:
    """Sign an order as its prescriber, with a licence that is valid today."""

    prescription: Id
    patient: Id
    valid_days: Days = 365
    occurred_at: Moment | None = None


@event(category="prescription")
class PrescriptionStopped:
    """An order is not to be followed any more."""

    prescription: Id
    patient: Id
    reason: Annotated[str, Sealed(of="patient")]
    occurred_at: Moment


@command(category="prescription", aggregate="prescription", makes=(PrescriptionStopped,))
class StopPrescription:
    """Stop an order; what was not dispensed of it is not dispensed any more."""

    prescription: Id
    patient: Id
    reason: Note
    occurred_at: Moment | None = None


@event(category="prescription")
class SupplyAllotted:
    """So much of what was ordered is for a dispensing; `allotted` is the sum of all that count with it.

    With `over` a licensed role answered for giving more than was ordered, or it was given already (`fact`).
    """

    prescription: Id
    patient: Id
    dispensing: DispensingId
    quantity: Quantity
    overridden: bool = False
    fact: bool = False
    allotted: Quantity
    over: bool
    occurred_at: Moment


@command(category="prescription", aggregate="prescription", makes=(SupplyAllotted,))
class AllotSupply:
    """Count a dispensing against what was ordered; sent by the dispensing process."""

    prescription: Id
    patient: Id
    dispensing: DispensingId
    quantity: Quantity
    overridden: bool = False
    fact: bool = False
    occurred_at: Moment | None = None


@event(category="prescription")
class SupplyReturned:
    """A dispensing came to nothing, and does not count against what was ordered, if ever it did."""

    prescription: Id
    patient: Id
    dispensing: DispensingId
    occurred_at: Moment


@command(category="prescription", aggregate="prescription", makes=(SupplyReturned,))
class ReturnSupply:
    """Count a dispensing no longer; sent by the dispensing process."""

    prescription: Id
    patient: Id
    dispensing: DispensingId
    occurred_at: Moment | None = None


__all__ = [
    "AllotSupply", "Days", "MedicationPrescribed", "Order", "OrderStatus", "Prescribe", "PrescriptionSigned",
    "PrescriptionStopped", "ReturnSupply", "SignPrescription", "StopPrescription", "SupplyAllotted", "SupplyReturned",
]  # fmt: skip
