"""Serves the logs over HTTP (c2sp.org/tlog-tiles): plain files, so any other web server may do it as well.

GET /log/{service}/checkpoint                the newest checkpoint
GET /log/{service}/tile/{level}/{index}      hash tiles
GET /log/{service}/tile/entries/{index}      bundles of entries; but for inventory's, with `Authorization: Bearer …`
GET /log/{service}/keys/{name}.vkey          public keys
"""

from __future__ import annotations

import asyncio
import hmac
import os
import re
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any, BinaryIO, Final

from services.auditor.layout import OPEN, SERVICES, log_folder
from services.auditor.tiles import CHECKPOINT, parse_tile_path
from shared.errors import Misconfigured

PREFIX: Final = "/log"

_VKEY: Final = re.compile(r"keys/(log|witness-[A-Za-z0-9._-]{1,100})\.vkey")
_SHORTEST_TOKEN: Final = 16
_PIECE: Final = 256 << 10
_FOREVER: Final = "public, max-age=31536000, immutable"

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class TilesWeb:
    """An ASGI application over the folder of the logs; `tokens` open the entries that are not public."""

    def __init__(self, tiles: Path, tokens: list[str]) -> None:
        self._tiles = tiles
        self._tokens = [token.encode() for token in tokens]

    async def __call__(self, scope: Scope, _receive: Any, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            await _answer(send, scope, 405, b"Logs are read with GET.\n", allow="GET, HEAD")
            return
        service, _, path = str(scope["path"]).removeprefix(f"{PREFIX}/").partition("/")
        kind = _kind(path) if service in SERVICES else None
        if kind is None:
            await _answer(send, scope, 404, b"There is no such log, or nothing of this name in it.\n")
            return
        if kind == "entries" and service not in OPEN and not self._may(scope):
            told = b"The entries of this log are for authorised auditors: send Authorization: Bearer TOKEN.\n"
            await _answer(send, scope, 401, told, www_authenticate='Bearer realm="log"')
            return
        file = await asyncio.to_thread(_open, log_folder(self._tiles, service) / path)
        if file is None:
            await _answer(
                send, scope, 404, b"Not here, or not any more: a partial tile goes once the full one is there.\n"
            )
        elif kind == "text":
            await _give(send, scope, file, "text/plain; charset=utf-8", "no-cache")
        else:
            private = kind == "entries" and service not in OPEN
            cached = _FOREVER.replace("public", "private") if private else _FOREVER
            await _give(send, scope, file, "application/octet-stream", cached)

    def _may(self, scope: Scope) -> bool:
        given = dict(scope["headers"]).get(b"authorization", b"")
        scheme, _, token = given.partition(b" ")
        return scheme.lower() == b"bearer" and any(hmac.compare_digest(token.strip(), known) for known in self._tokens)


def read_tokens(path: Path | None) -> list[str]:
    """The bearer tokens of a file, one a line; none without a file. Raises Misconfigured."""
    if path is None:
        return []
    try:
        mode, lines = path.stat().st_mode, path.read_text(encoding="ascii").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"The file of tokens {path} cannot be read: {error}.", path=str(path)) from error
    if mode & 0o077:
        raise Misconfigured(f"Others than its owner may read the file of tokens {path}. Run: chmod 600 {path}")
    tokens = [line.strip() for line in lines if line.strip()]
    if any(len(token) < _SHORTEST_TOKEN for token in tokens):
        raise Misconfigured(f"{path} has a token of fewer than {_SHORTEST_TOKEN} characters: `openssl rand -hex 32`.")
    return tokens


def _kind(path: str) -> str | None:
    """What a path below a log names: text, hashes or entries; None for nothing that is served."""
    if path == CHECKPOINT or _VKEY.fullmatch(path):
        return "text"
    try:
        level, _, _ = parse_tile_path(path)
    except ValueError:
        return None
    return "entries" if level is None else "hashes"


def _open(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None


async def _give(send: Send, scope: Scope, file: BinaryIO, content_type: str, cached: str) -> None:
    """Send a file in pieces, each when those before it are read: a bundle of entries may have 16 MB."""
    with file:
        left = os.fstat(file.fileno()).st_size
        lines = [(b"content-type", content_type.encode()), (b"content-length", str(left).encode())]
        lines.append((b"cache-control", cached.encode()))
        await send({"type": "http.response.start", "status": 200, "headers": lines})
        left = 0 if scope["method"] == "HEAD" else left
        while piece := await asyncio.to_thread(file.read, min(left, _PIECE)):
            left -= len(piece)
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def _answer(
    send: Send, scope: Scope, status: int, body: bytes, content_type: str = "text/plain; charset=utf-8", **headers: str
) -> None:
    lines = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode())]
    lines += [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
