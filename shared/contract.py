"""What a service promises: its commands and events, their versions, and how old events are read.

A contract is the only module of a service that others may import. It declares plain frozen dataclasses:

    inventory = Contract("inventory")

    @inventory.event(category="item")
    class ItemRegistered:
        '''An item entered the catalogue.'''
        item: Id
        name: Text

    @inventory.command(category="item", aggregate="item", makes=(ItemRegistered,))
    class RegisterItem:
        '''Put an item into the catalogue.'''
        item: Id
        name: Text

    inventory.freeze()

A command's fields come back unchanged, under the same names, in the events it makes: that is what lets a repeated
command be compared with the first (see handler.py), and what lets an event be held against the aggregate on which it
stands: the command's `aggregate` finds the id in the event as well. `freeze` checks it, and that every past version of
every event can still be read, when the module is imported.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from operator import attrgetter
from typing import Any, Final, NamedTuple, TypeVar, dataclass_transform, get_type_hints

import msgspec
from pydantic import ConfigDict, TypeAdapter, ValidationError

from shared.errors import Corrupt, Invalid, UnknownCommand
from shared.personal import Sealed, SealedFields, sealed_fields, takes
from shared.rights import Rights
from shared.types import shape_of

FILLED: Final = frozenset({"date", "occurred_at"})
"""Fields that a decision fills in when a command leaves them out; all others come back in its event as they were."""

T = TypeVar("T")
Upcaster = Callable[[dict[str, Any]], dict[str, Any]]
Cut = Callable[[bytes], Sequence[Any]]
"""From a request's data to its parts, each a command. Raises Invalid or TooLarge."""
Results = Callable[[Any, Any], Iterable[Mapping[str, Any]]]
"""From a part and the event it led to (None when it changed nothing) to one mapping an element, `result` among it."""


def kebab(name: str) -> str:
    """`StockReceived` -> `stock-received`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()


@dataclass_transform(frozen_default=True, kw_only_default=True)
def value(cls: type[T]) -> type[T]:
    """A frozen dataclass that stands inside commands and events: a line, a lot, a reading."""
    made = dataclass(frozen=True, slots=True, kw_only=True)(cls)
    made.__pydantic_config__ = ConfigDict(extra="forbid", strict=True)  # type: ignore[attr-defined]
    return made


@dataclass(frozen=True)
class CommandSpec:
    """One command of a contract: its class, the aggregate it is sent to, and the events it may make.

    A bulk command has `cut`, which makes a request's JSON into commands of the same class with fewer elements each, by
    the request alone, and `results`, which says what became of each element of one of them (see bulk.py).
    """

    name: str
    cls: type
    category: str
    aggregate: Callable[[Any], str]
    makes: tuple[type, ...]
    cut: Cut | None = None
    results: Results | None = None

    @cached_property
    def adapter(self) -> TypeAdapter[Any]:
        """What validates it; made when it is first asked for, as a process meets few of all the commands it knows."""
        return TypeAdapter(self.cls)

    @property
    def subject_token(self) -> str:
        return kebab(self.name)

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of a request's data, without what is filled in when a bulk command is cut."""
        made = self.adapter.json_schema()
        if self.cut is not None:
            del made["properties"]["parts"]
        return made


@dataclass(frozen=True, slots=True)
class EventSpec:
    """One event of a contract, at its newest version, with the decoder of its data."""

    name: str
    cls: type
    category: str
    version: int
    type: str
    decoder: msgspec.json.Decoder[Any]


class _Reading(NamedTuple):
    """How the data of one type of event is read, and what gives the id of the aggregate that it names.

    An event that no command makes names none, and is held against its category alone.
    """

    decode: Callable[[bytes | msgspec.Raw], Any]
    category: str
    """With the slash that follows it: `stock/`."""
    aggregate: Callable[[Any], str] | None


_field: Final = cache(attrgetter)
"""One getter a field, so that commands which name the same field locate their aggregate by the same function."""


