"""Dispensings: one medicine on its way to a patient, what stands against it, and who answered for that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final

from services.clinic.allergies import alert_open, check_against, open_alerts, person
from services.clinic.contract import (
    Alert,
    AlertKind,
    AlertNoted,
    AlertOverridden,
    Check,
    Claim,
    ClinicError,
    Dispense,
    DispensingRechecked,
    DispensingRefused,
    DispensingRequested,
    DispensingResolved,
    DispensingUnpicked,
    DispensingVerified,
    Fill,
    FormularyEntrySet,
    GoodsFreed,
    GoodsIssued,
    GoodsSetAside,
    Handed,
    LotLine,
    MedicationDispensed,
    MedicineReturned,
    NoteAlert,
    NoteFreed,
    NoteIssued,
    NoteSetAside,
    OverrideAlert,
    RecheckDispensing,
    RefuseDispensing,
    RequestDispensing,
    ResolveDispensing,
    ReturnMedicine,
    Role,
    UnpickDispensing,
    Unrequested,
    VerifyDispensing,
    clinic,
)
from services.clinic.faults import Faults
from services.clinic.formulary import Formulary, dispensable, recalls_of, same_medicine
from services.clinic.medication import Medication, duplicates
from services.clinic.patient import itself, known, seen_as_themselves
from services.clinic.practitioner import in_role, licensed
from services.clinic.prescription import Prescription, lasts, may_be_filled, most_of, ordered, unknown, without_quantity
from services.clinic.refusals import rejected, waits, when
from services.clinic.terminology import units
from services.inventory.contract import lot_form
from shared.contract import fields_of
from shared.decider import Context, Decider, Ref
from shared.moments import is_late

COLLECTED_WITHIN: Final = timedelta(days=14)
"""How long a medicine waits to be fetched, before it goes back to stock."""

KEPT_FOR: Final = timedelta(days=365)
"""How long a medicine that was handed over is kept at the most. After the US pharmacopeia's General Notices, as
pharmacy guidance quotes them: no later than the maker's date, and one year from packing."""

HANDLERS: Final = (Role.PHARMACIST, Role.CLINICIAN, Role.TRAINEE)
_ANSWERERS: Final = (Role.PHARMACIST, Role.CLINICIAN)
_DEEDS: Final[Mapping[type, str]] = {
    RequestDispensing: "request a dispensing", RefuseDispensing: "refuse a dispensing",
    UnpickDispensing: "put a medicine back on the shelf", ReturnMedicine: "take a medicine back",
}  # fmt: skip
"""What those do who handle medicines, in words; the dispensing process refuses and unpicks too."""
_CLAIMS: Final = {AlertKind.BEYOND_ORDER: Claim.SUPPLY, AlertKind.DUPLICATE: Claim.FILL}


class Stage(StrEnum):
    """How far a dispensing has come."""

    NONE = "none"
    REQUESTED = "requested"
    VERIFIED = "verified"
    DISPENSED = "dispensed"
    REFUSED = "refused"
    UNPICKED = "unpicked"


@dataclass
class Dispensing:
    """A dispensing, for `patient`: it was `requested`, or handed over although nobody had (`unrequested`). `check`,
    `noted` and `answered` are sealed; `claims` are the limits that somebody answers for.

    `asked` is what was to be set aside, zero until inventory answered, `lots` what is set aside still, `bag` what was
    verified, `given` what was handed over, and to whom. `movements` are those of the stock that gave it out. `review`
    says whether a rule that was broken waits for somebody; None when none was.
    """

    patient: str = ""
    requested: DispensingRequested | None = None
    unrequested: Unrequested | None = None
    stage: Stage = Stage.NONE
    check: str = ""
    noted: list[str] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)
    claims: set[Claim] = field(default_factory=set)
    asked: int = 0
    short: int = 0
    set_aside: bool = False
    lots: tuple[LotLine, ...] = ()
    bag: tuple[LotLine, ...] = ()
    movements: list[int] = field(default_factory=list)
    given: MedicationDispensed | None = None
    returned: int = 0
    review: bool | None = None

    @property
    def quantity(self) -> int:
        """How much was handed over."""
        return 0 if self.given is None else self.given.quantity

    @property
    def wanting(self) -> bool:
        """Whether inventory answered that it has not enough, and nothing was set aside."""
        return bool(self.short) and not self.set_aside

    @property
    def over(self) -> bool:
        """Whether nothing more is to be handed over on it."""
        return self.stage in (Stage.DISPENSED, Stage.REFUSED, Stage.UNPICKED)


