"""Notes: texts that one or more keys have signed, and the keys (c2sp.org/signed-note), with the timestamped
cosignatures of witnesses (c2sp.org/tlog-cosignature, cosignature/v1). Ed25519 (RFC 8032) alone.

signer = Signer.generate("pantry.example/inventory")
raw = Note(text, [signer.sign(text)]).to_bytes()
opened = open_note(raw, [signer.verifier])      # raises BadNote
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from hashlib import sha256
from pathlib import Path
from typing import ClassVar, Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from shared.errors import Corrupt, Misconfigured
from shared.masterkeys import sync_folder

MAX_SIGNATURES: Final = 100
"""A note with more is refused: each costs the reader work. The specification asks for at least 16."""

_MAX_TIME: Final = 2**63 - 1
_KEY_BYTES: Final = 32
_ED25519_BYTES: Final = 64


class BadNote(Corrupt):
    """A note is not of the form that c2sp.org/signed-note asks for, or a known key did not make its signature."""


class BadKey(Misconfigured):
    """A key is not of the form that c2sp.org/signed-note asks for, or is of a kind that is not used here."""


class Kind(IntEnum):
    """The signature type's identifier byte, as c2sp.org/signed-note assigns them."""

    ED25519 = 0x01
    COSIGNATURE = 0x04


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line: who signed (name and key id), and the bytes that their key made."""

    name: str
    key_id: bytes
    value: bytes

    @property
    def line(self) -> str:
        """`— name base64(key id || signature)`, without the newline."""
        return f"— {self.name} {base64.b64encode(self.key_id + self.value).decode()}"

    @property
    def time(self) -> int:
        """When a cosignature was made, in seconds since 1970 UTC. Raises BadNote when this is no cosignature."""
        if len(self.value) != 8 + _ED25519_BYTES:
            raise BadNote(f"The signature of {self.name} has no time in it: it is not a cosignature.")
        return int.from_bytes(self.value[:8], "big")

    @classmethod
    def parse(cls, line: str) -> Signature:
        """The signature of a line. Raises BadNote."""
        mark, name, encoded = line.split(" ") if line.count(" ") == 2 else ("", "", "")
        if mark != "—" or not is_name(name):
            raise BadNote(f"The line {line[:80]!r} is not a signature: it should read '— NAME BASE64'.")
        raw = from_base64(encoded)
        if raw is None or len(raw) <= 4:
            raise BadNote(f"The signature of {name} is not base64 of a key id and a signature.")
        return cls(name, raw[:4], raw[4:])


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key with a name, that says whether a signature is its own."""

    name: str
    kind: Kind
    public: bytes
    key_id: bytes = field(init=False)

    def __post_init__(self) -> None:
        _check_name(self.name)
        if len(self.public) != _KEY_BYTES:
            raise BadKey(f"The public key of {self.name} has {len(self.public)} bytes; Ed25519 has {_KEY_BYTES}.")
        object.__setattr__(self, "key_id", _key_id(self.name, self.kind, self.public))

    def __str__(self) -> str:
        """The key as the specification writes it: `name+hex(key id)+base64(type || public key)`."""
        encoded = base64.b64encode(bytes([self.kind]) + self.public).decode()
        return f"{self.name}+{self.key_id.hex()}+{encoded}"

    @classmethod
    def parse(cls, text: str) -> Verifier:
        """The key that `str` wrote. Raises BadKey."""
        name, key_id, kind, public = _parse_key(text)
        verifier = cls(name, kind, public)
        _check_key_id(name, key_id, verifier.key_id)
        return verifier

    def holds(self, text: str, signature: Signature) -> bool:
        """Whether this key made the signature, over this text."""
        made, message = signature.value, text.encode()
        if (signature.name, signature.key_id) != (self.name, self.key_id):
            return False
        if self.kind is Kind.COSIGNATURE:
            time, made = int.from_bytes(made[:8], "big"), made[8:]
            if time > _MAX_TIME:
                return False
            message = cosigned_message(text, time)
        if len(made) != _ED25519_BYTES:
            return False
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(made, message)
        except InvalidSignature:
            return False
        return True


