"""Which fields of an event are personal, and whose: marked in the contract, encrypted before the event is stored.

    @treasury.event(category="party")
    class PartyRegistered:
        party: Id
        name: Annotated[str, Sealed(of="party")]

The decider gives the event with the name as it was typed; the kernel seals it under the key of `party/<id>` before the
event is folded, hashed and stored (vault.py). So states, snapshots, the stream and the read models hold the sealed text
alone. A command that makes the event declares the same field with its ordinary type (Text, Note).

The decision says whose the text is: a command need not name them.

A value class that commands and events share, such as a line of a statement, marks its field too, with a type that
bounds what is typed and not what is stored: `payee: Annotated[PersonalText, Sealed(of="statement")]`.

What is personal may have a structure. Then the field says which value of the contract it holds, or a tuple of which:

    content: Annotated[PersonalValue, Sealed(of="patient", holds=Allergy)]
    readings: Annotated[PersonalValue, Sealed(of="patient", holds=tuple[Reading, ...])]

The decider gives the event with the value itself, as the command has it (`content: Allergy`); the kernel writes it as
JSON, and seals that (heldvalue.py). Nobody can open what is stored to bring it up to date, so such a value changes only
by fields that have a default.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias, Union, get_args, get_origin, get_type_hints

from msgspec import Meta
from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.fields import FieldInfo
from pydantic_core.core_schema import CoreSchema, nullable_schema

from shared.types import NOTE_PATTERN, TEXT_PATTERN

PersonalText = Annotated[str, Field(pattern=TEXT_PATTERN, min_length=1, max_length=200)]
"""As Text, at the door alone: what is stored of it is sealed, and longer."""

PersonalNote = Annotated[str, Field(pattern=NOTE_PATTERN, min_length=1, max_length=2000)]
"""As Note, at the door alone."""

if TYPE_CHECKING:
    PersonalValue: TypeAlias = Any
else:
    PersonalValue = str
"""Of a field whose mark says what it holds: the value when an event is decided, a sealed text wherever it is stored."""

SEALED_PATTERN: Final = r"^sealed:[1-9][0-9]{0,8}:[a-z0-9_]+/[A-Za-z0-9_-]+:[a-z0-9_.]+:[A-Za-z0-9_-]+$"
"""A sealed text: the number of the owner's key, the owner, the field it was sealed for, and base64url (sealing.py)."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """Marks a field as personal. `of` names the field of the whole event that holds the id of the person (or of another
    owner, such as a bank statement) under whose key it is sealed; the owner is then `<of>/<id>`, or `<kind>/<id>` where
    the field has another name than the kind of owner that it holds the id of. `holds` is the value, or the tuple of
    values, that is sealed as JSON; None of a text.

    A `remark` is about what happened, and that is recorded whoever it happened to: of nobody (the id is None) it stands
    in clear, and of somebody who was erased it is sealed under a key that nobody keeps, so that no word of it is ever
    read. What is no remark says who somebody is, and is refused when they were erased.
    """

    of: str
    kind: str = ""
    holds: Any = None
    remark: bool = False

    def owner(self, event: object) -> str | None:
        """Whose key seals the field in an event, or in what a command leads to: `party/p-12`; None without an id."""
        id = getattr(event, self.of)
        return None if id is None else f"{self.kind or self.of}/{id}"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """At the door a field that holds a value takes that value, and not a text."""
        if self.holds is None:
            return handler(source)
        held = handler.generate_schema(self.holds)
        return nullable_schema(held) if type(None) in get_args(source) else held

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """In a command what is typed, in an event the text that is stored, with the schema of the value in it."""
        made: dict[str, Any] = dict(handler(core_schema))
        if handler.mode == "validation":
            return made
        sealed: dict[str, Any] = {"type": "string", "format": "sealed"}
        if not self.remark:
            sealed["pattern"] = SEALED_PATTERN
        if self.holds is not None:
            held = made["anyOf"][0] if "anyOf" in made else made
            sealed |= {"contentMediaType": "application/json", "contentSchema": held}
        if "anyOf" in made:
            sealed = {"anyOf": [sealed, {"type": "null"}]}
        unless = f"; in clear where {self.of} is null" if self.remark else ""
        return sealed | {"description": f"Personal: encrypted under the key of {self.kind or self.of}/<id>{unless}."}


Change = Callable[[Sealed, str, Any], Any]
"""From the mark, the path of the personal field and the text or value in it to what shall stand there instead."""


@dataclass(frozen=True, slots=True)
class SealedFields:
    """The personal fields of one event or value class, found once: its own, and those of the values inside it."""

    own: tuple[tuple[str, Sealed], ...]
    """Name, and the mark that says whose it is."""
    inside: tuple[tuple[str, dict[type, SealedFields]], ...]
    """Name of a field, and the classes of its values that have personal fields."""

    def marks(self) -> frozenset[Sealed]:
        """Whose the fields are, each once, whatever they hold."""
        nested = (fields.marks() for _, classes in self.inside for fields in classes.values())
        return frozenset(Sealed(mark.of, mark.kind) for _, mark in self.own).union(*nested)

    def replace(self, thing: Any, change: Change, path: str = "") -> Any:
        """A copy with every personal field changed; those that are None stay so. `lines.3.payee` is a path."""
        changed: dict[str, Any] = {}
        for name, mark in self.own:
            content = getattr(thing, name)
            if content is not None:
                changed[name] = change(mark, path + name, content)
        for name, classes in self.inside:
            changed[name] = _inside(getattr(thing, name), classes, change, f"{path}{name}")
        return dataclasses.replace(thing, **changed)


def _inside(value: Any, classes: dict[type, SealedFields], change: Change, path: str) -> Any:
    if isinstance(value, tuple | list):
        return type(value)(_inside(item, classes, change, f"{path}.{n}") for n, item in enumerate(value))
    fields = classes.get(type(value))
    return value if fields is None else fields.replace(value, change, path + ".")


@cache
def sealed_fields(cls: type) -> SealedFields | None:
    """The personal fields of an event or value class, or None. Raises TypeError when one cannot be sealed as marked."""
    own: list[tuple[str, Sealed]] = []
    inside: list[tuple[str, dict[type, SealedFields]]] = []
    for name, annotation in get_type_hints(cls, include_extras=True).items():
        where = f"{cls.__name__}.{name}"
        mark = _mark(annotation, where)
        if mark is not None:
            own.append((name, mark))
            continue
        classes = {}
        for found, in_mapping in _classes(annotation):
            fields = sealed_fields(found)
            if fields is not None and in_mapping:
                raise TypeError(f"{where} holds personal fields inside a mapping; use a tuple of values")
            if fields is not None:
                classes[found] = fields
        if classes:
            inside.append((name, classes))
    return SealedFields(tuple(own), tuple(inside)) if own or inside else None


def _mark(annotation: Any, where: str) -> Sealed | None:
    """The mark on a field's own type, or on the part of it that is not None."""
    parts = [part for part in _options(annotation) if part is not type(None)]
    for part in [annotation, *parts]:
        extras = part.__metadata__ if get_origin(part) is Annotated else ()
        marks = [extra for extra in extras if isinstance(extra, Sealed)]
        if not marks:
            continue
        if any(isinstance(extra, Meta) for extra in extras):
            raise TypeError(f"{where} bounds what is stored, which is longer than what is typed; use PersonalText")
        plain = [p for p in _options(part.__origin__) if p is not type(None)]
        if len(parts) != 1 or [_bare(p) for p in plain] != [str]:
            raise TypeError(f"{where} is marked as sealed, but is not a text")
        if marks[0].holds is not None:
            _check_held(marks[0].holds, extras, where)
        return marks[0]
    return None


