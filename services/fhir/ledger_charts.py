"""Charts as the clinic's read models have them: opened as far as the reader's role goes, and every read recorded.

Which parts of a record a role opens stands in services/queries/clinic/roles.py, for the screens and for this alike.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import asyncpg
import nats.errors
import structlog

from services.clinic.contract import Allergy, AllergyCategory, Demographics, Purpose
from services.fhir.charts import Forbidden, Page, Query
from services.fhir.criteria import Criterion, Kind, Span, Token, matches
from services.fhir.entry import Dispensed, Entry, NotShown
from services.fhir.mapping import TYPES, resources
from services.fhir.search import finders
from services.queries.clinic import charted
from services.queries.clinic.contents import opened
from services.queries.clinic.finding import Wanted, find_patients
from services.queries.clinic.people import roles_of
from services.queries.clinic.roles import PART_OF, PARTS, Sight, sight
from shared.clock import utc_now
from shared.errors import Busy, Corrupt
from shared.keyreader import Closed

log = structlog.get_logger(__name__)

_AT_ONCE: Final = 200
"""Patients whose charts are read together in an export."""


_FAILURES: Final = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, nats.errors.Error)


class Keyholder(Protocol):
    """Opens what is sealed."""

    async def open(self, texts: Iterable[str]) -> Mapping[str, str | Closed]:
        """Each text, opened, or why it stays closed. Raises LedgerError when the keys cannot be read."""

    async def index_key(self) -> bytes | None:
        """The key of the clinic's blind indexes; None before there is one."""


class Accesses(Protocol):
    """Records reads of charts."""

    async def record(self, reader: str, accesses: Sequence[Mapping[str, Any]]) -> None:
        """Record them, each the fields of a RecordAccess but for its id and who reads; later if not now.

        Raises LedgerError when they can neither be recorded nor kept.
        """


