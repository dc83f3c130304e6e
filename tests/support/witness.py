"""A witness for the tests of those who ask one: the real one behind a server of its own, that forgets when it ends."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

from services.auditor.notes import Cosigner, Verifier
from services.auditor.witness import Witness


class TestWitness:
    """Knows the logs whose keys are in a folder of tiles. `status` makes it answer everything with that; `delay` makes
    it slow."""

    __test__ = False  # nothing for pytest to collect

    def __init__(self, tiles: Path, name: str = "witness.example") -> None:
        self.key = Cosigner.generate(name)
        self._tiles = tiles
        self.forget()
        self.status: int | None = None
        self.delay = 0.0
        self.asked = 0
        witness = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                status, body = witness.answer(self.path, self.rfile.read(int(self.headers["Content-Length"])))
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
            return self.status, b"as the test wants\n"
        answer = self._witness.add_checkpoint(body)
        return answer.status, answer.body