DispensingCommand = (
    RequestDispensing | RecheckDispensing | NoteAlert | OverrideAlert | NoteSetAside | NoteFreed | NoteIssued
    | VerifyDispensing | Dispense | RefuseDispensing | UnpickDispensing | ReturnMedicine | ResolveDispensing
)  # fmt: skip
DispensingEvent = (
    DispensingRequested | DispensingRechecked | AlertNoted | AlertOverridden | GoodsSetAside | GoodsFreed | GoodsIssued
    | DispensingVerified | MedicationDispensed | DispensingRefused | DispensingUnpicked | MedicineReturned
    | DispensingResolved
)  # fmt: skip


def _key(line: LotLine) -> tuple[str, date | None, str | None]:
    return lot_form(line.lot), line.date, line.owner


def _without(lots: tuple[LotLine, ...], taken: Iterable[LotLine]) -> tuple[LotLine, ...]:
    """What is left of lots once others are taken from them."""
    gone, left = _sums(taken), []
    for line in lots:
        used = min(line.quantity, gone[_key(line)])
        gone[_key(line)] -= used
        if line.quantity > used:
            left.append(replace(line, quantity=line.quantity - used))
    return tuple(left)


def _sums(lots: Iterable[LotLine]) -> Counter[tuple[str, date | None, str | None]]:
    """How much of each lot there is, in however many lines."""
    sums: Counter[tuple[str, date | None, str | None]] = Counter()
    for line in lots:
        sums[_key(line)] += line.quantity
    return sums


def evolve(dispensing: Dispensing, event: DispensingEvent) -> Dispensing:
    match event:
        case DispensingRequested():
            dispensing.requested, dispensing.stage, dispensing.check = event, Stage.REQUESTED, event.check
            dispensing.patient = event.patient
        case DispensingRechecked():
            dispensing.check = event.check
        case AlertNoted():
            dispensing.noted.append(event.content)
        case AlertOverridden():
            dispensing.answered.append(event.answered)
            dispensing.claims |= {event.claim} - {None}  # type: ignore[arg-type]
        case GoodsSetAside():
            dispensing.asked, dispensing.lots, dispensing.short = event.asked, event.lots, event.short
            dispensing.set_aside = bool(event.lots)
        case GoodsFreed():
            dispensing.lots = _without(dispensing.lots, event.lots)
        case GoodsIssued():
            dispensing.movements.append(event.movement)
            dispensing.lots = ()
        case DispensingVerified():
            dispensing.stage, dispensing.bag = Stage.VERIFIED, event.lots
        case MedicationDispensed():
            dispensing.stage, dispensing.given = Stage.DISPENSED, event
            dispensing.review = True if event.breaches else None
            if dispensing.requested is None:
                dispensing.patient, dispensing.unrequested = event.patient, event.unrequested
        case DispensingRefused():
            dispensing.stage = Stage.REFUSED
        case DispensingUnpicked():
            dispensing.stage = Stage.UNPICKED
        case MedicineReturned():
            dispensing.returned = event.returned
            dispensing.review = True if event.breaches else dispensing.review
        case DispensingResolved():
            dispensing.review = False
    return dispensing


def reads(command: DispensingCommand) -> Iterable[Ref]:
    if isinstance(command, RequestDispensing):
        return (
            Ref("patient", command.patient), Ref("prescription", command.prescription), Ref("formulary", command.item),
        )  # fmt: skip
    return ()