class _Key:
    """A private key with a name, as golang.org/x/mod/sumdb/note writes it."""

    kind: ClassVar[Kind]

    def __init__(self, name: str, seed: bytes) -> None:
        if len(seed) != _KEY_BYTES:
            raise BadKey(f"The private key of {name} has {len(seed)} bytes; Ed25519 has {_KEY_BYTES}.")
        self._seed = seed
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = Verifier(name, self.kind, self._private.public_key().public_bytes_raw())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.verifier})"

    @property
    def name(self) -> str:
        return self.verifier.name

    @classmethod
    def generate(cls, name: str) -> Self:
        """A new key. Raises BadKey when the name has spaces or a plus."""
        return cls(name, Ed25519PrivateKey.generate().private_bytes_raw())

    def secret(self) -> str:
        """The private key, to be kept: `PRIVATE+KEY+name+hex(key id)+base64(type || seed)`."""
        encoded = base64.b64encode(bytes([self.kind]) + self._seed).decode()
        return f"PRIVATE+KEY+{self.name}+{self.verifier.key_id.hex()}+{encoded}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The key that `secret` wrote. Raises BadKey, which never repeats the key."""
        prefix = "PRIVATE+KEY+"
        if not text.startswith(prefix):
            raise BadKey("This is not a private key: it should read 'PRIVATE+KEY+NAME+ID+BASE64'.")
        name, key_id, kind, seed = _parse_key(text.removeprefix(prefix))
        if kind is not cls.kind:
            raise BadKey(f"The private key of {name} is for signatures of type {kind:#04x}, not {cls.kind:#04x}.")
        key = cls(name, seed)
        _check_key_id(name, key_id, key.verifier.key_id)
        return key

    @classmethod
    def read(cls, path: Path) -> Self:
        """The key in a file. Raises BadKey."""
        try:
            return cls.parse(path.read_text(encoding="utf-8").removesuffix("\n"))
        except (OSError, UnicodeDecodeError) as error:
            raise BadKey(f"The key file {path} cannot be read: {error}.") from error
        except BadKey as error:
            raise BadKey(f"The key file {path} is not whole: {error.detail}") from error

    def write(self, path: Path) -> None:
        """Write the private key to a new file that its owner alone may read, and the public key beside it (`.pub`).

        Raises FileExistsError: a key is never overwritten, because what it signed can only be continued with it.
        """
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for file, text, mode in ((path, self.secret(), 0o600), (public_path(path), str(self.verifier), 0o644)):
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as opened:
                opened.write(text + "\n")
                opened.flush()
                os.fsync(opened.fileno())
        sync_folder(path.parent)


class Signer(_Key):
    """A log's key: it signs the text of a note as it stands."""

    kind = Kind.ED25519

    def sign(self, text: str) -> Signature:
        """Sign a text, which ends in a newline. Raises BadNote."""
        check_text(text)
        return Signature(self.name, self.verifier.key_id, self._private.sign(text.encode()))


class Cosigner(_Key):
    """A witness's key: it signs the body of a checkpoint together with the time."""

    kind = Kind.COSIGNATURE

    def sign(self, text: str, time: int) -> Signature:
        """Cosign a checkpoint's body at `time`, in seconds since 1970 UTC. Raises BadNote."""
        check_text(text)
        if not 0 <= time <= _MAX_TIME:
            raise ValueError(f"{time} is not a time that a cosignature can hold")
        value = time.to_bytes(8, "big") + self._private.sign(cosigned_message(text, time))
        return Signature(self.name, self.verifier.key_id, value)


@dataclass(frozen=True, slots=True)
class Note:
    """A text that ends in a newline, and the signatures under it, checked or not."""

    text: str
    signatures: tuple[Signature, ...]

    def __init__(self, text: str, signatures: Iterable[Signature]) -> None:
        object.__setattr__(self, "text", text)
        object.__setattr__(self, "signatures", tuple(signatures))

    def to_bytes(self) -> bytes:
        """The note as it is stored and sent. Raises BadNote when the text is not one, or nobody signed it."""
        check_text(self.text)
        if not self.signatures:
            raise BadNote("A note needs a signature.")
        return (self.text + "\n" + "".join(signature.line + "\n" for signature in self.signatures)).encode()

    def signed(self, *signatures: Signature) -> Note:
        """The note with these signatures at its end; earlier ones by the same keys are left out."""
        replaced = {(signature.name, signature.key_id) for signature in signatures}
        kept = [each for each in self.signatures if (each.name, each.key_id) not in replaced]
        return Note(self.text, [*kept, *signatures])

    @classmethod
    def parse(cls, raw: bytes) -> Note:
        """Split a note, trusting nothing in it yet. Raises BadNote."""
        try:
            whole = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise BadNote("The note is not UTF-8.") from error
        text, gap, lines = whole.rpartition("\n\n")
        if not gap or not lines.endswith("\n"):
            raise BadNote("The note has no signatures: they stand after an empty line, each line ending in a newline.")
        check_text(text + "\n")
        signatures = lines.removesuffix("\n").split("\n")
        if len(signatures) > MAX_SIGNATURES:
            raise BadNote(f"The note has {len(signatures)} signatures; at most {MAX_SIGNATURES} are read.")
        return cls(text + "\n", [Signature.parse(line) for line in signatures])

    def verified(self, verifiers: Iterable[Verifier]) -> list[Signature]:
        """The signatures that these keys made, one a key, in the note's order; those of other keys are passed over.

        A cosignature has no name in it, so a key that is here under two names counts once.

        Raises BadNote when a signature bears the name and id of one of the keys, and the key did not make it.
        """
        known = _by_id(verifiers)
        found: dict[bytes, Signature] = {}
        for signature in self.signatures:
            verifier = known.get((signature.name, signature.key_id))
            if verifier is None:
                continue
            if not verifier.holds(self.text, signature):
                raise BadNote(
                    f"The signature of {signature.name} (key {signature.key_id.hex()}) does not fit the text: "
                    "text or signature was changed, or another key made it."
                )
            found.setdefault(verifier.public, signature)
        return list(found.values())


