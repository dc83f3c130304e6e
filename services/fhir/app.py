"""The HTTP API: charts as FHIR R4, to be read and searched.

    GET /fhir/metadata          what can be asked
    GET /fhir/{type}/{id}       one resource
    GET /fhir/{type}?…          a search, page by page
    POST /fhir/{type}/_search   the same, its parameters in a form: they stand in no log of addresses

HEAD answers as GET does, without the body. Every answer, refusals too, is a resource that was checked as R4 before it
left. There are four routes, and all that FHIR asks of headers, errors and pages is its own; so this is an ASGI
application beside FastStream's, with no framework between (docs/decisions/0027-fhir.md).

Who reads is named in X-Commons-Actor. It is believed only where that is set up, behind a proxy that knows who it is;
else everything but /metadata is refused. What for is said in X-Commons-Purpose.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import format_datetime
from typing import Any, Final
from urllib.parse import parse_qsl

import structlog

from services.clinic.contract import Purpose
from services.fhir.bundle import searchset
from services.fhir.capability import FHIR_VERSION, capability_statement
from services.fhir.charts import Charts, Forbidden
from services.fhir.criteria import BadSearch
from services.fhir.entry import Entry, NotShown, Resource
from services.fhir.ids import of_part, our_id
from services.fhir.mapping import KINDS, resources
from services.fhir.models import NotValid, encoded
from services.fhir.outcome import outcome
from services.fhir.search import Search, read_search
from shared.admission import RateLimit
from shared.errors import LedgerError
from shared.types import is_id

log = structlog.get_logger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PREFIX: Final = "/fhir"
ENTRANCE: Final = f"{PREFIX}/metadata"
MEDIA: Final = "application/fhir+json"

_LONGEST: Final = 4096
"""Bytes of a path with its query."""

_FORM: Final = 16_384
"""Bytes of a form, which is to come within so many seconds."""

_FORM_SECONDS: Final = 10
_FORM_MEDIA: Final = "application/x-www-form-urlencoded"
_SEARCH: Final = "_search"
_FIELDS: Final = 40
_ACCEPTED: Final = frozenset({MEDIA, "application/json", "application/*", "*/*"})
_FORMATS: Final = frozenset({"json", "application/json", MEDIA, "application/fhir json"})  # a + may come as a blank
_HOST: Final = re.compile(r"[A-Za-z0-9.-]{1,253}(:\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Problem(Exception):
    """A request that is not answered: the status, FHIR's code for it, and a sentence for who asks."""

    def __init__(self, status: int, code: str, text: str, **headers: str) -> None:
        super().__init__(text)
        self.status = status
        self.resource = outcome(code, text)
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    resource: Resource | None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads, and what for."""

    name: str
    purpose: Purpose


class FhirApi:
    """The ASGI application. `base` is its address as clients know it; without one it is that of the request.

    `limit` is how often one reader may ask.
    """

    def __init__(
        self, charts: Charts, *, trust_actor: bool, base: str | None = None, version: str = "0",
        limit: RateLimit | None = None,
    ) -> None:  # fmt: skip
        self._charts = charts
        self._trust_actor = trust_actor
        self._base = None if base is None else base.rstrip("/")
        self._version = version
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            answer = await self._answer(Request(scope), receive)
        except Problem as problem:
            answer = Answer(problem.status, problem.resource, problem.headers)
        except LedgerError as error:
            status = 503 if error.status >= 429 else 500
            log.warning("fhir_not_answered", error=error.code, cause=type(error.__cause__).__name__)
            answer = Answer(status, outcome("transient", "The charts cannot be read at the moment. Try again."))
        except Exception as error:  # noqa: BLE001  # nothing of a chart may leave in a trace; the kind is logged
            log.error("fhir_failed", error=type(error).__name__)
            answer = Answer(500, outcome("exception", "The request failed here; it is logged."))
        await _send(answer, send, head=scope["method"] == "HEAD")

    async def _answer(self, request: Request, receive: Receive) -> Answer:
        request.check()
        base = self._base or request.base()
        query = request.query()
        if request.has_form():
            self._reader(request)  # whose form is not even read
            query = _limited([*query, *await request.form(receive)])
        _check_format(request, query)
        match request.path():
            case ["metadata"]:
                return Answer(200, capability_statement(base, self._version))
            case [type_] | [type_, "_search"] if type_ in KINDS:  # a form, or check() has refused it
                return await self._search(request, type_, query, base)
            case [type_, id_] if type_ in KINDS:
                return await self._read(request, type_, id_)
            case [type_, *_] if type_ in KINDS:
                raise Problem(404, "not-supported", "Only the newest version of a resource is given: /{type}/{id}.")
            case _:
                raise Problem(
                    404, "not-supported", f"There is no such resource. There are: {', '.join(KINDS)}; {ENTRANCE} says "
                    "how each is searched.",
                )  # fmt: skip

    def _reader(self, request: Request) -> Reader:
        """Who asks. Raises Problem when that is not known, or not believed."""
        if not self._trust_actor:
            raise Problem(
                401, "login", "Nobody is let in yet: X-Commons-Actor is believed only where COMMONS_FHIR_TRUST_ACTOR "
                "is set, behind a proxy that says who it is.", www_authenticate="Commons",
            )  # fmt: skip
        name, purpose = request.header("x-commons-actor"), request.header("x-commons-purpose")
        if name is None or not is_id(name):
            raise Problem(
                401, "login", "Say who reads, in X-Commons-Actor: a practitioner's id.", www_authenticate="Commons"
            )
        if purpose not in {each.value for each in Purpose}:
            words = ", ".join(each.value for each in Purpose)
            raise Problem(403, "forbidden", f"Say what for, in X-Commons-Purpose: {words}.")
        return Reader(name, Purpose(purpose))

    def _let_in(self, request: Request) -> Reader:
        """Who asks. Raises Problem, too, when they ask for more than is given to one."""
        reader = self._reader(request)
        if self._limit is not None and (wait := self._limit.take(reader.name)):
            seconds = str(math.ceil(wait))
            raise Problem(
                429, "throttled", f"You ask for more than is given to one reader. Ask again in {seconds} s.",
                Retry_After=seconds,
            )  # fmt: skip
        return reader

    # -- one resource -------------------------------------------------------------------------------------------------

    async def _read(self, request: Request, type_: str, id_: str) -> Answer:
        reader = self._let_in(request)
        part = of_part(id_) if type_ == "Observation" else None
        ours = part[1] if part else our_id(id_)
        entry = None
        if ours is not None:
            try:
                entry = await self._charts.read(KINDS[type_], ours, reader=reader.name, purpose=reader.purpose)
            except Forbidden as error:
                raise Problem(403, "forbidden", str(error)) from None
        if entry is None:
            raise Problem(404, "not-found", f"There is no {type_} with this id.")
        if entry.erased:
            raise Problem(410, "deleted", f"This {type_} is erased, or about to be.")
        resource = _the_one(entry, id_)
        if resource is None:
            raise Problem(404, "not-found", f"There is no {type_} with this id.")
        headers = _marks(entry)
        if "ETag" in headers and headers["ETag"] in _tags(request.header("if-none-match")):
            return Answer(304, None, headers)
        return Answer(200, resource, headers)

    # -- a search -----------------------------------------------------------------------------------------------------

    async def _search(self, request: Request, type_: str, query: list[tuple[str, str]], base: str) -> Answer:
        reader = self._let_in(request)
        try:
            search = read_search(type_, query, base)
        except BadSearch as error:
            raise Problem(400, "invalid", str(error)) from None
        if search.ignored and "handling=strict" in (request.header("prefer") or "").replace(" ", "").lower():
            raise Problem(
                400, "not-supported", f"{type_} is not searched by: {', '.join(map(_shown, search.ignored))}."
            )
        try:
            page = await self._charts.search(search.query, reader=reader.name, purpose=reader.purpose)
        except Forbidden as error:
            raise Problem(403, "forbidden", str(error)) from None
        found, hidden = _shown_of(page.entries, search)
        following = None if page.following is None else search.url(base, page.following)
        return Answer(200, searchset(
            base, found, itself=search.url(base), following=following, total=page.total,
            warning=_warning(search, hidden),
        ))  # fmt: skip


def _the_one(entry: Entry, id_: str) -> Resource | None:
    """The resource with the id that was asked for. Raises Problem when it is not shown."""
    try:
        return next((one for one in resources(entry) if one["id"] == id_), None)
    except NotShown as reason:
        raise Problem(403, "forbidden", f"Your role is not shown this: {reason}.") from None


def _shown_of(entries: Any, search: Search) -> tuple[list[Resource], int]:
    """The resources that a page shows, and how many entries are not shown."""
    found: list[Resource] = []
    hidden = 0
    for entry in entries:
        if entry.erased:
            continue
        try:
            found += [one for one in resources(entry) if search.keeps(one)]
        except NotShown:
            hidden += 1
    return found, hidden


def _warning(search: Search, hidden: int) -> Resource | None:
    said = []
    if search.ignored:
        said.append(f"Not searched by: {', '.join(map(_shown, search.ignored))}.")
    if hidden:
        said.append(f"{hidden} more {'is' if hidden == 1 else 'are'} not shown to your role, or cannot be read.")
    return outcome("incomplete" if hidden else "not-supported", " ".join(said), "warning") if said else None


def _shown(name: str) -> str:
    return "".join(one if one.isprintable() else "·" for one in name)


def _marks(entry: Entry) -> dict[str, str]:
    changed = entry.changed_at or entry.recorded_at
    marks = {"Last-Modified": format_datetime(changed.astimezone(UTC), usegmt=True)} if changed.tzinfo else {}
    return marks | ({"ETag": f'W/"{entry.revision}"'} if entry.revision else {})


def _tags(header: str | None) -> set[str]:
    found = {one.strip() for one in (header or "").split(",")}
    return found | {f"W/{one}" for one in found if one.startswith('"')}


# -- the request ------------------------------------------------------------------------------------------------------


class Request:
    """What is asked. Nothing of it is trusted: each part is checked where it is taken."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._headers: list[tuple[bytes, bytes]] = list(scope["headers"])

    def check(self) -> None:
        """Raises Problem for a request that is not looked at further."""
        method, form = self._scope["method"], self._is_search()
        if form and method != "POST":
            raise Problem(
                405, "not-supported", f"A form is posted to {_SEARCH}. To search with GET, leave it out: /{{type}}?…",
                Allow="POST",
            )  # fmt: skip
        if not form and method not in ("GET", "HEAD"):
            raise Problem(
                405, "not-supported", "Charts are read here, and written by the clinic's commands. A search may be "
                f"posted to /{{type}}/{_SEARCH}.", Allow="GET, HEAD",
            )  # fmt: skip
        whole = len(self._scope.get("raw_path") or self._scope["path"].encode()) + len(self._scope["query_string"])
        if whole > _LONGEST:
            raise Problem(414, "too-long", f"The address is longer than {_LONGEST:,} bytes.")
        length = self.header("content-length") or "0"
        if form:
            self._check_form(length)
        elif length.strip() != "0" or self.header("transfer-encoding") is not None:
            raise Problem(400, "invalid", "A GET has no body here.", Connection="close")

    def _is_search(self) -> bool:
        path = self.path()
        return len(path) == 2 and path[0] in KINDS and path[1] == _SEARCH

    def _check_form(self, length: str) -> None:
        """Raises Problem for a body that is not read."""
        media = (self.header("content-type") or "").partition(";")[0].strip().lower()
        if media != _FORM_MEDIA:
            raise Problem(415, "not-supported", f"A search is posted as {_FORM_MEDIA}.", Connection="close")
        if length.strip().isdecimal() and int(length) > _FORM:
            raise _too_much()

    def has_form(self) -> bool:
        return bool(self._scope["method"] == "POST")

    async def form(self, receive: Receive) -> list[tuple[str, str]]:
        """The parameters in the body. Raises Problem for one that is too long, too late, or no form."""
        body = b""
        try:
            async with asyncio.timeout(_FORM_SECONDS):
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        raise Problem(400, "invalid", "The form breaks off.")
                    body += message.get("body", b"")
                    if len(body) > _FORM:
                        raise _too_much()
                    if not message.get("more_body", False):
                        return _pairs(body, "form")
        except TimeoutError:
            raise Problem(
                408, "timeout", f"The form did not come within {_FORM_SECONDS} seconds.", Connection="close"
            ) from None

    def header(self, name: str) -> str | None:
        """A header's value; None without one. Raises Problem for one that is there twice or is no plain text."""
        found = [value for key, value in self._headers if key.lower() == name.encode()]
        if not found:
            return None
        if len(found) > 1 and name not in ("accept", "prefer", "if-none-match"):
            raise Problem(400, "invalid", f"The header {name} is there twice.")
        try:
            text = b", ".join(found).decode("ascii")
        except UnicodeDecodeError:
            text = "\0"
        if _CONTROL.search(text) or len(text) > 1000:
            raise Problem(400, "invalid", f"The header {name} is no plain text.")
        return text

    def base(self) -> str:
        host = self.header("host") or ""
        if _HOST.fullmatch(host) is None:
            raise Problem(400, "invalid", "The header Host is no name of a host.")
        return f"{self._scope.get('scheme', 'http')}://{host}{PREFIX}"

    def path(self) -> list[str]:
        """The parts of the path behind the prefix."""
        path: str = self._scope["path"]
        if not path.startswith(f"{PREFIX}/"):
            return []
        return path.removeprefix(f"{PREFIX}/").removesuffix("/").split("/")

    def query(self) -> list[tuple[str, str]]:
        return _pairs(self._scope["query_string"], "query")


