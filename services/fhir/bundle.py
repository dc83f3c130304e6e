"""Bundle: what a search found. https://hl7.org/fhir/R4/bundle.html#searchset"""

from __future__ import annotations

from collections.abc import Iterable

from services.fhir.entry import Resource
from services.fhir.values import present


def searchset(
    base: str, found: Iterable[Resource], *, itself: str, following: str | None = None, total: int | None = None,
    warning: Resource | None = None,
) -> Resource:  # fmt: skip
    """A page of a search. `itself` and `following` are its URL and that of the next page."""
    entries = [
        {"fullUrl": f"{base}/{one['resourceType']}/{one['id']}", "resource": one, "search": {"mode": "match"}}
        for one in found
    ]
    if warning is not None:
        entries.append({"resource": warning, "search": {"mode": "outcome"}})
    links = [{"relation": "self", "url": itself}]
    if following is not None:
        links.append({"relation": "next", "url": following})
    return {"resourceType": "Bundle", "type": "searchset"} | present(total=total, link=links, entry=entries)