def _check_held(holds: Any, extras: tuple[Any, ...], where: str) -> None:
    """Raise TypeError when a field cannot hold what its mark says."""
    parts = get_args(holds)
    each = parts[0] if get_origin(holds) is tuple and parts[1:] == (...,) else holds
    if not (dataclasses.is_dataclass(each) and isinstance(each, type) and "__pydantic_config__" in vars(each)):
        raise TypeError(f"{where} holds {each!r}, which is no value of a contract; use `value`, or a tuple of such")
    if sealed_fields(each) is not None:
        raise TypeError(f"{where} holds {each.__name__}, which has personal fields of its own; it is sealed as a whole")
    if any(isinstance(extra, FieldInfo) and extra.metadata for extra in extras):
        raise TypeError(f"{where} bounds a text, and holds {each.__name__}; use PersonalValue")


def takes(annotation: Any, mark: Sealed) -> bool:
    """Whether a command's field has the type of what is sealed of it: a text, or the value that the mark says."""
    plain = [_bare(part) for part in _options(_bare(annotation)) if part is not type(None)]
    return plain == [str if mark.holds is None else mark.holds]


def _bare(annotation: Any) -> Any:
    return annotation.__origin__ if get_origin(annotation) is Annotated else annotation


def _options(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)


def _classes(annotation: Any, in_mapping: bool = False) -> Iterator[tuple[type, bool]]:
    """Every dataclass that a type names, and whether it stands inside a mapping."""
    if dataclasses.is_dataclass(annotation) and isinstance(annotation, type):
        yield annotation, in_mapping
    for part in get_args(annotation):
        yield from _classes(part, in_mapping or get_origin(annotation) is dict)
