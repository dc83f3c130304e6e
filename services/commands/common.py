"""What every command of `commons` shares: its options, who acts, and where the servers are."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import getpass
import inspect
import json
import os
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_type_hints

import asyncpg
import typer
import uvloop
from nats.aio.client import Client

from services.commands.contracts import CONTRACTS
from services.commands.door import Unreachable, Usage
from services.local.keys import ACTOR_KEYS, Keys
from shared.actors import Held, Signed, Tokens
from shared.actortoken import Signer
from shared.client import CommandClient
from shared.connection import connect
from shared.database import open_pool
from shared.errors import Misconfigured
from shared.garbage import collect_seldom

PANEL: Final = "Common options"
DESCRIPTION: Final = "commons.json"
"""The file in the data folder by which `commons up` says where everything listens."""

TOKEN_FILE: Final = "COMMONS_ACTOR_TOKEN_FILE"  # noqa: S105 - where it is, and not what it is
ISSUER_KEY: Final = "COMMONS_ACTOR_ISSUER_KEY"

_CONNECT_SECONDS: Final = 5.0
_NATS_URL = re.compile(r"(nats|tls)://\S+")
_DATABASE_URL = re.compile(r"postgres(ql)?://\S*")
_NAME = re.compile(r"[^\x00-\x20\x7f-\x9f]{1,128}")
_LINE = re.compile(r"[^\x00-\x1f\x7f-\x9f]{1,256}")

Work = Callable[..., Coroutine[Any, Any, int | None]]


def _option(*names: str, help: str, metavar: str | None = None, envvar: str | None = None) -> Any:  # noqa: A002
    return typer.Option(*names, help=help, metavar=metavar, envvar=envvar, rich_help_panel=PANEL, show_default=False)


@dataclass(frozen=True)
class Operator:
    """Who runs a command, and on which servers; the fields are the options that every command takes."""

    nats_url: Annotated[
        str | None, _option("--nats-url", envvar="NATS_URL", metavar="URL", help="The NATS server.")
    ] = None
    database_url: Annotated[
        str | None, _option("--database-url", envvar="DATABASE_URL", metavar="URL", help="The PostgreSQL database.")
    ] = None
    data: Annotated[
        Path | None,
        _option(
            "--data",
            envvar="COMMONS_DATA",
            metavar="DIR",
            help="The folder of a running `commons up`, which says where its servers are; ./data. URLs win over it.",
        ),
    ] = None
    as_json: Annotated[bool, _option("--json", help="Answer in JSON, refusals too.")] = False
    acting: Annotated[
        str | None, _option("--as", metavar="ACTOR", help="Who acts; whose token it is, or your login name.")
    ] = None
    mandate: Annotated[str | None, _option("--mandate", metavar="GRANT", help="The grant under which ACTOR acts.")] = (
        None
    )

    def __post_init__(self) -> None:
        _check("--nats-url", self.nats_url, _NATS_URL, "an address such as nats://127.0.0.1:4222")
        _check("--database-url", self.database_url, _DATABASE_URL, "an address such as postgresql://user@127.0.0.1/commons",
               secret=True)  # fmt: skip
        _check("--as", self.acting, _NAME, "a name without blanks, of at most 128 characters")
        _check("--mandate", self.mandate, _LINE, "one line of at most 256 characters")

    # -- where things are -------------------------------------------------------------------------------------------

    @property
    def folder(self) -> Path:
        return self.data or Path("data")

    @functools.cached_property
    def description(self) -> dict[str, Any]:
        """What `commons up` wrote of itself in the data folder; empty when there is nothing."""
        path = self.folder / DESCRIPTION
        try:
            found = json.loads(path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise Unreachable(f"{path} cannot be read: {error}. Start `commons up` on that folder again.") from error
        if not isinstance(found, dict):
            raise Unreachable(f"{path} does not say where the servers are. Start `commons up` on that folder again.")
        return found

    def address(self, what: Literal["nats_url", "database_url"]) -> str:
        """The URL of a server, from the option, the environment or the data folder. Raises Unreachable without one."""
        url = getattr(self, what) or self.description.get(what)
        if isinstance(url, str):
            return url
        server, option = ("NATS", "--nats-url") if what == "nats_url" else ("the database", "--database-url")
        raise Unreachable(
            f"Where {server} is, is not known: there is no {option} and no {self.folder / DESCRIPTION}. "
            f"Start `commons up`, name its folder with --data, or give {option}.",
        )

    @property
    def who(self) -> str:
        """The actor named in every event. Raises Usage when --as is another than whose token was given."""
        held = self._held
        if held is not None:
            if self.acting not in (None, held.actor):
                raise Usage(f"The token in {TOKEN_FILE} is of {held.actor}, and not of {self.acting}. Leave out --as.")
            return held.actor
        if self.acting:
            return self.acting
        try:
            name = getpass.getuser()
        except (OSError, KeyError, ImportError):
            name = ""
        if not _NAME.fullmatch(name):
            raise Usage("Your login name is not known here. Say who acts with --as.")
        return name

    def acting_in(self, roles: Iterable[str]) -> list[str]:
        """Those of somebody's roles in which they act: that a token which was given carries, and that --mandate names,
        if it names a role."""
        carried = None if self._held is None else self._held.roles
        named = None if self.mandate is None or "/" in self.mandate else self.mandate
        return [role for role in roles if (carried is None or role in carried) and named in (None, role)]

    @property
    def _held(self) -> Held | None:
        path = os.environ.get(TOKEN_FILE)
        return Held(Path(path)) if path else None

    @property
    def chapter(self) -> str:
        """Whose ledger it is."""
        return str(self.description.get("chapter") or os.environ.get("COMMONS_CHAPTER") or "local")

    @property
    def issuer_key(self) -> Path:
        """Where the issuer's key would be, which signs for everybody."""
        return Path(os.environ.get(ISSUER_KEY) or Keys(self.folder / "keys").issuer)

    @property
    def public_actors(self) -> Path:
        """Where the public keys would be by which services know who acts."""
        return Path(os.environ.get(ACTOR_KEYS) or Keys(self.folder / "keys").actors)

    @functools.cached_property
    def tokens(self) -> Tokens | None:
        """What shows services who acts: the token that was given, else the issuer's key. None when neither is at hand,
        and then no service takes a command. Raises Misconfigured when the key cannot be used."""
        held = self._held
        if held is not None:
            return held
        key = self.issuer_key
        if not os.environ.get(ISSUER_KEY) and not key.exists():
            return None
        return Signed(Signer.from_file(key, self.chapter), roles_of)

    # -- reaching them ----------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def nats(self) -> AsyncIterator[Client]:
        """A connection to NATS. Raises Unreachable when no server answers."""
        try:
            nc = await connect(self.address("nats_url"), name="commons", timeout=_CONNECT_SECONDS)
        except Misconfigured as error:
            raise Unreachable(error.detail, **error.facts) from error
        try:
            yield nc
        finally:
            await nc.close()

    @asynccontextmanager
    async def database(self) -> AsyncIterator[asyncpg.Pool]:
        """Connections to PostgreSQL. Raises Unreachable when no server answers, or it refuses the login."""
        url = self.address("database_url")
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                pool = await open_pool(url, max_size=2)
        except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise Unreachable(
                f"PostgreSQL at {_public(url)} does not answer ({str(error).strip() or type(error).__name__}). "
                "Check that it runs and that DATABASE_URL is its address."
            ) from error
        try:
            yield pool
        finally:
            pool.terminate()  # everything that this command asked for was answered

    def client(self, nc: Client, *, patience: float = 10) -> CommandClient:
        """A sender of commands in the actor's name."""
        return CommandClient(
            nc, actor=self.who, source="/commons/cli", mandate=self.mandate, timeout=min(patience, 15),
            patience=patience, tokens=self.tokens,
        )  # fmt: skip