class LedgerCharts:
    """services/fhir/charts.py's Charts on the read models. `pool` is of shared.readmodel.open_pool."""

    def __init__(
        self, pool: asyncpg.Pool, keys: Keyholder, accesses: Accesses, clock: Callable[[], datetime] = utc_now
    ) -> None:  # fmt: skip
        self._pool = pool
        self._keys = keys
        self._accesses = accesses
        self._clock = clock

    async def read(self, kinds: tuple[str, ...], id: str, *, reader: str, purpose: Purpose) -> Entry | None:
        with _answering():
            return await self._read(kinds, id, reader, purpose)

    async def search(self, query: Query, *, reader: str, purpose: Purpose) -> Page:
        with _answering():
            return await self._search(query, reader, purpose)

    async def _read(self, kinds: tuple[str, ...], id: str, reader: str, purpose: Purpose) -> Entry | None:
        seen = await self._sight(reader, kinds)
        if kinds == ("practitioner",):
            return next(iter(await self._opened(await charted.practitioners(self._pool, [id]), seen)), None)
        records = await charted.entries(self._pool, kinds=kinds, refs=[id])
        found = await self._opened(records, seen)
        await self._record(found, seen, reader, purpose)
        return found[0] if await self._uncontradicted(records, seen) else None

    async def _search(self, query: Query, reader: str, purpose: Purpose) -> Page:
        seen = await self._sight(reader, query.kinds)
        named: Iterable[str] = ()
        if query.type == "Patient":
            page = await self._patients(query, seen)
            named = await charted.whole(self._pool, sorted(query.ids)) if query.ids else ()
        elif query.type == "Practitioner":
            ids = None if query.ids is None else sorted(query.ids)
            page = _page(_kept(await self._opened(await charted.practitioners(self._pool, ids), seen), query), query)
        else:
            page, named = await self._chart(query, seen)
        await self._record(page.entries, seen, reader, purpose, named, query.kinds)
        return page

    async def whole(self, *, reader: str, purpose: Purpose) -> AsyncIterator[Entry]:
        """Everything that goes out as FHIR: who works here, and chart by chart. Each chart is recorded as read."""
        seen = await self._sight(reader, tuple(TYPES))
        for entry in await self._opened(await charted.practitioners(self._pool, None), seen):
            yield entry
        kinds = [kind for kind in TYPES if PART_OF.get(kind) in seen.parts]
        patients = await charted.everybody(self._pool)
        for first in range(0, len(patients), _AT_ONCE):
            some = patients[first : first + _AT_ONCE]
            records = await charted.entries(self._pool, kinds=kinds, patients=some)
            found = await self._opened(await self._uncontradicted(records, seen), seen)
            await self._record(found, seen, reader, purpose)
            for entry in found:
                yield entry

    # -- who sees what ------------------------------------------------------------------------------------------------

    async def _sight(self, reader: str, kinds: tuple[str, ...]) -> Sight:
        """What the reader sees. Raises Forbidden for who sees nothing of these kinds."""
        seen = sight(await roles_of(self._pool, reader))
        if seen.role is None:
            raise Forbidden(f"Nobody of the name {reader} works here.")
        if "practitioner" not in kinds and not any(PART_OF[kind] in seen.parts for kind in kinds):
            raise Forbidden(f"This is not opened for {seen.told}.")
        return seen

    async def _record(
        self, found: Sequence[Entry], seen: Sight, reader: str, purpose: Purpose, named: Iterable[str] = (),
        kinds: Iterable[str] = (),
    ) -> None:  # fmt: skip
        """Record whose records, and which parts of them, are opened by what was found; and of those who were `named`
        what was looked for in vain too: that there is no such diagnosis tells as much."""
        opened: dict[str, set[str]] = {}
        looked_at = [(patient, kind) for patient in named for kind in kinds]
        for patient, kind in [*looked_at, *((one.patient, one.kind) for one in found if not one.erased)]:
            part = PART_OF.get(kind)
            if part in seen.parts:
                opened.setdefault(patient, set()).add(str(part))
                if kind == "patient" and "contact" in seen.parts:
                    opened[patient].add("contact")
        if not opened:
            return
        at = self._clock().isoformat()
        await self._accesses.record(reader, [
            {
                "patient": patient, "role": str(seen.role), "purpose": str(purpose),
                "parts": [part for part in PARTS if part in parts], "occurred_at": at,
            }
            for patient, parts in opened.items()
        ])  # fmt: skip

    # -- searches -----------------------------------------------------------------------------------------------------

    async def _chart(self, query: Query, seen: Sight) -> tuple[Page, Iterable[str]]:
        """Entries of the charts that a search names, and whose those are; only those of the page are opened if none has
        to be compared."""
        records = await charted.entries(
            self._pool, kinds=query.kinds, refs=None if query.ids is None else sorted(query.ids),
            patients=None if query.patients is None else sorted(query.patients), goes_on=True,
        )  # fmt: skip
        if query.patients is None:
            named: Iterable[str] = {record["patient"] for record in records}
        else:
            named = await charted.whole(self._pool, sorted(query.patients))
        records = await self._uncontradicted(records, seen)
        if any(one.name != "_id" for one in query.criteria):
            return _page(_kept(await self._opened(records, seen), query), query), named
        page = _page(records, query, of=_place)
        return dataclasses.replace(page, entries=await self._opened(page.entries, seen)), named  # type: ignore[arg-type]

    async def _uncontradicted(self, records: Sequence[Mapping[str, Any]], seen: Sight) -> Sequence[Mapping[str, Any]]:
        """The records without those that say of a kind of substance that no allergy is known while one stands, in any
        of the person's records: what was asked then is history, and is dangerous as R4, where each is read alone.

        An allergy that cannot be read may be of any kind.
        """
        asked = {one["patient"] for one in records if one["kind"] == "no_known_allergy" and _sees(one, seen)}
        if not asked:
            return records
        standing = await charted.standing_allergies(self._pool, sorted(asked))
        texts = await self._keys.open({one["content"] for one in standing}) if standing else {}
        against: set[tuple[str, str]] = set()
        for one in standing:
            if texts.get(one["content"]) not in (Closed.ERASED, Closed.LOCKED):
                said = _value("allergy", one["content"], texts)
                kinds = (said.category,) if isinstance(said, Allergy) else tuple(AllergyCategory)
                against |= {(one["patient"], str(kind)) for kind in kinds}
        return [
            one for one in records if one["kind"] != "no_known_allergy" or (one["patient"], one["id"]) not in against
        ]  # fmt: skip

    async def _patients(self, query: Query, seen: Sight) -> Page:
        ids, more = await self._meant(query)
        found = await self._opened(await charted.entries(self._pool, kinds=query.kinds, refs=sorted(ids)), seen)
        page = _page(_kept(found, query), query)
        return dataclasses.replace(page, total=None) if more else page

    async def _meant(self, query: Query) -> tuple[set[str], bool]:
        """The ids of patients of whom one may be meant, and whether there are more than were looked at."""
        wanted = _wanted(query.criteria)
        if not wanted:
            return set(query.ids or ()), False
        key = await self._keys.index_key()
        found: set[str] = set()
        more = False
        for one in wanted:
            some = await find_patients(self._pool, key, self._keys.open, one)
            found |= set(some.patients)
            more = more or some.more
        return (found if query.ids is None else found & query.ids), more

    # -- opening ------------------------------------------------------------------------------------------------------

    async def _opened(self, records: Sequence[Mapping[str, Any]], seen: Sight) -> list[Entry]:
        texts = {
            text for record in records for text in (record["who"], *_sealed(record, seen)) if text is not None
        }  # fmt: skip
        known = await self._keys.open(texts) if texts else {}
        now = self._clock()
        return [_entry(record, known, seen, now) for record in records]


