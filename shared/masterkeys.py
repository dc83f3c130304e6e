"""The master keys, under which every other key is wrapped, and how a process is given them.

A file of master keys has one a line, `name:base64 of 32 bytes`. The first is the current one, which wraps; all of them
unwrap. Who has the file and a keyring can read everything that is sealed, so a backup keeps the two apart.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.errors import Misconfigured
from shared.sealing import KEY_BYTES

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,31}")
_NONCE_BYTES: Final = 12


class WrongMasterKey(Misconfigured):
    """The keyring is wrapped under a master key that was not given, or that is another than its name says."""

    code = "WRONG_MASTER_KEY"


class MasterKeys:
    """Master keys by name, the current one first."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._ciphers = {name: AESGCM(key) for name, key in keys.items()}
        self.current = next(iter(keys))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._ciphers)

    def wrap(self, key: bytes, bound: str) -> str:
        """A key wrapped under the current master key, bound to what it is for; base64."""
        nonce = os.urandom(_NONCE_BYTES)
        box = self._ciphers[self.current].encrypt(nonce, key, f"{self.current}|{bound}".encode())
        return base64.b64encode(nonce + box).decode()

    def unwrap(self, name: str, wrapped: str, bound: str) -> bytes:
        """The key. Raises WrongMasterKey when the master key of that name is not at hand, or does not open it."""
        cipher = self._ciphers.get(name)
        if cipher is None:
            raise WrongMasterKey(
                f"A key of the keyring ({bound}) is wrapped under the master key {name!r}, which was not given; "
                f"given was {', '.join(self.names)}. Add its line to the file of master keys. Nothing was changed.",
                master=name,
            )  # fmt: skip
        try:
            raw = base64.b64decode(wrapped, validate=True)
            return cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], f"{name}|{bound}".encode())
        except (InvalidTag, ValueError) as error:
            raise WrongMasterKey(
                f"The master key {name!r} does not open a key of the keyring ({bound}): it is another key of the same "
                "name, or the keyring was changed. Give the one that the keyring was made with. Nothing was changed.",
                master=name,
            ) from error


def bound_to(service: str, owner: str, number: int) -> str:
    """What a wrapped key is bound to."""
    return f"{service}|{owner}|{number}"


def name_of(key: bytes) -> str:
    """The name that a master key is given when nobody names it: the same key always has the same one."""
    return "k" + hashlib.sha256(b"commons master key\0" + key).hexdigest()[:12]


def given(file: Path | None, text: str | None) -> MasterKeys | None:
    """The master keys that the settings name; None when they name none. Raises Misconfigured."""
    if file is not None and text is not None:
        raise Misconfigured("Both COMMONS_MASTER_KEY_FILE and COMMONS_MASTER_KEY are set. Leave one of them out.")
    if file is not None:
        return from_file(file)
    return None if text is None else from_text(text)


def from_file(path: Path) -> MasterKeys:
    """The master keys of a file. Raises Misconfigured when it cannot be used, or when others may read it."""
    try:
        mode = path.stat().st_mode
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not plain text"
        raise Misconfigured(f"The file of master keys {path} cannot be read: {why}.", path=str(path)) from error
    if mode & 0o077:
        raise Misconfigured(
            f"Others than its owner may read the file of master keys {path}. Run: chmod 600 {path}", path=str(path)
        )
    keys: dict[str, bytes] = {}
    for number, line in enumerate(lines, 1):
        if line.strip():
            name, _, written = line.strip().partition(":")
            if not _NAME.fullmatch(name) or name in keys:
                raise Misconfigured(
                    f"{path}, line {number}: a line is `name:base64`, each name of letters, digits and hyphens and "
                    "only once.",
                    path=str(path), line=number,
                )  # fmt: skip
            keys[name] = _decoded(written, f"{path}, line {number}")
    if not keys:
        raise Misconfigured(f"The file of master keys {path} is empty.", path=str(path))
    return MasterKeys(keys)


def from_text(written: str) -> MasterKeys:
    """The one master key that an environment variable holds, in base64. Raises Misconfigured."""
    key = _decoded(written, "COMMONS_MASTER_KEY")
    return MasterKeys({name_of(key): key})


def _decoded(written: str, where: str) -> bytes:
    try:
        key = base64.b64decode(written.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise Misconfigured(f"{where}: a master key is 32 bytes in base64, as `openssl rand -base64 32` writes it.")
    return key


def add_to_file(path: Path) -> str:
    """Put a new master key in front of those of a file, which is made if it is not there; gives its name.

    The file is whole, the old or the new, whatever happens meanwhile.
    """
    key = secrets.token_bytes(KEY_BYTES)
    line = f"{name_of(key)}:{base64.b64encode(key).decode()}\n"
    before = path.read_text(encoding="ascii") if path.exists() else ""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace_file(path, (line + before).encode())
    return name_of(key)


def replace_file(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a file that its owner alone may read, synced to disk, in one step; the one that was there is overwritten.

    Who owned that one owns the new one. Overwriting is all that a program can do: a file system or a disk may keep
    older blocks.
    """
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.chmod(mode)
    old = os.open(path, os.O_RDWR) if path.exists() else None
    if old is not None and (owner := os.fstat(old)).st_uid != os.geteuid():
        os.chown(fresh, owner.st_uid, owner.st_gid)
    try:
        fresh.replace(path)
        sync_folder(path.parent)
        if old is not None:
            os.pwrite(old, bytes(os.fstat(old).st_size), 0)
            os.fsync(old)
    finally:
        if old is not None:
            os.close(old)


def sync_folder(folder: Path) -> None:
    """Sync the names in a folder to disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
