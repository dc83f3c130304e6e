"""A witness for the tests of those who ask one: the real one behind a server of its own, that forgets when it ends."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

from services.auditor.notes import Cosigner, Verifier
from services.auditor.witness import Witness


class TestWitness:
    """Knows the logs whose keys are in a folder of tiles. `status` makes it answer every checkpoint with that, and
    `said`; `publishes` is what it gives as its last; `delay` makes it slow, `endless` answer without an end."""

    __test__ = False  # nothing for pytest to collect

    def __init__(self, tiles: Path, name: str = "witness.example") -> None:
        self.key = Cosigner.generate(name)
        self._tiles = tiles
        self.forget()
        self.status: int | None = None
        self.said = b"as the test wants\n"
        self.publishes: bytes | None = None
        self.delay = 0.0
        self.endless = False
        self.asked = 0
        witness = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with suppress(OSError):
                    while witness.endless:
                        self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                        time.sleep(0.01)
                    self._answer(*witness.answer(self.path, body))

            def do_GET(self) -> None:
                self._answer(*witness.published(self.path))

            def _answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def line(self, name: str) -> str:
        """The line that names it in a policy."""
        return f"witness {name} {self.key.verifier} {self.url}/\n"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def forget(self) -> None:
        """Be as new, with the same key."""
        self._witness = Witness(Path(":memory:"), self.key, self._logs)

    def seen(self) -> set[int]:
        """The sizes that it cosigned last."""
        return {one.size for one in self._witness.seen()}

    def _logs(self) -> list[Verifier]:
        return [Verifier.parse(file.read_text().strip()) for file in self._tiles.glob("*/keys/log.vkey")]

    def answer(self, path: str, body: bytes) -> tuple[int, bytes]:
        self.asked += 1
        time.sleep(self.delay)
        assert path == "/add-checkpoint"
        if self.status is not None:
            return self.status, self.said
        answer = self._witness.add_checkpoint(body)
        return answer.status, answer.body

    def published(self, path: str) -> tuple[int, bytes]:
        note = self.publishes if self.publishes is not None else self._witness.latest(path.split("/")[1])
        return (404, b"") if note is None else (200, note)