@contextmanager
def _answering() -> Iterator[None]:
    """Turns what goes wrong with the servers into what is answered with: try again."""
    try:
        yield
    except _FAILURES as error:
        raise Busy(f"The charts cannot be read: {str(error) or type(error).__name__}.") from error


def _sees(record: Mapping[str, Any], seen: Sight) -> bool:
    return record["kind"] == "practitioner" or PART_OF[record["kind"]] in seen.parts


def _sealed(record: Mapping[str, Any], seen: Sight) -> list[str]:
    """The sealed texts of an entry that are opened for who reads."""
    return [text for text in (record["content"], record["ordered"]) if text is not None] if _sees(record, seen) else []


def _entry(record: Mapping[str, Any], texts: Mapping[str, str | Closed], seen: Sight, now: datetime) -> Entry:
    """An entry as it is shown. Whoever is erased, or about to be, is so in every entry, sealed or not."""
    kind, shown = record["kind"], _sees(record, seen)
    gone = any(texts.get(text) in (Closed.ERASED, Closed.LOCKED) for text in (record["who"], record["content"]))
    gone = gone and kind != "practitioner"  # who acted stays who acted
    begun = record["recorded_at"] if kind == "appointment" else record["occurred_at"]
    return Entry(
        kind=kind, id=record["ref"], patient=record["patient"], encounter=record["encounter"],
        content=_content(record, texts, seen) if shown and not gone else None, clear=_clear(record, now),
        occurred_at=begun, recorded_at=record["recorded_at"], changed_at=record["changed_at"], erased=gone,
    )  # fmt: skip


def _content(record: Mapping[str, Any], texts: Mapping[str, str | Closed], seen: Sight) -> Any:
    kind = record["kind"]
    if kind == "dispensing":
        order = _value("prescription", record["ordered"], texts)
        return Dispensed(handed=_value(kind, record["content"], texts), order=order)
    if kind == "practitioner":
        name = texts.get(record["content"])
        return None if isinstance(name, Closed) else name
    value = _value(kind, record["content"], texts)
    if isinstance(value, Demographics) and "contact" not in seen.parts:
        return dataclasses.replace(value, contact=None)
    return value


