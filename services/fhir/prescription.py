"""MedicationRequest: what was ordered. https://hl7.org/fhir/R4/medicationrequest.html"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from services.clinic.contract import CodeSystem, Coding, Measure, Order, OrderStatus
from services.fhir.entry import Entry, NotShown, Resource
from services.fhir.reading import Node, NotTaken, Unusable, paragraph
from services.fhir.values import (
    UCUM,
    amount,
    begun,
    concept,
    instant,
    name_at,
    present,
    quantity,
    read_concept,
    read_moment,
    read_quantity,
    read_when,
    reference,
    wording,
)

TYPE: Final = "MedicationRequest"

UNSTATED: Final = "Not stated."
"""The directions of an imported order that has none."""

_ORDERS: Final = frozenset({"order", "original-order", "reflex-order", "filler-order", "instance-order"})
_NOT_ORDERED: Final = frozenset({"draft", "unknown"})
_STATUS: Final = {
    "active": OrderStatus.ACTIVE, "on-hold": OrderStatus.ACTIVE, "completed": OrderStatus.COMPLETED,
    "stopped": OrderStatus.STOPPED, "cancelled": OrderStatus.STOPPED,
}  # fmt: skip
_PREFER: Final = (CodeSystem.RXNORM, CodeSystem.ATC, CodeSystem.SNOMED)


def medication_request(entry: Entry) -> Resource:
    if not isinstance(entry.content, Order):
        raise NotShown("the order")
    order: Order = entry.content
    imported = entry.clear.get("imported_from") is not None
    status = str(entry.clear.get("status", OrderStatus.ACTIVE))
    signed = entry.clear.get("signed_by")
    if status == OrderStatus.ACTIVE and _wholly_dispensed(order, entry.clear.get("dispensed", 0)):
        status = OrderStatus.COMPLETED.value
    return begun(entry, TYPE) | present(
        # an order that nobody stands for yet has no effect
        status=status if imported or signed or status != OrderStatus.ACTIVE else "draft",
        intent="order",
        reportedBoolean=imported,
        medicationCodeableConcept=concept(order.medication),
        subject=reference("Patient", entry.patient),
        encounter=reference("Encounter", entry.encounter) if entry.encounter else None,
        authoredOn=instant(entry.clear.get("signed_at") or entry.occurred_at),
        requester=reference("Practitioner", signed, order.prescriber) or {"display": "Not stated"},
        reasonCode=[concept(order.reason)] if order.reason else None,
        dosageInstruction=[dosage(order)],
        dispenseRequest=_supply(order, entry.clear.get("signed_at"), entry.clear.get("valid_until")),
    )


def _wholly_dispensed(order: Order, dispensed: int) -> bool:
    """Whether all fills were handed out; never of an order that does not say how much that is."""
    return order.quantity is not None and dispensed >= order.quantity * (1 + order.repeats)


def dosage(order: Order) -> Resource:
    return present(
        text=order.directions,
        asNeededBoolean=order.as_needed,
        route=concept(order.route),
        doseAndRate=[{"doseQuantity": quantity(order.dose)}] if order.dose else None,
    )


def days(number: int | None) -> Resource | None:
    return None if number is None else {"value": number, "unit": "days", "system": UCUM, "code": "d"}


def _supply(order: Order, since: datetime | str | None, until: datetime | str | None) -> Resource:
    return present(
        validityPeriod=present(start=instant(since), end=instant(until)) if until else None,
        numberOfRepeatsAllowed=order.repeats or None,
        quantity={"value": order.quantity} if order.quantity else None,
        expectedSupplyDuration=days(order.days_supply),
    )


# -- reading ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ordered:
    """An order as it was elsewhere. Without `at` it is not known to the day when it was ordered."""

    order: Order
    status: OrderStatus
    at: datetime | None


def read_medication_request(node: Node) -> Ordered:
    """An order. Raises NotTaken of what is none: a proposal, a draft, an order that something be not given."""
    status = node.string("status")
    _must_be_an_order(node, status)
    medication = read_medication(node)
    if status == "on-hold":
        node.note("status", "is on-hold: taken as active")
    taken = _dosage(node)
    supply = node.node("dispenseRequest")
    return Ordered(
        Order(
            medication=medication,
            dose=taken.dose,
            route=taken.route,
            directions=paragraph(*taken.directions) or UNSTATED,
            as_needed=taken.as_needed,
            quantity=_whole(supply, "quantity", 1, 2**53 - 1) if supply else None,
            days_supply=_days(supply) if supply else None,
            repeats=_repeats(supply) if supply else 0,
            reason=_reason(node),
            prescriber=_prescriber(node),
        ),
        _STATUS[status or ""],
        _authored(node),
    )


def _must_be_an_order(node: Node, status: str | None) -> None:
    intent = node.string("intent")
    if status == "entered-in-error":
        raise NotTaken("it was entered in error")
    if status in _NOT_ORDERED:
        raise NotTaken(f"its status is {status}: it was not ordered")
    if node.flag("doNotPerform"):
        raise NotTaken("it says that something is not to be given, which cannot be kept here")
    if intent not in _ORDERS:
        raise NotTaken(f"its intent is {intent}: it is no order")
    if status not in _STATUS:
        raise Unusable("its status is not one of R4's")
    if node.flag("reportedBoolean") is not None or "reportedReference" in node:
        node.skip("reportedReference")
    node.skip("category", "identifier")


def read_medication(node: Node) -> Coding:
    """What medicine a resource is about: as a code, or of a Medication that it refers to."""
    element = node.node("medicationCodeableConcept")
    found = read_concept(element, _PREFER)
    target = node.node("medicationReference")
    if found is None and target is not None:
        named = target.string("reference")
        shown = target.text("display")
        inside = node.reading.medication(named) if named else None
        if inside is not None:
            found = read_concept(Node(inside, "Medication", node.reading).node("code"), _PREFER)
        if found is None and shown is not None:
            found = Coding(system=CodeSystem.TEXT, display=shown)
    if found is None:
        raise Unusable("it does not say which medicine")
    if wording(element, found):
        node.note("medicationCodeableConcept.text", "differs from the code's words, which are taken")
    return found


@dataclass
class _Dosage:
    directions: list[str]
    dose: Measure | None = None
    route: Coding | None = None
    as_needed: bool = False


def _dosage(node: Node) -> _Dosage:
    """How it is taken, in the words that stand there, or in words made of its parts when there are none."""
    made = _Dosage([])
    steps = node.nodes("dosageInstruction")
    for place, step in enumerate(steps):
        step.skip("sequence")
        rate = step.first("doseAndRate")
        dose = rate.node("doseQuantity") if rate else None
        if rate is not None:
            rate.skip("type")
        measure = read_quantity(dose) if len(steps) == 1 else None
        in_words = amount(dose)
        if place == 0:
            made.route = read_concept(step.node("route"), (CodeSystem.SNOMED,))
        made.dose = made.dose or measure
        made.as_needed = made.as_needed or bool(step.flag("asNeededBoolean")) or "asNeededCodeableConcept" in step
        said = [step.string("text"), step.string("patientInstruction")]
        if not any(said):
            said = [_composed(step, None if measure else in_words)]
        else:
            step.skip("timing")
        purpose = read_concept(step.node("asNeededCodeableConcept"))
        said.append(f"As needed for: {purpose.display}." if purpose else None)
        more = [found.display for each in step.nodes("additionalInstruction") if (found := read_concept(each))]
        said.append(f"{'; '.join(more)}." if more else None)
        made.directions += [one for one in said if one]
    return made


_UNITS: Final = {"s": "s", "min": "min", "h": "h", "d": "day", "wk": "week", "mo": "month", "a": "year"}


def _composed(step: Node, dose: str | None) -> str | None:
    timing = step.node("timing")
    repeat = timing.node("repeat") if timing else None
    parts = [f"Dose {dose}" if dose else None]
    if repeat is not None:
        times, period, unit = repeat.raw("frequency"), repeat.number("period"), repeat.string("periodUnit")
        if period is not None and unit in _UNITS:
            every = f"{period.normalize():f} {_UNITS[unit]}"
            parts.append(f"{times or 1} time{'s' if (times or 1) != 1 else ''} each {every}")
    if timing is not None:
        code = read_concept(timing.node("code"))
        parts.append(code.display if code else None)
    said = ", ".join(part for part in parts if part)
    return f"{said}." if said else None


def _whole(node: Node, name: str, least: int, most: int) -> int | None:
    """A quantity that is a whole number; of anything else a note."""
    found = node.node(name)
    value = found.number("value") if found else None
    if found is not None:
        found.skip("unit", "system", "code")
    if value is None:
        return None
    if value != value.to_integral_value() or not least <= value <= most:
        node.note(name, "is left out: it is no whole number that can be kept here")
        return None
    return int(value)


def _days(supply: Node) -> int | None:
    found = supply.node("expectedSupplyDuration")
    if found is None:
        return None
    if found._data.get("code", found._data.get("unit")) not in ("d", "day", "days", "Day", "Days"):
        supply.note("expectedSupplyDuration", "is left out: it is not in days")
        return None
    return _whole(supply, "expectedSupplyDuration", 1, 366)


def _repeats(supply: Node) -> int:
    found = supply.number("numberOfRepeatsAllowed")
    if found is not None and not 0 <= found <= 12:
        supply.note("numberOfRepeatsAllowed", "is more than 12: taken as 12")
    return 0 if found is None else min(12, max(0, int(found)))


def _reason(node: Node) -> Coding | None:
    found = [one for each in node.nodes("reasonCode") if (one := read_concept(each))]
    named = [name for each in node.nodes("reasonReference") if (name := name_at(each))]
    found += [Coding(system=CodeSystem.TEXT, display=name) for name in named]
    if len(found) > 1:
        node.note("reasonCode", "has more than one reason: the first is taken")
    return found[0] if found else None


def _prescriber(node: Node) -> str | None:
    return name_at(node.node("requester"))


def _authored(node: Node) -> datetime | None:
    when = read_when(node, "authoredOn")
    if when is None:
        return None
    if when.day is None:
        node.note("authoredOn", "is known in part: the order stands with the moment of the import")
        return None
    return read_moment(node, "authoredOn")
