"""The keys of a ledger on one machine, in the data folder: the master key, the keyrings, the keys of the logs, and
those by which it is known who acts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from joserfc.jwk import OKPKey

from services.local.process import StartFailed
from services.signers import SIGNERS
from shared.actorkeys import PublicKey, make_private, publish, read_private
from shared.errors import Misconfigured
from shared.keycare import services_in
from shared.masterkeys import MasterKeys, add_to_file, from_file, given

MASTER_KEY_FILE: Final = "COMMONS_MASTER_KEY_FILE"
MASTER_KEY: Final = "COMMONS_MASTER_KEY"
KEYRING: Final = "COMMONS_KEYRING"
LOG_KEYS: Final = "COMMONS_LOG_KEYS"
ACTOR_KEYS: Final = "COMMONS_ACTOR_KEYS"
ACTOR_KEY: Final = "COMMONS_ACTOR_KEY"
ROLES_FROM_TOKENS: Final = "COMMONS_ROLES_FROM_TOKENS"


class Keys:
    """Where master key, keyrings and the logs' keys are: in `folder`, unless the environment names another place.

    The auditor makes the logs' keys itself, at its first start.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self._given = os.environ if environment is None else environment
        self._folder = folder
        self.master = folder / "master.key"
        self.keyring = Path(self._given.get(KEYRING) or folder / "keyring")
        self.log = Path(self._given.get(LOG_KEYS) or folder / "log")
        self.issuer = folder / "actors" / "issuer.jwk"
        self.actors = folder / "actors" / "actors.jwks"

    @property
    def own_master(self) -> bool:
        """Whether the master key is the folder's own."""
        return not (self._given.get(MASTER_KEY_FILE) or self._given.get(MASTER_KEY))

    @property
    def master_file(self) -> Path | None:
        """The file of the master keys; None when the one there is comes as a variable."""
        named = self._given.get(MASTER_KEY_FILE)
        return self.master if self.own_master else Path(named) if named else None

    def prepare(self) -> None:
        """Make the folder and a master key at the first start. Raises StartFailed when one is missing later."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for inner in (self.keyring, self.log, self.actors.parent):
                inner.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._prepare_actors()
            if not self.own_master or self.master.exists():
                return
            if services_in(self.keyring):
                raise StartFailed(
                    f"The file of master keys {self.master} is gone, and the keys in {self.keyring} are of no use "
                    "without it. Put it back from a backup, or name its place with COMMONS_MASTER_KEY_FILE."
                )
            add_to_file(self.master)
        except OSError as error:
            raise StartFailed(f"The folder of keys {self._folder} cannot be used: {error.strerror}.") from error

    def _prepare_actors(self) -> None:
        """Make what is missing of the keys that sign actors' tokens; without an old one, its tokens count no more."""
        try:
            own = {"issuer": PublicKey.of(_made(self.issuer), "user")}
            for name, (authtype, actors) in SIGNERS.items():
                own[name] = PublicKey.of(_made(self._signer(name)), authtype, actors)
            publish(self.actors, own)
        except Misconfigured as error:
            raise StartFailed(error.detail) from error

    def _signer(self, name: str) -> Path:
        return self.actors.with_name(f"{name}.jwk")

    def masters(self) -> MasterKeys | None:
        """The master keys, for who looks at what is sealed; None when there are none. Raises Misconfigured."""
        named, text = self._given.get(MASTER_KEY_FILE), self._given.get(MASTER_KEY)
        if self.own_master:
            return from_file(self.master) if self.master.exists() else None
        return given(Path(named) if named else None, text or None)

    def environment(self, process: str) -> dict[str, str]:
        """What a process is told of it."""
        told = {KEYRING: str(self.keyring), LOG_KEYS: str(self.log), ACTOR_KEYS: str(self.actors)}
        told[ROLES_FROM_TOKENS] = self._given.get(ROLES_FROM_TOKENS, "true")  # who has the folder acts as anybody
        if process in SIGNERS:
            told[ACTOR_KEY] = str(self._signer(process))
        return told | {MASTER_KEY_FILE: str(self.master)} if self.own_master else told


def _made(path: Path) -> OKPKey:
    """The key of a file, made if it is not there."""
    return read_private(path) if path.exists() else make_private(path)
