"""Looks for words in every byte that a ledger stored: in streams, database, logs, keyrings and backups."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

_EMPTY: Final = re.compile(rb"\x00{16,}")


def leaks(words: Iterable[str], folder: Path) -> dict[str, set[str]]:
    """The words that stand in any file below a folder, each with the files, whatever their case.

    Looked for as UTF-8, as JSON writes it, and as UTF-16.
    """
    forms = {form: word for word in words for form in _forms(word)}
    # A word that another begins with comes second, or it would be found in its place.
    pattern = re.compile(b"|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True)))
    found: dict[str, set[str]] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            for form in pattern.findall(_EMPTY.sub(b"\x00", path.read_bytes()).lower()):
                found.setdefault(forms[form], set()).add(str(path.relative_to(folder)))
    return found


def _forms(word: str) -> Iterator[bytes]:
    for cased in {word, word.lower(), word.upper()}:  # bytes know upper and lower case of ASCII alone
        yield cased.encode().lower()
        yield json.dumps(cased)[1:-1].encode().lower()
        yield cased.encode("utf-16-le").lower()
        yield cased.encode("utf-16-be").lower()
