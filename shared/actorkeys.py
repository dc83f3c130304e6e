"""The keys by which it is known who acts: private ones that sign actors' tokens, and the public file of all of them.

A private key is a JWK in a file of its own (RFC 7517, RFC 8037), for its owner alone. The public file is a JWK set,
whose keys say for whom each may sign:

    {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "…", "kid": "…", "alg": "Ed25519", "use": "sig",
               "commons_authtype": "process", "commons_subjects": ["fulfilling"], "commons_until": 1790000000}]}

`commons_subjects` are the actors it signs for; the issuer's key has none, and signs for every person. With
`commons_until` a key is given up: from that second on, since 1970, it counts for nothing.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from msgspec import Meta

from shared.errors import Misconfigured
from shared.masterkeys import replace_file

ALGORITHM: Final = "Ed25519"
"""EdDSA over this one curve, as RFC 9864 names it; the older name `EdDSA` leaves the curve open."""

Authtype = Literal["user", "service", "process"]

_MOST_BYTES: Final = 1 << 16
_MOST_KEYS: Final = 64

_Point = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{43}\Z")]
_Kid = Annotated[str, Meta(min_length=1, max_length=64)]
_Subject = Annotated[str, Meta(min_length=1, max_length=128)]


class _Public(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kty: Literal["OKP"]
    crv: Literal["Ed25519"]
    x: _Point
    kid: _Kid
    alg: Literal["Ed25519"]
    use: Literal["sig"]
    commons_authtype: Authtype
    commons_subjects: Annotated[list[_Subject], Meta(min_length=1, max_length=64)] | None = None
    commons_until: int | None = None


class _Set(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    keys: Annotated[list[_Public], Meta(max_length=_MOST_KEYS)]


class _Private(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kty: Literal["OKP"]
    crv: Literal["Ed25519"]
    x: _Point
    d: _Point
    kid: _Kid


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that a service knows, and for which kind of actor it signs, and for which of them (None: for all)."""

    kid: str
    key: OKPKey
    authtype: Authtype
    subjects: frozenset[str] | None = None
    until: int | None = None

    @classmethod
    def of(cls, key: OKPKey, authtype: Authtype, subjects: Iterable[str] | None = None) -> PublicKey:
        """The public half of a key."""
        public = OKPKey.import_key(key.public_key)
        return cls(public.thumbprint(), public, authtype, None if subjects is None else frozenset(subjects))

    @property
    def is_issuer(self) -> bool:
        return self.subjects is None

    def signs_for(self, subject: str, authtype: str) -> bool:
        return authtype == self.authtype and (self.subjects is None or subject in self.subjects)

    def written(self) -> dict[str, Any]:
        """As it stands in the public file."""
        made: dict[str, Any] = {
            "kty": "OKP", "crv": "Ed25519", "x": self.key.as_dict(private=False)["x"], "kid": self.kid,
            "alg": ALGORITHM, "use": "sig", "commons_authtype": self.authtype,
        }  # fmt: skip
        if self.subjects is not None:
            made["commons_subjects"] = sorted(self.subjects)
        if self.until is not None:
            made["commons_until"] = self.until
        return made


# -- the public file --------------------------------------------------------------------------------------------------


def read_public(path: Path) -> dict[str, PublicKey]:
    """The keys of a public file, by kid. Raises Misconfigured, saying what is wrong with it."""
    raw = _read(path, "The file of actors' public keys")
    try:
        found = msgspec.json.decode(raw, type=_Set).keys
        keys = {
            one.kid: PublicKey(
                one.kid, OKPKey.import_key({"kty": one.kty, "crv": one.crv, "x": one.x}), one.commons_authtype,
                None if one.commons_subjects is None else frozenset(one.commons_subjects), one.commons_until,
            )
            for one in found
        }  # fmt: skip
        if len(keys) < len(found):
            raise ValueError("a kid stands twice in it")
    except (msgspec.DecodeError, JoseError, ValueError, RecursionError) as error:
        raise Misconfigured(
            f"The file of actors' public keys, {path}, cannot be used: {error}.", path=str(path)
        ) from error
    return keys


def write_public(path: Path, keys: Iterable[PublicKey]) -> None:
    """Put a public file in the place of the one that is there, which services read anew within a second."""
    written = [key.written() for key in keys]
    if len(written) > _MOST_KEYS:
        raise Misconfigured(
            f"{path} would hold {len(written)} keys, and at most {_MOST_KEYS} are taken. Nothing was changed. Wait "
            "until older ones are over, and retire them, or rotate with --at-once.",
            path=str(path),
        )
    replace_file(path, (json.dumps({"keys": written}, indent=1) + "\n").encode(), mode=0o644)