def roles_of(service: str) -> tuple[str, ...]:
    """All roles that a service knows: who has the issuer's key claims what it wants, and grants decide."""
    rights = CONTRACTS[service].rights if service in CONTRACTS else None
    return () if rights is None else rights.roles


def command(work: Work) -> Callable[..., int | None]:
    """A command of the tree out of a coroutine function that takes an Operator first: the common options are added."""
    hints = get_type_hints(work, include_extras=True)
    own = list(inspect.signature(work).parameters.values())[1:]
    common = get_type_hints(Operator, include_extras=True)
    fields = list(dataclasses.fields(Operator))

    @functools.wraps(work)
    def run(**given: Any) -> int | None:
        operator = Operator(**{f.name: given.pop(f.name) for f in fields})
        return run_now(work(operator, **given))

    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[p.name]) for p in own]
    parameters += [
        inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=common[f.name])
        for f in fields
    ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return run


def run_now(work: Coroutine[Any, Any, int | None]) -> int | None:
    """Run to the end on a fresh uvloop; Ctrl-C cancels the work and is raised again."""
    collect_seldom()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.get_loop().set_exception_handler(_left_behind)
        return runner.run(work)


def _left_behind(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A name that was looked up for longer than anybody waited, and was not found, is no news."""
    if not isinstance(context.get("exception"), OSError):
        loop.default_exception_handler(context)


def _check(option: str, given: str | None, form: re.Pattern[str], wanted: str, *, secret: bool = False) -> None:
    if given is not None and not form.fullmatch(given):
        shown = "" if secret else f" {given[:80]!r} is not one."
        raise Usage(f"{option} takes {wanted}.{shown}", option=option)


def _public(url: str) -> str:
    """A database's address without its password."""
    return re.sub(r"//[^/@]*@", "//", url)
