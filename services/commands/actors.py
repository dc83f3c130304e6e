"""`commons actors`: tokens by which people show who they are, and the roles that they are granted."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from nats.aio.client import Client

from services.commands.common import ISSUER_KEY, TOKEN_FILE, Operator, command, roles_of
from services.commands.contracts import CONTRACTS
from services.commands.door import OK, REFUSED, Usage, exit_code, new_group, report
from services.commands.durations import duration
from services.commands.render import clean, console, emit, moment
from services.commands.send import reply_as_json
from services.commands.tables import print_table
from shared.actorkeys import read_public
from shared.actortoken import MAX_BYTES, Signer, Unauthenticated, unverified, verified
from shared.authority import ALL, Grants, evolve
from shared.errors import LedgerError, OutcomeUnknown, as_problem
from shared.event import Recorded
from shared.masterkeys import replace_file
from shared.store import EventStore

_STDIN: Final = "-"


@command
async def token(
    operator: Operator,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who is to act with it.", show_default=False)],
    roles: Annotated[
        str | None, typer.Option("--roles", metavar="ROLE,…", help="In which roles they may; in none if left out.")
    ] = None,
    lasts: Annotated[str, typer.Option("--for", metavar="TIME", help="How long it counts, 7d at the most.")] = "8h",
    services: Annotated[
        list[str] | None, typer.Option("--service", metavar="SERVICE", help="For which service; all if left out.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="A file for it, for its owner alone, rather than here.")
    ] = None,
) -> int | None:
    """Make a token by which NAME shows services who they are. Whoever has it acts as NAME: hand it over with care.

    It is signed with the issuer's key, which COMMONS_ACTOR_ISSUER_KEY names; `commons up` has one in its folder. NAME
    puts it into a file and names that in COMMONS_ACTOR_TOKEN_FILE; `commons` shows it then with every command.

    Example: commons actors token ada --roles steward --for 8h --service inventory --out ada.token
    """
    unknown = [one for one in services or () if one not in CONTRACTS]
    if unknown:
        raise Usage(f"There is no service {unknown[0][:60]!r}. There are: {', '.join(CONTRACTS)}.")
    if not operator.issuer_key.exists():
        raise Usage(
            f"The issuer's key is not at hand: there is no {operator.issuer_key}. Name its file in {ISSUER_KEY}, or "
            "the folder of `commons up` with --data."
        )
    signer = Signer.from_file(operator.issuer_key, operator.chapter)
    wanted = [one for one in (roles or "").split(",") if one]
    made = signer.token(
        name, services or CONTRACTS, roles=wanted, seconds=int(duration("--for", lasts).total_seconds())
    )
    if out is None:
        typer.echo(made)
        return OK
    try:
        replace_file(out, f"{made}\n".encode())
    except OSError as error:
        raise Usage(f"{out} cannot be written: {error.strerror}.") from error
    if operator.as_json:
        emit({"file": str(out)} | _told(made))
    else:
        console().print(f"Written to {clean(str(out))}: {name}, until {moment(_told(made)['exp'])}.", markup=False)
    return OK


@command
async def show(
    operator: Operator,
    file: Annotated[
        str | None, typer.Argument(metavar="[FILE]", help="The file of a token, or - for stdin.", show_default=False)
    ] = None,
) -> int | None:
    """Say what a token says, and whether services take it now. Without FILE it is that of COMMONS_ACTOR_TOKEN_FILE.

    The token itself is not an argument, as arguments can be seen by others. Exits with 1 when no service takes it.

    Example: commons actors show ada.token
    """
    named = file or os.environ.get(TOKEN_FILE)
    if named is None:
        raise Usage(f"Which token? Name its file, or - to give it on stdin, or set {TOKEN_FILE}.")
    text = _text(named)
    told = _told(text)
    why = ""
    try:
        path = operator.public_actors
        if path.exists():
            verified(text, read_public(path), chapter=operator.chapter, service=None, now=time.time())
        else:
            why = f"the public keys are not at hand: there is no {path} (COMMONS_ACTOR_KEYS)"
    except Unauthenticated as error:
        why = error.detail.removesuffix(" Nothing was recorded.")
    if operator.as_json:
        emit(told | {"verified": not why, "why_not": why or None})
        return REFUSED if why else OK
    console().print(
        f"{told['authtype']} {clean(told['sub'])} of {told['iss']}\n"
        f"  towards      {', '.join(told['aud'])}\n"
        f"  in roles     {', '.join(told['roles']) or 'none'}\n"
        f"  from, until  {moment(told['iat'])}, {moment(told['exp'])}\n"
        f"  signed by    {clean(told['kid'])}\n"
        f"  {'Services take it.' if not why else f'Not taken: {clean(why)}'}",
        markup=False, soft_wrap=True,
    )  # fmt: skip
    return REFUSED if why else OK


@command
async def grant(
    operator: Operator,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who is to act in them; * for everybody.")],
    roles: Annotated[list[str], typer.Argument(metavar="ROLE…", help="In which roles.", show_default=False)],
    services: Annotated[
        list[str] | None, typer.Option("--service", metavar="SERVICE", help="Of which service; all if left out.")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option("--until", metavar="MOMENT", help="Until when, in UTC; for good if left out.")
    ] = None,
    reason: Annotated[str | None, typer.Option("--reason", help="Why, in clear and for good.")] = None,
) -> int | None:
    """Give somebody roles, at once. An administrator does, and nobody to themselves.

    While a service has no administrator, whoever holds a token with that role names the first.

    Example: commons actors grant ada steward volunteer --service inventory --as noor
    """
    ends = None if until is None else until.replace(tzinfo=until.tzinfo or UTC).isoformat()
    data = {"actor": name, "until": ends, "reason": reason}
    return await _change(operator, "GrantRole", services, roles, data)


@command
async def revoke(
    operator: Operator,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who acts in them no more; * for everybody.")],
    roles: Annotated[list[str], typer.Argument(metavar="ROLE…", help="In which roles.", show_default=False)],
    services: Annotated[
        list[str] | None, typer.Option("--service", metavar="SERVICE", help="Of which service; all if left out.")
    ] = None,
    reason: Annotated[str | None, typer.Option("--reason", help="Why, in clear and for good.")] = None,
) -> int | None:
    """Take roles from somebody, at once. The last administrator stays one.

    Example: commons actors revoke ada steward --service inventory --as noor
    """
    return await _change(operator, "RevokeRole", services, roles, {"actor": name, "reason": reason})


async def _change(
    operator: Operator, name: str, services: list[str] | None, roles: list[str], data: dict[str, Any]
) -> int | None:
    """Send a command for each role, to each service that knows it. One that is refused holds up no other."""
    wanted = [(service, role) for service in _granting(services) for role in roles if role in roles_of(service)]
    unknown = sorted(set(roles) - {role for _, role in wanted})
    if unknown:
        known = sorted({role for service in _granting(services) for role in roles_of(service)})
        raise Usage(f"There is no role {unknown[0][:40]!r} here. There are: {', '.join(known)}.")
    told, code = [], OK
    async with operator.nats() as nc:
        client = operator.client(nc)
        for service, role in wanted:
            fields = {key: value for key, value in {**data, "role": role}.items() if value is not None}
            refusal: LedgerError | None = None
            try:
                answer = reply_as_json(await client.send(service, name, fields))
            except LedgerError as error:
                refusal, code = error, max(code, exit_code(error))
                answer = {"status": "unknown" if isinstance(error, OutcomeUnknown) else "refused",
                          "problem": as_problem(error)}  # fmt: skip
            told.append({"service": service, "role": role, **answer})
            if not operator.as_json:
                console().print(f"{service}: {clean(str(data['actor']))}, {role}: {answer['status']}", markup=False)
                if refusal is not None:
                    report(refusal, as_json=False)
    if operator.as_json:
        emit(told)
    return code


@command
async def list_(
    operator: Operator,
    services: Annotated[
        list[str] | None, typer.Option("--service", metavar="SERVICE", help="Of which service; all if left out.")
    ] = None,
) -> int | None:
    """Who may act in which role, since when and until when, and by which grant: as events name it in `mandate`.

    The clinic's people and their roles are in its roster.

    Example: commons actors list --service treasury
    """
    rows = []
    async with operator.nats() as nc:
        for service in _granting(services):
            rows += await _grants(nc, service)
    if operator.as_json:
        emit(rows)
        return OK
    shown = [
        [one["service"], one["actor"], one["role"], moment(one["since"]),
         moment(one["until"]) if one["until"] else "", one["grant"], one["granted_by"]]
        for one in rows
    ]  # fmt: skip
    columns = ["service", "who", "role", "since", "until", "grant", "granted by"]
    print_table(columns, shown, title="Who acts in which role", empty="Nobody is granted a role yet.")
    return OK


async def _grants(nc: Client, service: str) -> list[dict[str, Any]]:
    """The grants of a service that stand, or stood until a moment, out of its stream."""
    store, grants = EventStore(nc, CONTRACTS[service]), Grants()
    made: dict[int, Recorded] = {}
    events, left = await store.page(ALL)
    while events:
        for event in events:
            grants = evolve(grants, event.data)
            made[grants.count] = event
        events, left = await store.page(ALL, after=events[-1].sequence) if left else ([], 0)
    return [
        {
            "service": service, "actor": actor, "role": role, "since": made[held.number].envelope.time,
            "until": None if held.until is None else held.until.isoformat(), "grant": f"{role}#{held.number}",
            "granted_by": held.by, "reason": made[held.number].data.reason,
        }
        for actor, roles in sorted(grants.held.items()) for role, held in sorted(roles.items())
    ]  # fmt: skip


def _granting(services: list[str] | None) -> list[str]:
    """The services with grants, of those that were named. Raises Usage when one of those has none."""
    found = [name for name in CONTRACTS if "GrantRole" in CONTRACTS[name].commands]
    wrong = [name for name in services or () if name not in found]
    if wrong:
        raise Usage(f"{wrong[0][:40]} has no grants; {', '.join(found)} have. The clinic's people are in its roster.")
    return services or found


def _text(named: str) -> str:
    try:
        if named == _STDIN:
            raw = sys.stdin.buffer.read(MAX_BYTES + 2)
        else:
            with Path(named).open("rb") as file:
                raw = file.read(MAX_BYTES + 2)
    except OSError as error:
        raise Usage(f"{named} cannot be read: {error.strerror}.") from error
    return raw.decode("ascii", "replace").strip()


def _told(token: str) -> dict[str, Any]:
    """What a token says, verified or not. Raises Unauthenticated when it is none."""
    kid, claims = unverified(token)
    times = {"iat": claims.iat, "exp": claims.exp}
    for name, seconds in times.items():
        with suppress(ValueError, OverflowError, OSError):
            times[name] = datetime.fromtimestamp(seconds, UTC).isoformat()  # type: ignore[assignment]
    return {
        "iss": claims.iss, "sub": claims.sub, "authtype": claims.authtype, "aud": claims.aud, "roles": claims.roles,
        "jti": claims.jti, "kid": kid, **times,
    }  # fmt: skip


def register(app: typer.Typer) -> None:
    group = new_group("Who acts: tokens by which people show who they are, and the roles that they are granted.")
    for function in (token, show, grant, revoke, list_):
        group.command(function.__name__.rstrip("_"))(function)
    app.add_typer(group, name="actors")
