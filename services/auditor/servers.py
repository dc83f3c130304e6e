"""The servers of NATS as metrics: they tell of themselves as JSON, over HTTP, which Prometheus does not read.

The auditor asks for all processes, as it is one and always there.
"""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

import structlog
from prometheus_client import Gauge

from shared.clock import utc_now

log = structlog.get_logger(__name__)

EVERY_SECONDS: Final = 10.0
_ANSWER_SECONDS: Final = 3.0
_MOST_BYTES: Final = 1 << 20

_UP: Final = Gauge("commons_nats_up", "1 when a server of NATS tells of itself.", ["server"])
_HEALTHY: Final = Gauge("commons_nats_healthy", "1 when it says that its streams are well and current.", ["server"])
_VARZ: Final = {
    "mem": Gauge("commons_nats_memory_bytes", "Memory of the server.", ["server"]),
    "connections": Gauge("commons_nats_connections", "Connections to the server.", ["server"]),
    "slow_consumers": Gauge("commons_nats_slow_consumers", "Connections it closed as too slow.", ["server"]),
}
_STORAGE: Final = Gauge("commons_nats_storage_bytes", "Bytes of its streams.", ["server"])
_CERTIFICATE: Final = Gauge(
    "commons_nats_certificate_seconds", "How long the certificate that it shows is valid yet.", ["server"]
)
_STORAGE_LIMIT: Final = Gauge("commons_nats_storage_limit_bytes", "Bytes that its streams may have.", ["server"])


async def watch_servers(urls: str, every: float = EVERY_SECONDS) -> None:
    """Ask each server of some monitoring addresses, commas between, for as long as the process lives."""
    servers = [one.strip().rstrip("/") for one in urls.split(",") if one.strip()]
    down: set[str] = set()
    while True:
        for url in servers:
            try:
                await asyncio.to_thread(_measure, url)
                down.discard(url)
            except (OSError, ValueError, TypeError, AttributeError) as error:
                _UP.labels(_name(url)).set(0)
                _HEALTHY.labels(_name(url)).set(0)
                if url not in down:
                    log.warning("a server of NATS tells nothing of itself", url=url, reason=str(error))
                down.add(url)
        await asyncio.sleep(every)


def _measure(url: str) -> None:
    server = _name(url)
    told, streams = _read(f"{url}/varz"), _read(f"{url}/jsz")
    for name, gauge in _VARZ.items():
        gauge.labels(server).set(float(told.get(name, 0)))
    if (until := told.get("tls_cert_not_after")) is not None:  # of the certificate that it has read, not of the file
        _CERTIFICATE.labels(server).set((datetime.fromisoformat(until) - utc_now()).total_seconds())
    _STORAGE.labels(server).set(float(streams.get("storage", 0)))
    _STORAGE_LIMIT.labels(server).set(float((streams.get("config") or {}).get("max_storage", 0)))
    _UP.labels(server).set(1)
    try:
        _HEALTHY.labels(server).set(float(_read(f"{url}/healthz").get("status") == "ok"))
    except urllib.error.HTTPError:  # 503: it is not
        _HEALTHY.labels(server).set(0)


def _read(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url, timeout=_ANSWER_SECONDS) as answer:  # noqa: S310 - settings.py lets HTTP through alone
        found: dict[str, Any] = json.loads(answer.read(_MOST_BYTES))
        return found


def _name(url: str) -> str:
    return urlsplit(url).netloc
