"""Who acts: what a service asks of every command's sender, and how a sender shows it.

A service takes the actor, and in which roles they act, from a verified token alone (actortoken.py); what the command's
envelope says of it has to be the same. A token that was verified is known again by its digest, so that only the first
command of many pays for the signature; whether it is over is looked at each time.
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Protocol

import structlog
from prometheus_client import Counter

from shared.actorkeys import Authtype, PublicKey, read_public
from shared.actortoken import HEADER, MAX_BYTES, Actor, Reason, Signer, Unauthenticated, unverified, verified
from shared.admission import RateLimit
from shared.errors import Busy, Misconfigured
from shared.settings import Settings

log = structlog.get_logger(__name__)

REFUSED: Final = Counter(
    "commons_actors_refused_total", "Commands refused because it was not shown who sends them.", ["service", "reason"]
)

_LOOK_SECONDS: Final = 1.0
_REMEMBERED: Final = 10_000

_STRANGERS: Final = 500
"""Tokens a second whose signature is looked at, which takes some 140 µs each: forged ones must not stop a service."""


class Verifier:
    """Verifies the tokens of one service's commands, by a file of public keys that may change meanwhile."""

    def __init__(
        self, path: Path, *, service: str, chapter: str, clock: Callable[[], float] = time.time,
        remembered: int = _REMEMBERED,
    ) -> None:  # fmt: skip
        """Raises Misconfigured when the file cannot be used."""
        self._path, self._service, self._chapter, self._clock = path, service, chapter, clock
        self._most = remembered
        self._strangers = RateLimit(_STRANGERS, 4 * _STRANGERS)
        self._known: OrderedDict[bytes, Actor] = OrderedDict()
        self._refused: dict[Reason, Any] = {reason: REFUSED.labels(service, reason) for reason in Reason}
        self._complained: object = None
        self._seen = _identity(path)
        self._keys: dict[str, PublicKey] = read_public(path)
        self._look_at = time.monotonic() + _LOOK_SECONDS

    def verify(self, token: str | None) -> Actor:
        """Who a command's token shows. Raises Unauthenticated, which is counted."""
        try:
            return self._verify(token)
        except Unauthenticated as error:
            self._refused[error.reason].inc()
            raise

    def same(self, actor: Actor, name: str, authtype: str) -> None:
        """Refuse a command whose envelope names another actor than its token."""
        if actor.name != name or actor.authtype != authtype:
            self._refused[Reason.OTHER_ACTOR].inc()
            raise Unauthenticated(
                Reason.OTHER_ACTOR,
                f"The command names the {authtype} {name} (authid), and its token the {actor.authtype} {actor.name}.",
            )

    def _verify(self, token: str | None) -> Actor:
        if token is None:
            raise Unauthenticated(
                Reason.MISSING,
                f"The command does not show who sends it. Send an actor's token in its header {HEADER}; `commons "
                "actors token` makes one.",
            )
        if len(token) > MAX_BYTES:
            raise Unauthenticated(Reason.TOO_LARGE, f"The actor's token is longer than {MAX_BYTES:,} bytes.")
        if time.monotonic() >= self._look_at:
            self._look()
        digest = sha256(token.encode("utf-8", "surrogatepass")).digest()
        now = self._clock()
        actor = self._known.get(digest)
        if actor is not None and now <= actor.expires_at:
            self._known.move_to_end(digest)
            return actor
        if self._strangers.take(""):
            raise Busy(
                "More senders show who they are at once than can be looked at. Nothing was recorded; send it again "
                "in a moment.", retry_after=1,
            )  # fmt: skip
        actor = self._read(token, now)
        self._known[digest] = actor
        if len(self._known) > self._most:
            self._known.popitem(last=False)
        return actor

    def _read(self, token: str, now: float) -> Actor:
        try:
            return verified(token, self._keys, chapter=self._chapter, service=self._service, now=now)
        except Unauthenticated as error:
            if error.reason is not Reason.UNKNOWN_KEY or not self._look():  # it may have been made this moment
                raise
        return verified(token, self._keys, chapter=self._chapter, service=self._service, now=now)

    def _look(self) -> bool:
        """Read the file of keys if it is another than before; gives whether it was.

        One that cannot be read changes nothing, and is named in the log once.
        """
        self._look_at = time.monotonic() + _LOOK_SECONDS
        found = _identity(self._path)
        if found in (self._seen, self._complained):
            return False
        try:
            self._keys = read_public(self._path)
        except Misconfigured as error:
            log.error("the actors' keys that were known go on to count", reason=error.detail)
            self._complained = found
            return False
        self._seen, self._complained = found, None
        self._known.clear()
        log.info("the actors' keys were read anew", keys=len(self._keys))
        return True