def decide(command: DispensingCommand, dispensing: Dispensing, context: Context) -> DispensingEvent | None:
    at = when(command.occurred_at, context)
    if type(command) in _DEEDS and context.authtype != "process":
        in_role(context, HANDLERS, _DEEDS[type(command)])
    if isinstance(command, RequestDispensing):
        return _request(command, dispensing, context, at)
    if dispensing.stage is Stage.NONE and not _happened(command, context):
        raise _no_such(command)
    fields = dict(fields_of(command)) | {"occurred_at": at}
    if isinstance(command, NoteSetAside | NoteFreed | NoteIssued):
        return _note(command, dispensing, fields)
    if command.patient != (dispensing.patient or command.patient):
        raise rejected(
            ClinicError.WRONG_PATIENT,
            f"Dispensing {command.dispensing} is not for patient {command.patient}. Check both ids.",
            dispensing=command.dispensing, patient=command.patient,
        )  # fmt: skip
    if not isinstance(command, ResolveDispensing):  # that is done of whoever was erased, too
        known(context.read("patient", command.patient), command.patient, context)
    match command:
        case RecheckDispensing():
            requested = dispensing.requested
            entry = None if requested is None else context.read("formulary", requested.item).entry
            if dispensing.over or entry is None:
                return None
            found = check_against(command.patient, entry, context)
            same = context.unseal_as(dispensing.check, Check) == found
            return None if same else DispensingRechecked(**fields, check=found)
        case NoteAlert():
            there = command.content in _noted(dispensing, context)
            return None if dispensing.over or there else AlertNoted(**fields)
        case OverrideAlert():
            return _override(command, dispensing, context, fields)
        case VerifyDispensing():
            return _verify(command, dispensing, context, fields)
        case Dispense():
            return _dispense(command, dispensing, context, at, fields)
        case RefuseDispensing():
            if dispensing.stage is Stage.REFUSED:
                return None
            _open_still(dispensing, command.dispensing)
            return DispensingRefused(**fields)
        case UnpickDispensing():
            if dispensing.stage is Stage.UNPICKED:
                return None
            _open_still(dispensing, command.dispensing)
            return DispensingUnpicked(**fields)
        case ReturnMedicine():
            returned = dispensing.returned + command.quantity
            beyond = returned > dispensing.quantity
            return MedicineReturned(**fields, returned=returned, breaches=(ClinicError.NOT_DISPENSED,) * beyond)
        case ResolveDispensing():
            in_role(context, _ANSWERERS, "close the review of a dispensing")
            waiting = waits(dispensing.review, f"Dispensing {command.dispensing}")
            return DispensingResolved(**fields) if waiting else None


def _happened(command: DispensingCommand, context: Context) -> bool:
    """Whether it is a hand-over that has happened although nobody requested it, and says what it was."""
    return (
        isinstance(command, Dispense)
        and command.unrequested is not None
        and bool(command.lines)
        and (command.fact or is_late(command.occurred_at, context))
    )


def _no_such(command: DispensingCommand) -> Exception:
    told = ""
    if isinstance(command, Dispense):
        told = " If the medicine was handed over, record that with `fact`, and say what it was "
        told += "in `unrequested`, and in `lines` how much of which lots (UNKNOWN if nobody knows)."
    return rejected(
        ClinicError.UNKNOWN_DISPENSING, f"There is no dispensing {command.dispensing}. Check the id.{told}",
        dispensing=command.dispensing,
    )  # fmt: skip


# -- requesting -------------------------------------------------------------------------------------------------------


