"""Commands and events of `dispensing`: one medicine on its way from the shelf into a patient's hands.

    RequestDispensing -> DispensingRequested   the process claims order and fill, and sets the goods aside in inventory
    RecheckDispensing -> DispensingRechecked   an allergy was recorded, or refuted, since
    OverrideAlert     -> AlertOverridden       each alert, by a licensed role, with a reason
    VerifyDispensing  -> DispensingVerified    by a pharmacist or the prescriber; nothing open, all set aside
    Dispense          -> MedicationDispensed   labelled and handed over; the goods leave inventory. As a fact it is
                                               recorded though nobody requested it: it says what it was (`unrequested`)
    RefuseDispensing  -> DispensingRefused, UnpickDispensing -> DispensingUnpicked (never collected, back to stock)
    ReturnMedicine    -> MedicineReturned      what left and came back is destroyed

The notes (AlertNoted, GoodsSetAside, GoodsFreed, GoodsIssued) are sent by process managers.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field

from services.clinic.contract.base import (
    REMARK,
    Amount,
    ClinicError,
    Date,
    DispensingId,
    Id,
    LotNumber,
    Moment,
    NewDispensingId,
    Note,
    Quantity,
    Revision,
    Role,
    Text,
    command,
    event,
    value,
)
from services.clinic.contract.prescription import Days
from services.inventory.contract import lot_form
from shared.personal import PersonalValue, Sealed


class AlertKind(StrEnum):
    """What somebody with a licence must answer for before a medicine is given."""

    ALLERGY = "allergy"
    ALLERGY_STATUS_UNKNOWN = "allergy_status_unknown"
    ALLERGY_NOT_COMPARABLE = "allergy_not_comparable"
    DUPLICATE = "duplicate"
    BEYOND_ORDER = "beyond_order"


@value
class Alert:
    """An alert, and what it is about in words."""

    kind: AlertKind
    detail: Text


@value
class Check:
    """What was looked at before a medicine is given, in words, and the alerts that came of it.

    No alert is not the same as safe: `checked` says with what the medicine was compared, and from which table.
    """

    alerts: Annotated[tuple[Alert, ...], Field(max_length=40)] = ()
    checked: Annotated[tuple[Text, ...], Field(max_length=60)] = ()


@value
class Override:
    """An alert that somebody answers for, and why."""

    alert: AlertKind
    reason: Note


class Claim(StrEnum):
    """What a dispensing claims elsewhere, and may claim beyond its limit once an alert about it is answered for."""

    SUPPLY = "supply"
    FILL = "fill"


@value
class LotLine:
    """So much of an item out of one lot. UNKNOWN is the stock of unknown lot."""

    lot: LotNumber
    quantity: Quantity
    date: Date | None = None
    owner: Id | None = None
    manufacturer: Text | None = None


_Lots = Annotated[tuple[LotLine, ...], Field(max_length=40)]


def _each_once(lots: tuple[LotLine, ...]) -> tuple[LotLine, ...]:
    seen = set()
    for line in lots:
        key = (lot_form(line.lot), line.date, line.owner)
        if key in seen:
            raise ValueError(f"lot {line.lot} is in it twice; add up what is of one lot, date and owner")
        seen.add(key)
    return lots


_Given = Annotated[_Lots, AfterValidator(_each_once)]
"""Lots as somebody says them, each once."""


@event(category="dispensing")
class DispensingRequested:
    """A signed order is to be filled from an item at a place. `check` says what was looked at, and which alerts stand.

    It is unpicked at `due_at` unless it is collected by then. `expires_after` is the last day of the supply.
    """

    dispensing: DispensingId
    patient: Id
    prescription: Id
    item: Id
    location: Id
    quantity: Quantity
    days_supply: Days
    check: Annotated[PersonalValue, Sealed(of="patient", holds=Check)]
    prescriber: str
    expires_after: Date
    due_at: Moment
    occurred_at: Moment


@command(category="dispensing", aggregate="dispensing", makes=(DispensingRequested,))
class RequestDispensing:
    """Fill a signed order from an item at a place. `days_supply` is how long so much lasts by the order."""

    dispensing: NewDispensingId
    patient: Id
    prescription: Id
    item: Id
    location: Id
    quantity: Quantity
    days_supply: Days
    occurred_at: Moment | None = None


@event(category="dispensing")
class DispensingRechecked:
    """What is known of the patient's allergies has changed since: this is what was looked at, and stands, by now."""

    dispensing: DispensingId
    patient: Id
    check: Annotated[PersonalValue, Sealed(of="patient", holds=Check)]
    occurred_at: Moment


