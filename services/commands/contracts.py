"""The contracts that the operator's command knows: what can be sent, field by field, in words for people."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from functools import cache
from importlib import import_module
from typing import Any, Final, get_args, get_type_hints

from services.commands.door import Usage
from shared.contract import CommandSpec, Contract, id_length
from shared.types import ID_PATTERN, MAX_INTEGER

_SERVICES: Final = ("inventory", "distribution", "treasury", "clinic")


class _Contracts(Mapping[str, Contract]):
    """Each is imported when it is asked for: that takes up to half a second, and most commands ask for one."""

    def __getitem__(self, name: str) -> Contract:
        if name not in _SERVICES:
            raise KeyError(name)
        contract: Contract = getattr(import_module(f"services.{name}.contract"), name)
        return contract

    def __contains__(self, name: object) -> bool:
        return name in _SERVICES

    def __iter__(self) -> Iterator[str]:
        return iter(_SERVICES)

    def __len__(self) -> int:
        return len(_SERVICES)


CONTRACTS: Final[Mapping[str, Contract]] = _Contracts()
"""Every service that takes commands, by name."""


_GENERAL: Final[Mapping[str, str]] = {
    "item": "The item's id in the catalogue.",
    "location": "The id of the location where the stock is.",
    "occurred_at": "When it happened; left out means now.",
    "note": "A remark for people.",
    "reason": "Why, for whoever reads the ledger later.",
    "quantity": "How much, in the item's base unit.",
}
"""Words for fields that mean the same everywhere, where the contract's own docstrings need none."""


_OF_MONEY: Final = """
    The `book` by its id.
    The id of the `entry`, unique in its book: the same id again is not posted twice.
    The `date` on which it happened.
    The `account` by its id in the chart.
    The `fund` by its id, general if left out.
    The `unit` that it is counted in: a currency such as EUR, or a unit of the book's own.
    The `amount`, as 12.50 or in minor units.
    The accounts of the `debits`, with their amounts.
    The accounts of the `credits`, with their amounts.
    The `party` that it concerns, by its opaque id and never by a name.
    The `reference` of the bank's or of your own, by which it is found again.
    A `description` in clear, for good: keep names out of it.
    A `fact` has happened, so limits do not stop it, and what it breaks is reviewed.
"""
"""Words for fields of the treasury that its commands have in common; a command's own docstring goes before them."""

_OF_DISTRIBUTION: Final = """
    The `household` by its id, which says nothing of who it is.
    The `programme` by its id.
    The `session` by its id: one opening at one place.
    The `period` that the day is in, by the programme's limit: a week as 2026-W47, a month as 2026-11, a day or a year.
    The `order` by its id.
    The `box` by the code on its label.
    The `visit` by its id.
    The `site` by its id, where it happens.
    The `date` at the site, as 2026-11-20.
    The proxy who came for the household (`collected_by`); left out, it came itself.
    An `override_reason` says why it goes on all the same; without it, a limit or an end of eligibility refuses it.
    With `seen_warnings` somebody has seen the warnings about allergens, and at the table about recalls, and goes on.
    A `fact` has happened: it is recorded whatever it broke, and somebody looks at it.
    The `member` by their id in the household.
    The `proxy` by their id in the household: who may collect for it.
    The `card` by its code, which stands in clear.
    The `name`, as people say it.
    The `contact` by which it is reached, sealed.
    The `address` that boxes are brought to, sealed.
    The `language` that is spoken, sealed.
    The `diet` that is kept, sealed.
    The `allergens` that are avoided, in inventory's words with commas between, sealed.
    The last day on which it is eligible (`eligible_until`); left out, there is no end.
    The first day (`since`).
    The last day (`until`); left out, there is no end.
    The `slot` that it is for, by its beginning.
    The moment at which it begins (`starts_at`).
    The moment at which it ends (`ends_at`).
    The `lot` as it is printed; left out, the one that expires first.
    The `owner` of the goods: a programme's id, where they are its own.
    The number under 18 (`child`).
    The number from 18 to 59 (`adult`).
    The number of 60 and over (`senior`).
    The number of unknown age (`unknown`).
    The `basis` of its eligibility: income, a programme it is in, a declaration, sealed.
    The `signature`, or the mark that was made, sealed.
    The `claim` by its id: that of its order.
    The `step` by its id, as it is listed.
"""
"""The same for distribution."""

_OF_MEALS: Final = """
    The `quantity` of meals.
    The `delivery` by its id, so that a repeat counts once.
    The `discard` by its id, so that a repeat counts once.
    The person who took it in (`received_by`), by an id.
"""
"""The same for meal counts."""