class Contract:
    """The commands and events of one service, by name and by type."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.commands: dict[str, CommandSpec] = {}
        self.commands_by_token: dict[str, CommandSpec] = {}
        self.events: dict[str, EventSpec] = {}
        self._by_class: dict[type, EventSpec] = {}
        self._command_by_class: dict[type, CommandSpec] = {}
        self._by_type: dict[str, _Reading] = {}
        self._upcasters: dict[tuple[type, int], Upcaster] = {}
        self._sealed: dict[type, SealedFields] = {}
        self._marks: dict[type, tuple[Sealed, ...]] = {}
        self._frozen = False
        self.rights: Rights | None = None
        """Who may send which command."""

    # -- declaring ------------------------------------------------------------------------------------------------

    @dataclass_transform(frozen_default=True, kw_only_default=True)
    def event(self, *, category: str, version: int = 1) -> Callable[[type[T]], type[T]]:
        """Declare an event of one category of aggregate, at its newest version."""

        def declare(cls: type[T]) -> type[T]:
            made = value(cls)
            spec = EventSpec(
                made.__name__, made, category, version, self.event_type(made.__name__, version),
                msgspec.json.Decoder(made),
            )  # fmt: skip
            self.events[made.__name__] = spec
            self._by_class[made] = spec
            return made

        return declare

    @dataclass_transform(frozen_default=True, kw_only_default=True)
    def command(
        self, *, category: str, aggregate: str | Callable[[Any], str], makes: tuple[type, ...],
        cut: Cut | None = None, results: Results | None = None,
    ) -> Callable[[type[T]], type[T]]:  # fmt: skip
        """Declare a command; `aggregate` names the field that holds the aggregate's id, or computes the id.

        A bulk command gives `cut` and `results`, and has a field `parts: Parts = 1`, which comes back in its event: a
        request that is cut into another number of parts is another request.
        """

        def declare(cls: type[T]) -> type[T]:
            made = value(cls)
            locate = _field(aggregate) if isinstance(aggregate, str) else aggregate
            spec = CommandSpec(made.__name__, made, category, locate, makes, cut, results)
            self.commands[made.__name__] = self.commands_by_token[spec.subject_token] = spec
            self._command_by_class[made] = spec
            return made

        return declare

    def upcast(self, event: type, *, from_version: int) -> Callable[[Upcaster], Upcaster]:
        """Declare how the data of version `from_version` becomes that of the next version."""

        def declare(upcaster: Upcaster) -> Upcaster:
            self._upcasters[event, from_version] = upcaster
            return upcaster

        return declare

    def freeze(self) -> None:
        """Check the contract as a whole and build its decoders.

        Raises TypeError when a version of an event has no way to the newest one, when a command's field does not come
        back in an event that the command makes, when two commands make one event for aggregates that they find
        differently, when a bulk command is not whole, when an event lacks the field that
        says whose key seals it, or when a command's field is of another type than what the event seals.
        """
        aggregates = self._aggregates()
        for spec in self.events.values():
            for version in range(1, spec.version):
                if (spec.cls, version) not in self._upcasters:
                    raise TypeError(f"{spec.name} is at version {spec.version} but has no upcaster from {version}")
            where = f"{spec.category}/", aggregates.get(spec.cls)
            for version in range(1, spec.version):
                self._by_type[self.event_type(spec.name, version)] = _Reading(self._old_decoder(spec, version), *where)
            self._by_type[spec.type] = _Reading(spec.decoder.decode, *where)
            self._find_sealed(spec)
        for command in self.commands.values():
            for made in command.makes:
                names = {f.name for f in dataclasses.fields(made)}
                missing = {f.name for f in dataclasses.fields(command.cls)} - names
                if missing:
                    raise TypeError(f"{command.name} has fields that {made.__name__} lacks: {sorted(missing)}")
            if (command.cut is None) != (command.results is None):
                raise TypeError(f"{command.name} needs both `cut` and `results`, or neither")
            if command.cut is not None and "parts" not in {f.name for f in dataclasses.fields(command.cls)}:
                raise TypeError(f"{command.name} is cut into parts, and has no field `parts` that says into how many")
            self._check_sealed(command)
        if self.rights is not None:
            self.rights.check(self)
        self._frozen = True

    def _aggregates(self) -> dict[type, Callable[[Any], str]]:
        """What finds the id of its aggregate in each event: the same as in the commands that make it."""
        found: dict[type, Callable[[Any], str]] = {}
        for command in self.commands.values():
            for made in command.makes:
                category = self._by_class[made].category
                if category != command.category or found.setdefault(made, command.aggregate) is not command.aggregate:
                    raise TypeError(f"{command.name} makes {made.__name__} of another aggregate than it is sent to")
        return found

    def _find_sealed(self, spec: EventSpec) -> None:
        fields = sealed_fields(spec.cls)
        if fields is not None:
            unknown = {mark.of for mark in fields.marks()} - {f.name for f in dataclasses.fields(spec.cls)}
            if unknown:
                raise TypeError(f"{spec.name} is sealed under the keys of fields that it lacks: {sorted(unknown)}")
            self._sealed[spec.cls] = fields
            self._marks[spec.cls] = tuple(sorted(fields.marks(), key=lambda mark: (mark.of, mark.kind)))

    def _check_sealed(self, command: CommandSpec) -> None:
        sealing = [made for made in command.makes if made in self._sealed]
        hints = get_type_hints(command.cls, include_extras=True) if sealing else {}
        for made in sealing:
            for name, mark in self._sealed[made].own:
                if name in hints and not takes(hints[name], mark):
                    raise TypeError(f"{command.name}.{name} is not of the type that {made.__name__}.{name} seals")

    def _old_decoder(self, spec: EventSpec, version: int) -> Callable[[bytes | msgspec.Raw], Any]:
        steps = [self._upcasters[spec.cls, v] for v in range(version, spec.version)]

        def decode(data: bytes | msgspec.Raw) -> Any:
            fields = msgspec.json.decode(data)
            for step in steps:
                fields = step(fields)
            return msgspec.convert(fields, spec.cls, strict=True, from_attributes=False)

        return decode

    # -- using ----------------------------------------------------------------------------------------------------

    def event_type(self, name: str, version: int) -> str:
        """The CloudEvents type: `commons.inventory.stock-received.v1`."""
        return f"commons.{self.service}.{kebab(name)}.v{version}"

    def spec_of(self, event: object) -> EventSpec:
        return self._by_class[type(event)]

    def command_of(self, command: object) -> CommandSpec:
        return self._command_by_class[type(command)]

    @property
    def bulk(self) -> bool:
        """Whether any command is cut into parts, so that its requests are larger than others."""
        return any(command.cut is not None for command in self.commands.values())

    @property
    def personal(self) -> bool:
        """Whether any event has personal fields."""
        return bool(self._sealed)

    def sealed_of(self, event: object) -> SealedFields | None:
        """The personal fields of an event, or None."""
        return self._sealed.get(type(event))

    def owners_of(self, event: object) -> tuple[str, ...]:
        """The owners whose keys seal an event: `party/p-12`."""
        marks = self._marks.get(type(event))
        if not marks:
            return ()
        owners = (mark.owner(event) for mark in marks)
        return tuple(owner for owner in owners if owner is not None)

    def name_of(self, event: object) -> str:
        """The aggregate that an event's data names: `stock/rice:main`. Raises LookupError when no command makes it."""
        _, category, aggregate = self._by_type[self.spec_of(event).type]
        if aggregate is None:
            raise LookupError(f"{type(event).__name__} names no aggregate: no command makes it")
        return category + aggregate(event)

    def decode(self, type_: str, data: bytes | msgspec.Raw, name: str) -> Any:
        """An event's data as its newest class, upcast if it was written under an older version.

        `name` is the aggregate that its envelope names, as `stock/rice:main`. Raises Corrupt when the type is unknown,
        the data does not fit it, or the event is of another aggregate: whoever folds by what the data says and whoever
        folds by the envelope must not count it in two places.
        """
        reading = self._by_type.get(type_)
        if reading is None:
            raise Corrupt(
                f"No event of type {type_!r} is known here; software older than the event cannot read it.", type=type_
            )
        decode, category, aggregate = reading
        try:
            event = decode(data)
            found = name if aggregate is None else category + aggregate(event)
        except _UNREADABLE as error:
            raise Corrupt(
                f"The data of an event of type {type_!r} does not fit its schema: {error}", type=type_
            ) from error
        if found != name or not name.startswith(category):
            raise Corrupt(
                f"An event of type {type_!r} stands on {name[:200]!r}, and its data is of "
                f"{(category if found == name else found)[:200]!r}.",
                type=type_,
            )
        return event

    def command_named(self, name: str) -> CommandSpec:
        """A command by its class name or its kebab-case form. Raises UnknownCommand."""
        spec = self.commands.get(name) or self.commands_by_token.get(name)
        if spec is None:
            known = ", ".join(sorted(self.commands))
            raise UnknownCommand(f"{self.service} has no command {name[:80]!r}. It has: {known}.", command=name[:80])
        return spec

    def parse(self, name: str, data: bytes | str | Mapping[str, Any]) -> Any:
        """A command from JSON bytes or a mapping, checked in full.

        `name` is the class name or its kebab-case form. Raises UnknownCommand, or Invalid with one line a field.
        """
        spec = self.command_named(name)
        try:
            if isinstance(data, Mapping):
                data = msgspec.json.encode(data)
            return spec.adapter.validate_json(data)
        except ValidationError as error:
            raise _invalid(spec.name, error) from error
        except (TypeError, ValueError, OverflowError) as error:
            raise Invalid(f"{spec.name} cannot be written as JSON: {error}", command=spec.name) from error


