"""What is known of a patient's allergies, beside a medicine: which alerts stand, and what was compared with what.

A medicine is compared with each allergy by the codes of its ingredients, by ATC class, by the groups of what
cross-reacts, and by words. No match is not the same as safe: a check says with what the medicine was compared, and
from which table; and an allergy that cannot be compared, or that nobody asked for, is an alert too.

A check is sealed with the key of the record that it is made for. Of an allergy in another record of the same person it
tells where that stands and whether it matches, alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from services.clinic.contract import (
    Alert,
    AlertKind,
    Allergy,
    AllergyCategory,
    Check,
    ClinicError,
    CodeSystem,
    Coding,
    FormularyEntrySet,
)
from services.clinic.patient import Patient, allergies, everyone
from services.clinic.refusals import rejected
from services.clinic.terminology import ingredients, plain, vaccines
from services.clinic.terminology.ingredients import BY_CODE, Ingredient, named_in
from shared.decider import Context
from shared.errors import Rejected

_OF_MEDICINES: Final = (AllergyCategory.MEDICATION, AllergyCategory.BIOLOGIC)
_SHORTEST_CLASS: Final = 3
"""Characters of an ATC code from which on two medicines are of one class: J01 and not J."""

_OTHERS: Final = "X"
"""The last letter of an ATC class of what is of no class: two medicines have nothing in common by it."""

_ALERTS: Final = 40
_CHECKED: Final = 60


@dataclass(frozen=True, slots=True)
class _Substance:
    """What a coding is, as far as the tables tell: its code, its words, rows of the ingredients table, classes, and
    components of vaccines."""

    coding: Coding
    rows: tuple[Ingredient, ...]
    classes: frozenset[str]
    groups: frozenset[str]
    components: frozenset[str]

    @property
    def known(self) -> bool:
        """Whether there is more to compare than its own code and words."""
        return bool(self.rows or self.classes or self.components)


def _substance(coding: Coding) -> _Substance:
    row = BY_CODE.get(coding.code) if coding.system is CodeSystem.RXNORM else None
    rows = (row,) if row is not None else named_in(coding.display)
    classes = {one for row in rows for one in row.classes if not one.endswith(_OTHERS)}
    if coding.system is CodeSystem.ATC and len(coding.code) >= _SHORTEST_CLASS:
        classes.add(coding.code)
    words = plain(coding.display)
    components = {
        one for one, names in vaccines.WORDS.items() if any(plain(name) in words for name in names)
    }  # fmt: skip
    if coding.system is CodeSystem.SNOMED and coding.code in vaccines.SUBSTANCES:
        components.add(vaccines.SUBSTANCES[coding.code])
    groups = {one for row in rows for one in row.groups}
    return _Substance(coding, rows, frozenset(classes), frozenset(groups), frozenset(components))


@dataclass(frozen=True, slots=True)
class _Medicine:
    """A formulary entry, as it is compared."""

    entry: FormularyEntrySet
    parts: tuple[_Substance, ...]
    classes: frozenset[str]
    components: frozenset[str]

    @classmethod
    def of(cls, entry: FormularyEntrySet) -> _Medicine:
        parts = tuple(_substance(one) for one in (*entry.ingredients, entry.medication))
        classes = {one.code for one in entry.classes if one.system is CodeSystem.ATC}
        classes |= {one for part in parts for one in part.classes}
        within = set(vaccines.components(entry.vaccine.code)) if entry.vaccine is not None else set()
        within |= {one for part in parts for one in part.components}
        return cls(entry, parts, frozenset(classes), frozenset(within))

    @property
    def unknown(self) -> str | None:
        """An ingredient of which no table and no class of the entry tells anything, in words: that it does not match
        means nothing. What is in a vaccine its components tell."""
        listed = self.entry.vaccine is not None and vaccines.is_listed(self.entry.vaccine.code)
        if listed or any(_tells(one) for one in self.entry.classes):
            return None
        return next((part.coding.display for part in self.parts[:-1] if not (part.rows or part.classes)), None)

    def why(self, allergy: _Substance) -> str | None:
        """How it matches an allergy, in words; None when it does not, as far as can be told."""
        for part in self.parts:
            if part.coding.system is allergy.coding.system and part.coding.code == allergy.coding.code != "":
                return f"has {part.coding.display} in it, by its code"
        for part in self.parts:
            if {row.name for row in part.rows} & {row.name for row in allergy.rows}:
                return f"has {part.coding.display} in it, by the {ingredients.SOURCE}"
        for part in self.parts:
            shared = sorted(part.groups & allergy.groups)
            if shared:
                return f"has {part.coding.display} in it, of the group {shared[0]} in the {ingredients.SOURCE}"
        for one in sorted(allergy.classes):
            if any(_of_one_class(one, mine) for mine in self.classes):
                return f"is of the ATC class {one}"
        found = sorted(self.components & allergy.components)
        if found:
            return f"may have {found[0]} in it, by the {vaccines.SOURCE}"
        words = plain(allergy.coding.display)
        for part in self.parts:
            if plain(part.coding.display) == words or (len(words) > 5 and words in plain(part.coding.display)):
                return f"has {part.coding.display} in it, by its words"
        return None


def _of_another(allergy: str, who: str, record: Patient) -> str:
    """An allergy in another record of a person. What it is to stays under that record's key: the two may be parted, or
    one of them erased, and this check is kept. The mark tells one content from the next, so that an answer for the one
    is none for the other."""
    mark = sha256(record.allergies[allergy].encode()).hexdigest()[:8]
    return f"allergy {allergy} of record {who} (as of {mark}; look there)"


def _tells(one: Coding) -> bool:
    """Whether a class says what a medicine has in common with others of it."""
    return one.system is CodeSystem.ATC and len(one.code) >= _SHORTEST_CLASS and not one.code.endswith(_OTHERS)


def _of_one_class(allergy: str, medicine: str) -> bool:
    """An allergy to a class is one to all that is below it; one to a substance is one to its class at the fourth level,
    which is as far as the tables go."""
    return medicine.startswith(allergy) or (len(medicine) >= _SHORTEST_CLASS and allergy.startswith(medicine[:5]))


def person(id: str, context: Context) -> dict[str, Patient]:
    """All records of whoever a record is of, by id, wherever their records go on: what any of them says counts."""
    patient: Patient = context.read("patient", id)
    seen = {id}
    while patient.merged_into is not None and patient.merged_into not in seen:
        id = patient.merged_into
        seen.add(id)
        patient = context.read("patient", id)
    return everyone(patient, id, context)


def check_against(id: str, entry: FormularyEntrySet, context: Context) -> Check:
    """Compare a medicine with what is known of a patient's allergies, in all their records."""
    medicine = _Medicine.of(entry)
    alerts: list[Alert] = []
    checked = [_compared(medicine)]
    records = person(id, context)
    standing = [
        (who, allergy, content)
        for who, record in sorted(records.items())
        for allergy, content in sorted(allergies(record, context).items())
    ]
    for who, allergy, content in standing:
        told = _of_another(allergy, who, records[who]) if who != id else None
        if content is None:
            label = told or f"allergy {allergy}"
            alerts.append(_alert(AlertKind.ALLERGY_NOT_COMPARABLE, f"{label} cannot be read any more"))
            continue
        substance = _substance(content.substance)
        label = told or f"allergy {allergy}, to {content.substance.display}"
        why = medicine.why(substance)
        if why is not None:
            alerts.append(_alert(AlertKind.ALLERGY, f"{label}: it {'matches' if told else why}"))
            continue
        missing = _not_comparable(substance, content, medicine)
        if missing is not None:
            missing = "it cannot be compared" if told else missing
            alerts.append(_alert(AlertKind.ALLERGY_NOT_COMPARABLE, f"{label}: {missing}"))
        else:
            checked.append(_line(f"{label}: no match" + ("" if told else f", by {_means(substance)}")))
    of_medicines = any(content is None or content.category in _OF_MEDICINES for _, _, content in standing)
    asked = any(AllergyCategory.MEDICATION in record.none_known for record in records.values())
    if not of_medicines and not asked:
        alerts.append(
            _alert(AlertKind.ALLERGY_STATUS_UNKNOWN, "nobody recorded whether there is an allergy to medicines")
        )
    elif not standing:
        checked.append("nothing is recorded, and somebody asked: no allergy to medicines is known")
    elif asked and not of_medicines:
        checked.append("somebody asked: no allergy to medicines is known")
    if len(alerts) > _ALERTS:
        rest = _alert(AlertKind.ALLERGY_NOT_COMPARABLE, f"and {len(alerts) - _ALERTS + 1} more: look at the chart")
        alerts = [*alerts[: _ALERTS - 1], rest]
    if len(checked) > _CHECKED:
        checked = [*checked[: _CHECKED - 1], f"and {len(checked) - _CHECKED + 1} more"]
    return Check(alerts=tuple(alerts), checked=tuple(checked))


