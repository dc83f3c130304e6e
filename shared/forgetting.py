"""Destroys the key of whoever was erased, before that is acknowledged in the ledger.

A service sends itself AcknowledgeErasure because of its own PersonErased, and sends it until it is answered, through
any crash (process.py). On that way stands the destruction of the key; so what is acknowledged was done, and what was
decided is done.
"""

from __future__ import annotations

from typing import Final

import msgspec

from shared.command import CommandMeta
from shared.outbox import Send
from shared.vault import Vault

ACKNOWLEDGE: Final = "AcknowledgeErasure"


class _About(msgspec.Struct):
    kind: str
    person: str


_decode: Final = msgspec.json.Decoder(_About).decode


def forgetting(vault: Vault, send: Send) -> Send:
    """Sends as `send` does; before an acknowledgement of the vault's own service, its person's key is destroyed."""

    async def destroy_and_send(service: str, command: str, data: bytes, meta: CommandMeta) -> str:
        if service == vault.service and command == ACKNOWLEDGE:
            about = _decode(data)
            await vault.destroy(f"{about.kind}/{about.person}")
        return await send(service, command, data, meta)

    return destroy_and_send