def _pairs(encoded_: bytes, what: str) -> list[tuple[str, str]]:
    """The fields of an address or a form."""
    try:
        text = encoded_.decode("ascii")
        found = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_FIELDS)
    except ValueError:
        raise Problem(
            400, "invalid", f"The {what} is not of at most {_FIELDS} fields, written in UTF-8 and percent signs."
        ) from None
    if any(_CONTROL.search(part) for pair in found for part in pair):
        raise Problem(400, "invalid", f"The {what} has control characters in it.")
    return found


def _limited(fields: list[tuple[str, str]]) -> list[tuple[str, str]]:
    if len(fields) > _FIELDS:
        raise Problem(400, "invalid", f"The query and the form have more than {_FIELDS} fields together.")
    return fields


def _too_much() -> Problem:
    return Problem(413, "too-long", f"The form is longer than {_FORM:,} bytes.", Connection="close")


def _check_format(request: Request, query: list[tuple[str, str]]) -> None:
    """Raises Problem when something else than JSON is wanted."""
    wanted = [value for name, value in query if name == "_format"]
    if wanted:
        accepted = wanted[-1] in _FORMATS
    else:
        accepted = any(_accepts(one) for one in (request.header("accept") or "*/*").split(","))
    if not accepted:
        raise Problem(406, "not-supported", f"Answers are {MEDIA}, FHIR {FHIR_VERSION}.")


