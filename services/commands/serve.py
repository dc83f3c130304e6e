"""`commons serve`: a household is served at the table, in one scan of its card."""

from __future__ import annotations

import asyncio
import re
import shlex
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final

import asyncpg
import typer
from rich.text import Text

from services.commands.answers import text_of
from services.commands.common import Operator, command
from services.commands.door import Usage
from services.commands.opening import opened
from services.commands.render import console, emit
from services.commands.send import print_reply, reply_as_json
from services.commands.show_table import check_in_told
from services.distribution.contract import AgeBand, distribution
from services.queries import QueryResult
from services.queries import distribution as questions
from services.queries.distribution.serving import Serving, servings
from shared.clock import utc_now
from shared.errors import Invalid, LedgerError, OutcomeUnknown
from shared.message import Refused

_VISIT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,45}")
_BANDS: Final = tuple(str(band) for band in AgeBand)
_ANSWERS: Final[Mapping[str, str]] = {
    "UNUSUAL": "--confirm-unusual gives it all the same.",
    "LIMIT_REACHED": '--override-reason "why" serves it all the same.',
    "NOT_ELIGIBLE": '--override-reason "why" serves it all the same.',
    "WARNING_NOT_SEEN": "--seen-warnings gives it all the same, once it was seen to; --lines gives something else.",
    "NO_BUNDLE": "--lines ITEM=QUANTITY says what is given.",
    "PEOPLE_NEEDED": "--people adult=2,child=1 says for how many.",
    "SESSION_NOT_OPEN": "`commons send distribution OpenSession` opens it.",
    "WRONG_RECIPIENT": "Without --proxy it is the household itself that collects.",
}
"""Which option answers a refusal of a visit."""

_BOX_ANSWERS: Final[Mapping[str, str]] = {
    "WRONG_RECIPIENT": "Without --proxy it is the household itself that collects.",
    "RECALLED": "Nothing answers this at the table: unpack the box, and set aside what is recalled.",
}
"""The same, where a box was to be handed out."""

_SHOWN: Final = (
    "household", "name", "size", "session", "served", "avoids", "warnings", "proxies", "order_id", "state",
)  # fmt: skip
"""What of a check-in is shown to who serves."""

_HANDED: Final = ("box", "collected_by", "fact", "occurred_at")


class OrderWaits(LedgerError):
    """The household has an order for the session that is not packed yet."""

    status = 409
    code = "ORDER_WAITS"


@dataclass(frozen=True, slots=True)
class Given:
    """What was typed of a visit."""

    who: str | None
    session: str | None
    visit: str | None
    lines: Sequence[str]
    people: str | None
    proxy: str | None
    seen_warnings: bool
    override_reason: str | None
    confirm_unusual: bool
    fact: bool
    occurred_at: str | None

    def again(self, household: str | None, session: str, visit: str) -> str:
        """The command line that repeats a visit without serving twice."""
        parts = ["commons", "serve", household if household is not None else "--anonymous", "--session", session]
        parts += ["--visit", visit]
        for option, value in (
            ("--people", self.people), ("--proxy", self.proxy), ("--override-reason", self.override_reason),
            ("--occurred-at", self.occurred_at), *(("--lines", line) for line in self.lines),
        ):  # fmt: skip
            parts += [option, value] if value is not None else []
        parts += ["--seen-warnings"] if self.seen_warnings else []
        parts += ["--confirm-unusual"] if self.confirm_unusual else []
        parts += ["--fact"] if self.fact else []
        return shlex.join(parts)


