"""Dispensing: from a request to goods that left, and back again when nothing comes of it.

    DispensingRequested -> AllotSupply (its order), ClaimFill (the patient's fills), ReserveStock (whole only)
      AllotSupply or ClaimFill refused for its limit -> NoteAlert; AlertOverridden -> the same again, beyond the limit
      either refused for anything else               -> RefuseDispensing
      ReserveStock refused                           -> NoteSetAside, with nothing: the queue shows it, and it waits
    GoodsSetAside       -> ReleaseReservation, when it was over by then
    MedicationDispensed -> IssueStock by the lots in the bag; of a fact, AllotSupply and ClaimFill as such, whether
                           anybody had requested it or not
    DispensingRefused, DispensingUnpicked -> ReturnSupply, ReleaseFill, ReleaseReservation
    PrescriptionStopped -> RefuseDispensing, for each that is open;  due_at passed -> UnpickDispensing
    AllergyRecorded, AllergyRefuted, NoKnownAllergyAsserted, MergeNoted -> RecheckDispensing, for each that is open
    MedicationAdministered, ImmunizationGiven -> IssueStock;  AdministrationReversed -> ReverseMovement
    PatientsMerged, PatientsUnmerged -> NoteMerge;  PersonErased -> ReleaseReservation

What was given has left: its issues say so (`already_left`) and inventory records them whatever its figure says. An
issue that is refused where it happened is issued as of now. Inventory is told items, lots and the ids of dispensings,
and nothing of patients.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from services.clinic.contract import (
    AdministrationReversed,
    Alert,
    AlertKind,
    AlertNoted,
    AlertOverridden,
    AllergyRecorded,
    AllergyRefuted,
    AllotSupply,
    Claim,
    ClaimFill,
    ClinicError,
    DispensingRefused,
    DispensingRequested,
    DispensingUnpicked,
    Fill,
    FillClaimed,
    FormularyEntrySet,
    GoodsFreed,
    GoodsIssued,
    GoodsSetAside,
    ImmunizationGiven,
    MedicationAdministered,
    MedicationDispensed,
    MergeNoted,
    NoKnownAllergyAsserted,
    NoteAlert,
    NoteMerge,
    NoteSetAside,
    PatientsMerged,
    PatientsUnmerged,
    PersonErased,
    PrescriptionStopped,
    ProcessStepRefused,
    RecheckDispensing,
    RefuseDispensing,
    ReleaseFill,
    ResolveStep,
    ReturnSupply,
    StockDrawn,
    SupplyAllotted,
    UnpickDispensing,
    clinic,
)
from services.clinic.processes.names import recipient_of, reservation_of
from services.inventory.contract import (
    InventoryError,
    IssueStock,
    PickLine,
    Purpose,
    ReleaseReservation,
    ReserveStock,
    ReverseMovement,
    inventory,
)
from shared.event import Recorded
from shared.manager import Cause, Manager, Step

_WHY: Final = "Recorded by mistake at the clinic."
_LEAD_TO_IT: Final = ("AllotSupply", "ClaimFill", "RecheckDispensing")


@dataclass(eq=False, slots=True)
class _Dispensing:
    """What is remembered of a dispensing until nothing of it is under way: `steps` are those that lead to it.

    `there` says whether something is set aside, None while inventory has not answered.
    """

    requested: DispensingRequested
    fill: Fill
    steps: list[str] = field(default_factory=list)
    there: bool | None = None
    over: bool = False
    given: bool = False
    gone: bool = False

    @property
    def settled(self) -> bool:
        """Whether it is over, and inventory has answered, so that nothing follows from it any more."""
        answered = self.there is not None and not self.there
        return answered and (self.gone if self.given else self.over)


class Dispensing(Manager):
    """Keeps orders, fills, dispensings and stock in step. Of the formulary it remembers which medicine an item is."""

    name = "dispensing"
    reads = (
        FormularyEntrySet, DispensingRequested, AlertNoted, AlertOverridden, SupplyAllotted, FillClaimed, GoodsSetAside,
        GoodsFreed, GoodsIssued, MedicationDispensed, DispensingRefused, DispensingUnpicked, PrescriptionStopped,
        AllergyRecorded, AllergyRefuted, NoKnownAllergyAsserted, MergeNoted, MedicationAdministered, ImmunizationGiven,
        StockDrawn, AdministrationReversed, PatientsMerged, PatientsUnmerged, PersonErased, ProcessStepRefused,
    )  # fmt: skip

    def __init__(self) -> None:
        self._entries: dict[str, FormularyEntrySet] = {}
        self._open: dict[str, _Dispensing] = {}
        self._due: list[tuple[datetime, int, str, Cause]] = []
        """A heap of until when a dispensing waits, its sequence, its id, and the event that requested it."""
        self._sent: dict[str, Step] = {}
        """Steps that something else follows from should they be refused, by their ids."""
        self._issuing: dict[str, str] = {}
        """Of those, the ones that give goods out, by what `about` says."""
        self._drawing: dict[str, MedicationAdministered | ImmunizationGiven] = {}
        """What was administered, until its stock is known to be drawn."""
        self._reversed: dict[str, MedicationAdministered | ImmunizationGiven] = {}
        """Of those, what was reversed before."""

    def react(self, event: Recorded) -> Iterable[Step]:
        match event.data:
            case FormularyEntrySet() as entry:
                self._entries[entry.item] = entry
            case DispensingRequested() as requested:
                yield from self._requested(event, requested)
            case AlertOverridden() as overridden:
                yield from self._overridden(event, overridden)
            case SupplyAllotted() as allotted:
                self._answered(allotted.dispensing, AllotSupply)
            case FillClaimed() as filled:
                self._answered(filled.dispensing, ClaimFill)
            case GoodsSetAside() | GoodsFreed() | GoodsIssued() as goods:
                yield from self._goods(event, goods)
            case MedicationDispensed() as dispensed:
                yield from self._dispensed(event, dispensed)
            case DispensingRefused() | DispensingUnpicked() as ended:
                yield from self._ended(event, ended.dispensing)
            case PrescriptionStopped() as stopped:
                for id, one in self._open.items():
                    if one.requested.prescription == stopped.prescription and not (one.over or one.given):
                        yield self._refuse(event, one.requested, "Its order was stopped.", f"refuse {id}")
            case AllergyRecorded() | AllergyRefuted() | NoKnownAllergyAsserted() as told:
                yield from self._recheck(event, {told.patient})
            case MergeNoted() as noted:
                yield from self._recheck(event, {noted.patient, noted.other})
            case MedicationAdministered() | ImmunizationGiven() as given:
                yield from self._administered(event, given)
            case StockDrawn() as drawn:
                yield from self._drawn(event, drawn)
            case AdministrationReversed() as undone:
                yield from self._undone(event, undone)
            case PatientsMerged() | PatientsUnmerged() as merged:
                note = NoteMerge(patient=merged.into, other=merged.patient, merged=isinstance(merged, PatientsMerged))
                yield self.step(event, clinic, note)
            case PersonErased() as erased:
                for id, one in self._open.items():
                    if erased.kind == "patient" and one.requested.patient == erased.person and not one.given:
                        one.over = True
                        yield self._release(event, one.requested.item, one.requested.location, id)
            case ProcessStepRefused() as refused:
                yield from self._refused(event, refused)

    def due(self, now: datetime) -> Iterable[Step]:
        while self._due and self._due[0][0] <= now:
            _, _, id, cause = heapq.heappop(self._due)
            one = self._open.get(id)
            if one is not None and not (one.over or one.given):
                unpick = UnpickDispensing(
                    dispensing=id, patient=one.requested.patient, reason="Nobody fetched it in time."
                )
                met = ClinicError.DISPENSING_OVER
                yield self.step(cause, clinic, unpick, f"unpick {id}", met_by=met, about=id)

    def moot(self, step: Step) -> bool:
        """Nothing is claimed or looked at for a dispensing that is over. Goods are set aside and freed again: so it is
        known that none are."""
        match step.command:
            case AllotSupply(fact=False) | ClaimFill(fact=False) | RecheckDispensing():
                one = self._open.get(step.about)
                return one is None or one.over
        return False

    # -- requests -----------------------------------------------------------------------------------------------------

    def _requested(self, event: Recorded, requested: DispensingRequested) -> Iterable[Step]:
        id, entry = requested.dispensing, self._entries[requested.item]
        fill = _fill(entry, requested.occurred_at, requested.days_supply)
        self._open[id] = one = _Dispensing(requested, fill)
        heapq.heappush(self._due, (requested.due_at, event.sequence, id, Cause.of(event)))
        yield self._watched(self._allot(event, one), one)
        yield self._watched(self._claim(event, one), one)
        reserve = ReserveStock(
            item=requested.item, location=requested.location, reservation=reservation_of(id),
            quantity=requested.quantity, purpose=Purpose.CLINIC, expires_after=requested.expires_after, recipient=id,
        )  # fmt: skip
        yield self._watched(self.step(event, inventory, reserve, about=id), one)

    def _allot(self, event: Recorded, one: _Dispensing, *, overridden: bool = False) -> Step:
        requested = one.requested
        allot = AllotSupply(
            prescription=requested.prescription, patient=requested.patient, dispensing=requested.dispensing,
            quantity=requested.quantity, overridden=overridden,
        )  # fmt: skip
        return self.step(event, clinic, allot, about=requested.dispensing)

    def _claim(self, event: Recorded, one: _Dispensing, *, overridden: bool = False) -> Step:
        requested = one.requested
        claim = ClaimFill(
            patient=requested.patient, dispensing=requested.dispensing, content=one.fill, overridden=overridden
        )
        return self.step(event, clinic, claim, about=requested.dispensing)

    def _overridden(self, event: Recorded, overridden: AlertOverridden) -> Iterable[Step]:
        one = self._open.get(overridden.dispensing)
        if one is not None and not one.over:
            match overridden.claim:
                case Claim.SUPPLY:
                    yield self._watched(self._allot(event, one, overridden=True), one)
                case Claim.FILL:
                    yield self._watched(self._claim(event, one, overridden=True), one)

    def _recheck(self, event: Recorded, patients: set[str]) -> Iterable[Step]:
        for id, one in self._open.items():
            if one.requested.patient in patients and not (one.over or one.given):
                recheck = RecheckDispensing(dispensing=id, patient=one.requested.patient)
                yield self.step(event, clinic, recheck, f"recheck {id}", about=id)

    # -- goods --------------------------------------------------------------------------------------------------------

    def _goods(self, event: Recorded, goods: GoodsSetAside | GoodsFreed | GoodsIssued) -> Iterable[Step]:
        one = self._open.get(goods.dispensing)
        match goods:
            case GoodsSetAside():
                self._answered(goods.dispensing, ReserveStock)
                if goods.lots and (one is None or one.over or one.given):
                    yield self._release(event, goods.item, goods.location, goods.dispensing)
                if one is not None:
                    one.there = bool(goods.lots)
            case GoodsFreed() if one is not None:
                one.there = bool(goods.remaining)
            case GoodsIssued():
                self._sent.pop(self._issuing.pop(goods.dispensing, ""), None)
                if one is not None:
                    one.there, one.gone = False, True
        self._forget(goods.dispensing)

    def _dispensed(self, event: Recorded, dispensed: MedicationDispensed) -> Iterable[Step]:
        id = dispensed.dispensing
        one = self._open.get(id)
        used = one is not None and one.there is True and not one.over
        if one is not None:
            one.given = True
        if dispensed.breaches:
            yield from self._claimed_late(event, dispensed)
        if one is not None and not used:
            yield self._release(event, dispensed.item, dispensed.location, id)
        lines = tuple(
            PickLine(quantity=line.quantity, lot=line.lot, date=line.date, owner=line.owner, reason="as dispensed")
            for line in dispensed.lots
        ) or (PickLine(quantity=dispensed.quantity),)
        issue = IssueStock(
            item=dispensed.item, location=dispensed.location, purpose=Purpose.CLINIC, lines=lines, recipient=id,
            reservation=reservation_of(id) if used else None, already_left=True, occurred_at=dispensed.occurred_at,
        )  # fmt: skip
        yield self._issue(event, issue, id)

    def _claimed_late(self, event: Recorded, dispensed: MedicationDispensed) -> Iterable[Step]:
        """The patient has it, so it counts against the order and the fills, whatever was decided before.

        Of what nobody requested there may be no such order, and no word of what is in it: then it counts for neither.
        """
        id, patient, order = dispensed.dispensing, dispensed.patient, dispensed.prescription
        if order is not None and ClinicError.UNKNOWN_PRESCRIPTION not in dispensed.breaches:
            allot = AllotSupply(
                prescription=order, patient=patient, dispensing=id, quantity=dispensed.quantity, fact=True
            )
            yield self.step(event, clinic, allot, about=id)
        entry = self._entries.get(dispensed.item)
        if entry is not None:
            fill = _fill(entry, dispensed.occurred_at, dispensed.days_supply)
            claim = ClaimFill(patient=patient, dispensing=id, content=fill, fact=True)
            yield self.step(event, clinic, claim, about=id)

    def _ended(self, event: Recorded, id: str) -> Iterable[Step]:
        one = self._open.get(id)
        if one is None:
            return
        one.over = True
        requested = one.requested
        back = ReturnSupply(prescription=requested.prescription, patient=requested.patient, dispensing=id)
        yield self.step(event, clinic, back, about=id)
        release = ReleaseFill(patient=requested.patient, dispensing=id)
        yield self.step(event, clinic, release, about=id)
        yield self._release(event, requested.item, requested.location, id)
        self._forget(id)

    def _release(self, event: Recorded, item: str, location: str, id: str) -> Step:
        release = ReleaseReservation(item=item, location=location, reservation=reservation_of(id))
        met = InventoryError.UNKNOWN_RESERVATION
        return self.step(event, inventory, release, f"release {id}", met_by=met, about=id)

    def _refuse(self, event: Recorded, requested: DispensingRequested, reason: str, name: str) -> Step:
        refuse = RefuseDispensing(dispensing=requested.dispensing, patient=requested.patient, reason=reason)
        met = ClinicError.DISPENSING_OVER
        return self.step(event, clinic, refuse, name, met_by=met, about=requested.dispensing)

    # -- administrations ----------------------------------------------------------------------------------------------

    def _administered(self, event: Recorded, given: MedicationAdministered | ImmunizationGiven) -> Iterable[Step]:
        imported = isinstance(given, ImmunizationGiven) and given.imported_from is not None
        if imported or given.item is None or given.location is None or given.quantity is None:
            return
        self._drawing[given.administration] = given
        issue = IssueStock(
            item=given.item, location=given.location, purpose=Purpose.CLINIC,
            lines=(PickLine(quantity=given.quantity, lot=given.lot, reason="as administered"),),
            recipient=recipient_of(given.administration), already_left=True, occurred_at=given.occurred_at,
        )  # fmt: skip
        yield self._issue(event, issue, recipient_of(given.administration))

    def _drawn(self, event: Recorded, drawn: StockDrawn) -> Iterable[Step]:
        id = drawn.administration
        self._sent.pop(self._issuing.pop(recipient_of(id), ""), None)
        self._drawing.pop(id, None)
        given = self._reversed.pop(id, None)
        if given is not None:  # it was reversed before its goods were known to have left
            yield self._reverse(event, given, drawn.movement)

    def _undone(self, event: Recorded, undone: AdministrationReversed) -> Iterable[Step]:
        given = self._drawing.get(undone.administration)
        if given is not None:
            self._reversed[undone.administration] = given
        for movement in undone.movements:
            if undone.item is not None and undone.location is not None:
                yield self._reversal(event, undone.item, undone.location, movement, undone.administration)

    def _reverse(self, event: Recorded, given: MedicationAdministered | ImmunizationGiven, movement: int) -> Step:
        assert given.item is not None and given.location is not None
        return self._reversal(event, given.item, given.location, movement, given.administration)

    def _reversal(self, event: Recorded, item: str, location: str, movement: int, administration: str) -> Step:
        undo = ReverseMovement(item=item, location=location, movement=movement, reason=_WHY)
        met = InventoryError.ALREADY_REVERSED
        name = f"reverse {item} {movement}"
        return self.step(event, inventory, undo, name, met_by=met, about=recipient_of(administration))

    def _issue(self, cause: Recorded, issue: IssueStock, about: str) -> Step:
        step = self._watched(self.step(cause, inventory, issue, f"issue {issue.item}", about=about))
        self._issuing[about] = step.id(self.name)
        return step

    # -- refused steps ------------------------------------------------------------------------------------------------

    def _watched(self, step: Step, one: _Dispensing | None = None) -> Step:
        id = step.id(self.name)
        self._sent[id] = step
        if one is not None:
            one.steps.append(id)
        return step

    def _answered(self, dispensing: str, command: type) -> None:
        """The first step of a kind that led to a dispensing was answered."""
        one = self._open.get(dispensing)
        for id in one.steps if one is not None else ():
            if id in self._sent and type(self._sent[id].command) is command:
                del self._sent[id]
                return

    def _forget(self, id: str) -> None:
        """Forget a dispensing of which nothing is under way any more."""
        one = self._open.get(id)
        if one is not None and one.settled:
            for step in one.steps:
                self._sent.pop(step, None)
            del self._open[id]

    def _refused(self, event: Recorded, refused: ProcessStepRefused) -> Iterable[Step]:
        """Go on without a step, and say at its refusal what was done instead, so that nobody need look into it."""
        if refused.manager != self.name:
            return
        step = self._sent.pop(refused.step, None)
        done = "The dispensing was over by then." if step is None and refused.command in _LEAD_TO_IT else None
        one = None if step is None else self._open.get(step.about)
        about = "" if step is None else step.about
        match step and step.command:
            case AllotSupply() | ClaimFill() if one is not None and not one.over:
                beyond, words = _LIMITS[refused.command]
                if refused.code == beyond:
                    alert = Alert(kind=words[0], detail=words[1])
                    note = NoteAlert(dispensing=about, patient=one.requested.patient, content=alert)
                    yield self.step(event, clinic, note, f"note {refused.command}", about=about)
                    done = f"An alert is noted on dispensing {about}."
                else:
                    yield self._refuse(event, one.requested, f"It could not go on: {refused.code}.", f"refuse {about}")
                    done = f"Dispensing {about} is refused."
            case AllotSupply() | ClaimFill():
                done = "The dispensing was over by then."
            case ReserveStock() as asked:
                there = min(refused.available or 0, asked.quantity - 1)  # it was refused, so something is short
                none = NoteSetAside(
                    dispensing=about, item=asked.item, location=asked.location, asked=asked.quantity, lots=(),
                    short=asked.quantity - there,
                )  # fmt: skip
                yield self.step(event, clinic, none, f"short {about}", about=about)
                if refused.code == InventoryError.INSUFFICIENT_STOCK:
                    done = f"Dispensing {about} waits with nothing set aside."
            case IssueStock() as issue:
                if issue.reservation is not None:
                    release = ReleaseReservation(
                        item=issue.item, location=issue.location, reservation=issue.reservation
                    )
                    met = InventoryError.UNKNOWN_RESERVATION
                    yield self.step(event, inventory, release, f"release {about}", met_by=met, about=about)
                again = replace(
                    issue, reservation=None, occurred_at=None, note="It happened earlier, and is issued as of now."
                )
                yield self.step(event, inventory, again, f"issue now {issue.item}", about=about)
                done = "It is issued as of now."
        if done is not None:
            yield self.step(event, clinic, ResolveStep(step=refused.step, note=done))


def _fill(entry: FormularyEntrySet, at: datetime, days: int) -> Fill:
    return Fill(medication=entry.medication, ingredients=entry.ingredients, on=at.date(), days_supply=days)


_LIMITS: Final = {
    "AllotSupply": (
        ClinicError.BEYOND_ORDER, (AlertKind.BEYOND_ORDER, "with it, more is given than was ordered, repeats included"),
    ),
    "ClaimFill": (
        ClinicError.DUPLICATE, (AlertKind.DUPLICATE, "the same was given, or is about to be, within seven days"),
    ),
}  # fmt: skip
"""By command: its refusal that somebody with a licence may answer for, and the alert that it becomes."""
