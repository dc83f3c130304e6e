"""Looks for words in every byte that a ledger stored: in streams, database, logs, keyrings and backups."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator
from itertools import groupby, takewhile
from pathlib import Path
from typing import Final

_EMPTY: Final = re.compile(rb"\x00{16,}")


def leaks(words: Iterable[str], folder: Path) -> dict[str, set[str]]:
    """The words that stand in any file below a folder, each with the files, whatever their case.

    Looked for as UTF-8, as JSON writes it, and as UTF-16.
    """
    forms = {form: word for word in words for form in _forms(word)}
    pattern = re.compile(_any_of(forms))
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


def _any_of(texts: Collection[bytes]) -> bytes:
    """A pattern of any of these texts, the longest of those that stand at a place.

    It is a tree, a branch for each way that texts go on: of a plain list of hundreds each is tried at every byte.
    """
    branches = []
    for _, group in groupby(sorted(set(texts) - {b""}), key=lambda text: text[:1]):
        among = list(group)
        ends = zip(among[0], among[-1], strict=False)  # sorted: what these two share, all between them share
        shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], ends))
        rest = [text[shared:] for text in among]
        branches.append(re.escape(among[0][:shared]) + (_any_of(rest) if any(rest) else b""))
    optional = b"?" if b"" in texts else b""
    return b"(?:" + b"|".join(branches) + b")" + optional
