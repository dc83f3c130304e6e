"""Sealing one text under one key: AES-256-GCM, bound to whose it is, the event it stands in, and the field.

    sealed:<number of the key>:<owner>:<field>:<base64url of: event id (16 bytes), nonce (12), ciphertext, tag (16)>

Everything in front of the ciphertext is authenticated with it, so a sealed text opens only as what it says it is; who
knows the event that it stands in compares that too. Texts are filled up to a multiple of 16 bytes, so that lengths tell
little.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import uuid
from functools import lru_cache
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.errors import Corrupt, Invalid, TooLarge
from shared.personal import SEALED_PATTERN
from shared.types import ID_PATTERN

KEY_BYTES: Final = 32
MAX_TEXT_BYTES: Final = 16_384
"""Of one text, in UTF-8. What an event holds in all is bounded as ever."""

_ID_BYTES: Final = 16
_NONCE_BYTES: Final = 12
_BLOCK: Final = 16
_SEALED = re.compile(SEALED_PATTERN)
_HEAD = re.compile(SEALED_PATTERN.removesuffix(":[A-Za-z0-9_-]+$"))
_TO_BASE64: Final = bytes.maketrans(b"-_+/=", b"+/!!!")
"""From base64url without padding; what has no place in it becomes what base64 refuses."""
_OWNER = re.compile(rf"^[a-z0-9_]+/{ID_PATTERN.lstrip('^')}")


def is_owner(text: str) -> bool:
    """Whether a text names an owner of a key: `party/p-12`."""
    return _OWNER.fullmatch(text) is not None


def is_sealed(text: str) -> bool:
    return _SEALED.fullmatch(text) is not None


class Head(NamedTuple):
    """What stands in front of a ciphertext: the key, whose it is, and the field. The texts of a chart share a few."""

    number: int
    owner: str
    field: str
    bound: bytes
    """As it is authenticated with the ciphertext."""


class Parts(NamedTuple):
    """What a sealed text says of itself, before it is opened."""

    head: Head
    event: bytes
    """The id of the event that it stands in."""
    box: bytes
    """Nonce, ciphertext and tag."""

    @property
    def number(self) -> int:
        return self.head.number

    @property
    def owner(self) -> str:
        return self.head.owner

    @property
    def field(self) -> str:
        return self.head.field

    @property
    def event_id(self) -> str:
        return str(uuid.UUID(bytes=self.event))


def seal(cipher: AESGCM, number: int, owner: str, event_id: str, field: str, text: str) -> str:
    """The sealed form of a text. Raises TooLarge, and Invalid when it holds a null character."""
    plain = text.encode()
    if len(plain) > MAX_TEXT_BYTES:
        raise TooLarge(
            f"The field {field} is {len(plain):,} bytes; a sealed text holds at most {MAX_TEXT_BYTES:,}.",
            field=field, bytes=len(plain), limit=MAX_TEXT_BYTES,
        )  # fmt: skip
    if "\0" in text:
        raise Invalid(f"The field {field} holds a null character, which no text has. Leave it out.", field=field)
    id_bytes = bytes.fromhex(event_id.replace("-", ""))
    head = f"sealed:{number}:{owner}:{field}:"
    nonce = os.urandom(_NONCE_BYTES)
    filled = plain + bytes(-len(plain) % _BLOCK or _BLOCK * (not plain))
    box = cipher.encrypt(nonce, filled, head.encode() + id_bytes)
    return head + base64.urlsafe_b64encode(id_bytes + nonce + box).rstrip(b"=").decode()


def sealed_length(owner: str, field: str, text: str) -> int:
    """How many characters the sealed form of a text has at the most: what decides how much fits into an event."""
    filled = len(text.encode()) // _BLOCK * _BLOCK + _BLOCK
    box = _ID_BYTES + _NONCE_BYTES + filled + _BLOCK
    return len(f"sealed:{10**9 - 1}:{owner}:{field}:") + -(-box * 4 // 3)


def parts_of(text: str) -> Parts:
    """What a sealed text says of itself. Raises Corrupt when it is none."""
    before, _, written = text.rpartition(":")
    head = _head(before)
    if head is None or not written:
        raise _not_sealed(text)
    try:
        padded = written.encode("ascii").translate(_TO_BASE64) + b"=" * (-len(written) % 4)
        raw = binascii.a2b_base64(padded, strict_mode=True)
    except ValueError as error:
        if not is_sealed(text):
            raise _not_sealed(text) from None
        raise Corrupt(f"A sealed text of {head.owner} is cut off or changed: {error}.", owner=head.owner) from error
    if len(raw) < _ID_BYTES + _NONCE_BYTES + 2 * _BLOCK:
        raise Corrupt(f"A sealed text of {head.owner} is cut off: it is {len(raw)} bytes.", owner=head.owner)
    return Parts(head, raw[:_ID_BYTES], raw[_ID_BYTES:])


@lru_cache(maxsize=4096)
def _head(before: str) -> Head | None:
    """What stands before the last colon, taken apart once for all the texts that share it; None when it is no head."""
    if _HEAD.fullmatch(before) is None:
        return None
    _, number, owner, field = before.split(":")
    return Head(int(number), owner, field, f"{before}:".encode())


def _not_sealed(text: str) -> Corrupt:
    return Corrupt(f"A text that should be sealed is not: it has {len(text)} characters of another form.")


def unseal(cipher: AESGCM, parts: Parts) -> str:
    """The text. Raises Corrupt when it was not sealed so under this key: changed, or moved from another place."""
    head, event, box = parts
    try:
        plain = cipher.decrypt(box[:_NONCE_BYTES], box[_NONCE_BYTES:], head.bound + event)
    except InvalidTag as error:
        raise Corrupt(
            f"The sealed {head.field} of {head.owner} in event {parts.event_id} was changed, or is not from there.",
            owner=head.owner, field=head.field, event_id=parts.event_id,
        ) from error  # fmt: skip
    return plain.rstrip(b"\0").decode()
