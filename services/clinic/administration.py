"""Administrations: what was given to a patient at the clinic, a medicine or a vaccine, and the stock it drew on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final

from services.clinic.allergies import alert_open, check_against
from services.clinic.contract import (
    AdministerMedication,
    AdministrationResolved,
    AdministrationReversed,
    Check,
    ClinicError,
    Coding,
    FormularyEntrySet,
    GiveImmunization,
    Given,
    Immunization,
    ImmunizationGiven,
    Measure,
    MedicationAdministered,
    NoteDrawn,
    ResolveAdministration,
    ReverseAdministration,
    Role,
    StockDrawn,
    clinic,
)
from services.clinic.encounter import in_encounter
from services.clinic.faults import Faults
from services.clinic.formulary import Formulary, dispensable, recalls_of, same_medicine
from services.clinic.patient import itself, known
from services.clinic.practitioner import imports, in_role, licensed
from services.clinic.refusals import rejected, waits, when
from services.clinic.terminology import units
from services.inventory.contract import lot_form
from shared.contract import fields_of
from shared.decider import Context, Decider, Ref
from shared.moments import is_late

_GIVERS: Final = (Role.CLINICIAN, Role.PHARMACIST, Role.TRAINEE)
_ANSWERERS: Final = (Role.PHARMACIST, Role.CLINICIAN)


@dataclass
class Administration:
    """What was given. `movements` are those of the stock. `review` says whether a rule that it broke waits for
    somebody; None when it broke none."""

    medicine: MedicationAdministered | None = None
    vaccine: ImmunizationGiven | None = None
    movements: list[int] = field(default_factory=list)
    reversed: bool = False
    review: bool | None = None

    @property
    def given(self) -> MedicationAdministered | ImmunizationGiven | None:
        return self.medicine or self.vaccine


AdministrationCommand = (
    AdministerMedication | GiveImmunization | NoteDrawn | ReverseAdministration | ResolveAdministration
)  # fmt: skip
AdministrationEvent = (
    MedicationAdministered | ImmunizationGiven | StockDrawn | AdministrationReversed | AdministrationResolved
)  # fmt: skip


def evolve(administration: Administration, event: AdministrationEvent) -> Administration:
    match event:
        case MedicationAdministered():
            administration.medicine, administration.review = event, True if event.breaches else None
        case ImmunizationGiven():
            administration.vaccine, administration.review = event, True if event.breaches else None
        case StockDrawn():
            administration.movements.append(event.movement)
        case AdministrationReversed():
            administration.reversed = True
            administration.review = administration.review and False
        case AdministrationResolved():
            administration.review = False
    return administration


def reads(command: AdministrationCommand) -> Iterable[Ref]:
    if isinstance(command, AdministerMedication | GiveImmunization):
        yield Ref("patient", command.patient)
        if command.item is not None:
            yield Ref("formulary", command.item)


def decide(
    command: AdministrationCommand, administration: Administration, context: Context
) -> AdministrationEvent | None:
    at = when(command.occurred_at, context)
    match command:
        case AdministerMedication() | GiveImmunization():
            return _give(command, administration, context, at)
    given = administration.given
    if given is None:
        raise rejected(
            ClinicError.UNKNOWN_GIVING, f"Nothing was given as {command.administration}. Check the id.",
            administration=command.administration,
        )  # fmt: skip
    fields = dict(fields_of(command)) | {"occurred_at": at}
    if isinstance(command, NoteDrawn):
        return None if command.movement in administration.movements else StockDrawn(**fields)
    if command.patient != given.patient:
        raise rejected(
            ClinicError.WRONG_PATIENT,
            f"What was given as {command.administration} was not given to patient {command.patient}. Check both ids.",
            administration=command.administration, patient=command.patient,
        )  # fmt: skip
    if not isinstance(command, ResolveAdministration):  # that is done of whoever was erased, too
        known(context.read("patient", command.patient), command.patient, context)
    match command:
        case ReverseAdministration():
            in_role(context, _GIVERS, "take back what was given")
            if administration.reversed:
                return None
            drew = draws(given)
            return AdministrationReversed(
                **fields, item=given.item if drew else None, location=given.location if drew else None,
                movements=tuple(administration.movements),
            )  # fmt: skip
        case ResolveAdministration():
            in_role(context, _ANSWERERS, "close the review of what was given")
            waiting = waits(administration.review, f"What was given as {command.administration}")
            return AdministrationResolved(**fields) if waiting else None


def draws(given: MedicationAdministered | ImmunizationGiven) -> bool:
    """Whether what was given came from stock."""
    return isinstance(given, MedicationAdministered) or given.imported_from is None


@dataclass(frozen=True)
class _Act:
    """What is given, and from what."""

    item: str
    lot: str
    expires: date | None
    code: Coding
    dose: Measure | None
    reason: str | None


def _give(
    command: AdministerMedication | GiveImmunization, administration: Administration, context: Context, at: datetime
) -> MedicationAdministered | ImmunizationGiven | None:
    elsewhere = isinstance(command, GiveImmunization) and command.imported_from is not None
    if elsewhere:
        imports(context)
    fields = dict(fields_of(command)) | {"occurred_at": at}
    made = MedicationAdministered if isinstance(command, AdministerMedication) else ImmunizationGiven
    if administration.given is not None:
        if type(administration.given) is made and _same(command, administration.given, context):
            return None
        raise rejected(
            ClinicError.ALREADY_EXISTS,
            f"Something was given as {command.administration} already. Choose another id.",
            administration=command.administration,
        )  # fmt: skip
    patient = context.read("patient", command.patient)
    known(patient, command.patient, context)
    if elsewhere:
        return ImmunizationGiven(**fields)
    fact = command.fact or is_late(command.occurred_at, context)
    moment = at if fact else context.now  # what has happened is judged by its own moment, who may do it by now
    act = _act(command)
    faults = Faults()
    faults.ask(itself, patient, command.patient)
    faults.ask(in_role, context, _GIVERS, "give a medicine")
    faults.ask(in_encounter, command.encounter, command.patient, context)
    formulary: Formulary = context.read("formulary", act.item)
    faults.ask(dispensable, formulary, act.item)
    check = Check(checked=(f"nothing: {act.item} has no entry on the formulary",))
    if formulary.entry is not None:
        _of_entry(faults, command, act, formulary.entry)
        check = check_against(command.patient, formulary.entry, context)
    if check.alerts or formulary.entry is None:
        if act.reason is None:
            what = f"what would be given as {command.administration}"
            faults.add(alert_open(what, len(check.alerts), administration=command.administration))
        else:
            faults.ask(licensed, context, _ANSWERERS, "answer for an alert", moment)
    recalled = recalls_of(formulary, [(act.lot, act.expires)], moment)
    if recalled:
        faults.of(
            ClinicError.RECALLED,
            f"Lot {act.lot} of {act.item} is recalled ({', '.join(recalled[:3])}). Take another.",
            item=act.item,
            lot=act.lot,
        )
    if act.expires is not None and act.expires < moment.date():
        faults.of(
            ClinicError.EXPIRED,
            f"Lot {act.lot} of {act.item} was to be used by {act.expires}. Take another.",
            item=act.item,
            lot=act.lot,
        )
    refusal = faults.first()
    if refusal is not None and not fact:
        raise refusal
    return made(**fields, check=check, breaches=faults.codes())


def _of_entry(
    faults: Faults, command: AdministerMedication | GiveImmunization, act: _Act, entry: FormularyEntrySet
) -> None:
    meant = entry.medication if isinstance(command, AdministerMedication) else entry.vaccine
    if meant is None or not same_medicine(meant, act.code):
        faults.of(
            ClinicError.WRONG_MEDICINE,
            f"{act.item} is not the medicine that is said to be given as "
            f"{command.administration}. Look at the package, and at the item's formulary entry.",
            item=act.item,
        )
    wrong = act.dose and units.fault(act.dose, form=entry.form, strength=entry.strength)
    if wrong:
        faults.of(
            ClinicError.WRONG_UNIT,
            f"The dose that would be given as {command.administration} does not fit {act.item}: {wrong}.",
            item=act.item,
        )


def _act(command: AdministerMedication | GiveImmunization) -> _Act:
    if isinstance(command, AdministerMedication):
        content: Given = command.content
        return _Act(
            command.item, command.lot, command.expires, content.medication, content.dose, command.override_reason
        )
    if command.item is None or command.location is None or command.quantity is None or command.lot is None:
        raise rejected(
            ClinicError.UNKNOWN_ITEM,
            f"Say from which stock {command.administration} is given: item, location, quantity and lot; or, of a "
            "vaccine given elsewhere, where it is known from, with `imported_from`.",
            administration=command.administration,
        )  # fmt: skip
    vaccine: Immunization = command.content
    if vaccine.lot is not None and lot_form(vaccine.lot) != lot_form(command.lot):
        raise rejected(
            ClinicError.WRONG_MEDICINE,
            f"Two lots are named for {command.administration}. Look at the package, and name one.",
            administration=command.administration,
        )  # fmt: skip
    return _Act(command.item, command.lot, vaccine.expires, vaccine.vaccine, vaccine.dose, command.override_reason)


def _same(
    command: AdministerMedication | GiveImmunization, given: MedicationAdministered | ImmunizationGiven,
    context: Context,
) -> bool:  # fmt: skip
    """Whether a command says again what was recorded; its reason, which is sealed, aside."""
    clear = [name for name, _ in fields_of(command) if name not in ("content", "override_reason", "occurred_at")]
    if any(getattr(command, name) != getattr(given, name) for name in clear):
        return False
    return bool(context.unseal_as(given.content, type(command.content)) == command.content)


def check(administration: Administration) -> list[str]:
    broken = []
    if administration.given is None and (administration.movements or administration.reversed):
        broken.append("something became of what was never given")
    if len(set(administration.movements)) < len(administration.movements):
        broken.append("one movement of stock counts twice")
    return broken


administration: Final = Decider(
    clinic, "administration", Administration, Administration, decide, evolve, check, reads
)  # fmt: skip
