"""Sealed texts in an answer, opened for who has the master key at hand; else the answer says that they are sealed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import nats.errors

from services.commands.common import Operator
from services.commands.door import Unreachable
from services.local.keys import Keys
from services.queries import QueryResult
from shared.errors import LedgerError
from shared.keyreader import Closed, open_texts

_WHY: Final = {
    Closed.ERASED: "(erased): the key was destroyed, and nobody can read it any more.",
    Closed.LOCKED: "(locked): the person is to be erased, and is shown to nobody any more.",
    Closed.SEALED: "(sealed): the key is not in the keyring.",
    Closed.CHANGED: "(changed): it is not what was sealed. Run `commons verify`.",
}


class NotOpened(LedgerError):
    """Nothing of a record is opened for who asks."""

    status = 403
    code = "WRONG_ROLE"


async def opened(operator: Operator, found: QueryResult) -> QueryResult:
    """The answer with every text of a sealed column opened, or a word in its place and a sentence that says why."""
    places = {n: column.words for n, column in enumerate(found.columns) if column.kind == "sealed"}
    texts = {text for row in found.rows for n in places for text in _texts(row[n])}
    if not texts:
        return found
    words, reasons = await texts_of(operator, found.as_of[0].lower(), texts)
    rows = [
        tuple(_replaced(value, words, places[n]) if n in places else value for n, value in enumerate(row))
        for row in found.rows
    ]
    message = " ".join(filter(None, [found.message, reasons])) or None
    return replace(found, rows=rows, message=message)


def _texts(value: Any) -> list[str]:
    """The sealed texts of a cell: none, one, or a list. What is said of nobody stands there in clear."""
    texts = value if isinstance(value, list) else [value]
    return [text for text in texts if text is not None and text.startswith("sealed:")]


def _replaced(value: Any, words: Mapping[str, str], say: Callable[[str], str] | None) -> Any:
    if value is None:
        return None
    if isinstance(value, list):
        return [_replaced(text, words, say) for text in value]
    text = words.get(value, value)
    return text if say is None or isinstance(text, Closed) else say(text)


async def names_of(operator: Operator, service: str, sealed: Mapping[str, str]) -> Mapping[str, str]:
    """Sealed texts by some id, opened, without those whose key was destroyed or is not at hand. Raises LedgerError."""
    words = await _read(operator, service, set(sealed.values())) if sealed else {}
    return {id_: words[text] for id_, text in sealed.items() if not isinstance(words.get(text, Closed.SEALED), Closed)}


async def texts_of(operator: Operator, service: str, texts: Iterable[str]) -> tuple[Mapping[str, str | Closed], str]:
    """Sealed texts, opened, or why each stays closed; and the reasons in a sentence, empty when all are open."""
    wanted = set(texts)
    if not wanted:
        return {}, ""
    try:
        words = await _read(operator, service, wanted)
    except (LedgerError, Unreachable, nats.errors.Error, OSError, TimeoutError) as error:
        return dict.fromkeys(wanted, Closed.SEALED), f"(sealed): {error}"
    return words, " ".join(_WHY[closed] for closed in Closed if closed in words.values())


async def _read(operator: Operator, service: str, texts: set[str]) -> Mapping[str, str | Closed]:
    keys = Keys(operator.folder / "keys")
    masters = keys.masters()
    if masters is None:
        raise LedgerError(f"there is no master key, neither {Path(keys.master)} nor COMMONS_MASTER_KEY_FILE.")
    async with operator.nats() as nc:
        return await open_texts(nc, service, masters, texts)