def _request(
    command: RequestDispensing, dispensing: Dispensing, context: Context, at: datetime
) -> DispensingRequested | None:
    before = dispensing.requested
    if dispensing.stage is not Stage.NONE:
        said = [name for name, _ in fields_of(command) if name != "occurred_at"]
        same = before is not None and all(getattr(before, name) == getattr(command, name) for name in said)
        if same and not dispensing.over:
            return None
        raise rejected(
            ClinicError.ALREADY_EXISTS, f"There is a dispensing {command.dispensing} already. Choose another id.",
            dispensing=command.dispensing,
        )  # fmt: skip
    seen_as_themselves(command.patient, context)
    prescription: Prescription = context.read("prescription", command.prescription)
    if prescription.prescribed is None:
        raise unknown(command.prescription)
    if prescription.prescribed.patient not in person(command.patient, context):
        raise rejected(
            ClinicError.WRONG_PATIENT,
            f"Prescription {command.prescription} is not of patient {command.patient}. Check both ids.",
            prescription=command.prescription, patient=command.patient,
        )  # fmt: skip
    order = may_be_filled(prescription, command.prescription, context, max(at, context.now))
    entry = dispensable(context.read("formulary", command.item), command.item)
    if not same_medicine(entry.medication, order.medication):
        raise rejected(
            ClinicError.WRONG_MEDICINE,
            f"{command.item} is not what prescription {command.prescription} orders. Take the item that is, or have "
            "the order changed.",
            item=command.item, prescription=command.prescription,
        )  # fmt: skip
    wrong = order.dose and units.fault(order.dose, form=entry.form, strength=entry.strength)
    if wrong:
        raise rejected(
            ClinicError.WRONG_UNIT,
            f"The dose of prescription {command.prescription} does not fit {command.item}: {wrong}.",
            item=command.item, prescription=command.prescription,
        )  # fmt: skip
    if most_of(order) is None:
        raise without_quantity(command.prescription)
    if not lasts(order, command.quantity, command.days_supply):
        raise rejected(
            ClinicError.INVALID_RANGE,
            f"Dispensing {command.dispensing} would last for another number of days than prescription "
            f"{command.prescription} says of so much. Correct `days_supply` or `quantity`, or have the order changed.",
            dispensing=command.dispensing, prescription=command.prescription,
        )  # fmt: skip
    assert prescription.signed is not None
    return DispensingRequested(
        **(dict(fields_of(command)) | {"occurred_at": at}), check=check_against(command.patient, entry, context),
        prescriber=prescription.signed.signed_by, expires_after=_last_day(at.date(), command.days_supply),
        due_at=at + COLLECTED_WITHIN,
    )  # fmt: skip


def _last_day(first: date, days: int) -> date:
    """The last day of a supply that begins on a day."""
    return first + timedelta(days=days - 1)


# -- alerts -----------------------------------------------------------------------------------------------------------


def _noted(dispensing: Dispensing, context: Context) -> list[Alert]:
    """What other aggregates said against it. Refuses when that cannot be read any more."""
    noted = [context.unseal_as(one, Alert) for one in dispensing.noted]
    found = [one for one in noted if one is not None]
    if len(found) < len(noted):
        assert dispensing.requested is not None
        raise rejected(
            ClinicError.CANNOT_BE_READ,
            f"What stands against dispensing {dispensing.requested.dispensing} cannot be read any more: its key is "
            "gone.",
            dispensing=dispensing.requested.dispensing,
        )  # fmt: skip
    return found


def _unanswered(dispensing: Dispensing, context: Context) -> list[Alert]:
    """The alerts that stand by what is known now, and that nobody answers for. One of an allergy that was refuted since
    stands no more; one that was recorded since does, whoever answered for others before."""
    requested = dispensing.requested
    assert requested is not None
    entry = context.read("formulary", requested.item).entry
    assert entry is not None
    alerts = [*check_against(requested.patient, entry, context).alerts, *_noted(dispensing, context)]
    answered = [context.unseal_as(one, tuple[Alert, ...]) or () for one in dispensing.answered]
    return open_alerts(alerts, (alert for some in answered for alert in some))


def _override(
    command: OverrideAlert, dispensing: Dispensing, context: Context, fields: dict[str, object]
) -> AlertOverridden:
    role = licensed(context, _ANSWERERS, "answer for an alert", context.now)
    _open_still(dispensing, command.dispensing)
    stand = tuple(one for one in _unanswered(dispensing, context) if one.kind is command.content.alert)
    if not stand:
        raise rejected(
            ClinicError.NO_SUCH_ALERT,
            f"No alert of that kind is open on dispensing {command.dispensing}. Look at those that are.",
            dispensing=command.dispensing,
        )  # fmt: skip
    return AlertOverridden(**fields, answered=stand, claim=_CLAIMS.get(command.content.alert), role=role)  # type: ignore[arg-type]


# -- goods ------------------------------------------------------------------------------------------------------------


def _note(
    command: NoteSetAside | NoteFreed | NoteIssued, dispensing: Dispensing, fields: dict[str, object]
) -> GoodsSetAside | GoodsFreed | GoodsIssued | None:
    match command:
        case NoteSetAside():  # what was said first; but goods count for more than that there are none
            first = not dispensing.asked or (dispensing.wanting and bool(command.lots))
            return GoodsSetAside(**fields) if first else None  # type: ignore[arg-type]
        case NoteFreed():
            left = _without(dispensing.lots, command.lots)
            if left == dispensing.lots:
                return None
            return GoodsFreed(**fields, remaining=sum(line.quantity for line in left))  # type: ignore[arg-type]
        case NoteIssued():
            return None if command.movement in dispensing.movements else GoodsIssued(**fields)  # type: ignore[arg-type]