_SHOWN: Final = 20

_PLAINLY: Final = {
    "unexpected_keyword_argument": "there is no such field",
    "missing_argument": "is required",
    "missing": "is required",
    "missing_keyword_only_argument": "is required",
}
_ID: Final = "an id is 1 to {length} letters, digits, hyphens and underscores, and begins with a letter or digit"
"""What pydantic says in the words of Python and of regular expressions, in plain ones."""

_MEANT: Final[Mapping[str, str]] = {
    "greater_than_equal": "is at least {ge:,}",
    "less_than_equal": "is at most {le:,}",
    "string_type": "is a text",
    "string_too_long": "has at most {max_length:,} characters",
    "string_too_short": "has at least {min_length:,} character(s)",
    "int_type": "is a whole number",
    "int_parsing": "is a whole number",
    "int_from_float": "is a whole number",
    "bool_type": "is true or false",
    "tuple_type": "is a list",
    "list_type": "is a list",
    "dataclass_type": "is a record of named fields",
    "dataclass_exact_type": "is a record of named fields",
    "too_long": "has at most {max_length:,} entries",
    "too_short": "has at least {min_length:,} entries",
    "enum": "is {expected}",
    "literal_error": "is {expected}",
    "date_from_datetime_parsing": "there is no such day",
    "date_parsing": "there is no such day",
}
"""What a value must be, by the kind of error and its bounds."""