_OF_CLINIC: Final = """
    The `patient` by their id, which says nothing of who it is.
    The `practitioner` by the name that they act under.
    The `encounter` by its id: one visit of the patient.
    The `appointment` by its id.
    The `clinician` by the name that they act under.
    The `prescription` by its id.
    The `dispensing` by its id.
    The `administration` by its id.
    The `referral` by its id.
    The `allergy` by its id, unique in the patient's record.
    The `problem` by its id, unique in the patient's record.
    The `result` by its id, unique in the patient's record.
    The `report` by its id, unique in the patient's record.
    The `consent` by its id, unique in the patient's record.
    The `access` by its id, so that a repeat counts once.
    The `disclosure` by its id, so that a repeat counts once.
    The `vitals` by an id, unique in the encounter.
    The `recall` by its id.
    The `step` by its id, as it is listed.
    The `code` in its system; left out with the system `text`, where words are all there is.
    The `value` as an integer: 366 with one decimal is 36.6.
    The number of `decimals` of the value.
    The `unit` as UCUM writes it.
    The `lot` as it is printed.
    The `manufacturer` as it is printed.
    The `owner` of the goods, where they are not the clinic's.
    The `date` that is meant: an expiry of goods, a day at the clinic.
    The first day (`since`).
    The last day (`until`); left out, there is no end.
    The day (`on`).
    The day on which it `ended`.
    The `directions` in words, as the patient is told.
    For how many days it lasts (`days_supply`).
    Taken only when it is needed (`as_needed`).
    The `prescriber` elsewhere, of an imported order.
    Where it was taken over from (`imported_from`); nothing is dispensed from there.
    An `override_reason` answers for the alerts, under a licence; without it, an alert refuses it.
    A `fact` has happened: it is recorded whatever it broke, and somebody looks at it.
    The `place` where it was.
    What it says in words (`text`).
    The `name`, as people say it.
    The `family` name.
    The `given` names.
    The day of birth (`born`).
    The day of death (`died`).
    The `phone` number.
    The address for `email`.
    The `street` and house number.
    The `city` or village.
    The `state` or province.
    The `postal_code` of the address.
    The `country` of the address.
    The `guardian` who stands for them.
    How the guardian is reached (`guardian_phone`).
    The `roles` that they act in, as a whole.
    The first day (`valid_from`).
    The last day (`valid_until`); left out, there is no end.
    The `title`, as RN or MD.
    To whom it goes (`to`).
    In words, `what` was given away.
    The `ground` that it rests on, where no consent is needed.
    Claimed beyond the limit, since somebody with a licence answered for it (`overridden`).
    The `detail` in words.
    What was `asked` for.
    The `recipient` who took it: the patient, or who fetched it.
    The `relationship` of who fetched it to the patient.
    The label is on it (`label_printed`).
    The date on the package (`expires`).
    The number of the dose in its series (`dose_number`).
    Who gave it (`administered_by`), where it was given elsewhere.
    The information `sheet` that was handed over.
    The edition of the sheet (`sheet_edition`).
    The day on which the sheet was handed over (`sheet_given_on`).
    A `remark` of who attests, sealed.
    The `strength`, as it is printed.
    The `form`, as tablet.
    A `medicine` by inventory's category.
    A `controlled` substance, of which nothing is prescribed or dispensed.
    No longer in the catalogue (`retired`).
    The `source` of what is said.
    The record that it goes on as (`into`).
    The `other` record.
    The one `with_whom` it is shared.
    An `intolerance` and no allergy.
    The moment at which it was found (`found_at`).
    The range of `reference`, in words.
    To be seen soon (`urgent`).
    The `outcome`, sealed.
    The moment at which it begins (`starts_at`).
    How many `minutes` it lasts.
"""
"""The same for the clinic."""

_OF_NOTES: Final = """
    The `note` by its id, unique in the encounter.
    The `amendment` by its id, unique in the encounter.
"""
"""The same for what is written at an encounter."""


_EXAMPLES: Final[Mapping[str, str]] = {
    "Coding": '{"system": "rxnorm", "code": "7980", "display": "penicillin G"}',
    "Coding medication": '{"system": "rxnorm", "code": "308191", "display": "amoxicillin 500 MG Oral Capsule"}',
    "Coding vaccine": '{"system": "cvx", "code": "140", "display": "Influenza, seasonal"}',
    "Coding ingredients": '{"system": "rxnorm", "code": "723", "display": "amoxicillin"}',
    "Coding classes": '{"system": "atc", "code": "J01CA04", "display": "amoxicillin"}',
    "Coding reaction": '{"system": "snomed", "code": "126485001", "display": "Urticaria"}',
    "Coding reason": '{"system": "snomed", "code": "43878008", "display": "Streptococcal sore throat"}',
    "Coding route": '{"system": "snomed", "code": "26643006", "display": "Oral route"}',
    "Coding site": '{"system": "snomed", "code": "368208006", "display": "Left upper arm structure"}',
    "Measure": '{"value": 366, "decimals": 1, "unit": "Cel"}',
    "Measure dose": '{"value": 500, "unit": "mg"}',
    "Vital code": '{"system": "loinc", "code": "8310-5", "display": "Body temperature"}',
    "Problem code": '{"system": "snomed", "code": "38341003", "display": "Hypertensive disorder"}',
    "Result code": '{"system": "loinc", "code": "2345-7", "display": "Glucose"}',
    "Result measured": '{"value": 54, "decimals": 1, "unit": "mmol/L"}',
    "Order directions": '"one capsule three times a day for seven days"',
    "Order quantity": "1",
    "Order days_supply": "7",
}
"""What may be typed for a field of the clinic, as JSON: by the record that it is in and its name, by the record that it
holds and its name, or by the record that it holds."""

