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
from dataclasses import dataclass
from typing import Final

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
_OWNER = re.compile(rf"^[a-z0-9_]+/{ID_PATTERN.lstrip('^')}")


def is_owner(text: str) -> bool:
    """Whether a text names an owner of a key: `party/p-12`."""
    return _OWNER.fullmatch(text) is not None


def is_sealed(text: str) -> bool:
    return _SEALED.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Parts:
    """What a sealed text says of itself, before it is opened."""

    number: int
    owner: str
    field: str
    event_id: str
    box: bytes
    """Nonce, ciphertext and tag."""


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
    if not is_sealed(text):
        raise Corrupt(f"A text that should be sealed is not: it has {len(text)} characters of another form.")
    _, number, owner, field, written = text.split(":")
    try:
        raw = base64.urlsafe_b64decode(written + "=" * (-len(written) % 4))
    except binascii.Error as error:
        raise Corrupt(f"A sealed text of {owner} is cut off or changed: {error}.", owner=owner) from error
    if len(raw) < _ID_BYTES + _NONCE_BYTES + 2 * _BLOCK:
        raise Corrupt(f"A sealed text of {owner} is cut off: it is {len(raw)} bytes.", owner=owner)
    h = raw[:_ID_BYTES].hex()
    event_id = f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"
    return Parts(int(number), owner, field, event_id, raw[_ID_BYTES:])


def unseal(cipher: AESGCM, parts: Parts) -> str:
    """The text. Raises Corrupt when it was not sealed so under this key: changed, or moved from another place."""
    bound = f"sealed:{parts.number}:{parts.owner}:{parts.field}:".encode()
    bound += bytes.fromhex(parts.event_id.replace("-", ""))
    try:
        plain = cipher.decrypt(parts.box[:_NONCE_BYTES], parts.box[_NONCE_BYTES:], bound)
    except InvalidTag as error:
        raise Corrupt(
            f"The sealed {parts.field} of {parts.owner} in event {parts.event_id} was changed, or is not from there.",
            owner=parts.owner, field=parts.field, event_id=parts.event_id,
        ) from error  # fmt: skip
    return plain.rstrip(b"\0").decode()
