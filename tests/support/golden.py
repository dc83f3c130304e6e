"""Golden bytes of every event of every contract: how the ledger has written them, kept so that no change goes unseen.

`python -m tests.support.golden` writes the files that are missing; a file that is there is never written again, for the
bytes in it stand for events that are stored somewhere for good. A change of an event's fields is a new version of it,
with an upcaster from the one before, and so a new file beside the old.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import inspect

from services.clinic.contract import clinic
from services.distribution.contract import distribution
from services.inventory.contract import inventory
from services.treasury.contract import treasury
from shared.contract import Contract, EventSpec
from shared.event import FIRST_PREVHASH, Envelope, encode, event_id
from shared.heldvalue import read, written
from shared.personal import Sealed

CONTRACTS: Final[tuple[Contract, ...]] = (inventory, distribution, treasury, clinic)
SEALED: Final = "A" * 80
"""Stands for what nobody opens: the bytes of an event say where a sealed text is, and not what is in it. Of one that
holds a value the bytes inside are kept as well, in base64url: they are stored as long, and no upcaster changes them."""
FOLDER: Final = Path(__file__).parents[1] / "golden"


def path_of(type_: str) -> Path:
    """Where the bytes of an event's type are: one event a line, first with every field, then with as few as may be."""
    return FOLDER / f"{type_}.jsonl"


def lines_of(contract: Contract, spec: EventSpec) -> list[bytes]:
    """An event of the newest version with all its fields, and one with only those that it must have."""
    made = inspect.type_info(spec.cls)
    events = [msgspec.convert(_sample(made, full), spec.cls) for full in (True, False)]
    sealed = contract.sealed_of(events[0])
    if sealed is not None:
        events = [
            sealed.replace(event, partial(_sealed, full)) for event, full in zip(events, (True, False), strict=True)
        ]
    return [_envelope(contract, event) for event in events]


def command_of(kind: type) -> Any:
    """A command with all its fields, whatever they say: its form is right, what it asks for need not be."""
    return msgspec.convert(_sample(inspect.type_info(kind), full=True), kind)


def _sealed(full: bool, mark: Sealed, path: str, _: str) -> str:
    box = SEALED
    if mark.holds is not None:
        held = msgspec.convert(_sample(inspect.type_info(mark.holds), full), mark.holds)
        box = base64.urlsafe_b64encode(written(mark, path, held).encode()).rstrip(b"=").decode()
    return f"sealed:1:{mark.kind or mark.of}/a-1:{path}:{box}"


def held_of(event: Any, contract: Contract) -> list[Any]:
    """The values in a golden event's sealed texts, read as their classes are now. Raises Corrupt when one is not."""
    found: list[Any] = []

    def look(mark: Sealed, path: str, text: str) -> str:
        if mark.holds is not None:
            box = text.rpartition(":")[2]
            inside = base64.urlsafe_b64decode(box + "=" * (-len(box) % 4)).decode()
            held = read(inside, mark.holds)
            newly = written(mark, path, held)
            assert _kept(msgspec.json.decode(inside), msgspec.json.decode(newly)), f"{path} loses something: {newly}"
            found.append(held)
        return text

    sealed = contract.sealed_of(event)
    if sealed is not None:
        sealed.replace(event, look)
    return found


def _kept(before: Any, after: Any) -> bool:
    """Whether JSON says all that it said before, and perhaps more."""
    if isinstance(before, dict) and isinstance(after, dict):
        return all(name in after and _kept(one, after[name]) for name, one in before.items())
    if isinstance(before, list) and isinstance(after, list):
        return len(before) == len(after) and all(map(_kept, before, after))
    return bool(before == after)


def _envelope(contract: Contract, data: Any) -> bytes:
    spec, name = contract.spec_of(data), contract.name_of(data)
    subject = f"ledger.{contract.service}.{name.replace('/', '.', 1)}"
    return encode(
        Envelope(
            specversion="1.0", id=event_id(subject, "command-1"), source=f"/commons/local/{contract.service}",
            type=spec.type, subject=name, time="2026-11-20T09:30:00.000001Z",
            dataschema=f"urn:commons:schema:{spec.type}", datacontenttype="application/json", revision=1,
            prevhash=FIRST_PREVHASH, correlationid="command-1", causationid="command-1", authtype="user", authid="sam",
            mandate="grant-1", data=data,
        )
    )  # fmt: skip


def _sample(kind: inspect.Type, full: bool) -> Any:
    """Some value of a type: the same at every run."""
    match kind:
        case inspect.Metadata(type=inner):
            return _sample(inner, full)
        case inspect.BoolType():
            return True
        case inspect.IntType(ge=ge, le=le):
            return max(7 if full else 0, ge if ge is not None else 0) if le is None or le >= 7 else le
        case inspect.StrType(min_length=least):
            return "Tür 1".ljust(least or 0, "x") if full else "x" * max(1, least or 0)
        case inspect.DateTimeType():
            return "2026-11-20T09:30:00.25Z"
        case inspect.DateType():
            return date(2026, 11, 20).isoformat()
        case inspect.EnumType(cls=cls):
            return list(cls)[-1 if full else 0].value
        case inspect.LiteralType(values=values):
            return values[0]
        case inspect.UnionType(types=types):
            if not full and any(isinstance(one, inspect.NoneType) for one in types):
                return None
            return _sample(next(one for one in types if not isinstance(one, inspect.NoneType)), full)
        case (
            inspect.VarTupleType(item_type=item, min_length=least) | inspect.ListType(item_type=item, min_length=least)
        ):
            return [_sample(item, full) for _ in range(max(2 if full else 0, least or 0))]
        case inspect.DictType(key_type=key, value_type=value):
            return {_sample(key, full): _sample(value, full)} if full else {}
        case inspect.DataclassType(fields=fields):
            return {field.encode_name: _sample(field.type, full) for field in fields if full or field.required}
    raise TypeError(f"no sample of {kind} is known")


def specs() -> Iterator[tuple[Contract, EventSpec]]:
    for contract in CONTRACTS:
        for spec in contract.events.values():
            yield contract, spec


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for contract, spec in specs():
        if not path_of(spec.type).exists():
            path_of(spec.type).write_bytes(b"\n".join(lines_of(contract, spec)) + b"\n")
            print(f"wrote {path_of(spec.type).name}")


if __name__ == "__main__":
    main()