_IN_EXAMPLES: Final = frozenset({"Order dose", "Order quantity", "Order days_supply", "Result measured"})
"""Optional fields that belong into the example of the record that they are in."""


class Kind(Enum):
    """How a field's value is read from the command line."""

    TEXT = "text"
    NUMBER = "number"
    MONEY = "money"
    """An amount of money: with its decimals when it is typed, in minor units where it is JSON."""
    FLAG = "flag"
    LIST = "list"
    """Of plain texts."""
    RECORD = "record"
    RECORDS = "records"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a command or of a record inside it, as a person may write it."""

    name: str
    kind: Kind
    form: str
    """Its type and bounds in words."""
    required: bool
    default: str
    doc: str
    record: str | None = None
    """The record's type, of a field that holds one or several."""
    fields: tuple[Field, ...] = ()
    within: str = ""
    """The type of the record that the field is in; empty of a command's own."""

    @property
    def example(self) -> str | None:
        """What may be typed for it, as JSON, where that is known; of a field that holds several, for one."""
        names = (f"{self.within} {self.name}", f"{self.record} {self.name}", self.record or "")
        return next((_EXAMPLES[name] for name in names if name in _EXAMPLES), None)

    @property
    def in_example(self) -> bool:
        """Whether it stands in the example of its record."""
        return self.required or f"{self.within} {self.name}" in _IN_EXAMPLES


def service(name: str) -> Contract:
    """A service's contract. Raises Usage when there is no such service."""
    found = CONTRACTS.get(name)
    if found is None:
        raise Usage(f"There is no service {name[:80]!r}. There is: {', '.join(CONTRACTS)}.", service=name[:80])
    return found


def command_spec(contract: Contract, name: str) -> CommandSpec:
    """A command by its name or its kebab-case form. Raises Usage, naming the likely one."""
    for spec in contract.commands.values():
        if name in (spec.name, spec.subject_token):
            return spec
    close = get_close_matches(name.lower(), [s.lower() for s in contract.commands], n=1, cutoff=0.5)
    meant = next((f" Did you mean {s}?" for s in contract.commands if close and s.lower() == close[0]), "")
    raise Usage(
        f"{contract.service} has no command {name[:80]!r}.{meant} `commons send {contract.service}` lists them.",
        command=name[:80],
    )


def summary(spec: CommandSpec) -> str:
    """A command's purpose, in its docstring's first sentence."""
    return next(_sentences(spec.cls.__doc__ or ""), "")


@cache
def fields_of_command(spec: CommandSpec) -> tuple[Field, ...]:
    """The fields of a command: forms from its JSON Schema, words from the docstrings of it and of its events."""
    schema = spec.schema()
    shared = _shared_words(spec)
    docs = [*_docs_of(spec.cls), *shared, *(doc for cls in spec.makes for doc in _docs_of(cls))]
    defs = dict(schema.get("$defs", {}))
    for cls in _records_in(spec.cls):
        defs[cls.__name__] = {**defs.get(cls.__name__, {}), "docs": [*_docs_of(cls), *shared]}
    return _fields(schema, defs, docs)


def _shared_words(spec: CommandSpec) -> list[str]:
    """Words for the fields that the commands of a service have in common."""
    match spec.cls.__module__.split(".")[:2]:
        case ["services", "treasury"]:
            return [_OF_MONEY]
        case ["services", "distribution"]:
            return [*([_OF_MEALS] if spec.category == "meal_count" else []), _OF_DISTRIBUTION]
        case ["services", "clinic"]:
            return [*([_OF_NOTES] if spec.category == "encounter" else []), _OF_CLINIC]
    return []


def _docs_of(cls: type) -> list[str]:
    """The docstrings of a dataclass and of those it extends."""
    return [c.__doc__ or "" for c in cls.__mro__ if dataclasses.is_dataclass(c)]