def _fault(faults: Faults, id: str, code: ClinicError, detail: str) -> None:
    faults.of(code, f"Dispensing {id} {detail}", dispensing=id)


def _of_goods(
    faults: Faults, id: str, lots: tuple[LotLine, ...], formulary: Formulary, at: datetime, last: date
) -> None:
    day = at.date()
    recalled = recalls_of(formulary, [(line.lot, line.date) for line in lots], at)
    if recalled:
        _fault(
            faults,
            id,
            ClinicError.RECALLED,
            f"has goods of a recall ({', '.join(recalled[:3])}). Refuse it, and request another.",
        )
    if any(line.date is not None and line.date < day for line in lots):
        _fault(faults, id, ClinicError.EXPIRED, "has goods that are past their date. Refuse it, and request another.")
    elif any(line.date is not None and line.date < last for line in lots):
        _fault(
            faults,
            id,
            ClinicError.EXPIRED,
            f"has goods that end before the supply does, on {last}. Refuse it, and request another.",
        )


def _of_order(faults: Faults, requested: DispensingRequested, context: Context, at: datetime) -> None:
    prescription: Prescription = context.read("prescription", requested.prescription)
    faults.ask(may_be_filled, prescription, requested.prescription, context, at)


def _of_claims(faults: Faults, requested: DispensingRequested, context: Context) -> None:
    prescription: Prescription = context.read("prescription", requested.prescription)
    medication: Medication = context.read("medication", requested.patient)
    id = requested.dispensing
    if prescription.allotted.get(id) != requested.quantity or id not in medication.fills:
        _fault(
            faults,
            id,
            ClinicError.NOT_RESERVED,
            "is not counted against its order and the patient's fills yet. Wait a moment.",
        )


# -- verifying and handing over ---------------------------------------------------------------------------------------


def _verify(
    command: VerifyDispensing, dispensing: Dispensing, context: Context, fields: dict[str, object]
) -> DispensingVerified | None:
    if dispensing.stage is Stage.VERIFIED:
        return None
    id, requested = command.dispensing, dispensing.requested
    own = requested is not None and context.actor == requested.prescriber
    roles = (Role.PHARMACIST, Role.CLINICIAN) if own else (Role.PHARMACIST,)
    role = licensed(context, roles, "verify a dispensing that another prescribed", context.now)
    _open_still(dispensing, id)
    assert requested is not None
    faults, formulary = Faults(), context.read("formulary", requested.item)
    _of_order(faults, requested, context, context.now)
    faults.ask(dispensable, formulary, requested.item)
    waiting = _unanswered(dispensing, context)
    if waiting:
        faults.add(alert_open(f"dispensing {id}", len(waiting), dispensing=id))
    _of_claims(faults, requested, context)
    if sum(line.quantity for line in dispensing.lots) != requested.quantity:
        _fault(faults, id, ClinicError.NOT_RESERVED, _not_there(dispensing))
    _of_goods(faults, id, dispensing.lots, formulary, context.now, requested.expires_after)
    refusal = faults.first()
    if refusal is not None:
        raise refusal
    entry: FormularyEntrySet = formulary.entry
    lots = tuple(replace(line, manufacturer=line.manufacturer or entry.manufacturer) for line in dispensing.lots)
    return DispensingVerified(**fields, role=role, lots=lots)  # type: ignore[arg-type]


def _not_there(dispensing: Dispensing) -> str:
    if not dispensing.asked:
        return "has nothing set aside yet. Wait a moment."
    if dispensing.short:
        are = "is" if dispensing.short == 1 else "are"
        return (
            f"has nothing set aside: {dispensing.short:,} {are} short of goods that last. Refuse it, or request "
            "another from another place."
        )
    return "has nothing set aside any more: it may be recalled or on hold. Refuse it, and request another."


