"""An actor's token: a signed statement of who acts, in which roles, towards which services, and until when.

It is a JWT (RFC 7519) of a type of its own, signed with Ed25519, that travels in the header `Commons-Actor` of a
command, never in an event and never in a log. Its claims are `iss` (the chapter), `sub` (the actor), `authtype` (user,
service or process), `aud` (services that it is for), `roles` (in which of theirs the holder may act), `iat`, `exp` and
`jti`; its header says which key signed it. Whatever else is in it is refused.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from joserfc import jws, jwt
from joserfc.errors import ExpiredTokenError, InvalidClaimError, JoseError
from joserfc.jwk import OKPKey
from joserfc.jwt import JWTClaimsRegistry
from msgspec import Meta

from shared.actorkeys import ALGORITHM, Authtype, PublicKey, read_private
from shared.errors import Invalid, LedgerError

HEADER: Final = "Commons-Actor"
TYPE: Final = "commons-actor+jwt"

MAX_BYTES: Final = 2048
"""A longer one is refused before anything of it is read."""

MAX_SECONDS: Final = 7 * 86_400
"""No token counts for longer, so a key that was given up is of no use after that."""

LEEWAY: Final = 30
"""Seconds by which clocks may differ."""

_Name = Annotated[str, Meta(pattern=r"^[^\x00-\x20\x7f-\x9f]{1,128}\Z")]
_Id = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")]
_Role = Annotated[str, Meta(pattern=r"^[a-z][a-z_]{0,31}\Z")]


class Claims(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a token says."""

    iss: _Id
    sub: _Name
    authtype: Authtype
    aud: Annotated[list[_Id], Meta(min_length=1, max_length=16)]
    roles: Annotated[list[_Role], Meta(max_length=32)] = []
    iat: int
    exp: int
    jti: _Id


class Reason(StrEnum):
    """Why a token is not taken; the values label a metric, so there are no others."""

    MISSING = "missing"
    GARBAGE = "garbage"
    TOO_LARGE = "too_large"
    UNKNOWN_KEY = "unknown_key"
    FORGED = "forged"
    NOT_FOR_KEY = "not_for_key"
    OTHER_CHAPTER = "other_chapter"
    OTHER_AUDIENCE = "other_audience"
    EXPIRED = "expired"
    NOT_YET = "not_yet"
    LASTS_TOO_LONG = "lasts_too_long"
    OTHER_ACTOR = "other_actor"


