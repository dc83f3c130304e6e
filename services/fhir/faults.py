"""What the models find wrong with a resource, in words: which element, and what R4 asks of it.

What stands in the element is never told: a report is kept, and a log too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

_ELEMENT: Final = "not an element with parts of its own"
_WORDS: Final[Mapping[str, str]] = {
    "list_type": "not a list",
    "json_invalid": _ELEMENT, "model_type": _ELEMENT, "model_attributes_type": _ELEMENT, "dict_type": _ELEMENT,
    "model_validation_format": _ELEMENT,
    "extra_forbidden": "R4 has no such element",
    "missing": "missing", "model_field_validation.missing": "missing",
    "string_type": "not a text",
    "string_pattern_mismatch": "a text of another form than R4 asks for",
    "string_too_short": "empty, or shorter than R4 allows", "string_too_long": "longer than R4 allows",
    "bool_type": "neither true nor false", "bool_parsing": "neither true nor false",
    "int_type": "no whole number", "int_parsing": "no whole number", "int_from_float": "no whole number",
    "decimal_type": "no number", "decimal_parsing": "no number", "float_type": "no number",
    "finite_number": "no number",
    "greater_than": "a smaller number than R4 allows", "greater_than_equal": "a smaller number than R4 allows",
    "less_than": "a larger number than R4 allows", "less_than_equal": "a larger number than R4 allows",
    "too_short": "a list with less than R4 asks for", "too_long": "a list with more than R4 allows",
}  # fmt: skip

_KINDS: Final[Mapping[str, str]] = {
    "date": "no day that there is, written 1987-03-22",
    "datetime": "no moment that there is, written 2026-11-20T09:30:00Z, nor a day",
    "instant": "no moment that there is, written 2026-11-20T09:30:00Z",
    "time": "no time of day, written 09:30:00",
    "decimal": "no number", "integer": "no whole number", "boolean": "neither true nor false",
}  # fmt: skip

_ELSE: Final = "not as R4 asks for it"
_NAMED: Final = re.compile(r"'(\w{1,60})'")
_SHOWN: Final = re.compile(r"[^A-Za-z0-9_.-]")
_NO_NAME: Final = frozenset({"root"})
"""What the models put into a place and no resource has."""


def fault(type_: str, item: Mapping[str, Any]) -> str:
    """One of pydantic's errors, as `Patient.birthDate: no day that there is, written 1987-03-22`."""
    place = [str(part) for part in item["loc"] if not isinstance(part, int) and part not in _NO_NAME]
    return f"{'.'.join((type_, *(_SHOWN.sub('·', one)[:60] for one in place)))}: {_words(item['type'], item['msg'])}"


def _words(kind: str, message: str) -> str:
    if kind == "value_error":
        return _of_value(message.removeprefix("Value error, "))
    if kind == "list_type" and message.startswith("None"):
        return "null is no part of a list"
    if kind.startswith(("date_", "datetime_", "time_")):
        return _KINDS[kind.partition("_")[0]]
    return _WORDS.get(kind, _ELSE)


def _of_value(message: str) -> str:
    """The models' own messages: the form of a value, or a choice of elements, which they name and nothing else."""
    names = ", ".join(_NAMED.findall(message.partition("from this list")[2]))
    if message.startswith("Any of one field value") and names:
        return f"R4 allows one of {names}"
    if message.startswith("Expect any of field value") and names:
        return f"R4 asks for one of {names}"
    return _KINDS.get(message.partition(" value string")[0].lower(), _ELSE)
