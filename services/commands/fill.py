"""A command's data from what an operator gives: a file or stdin, `--set name=value`, and a flag for each field.

Later ones win, field by field. A value is taken as text where the field is text, and read as JSON elsewhere.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec

from services.commands.contracts import Field, Kind
from services.commands.door import Usage
from services.commands.flags import sample
from services.commands.money import typed_amount
from shared.errors import Invalid, TooLarge
from shared.message import MAX_COMMAND_BYTES

STDIN: Final = Path("-")

_decode: Final = msgspec.json.Decoder(float_hook=Decimal).decode
"""Decimal numbers as they were written: money.py makes minor units of them, and nothing else takes one."""


def read_object(path: Path, limit: int = MAX_COMMAND_BYTES) -> dict[str, Any]:
    """The JSON object of a file, or of stdin for `-`.

    Raises Usage when there is no such file, TooLarge over `limit` bytes, Invalid for what is not one JSON object in
    UTF-8.
    """
    where = "stdin" if path == STDIN else str(path)
    raw = _bytes(path, where, limit)
    if len(raw) > limit:
        raise TooLarge(
            f"{where} holds more than {limit:,} bytes, the most that a command may have. Nothing was sent; "
            "cut it into several commands.",
            limit=limit,
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise Invalid(
            f"{where}, line {line}, byte {error.start}: 0x{raw[error.start]:02x} is not UTF-8. Save the file in UTF-8; "
            "nothing was sent.",
            file=where, line=line,
        ) from error  # fmt: skip
    if not text.strip():
        raise Invalid(f"{where} is empty. Give one JSON object with the command's fields.", file=where)
    try:
        found = _decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        what = "it ends in the middle" if "truncated" in str(error) else str(error) or "it is nested too deeply"
        raise Invalid(f"{where} is not JSON: {what}. Nothing was sent.", file=where) from error
    return _object(found, where)


def _bytes(path: Path, where: str, limit: int) -> bytes:
    try:
        if path == STDIN:
            if sys.stdin is None:
                raise Usage("stdin is closed, so no command can be read from it.")
            return sys.stdin.buffer.read(limit + 1)
        with path.open("rb") as file:
            return file.read(limit + 1)
    except OSError as error:
        raise Usage(f"{where} cannot be read: {error.strerror or error}.", file=where) from error


def _object(found: Any, where: str) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise Invalid(f"{where} holds {_kind_of(found)} where a command's fields make one JSON object.", file=where)
    return found


def _kind_of(found: Any) -> str:
    return {list: "a list", str: "a text", bool: "true or false", type(None): "null"}.get(type(found), "a number")


def assign(data: dict[str, Any], pairs: Iterable[str], fields: Sequence[Field]) -> None:
    """Put `name=value` pairs into the data; `scope.lots` reaches into a record. Repeating a list's name adds to it."""
    seen: set[str] = set()
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise Usage(f"--set takes name=value, as in --set item=rice; {pair[:80]!r} has no `=`.")
        field, holder = _find(name.strip().replace("-", "_"), data, fields)
        read = _value(field, value)
        if name in seen and isinstance(read, list) and isinstance(holder[field.name], list):
            read = [*holder[field.name], *read]
        holder[field.name] = read
        seen.add(name)


def _find(name: str, data: dict[str, Any], fields: Sequence[Field]) -> tuple[Field, dict[str, Any]]:
    """The field that a dotted name means, and the mapping that it goes into."""
    first, _, rest = name.partition(".")
    field = next((f for f in fields if f.name == first), None)
    if field is None:
        known = ", ".join(f.name for f in fields)
        raise Usage(f"There is no field {first[:80]!r} here. There is: {known}.", field=first[:80])
    if not rest:
        return field, data
    if field.kind is not Kind.RECORD:
        raise Usage(f"{first} has no fields of its own that could be set one by one; give it as JSON.", field=first)
    inner = data.setdefault(first, {})
    if not isinstance(inner, dict):
        raise Usage(f"{first} was given as {_kind_of(inner)} already, so {name[:80]} cannot be set in it.", field=first)
    return _find(rest, inner, field.fields)


def put_flags(
    data: dict[str, Any], given: Mapping[str, Any], fields: Sequence[Field], lines: Mapping[str, str]
) -> None:
    """Put the values of generated flags into the data.

    `lines` names, for the flag of a record's field, the field of the command that holds the record: such flags together
    make one record (`--lot A --quantity 12` is one line).
    """
    top = {f.name: f for f in fields}
    records: dict[str, dict[str, Any]] = {}
    for name, value in given.items():
        holder = lines.get(name)
        if holder is None:
            data[name] = _read(top[name], value)
        else:
            inner = next(f for f in top[holder].fields if f.name == name)
            records.setdefault(holder, {})[name] = _read(inner, value)
    for name, record in records.items():
        if name in data:
            _merge(data, top[name], record)
        else:
            data[name] = record if top[name].kind is Kind.RECORD else [record]


def _merge(data: dict[str, Any], field: Field, record: dict[str, Any]) -> None:
    """Lay the flags over the one record that is there already; over several it would be a guess."""
    there = data[field.name]
    if isinstance(there, dict):
        data[field.name] = there | record
    elif isinstance(there, list) and len(there) == 1 and isinstance(there[0], dict):
        data[field.name] = [there[0] | record]
    else:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in record)
        raise Usage(
            f"{field.name} was given already, so {flags} cannot say which line is meant. Put it into {field.name}."
        )


def _read(field: Field, given: str | bool | Sequence[str]) -> Any:
    """The JSON value of a flag; one that may be repeated makes a list of all its values."""
    if isinstance(given, bool):
        return given
    if isinstance(given, str):
        return _value(field, given)
    values: list[Any] = []
    for text in given:
        read = _value(field, text)
        values += read if isinstance(read, list) else [read]
    return values


def _value(field: Field, text: str) -> Any:
    """The JSON value of what was typed. What the value must be like is the contract's business, not this one's."""
    match field.kind:
        case Kind.TEXT:
            return text
        case Kind.MONEY:
            return typed_amount(field.name, text)
        case Kind.LIST if not text.lstrip().startswith("["):
            return [text] if text else []
    try:
        read = _decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        wanted = _as_json(field) if field.kind in (Kind.RECORD, Kind.RECORDS, Kind.LIST) else _article(field.form)
        raise Usage(f"{field.name} is {wanted}; {text[:60]!r} cannot be read as that.", field=field.name) from error
    return [read] if field.kind is Kind.RECORDS and isinstance(read, dict) else read


def _as_json(field: Field) -> str:
    """What a field of lists or records is written like."""
    what = field.form if field.kind is Kind.RECORD else f"a {field.form}"
    return f"{what}, written as JSON between single quotes, as {sample(field)}"


def _article(form: str) -> str:
    return f"an {form}" if form[:1] in "aeiou" else f"a {form}"
