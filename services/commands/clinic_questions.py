"""What the commands of `commons show` about the clinic share: who asks, what is opened for them, and the access log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Final, TypeVar

import asyncpg
import typer

from services.clinic.contract import ClinicError, Purpose, Role
from services.commands.accesses import access, record
from services.commands.answers import write
from services.commands.common import Operator
from services.commands.door import OK, Usage
from services.commands.opening import NotOpened, opened
from services.commands.questions import form_of
from services.commands.waiting import position
from services.queries import QueryResult
from services.queries.answer import Position
from services.queries.clinic import charted, roles_of
from services.queries.clinic.chart import STREAM
from services.queries.clinic.roles import PARTS, TOLD, Sight, sight
from shared.clock import utc_now
from shared.errors import LedgerError

AtLeast = Annotated[
    str | None,
    typer.Option("--at-least", metavar="SEQUENCE", help="Wait until the read model shows this event: 17, CLINIC:17."),
]
Patient = Annotated[str, typer.Argument(metavar="PATIENT", help="The patient's id.")]
Why = Annotated[Purpose | None, typer.Option("--purpose", metavar="PURPOSE", help=f"What for: {', '.join(Purpose)}.")]
BreakGlass = Annotated[
    bool, typer.Option("--break-glass", help="Show more than your role is shown; somebody looks into it.")
]
Reason = Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why the glass is broken.")]
Open = Annotated[
    bool, typer.Option("--open", help="Open names and what else your role is shown; recorded for each patient.")
]

_LONGEST_REASON: Final = 2000

T = TypeVar("T")


class UnknownPatient(LedgerError):
    """There is no patient of the id that was asked about."""

    status = 404
    code = ClinicError.UNKNOWN_PATIENT


class NotReadable(LedgerError):
    """This login to the database may not read what is clinical."""

    status = 403
    code = "NOT_READABLE"


@dataclass(frozen=True, slots=True)
class Look:
    """One look at records: who sees what, and what for."""

    sight: Sight
    purpose: Purpose
    reason: str | None = None


async def look(
    operator: Operator, pool: asyncpg.Pool, *, purpose: Purpose | None, break_glass: bool = False,
    reason: str | None = None, otherwise: Purpose = Purpose.OPERATIONS,
) -> Look:  # fmt: skip
    """Who looks, with what is opened for their roles. Raises NotOpened for who has none, and Usage."""
    if break_glass != (reason is not None and bool(reason.strip())):
        raise Usage("--break-glass and --reason TEXT go together: say why you must see more than your role is shown.")
    if reason is not None and len(reason) > _LONGEST_REASON:
        raise Usage(f"A --reason has at most {_LONGEST_REASON:,} characters.")
    held = await readable(roles_of(pool, operator.who))
    seen = sight(operator.acting_in(held), break_glass=break_glass)
    if held and seen.role is None:
        works = " and as ".join(TOLD[Role(one)] for one in held)
        raise NotOpened(
            f"Nothing is opened for {operator.who}, who works here as {works}: their token carries no such role, or "
            "--mandate names another.", actor=operator.who,
        )  # fmt: skip
    if seen.role is None:
        raise NotOpened(
            f"Nothing is opened for {operator.who}: nobody of that name works here. Say who you are with --as, or have "
            "a clinician add you with AddPractitioner.", actor=operator.who,
        )  # fmt: skip
    return Look(seen, purpose or otherwise, reason)


def must_open(operator: Operator, looked: Look, *parts: str, what: str) -> None:
    """Raises NotOpened unless one of these parts is opened for who looks; `what` is what they want to see."""
    if looked.sight.parts.isdisjoint(parts):
        others = [told for role, told in TOLD.items() if not sight([role]).parts.isdisjoint(parts)]
        raise NotOpened(
            f"{what} is not opened for {operator.who}, who acts as {looked.sight.told}. It is for "
            f"{', '.join(others[:-1])} and {others[-1]}; see docs/clinic-screens.md.", actor=operator.who,
        )  # fmt: skip


async def whole_record(pool: asyncpg.Pool, patient: str) -> set[str]:
    """The ids of a patient, and of those whose records go on as theirs. Raises UnknownPatient when there is none."""
    known = set(await readable(charted.whole(pool, [patient])))
    if not known:
        raise UnknownPatient(
            f"There is no patient {patient[:80]!r} here. Find the id by their name, with `commons show patient NAME`.",
            patient=patient[:80],
        )  # fmt: skip
    return known


async def note(operator: Operator, looked: Look, patients: Iterable[str], parts: Iterable[str]) -> str:
    """Record that records are read, before they are shown; a sentence when that is not done yet."""
    shown = [part for part in PARTS if part in set(parts)]
    ids = sorted(set(patients))
    if not shown or not ids:
        return await record(operator, [])
    fields = {
        "role": str(looked.sight.role), "purpose": str(looked.purpose), "parts": shown,
        "break_glass": looked.sight.break_glass, "reason": looked.reason, "occurred_at": utc_now().isoformat(),
    }  # fmt: skip
    return await record(operator, [access(operator, patient=id, **fields) for id in ids])


async def show_clinic(
    operator: Operator, ask: Callable[[asyncpg.Pool, Position | None], Awaitable[QueryResult]], *, csv: bool,
    at_least: str | None, open_: bool = False, purpose: Purpose | None = None, of: str | None = None,
    parts: Sequence[str] = (), what: str = "", then: Callable[[QueryResult], QueryResult] = lambda found: found,
) -> int:  # fmt: skip
    """Ask a question about the clinic and write the answer.

    With `open_`, what is of records is shown as far as the asker's role goes, and each patient's access log says so;
    else those columns are left out. `then` is done with what was opened.

    Where the answer is one of `parts` itself, ids and all, it is for the roles that see one of them, and is recorded
    without `open_` too; `what` names it. It may be asked `of` one patient: that nothing was found counts then too.
    """
    form = form_of(operator, csv)
    wanted = position(at_least, STREAM)
    async with operator.database() as pool:
        found = await readable(ask(pool, wanted))
        personal = [column for column in found.columns if column.part is not None]
        looked = await look(operator, pool, purpose=purpose) if open_ or parts else None
        if looked is None:
            said = await record(operator, [])
            found = without(found, {column.name for column in personal})
        else:
            if parts:
                must_open(operator, looked, *parts, what=what)
            about = set() if of is None else await whole_record(pool, of)
            closed = {column.name for column in personal if not open_ or column.part not in looked.sight.parts}
            hidden = sorted({str(column.part) for column in personal if column.name in closed}) if open_ else []
            found = without(found, closed)
            read = {*parts[:1], *_parts_in(found)}
            said = await note(operator, looked, about | _patients_in(found) if read else (), read)
            if hidden:
                said = f"Not shown to {looked.sight.told}: {', '.join(hidden).replace('_', ' ')}. {said}".strip()
        found = then(await opened(operator, found))
    write(add(found, said), form)
    return OK


def without(found: QueryResult, names: set[str]) -> QueryResult:
    """The answer without some columns."""
    kept = [n for n, column in enumerate(found.columns) if column.name not in names]
    return replace(
        found, columns=tuple(found.columns[n] for n in kept), rows=[tuple(row[n] for n in kept) for row in found.rows]
    )


def add(found: QueryResult, said: str) -> QueryResult:
    """The answer with something more to say."""
    return replace(found, message=" ".join(filter(None, [found.message, said])) or None)


async def noted_review(operator: Operator, pool: asyncpg.Pool, found: QueryResult) -> QueryResult:
    """What waits for a review at the clinic, once it is recorded that its patients were read of. Raises NotOpened."""
    looked = await look(operator, pool, purpose=None)
    must_open(operator, looked, "reviews", what="What waits for a review at the clinic")
    return add(found, await note(operator, looked, _patients_in(found), ["reviews"]))


def _parts_in(found: QueryResult) -> Sequence[str]:
    """The parts of records of which something stands in the answer."""
    return [
        column.part for n, column in enumerate(found.columns)
        if column.part is not None and any(row[n] not in (None, []) for row in found.rows)
    ]  # fmt: skip


def _patients_in(found: QueryResult) -> set[str]:
    return {record["patient"] for record in found.records() if record.get("patient")}


async def readable(asked: Awaitable[T]) -> T:
    """An answer of the clinic's read models. Raises NotReadable when this login may not read them."""
    try:
        return await asked
    except asyncpg.InsufficientPrivilegeError as error:
        raise NotReadable(
            "This login may not read the clinic's read models: they are for the role commons_clinic alone. Give "
            "--database-url with a login that has that role."
        ) from error
