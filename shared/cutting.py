"""Cuts the requests of a bulk command into parts of which each fits an event, whatever becomes of its elements.

    _cut = Cutter(journal, "PostLines", "lines", allowance=40, linked=attrgetter("linked"), label=attrgetter("id"))

    @journal.command(category="book", aggregate="book", makes=(LinesPosted,), cut=_cut, results=_results)
    class PostLines: ...

Where it is cut depends on the elements alone, in the form in which events hold them, and not on how the request was
written: white space, an order of members or a default that is spelled out make no other parts.
"""

from __future__ import annotations

import dataclasses
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import accumulate
from typing import Any, Final, get_type_hints

import msgspec

from shared.contract import Contract
from shared.errors import Invalid, TooLarge
from shared.event import MAX_EVENT_BYTES
from shared.message import look_for_twice, members_once
from shared.quick import Quick

ENVELOPE_BYTES: Final = 4_000
"""What an envelope takes at the most: the longest ids, actor and mandate, each letter four bytes."""

_encode: Final = msgspec.json.Encoder().encode
_split: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Cutter:
    """Cuts the data of one bulk command of a contract by its field `member`, a tuple of values.

    `allowance` is what an event may say of one element beside the element itself (that it was refused, and why; what it
    broke), in bytes, at the most; `fixed` the same of the event as a whole. `linked` says of an element that it stands
    or falls with the next one, so that both are in one part; `label` names an element in an error.
    """

    def __init__(
        self, contract: Contract, name: str, member: str, *, allowance: int | Callable[[Any], int], fixed: int = 500,
        linked: Callable[[Any], bool] | None = None, label: Callable[[Any], str] | None = None,
    ) -> None:  # fmt: skip
        self._contract = contract
        self._name = name
        self._member = member
        self._allowance = allowance
        self._fixed = fixed
        self._linked = linked
        self._label = label

    def __call__(self, data: bytes) -> Sequence[Any]:
        """The parts of a request's data. Raises Invalid when it is not right, or TooLarge when it cannot be cut."""
        first, elements, written = self._read(data)
        sizes = [len(element) + 1 for element in _split(written)]
        if isinstance(self._allowance, int):
            sizes = [size + self._allowance for size in sizes]
        else:
            sizes = [size + extra for size, extra in zip(sizes, map(self._allowance, elements), strict=True)]
        whole = len(_encode(dataclasses.replace(first, **{self._member: ()})))
        room = MAX_EVENT_BYTES - ENVELOPE_BYTES - self._fixed - whole
        bounds = self._bounds(elements, sizes, room)
        return [
            dataclasses.replace(first, **{self._member: elements[start:stop], "parts": len(bounds)})
            for start, stop in bounds
        ]

    def _bounds(self, elements: tuple[Any, ...], sizes: list[int], room: int) -> list[tuple[int, int]]:
        """Where each part begins and ends: as many elements as fit, and no chain cut through."""
        linked = [] if self._linked is None else list(map(self._linked, elements))
        if linked and linked[-1]:
            raise Invalid(
                f"{self._name} ends inside a chain: its last element, {self._called(elements, len(elements) - 1)}, is "
                "linked to one that does not follow. Nothing was recorded; the last of a chain is not linked.",
                command=self._name, field=f"{self._member}.{len(elements) - 1}",
            )  # fmt: skip
        sums = list(accumulate(sizes))
        bounds: list[tuple[int, int]] = []
        start = 0
        while start < len(sizes):
            stop = bisect_right(sums, room + (sums[start - 1] if start else 0))
            while linked and stop > start and linked[stop - 1]:
                stop -= 1
            if stop == start:
                what = "The chain of linked elements that begins with" if linked and linked[start] else "The element"
                raise TooLarge(
                    f"{what} {self._called(elements, start)} would not fit into one event, which holds at most "
                    f"{MAX_EVENT_BYTES:,} bytes. Nothing was recorded; link fewer, or make them shorter.",
                    command=self._name, field=f"{self._member}.{start}", limit=MAX_EVENT_BYTES,
                )  # fmt: skip
            bounds.append((start, stop))
            start = stop
        return bounds

    def _called(self, elements: tuple[Any, ...], at: int) -> str:
        return f"{self._member}.{at}" + ("" if self._label is None else f" ({self._label(elements[at])})")

    # -- reading --------------------------------------------------------------------------------------------------

    @cached_property
    def _quick(self) -> Quick:
        return Quick(get_type_hints(self._contract.commands[self._name].cls, include_extras=True)[self._member])

    def _read(self, data: bytes) -> tuple[Any, tuple[Any, ...], bytes]:
        """A command that has the request's other fields, the elements, and their JSON text."""
        try:
            members = members_once(data)
            if "parts" in members:
                raise Invalid(
                    f"{self._name} is not valid. parts: there is no such field in a request; it is filled in when the "
                    "request is cut.",
                    command=self._name, field="parts",
                )  # fmt: skip
            found = self._quick.read(members[self._member]) if self._member in members else None
            if found is not None:
                elements, written = found
                members[self._member] = msgspec.Raw(b"[" + bytes(_split(written)[0]) + b"]")
                return self._contract.parse(self._name, _encode(members)), elements, written
            look_for_twice(data)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise Invalid(f"{self._name} is not valid: {error}.", command=self._name) from error
        command = self._contract.parse(self._name, data)
        elements = getattr(command, self._member)
        return command, elements, _encode(elements)
