"""TLS to NATS: `tls://` in an address has everything encrypted from the first byte on, and the server's certificate
checked against the authority in the file that NATS_CA_FILE names, or against those of the system.

The server has to begin with TLS too (`handshake_first: true`): one that first says in clear whether it wants TLS could
be stood in for by another that says no.
"""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Mapping
from typing import Final

from shared.errors import Misconfigured

CA_FILE: Final = "NATS_CA_FILE"
_SCHEME: Final = "tls://"


def wanted(urls: str) -> bool:
    """Whether one of the addresses is to be reached over TLS."""
    return any(one.strip().startswith(_SCHEME) for one in urls.split(","))


def context(environment: Mapping[str, str] | None = None) -> ssl.SSLContext:
    """What a client trusts. Raises Misconfigured when the file that is named holds no certificate."""
    path = (os.environ if environment is None else environment).get(CA_FILE)
    try:
        trusted = ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError) as error:
        why = error.strerror if isinstance(error, FileNotFoundError | PermissionError) else "it holds no certificate"
        raise Misconfigured(f"The authority that {CA_FILE} names, {path}, cannot be used: {why}.", path=path) from error
    trusted.minimum_version = ssl.TLSVersion.TLSv1_2
    # Of a connection that was lifted to TLS, and ends, asyncio says that a return value of its own has no effect.
    logging.getLogger("asyncio").addFilter(_is_news)
    return trusted


def _is_news(record: logging.LogRecord) -> bool:
    return "eof_received" not in str(record.msg)


def refused(where: str, error: BaseException) -> Misconfigured | None:
    """What to say of a handshake with a server that failed; None when it failed for want of a connection."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return Misconfigured(
            f"The certificate of the NATS server at {where} is not accepted: {error.verify_message.rstrip('.')}. Look "
            f"at {CA_FILE}, the host name in NATS_URL and the clock; `commons init --renew` makes certificates anew.",
            url=where,
        )  # fmt: skip
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return None  # it went away in the middle, as a server does that stops
    if isinstance(error, ssl.SSLError):
        return Misconfigured(
            f"The NATS server at {where} does not begin with TLS ({error.reason or error}). Set "
            "`handshake_first: true` in the `tls` block of its configuration, or have NATS_URL begin with nats:// where"
            " nobody listens in.",
            url=where,
        )  # fmt: skip
    return None