@command
async def serve(
    operator: Operator,
    who: Annotated[
        str | None, typer.Argument(metavar="[CARD|HOUSEHOLD]", help="A card's code, or a household's id.")
    ] = None,
    anonymous: Annotated[
        bool, typer.Option("--anonymous", help="Somebody who gives no name; --people says how many.")
    ] = False,
    lines: Annotated[
        list[str] | None,
        typer.Option("--lines", metavar="ITEM=QUANTITY", help="What is given, if not the standard box; repeat it."),
    ] = None,
    people: Annotated[
        str | None,
        typer.Option("--people", metavar="BAND=N,…", help="For how many, as adult=2,child=1; else the household's."),
    ] = None,
    proxy: Annotated[str | None, typer.Option("--proxy", metavar="PROXY", help="Who collects for it.")] = None,
    seen_warnings: Annotated[
        bool, typer.Option("--seen-warnings", help="The warnings about allergens and recalls were seen.")
    ] = False,
    override_reason: Annotated[
        str | None, typer.Option("--override-reason", metavar="WHY", help="Why it is served all the same.")
    ] = None,
    confirm_unusual: Annotated[
        bool, typer.Option("--confirm-unusual", help="So much, or for so many, is meant.")
    ] = False,
    session: Annotated[
        str | None, typer.Option("--session", metavar="SESSION", help="The session; else the one that is open.")
    ] = None,
    visit: Annotated[
        str | None,
        typer.Option("--visit", metavar="ID", help="The visit's id: the same one again is recorded once only."),
    ] = None,
    fact: Annotated[bool, typer.Option("--fact", help="It has happened, and is recorded whatever it broke.")] = False,
    occurred_at: Annotated[
        str | None, typer.Option("--occurred-at", metavar="MOMENT", help="When it happened, as 2026-11-20T09:30:00Z.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show who it is and what would be sent.")] = False,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=0.1, max=3600, help="How long to wait for an answer.")
    ] = 10.0,
) -> int | None:
    """Serve a household at the table, in one scan: shows who it is and what it avoids, and records the visit.

    If a box of its order waits in the session, that is handed out instead. Without --lines it is the standard box.

    Examples:

    commons serve K-0002

    commons serve K-0002 --lines rice=2 --lines lentils=1 --seen-warnings

    commons serve --anonymous --people adult=1,child=2
    """
    if (who is None) is not anonymous:
        raise Usage("Say who is served: a card or a household, or --anonymous for somebody who gives no name.")
    if visit is not None and not _VISIT.fullmatch(visit):
        raise Usage(f"--visit takes 1 to 46 letters, digits, hyphens and underscores; {visit[:60]!r} is not that.")
    given = Given(
        who, session, visit, lines or (), people, proxy, seen_warnings, override_reason, confirm_unusual, fact,
        occurred_at,
    )  # fmt: skip
    at = _moment(occurred_at)
    typed = _typed(given)
    async with operator.database() as pool:
        at_table = _one_session(await servings(pool, session=session, at=at), session)
        seen = None if who is None else await _seen(operator, pool, who, at_table, at)
    household = None if seen is None else str(seen.record(seen.rows[0])["household"])
    if seen is not None and not operator.as_json:
        _show(seen)
    name, data, id, again = _command(given, typed, at_table, seen, household)
    distribution.parse(name, data)
    if dry_run:
        return _dry(operator, seen, name, data)
    await _send(operator, name, data, id, again, seen, patience=timeout)
    return None


# -- what is typed ----------------------------------------------------------------------------------------------------


def _moment(text: str | None) -> datetime:
    if text is None:
        return utc_now()
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise Usage(f"--occurred-at takes a moment with its zone, as 2026-11-20T09:30:00Z; {text[:40]!r} is none.")
    return found


def _typed(given: Given) -> dict[str, Any]:
    """The fields of RecordVisit that were typed."""
    typed: dict[str, Any] = {
        "collected_by": given.proxy, "override_reason": given.override_reason, "occurred_at": given.occurred_at,
        "seen_warnings": given.seen_warnings or None, "fact": given.fact or None,
        "confirm_unusual": given.confirm_unusual or None,
        "lines": [_line(text) for text in given.lines] or None,
        "people": None if given.people is None else _people(given.people),
    }  # fmt: skip
    return {name: value for name, value in typed.items() if value is not None}


def _line(text: str) -> dict[str, Any]:
    item, equals, quantity = text.partition("=")
    if not equals or not item.strip() or not re.fullmatch(r"\d{1,15}", quantity.strip(), re.ASCII):
        raise Usage(f"--lines takes an item and how much of it, as rice=2; {text[:60]!r} is not that.")
    return {"item": item.strip(), "quantity": int(quantity)}