def _records_in(thing: Any) -> Iterator[type]:
    """The dataclasses that stand inside a type, however deep."""
    if isinstance(thing, type) and dataclasses.is_dataclass(thing):
        for hint in get_type_hints(thing).values():
            for inner in (hint, *_arguments(hint)):
                if isinstance(inner, type) and dataclasses.is_dataclass(inner):
                    yield inner
                    yield from _records_in(inner)


def _arguments(hint: Any) -> Iterator[Any]:
    for argument in get_args(hint):
        yield argument
        yield from _arguments(argument)


def _fields(schema: Mapping[str, Any], defs: Mapping[str, Any], docs: list[str]) -> tuple[Field, ...]:
    required = set(schema.get("required", ()))
    return tuple(
        _field(name, given, defs, name in required, docs) for name, given in schema.get("properties", {}).items()
    )


def _within(record: str, fields: tuple[Field, ...]) -> tuple[Field, ...]:
    return tuple(dataclasses.replace(field, within=record) for field in fields)


def _field(name: str, given: Mapping[str, Any], defs: Mapping[str, Any], required: bool, docs: list[str]) -> Field:
    type_ = _without_null(given)
    target = defs.get(_target(type_) or "")
    item = _without_null(type_.get("items", {}))
    record = defs.get(_target(item) or "")
    doc = _doc(name, docs)
    default = "" if given.get("default") in (None, [], False) else str(given["default"])
    if target is not None and "enum" in target:
        return Field(name, Kind.TEXT, _choice(target), required, default, doc or _first(target.get("description", "")))
    if target is not None:
        title = target.get("title", name)
        inner = _within(title, _fields(target, defs, target.get("docs", [])))
        doc = doc or _first(target.get("description", ""))
        return Field(name, Kind.RECORD, title, required, default, doc, title, inner)
    if record is not None and "properties" in record:
        title = record.get("title", name)
        inner = _within(title, _fields(record, defs, record.get("docs", [])))
        form = f"list of {title}{_count(type_)}"
        doc = doc or _first(record.get("description", ""))
        return Field(name, Kind.RECORDS, form, required, default, doc, title, inner)
    if type_.get("type") == "array":
        form = f"list of {_plain(item if record is None else record)}{_count(type_)}"
        return Field(name, Kind.LIST, form, required, default, doc)
    kinds = {"integer": Kind.NUMBER, "boolean": Kind.FLAG}
    kind = Kind.MONEY if type_.get("format") == "minor-units" else kinds.get(type_.get("type", ""), Kind.TEXT)
    return Field(name, kind, _plain(type_), required, default, doc)


def _without_null(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a field may be besides null, of one that may be null."""
    options = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
    return options[0] if options else schema


def _target(schema: Mapping[str, Any]) -> str | None:
    reference = schema.get("$ref")
    return reference.rpartition("/")[2] if reference else None


def _plain(schema: Mapping[str, Any]) -> str:
    """A plain type and its bounds in words."""
    match schema:
        case {"format": "minor-units"}:
            return "amount, as 12.50; in JSON 12.50 or 1250, in minor units"
        case {"type": "integer"}:
            least, most = schema.get("minimum"), schema.get("maximum")
            if least is not None and least > -MAX_INTEGER and most is not None and most < MAX_INTEGER:
                return f"integer {least}…{most}"
            return f"integer ≥ {least}" if least is not None and least > -MAX_INTEGER else "integer"
        case {"type": "boolean"}:
            return "true or false"
        case {"format": "date"}:
            return "date, as 2026-11-20"
        case {"format": "date-time"}:
            return "moment, as 2026-11-20T09:30:00Z"
        case {"pattern": pattern} if (length := id_length(pattern)) is not None:
            return "id" if pattern == ID_PATTERN else f"id ≤ {length}"
        case {"maxLength": limit}:
            return f"text ≤ {limit}"
        case {"enum": _}:
            return _choice(schema)
    return "text"


def _choice(schema: Mapping[str, Any]) -> str:
    return " | ".join(str(one) for one in schema["enum"])


def _count(schema: Mapping[str, Any]) -> str:
    least, most = schema.get("minItems", 0), schema.get("maxItems")
    return f", {least}…{most}" if most is not None else ""


def _doc(name: str, docs: list[str]) -> str:
    """The first sentence in the docstrings that is about the field; else the first that names it beside others."""
    sentences = [sentence for doc in docs for sentence in _sentences(doc) if f"`{name}`" in sentence]
    about = (sentence for sentence in sentences if sentence.split("`")[1] == name)
    return next(about, next(iter(sentences), _GENERAL.get(name, "")))


def _first(doc: str) -> str:
    return next(_sentences(doc), "")


def _sentences(text: str) -> Iterator[str]:
    flat = re.sub(r"\s+", " ", text).strip()
    for sentence in re.split(r"(?<=\.) (?=[A-Z`])", flat):
        if sentence:
            yield sentence
