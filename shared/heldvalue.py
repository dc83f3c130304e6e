"""Values in personal fields: written as JSON before they are sealed, and read again when they were opened.

The JSON has the fields in the order of their class, all of them, so equal values are equal texts. No error here says
what a value holds: it is personal.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final, TypeVar, cast, get_args

import msgspec

from shared.errors import Corrupt, LedgerError
from shared.personal import Sealed

T = TypeVar("T")

_UNWRITABLE: Final = (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError)


def written(mark: Sealed, field: str, content: Any) -> str:
    """The text that is sealed of a personal field: what stands in it, or the JSON of the value that it holds.

    Raises LedgerError when that is not the value that the mark says, or would not be read back as the same.
    """
    if mark.holds is None:
        text: str = content
        return text
    try:
        raw = msgspec.json.encode(content)
        if _decoder(mark.holds).decode(raw) == content:
            return raw.decode()
    except _UNWRITABLE:
        pass  # what it says may quote the value
    raise LedgerError(
        f"The service's decision has something else in {field} than {_name(mark.holds)}, so nothing was recorded.",
        field=field,
    )


def read(text: str, holds: type[T]) -> T:
    """The value in a text that was opened. Raises Corrupt when it is none of that type."""
    try:
        value: T = _decoder(cast(Any, holds)).decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        # The cause is left out: it may quote what was sealed.
        raise Corrupt(f"What was sealed as {_name(holds)} cannot be read as that. Run `commons verify`.") from None
    return value


@cache
def _decoder(holds: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(holds)


def _name(holds: Any) -> str:
    parts = get_args(holds)
    return f"a list of {parts[0].__name__}" if parts else f"the value {holds.__name__}"