@command(category="dispensing", aggregate="dispensing", makes=(DispensingRechecked,))
class RecheckDispensing:
    """Compare the medicine with what is known by now; sent by the dispensing process when an allergy is recorded."""

    dispensing: DispensingId
    patient: Id
    occurred_at: Moment | None = None


@event(category="dispensing")
class AlertNoted:
    """What another aggregate said against it: more than was ordered, or given within the last days."""

    dispensing: DispensingId
    patient: Id
    content: Annotated[PersonalValue, Sealed(of="patient", holds=Alert)]
    occurred_at: Moment


@command(category="dispensing", aggregate="dispensing", makes=(AlertNoted,))
class NoteAlert:
    """Note an alert; sent by the dispensing process."""

    dispensing: DispensingId
    patient: Id
    content: Alert
    occurred_at: Moment | None = None


@event(category="dispensing")
class AlertOverridden:
    """Somebody with a licence answers for an alert: for those of its kind that stood by then (`answered`).

    One that comes up later stands for itself. `claim` is what may now be claimed beyond its limit.
    """

    dispensing: DispensingId
    patient: Id
    content: Annotated[PersonalValue, Sealed(of="patient", holds=Override)]
    answered: Annotated[PersonalValue, Sealed(of="patient", holds=tuple[Alert, ...])]
    claim: Claim | None = None
    role: Role
    occurred_at: Moment


@command(category="dispensing", aggregate="dispensing", makes=(AlertOverridden,))
class OverrideAlert:
    """Answer for an alert, with a reason; only under a valid licence, as clinician or pharmacist."""

    dispensing: DispensingId
    patient: Id
    content: Override
    occurred_at: Moment | None = None


@event(category="dispensing")
class GoodsSetAside:
    """Inventory set goods aside for a dispensing; `short` is what was asked for and is not there.

    All is set aside or, with no `lots`, nothing: part of what was asked for may be there, and is left to others.
    """

    dispensing: DispensingId
    item: Id
    location: Id
    asked: Quantity
    lots: tuple[LotLine, ...]
    short: Amount
    occurred_at: Moment


@command(category="dispensing", aggregate="dispensing", makes=(GoodsSetAside,))
class NoteSetAside:
    """Note what inventory set aside; sent by a process manager."""

    dispensing: DispensingId
    item: Id
    location: Id
    asked: Quantity
    lots: _Lots
    short: Amount
    occurred_at: Moment | None = None


@event(category="dispensing")
class GoodsFreed:
    """What was set aside is not any more, as after a recall; `remaining` still is."""

    dispensing: DispensingId
    lots: tuple[LotLine, ...]
    remaining: Amount
    occurred_at: Moment


@command(category="dispensing", aggregate="dispensing", makes=(GoodsFreed,))
class NoteFreed:
    """Note what inventory freed or took away; sent by a process manager."""

    dispensing: DispensingId
    lots: _Lots
    occurred_at: Moment | None = None


@event(category="dispensing")
class GoodsIssued:
    """Inventory gave the goods out: `movement` is the revision in that stock, `unrecorded` was beyond its ledger."""

    dispensing: DispensingId
    movement: Revision
    quantity: Quantity
    unrecorded: Amount = 0
    occurred_at: Moment


@command(category="dispensing", aggregate="dispensing", makes=(GoodsIssued,))
class NoteIssued:
    """Note what inventory gave out; sent by a process manager."""

    dispensing: DispensingId
    movement: Revision
    quantity: Quantity
    unrecorded: Amount = 0
    occurred_at: Moment | None = None


@event(category="dispensing")
class DispensingVerified:
    """A pharmacist, or the prescriber who dispenses, checked medicine, order and label. `lots` are those in the bag."""

    dispensing: DispensingId
    patient: Id
    role: Role
    lots: tuple[LotLine, ...]
    occurred_at: Moment


@command(category="dispensing", aggregate="dispensing", makes=(DispensingVerified,))
class VerifyDispensing:
    """Verify a dispensing, as a pharmacist or as the order's prescriber."""

    dispensing: DispensingId
    patient: Id
    occurred_at: Moment | None = None


@value
class Handed:
    """To whom a medicine was handed, and who that is to the patient."""

    recipient: Text
    relationship: Text | None = None


@value
class Unrequested:
    """What was handed over although nobody had requested it here, as while the network was down. How much it was, and
    of which lots, its `lines` say. `prescription` is the order that it was given on, if it was given on one.
    """

    item: Id
    location: Id
    days_supply: Days
    prescription: Id | None = None


