"""An issuer and a service's keys in a folder of a test's own, and tokens that are wrong in one way each."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joserfc import jws
from joserfc.jwk import OKPKey

from shared.actorkeys import ALGORITHM, PublicKey, make_private, publish, read_private
from shared.actortoken import TYPE, Signer

NOW = 1_800_000_000


@dataclass(frozen=True)
class Keys:
    folder: Path

    @property
    def issuer(self) -> Path:
        return self.folder / "issuer.jwk"

    @property
    def process(self) -> Path:
        return self.folder / "fulfilling.jwk"

    @property
    def public(self) -> Path:
        return self.folder / "actors.jwks"

    def signer(self, chapter: str = "local") -> Signer:
        return Signer.from_file(self.issuer, chapter)

    def token(self, **more: Any) -> str:
        """A good one, of ada, for inventory."""
        return self.signer().token("ada", ["inventory"], **{"now": NOW} | more)


def keys_in(folder: Path) -> Keys:
    made = Keys(folder)
    publish(
        made.public,
        {
            "issuer": PublicKey.of(make_private(made.issuer), "user"),
            "distribution": PublicKey.of(make_private(made.process), "process", ("fulfilling",)),
        },
    )
    return made


def signed(key: OKPKey, claims: Any, header: dict[str, Any] | None = None, **more: Any) -> str:
    """A token with whatever in it, signed with a key."""
    head = header if header is not None else {"alg": ALGORITHM, "kid": key.thumbprint(), "typ": TYPE} | more
    payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    registry = jws.JWSRegistry(algorithms=[ALGORITHM, "HS256", "none"], strict_check_header=False)
    return jws.serialize_compact(head, payload, key, registry=registry)


def claims(**more: Any) -> dict[str, Any]:
    """The claims of a good one; those that are given as ... are left out."""
    made = {
        "iss": "local", "sub": "ada", "authtype": "user", "aud": ["inventory"], "roles": ["steward"], "iat": NOW,
        "exp": NOW + 300, "jti": "t1",
    } | more  # fmt: skip
    return {name: value for name, value in made.items() if value is not ...}


def in_base64(thing: Any) -> str:
    raw = thing if isinstance(thing, bytes) else json.dumps(thing).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def wrong_tokens(keys: Keys) -> dict[str, tuple[str | None, str]]:
    """By what is wrong with it: a token, and the reason for which it is not taken."""
    key, process = read_private(keys.issuer), read_private(keys.process)
    stranger = OKPKey.generate_key("Ed25519")
    good = signed(key, claims())
    head, body, signature = good.split(".")
    theirs = {"alg": ALGORITHM, "kid": key.thumbprint(), "typ": TYPE}
    flipped = ("A" if signature[10] != "A" else "B").join((signature[:10], signature[11:]))
    more, never = claims(sub="root"), json.dumps(claims()).replace(str(NOW + 300), "1e400").encode()
    found: dict[str, tuple[str | None, str]] = {
        "none": (None, "missing"),
        "empty": ("", "garbage"),
        "words": ("let me in", "garbage"),
        "not ascii": ("é.é.é", "garbage"),
        "two parts": (f"{head}.{body}", "garbage"),
        "four parts": (f"{good}.{signature}", "garbage"),
        "null header": (f"{in_base64(None)}.{body}.{signature}", "garbage"),
        "a header that is text": (f"{in_base64('alg')}.{body}.{signature}", "garbage"),
        "a header that is a list": (f"{in_base64(['alg', 1])}.{body}.{signature}", "garbage"),
        "nested header": (f"{in_base64(b'[' * 300)}.{body}.{signature}", "garbage"),
        "huge": ("a" * 100_000, "too_large"),
        "huge and signed": (signed(key, claims(roles=[f"role_{'x' * 20}"] * 200)), "too_large"),
        "no algorithm": (f"{in_base64(theirs | {'alg': 'none'})}.{body}.", "garbage"),
        "symmetric": (f"{in_base64(theirs | {'alg': 'HS256'})}.{body}.{signature}", "garbage"),
        "the older name": (f"{in_base64(theirs | {'alg': 'EdDSA'})}.{body}.{signature}", "garbage"),
        "another type": (signed(key, claims(), typ="JWT"), "garbage"),
        "no type": (signed(key, claims(), {"alg": ALGORITHM, "kid": key.thumbprint()}), "garbage"),
        "no kid": (signed(key, claims(), {"alg": ALGORITHM, "typ": TYPE}), "garbage"),
        "a kid that is a number": (f"{in_base64(theirs | {'kid': 7})}.{body}.{signature}", "garbage"),
        "a key of its own": (signed(key, claims(), jwk=stranger.as_dict(private=False)), "garbage"),
        "critical": (signed(key, claims(), crit=["b64"], b64=False), "garbage"),
        "a stranger's": (signed(stranger, claims()), "unknown_key"),
        "a stranger's under a known kid": (signed(stranger, claims(), theirs), "forged"),
        "another body": (f"{head}.{in_base64(more)}.{signature}", "forged"),
        "another signature": (f"{head}.{body}.{flipped}", "forged"),
        "no signature": (f"{head}.{body}.", "forged"),
        "no claims": (signed(key, []), "garbage"),
        "claims that are no JSON": (signed(key, b"\xff\xfe"), "garbage"),
        "nested claims": (signed(key, b"[" * 1200), "garbage"),
        "a claim more": (signed(key, claims(admin=True)), "garbage"),
        "a time that is text": (signed(key, claims(exp="2030")), "garbage"),
        "a time that never comes": (signed(key, never), "garbage"),
        "no end": (signed(key, claims(exp=...)), "garbage"),
        "no subject": (signed(key, claims(sub=...)), "garbage"),
        "a subject with a blank": (signed(key, claims(sub="ada lovelace")), "garbage"),
        "no audience": (signed(key, claims(aud=[])), "garbage"),
        "an audience that is text": (signed(key, claims(aud="inventory")), "garbage"),
        "a role with a line break": (signed(key, claims(roles=["steward\n"])), "garbage"),
        "another audience": (signed(key, claims(aud=["treasury", "clinic"])), "other_audience"),
        "another chapter": (signed(key, claims(iss="elsewhere")), "other_chapter"),
        "over": (signed(key, claims(iat=NOW - 600, exp=NOW - 30)), "expired"),
        "made in the future": (signed(key, claims(iat=NOW + 31)), "not_yet"),
        "for eight days": (signed(key, claims(exp=NOW + 8 * 86_400)), "lasts_too_long"),
        "of a process, by the issuer": (signed(key, claims(sub="fulfilling", authtype="process")), "not_for_key"),
        "of a person, by a process": (signed(process, claims()), "not_for_key"),
        "of another process": (signed(process, claims(sub="dispensing", authtype="process")), "not_for_key"),
    }
    return found
