"""How often each household was served: what a table asks before it serves, and whom it may not serve again."""

from __future__ import annotations

from collections.abc import Iterable

from services.distribution.contract import (
    ANONYMOUS,
    EntitlementClaimed,
    EntitlementReleased,
    VisitRecorded,
    VisitReversed,
)
from services.projections.distribution.base import DistributionProjection, events_of
from shared.event import Recorded
from shared.projection import Key, Rows, Table


class Entitlements(DistributionProjection):
    """`entitlements` has a row for each household, programme and period: `used` times under its own id, of `allowed`
    (null: no limit) as it was when it was used last. `claims` has one for each claim (of an order, or of a box handed
    out without one) and each visit that used it, until it was given back. `reason` and `override_reason` are sealed.

    What was served to households that go on as this one is with them. Anonymous visits are not here: each is a period
    of its own.
    """

    name = "entitlements"
    version = 1
    events = events_of("entitlement")
    tables = (
        Table(
            "entitlements",
            key=("household", "programme", "period"),
            columns={
                "household": "text", "programme": "text", "period": "text", "used": "integer", "allowed": "integer",
                "used_at": "timestamptz",
            },
            indexes=("programme, period",),
        ),
        Table(
            "claims",
            key=("household", "programme", "period", "kind", "claim"),
            columns={
                "household": "text", "programme": "text", "period": "text", "kind": "text", "claim": "text",
                "claimed_at": "timestamptz", "claimed_by": "text", "over": "boolean", "override_reason": "text",
                "ended_at": "timestamptz", "reason": "text",
            },
            indexes=("claim",),
        ),
    )  # fmt: skip

    def touches(self, event: Recorded) -> Iterable[tuple[str, Key]]:
        data = event.data
        if data.household is None:
            return
        where = (data.household, data.programme, data.period)
        yield "entitlements", where
        if isinstance(data, EntitlementReleased | VisitReversed):
            yield "claims", (*where, *_claim(data))

    def apply(self, event: Recorded, rows: Rows) -> None:
        data = event.data
        if data.household is None or data.household == ANONYMOUS:
            return
        where = (data.household, data.programme, data.period)
        row = rows.get("entitlements", where) or rows.put(
            "entitlements", where, {"used": 0, "allowed": None, "used_at": None}
        )
        match data:
            case EntitlementClaimed() | VisitRecorded():
                row |= {"used": row["used"] + 1, "allowed": data.limit, "used_at": data.occurred_at}
                who = data.claimed_by if isinstance(data, EntitlementClaimed) else event.envelope.authid
                rows.put(
                    "claims",
                    (*where, *_claim(data)),
                    {
                        "claimed_at": data.occurred_at, "claimed_by": who,
                        "over": data.limit is not None and data.used > data.limit,
                        "override_reason": data.override_reason, "ended_at": None, "reason": None,
                    },
                )  # fmt: skip
            case EntitlementReleased() | VisitReversed():
                claim = rows.get("claims", (*where, *_claim(data)))
                if claim is not None and claim["ended_at"] is None:
                    row["used"] -= 1
                    claim |= {"ended_at": data.occurred_at, "reason": data.reason}


def _claim(data: EntitlementClaimed | EntitlementReleased | VisitRecorded | VisitReversed) -> tuple[str, str]:
    return ("visit", data.visit) if isinstance(data, VisitRecorded | VisitReversed) else ("order", data.claim)