@event(category="dispensing")
class MedicationDispensed:
    """A medicine is in the hands of the patient, or of somebody who fetched it: lots, maker, expiry and recipient.

    `lots` are what was handed over, `lines` what was said of it.
    `discard_by` is on its label. `breaches` are the rules that a fact broke: somebody looks at them.
    What nobody had requested was compared with the chart now, when it was recorded (`check`).
    """

    dispensing: DispensingId
    patient: Id
    prescription: Id | None
    item: Id
    location: Id
    quantity: Quantity
    days_supply: Days
    lots: tuple[LotLine, ...]
    lines: tuple[LotLine, ...] = ()
    content: Annotated[PersonalValue, Sealed(of="patient", holds=Handed)]
    label_printed: bool
    fact: bool = False
    unrequested: Unrequested | None = None
    check: Annotated[PersonalValue | None, Sealed(of="patient", holds=Check)] = None
    discard_by: Date | None = None
    breaches: tuple[ClinicError, ...] = ()
    occurred_at: Moment


@command(category="dispensing", aggregate="dispensing", makes=(MedicationDispensed,))
class Dispense:
    """Hand a verified medicine over, labelled. With `fact`, or late, it is recorded whatever it broke.

    `lines` left out are the lots that were verified; a fact says which they were. Of a fact that nobody had requested
    `unrequested` says what it was, and `lines` how much of which lots (UNKNOWN if nobody knows); its id is a new one.
    """

    dispensing: NewDispensingId
    patient: Id
    content: Handed
    label_printed: bool
    lines: _Given = ()
    fact: bool = False
    unrequested: Unrequested | None = None
    occurred_at: Moment | None = None


@event(category="dispensing")
class DispensingRefused:
    """A medicine is not given, for a reason; what was set aside goes back."""

    dispensing: DispensingId
    patient: Id
    reason: Annotated[str, Sealed(of="patient")]
    occurred_at: Moment


@command(category="dispensing", aggregate="dispensing", makes=(DispensingRefused,))
class RefuseDispensing:
    """Refuse to give a medicine, and say why."""

    dispensing: DispensingId
    patient: Id
    reason: Note
    occurred_at: Moment | None = None


@event(category="dispensing")
class DispensingUnpicked:
    """A medicine was never collected, and is back in stock; it had not left the clinic."""

    dispensing: DispensingId
    patient: Id
    reason: Annotated[str, Sealed(of="patient")]
    occurred_at: Moment


@command(category="dispensing", aggregate="dispensing", makes=(DispensingUnpicked,))
class UnpickDispensing:
    """Put back what was never collected."""

    dispensing: DispensingId
    patient: Id
    reason: Note
    occurred_at: Moment | None = None


@event(category="dispensing")
class MedicineReturned:
    """A medicine that had left came back, and was destroyed: so much of it, `returned` in all.

    More than is on record as handed over is a breach: somebody looks at it.
    """

    dispensing: DispensingId
    patient: Id
    quantity: Quantity
    reason: Annotated[str, Sealed(of="patient")]
    returned: Quantity
    breaches: tuple[ClinicError, ...] = ()
    occurred_at: Moment


@command(category="dispensing", aggregate="dispensing", makes=(MedicineReturned,))
class ReturnMedicine:
    """Record that a medicine came back and was destroyed; it is never given to anybody again. It is a fact, recorded
    though more comes back than is known to have left."""

    dispensing: DispensingId
    patient: Id
    quantity: Quantity
    reason: Note
    occurred_at: Moment | None = None


@event(category="dispensing")
class DispensingResolved:
    """Somebody looked into a medicine that was given against a rule, and closed its review."""

    dispensing: DispensingId
    patient: Id
    note: Annotated[str, REMARK]
    occurred_at: Moment


@command(category="dispensing", aggregate="dispensing", makes=(DispensingResolved,))
class ResolveDispensing:
    """Close the review of a medicine that was given against a rule."""

    dispensing: DispensingId
    patient: Id
    note: Note
    occurred_at: Moment | None = None


__all__ = [
    "Alert", "AlertKind", "AlertNoted", "AlertOverridden", "Check", "Claim", "Dispense", "DispensingRechecked",
    "DispensingRefused", "DispensingRequested", "DispensingResolved", "DispensingUnpicked", "DispensingVerified",
    "GoodsFreed", "GoodsIssued", "GoodsSetAside", "Handed", "LotLine", "MedicationDispensed", "MedicineReturned",
    "NoteAlert", "NoteFreed", "NoteIssued", "NoteSetAside", "Override", "OverrideAlert", "RecheckDispensing",
    "RefuseDispensing", "RequestDispensing", "ResolveDispensing", "ReturnMedicine", "UnpickDispensing",
    "Unrequested", "VerifyDispensing",
]  # fmt: skip
