"""Who a process is to NATS: an nkey, whose seed is in a file that NATS_NKEY_SEED_FILE names.

The server knows the public key and what its owner may do (services/deploy/permissions.py); the seed never leaves this
process. Each user has inboxes of its own, so that nobody hears what another was answered.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import nkeys

from shared.errors import Misconfigured

SEED_FILE: Final = "NATS_NKEY_SEED_FILE"

INBOX: Final = "_INBOX"
"""What inboxes begin with; with an nkey, a token of the public key follows."""

ANSWERED: Final = (f"{INBOX}.", "_R_.")
"""What reply subjects begin with that are answered: an inbox, or the server's own name for one of another account."""

API: Final = "$JS.API"
"""What requests to JetStream begin with."""

IMPORTED_API: Final = "JS.API"
"""The same for a user with an nkey, whose account has no streams of its own: it imports what it may ask for, under
another name, since the server answers the usual one for the account itself."""

_TOKEN: Final = 16
"""Characters of the public key that tell the inboxes of one user from another's: 80 bits."""


@dataclass(frozen=True)
class Credentials:
    """One user of the NATS server."""

    seed: str = field(repr=False)
    public: str

    @classmethod
    def of_seed(cls, seed: str) -> Credentials:
        """The user of a seed, `SU…`. Raises ValueError when it is none."""
        try:
            pair = nkeys.from_seed(bytearray(seed.strip().encode()))
            public = pair.public_key.decode()
        except (nkeys.NkeysError, ValueError, TypeError) as error:
            raise ValueError("it is no seed of an nkey") from error
        if not public.startswith("U"):
            raise ValueError("it is not the seed of a user's nkey, which begins with SU")
        return cls(seed.strip(), public)

    @classmethod
    def generate(cls) -> Credentials:
        """A new user."""
        return cls.of_seed(nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER).decode())

    @classmethod
    def from_file(cls, path: Path) -> Credentials:
        """The user whose seed a file holds. Raises Misconfigured when it cannot be used, or when others may read it."""
        try:
            mode = path.stat().st_mode
            text = path.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not plain text"
            raise Misconfigured(f"The seed of the NATS user, {path}, cannot be read: {why}.", path=str(path)) from error
        if mode & 0o077:
            raise Misconfigured(
                f"Others than its owner may read the seed of the NATS user, {path}. Run: chmod 600 {path}",
                path=str(path),
            )
        try:
            return cls.of_seed(text)
        except ValueError as error:
            raise Misconfigured(
                f"The seed of the NATS user, {path}, cannot be used: {error}.", path=str(path)
            ) from error

    @property
    def inbox(self) -> str:
        """What the inboxes of this user begin with."""
        return f"{INBOX}.{self.public[-_TOKEN:]}"

    def sign(self, nonce: str) -> str:
        """The server's challenge, signed, as CONNECT carries it."""
        pair = nkeys.from_seed(bytearray(self.seed.encode()))
        return base64.b64encode(pair.sign(nonce.encode())).decode()


def current(environment: Mapping[str, str] | None = None) -> Credentials | None:
    """The user that this process is; None when the server asks for none. Raises Misconfigured."""
    path = (os.environ if environment is None else environment).get(SEED_FILE)
    return Credentials.from_file(Path(path)) if path else None


def api(credentials: Credentials | None) -> str:
    """What requests of a user to JetStream begin with."""
    return API if credentials is None else IMPORTED_API


def inbox(credentials: Credentials | None) -> str:
    """What the inboxes of a user begin with."""
    return INBOX if credentials is None else credentials.inbox
