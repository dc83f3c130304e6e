"""The secrets of a deployment, as files: a folder for each party, so that a container is given its own and no other's.

    keys/master.key, clinic-keys/master.key    the master keys: the clinic's is its own
    nats/users.conf                            who may do what in NATS (permissions.py); public keys alone
    nats/routes.conf                           the password by which the servers of a cluster know one another
    nats/readers.conf                          accounts of consumers from outside: the operator's own, empty at first
    <user>/nats.seed                           by which a process is known to NATS
    <user>/pgpass                              its login to PostgreSQL, in PostgreSQL's own form
    <user>/actor.jwk                           with which it signs what it sends to services on its own account
    issuer/issuer.jwk                          the issuer's key, which signs who acts, of every person
    actors/actors.jwks                         the public keys by which services know who acts
    migrate/roles/<role>                       the passwords that `commons migrate` gives the roles
    postgres/commons                           the password of the database's owner
    grafana/admin                              the password of Grafana's user `admin`

What is there is never written over, but for nats/users.conf and actors/actors.jwks, which follow from the rest.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from services.deploy.permissions import READERS, configuration, users
from services.signers import SIGNERS
from shared.actorkeys import Authtype, PublicKey, make_private, publish, read_private
from shared.credentials import Credentials
from shared.errors import Misconfigured
from shared.masterkeys import add_to_file

SUPERUSER: Final = "commons"
"""The owner of the database, as whom migrations are applied and nothing else is done."""

CLUSTER: Final = ("nats", "nats-2", "nats-3")
"""The servers of infra/compose.cluster.yml, by the names at which they find one another."""

ROLES: Final[dict[str, str]] = {
    "inventory": "commons_service",
    "distribution": "commons_service",
    "treasury": "commons_service",
    "clinic": "commons_service",
    "projections": "commons_projections",
    "clinic-projections": "commons_clinic",
    "fhir": "commons_clinic",
    "operator": "commons_projections",
    "clinic-operator": "commons_operator",
    "migrate": SUPERUSER,
}
"""The PostgreSQL role that each user logs in as; who is not here has no use for the database."""


@dataclass(frozen=True, slots=True)
class Made:
    """One file; `how` is made, kept, or written anew."""

    path: Path
    how: str
    what: str


Account = tuple[int, int]
"""User and group, as numbers."""


def prepare(folder: Path, owner: Account | None = None, others: Mapping[str, Account] | None = None) -> list[Made]:
    """Make what is missing in a folder, for the account `owner`, if it is another; `others` are those of the folders of
    servers that run as somebody else, as `postgres`.

    Raises Misconfigured when the folder, or something in it, cannot be used.
    """
    try:
        return list(_Folder(folder, owner, others or {}).prepare())
    except OSError as error:
        raise Misconfigured(f"{error.filename or folder} cannot be used: {error.strerror}.") from error


class _Folder:
    def __init__(self, folder: Path, owner: Account | None, others: Mapping[str, Account]) -> None:
        self._folder, self._owner, self._others = folder, owner, others

    def prepare(self) -> Iterator[Made]:
        for name, what in (("keys", "the master key"), ("clinic-keys", "the clinic's master key")):
            yield self._master(name, what)
        known: dict[str, Credentials] = {}
        for user in users():
            path = self._in(user.name) / "nats.seed"
            yield self._secret(path, lambda: Credentials.generate().seed, f"the NATS user {user.name}")
            known[user.name] = Credentials.from_file(path)
        for role in sorted(set(ROLES.values()) - {SUPERUSER}):
            yield self._secret(self._in("migrate", "roles") / role, _password, f"the password of {role}")
        superuser = self._in("postgres") / SUPERUSER
        yield self._secret(superuser, _password, "the password of the database's owner")
        for user_name, role in ROLES.items():
            password = superuser if role == SUPERUSER else self._in("migrate", "roles") / role
            path = self._in(user_name) / "pgpass"
            yield self._secret(path, partial(_login, role, password), f"the login {role} of {user_name}")
        yield self._secret(self._in("grafana") / "admin", _password, "the password of Grafana's user admin")
        yield self._users(configuration(known))
        yield from self._actors()
        yield self._routes()
        yield self._readers()

    def _in(self, *names: str) -> Path:
        """A folder of its own; the server of NATS may enter its."""
        folder = self._folder
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        for name in names:
            folder = folder / name
            if not folder.is_dir() or not any(folder.iterdir()):  # a container engine makes empty ones to mount
                folder.mkdir(exist_ok=True)
                folder.chmod(0o755 if name == "nats" else 0o700)
                self._give(folder)
        return folder

    def _master(self, name: str, what: str) -> Made:
        path = self._in(name) / "master.key"
        if path.exists():
            return Made(path, "kept", what)
        add_to_file(path)
        self._give(path)
        return Made(path, "made", what)

    def _actors(self) -> Iterator[Made]:
        """The keys that show who acts, and the file of their public halves, which keeps what was rotated."""
        own: dict[str, PublicKey] = {}
        wanted: list[tuple[str, Path, Authtype, tuple[str, ...] | None]] = [
            ("the issuer's key", self._in("issuer") / "issuer.jwk", "user", None)
        ]
        for name, (authtype, actors) in SIGNERS.items():
            wanted.append((f"the key of {name}, as which it acts", self._in(name) / "actor.jwk", authtype, actors))
        for what, path, kind, subjects in wanted:
            how = "kept" if path.exists() else "made"
            key = read_private(path) if path.exists() else make_private(path)
            self._give(path)
            own[what] = PublicKey.of(key, kind, subjects)
            yield Made(path, how, what)
        public = self._in("actors") / "actors.jwks"
        how = "written anew" if public.exists() else "made"
        changed = publish(public, own)
        self._give(public)
        yield Made(public, how if changed else "kept", "the public keys by which it is known who acts")

    def _secret(self, path: Path, make: Callable[[], str], what: str) -> Made:
        if path.exists():
            return Made(path, "kept", what)
        self._write(path, f"{make()}\n", 0o600)
        return Made(path, "made", what)

    def _users(self, text: str) -> Made:
        path = self._in("nats") / "users.conf"
        before = path.read_text(encoding="ascii") if path.exists() else None
        if before == text:
            return Made(path, "kept", "who may do what in NATS")
        self._write(path, text, 0o644)
        return Made(path, "made" if before is None else "written anew", "who may do what in NATS")

    def _routes(self) -> Made:
        return self._of_server("routes.conf", _routes(_password()), "how the servers of a cluster know one another")

    def _readers(self) -> Made:
        text = "# Accounts of consumers from outside: docs/consuming.md. It is yours, and never written over.\n"
        return self._of_server(READERS, text, "the accounts of consumers from outside")

    def _of_server(self, name: str, text: str, what: str) -> Made:
        """A file of secrets that NATS reads."""
        path = self._in("nats") / name
        if path.exists():
            return Made(path, "kept", what)
        self._write(path, text, 0o600)
        if self._owner is not None:  # the server runs as root without any capability: it reads by its group
            os.chown(path, self._owner[0], 0)
            path.chmod(0o640)
        return Made(path, "made", what)

    def _write(self, path: Path, text: str, mode: int) -> None:
        fresh = path.with_name(path.name + ".new")
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.chmod(mode)
        self._give(fresh)
        fresh.replace(path)

    def _give(self, path: Path) -> None:
        account = self._others.get(path.relative_to(self._folder).parts[0], self._owner)
        if account is not None:
            os.chown(path, *account)


def _login(role: str, password: Path) -> str:
    return f"*:*:*:{role}:{password.read_text(encoding='ascii').strip()}"


def _routes(password: str) -> str:
    user = f"commons:{password}"
    return f"""\
# Written by `commons init`, and kept: the routes between the servers of infra/compose.cluster.yml. It holds a secret.
authorization {{ user: commons, password: "{password}", timeout: 5 }}
routes: [{", ".join(f'"nats://{user}@{host}:6222"' for host in CLUSTER)}]
"""


def _password() -> str:
    return secrets.token_hex(24)
