"""Figures over time: waste by reason, receipts by donor and owner, weight in and out.

A reversal or correction counts in the month of the movement it mends, with that one's donor and reason. Months are
those of the location's clock.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

import asyncpg

from services.queries.answer import Column, Position, QueryResult
from services.queries.goods import GoodsQuestion

ReceiptsBy = Literal["donor", "owner", "supplier", "source"]

_MODELS: Final = ("movements", "catalogue")
_MONTH: Final = Column("month", "Month", "date")
_ITEM: Final = (Column("item", "Item"), Column("name", "Name"))
_QUANTITY: Final = (Column("quantity", "Quantity", "quantity"), Column("unit", "Unit"))
_WEIGHT: Final = (Column("weight", "Weight (g)", "weight"), Column("unweighed", "Without weight", "number"))

# Lots x of movements, and the location l whose clock says in which month they moved.
_FROM: Final = "FROM movement_lots x LEFT JOIN locations l USING (location)"
_WHERE: Final = """WHERE ($1::text IS NULL OR x.item = $1) AND ($2::text IS NULL OR x.location = $2)
      AND ($3::timestamptz IS NULL OR x.effective_at >= $3) AND ($4::timestamptz IS NULL OR x.effective_at < $4)"""
_IN_MONTH: Final = """date_trunc('month', x.effective_at AT TIME ZONE 'UTC'
        + make_interval(mins => coalesce(l.utc_offset, 0)))::date"""
_LOST_WEIGHT: Final = (
    "CASE i.unit WHEN 'g' THEN x.lost WHEN 'each' THEN x.lost * i.net_weight ELSE x.lost * i.net_weight / 1000 END"
)


def _lines(which: str) -> str:
    """Each line is one lot of one movement after all that mended it; `which` picks lots x of movements."""
    return f"""lines AS (
    SELECT s.*, m.reason, m.donor, m.supplier, m.source, m.delivery, m.unit
    FROM (SELECT x.item, x.location, x.root, x.lot_key, min(x.flow) AS flow, min(x.owner) AS owner,
                 min({_IN_MONTH}) AS month, sum(x.change - x.unrecorded)::bigint AS quantity,
                 sum(x.weight)::bigint AS weight, bool_or(x.weight IS NULL) AS unweighed
          {_FROM} {_WHERE} AND x.change <> x.unrecorded AND {which}
          GROUP BY x.item, x.location, x.root, x.lot_key
          HAVING sum(x.change - x.unrecorded) <> 0) s
    LEFT JOIN movements m ON (m.item, m.location, m.revision) = (s.item, s.location, s.root)
)"""  # noqa: S608  # made of constants


_LOST: Final = f"""lost AS (
    SELECT x.item, x.location, x.root, {_IN_MONTH} AS month, m.reason || ' in transit' AS reason, m.unit,
           x.lost AS quantity, {_LOST_WEIGHT} AS weight, m.unit <> 'g' AND i.net_weight IS NULL AS unweighed
    {_FROM} JOIN movements m USING (item, location, revision) LEFT JOIN items i USING (item)
    {_WHERE} AND x.lost > 0
)"""
"""What transfers lost, at the item's weight of today."""

_FIGURES: Final = (
    "sum(quantity)::bigint AS quantity, min(unit) AS unit, sum(weight)::bigint AS weight,"
    " count(*) FILTER (WHERE unweighed) AS unweighed, count(DISTINCT (item, location, root)) AS times"
)
_WASTED: Final = f"""WITH {_lines("x.flow = 'wasted'")}, {_LOST},
    gone AS (
        SELECT item, location, root, month, reason, unit, -quantity AS quantity, -weight AS weight, unweighed FROM lines
        UNION ALL
        SELECT item, location, root, month, reason, unit, quantity, weight, unweighed FROM lost)
    """  # noqa: S608  # made of constants
_TIMES: Final = Column("times", "Times", "number")

_WASTE: Final = GoodsQuestion(
    "Waste and loss", _MODELS, (_MONTH, Column("reason", "Reason"), *_WEIGHT, _TIMES),
    f"{_WASTED} SELECT month, reason, {_FIGURES} FROM gone GROUP BY month, reason ORDER BY month, weight DESC, reason",  # noqa: S608
    "Nothing was wasted or lost.",
)  # fmt: skip
_WASTE_BY_ITEM: Final = GoodsQuestion(
    "Waste and loss by item", _MODELS, (_MONTH, Column("reason", "Reason"), *_ITEM, *_QUANTITY, *_WEIGHT, _TIMES),
    f"{_WASTED} SELECT month, reason, item, coalesce(min(i.name), item) AS name, sum(quantity)::bigint AS quantity,"  # noqa: S608
    " min(gone.unit) AS unit, sum(weight)::bigint AS weight, count(*) FILTER (WHERE unweighed) AS unweighed,"
    " count(DISTINCT (location, root)) AS times FROM gone LEFT JOIN items i USING (item)"
    " GROUP BY month, reason, item ORDER BY month, reason, lower(min(i.name)), item",
    "Nothing was wasted or lost.",
)  # fmt: skip


