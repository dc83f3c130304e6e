"""`commons actors`: tokens by which people show who they are, and what such a token says."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from services.commands.common import ISSUER_KEY, TOKEN_FILE, Operator, command
from services.commands.contracts import CONTRACTS
from services.commands.door import OK, REFUSED, Usage, new_group
from services.commands.durations import duration
from services.commands.render import clean, console, emit, moment
from shared.actorkeys import read_public
from shared.actortoken import MAX_BYTES, Signer, Unauthenticated, unverified, verified
from shared.masterkeys import replace_file

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

    Example: commons actors token ada --for 8h --service inventory --out ada.token
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
    group = new_group("Who acts: tokens by which people show who they are.")
    for function in (token, show):
        group.command(function.__name__)(function)
    app.add_typer(group, name="actors")