_SHORT_ID: Final = re.compile(r"\^\[A-Za-z0-9\]\[A-Za-z0-9_-\]\{0,(\d+)\}\$")


def id_length(pattern: str) -> int | None:
    """How long an id of a pattern may be; None when it is not the pattern of ids."""
    found = _SHORT_ID.fullmatch(pattern)
    return None if found is None else int(found[1]) + 1


_UNREADABLE = (
    msgspec.DecodeError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError,
)  # fmt: skip
"""What decoders raise, and upcasters that meet data which they were not written for."""


def _said(item: Mapping[str, Any]) -> str:
    """What is wrong with one field, in plain words."""
    kind, context = str(item["type"]), item.get("ctx", {})
    if kind == "string_pattern_mismatch":
        pattern = str(context["pattern"])
        if (length := id_length(pattern)) is not None:
            return _ID.format(length=length)
        return shape_of(pattern) or str(item["msg"])
    if kind in _MEANT:
        return _MEANT[kind].format(**context)
    return _PLAINLY.get(kind) or str(item["msg"]).removeprefix("Value error, ")


def _invalid(name: str, error: ValidationError) -> Invalid:
    """One readable line for each field that is wrong; long inputs are cut, and at most twenty are named."""
    lines = []
    found = error.errors(include_url=False)
    # When a line is wrong, the list it stands in is "too short" as well, for want of it: that says nothing more.
    deeper = {item["loc"][:depth] for item in found for depth in range(1, len(item["loc"]))}
    found = [item for item in found if item["type"] != "too_short" or tuple(item["loc"]) not in deeper]
    for item in found[:_SHOWN]:
        where = ".".join(str(part) for part in item["loc"]) or "the whole"
        message = _said(item)
        given = repr(item.get("input"))
        shown = f" (given {given[:60]}{'…' if len(given) > 60 else ''})" if item["type"] != "missing" else ""
        lines.append(f"{where}: {message}{shown}")
    more = len(found) - len(lines)
    if more > 0:
        lines.append(f"and {more} more")
    return Invalid(f"{name} is not valid. " + "; ".join(lines), command=name, errors=lines)


def fields_of(thing: object) -> Iterable[tuple[str, Any]]:
    """The field names and values of a command, an event or a value."""
    return ((f.name, getattr(thing, f.name)) for f in dataclasses.fields(thing))  # type: ignore[arg-type]
