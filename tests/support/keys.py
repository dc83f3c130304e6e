"""The keys of a service process in a test."""

from __future__ import annotations

from pathlib import Path

from services.commands.common import roles_of
from services.local.keys import Keys
from services.local.nats import NatsServer
from shared.actors import Signed
from shared.actortoken import HEADER, Signer


def keys_beside(server: NatsServer, service: str = "inventory") -> dict[str, str]:
    """The keys of a service, made beside a server's store, as the variables that name them."""
    keys = Keys(server.folder / "keys", {})
    keys.prepare()
    return keys.environment(service)


def shown_as(server: NatsServer, actor: str, service: str) -> dict[str, str]:
    """The header by which an actor shows who they are, for requests that are made by hand."""
    return {HEADER: tokens_beside(server).token(actor, "user", service)}


def tokens_beside(server: NatsServer) -> Signed:
    """Tokens of everybody, in every role, that services with those keys take."""
    return tokens_of(server.folder / "keys")


def tokens_of(folder: Path) -> Signed:
    """The same of a ledger's folder of keys, as `commons up` makes it."""
    return Signed(Signer.from_file(Keys(folder, {}).issuer, "local"), roles_of)
