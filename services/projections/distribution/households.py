"""Who is fed: households, who lives in them and who may collect for them; what is personal stays sealed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from services.distribution.contract import (
    AgeBand,
    EligibilityRenewed,
    HouseholdChanged,
    HouseholdRegistered,
    HouseholdsMerged,
    HouseholdsUnmerged,
    MemberAdded,
    MemberRemoved,
    PersonErased,
    ProxyAuthorised,
    ProxyRevoked,
)
from services.projections.distribution.base import BANDS, DistributionProjection, events_of
from shared.event import Recorded
from shared.projection import Key, Row, Rows, Table

_SEALED: Final = ("name", "contact", "address", "language", "note")


class Households(DistributionProjection):
    """`households` has a row for each that was registered. Its people by age are its `members`, and those of its size
    who are not listed one by one are of unknown age. `merged_into` is the household that it goes on as.

    `erased_households` are those that were erased, and when that was decided.
    `proxies` are who may collect, each with the days (`spans`, from and to, both included; no end is null).
    Sealed are name, contact, address, language, note, basis, signature; of members name, diet, allergens; of proxies
    the name.
    """

    name = "households"
    version = 1
    sums = False
    events = events_of("household") | {PersonErased}
    tables = (
        Table(
            "households",
            key=("household",),
            columns={
                "household": "text", "card": "text", **dict.fromkeys(_SEALED, "text"), "size": "integer", **BANDS,
                "basis": "text", "signature": "text", "eligible_until": "date", "merged_into": "text",
                "registered_at": "timestamptz", "renewed_at": "timestamptz",
            },
            indexes=("card", "merged_into"),
        ),
        Table("erased_households", key=("household",), columns={"household": "text", "erased_at": "timestamptz"}),
        Table(
            "members",
            key=("household", "member"),
            columns={
                "household": "text", "member": "text", "band": "text", "name": "text", "diet": "text",
                "allergens": "text",
            },
        ),
        Table(
            "proxies",
            key=("household", "proxy"),
            columns={"household": "text", "proxy": "text", "name": "text", "spans": "jsonb"},
        ),
    )  # fmt: skip

    def touches(self, event: Recorded) -> Iterable[tuple[str, Key]]:
        data = event.data
        if not isinstance(data, HouseholdRegistered | ProxyAuthorised | ProxyRevoked | PersonErased):
            yield "households", (data.household,)
        match data:
            case MemberRemoved():
                yield "members", (data.household, data.member)
            case ProxyAuthorised():
                yield "proxies", (data.household, data.proxy)

    def apply(self, event: Recorded, rows: Rows) -> None:
        match event.data:
            case HouseholdRegistered() as data:
                _register(event, data, rows)
            case ProxyAuthorised() as data:
                key = (data.household, data.proxy)
                row = rows.get("proxies", key) or rows.put("proxies", key, {"spans": []})
                row["name"] = data.name
                until = None if data.until is None else data.until.isoformat()
                row["spans"] = [*row["spans"], [data.since.isoformat(), until]]
            case ProxyRevoked() as data:
                rows.delete("proxies", (data.household, data.proxy))
            case PersonErased() as data:
                if data.kind == "household":
                    rows.put("erased_households", (data.person,), {"erased_at": data.occurred_at})
            case data:
                row_or_none = rows.get("households", (data.household,))
                if row_or_none is not None:
                    _change(event, row_or_none, rows)


def _register(event: Recorded, data: HouseholdRegistered, rows: Rows) -> None:
    row = rows.put(
        "households",
        (data.household,),
        {
            "card": data.card, **{name: getattr(data, name) for name in _SEALED}, "size": data.size,
            **dict.fromkeys(BANDS, 0), "basis": data.basis, "signature": data.signature,
            "eligible_until": data.eligible_until, "merged_into": None, "registered_at": data.occurred_at,
            "renewed_at": data.occurred_at,
        },
    )  # fmt: skip
    for one in data.members:
        rows.put(
            "members",
            (data.household, one.member),
            {"band": str(one.band), "name": one.name, "diet": one.diet, "allergens": one.allergens},
        )
        row[str(one.band)] += 1
    row[AgeBand.UNKNOWN] = _rest(row)


def _change(event: Recorded, row: Row, rows: Rows) -> None:
    match event.data:
        case HouseholdChanged() as data:
            row |= {"card": data.card, **{name: getattr(data, name) for name in _SEALED}}
        case MemberAdded() as data:
            rows.put(
                "members",
                (data.household, data.member),
                {"band": str(data.band), "name": data.name, "diet": data.diet, "allergens": data.allergens},
            )
            row["size"] = data.size
            row[str(data.band)] += 1
            row[AgeBand.UNKNOWN] = _rest(row)
        case MemberRemoved() as data:
            member = rows.get("members", (data.household, data.member))
            if member is not None:
                row[member["band"]] -= 1
            rows.delete("members", (data.household, data.member))
            row["size"] = data.size
            row[AgeBand.UNKNOWN] = _rest(row)
        case EligibilityRenewed() as data:
            row |= {
                "basis": data.basis, "signature": data.signature, "eligible_until": data.eligible_until,
                "renewed_at": data.occurred_at,
            }  # fmt: skip
        case HouseholdsMerged() as data:
            row["merged_into"] = data.into
        case HouseholdsUnmerged():
            row["merged_into"] = None


def _rest(row: Row) -> int:
    """Who is of unknown age: all but those whose age is listed."""
    return int(row["size"]) - sum(int(row[band]) for band in BANDS if band != AgeBand.UNKNOWN)
