"""A process of the ledger: a FastStream application around something that starts, tells its health, and stops.

FastStream brings the lifecycle, the signals, the HTTP endpoints and the status subject. Commands and events do not pass
through its subscribers: those carry 7,000 requests a second where a plain subscription carries 43,000
(docs/decisions/0003-faststream.md).
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, MutableMapping
from typing import Any, Final, Protocol, runtime_checkable

import structlog
import uvloop
from faststream.asgi import AsgiFastStream, AsgiResponse, get
from faststream.nats import NatsBroker, NatsNKey, NatsSecurity
from faststream.specification import AsyncAPI
from prometheus_client import make_asgi_app

from shared import telemetry, tls
from shared.connection import PING_SECONDS, PINGS, LedgerClient, servers
from shared.credentials import ANSWERED, Credentials, current, inbox
from shared.errors import LedgerError
from shared.garbage import collect_seldom
from shared.settings import Settings, load
from shared.webserver import Asgi, listen, problem

log = structlog.get_logger(__name__)


PATHS: Final = ("/healthz", "/readyz", "/metrics")
"""What every process answers over HTTP."""


class Component(Protocol):
    """What an application runs."""

    async def start(self) -> None:
        """Be ready for work when this returns. Raises LedgerError when that is not to be."""

    async def stop(self) -> None:
        """Finish what was begun, then let go of everything."""

    def health(self) -> dict[str, Any]:
        """`ok`: whether it is worth keeping; `ready`: whether it takes work now; and whatever else tells its state."""


@runtime_checkable
class Web(Protocol):
    """A component that answers HTTP requests of its own beside health and metrics: those under `prefix`, by `http`.

    `entrance` is the path, under the prefix, at which a client begins.
    """

    prefix: str
    entrance: str
    http: Asgi


def mounted(application: Asgi, component: Component) -> Asgi:
    """The application, with a component's own HTTP under its prefix: FastStream's routes are of one exact path each.

    At any other address the answer says which there are.
    """
    web = component if isinstance(component, Web) else None
    here = (*PATHS, web.entrance) if web is not None else PATHS
    nothing = AsgiResponse(
        problem(404, "no-such-address", f"There is nothing at this address. There are: {', '.join(here)}."), 404,
        headers={"content-type": "application/problem+json"},
    )  # fmt: skip

    async def dispatch(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        path = scope.get("path", "")
        if scope["type"] != "http" or path in PATHS:
            await application(scope, receive, send)
        elif web is not None and (path == web.prefix or path.startswith(f"{web.prefix}/")):
            await web.http(scope, receive, send)
        else:
            await nothing(scope, receive, send)

    return dispatch


class _Broker(NatsBroker):
    """FastStream's, with the ledger's own client, which no message can silence."""

    async def _connect(self) -> LedgerClient:
        client = LedgerClient(current())
        await client.connect(**self._connection_kwargs)
        self.config.connect(client)
        return client


def build(name: str, component: Component, settings: Settings) -> AsgiFastStream:
    """The application: /healthz, /readyz and /metrics over HTTP, and `status.<name>` over NATS."""
    credentials = current()
    broker = _Broker(
        servers(settings.nats_url), name=f"{name}-status", apply_types=False, logger=None, max_reconnect_attempts=-1,
        reconnect_time_wait=0.25, graceful_timeout=2,  # type: ignore[arg-type]
        ping_interval=PING_SECONDS, max_outstanding_pings=PINGS,
        inbox_prefix=inbox(credentials), security=_security(credentials, settings.nats_url),
    )  # fmt: skip

    async def whole(message: Any) -> Any:
        return message

    @broker.subscriber(
        f"status.{name}", title="status", description="Answers with the process's health as JSON.", decoder=whole,
        no_reply=True,
    )  # fmt: skip
    async def status(message: Any) -> None:
        health = component.health()
        # An instance that stands by leaves the answer to the one that leads. A reply subject that is no inbox could be
        # a ledger's.
        if message.reply_to.startswith(ANSWERED) and health.get("leading") is not False:
            await broker.publish(json.dumps(health).encode(), message.reply_to)

    @get
    async def healthz(_: Any) -> AsgiResponse:
        return _answer(component.health(), "ok")

    @get
    async def readyz(_: Any) -> AsgiResponse:
        return _answer(component.health(), "ready")

    return AsgiFastStream(
        broker,
        asgi_routes=list(zip(PATHS, (healthz, readyz, make_asgi_app()), strict=True)),
        logger=None,
        specification=AsyncAPI(title=f"commons {name}"),
    )


def _security(credentials: Credentials | None, url: str) -> NatsSecurity | None:
    options: dict[str, Any] = {}
    if tls.wanted(url):
        options = {"ssl_context": tls.context(), "tls_handshake_first": True}
    if credentials is not None:
        return NatsNKey.from_seed(credentials.seed, **options)
    return NatsSecurity(**options) if options else None


def _answer(health: dict[str, Any], key: str) -> AsgiResponse:
    return AsgiResponse(
        json.dumps(health).encode(), 200 if health.get(key) else 503, headers={"content-type": "application/json"}
    )


async def serve(name: str, component: Component, settings: Settings) -> None:
    """Start a component, serve until SIGINT or SIGTERM, and stop it."""
    await component.start()
    try:
        log.info("started", **{k: v for k, v in component.health().items() if isinstance(v, (str, int))})
        await listen(
            mounted(build(name, component, settings), component), settings.http_host, settings.http_port, lifespan="on"
        )
    finally:
        log.info("stopping")
        await component.stop()


def run(name: str, make: Callable[[Settings], Component]) -> None:
    """Run a component as a process: `make(settings)` gives the component. Exits 3 when it cannot start."""
    try:
        settings = load()
        telemetry.configure(settings, name)
        collect_seldom()
        component: Component = make(settings)
        uvloop.run(serve(name, component, settings))
    except LedgerError as error:
        _fail(name, error)
    except (KeyboardInterrupt, asyncio.CancelledError):
        pass


def _fail(name: str, error: BaseException) -> None:
    print(f"{name} cannot run: {error}", file=sys.stderr)
    raise SystemExit(3)