def _value(kind: str, text: str | None, texts: Mapping[str, str | Closed]) -> Any:
    """The value in a text; None where there is none, and where it cannot be read, which is logged."""
    if text is None:
        return None
    found = texts.get(text, Closed.SEALED)
    try:
        value = opened(kind, found)
    except Corrupt:
        found, value = Closed.CHANGED, None
    if found in (Closed.SEALED, Closed.CHANGED):
        log.warning("an entry of a chart cannot be opened", kind=kind, why=str(found))
    return value


def _clear(record: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """What stands clear beside the content, in the words of services/fhir/entry.py."""
    kind, status = record["kind"], record["status"]
    facts: dict[str, Any] = dict(record["facts"] or {})
    match kind:
        case "no_known_allergy":
            return {"category": record["id"]}
        case "appointment":
            return facts | {"status": status, "starts_at": record["occurred_at"]}
        case "encounter":
            return facts | {"kind": facts.get("class"), "appointment": record["appointment"]}
        case "vitals" | "result":
            return facts | {"recorded_by": record["author"]}
        case "prescription":
            stood = facts.get("order_status") if status == "imported" else None
            valid = facts.get("signed_at") and facts.get("valid_days")
            until = datetime.fromisoformat(facts["signed_at"]) + timedelta(days=facts["valid_days"]) if valid else None
            over = until is not None and until <= now
            stood = stood or ("stopped" if status == "stopped" else "completed" if over else "active")
            return facts | {"status": stood, "valid_until": until, "dispensed": record["dispensed"] or 0}
        case "dispensing":
            return facts | {"status": status, "unit": record["unit"]}
        case "administration" | "immunization":
            imported = facts.get("imported_from") is not None
            by = None if imported else record["author"]  # whoever imported it gave nothing
            return facts | {"given_by": by, "reversed": status == "reversed"}
        case _:
            return facts | {"status": status}


# -- what is asked ----------------------------------------------------------------------------------------------------


def _kept(found: Sequence[Entry], query: Query) -> list[Entry]:
    """Those that meet the criteria, and those of which that is not shown."""
    return [entry for entry in found if not entry.erased and _meets(entry, query)]


def _meets(entry: Entry, query: Query) -> bool:
    try:
        return any(matches(each, query.criteria, finders[query.type]) for each in resources(entry))
    except NotShown:
        return True


def _place(found: Any) -> str:
    return str(found.id if isinstance(found, Entry) else found["ref"])


def _page(found: Sequence[Any], query: Query, of: Callable[[Any], str] = _place) -> Page:
    """What stands behind the entry that the page before ended with; nothing if that is gone."""
    begin = 0
    if query.after is not None:
        begin = next((n + 1 for n, one in enumerate(found) if of(one) == query.after), len(found))
    some = found[begin : begin + query.count]
    rest = begin + query.count < len(found)
    return Page(entries=some, following=of(some[-1]) if rest else None, total=len(found))


def _wanted(criteria: Iterable[Criterion]) -> list[Wanted]:
    """Searches by name, birth date and number that together find all who meet the criteria, and more than those."""
    choices: list[list[dict[str, Any]]] = []
    for one in criteria:
        match one.kind, one.name:
            case Kind.STRING, name:
                choices.append([{name: value} for value in one.values])
            case Kind.TOKEN, "identifier":
                choices.append([{"identifier": _number(value)} for value in one.values])
            case Kind.DATE, "birthdate" if all(_is_day(value) for value in one.values):
                choices.append([{"born": value.start.date()} for value in one.values])
    if not choices:
        return []
    made = []
    for several in itertools.product(*choices):
        fields: dict[str, Any] = {}
        for field in several:
            for name, value in field.items():
                both = name in ("name", "family", "given") and name in fields
                fields[name] = f"{fields[name]} {value}" if both else value
        made.append(Wanted(**fields))
    return made


def _number(token: Token) -> str:
    return f"{token.system}|{token.code}" if token.system else str(token.code)


def _is_day(span: Span) -> bool:
    return span.compare == "eq" and span.end - span.start == timedelta(days=1)
