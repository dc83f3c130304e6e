"""A bulk command: one request over many elements, cut into decisions that each fit an event, and answered as one.

The request is cut by its content alone, so a repeat is cut alike. Each part is a command of its own on the same
aggregate, under the id `<request's id>/<number of the part, from 1>`, and so remembered like any other: when a request
was interrupted, the repeat finds the parts that were recorded and goes on with the rest. Every part says into how many
the request was cut (`parts`), so another request under the same id is recognised at its first part.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Any

from shared.command import Answer, BulkAnswer, CommandMeta
from shared.contract import CommandSpec
from shared.decider import Ref
from shared.errors import CommandIdReused, LedgerError
from shared.handler import Handler


class Interrupted(LedgerError):
    """A bulk command was recorded in part; code and status are those of what went wrong with the rest."""

    def __init__(self, error: LedgerError, part: int, parts: int, recorded: int) -> None:
        super().__init__(
            f"{error.detail} That is the answer to part {part} of {parts} of the request; {recorded} of them are "
            "recorded. Send the same request again under the same id: it goes on with the rest.",
            **{**error.facts, "part": part, "parts": parts, "recorded_parts": recorded},
        )
        self.code = error.code
        self.status = error.status


def cut(spec: CommandSpec, data: bytes) -> Sequence[Any]:
    """The parts of a bulk command's data. Raises Invalid or TooLarge."""
    assert spec.cut is not None
    parts = spec.cut(data)
    if len({spec.aggregate(part) for part in parts}) != 1 or {part.parts for part in parts} != {len(parts)}:
        raise TypeError(f"{spec.name} was not cut into parts of one aggregate that say how many they are")
    return parts


async def handle_parts(handler: Handler, spec: CommandSpec, parts: Sequence[Any], meta: CommandMeta) -> BulkAnswer:
    """Decide a request's parts in order, and answer when all of them are durable.

    Raises what `Handler.handle` does, and Interrupted when a part was recorded and another one was not.
    """
    metas = [
        replace(
            meta, id=f"{meta.id}/{number}", correlation_id=meta.correlation_id or meta.id,
            causation_id=meta.causation_id or meta.id,
        )
        for number in range(1, len(parts) + 1)
    ]  # fmt: skip
    answers = await _submit(handler, Ref(spec.category, spec.aggregate(parts[0])), parts, metas)
    failed = next((n for n, answer in enumerate(answers) if isinstance(answer, BaseException)), None)
    if failed is not None:
        error = answers[failed]
        recorded = sum(isinstance(answer, Answer) and answer.event is not None for answer in answers)
        if isinstance(error, LedgerError) and recorded and not isinstance(error, CommandIdReused):
            raise Interrupted(error, failed + 1, len(parts), recorded) from error
        assert isinstance(error, BaseException)
        raise error
    return _joined(handler.stream, spec, parts, [answer for answer in answers if isinstance(answer, Answer)])


async def _submit(
    handler: Handler, ref: Ref, parts: Sequence[Any], metas: Sequence[CommandMeta]
) -> list[Answer | BaseException | None]:
    """The answer to each part, or its error; None for those that were not submitted because another one failed."""
    answers: list[Answer | BaseException | None] = [None] * len(parts)
    left = len(parts)
    handler.reserve(left)
    try:
        known = await handler.known(ref, [meta.id for meta in metas])
        # What was recorded before is compared first: another request under the same id leaves nothing behind.
        for numbers in ([n for n, k in enumerate(known) if k], [n for n, k in enumerate(known) if not k]):
            futures: list[asyncio.Future[Answer]] = []
            for number in numbers:
                left -= 1
                futures.append(handler.submit(parts[number], metas[number], reserved=True))
                await asyncio.sleep(0)  # others are served between two parts, and the first is written meanwhile
            for number, answer in zip(numbers, await asyncio.gather(*futures, return_exceptions=True), strict=True):
                answers[number] = answer
            if any(isinstance(answer, BaseException) for answer in answers):
                break
    finally:
        handler.release(left)
    return answers


def _joined(stream: str, spec: CommandSpec, parts: Sequence[Any], answers: Sequence[Answer]) -> BulkAnswer:
    assert spec.results is not None
    results: list[Mapping[str, Any]] = []
    for part, answer in zip(parts, answers, strict=True):
        results += spec.results(part, answer.data)
    made = [answer for answer in answers if answer.event is not None]
    return BulkAnswer(
        stream,
        max(answer.sequence for answer in answers),
        "accepted" if made else "unchanged",
        bool(made) and all(answer.repeated for answer in made),
        results,
        dict(Counter(map(itemgetter("result"), results))),
    )
