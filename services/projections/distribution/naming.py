"""By what households are found: the words of their names, their members' and those of who may collect for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from services.distribution.contract import (
    HouseholdChanged,
    HouseholdRegistered,
    MemberAdded,
    MemberRemoved,
    ProxyAuthorised,
    ProxyRevoked,
    distribution,
)
from services.projections.search import Part, Searched, words_of_a_name


def _sealed(data: Any) -> Mapping[Part, list[str]]:
    match data:
        case HouseholdRegistered():
            members = {(data.household, f"member:{one.member}"): _known(one.name) for one in data.members}
            return {(data.household, "name"): _known(data.name), **members}
        case HouseholdChanged():
            return {(data.household, "name"): _known(data.name)}
        case MemberAdded() | MemberRemoved():
            name = data.name if isinstance(data, MemberAdded) else None
            return {(data.household, f"member:{data.member}"): _known(name)}
        case ProxyAuthorised() | ProxyRevoked():
            name = data.name if isinstance(data, ProxyAuthorised) else None
            return {(data.household, f"proxy:{data.proxy}"): _known(name)}
    return {}


def _known(name: str | None) -> list[str]:
    return [] if name is None else [name]


HOUSEHOLDS: Final = Searched(distribution, "household", 1, _sealed, words_of_a_name)
