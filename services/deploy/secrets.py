"""The secrets of a deployment, as files: a folder for each party, so that a container is given its own and no other's.

    keys/master.key, clinic-keys/master.key    the master keys: the clinic's is its own
    nats/users.conf                            who may do what in NATS (permissions.py); public keys alone
    nats/routes.conf                           the password by which the servers of a cluster know one another
    nats/encryption.conf                       the key under which NATS stores everything
    nats/readers.conf                          accounts of consumers from outside: the operator's own, empty at first
    <user>/nats.seed                           by which a process is known to NATS
    <user>/pgpass                              its login to PostgreSQL, in PostgreSQL's own form
    <user>/ca.crt                              by which it knows the servers
    <user>/actor.jwk                           with which it signs what it sends to services on its own account
    issuer/issuer.jwk                          the issuer's key, which signs who acts, of every person
    actors/actors.jwks                         the public keys by which services know who acts
    nats/server.crt, nats/server.key           the certificate of NATS, and its key; postgres/ has PostgreSQL's
    ca/ca.crt, ca/ca.key                       the authority that signed them (certificates.py); given to no container
    migrate/roles/<role>                       the passwords that `commons migrate` gives the roles
    postgres/commons                           the password of the database's owner
    grafana/admin                              the password of Grafana's user `admin`

What is there is never written over, but for nats/users.conf, actors/actors.jwks and <user>/ca.crt, which follow from
the rest, and certificates that end soon.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

from services.deploy.certificates import NAMES, Pair, check_own, due, make_authority, make_server
from services.deploy.permissions import READERS, configuration, users
from services.signers import SIGNERS
from shared.actorkeys import Authtype, PublicKey, make_private, publish, read_private
from shared.clock import utc_now
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


def prepare(
    folder: Path, owner: Account | None = None, others: Mapping[str, Account] | None = None, *, renew: bool = False,
    clock: Callable[[], datetime] = utc_now,
) -> list[Made]:  # fmt: skip
    """Make what is missing in a folder, for the account `owner`, if it is another; `others` are those of the folders of
    servers that run as somebody else, as `postgres`. With `renew` the servers' certificates are made anew, however long
    they are valid.

    Raises Misconfigured when the folder, or something in it, cannot be used.
    """
    try:
        made = _Folder(folder, owner, others or {})
        return [*made.prepare(), *made.certificates(clock(), renew)]
    except OSError as error:
        raise Misconfigured(f"{error.filename or folder} cannot be used: {error.strerror}.") from error


class _Folder:
    def __init__(self, folder: Path, owner: Account | None, others: Mapping[str, Account]) -> None:
        self._folder, self._owner, self._others = folder, owner, others

    def prepare(self) -> Iterator[Made]:
        yield self._encryption()
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

    def certificates(self, now: datetime, renew: bool) -> Iterator[Made]:
        folder, what = self._in("ca"), "the authority of the certificates"
        certificate, key = folder / "ca.crt", folder / "ca.key"
        own = certificate.exists() and not key.exists()
        if own and renew:
            raise Misconfigured(f"{key} is not there: the certificates are your own, and you make them anew.")
        if not certificate.exists():
            authority = make_authority(now)
            self._write(key, authority.key.decode(), 0o600)
            self._write(certificate, authority.certificate.decode(), 0o644)
            yield Made(certificate, "made", what)
        else:
            yield Made(certificate, "kept", what)
        authority = Pair(certificate.read_bytes(), b"" if own else key.read_bytes())
        for server, names in NAMES.items():
            yield self._own(server, now) if own else self._server(server, names, authority, now, renew)
        for party in ("nats", *(user.name for user in users())):
            yield self._copy(authority.certificate.decode(), self._in(party) / "ca.crt", "the authority it trusts")

    def _own(self, server: str, now: datetime) -> Made:
        certificate, key = self._in(server) / "server.crt", self._in(server) / "server.key"
        if not (certificate.exists() and key.exists()):
            raise Misconfigured(f"{certificate} and {key} are to be your own, as ca/ca.crt is, and are not there.")
        check_own(server, certificate.read_bytes(), key.read_bytes(), now)
        return Made(certificate, "kept", f"the certificate of {server}")

    def _server(self, server: str, names: Sequence[str], authority: Pair, now: datetime, renew: bool) -> Made:
        folder, what = self._in(server), f"the certificate of {server}"
        certificate, key = folder / "server.crt", folder / "server.key"
        there = certificate.exists() and key.exists()
        if (
            there
            and not renew
            and not due(certificate.read_bytes(), key.read_bytes(), authority.certificate, names, now)
        ):
            return Made(certificate, "kept", what)
        made = make_server(authority, names, now)
        self._write(key, made.key.decode(), 0o600)
        if server == "nats":
            self._let_server_read(key)
        self._write(certificate, made.certificate.decode(), 0o644)
        return Made(certificate, "written anew" if there else "made", what)

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
        return self._copy(text, self._in("nats") / "users.conf", "who may do what in NATS")

    def _copy(self, text: str, path: Path, what: str) -> Made:
        before = path.read_text(encoding="ascii") if path.exists() else None
        if before == text:
            return Made(path, "kept", what)
        self._write(path, text, 0o644)
        return Made(path, "made" if before is None else "written anew", what)

    def _routes(self) -> Made:
        return self._of_server("routes.conf", _routes(_password()), "how the servers of a cluster know one another")

    def _readers(self) -> Made:
        text = "# Accounts of consumers from outside: docs/consuming.md. It is yours, and never written over.\n"
        return self._of_server(READERS, text, "the accounts of consumers from outside")

    def _encryption(self) -> Made:
        """The key of NATS's store: a new one beside older secrets would make what is stored unreadable."""
        path = self._in("nats") / "encryption.conf"
        if not path.exists() and (self._folder / "nats" / "users.conf").exists():
            raise Misconfigured(
                f"{path} is gone, though the secrets beside it were made before. Put it back from your copy: what NATS "
                "stored cannot be read without it, and starting under another key may destroy it. Nothing was made.",
                path=str(path),
            )
        return self._of_server(path.name, _encryption(_password()), "the key under which NATS stores everything")

    def _of_server(self, name: str, text: str, what: str) -> Made:
        """A file of secrets that NATS reads."""
        path = self._in("nats") / name
        if path.exists():
            return Made(path, "kept", what)
        self._write(path, text, 0o600)
        self._let_server_read(path)
        return Made(path, "made", what)

    def _let_server_read(self, path: Path) -> None:
        """NATS runs as root without any capability: it reads a secret by its group."""
        if self._owner is not None:
            os.chown(path, self._owner[0], 0)
            path.chmod(0o640)

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
        party = path.relative_to(self._folder).parts[0]
        account = None if party == "ca" else self._others.get(party, self._owner)
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


def _encryption(key: str) -> str:
    return f"""\
# Written by `commons init`, and kept: what is stored cannot be read without it (docs/deploying.md).
cipher: chachapoly
key: "{key}"
"""


def _password() -> str:
    return secrets.token_hex(24)
