"""A witness for the tests of those who ask one: it does as c2sp.org/tlog-witness says, and forgets when it ends."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from services.auditor import merkle
from services.auditor.checkpoint import Checkpoint
from services.auditor.notes import Cosigner, Note, from_base64


class TestWitness:
    """`status` makes it answer everything with that; `delay` makes it slow."""

    __test__ = False  # nothing for pytest to collect

    def __init__(self, name: str = "witness.example") -> None:
        self.key = Cosigner.generate(name)
        self.seen: dict[str, Checkpoint] = {}
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

    def answer(self, path: str, body: bytes) -> tuple[int, bytes]:
        self.asked += 1
        time.sleep(self.delay)
        assert path == "/add-checkpoint"
        if self.status is not None:
            return self.status, b"as the test wants\n"
        head, _, raw = body.partition(b"\n\n")
        first, *proof = head.decode().split("\n")
        note = Note.parse(raw)
        checkpoint = Checkpoint.parse(note.text)
        known = self.seen.get(checkpoint.origin, Checkpoint(checkpoint.origin, 0, merkle.EMPTY_ROOT))
        if first != f"old {known.size}":
            return 409, f"{known.size}\n".encode()
        hashes = [decoded for line in proof if (decoded := from_base64(line)) is not None]
        try:
            merkle.verify_consistency(known.size, checkpoint.size, hashes, known.root, checkpoint.root)
        except merkle.BadProof:
            return 422, b""
        self.seen[checkpoint.origin] = checkpoint
        return 200, f"{self.key.sign(note.text, int(time.time())).line}\n".encode()