def _dispense(
    command: Dispense, dispensing: Dispensing, context: Context, at: datetime, fields: dict[str, object]
) -> MedicationDispensed | None:
    if dispensing.given is not None:
        if _said_again(command, dispensing, dispensing.given, context):
            return None
        raise _another_hand_over(command.dispensing)
    _as_requested(command, dispensing)
    id, fact = command.dispensing, command.fact or is_late(command.occurred_at, context)
    moment = at if fact else context.now
    requested = dispensing.requested or command.unrequested
    assert requested is not None
    faults, formulary = Faults(), context.read("formulary", requested.item)
    faults.ask(in_role, context, HANDLERS, "hand a medicine over")
    if dispensing.over:
        _fault(
            faults,
            id,
            ClinicError.DISPENSING_OVER,
            f"is over: it was {dispensing.stage}. Request another; if it was handed over, record that with `fact`.",
        )
    faults.ask(dispensable, formulary, requested.item)
    check: Check | None = None
    if isinstance(requested, Unrequested):
        check = _of_unrequested(faults, command, requested, formulary, context, moment)
        waiting = list(check.alerts)
    else:
        _of_order(faults, requested, context, moment)
        waiting = _unanswered(dispensing, context)
    if waiting:
        faults.add(alert_open(f"dispensing {id}", len(waiting), dispensing=id))
    if dispensing.stage is not Stage.VERIFIED:
        _fault(faults, id, ClinicError.NOT_VERIFIED, "is not verified. A pharmacist, or its prescriber, verifies it.")
    if not command.label_printed:
        _fault(
            faults,
            id,
            ClinicError.NOT_LABELLED,
            "has no label. Print it, stick it on, and say so with `label_printed`.",
        )
    bag = {_key(line): line for line in (*dispensing.lots, *dispensing.bag)}
    lots = (
        tuple(
            replace(
                line, manufacturer=line.manufacturer or (bag[_key(line)].manufacturer if _key(line) in bag else None)
            )
            for line in command.lines
        )
        or dispensing.bag
        or dispensing.lots
    )
    if dispensing.bag and not _alike(lots, dispensing.bag):
        _fault(
            faults, id, ClinicError.NOT_VERIFIED, "was verified with other goods than these. Hand over those that were."
        )
    if _without(lots, dispensing.lots) or not lots:
        _fault(
            faults,
            id,
            ClinicError.NOT_RESERVED,
            "has goods that are not set aside for it, or not any more: they may be recalled or on hold. Look, and "
            "refuse it.",
        )
    _of_goods(faults, id, lots, formulary, moment, _last_day(moment.date(), requested.days_supply))
    refusal = faults.first()
    if refusal is not None and not fact:
        raise refusal
    ends = [line.date for line in lots if line.date is not None]
    return MedicationDispensed(
        **fields, lots=lots, prescription=requested.prescription, item=requested.item,  # type: ignore[arg-type]
        location=requested.location, days_supply=requested.days_supply,
        quantity=_in_all(lots) or (dispensing.requested.quantity if dispensing.requested else 0), check=check,
        discard_by=min([*ends, at.date() + KEPT_FOR]), breaches=faults.codes(),
    )  # fmt: skip


def _said_again(
    command: Dispense, dispensing: Dispensing, given: MedicationDispensed, context: Context
) -> bool:  # fmt: skip
    """Whether it is the hand-over that is recorded: the same goods, on the same order, to the same person."""
    lots = command.lines or dispensing.bag or given.lots
    return (
        _alike(lots, given.lots)
        and context.unseal_as(given.content, Handed) == command.content
        and command.label_printed == given.label_printed
        and _of_the_same(command, dispensing)
    )


def _as_requested(command: Dispense, dispensing: Dispensing) -> None:
    """Refuse a hand-over that says that it was of another item, or on another order, than was requested."""
    if not _of_the_same(command, dispensing):
        raise rejected(
            ClinicError.ALREADY_EXISTS,
            f"There is a dispensing {command.dispensing} already, and it is not what this one says in `unrequested`. "
            "Record what was handed over under another id.",
            dispensing=command.dispensing,
        )  # fmt: skip


def _of_the_same(command: Dispense, dispensing: Dispensing) -> bool:
    of, said = dispensing.requested or dispensing.unrequested, command.unrequested
    return of is None or said is None or all(getattr(of, name) == value for name, value in fields_of(said))


