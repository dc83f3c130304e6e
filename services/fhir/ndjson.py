"""Charts as FHIR bulk data: a file of ndjson for each type of resource, each line checked before it is written.

https://hl7.org/fhir/uv/bulkdata/
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterable, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from services.fhir.entry import Entry, NotShown
from services.fhir.mapping import TYPES, resources
from services.fhir.models import NotValid, encoded
from shared.errors import Corrupt


@dataclass
class Exported:
    """How many resources of each type were written; entries that were `erased`, or `hidden` from who exports."""

    resources: Counter[str] = field(default_factory=Counter)
    erased: Counter[str] = field(default_factory=Counter)
    hidden: Counter[str] = field(default_factory=Counter)


async def export(
    entries: AsyncIterable[Entry], folder: Path, progress: Callable[[int], None] | None = None
) -> Exported:
    """Writes the entries into `<type>.ndjson` in a folder that is empty; each file appears when all are whole.

    Raises Corrupt when an entry would be no valid resource; nothing is left behind then.
    """
    done = Exported()
    files: dict[str, IO[bytes]] = {}
    parts: dict[str, Path] = {}
    try:
        with ExitStack() as stack:
            async for entry in entries:
                for type_, line in _lines(entry, done):
                    if type_ not in files:
                        parts[type_] = folder / f".{type_}.ndjson.part"
                        files[type_] = stack.enter_context(parts[type_].open("xb"))
                    files[type_].write(line)
                    done.resources[type_] += 1
                if progress is not None:
                    progress(sum(done.resources.values()))
        for type_, part in parts.items():
            part.replace(folder / f"{type_}.ndjson")
    except BaseException:
        for part in parts.values():
            part.unlink(missing_ok=True)
        raise
    return done


def _lines(entry: Entry, done: Exported) -> list[tuple[str, bytes]]:
    if entry.erased:
        done.erased[TYPES[entry.kind]] += 1
        return []
    try:
        return [(str(one["resourceType"]), encoded(one) + b"\n") for one in resources(entry)]
    except NotShown:
        done.hidden[TYPES[entry.kind]] += 1
        return []
    except NotValid as error:
        raise Corrupt(f"The {entry.kind} {entry.id} is no valid resource: {error}.", entry=entry.id) from None