def _not_comparable(substance: _Substance, allergy: Allergy, medicine: _Medicine) -> str | None:
    """Why no match means nothing, in words; None when it means something. An allergy to food or to what is in the air
    is compared with a vaccine by the components table alone, and with other medicines by words."""
    if allergy.category not in _OF_MEDICINES:
        comparable = medicine.entry.vaccine is None or bool(substance.components)
    else:
        comparable = substance.known
        if comparable and medicine.unknown is not None:
            return f"the medicine has {medicine.unknown} in it, which no table has, and no ATC class is known of it"
    return None if comparable else "its code or words cannot be compared with a medicine"


def _compared(medicine: _Medicine) -> str:
    missing = [part.coding.display for part in medicine.parts[:-1] if not part.rows]
    told = f"compared by codes, ATC classes ({', '.join(sorted(medicine.classes)) or 'none known'}), groups and words"
    if missing:
        told += f"; not in the {ingredients.SOURCE}: {', '.join(missing)}"
    return _line(told)


def _means(substance: _Substance) -> str:
    if substance.rows:
        return f"the {ingredients.SOURCE}"
    if substance.classes:
        return "ATC class"
    return f"words, and the {vaccines.SOURCE}" if substance.components else "words alone"


def _alert(kind: AlertKind, detail: str) -> Alert:
    return Alert(kind=kind, detail=_line(detail))


def _line(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:199]}…"


def open_alerts(alerts: Iterable[Alert], answered: Iterable[Alert]) -> list[Alert]:
    """The alerts that nobody answers for, each once."""
    done = set(answered)
    return [one for one in dict.fromkeys(alerts) if one not in done]


def alert_open(id: str, count: int, **facts: object) -> Rejected:
    """The refusal while alerts are open. It does not say which: that is the patient's."""
    are, them = ("alert is", "it") if count == 1 else ("alerts are", "them")
    return rejected(
        ClinicError.ALERT_OPEN,
        f"{count} {are} open on {id}. Look at {them} there; a licensed clinician or pharmacist may answer for each, "
        "with a reason.",
        alerts=count, **facts,
    )  # fmt: skip