def _another_hand_over(id: str) -> Exception:
    """One id is one hand-over, so that a recall finds the lots of both."""
    return rejected(
        ClinicError.ALREADY_EXISTS,
        f"Dispensing {id} was handed over already, and not as this one says: other goods, or to somebody else. If "
        "something was handed over twice, record the second with `fact` under an id of its own, and say in "
        "`unrequested` what it was.",
        dispensing=id,
    )  # fmt: skip


def _of_unrequested(
    faults: Faults, command: Dispense, given: Unrequested, formulary: Formulary, context: Context, moment: datetime
) -> Check:
    """What speaks against a hand-over that nobody requested, all that would have been looked at before included."""
    id = command.dispensing
    patient = context.read("patient", command.patient)
    _fault(faults, id, ClinicError.UNKNOWN_DISPENSING, "was never requested.")
    faults.ask(itself, patient, command.patient)
    entry = formulary.entry
    if given.prescription is None:
        _fault(faults, id, ClinicError.UNKNOWN_PRESCRIPTION, "was given on no order.")
    else:
        _of_order_of(faults, command, given.prescription, entry, context, moment)
    if entry is None:
        return Check(checked=(f"nothing: {given.item} has no entry on the formulary",))
    fill = Fill(
        medication=entry.medication, ingredients=entry.ingredients, on=moment.date(), days_supply=given.days_supply
    )
    others = duplicates(
        fill, id, command.patient, patient, context, context.read("medication", command.patient)
    )  # fmt: skip
    if others:
        _fault(faults, id, ClinicError.DUPLICATE, f"is within days of another of the like: {others[0]}.")
    return check_against(command.patient, entry, context)


def _of_order_of(
    faults: Faults, command: Dispense, id: str, entry: FormularyEntrySet | None, context: Context, moment: datetime
) -> None:
    """The order that a hand-over was given on, which nobody looked at before."""
    prescription: Prescription = context.read("prescription", id)
    faults.ask(may_be_filled, prescription, id, context, moment)
    if prescription.prescribed is None:
        return
    if prescription.prescribed.patient not in person(command.patient, context):
        _fault(faults, command.dispensing, ClinicError.WRONG_PATIENT, f"is on order {id}, which is another's.")
    order = ordered(prescription, context)
    if order is None:
        return
    if entry is not None and not same_medicine(entry.medication, order.medication):
        _fault(faults, command.dispensing, ClinicError.WRONG_MEDICINE, f"is not what prescription {id} orders.")
    most, others = most_of(order), sum(prescription.allotted.values())
    if most is None or others + _in_all(command.lines) > most:
        _fault(faults, command.dispensing, ClinicError.BEYOND_ORDER, f"is more than prescription {id} orders.")


def _in_all(lots: Iterable[LotLine]) -> int:
    return sum(line.quantity for line in lots)


def _alike(one: Iterable[LotLine], other: Iterable[LotLine]) -> bool:
    return _sums(one) == _sums(other)


def _open_still(dispensing: Dispensing, id: str) -> None:
    if dispensing.over:
        what = " What came back is recorded with ReturnMedicine." if dispensing.stage is Stage.DISPENSED else ""
        raise rejected(
            ClinicError.DISPENSING_OVER, f"Dispensing {id} is over: it was {dispensing.stage}.{what}",
            dispensing=id, stage=str(dispensing.stage),
        )  # fmt: skip


def check(dispensing: Dispensing) -> list[str]:
    broken = []
    if (dispensing.stage is Stage.NONE) != (dispensing.requested is None and dispensing.unrequested is None):
        broken.append("something became of a dispensing that nobody requested")
    if dispensing.requested is not None and dispensing.unrequested is not None:
        broken.append("a dispensing is said to be requested, and not to be")
    if sum(line.quantity for line in dispensing.lots) > dispensing.asked:
        broken.append("more is set aside than was asked for")
    if dispensing.returned > dispensing.quantity and dispensing.review is None:
        broken.append("more came back than was handed over, and nobody is to look")
    return broken


dispensing: Final = Decider(clinic, "dispensing", Dispensing, Dispensing, decide, evolve, check, reads)
