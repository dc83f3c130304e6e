"""`commons show` for the clinic: the board, charts, dispensings, what is left to do, and who saw what."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Annotated, Any, Final

import asyncpg
import nats.errors
import typer

from services.clinic.contract import Demographics, Purpose
from services.commands.answers import Form, write
from services.commands.book_questions import First, Last
from services.commands.clinic_questions import (
    AtLeast,
    BreakGlass,
    Look,
    Open,
    Patient,
    Reason,
    Why,
    add,
    look,
    must_open,
    note,
    readable,
    show_clinic,
    whole_record,
    without,
)
from services.commands.common import Operator, command
from services.commands.door import OK, Unreachable, Usage
from services.commands.opening import NotOpened, texts_of
from services.commands.period import day
from services.commands.questions import All, Csv, form_of
from services.commands.waiting import position
from services.local.keys import Keys
from services.queries import QueryResult, clinic
from services.queries.answer import Column, Position
from services.queries.clinic.chart import STREAM, banner, sealed_in, told
from services.queries.clinic.contents import name, opened
from services.queries.clinic.dispensing import with_open_alerts
from services.queries.clinic.finding import Found, Wanted, find_patients
from services.queries.clinic.roles import PART_OF
from shared.errors import LedgerError
from shared.keyreader import index_key, open_texts
from shared.readmodel import read

On = Annotated[str | None, typer.Option("--date", metavar="DATE", help="This day; else today, in UTC.")]
Clinician = Annotated[str | None, typer.Option("--clinician", metavar="NAME", help="Only of this clinician.")]

_SHOWN: Final = 50
"""Patients that a search shows at most."""

# -- one patient ------------------------------------------------------------------------------------------------------


@command
async def chart(
    operator: Operator, patient: Patient, purpose: Why = None, break_glass: BreakGlass = False, reason: Reason = None,
    kind: Annotated[
        str | None, typer.Option("--kind", metavar="KIND", help=f"Only entries of a kind: {', '.join(PART_OF)}.")
    ] = None,
    csv: Csv = False, at_least: AtLeast = None,
) -> int | None:  # fmt: skip
    """A patient's chart, as far as it is opened for your role, the newest on top. That you read it is recorded first.

    Examples:

    commons show chart ada --purpose treatment --as osei

    commons show chart ada --purpose emergency --break-glass --reason 'unconscious, no clinician here' --as rui
    """
    if purpose is None:
        raise Usage(f"Say what you read the chart for: --purpose {'|'.join(Purpose)}.")
    if kind is not None and kind not in PART_OF:
        raise Usage(f"--kind is one of {', '.join(PART_OF)}; {kind[:40]!r} is none.")

    async def ask(pool: asyncpg.Pool) -> Look:
        return await look(operator, pool, purpose=purpose, break_glass=break_glass, reason=reason)

    kinds = None if kind is None else [kind]
    return await _chart(operator, patient, ask, kinds, csv=csv, at_least=at_least)


@command
async def allergies(
    operator: Operator, patient: Patient, purpose: Why = Purpose.TREATMENT, break_glass: BreakGlass = False,
    reason: Reason = None, csv: Csv = False, at_least: AtLeast = None,
) -> int | None:  # fmt: skip
    """What is known of a patient's allergies. That nothing is recorded is not that there are none.

    Example: commons show allergies ada --as lind
    """

    async def ask(pool: asyncpg.Pool) -> Look:
        return await look(operator, pool, purpose=purpose, break_glass=break_glass, reason=reason)

    return await _chart(operator, patient, ask, ["allergy", "no_known_allergy"], csv=csv, at_least=at_least)


async def _chart(
    operator: Operator, patient: str, ask: Any, kinds: list[str] | None, *, csv: bool, at_least: str | None
) -> int:  # fmt: skip
    form = form_of(operator, csv)
    wanted = position(at_least, STREAM)
    async with operator.database() as pool:
        looked: Look = await ask(pool)
        open_kinds = [one for one in looked.sight.kinds() if kinds is None or one in kinds]
        if not open_kinds:
            raise NotOpened(
                f"This is not opened for {operator.who}, who acts as {looked.sight.told}. See what is opened for whom "
                "in docs/clinic-screens.md; in an emergency break the glass: --break-glass --reason TEXT.",
                actor=operator.who,
            )  # fmt: skip
        found = await readable(clinic.entries(pool, patient=patient, kinds=open_kinds, at_least=wanted))
        records = found.records()
        contact = "contact" in looked.sight.parts
        parts = {PART_OF[record["kind"]] for record in records} | ({"contact"} if contact and kinds is None else set())
        known = await whole_record(pool, patient)
        if kinds is not None:  # that nothing is recorded is told too; of a whole chart who it is always is
            parts = {PART_OF[one] for one in open_kinds}
        said, (texts, why) = await asyncio.gather(  # nothing is shown before both are done
            note(operator, looked, known, parts),
            texts_of(operator, "clinic", {text for record in records for text in sealed_in(record)}),
        )
    shown = told(found, texts, contact=contact)
    told_of_allergies = {"allergy", "no_known_allergy"} <= set(open_kinds)
    warning = banner(found, texts) if told_of_allergies else None
    if warning is not None:
        shown = replace(shown, message=warning)
    hidden = sorted({part for one, part in PART_OF.items() if part not in looked.sight.parts})
    if hidden and kinds is None:
        said = f"Not shown to {looked.sight.told}: {', '.join(hidden)}. {said}".strip()
    shown = add(shown, " ".join(filter(None, [why, said])))
    if form is Form.TABLE:  # what must not be overlooked is on top
        shown = replace(_for_people(shown), title=" ".join(filter(None, [shown.title, warning])))
    write(shown, form)
    return OK


def _for_people(found: QueryResult) -> QueryResult:
    """A chart as it fits into a window: days, and no ids but those of several patients; --json has it all."""
    several = len({record["patient"] for record in found.records()}) > 1
    found = without(found, {"id", "encounter", "recorded_at"} | (set() if several else {"patient"}))
    columns = (Column("day", "Day", "date"), *found.columns[1:])
    return replace(found, columns=columns, rows=[(row[0].date(), *row[1:]) for row in found.rows])


@command
async def patient(
    operator: Operator,
    who: Annotated[str, typer.Argument(metavar="NAME|ID", help="Names, or how their words begin; or the id.")] = "",
    born: Annotated[str | None, typer.Option("--born", metavar="DATE", help="Born on this day.")] = None,
    identifier: Annotated[
        str | None, typer.Option("--identifier", metavar="NUMBER", help="Known to others by this number.")
    ] = None,
    purpose: Why = None, csv: Csv = False, at_least: AtLeast = None,
) -> int | None:  # fmt: skip
    """Who is a patient: found by names, in any case, with or without accents, by birth date, or by a number.

    Examples:

    commons show patient 'byron ada' --as rui

    commons show patient --born 1985-12-10 --as rui
    """
    form, wanted = form_of(operator, csv), position(at_least, STREAM)
    if not (who.strip() or born or identifier):
        raise Usage("Say who is looked for: a NAME, --born DATE or --identifier NUMBER.")
    asked = Wanted(name=who[:200], born=day("--born", born), identifier=identifier)
    async with operator.database() as pool:
        looked = await look(operator, pool, purpose=purpose)
        must_open(operator, looked, "identity", what="Who patients are")
        await readable(clinic.practitioners(pool, at_least=wanted))
        found, why = await _find(operator, pool, asked, who.strip())
        shown = dict(sorted(found.patients.items(), key=lambda one: (name(one[1]), one[0]))[:_SHOWN])
        contact = "contact" in looked.sight.parts
        said = await note(operator, looked, shown, {"identity", *(("contact",) if contact else ())})
        reading = await read(pool, "clinic_patients", "SELECT * FROM patients WHERE patient = ANY($1)", list(shown))
    rows_of = {record["patient"]: record for record in reading.records}
    columns = (
        Column("patient", "Patient"), Column("name", "Name"), Column("born", "Born", "date"), Column("sex", "Sex"),
        Column("phone", "Phone"), Column("merged_into", "Goes on as"), Column("identifiers", "Numbers"),
        Column("died", "Died", "date"), Column("registered_at", "Registered", "moment"),
    )  # fmt: skip
    rows = [
        (
            id, name(one), one.born, str(one.sex), one.contact.phone if contact and one.contact else None,
            rows_of[id]["merged_into"], list(one.identifiers), one.died, rows_of[id]["registered_at"],
        )
        for id, one in shown.items() if id in rows_of
    ]  # fmt: skip
    more = "More are alike than are shown: say more." if found.more or len(found.patients) > _SHOWN else None
    empty = None if rows else "Nobody is found."
    as_of = (STREAM, reading.checkpoints["clinic_patients"][STREAM])
    answer = QueryResult("Patients", columns, rows, as_of, message=" ".join(filter(None, [empty, more, why])) or None)
    write(add(answer, said), form)
    return OK


async def _find(operator: Operator, pool: asyncpg.Pool, asked: Wanted, id: str) -> tuple[Found, str]:
    """Who is meant by names, or by the id; and what stood in the way of finding more."""
    masters = Keys(operator.folder / "keys").masters()
    if masters is None:
        return Found(), "Names are not searched: there is no master key here, nor COMMONS_MASTER_KEY_FILE."
    try:
        async with operator.nats() as nc:
            key = await index_key(nc, "clinic", masters)
            found = await find_patients(pool, key, lambda texts: open_texts(nc, "clinic", masters, texts), asked)
    except (LedgerError, Unreachable, nats.errors.Error, OSError, TimeoutError) as error:
        return Found(), f"Names are not searched: {getattr(error, 'detail', None) or error}"
    if found.patients or not id:
        return found, ""
    return await _by_id(operator, pool, id), ""


async def _by_id(operator: Operator, pool: asyncpg.Pool, id: str) -> Found:
    result = await clinic.entries(pool, patient=id, kinds=["patient"])
    mine = {record["patient"]: record["content"] for record in result.records() if record["patient"] == id}
    texts, _ = await texts_of(operator, "clinic", mine.values())
    found = {patient: opened("patient", texts[text]) for patient, text in mine.items()}
    return Found({patient: who for patient, who in found.items() if isinstance(who, Demographics)})


# -- the day ----------------------------------------------------------------------------------------------------------


@command
async def board(
    operator: Operator, date: On = None, clinician: Clinician = None, open_: Open = False, purpose: Why = None,
    csv: Csv = False, at_least: AtLeast = None,
) -> int | None:  # fmt: skip
    """Who is expected, late, waiting, being seen, and gone today; with --open their names and what they come for.

    Example: commons show board --open --as rui
    """
    on = day("--date", date)
    return await show_clinic(
        operator, lambda pool, at: clinic.board(pool, day=on, clinician=clinician, at_least=at), csv=csv,
        at_least=at_least, open_=open_, purpose=purpose,
    )  # fmt: skip


@command
async def no_shows(
    operator: Operator, first: First = None, last: Last = None, open_: Open = False, purpose: Why = None,
    csv: Csv = False, at_least: AtLeast = None,
) -> int | None:  # fmt: skip
    """Who did not come to an appointment at the clinic, how often in all, and when they are expected next.

    Example: commons show no-shows --from 2026-11-01
    """
    start, end = day("--from", first), day("--to", last)
    return await show_clinic(
        operator, lambda pool, at: clinic.no_shows(pool, first=start, last=end, at_least=at), csv=csv,
        at_least=at_least, open_=open_, purpose=purpose,
    )  # fmt: skip


@command
async def follow_ups(
    operator: Operator,
    due: Annotated[str | None, typer.Option("--due", metavar="DATE", help="Only those due by this day.")] = None,
    open_: Open = False, purpose: Why = None, csv: Csv = False, at_least: AtLeast = None,
) -> int | None:  # fmt: skip
    """Whom to look at again, and which referrals to ask about, those due first on top.

    Example: commons show follow-ups --due 2026-12-01
    """
    until = day("--due", due)
    return await show_clinic(
        operator, lambda pool, at: clinic.follow_ups(pool, until=until, at_least=at), csv=csv, at_least=at_least,
        open_=open_, purpose=purpose,
    )  # fmt: skip


@command
async def unsigned(
    operator: Operator,
    author: Annotated[str | None, typer.Option("--author", metavar="NAME", help="Only of this author.")] = None,
    open_: Open = False, purpose: Why = None, csv: Csv = False, at_least: AtLeast = None,
) -> int | None:  # fmt: skip
    """Notes that wait for their author's signature, or for attestation by somebody with a licence.

    Example: commons show unsigned --author tam
    """
    return await show_clinic(
        operator, lambda pool, at: clinic.unsigned(pool, author=author, at_least=at), csv=csv, at_least=at_least,
        open_=open_, purpose=purpose,
    )  # fmt: skip


# -- medicines --------------------------------------------------------------------------------------------------------


@command
async def dispensing(
    operator: Operator, all_: All = False, open_: Open = False, purpose: Why = None, csv: Csv = False,
    at_least: AtLeast = None,
) -> int | None:  # fmt: skip
    """Medicines on their way to patients, where each stands, and what it waits for; with --open its open alerts too.

    Example: commons show dispensing --open --as lind
    """
    return await show_clinic(
        operator, lambda pool, at: clinic.queue(pool, ended=all_, at_least=at), csv=csv, at_least=at_least,
        open_=open_, purpose=purpose or Purpose.TREATMENT, then=with_open_alerts,
    )  # fmt: skip


@command
async def stock_used(
    operator: Operator, first: First = None, last: Last = None,
    item: Annotated[str | None, typer.Option("--item", metavar="ITEM", help="Only this item, by its id.")] = None,
    csv: Csv = False, at_least: AtLeast = None,
) -> int | None:  # fmt: skip
    """How much of each item went to patients, by day: dispensed, administered, injected.

    Example: commons show stock-used --from 2026-11-01 --csv
    """
    start, end = day("--from", first), day("--to", last)
    return await show_clinic(
        operator, lambda pool, at: clinic.stock_used(pool, first=start, last=end, item=item, at_least=at), csv=csv,
        at_least=at_least,
    )  # fmt: skip


@command
async def recall_patients(
    operator: Operator, recall: Annotated[str, typer.Argument(metavar="RECALL", help="The recall.")],
    open_: Open = False, purpose: Why = None, csv: Csv = False, at_least: AtLeast = None,
) -> int | None:  # fmt: skip
    """The patients who got a recalled lot, dispensed, administered or as a vaccine; with --open how to reach them.

    Example: commons show recall-patients F-1234-2026 --open --as osei
    """
    return await show_clinic(
        operator, lambda pool, at: clinic.recall_patients(pool, recall=recall, at_least=at), csv=csv,
        at_least=at_least, open_=open_, purpose=purpose or Purpose.TREATMENT,
    )  # fmt: skip


# -- who sees what ----------------------------------------------------------------------------------------------------


@command
async def access(
    operator: Operator, patient: Patient, open_: Open = False, purpose: Why = None, csv: Csv = False,
    at_least: AtLeast = None,
) -> int | None:  # fmt: skip
    """Who saw a patient's record: when, in which role, what for, and which parts of it. That you asked is recorded too.

    Example: commons show access ada --purpose patient_request --as rui
    """
    return await show_clinic(
        operator, lambda pool, at: clinic.access_log(pool, patient=patient, at_least=at), csv=csv, at_least=at_least,
        open_=open_, purpose=purpose, of=patient, parts=("access_log",), what="Who saw a record",
    )  # fmt: skip


@command
async def disclosures(
    operator: Operator, patient: Patient, open_: Open = False, purpose: Why = None, csv: Csv = False,
    at_least: AtLeast = None,
) -> int | None:  # fmt: skip
    """To whom something of a patient's record was given, and when; with --open what, and on which ground.

    Example: commons show disclosures ada --open --purpose patient_request --as osei
    """
    return await show_clinic(
        operator, lambda pool, at: clinic.disclosures(pool, patient=patient, at_least=at), csv=csv, at_least=at_least,
        open_=open_, purpose=purpose, of=patient, parts=("disclosures", "access_log"),
        what="To whom something of a record was given",
    )  # fmt: skip


@command
async def break_glass(
    operator: Operator, all_: All = False, open_: Open = False, csv: Csv = False, at_least: AtLeast = None
) -> int | None:
    """Where somebody was shown more than their role is, until another has looked into it; with --all, after it too.

    Example: commons show break-glass --open --as auditor
    """
    return await show_clinic(
        operator, lambda pool, at: clinic.break_glass(pool, reviewed=all_, at_least=at), csv=csv, at_least=at_least,
        open_=open_, parts=("broken_glass",), what="Who broke a glass",
    )  # fmt: skip


@command
async def practitioners(operator: Operator, csv: Csv = False, at_least: AtLeast = None) -> int | None:
    """Who works at the clinic, in which roles, and whether their licence is valid today; for whoever works there. Who
    does not any more stands last.

    Example: commons show practitioners --as rui
    """

    async def ask(pool: asyncpg.Pool, at: Position | None) -> QueryResult:
        found = await clinic.practitioners(pool, at_least=at)
        if found.rows:  # as long as nobody works here, whoever adds the first may see that
            await look(operator, pool, purpose=None)
        return found

    return await show_clinic(operator, ask, csv=csv, at_least=at_least)


COMMANDS: dict[str, Any] = {
    "board": board, "chart": chart, "patient": patient, "allergies": allergies, "dispensing": dispensing,
    "unsigned": unsigned, "follow-ups": follow_ups, "no-shows": no_shows, "stock-used": stock_used,
    "recall-patients": recall_patients, "access": access, "disclosures": disclosures, "break-glass": break_glass,
    "practitioners": practitioners,
}  # fmt: skip