# -- private keys -----------------------------------------------------------------------------------------------------


def make_private(path: Path) -> OKPKey:
    """Make a key in a file that its owner alone may read, in the place of one that is there."""
    key = OKPKey.generate_key("Ed25519")
    _write_private(path, key)
    return key


def _write_private(path: Path, key: OKPKey) -> None:
    made = {**key.as_dict(private=True), "kid": key.thumbprint()}
    replace_file(path, (json.dumps(made) + "\n").encode())


def read_private(path: Path) -> OKPKey:
    """The key of a file. Raises Misconfigured when it cannot be used, or when others may read it."""
    raw = _read(path, "The key that signs actors' tokens", private=True)
    try:
        found = msgspec.json.decode(raw, type=_Private)
        key = OKPKey.import_key({"kty": found.kty, "crv": found.crv, "x": found.x, "d": found.d})
        if OKPKey.import_key(key.public_key).as_dict()["x"] != found.x or key.thumbprint() != found.kid:
            raise ValueError("its parts are of two keys")
    except (msgspec.DecodeError, JoseError, ValueError, RecursionError) as error:
        # What was read may be a secret, and stands in none of these messages.
        why = (
            "it is no private JWK of Ed25519 with a kid"
            if isinstance(error, msgspec.DecodeError | JoseError)
            else error
        )
        raise Misconfigured(
            f"The key that signs actors' tokens, {path}, cannot be used: {why}.", path=str(path)
        ) from None
    return key


def _read(path: Path, what: str, *, private: bool = False) -> bytes:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            raw = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise Misconfigured(f"{what}, {path}, cannot be read: {error.strerror}.", path=str(path)) from error
    if len(raw) > _MOST_BYTES:
        raise Misconfigured(
            f"{what}, {path}, is larger than {_MOST_BYTES:,} bytes: it is something else.", path=str(path)
        )
    if private and mode & 0o077:
        told = f"{what[0].lower()}{what[1:]}, {path}. Run: chmod 600 {path}"
        raise Misconfigured(f"Others than its owner may read {told}", path=str(path))
    return raw


# -- all of a ledger --------------------------------------------------------------------------------------------------


def publish(path: Path, own: Mapping[str, PublicKey]) -> bool:
    """Make the public file hold these keys, and of the issuer's those that it held before and that are not over.

    Gives whether anything changed. Keys of services that are not among these are left out.
    """
    with _alone(path):
        before = read_public(path) if path.exists() else {}
        kept = {kid: key for kid, key in before.items() if key.is_issuer and not _over(key)}
        after = {**{key.kid: key for key in own.values()}, **kept}
        if {kid: key.written() for kid, key in before.items()} == {kid: key.written() for kid, key in after.items()}:
            return False
        write_public(path, after.values())
    return True


def rotate_issuer(
    issuer: Path, public: Path, *, lasts: int, at_once: bool = False
) -> tuple[PublicKey, list[PublicKey]]:
    """Make a new key for the issuer; gives it, and those that are given up, which count for `lasts` seconds more.

    With `at_once` they count no more. The new key is public before anything is signed with it.
    """
    given_up = 0 if at_once else int(time.time()) + lasts
    private = OKPKey.generate_key("Ed25519")
    key = PublicKey.of(private, "user")
    after, old = [key], []
    with _alone(public):
        for one in read_public(public).values():
            if one.is_issuer:
                until = given_up if one.until is None else min(one.until, given_up)
                one = PublicKey(one.kid, one.key, one.authtype, None, until)
                if _over(one):
                    continue
                old.append(one)
            after.append(one)
        write_public(public, after)
        _write_private(issuer, private)
    return key, old


def retire(public: Path) -> list[PublicKey]:
    """Take the keys that are over out of the public file; gives them."""
    with _alone(public):
        keys = list(read_public(public).values())
        over = [one for one in keys if _over(one)]
        if over:
            write_public(public, [one for one in keys if not _over(one)])
    return over


@contextmanager
def _alone(public: Path) -> Iterator[None]:
    """One at a time changes the public file. Raises Misconfigured when its folder cannot be used."""
    try:
        folder = os.open(public.parent, os.O_RDONLY)
    except OSError as error:
        raise Misconfigured(f"{public.parent} cannot be used: {error.strerror}.", path=str(public.parent)) from error
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _over(key: PublicKey) -> bool:
    return key.until is not None and key.until <= time.time()
