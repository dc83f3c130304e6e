"""Questions about goods: of an item and a location, as people name them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import asyncpg

from services.queries.answer import Position, QueryResult, Question
from services.queries.names import Names, find_names, near_lots

STREAM: Final = "INVENTORY"


@dataclass(frozen=True, slots=True)
class GoodsQuestion(Question):
    """A query over inventory's read models. Its first two parameters are an item and a location, each null for all."""

    stream: str = field(default=STREAM, init=False)

    async def ask(
        self, pool: asyncpg.Pool, item: str | None, location: str | None, *arguments: Any, lot: str | None = None,
        at_least: Position | None = None,
    ) -> QueryResult:  # fmt: skip
        """Ask it, of an item (id, barcode or name) and a location, or of all; `lot` only explains an empty answer.

        Raises as `rows` does.
        """
        names = await find_names(pool, item, location, at_least)
        if names.unknown is not None:
            return self._unknown(names)
        found = await self.rows(pool, names.item, names.location, *arguments, at_least=at_least)
        if found.rows or lot is None:
            return found
        near = await near_lots(pool, lot, names.item)
        return replace(found, near=near, message=f"{self.empty} {_hint(near)}".strip())

    def _unknown(self, names: Names) -> QueryResult:
        return QueryResult(
            title=self.title, columns=self.columns, rows=[], as_of=(STREAM, names.sequence), near=names.near,
            message=f"{names.unknown} {_hint(names.near)}".strip(),
        )  # fmt: skip


def _hint(near: Sequence[str]) -> str:
    return f"Near it: {', '.join(near)}." if near else ""
