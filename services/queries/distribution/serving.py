"""What a visit at a session states beside the household: `commons serve`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg

from services.queries.distribution.known import must_be_known
from services.queries.distribution.parts import LIMIT, PERIOD
from services.queries.names import checked
from shared.readmodel import read


@dataclass(frozen=True, slots=True)
class Serving:
    """A session, its programme, and the period that a day there is in, by the limit that holds on it."""

    session: str
    programme: str
    period: str


_SERVING: Final = f"""SELECT s.session, s.programme, {PERIOD.format(every="l.every", day="d.day")} AS period
    FROM sessions s LEFT JOIN programmes p USING (programme)
    CROSS JOIN LATERAL (SELECT ($2::timestamptz AT TIME ZONE 'UTC'
                                + make_interval(mins => coalesce(p.utc_offset, 0)))::date AS day) d
    {LIMIT.format(day="d.day")}
    WHERE CASE WHEN $1::text IS NULL THEN s.state = 'open' ELSE s.session = $1 END ORDER BY s.session"""  # noqa: S608


async def servings(pool: asyncpg.Pool, *, session: str | None, at: datetime) -> list[Serving]:
    """The session that is named, or those that are open, with the period of a moment. Raises Invalid when the named one
    is not known."""
    await must_be_known(pool, "session", session)
    reading = await read(pool, ("sessions", "programmes"), _SERVING, checked(session), at)
    return [Serving(**dict(record)) for record in reading.records]