class Unauthenticated(LedgerError):
    """It is not shown who sends a command; `reason` says why."""

    status = 401
    code = "UNAUTHENTICATED"

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{detail} Nothing was recorded.", reason=str(reason))
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, as a token showed it: for services to rely on."""

    name: str
    authtype: Authtype
    roles: frozenset[str]
    expires_at: int
    """The last second, since 1970, at which it counts, by the clock that it was verified with."""


# -- making -----------------------------------------------------------------------------------------------------------


class Signer:
    """Makes tokens with one private key, in the name of a chapter."""

    def __init__(self, key: OKPKey, chapter: str) -> None:
        self._key = key
        self._chapter = chapter
        self._header = {"alg": ALGORITHM, "kid": key.thumbprint(), "typ": TYPE}

    @classmethod
    def from_file(cls, path: Path, chapter: str) -> Signer:
        """With the key of a file. Raises Misconfigured."""
        return cls(read_private(path), chapter)

    def token(
        self, actor: str, services: Iterable[str], *, authtype: Authtype = "user", roles: Iterable[str] = (),
        seconds: int = 300, now: float | None = None,
    ) -> str:  # fmt: skip
        """A token for an actor. Raises Invalid when no service would take it, as when it lasts over seven days."""
        at = int(time.time() if now is None else now)
        try:
            claims = msgspec.convert(
                {
                    "iss": self._chapter, "sub": actor, "authtype": authtype, "aud": sorted(set(services)),
                    "roles": sorted(set(roles)), "iat": at, "exp": at + seconds, "jti": f"t{secrets.token_urlsafe(16)}",
                },
                Claims,
            )  # fmt: skip
            if not 0 < seconds <= MAX_SECONDS:
                raise ValueError(f"it would be valid for {seconds:,} seconds; at most {MAX_SECONDS:,} are taken")
            made = jwt.encode(self._header, msgspec.to_builtins(claims), self._key, algorithms=[ALGORITHM])
            if len(made) > MAX_BYTES:
                raise ValueError(f"it would be {len(made):,} bytes; at most {MAX_BYTES:,} are taken")
        except ValueError as error:  # msgspec's among them
            raise Invalid(f"There can be no such token: {error}.") from error
        return made


# -- reading ----------------------------------------------------------------------------------------------------------

_REGISTRY: Final = jws.JWSRegistry(algorithms=[ALGORITHM])
_MEMBERS: Final = frozenset({"alg", "kid", "typ"})
_read_claims: Final = msgspec.json.Decoder(Claims).decode


def unverified(token: str) -> tuple[str, Claims]:
    """The kid and the claims of a token as they stand there, for whoever shows them. Raises Unauthenticated."""
    signed = _opened(token)
    return str(signed.headers()["kid"]), _claims(signed)


def verified(token: str, keys: Mapping[str, PublicKey], *, chapter: str, service: str | None, now: float) -> Actor:
    """Who acts, by a token that is good now, towards a service (None: whichever). Raises Unauthenticated."""
    signed = _opened(token)
    known = keys.get(signed.headers()["kid"])
    if known is None or (known.until is not None and known.until <= now):
        raise Unauthenticated(
            Reason.UNKNOWN_KEY,
            "The actor's token is signed with a key that is not, or no more, known here. Make a new one.",
        )
    try:
        genuine = jws.validate_compact(signed, known.key, registry=_REGISTRY)
    except (JoseError, ValueError):
        genuine = False
    if not genuine:
        raise Unauthenticated(Reason.FORGED, "The actor's token has a signature that is not its key's.")
    claims = _claims(signed)
    if not known.signs_for(claims.sub, claims.authtype):
        raise Unauthenticated(
            Reason.NOT_FOR_KEY,
            f"The key that signed the actor's token does not sign for the {claims.authtype} {claims.sub}.",
        )
    _check(claims, chapter, service, now)
    last = claims.exp + LEEWAY - 1
    if known.until is not None:
        last = min(last, known.until - 1)
    return Actor(claims.sub, claims.authtype, frozenset(claims.roles), last)


def _opened(token: str) -> jws.CompactSignature:
    """A token in its parts, its header as it has to be."""
    if len(token) > MAX_BYTES:
        raise Unauthenticated(Reason.TOO_LARGE, f"The actor's token is longer than {MAX_BYTES:,} bytes.")
    try:
        signed = jws.extract_compact(token.encode("ascii"), None, _REGISTRY)
        header: Any = signed.headers()  # it is any JSON of which `"alg" in` holds
    except (JoseError, ValueError, RecursionError) as error:
        raise _garbage() from error
    if not isinstance(header, dict) or header.keys() != _MEMBERS:
        raise _garbage()
    if header["alg"] != ALGORITHM or header["typ"] != TYPE or not isinstance(header["kid"], str):
        raise _garbage()
    return signed


def _garbage() -> Unauthenticated:
    return Unauthenticated(
        Reason.GARBAGE, f"The actor's token is no JWT of the type {TYPE} that is signed with {ALGORITHM}."
    )


def _claims(signed: jws.CompactSignature) -> Claims:
    try:
        return _read_claims(signed.payload)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise Unauthenticated(Reason.GARBAGE, "The actor's token does not say what such a token says.") from error


def _check(claims: Claims, chapter: str, service: str | None, now: float) -> None:
    """Refuse what is for others, over, or not yet."""
    audience = {} if service is None else {"aud": {"essential": True, "value": service}}
    rules = JWTClaimsRegistry(
        int(now), LEEWAY, iss={"essential": True, "value": chapter}, exp={"essential": True}, iat={"essential": True},
        **audience,  # type: ignore[arg-type]
    )  # fmt: skip
    try:
        rules.validate(msgspec.to_builtins(claims))
    except ExpiredTokenError as error:
        raise Unauthenticated(Reason.EXPIRED, "The actor's token is over. Make a new one.") from error
    except InvalidClaimError as error:
        raise _not_taken(str(error.claim), claims, chapter, service) from error
    if claims.exp - claims.iat > MAX_SECONDS:
        raise Unauthenticated(
            Reason.LASTS_TOO_LONG,
            f"The actor's token is for more than {MAX_SECONDS // 86_400} days. Make a shorter one.",
        )


def _not_taken(claim: str, claims: Claims, chapter: str, service: str | None) -> Unauthenticated:
    match claim:
        case "iss":
            what = f"is of the chapter {claims.iss}, and this is {chapter}."
            return Unauthenticated(Reason.OTHER_CHAPTER, f"The actor's token {what}")
        case "aud":
            what = f"is for {', '.join(claims.aud)}, and not for {service}."
            return Unauthenticated(Reason.OTHER_AUDIENCE, f"The actor's token {what}")
        case "iat":
            what = "was made in the future, by this clock. Set the clocks right."
            return Unauthenticated(Reason.NOT_YET, f"The actor's token {what}")
    return Unauthenticated(Reason.GARBAGE, "The actor's token does not say what such a token says.")