def _people(text: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for part in text.split(","):
        band, equals, count = part.partition("=")
        if not equals or band.strip() not in _BANDS or not re.fullmatch(r"\d{1,4}", count.strip(), re.ASCII):
            raise Usage(f"--people takes ages and numbers, as adult=2,child=1 ({', '.join(_BANDS)}); {part[:40]!r} is "
                        "not that.")  # fmt: skip
        found[band.strip()] = found.get(band.strip(), 0) + int(count)
    return found


# -- who, and where ---------------------------------------------------------------------------------------------------


def _one_session(found: Sequence[Serving], session: str | None) -> Serving:
    if not found:
        raise Invalid(
            "No session is open. Open it with `commons send distribution OpenSession --session ID`; what was served "
            "while none was is recorded with --session and --fact."
        )
    if len(found) > 1:
        raise Invalid(f"Several sessions are open: {', '.join(one.session for one in found)}. Say which, --session.")
    return found[0]


async def _seen(operator: Operator, pool: asyncpg.Pool, who: str, at_table: Serving, at: datetime) -> QueryResult:
    """The check-in of the one household that is meant, with what is sealed opened."""
    found = await questions.check_in(pool, who=who, session=at_table.session, now=at)
    if not found.rows:
        raise Invalid(
            f"No household has the card or id {who[:60]!r}. `commons show check-in NAME` finds one by name; a new one "
            "is registered with `commons send distribution RegisterHousehold`."
        )  # fmt: skip
    if len(found.rows) > 1:
        ids = " and ".join(str(record["household"]) for record in found.records())
        raise Invalid(f"Card {who[:60]!r} is on {ids}. Serve the one that came by its id, and give it another card.")
    return check_in_told(await opened(operator, found))


def _command(
    given: Given, typed: dict[str, Any], at_table: Serving, seen: QueryResult | None, household: str | None
) -> tuple[str, dict[str, Any], str, str]:
    """The command to send, its data and id, and the command line that asks for its outcome again.

    With --visit it is that visit, and no box is looked for: who repeats a visit must not hand a box out instead.
    """
    state = {} if seen is None else seen.record(seen.rows[0])
    if given.visit is None and state.get("state") == "packed":
        if set(typed) - set(_HANDED):
            raise Usage(
                f"Box {state['box']} of order {state['order_id']} waits for {household}. Leave "
                f"{' and '.join(sorted('--' + name.replace('_', '-') for name in set(typed) - set(_HANDED)))} out to "
                "hand it out; with --visit and a new id goods are given beside it."
            )  # fmt: skip
        data = {"box": state["box"]} | {name: typed[name] for name in _HANDED if name in typed}
        id = str(uuid.uuid4())
        parts = ["commons", "send", "distribution", "HandOutBox", "--box", str(state["box"]), "--id", id]
        for option, name in (("--collected-by", "collected_by"), ("--occurred-at", "occurred_at")):
            parts += [option, data[name]] if name in data else []
        return "HandOutBox", data, id, shlex.join([*parts, *(["--fact"] if "fact" in data else [])])
    if given.visit is None and not given.fact and state.get("state") in ("to confirm", "to pack"):
        first = "Confirm it with ConfirmOrder, pack" if state["state"] == "to confirm" else "Pack"
        raise OrderWaits(
            f"Household {household} has order {state['order_id']} for {at_table.session}, which is "
            f"{state['state']}. {first} it with PackBox (with --lines where nothing is set aside) and scan again; or "
            "cancel it with CancelOrder, and serve. With --visit and a new id it is served beside its order.",
            household=household, order=state["order_id"],
        )  # fmt: skip
    visit = given.visit or str(uuid.uuid4())
    data = {"visit": visit, "programme": at_table.programme, "period": at_table.period, "session": at_table.session}
    if household is not None:
        data["household"] = household
    again = given.again(household, at_table.session, visit)
    return "RecordVisit", data | typed, f"serve:{visit}", again


# -- what is shown, and sent ------------------------------------------------------------------------------------------


def _show(seen: QueryResult) -> None:
    out = console()
    record = seen.record(seen.rows[0])
    limit = "" if record["allowed"] is None else f" of {record['allowed']}"
    told = {column.name: (column.title, text_of(column, record[column.name])) for column in seen.columns}
    told["served"] = ("Served", f"{record['used']}{limit} in {record['period']}")
    for title, text in (told[name] for name in _SHOWN):
        if text:
            style = "bold yellow" if title in ("Avoids", "Look") else ""
            out.print(Text.assemble((f"  {title:<12} ", "dim"), (text, style)), soft_wrap=True)
    if seen.message:
        out.print(Text(seen.message, style="dim"), soft_wrap=True)
    if record["state"] == "packed":
        out.print(Text(f"Box {record['box']} of order {record['order_id']} waits for it.", style="bold"))


def _dry(operator: Operator, seen: QueryResult | None, name: str, data: dict[str, Any]) -> int | None:
    if operator.as_json:
        emit({"check_in": None if seen is None else seen.record(seen.rows[0]), "command": name, "data": data})
        return None
    said = " ".join(f"{field}={value}" for field, value in data.items())
    console().print(Text(f"Would send {name} {said}; nothing was sent."), soft_wrap=True)
    return None


async def _send(
    operator: Operator, name: str, data: dict[str, Any], id: str, again: str, seen: QueryResult | None, *,
    patience: float,
) -> None:  # fmt: skip
    """Send it and print the answer; who is left without one is told how to ask again."""
    try:
        async with operator.nats() as nc:
            reply = await operator.client(nc, patience=patience).send("distribution", name, data, id=id)
    except OutcomeUnknown as error:
        raise OutcomeUnknown(
            "No answer came, and it may have been recorded. Do not scan again: this command asks for the same one, and "
            f"serves nobody twice:\n  {again}",
            again=again,
        ) from error  # fmt: skip
    except asyncio.CancelledError:
        sys.stderr.write(f"Interrupted before the answer came. To learn it without serving twice:\n  {again}\n")
        raise
    except Refused as error:
        raise _answered(error, _ANSWERS if name == "RecordVisit" else _BOX_ANSWERS) from error
    if operator.as_json:
        answer = reply_as_json(reply)
        emit({"check_in": None if seen is None else seen.record(seen.rows[0]), "command": name, "data": data} | answer)
    else:
        print_reply(reply)


def _answered(error: Refused, answers: Mapping[str, str]) -> Refused:
    """A refusal, with the option that answers it."""
    hint = answers.get(str(error.code))
    return error if hint is None else Refused({**error.problem(), "detail": f"{error.detail} {hint}"})


def register(app: typer.Typer) -> None:
    app.command("serve")(serve)
