"""Prescriptions: what was ordered, who stands for it, and how much of it dispensings may give."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from services.clinic.contract import (
    AllotSupply,
    Claim,
    ClinicError,
    MedicationPrescribed,
    Order,
    OrderStatus,
    Prescribe,
    PrescriptionSigned,
    PrescriptionStopped,
    ReturnSupply,
    Role,
    SignPrescription,
    StopPrescription,
    SupplyAllotted,
    SupplyReturned,
    clinic,
)
from services.clinic.encounter import in_encounter
from services.clinic.patient import Patient, everyone, known, seen_as_themselves
from services.clinic.practitioner import imports, in_role, licensed
from services.clinic.refusals import rejected, when
from services.clinic.terminology import units
from services.clinic.terminology.controlled import is_controlled
from shared.contract import fields_of
from shared.decider import Context, Decider, Ref
from shared.moments import TOLERANCE


@dataclass
class Prescription:
    """An order. `content` is sealed; `allotted` is how much of it is for each dispensing that counts, `returned` are
    the dispensings that came to nothing."""

    prescribed: MedicationPrescribed | None = None
    signed: PrescriptionSigned | None = None
    stopped_at: datetime | None = None
    allotted: dict[str, int] = field(default_factory=dict)
    returned: set[str] = field(default_factory=set)


PrescriptionCommand = Prescribe | SignPrescription | StopPrescription | AllotSupply | ReturnSupply
PrescriptionEvent = (
    MedicationPrescribed | PrescriptionSigned | PrescriptionStopped | SupplyAllotted | SupplyReturned
)  # fmt: skip


def evolve(prescription: Prescription, event: PrescriptionEvent) -> Prescription:
    match event:
        case MedicationPrescribed():
            prescription.prescribed = event
        case PrescriptionSigned():
            prescription.signed = event
        case PrescriptionStopped():
            prescription.stopped_at = event.occurred_at
        case SupplyAllotted():
            prescription.allotted[event.dispensing] = event.quantity
            prescription.returned.discard(event.dispensing)
        case SupplyReturned():
            prescription.allotted.pop(event.dispensing, None)
            prescription.returned.add(event.dispensing)
    return prescription


def reads(command: PrescriptionCommand) -> Iterable[Ref]:
    return (Ref("patient", command.patient),)


def decide(command: PrescriptionCommand, prescription: Prescription, context: Context) -> PrescriptionEvent | None:
    at = when(command.occurred_at, context)
    fields = dict(fields_of(command)) | {"occurred_at": at}
    if isinstance(command, Prescribe):
        return _prescribe(command, prescription, context, fields)
    prescribed = _of(prescription, command, context)
    match command:
        case SignPrescription():
            known(context.read("patient", command.patient), command.patient, context)
            return _sign(command, prescription, prescribed, context, fields)
        case StopPrescription():
            known(context.read("patient", command.patient), command.patient, context)
            in_role(context, (Role.CLINICIAN, Role.PHARMACIST, Role.TRAINEE), "stop an order")
            return None if prescription.stopped_at is not None else PrescriptionStopped(**fields)
        case AllotSupply():
            return _allot(command, prescription, context, max(at, context.now), fields)
        case ReturnSupply():  # recorded although nothing was allotted: it is sent again, and must not undo a later fact
            return None if command.dispensing in prescription.returned else SupplyReturned(**fields)


def _prescribe(
    command: Prescribe, prescription: Prescription, context: Context, fields: dict[str, object]
) -> MedicationPrescribed | None:
    if command.imported_from is not None:
        imports(context)
    before = prescription.prescribed
    if before is not None:
        if before.patient == command.patient and context.unseal_as(before.content, Order) == command.content:
            return None
        raise rejected(
            ClinicError.ALREADY_EXISTS, f"There is a prescription {command.prescription} already. Choose another id.",
            prescription=command.prescription,
        )  # fmt: skip
    seen_as_themselves(command.patient, context)
    if command.imported_from is None:
        in_role(context, (Role.CLINICIAN, Role.TRAINEE), "order a medicine")
        if command.status is not OrderStatus.ACTIVE:
            raise rejected(
                ClinicError.PRESCRIPTION_STOPPED,
                f"Prescription {command.prescription} would be {command.status} before it is signed: `status` says how "
                "an imported order stood elsewhere. Leave it out.",
                prescription=command.prescription,
            )  # fmt: skip
        in_encounter(command.encounter, command.patient, context)
        form, strength = units.in_words(command.content.medication.display)
        dose = command.content.dose
        wrong = None if dose is None else units.fault(dose, form=form, strength=strength)
        if wrong is not None:
            raise rejected(
                ClinicError.WRONG_UNIT, f"The dose of prescription {command.prescription} cannot be: {wrong}.",
                prescription=command.prescription,
            )  # fmt: skip
        if is_controlled((command.content.medication,)):
            raise rejected(
                ClinicError.CONTROLLED_SUBSTANCE,
                f"Prescription {command.prescription} is of a controlled substance, of which nothing is ordered or "
                "given here. Refer the patient.",
                prescription=command.prescription,
            )  # fmt: skip
    return MedicationPrescribed(**fields)  # type: ignore[arg-type]


def _sign(
    command: SignPrescription, prescription: Prescription, prescribed: MedicationPrescribed, context: Context,
    fields: dict[str, object],
) -> PrescriptionSigned | None:  # fmt: skip
    if prescribed.patient != command.patient:
        raise _of_another(command)
    licensed(context, (Role.CLINICIAN,), "sign an order", context.now)
    _ordered_here(prescribed)
    if prescription.signed is not None:
        if prescription.signed.signed_by == context.actor:
            return None
        raise rejected(
            ClinicError.PRESCRIPTION_SIGNED,
            f"Prescription {command.prescription} was signed by {prescription.signed.signed_by}.",
            prescription=command.prescription,
        )  # fmt: skip
    if prescription.stopped_at is not None:
        raise _stopped(command.prescription)
    return PrescriptionSigned(**fields, signed_by=context.actor)  # type: ignore[arg-type]


def _allot(
    command: AllotSupply, prescription: Prescription, context: Context, at: datetime, fields: dict[str, object]
) -> SupplyAllotted | None:
    if prescription.allotted.get(command.dispensing) == command.quantity:
        return None
    others = sum(quantity for id, quantity in prescription.allotted.items() if id != command.dispensing)
    allotted = others + command.quantity
    if command.fact:
        order = ordered(prescription, context)
        most = None if order is None else most_of(order)
        over = most is None or allotted > most
        return SupplyAllotted(**fields, allotted=allotted, over=over)  # type: ignore[arg-type]
    if command.dispensing in prescription.returned:
        raise rejected(
            ClinicError.DISPENSING_OVER, f"Dispensing {command.dispensing} came to nothing. Request another.",
            dispensing=command.dispensing,
        )  # fmt: skip
    most = most_of(may_be_filled(prescription, command.prescription, context, at))
    if most is None:
        raise without_quantity(command.prescription)
    over = allotted > most
    if over and not (command.overridden and _answered_for(command, context)):
        raise rejected(
            ClinicError.BEYOND_ORDER,
            f"With dispensing {command.dispensing} more would be given than prescription {command.prescription} "
            "orders, repeats included. A licensed clinician or pharmacist may answer for it.",
            prescription=command.prescription, dispensing=command.dispensing,
        )  # fmt: skip
    return SupplyAllotted(**fields, allotted=allotted, over=over)  # type: ignore[arg-type]


def _answered_for(command: AllotSupply, context: Context) -> bool:
    """Whether somebody answers for more than was ordered, in the dispensing itself."""
    return Claim.SUPPLY in context.read("dispensing", command.dispensing).claims


def _of(
    prescription: Prescription, command: SignPrescription | StopPrescription | AllotSupply | ReturnSupply,
    context: Context,
) -> MedicationPrescribed:  # fmt: skip
    """The order of a command, which is of the patient that it names, or of a record that goes on as theirs."""
    prescribed = prescription.prescribed
    if prescribed is None:
        raise unknown(command.prescription)
    settled = isinstance(command, ReturnSupply) or (isinstance(command, AllotSupply) and command.fact)
    if prescribed.patient != command.patient and not settled:
        patient: Patient = context.read("patient", command.patient)
        if prescribed.patient not in everyone(patient, command.patient, context):
            raise _of_another(command)
    return prescribed


def _of_another(command: SignPrescription | StopPrescription | AllotSupply | ReturnSupply) -> Exception:
    return rejected(
        ClinicError.WRONG_PATIENT,
        f"Prescription {command.prescription} is not of patient {command.patient}. Check both ids.",
        prescription=command.prescription, patient=command.patient,
    )  # fmt: skip


def _ordered_here(prescribed: MedicationPrescribed) -> None:
    if prescribed.imported_from is not None:
        raise rejected(
            ClinicError.IMPORTED_ORDER,
            f"Prescription {prescribed.prescription} was imported: it says what was ordered elsewhere, and nothing is "
            "signed or given on it. Order it anew.",
            prescription=prescribed.prescription,
        )  # fmt: skip


def _stopped(id: str) -> Exception:
    return rejected(
        ClinicError.PRESCRIPTION_STOPPED, f"Prescription {id} was stopped. Order it anew, if it is wanted still.",
        prescription=id,
    )  # fmt: skip


def check(prescription: Prescription) -> list[str]:
    broken = []
    if prescription.prescribed is None and (prescription.signed or prescription.stopped_at or prescription.allotted):
        broken.append("something became of an order that nobody placed")
    if prescription.signed and prescription.prescribed and prescription.prescribed.imported_from is not None:
        broken.append("an imported order was signed")
    if prescription.allotted.keys() & prescription.returned:
        broken.append("a dispensing counts that came to nothing")
    return broken


# -- for the decisions that fill an order -----------------------------------------------------------------------------


def unknown(id: str) -> Exception:
    return rejected(ClinicError.UNKNOWN_PRESCRIPTION, f"There is no prescription {id}. Check the id.", prescription=id)


def without_quantity(id: str) -> Exception:
    return rejected(
        ClinicError.BEYOND_ORDER,
        f"Prescription {id} does not say how much to give, so nothing can be given on it. Order it anew, with a "
        "quantity.",
        prescription=id,
    )  # fmt: skip


def ordered(prescription: Prescription, context: Context) -> Order | None:
    """What was ordered; None when it cannot be read any more."""
    prescribed = prescription.prescribed
    return None if prescribed is None else context.unseal_as(prescribed.content, Order)


def most_of(order: Order) -> int | None:
    """How much may be given of an order in all; None when it does not say."""
    return None if order.quantity is None else order.quantity * (1 + order.repeats)


def lasts(order: Order, quantity: int, days: int) -> bool:
    """Whether so much may last so many days: no fewer than at the order's pace, or goods would end before the supply
    does; and no more than that, or than the order says. An order that names no days says nothing against any."""
    if order.quantity is None or order.days_supply is None:
        return True
    pace = -(-order.days_supply * quantity // order.quantity)
    return pace <= days <= max(pace, order.days_supply)


def ends_at(signed: PrescriptionSigned) -> datetime:
    return signed.occurred_at + timedelta(days=signed.valid_days)


def may_be_filled(prescription: Prescription, id: str, context: Context, at: datetime) -> Order:
    """What was ordered, if it may be given at a moment. Refuses an order that may not."""
    if prescription.prescribed is None:
        raise unknown(id)
    _ordered_here(prescription.prescribed)
    signed = prescription.signed
    if signed is None or at < signed.occurred_at - TOLERANCE:
        raise rejected(
            ClinicError.PRESCRIPTION_NOT_SIGNED, f"Prescription {id} is not signed. A licensed clinician signs it.",
            prescription=id,
        )  # fmt: skip
    if prescription.stopped_at is not None and at >= prescription.stopped_at:
        raise _stopped(id)
    if at > ends_at(signed):
        raise rejected(
            ClinicError.PRESCRIPTION_EXPIRED,
            f"Prescription {id} was valid until {ends_at(signed):%Y-%m-%d}. Order it anew.",
            prescription=id, until=ends_at(signed).date().isoformat(),
        )  # fmt: skip
    order = ordered(prescription, context)
    if order is None:
        raise rejected(
            ClinicError.CANNOT_BE_READ, f"What prescription {id} orders cannot be read any more: its key is gone.",
            prescription=id,
        )  # fmt: skip
    return order


prescription: Final = Decider(clinic, "prescription", Prescription, Prescription, decide, evolve, check, reads)