def _identity(path: Path) -> object:
    """What tells one content of a file from another, without reading it."""
    try:
        found = os.stat(path)  # noqa: PTH116 - half of the time of Path.stat
    except OSError as error:
        return error.errno
    return found.st_ino, found.st_mtime_ns, found.st_size


def verifier(settings: Settings, service: str) -> Verifier:
    """The verifier of a service that runs. Raises Misconfigured when it is not told whom to believe."""
    if settings.actor_keys is None:
        raise Misconfigured(
            f"Nobody could send {service} a command: set COMMONS_ACTOR_KEYS to the file of actors' public keys, which "
            "`commons init` makes."
        )
    return Verifier(settings.actor_keys, service=service, chapter=settings.chapter)


# -- who sends --------------------------------------------------------------------------------------------------------


class Tokens(Protocol):
    """Where a sender's tokens are from."""

    def token(self, actor: str, authtype: Authtype, service: str) -> str:
        """A token of an actor that a service takes now. Raises LedgerError when there is none."""


class Signed:
    """Tokens that are signed when they are needed, for five minutes each, and used again meanwhile.

    `roles` gives the roles that are claimed of a service.
    """

    _SECONDS: Final = 300
    _RENEWED: Final = 120
    _MOST: Final = 1000

    def __init__(self, signer: Signer, roles: Callable[[str], Iterable[str]] = lambda _service: ()) -> None:
        self._signer = signer
        self._roles = roles
        self._made: OrderedDict[tuple[str, str, str], tuple[float, str]] = OrderedDict()

    def token(self, actor: str, authtype: Authtype, service: str) -> str:
        now, key = time.time(), (actor, authtype, service)
        made = self._made.get(key)
        if made is None or not 0 <= now - made[0] < self._RENEWED:
            roles = self._roles(service) if authtype == "user" else ()
            made = now, self._signer.token(actor, [service], authtype=authtype, roles=roles, seconds=self._SECONDS)
            self._made[key] = made
            if len(self._made) > self._MOST:
                self._made.popitem(last=False)
        return made[1]


class Held:
    """The one token that somebody was given, in a file that is read anew each time: it may be renewed meanwhile."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def actor(self) -> str:
        """Whose it is. Raises Misconfigured, or Unauthenticated when the file holds no token."""
        return unverified(self._read())[1].sub

    @property
    def roles(self) -> frozenset[str]:
        """Those that it carries. Raises as `actor` does."""
        return frozenset(unverified(self._read())[1].roles)

    def token(self, actor: str, authtype: Authtype, service: str) -> str:
        text = self._read()
        claims = unverified(text)[1]
        if (claims.sub, claims.authtype) != (actor, authtype):
            raise Unauthenticated(
                Reason.OTHER_ACTOR, f"The token in {self._path} is of {claims.sub}, and not of {actor}."
            )
        return text

    def _read(self) -> str:
        try:
            with self._path.open("rb") as file:
                if os.fstat(file.fileno()).st_mode & 0o077:
                    raise Misconfigured(
                        f"Others than its owner may read the actor's token {self._path}. Run: chmod 600 {self._path}"
                    )
                return file.read(MAX_BYTES + 2).decode("ascii", "replace").strip()
        except OSError as error:
            raise Misconfigured(f"The actor's token {self._path} cannot be read: {error.strerror}.") from error