def open_note(raw: bytes, verifiers: Sequence[Verifier]) -> Note:
    """The note with the signatures that hold, made by at least one of these keys. Raises BadNote."""
    note = Note.parse(raw)
    found = note.verified(verifiers)
    if not found:
        wanted = ", ".join(f"{each.name} (key {each.key_id.hex()})" for each in verifiers) or "no key at all"
        raise BadNote(f"No key that is trusted here signed the note; wanted: {wanted}.")
    return Note(note.text, found)


def cosigned_message(text: str, time: int) -> bytes:
    """What a witness signs: two lines, then the checkpoint's body (c2sp.org/tlog-cosignature, Ed25519)."""
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def public_path(path: Path) -> Path:
    """Where the public key of a key file stands."""
    return path.with_name(path.name + ".pub")


def is_name(name: str) -> bool:
    """Whether this may be a key's name: not empty, no Unicode space, no plus, no control character."""
    return bool(name) and not any(each.isspace() or each == "+" or each < " " for each in name)


def check_text(text: str) -> None:
    """Raise BadNote unless this may be a note's text: it ends in a newline, and has no other control character."""
    if not text.endswith("\n"):
        raise BadNote("The text of a note ends in a newline.")
    if any(each < " " and each != "\n" for each in text):
        raise BadNote("The text of a note has no control characters besides newlines.")


def from_base64(text: str) -> bytes | None:
    """Decode base64 as RFC 4648, section 4 has it, in its one canonical form; None for anything else."""
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        return None
    return raw if base64.b64encode(raw).decode() == text else None


def _by_id(verifiers: Iterable[Verifier]) -> dict[tuple[str, bytes], Verifier]:
    known: dict[tuple[str, bytes], Verifier] = {}
    for verifier in verifiers:
        if known.setdefault((verifier.name, verifier.key_id), verifier) != verifier:
            raise BadKey(f"Two keys have the name {verifier.name} and the id {verifier.key_id.hex()}: trust one.")
    return known


def _key_id(name: str, kind: Kind, public: bytes) -> bytes:
    """SHA-256(name || 0A || type || public key)[:4]."""
    return sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:4]


def _parse_key(text: str) -> tuple[str, bytes, Kind, bytes]:
    name, key_id, encoded = text.split("+", 2) if text.count("+") >= 2 else ("", "", "")
    raw = from_base64(encoded)
    if not raw or len(key_id) != 8 or not set(key_id) <= set("0123456789abcdef"):
        shown = text.partition("+")[0][:80]  # never the rest, which may be a private key in the wrong place
        raise BadKey(f"The key '{shown}…' is not whole: it should read 'NAME+ID+BASE64', the id in hex digits.")
    _check_name(name)
    try:
        kind = Kind(raw[0])
    except ValueError:
        raise BadKey(f"The key of {name} is of type {raw[0]:#04x}; Ed25519 is 0x01, and for witnesses 0x04.") from None
    return name, bytes.fromhex(key_id), kind, raw[1:]


def _check_key_id(name: str, said: bytes, computed: bytes) -> None:
    if said != computed:
        raise BadKey(f"The key of {name} names itself {said.hex()}, and is {computed.hex()}: it was copied wrongly.")


def _check_name(name: str) -> None:
    if not is_name(name):
        raise BadKey(f"{name[:80]!r} is not a key's name: it is not empty, and has neither spaces nor '+'.")
