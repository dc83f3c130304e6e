"""The keys of a service process in a test."""

from __future__ import annotations

from services.local.keys import Keys
from services.local.nats import NatsServer


def keys_beside(server: NatsServer) -> dict[str, str]:
    """A master key and a folder for keyrings beside a server's store, as the variables that name them."""
    keys = Keys(server.folder / "keys", {})
    keys.prepare()
    return keys.environment()