def _received(by: ReceiptsBy, items: bool) -> GoodsQuestion:
    """Receipts by one of their facts. `by` is one of four words of our own, so it may stand in the query."""
    got = "WITH " + _lines("x.flow = 'received'")
    who = f"coalesce({by}, '(the organisation)')" if by == "owner" else by
    whose = by == "donor"
    models = (*_MODELS, "donors") if whose else _MODELS
    columns = (
        Column(by, by.capitalize()),
        *((Column("donor_name", "Donor's name", "sealed"),) if whose else ()),
        _MONTH,
    )
    name = ", min(d.name) AS donor_name" if whose else ""
    known = " LEFT JOIN donors d USING (donor)" if whose else ""
    times = (Column("deliveries", "Deliveries", "number"), _TIMES)
    counts = "count(DISTINCT delivery) AS deliveries, count(DISTINCT (item, location, root)) AS times"
    if items:
        return GoodsQuestion(
            f"Receipts by {by} and item", models, (*columns, *_ITEM, *_QUANTITY, *_WEIGHT, *times),
            f"{got} SELECT {who} AS {by}{name}, month, item, coalesce(min(i.name), item) AS name,"  # noqa: S608
            " sum(quantity)::bigint AS quantity, min(lines.unit) AS unit, sum(weight)::bigint AS weight,"
            f" count(*) FILTER (WHERE unweighed) AS unweighed, {counts}"
            f" FROM lines LEFT JOIN items i USING (item){known}"
            " GROUP BY 1, month, item ORDER BY 1 NULLS LAST, month, coalesce(min(i.name), item), item",
            "Nothing was received.",
        )  # fmt: skip
    return GoodsQuestion(
        f"Receipts by {by}", models, (*columns, *_WEIGHT, *times),
        f"{got} SELECT {who} AS {by}{name}, month, sum(weight)::bigint AS weight,"  # noqa: S608
        f" count(*) FILTER (WHERE unweighed) AS unweighed, {counts} FROM lines{known} GROUP BY 1, month"
        " ORDER BY 1 NULLS LAST, month",
        "Nothing was received.",
    )  # fmt: skip


_RECEIPTS: Final = {
    (by, items): _received(by, items)
    for by in ("donor", "owner", "supplier", "source") for items in (False, True)
}  # fmt: skip

_WEIGHED: Final = GoodsQuestion(
    "Weight in and out", _MODELS,
    (
        _MONTH, Column("opening", "Opening (g)", "weight"), Column("received", "Received (g)", "weight"),
        Column("issued", "Given out (g)", "weight"), Column("wasted", "Wasted (g)", "weight"),
        Column("returned", "Returned (g)", "weight"), Column("adjusted", "Adjusted (g)", "weight"),
        Column("counted", "Counted (g)", "weight"), Column("unweighed", "Without weight", "number"),
    ),
    f"""WITH {_lines("x.flow NOT IN ('transferred', 'repacked') AND x.weight IS NULL")}, {_LOST},
    sums AS (
        SELECT {_IN_MONTH} AS month, x.flow, sum(x.weight) AS weight, 0 AS unweighed
        {_FROM} {_WHERE} AND x.flow NOT IN ('transferred', 'repacked') GROUP BY 1, 2
        UNION ALL SELECT month, 'wasted', -sum(weight), count(*) FILTER (WHERE unweighed) FROM lost GROUP BY month
        UNION ALL SELECT month, flow, 0, count(*) FROM lines GROUP BY month, flow)
    SELECT month, coalesce(sum(weight) FILTER (WHERE flow = 'opening'), 0)::bigint AS opening,
           coalesce(sum(weight) FILTER (WHERE flow = 'received'), 0)::bigint AS received,
           coalesce(-sum(weight) FILTER (WHERE flow = 'issued'), 0)::bigint AS issued,
           coalesce(-sum(weight) FILTER (WHERE flow = 'wasted'), 0)::bigint AS wasted,
           coalesce(-sum(weight) FILTER (WHERE flow = 'returned'), 0)::bigint AS returned,
           coalesce(sum(weight) FILTER (WHERE flow = 'adjusted'), 0)::bigint AS adjusted,
           coalesce(sum(weight) FILTER (WHERE flow = 'counted'), 0)::bigint AS counted,
           sum(unweighed)::bigint AS unweighed
    FROM sums GROUP BY month ORDER BY month""",  # noqa: S608  # made of constants
    "Nothing moved.",
)  # fmt: skip


async def waste(
    pool: asyncpg.Pool, *, item: str | None = None, location: str | None = None, since: datetime | None = None,
    until: datetime | None = None, items: bool = False, at_least: Position | None = None,
) -> QueryResult:  # fmt: skip
    """What was thrown away or lost, by month and reason, and by item if so asked.

    Covers disposals, adjustments for any reason but found and counting_error, and what a transfer lost (weighed at the
    item's weight of today). `unweighed` counts lots whose weight is not known, and which the weight leaves out.
    """
    question = _WASTE_BY_ITEM if items or item is not None else _WASTE
    return await question.ask(pool, item, location, since, until, at_least=at_least)


async def receipts(
    pool: asyncpg.Pool, *, by: ReceiptsBy = "donor", item: str | None = None, location: str | None = None,
    since: datetime | None = None, until: datetime | None = None, items: bool = False, at_least: Position | None = None,
) -> QueryResult:  # fmt: skip
    """What came in, by month and donor (the id, and the sealed name), owner, supplier or source; by item if so asked.

    Opening balances and repacked goods are no receipts; nor are transfers between locations.
    """
    return await _RECEIPTS[by, items or item is not None].ask(pool, item, location, since, until, at_least=at_least)


async def weight(
    pool: asyncpg.Pool, *, item: str | None = None, location: str | None = None, since: datetime | None = None,
    until: datetime | None = None, at_least: Position | None = None,
) -> QueryResult:  # fmt: skip
    """Weight in and out by month, in g. Adjusted and counted are signed; transfers and repacking move no weight."""
    return await _WEIGHED.ask(pool, item, location, since, until, at_least=at_least)