def _accepts(text: str) -> bool:
    media, *parameters = (part.strip().lower() for part in text.split(";"))
    asked = dict(part.split("=", 1) for part in parameters if "=" in part)
    return media in _ACCEPTED and asked.get("q") not in ("0", "0.0", "0.00", "0.000") and (
        asked.get("fhirversion", "4.0") in ("4.0", FHIR_VERSION)
    )  # fmt: skip


# -- the answer -------------------------------------------------------------------------------------------------------


async def _send(answer: Answer, send: Send, *, head: bool) -> None:
    status, body = answer.status, b""
    if answer.resource is not None:
        try:
            body = encoded(answer.resource)
        except NotValid as error:
            log.error("fhir_not_valid", resource=answer.resource["resourceType"], error=str(error))
            status, body = 500, encoded(outcome("exception", "What was found cannot be written as R4; it is logged."))
    headers = {
        "Content-Type": f"{MEDIA}; fhirVersion=4.0; charset=utf-8", "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff", **(answer.headers if status == answer.status else {}),
    }  # fmt: skip
    if status != 304:
        headers["Content-Length"] = str(len(body))
    await send({
        "type": "http.response.start", "status": status,
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()],
    })  # fmt: skip
    await send({"type": "http.response.body", "body": b"" if head else body})
