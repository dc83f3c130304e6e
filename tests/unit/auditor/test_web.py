"""The logs over HTTP: checkpoints and hash tiles for everybody, entries of people's ledgers for who has a token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.auditor.checkpoint import Checkpoint
from services.auditor.notes import Note, Signer
from services.auditor.tiles import TileLog, Tiles
from services.auditor.web import TilesWeb, read_tokens
from shared.errors import Misconfigured
from tests.support.logs import some_events

TOKEN = "0123456789abcdef0123456789abcdef"
EVENTS = some_events(300)


@pytest.fixture
def web(tmp_path: Path) -> TilesWeb:
    """The logs of two services, and something beside them that is nobody's business."""
    for service in ("inventory", "clinic"):
        folder = tmp_path / "tiles" / service
        with TileLog.open(folder) as log:
            log.append(EVENTS)
            signer = Signer.generate(f"pantry/commons/{service}")
            text = Checkpoint(signer.name, 300, log.root_at(300)).text()
            log.publish(Note(text, [signer.sign(text)]).to_bytes())
        (folder / "keys").mkdir()
        (folder / "keys" / "log.vkey").write_text(f"{signer.verifier}\n")
    (tmp_path / "tiles" / "secret").write_text("no")
    (tmp_path / "secret").write_text("no")
    return TilesWeb(tmp_path / "tiles", [TOKEN])


async def ask(
    web: TilesWeb, path: str, method: str = "GET", token: str | None = None
) -> tuple[int, bytes, dict[str, str]]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [] if token is None else [(b"authorization", f"Bearer {token}".encode())]
    await web({"type": "http", "method": method, "path": path, "headers": headers}, None, send)
    body = b"".join(one["body"] for one in sent[1:])
    return sent[0]["status"], body, {name.decode(): value.decode() for name, value in sent[0]["headers"]}


async def test_anybody_can_read_what_proves_and_the_open_entries(web: TilesWeb, tmp_path: Path) -> None:
    status, checkpoint, headers = await ask(web, "/log/clinic/checkpoint")
    assert (status, headers["content-type"][:10], headers["cache-control"]) == (200, "text/plain", "no-cache")
    assert Checkpoint.parse(Note.parse(checkpoint).text).size == 300
    found = {path: (await ask(web, f"/log/inventory/{path}"))[1] for path in (
        "tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/000", "tile/entries/001.p/44",
    )}  # fmt: skip
    tiles = Tiles(found.get, 300)
    assert list(tiles.entries()) == EVENTS
    assert (
        tiles.root_at(300) == Checkpoint.parse(Note.parse((await ask(web, "/log/inventory/checkpoint"))[1]).text).root
    )
    assert (await ask(web, "/log/inventory/tile/0/000"))[2]["cache-control"] == "public, max-age=31536000, immutable"
    assert (await ask(web, "/log/inventory/keys/log.vkey"))[0] == 200
    status, body, headers = await ask(web, "/log/clinic/tile/0/000", "HEAD")
    assert (status, body, headers["content-length"]) == (200, b"", "8192")


async def test_entries_of_people_need_a_token(web: TilesWeb) -> None:
    for token in (None, "", "wrong", TOKEN[:-1]):
        status, body, headers = await ask(web, "/log/clinic/tile/entries/000", token=token)
        assert (status, b"authorised auditors" in body) == (401, True)
        assert headers["www-authenticate"] == 'Bearer realm="log"'
    status, body, headers = await ask(web, "/log/clinic/tile/entries/000", token=TOKEN)
    assert (status, headers["cache-control"][:7]) == (200, "private")
    assert EVENTS[0] in body


@pytest.mark.parametrize(
    "path",
    [
        "/log", "/log/", "/log/secret", "/log/inventory", "/log/inventory/", "/log/inventory/../secret",
        "/log/inventory/../../secret", "/log/nobody/checkpoint", "/log/inventory/tile/0/../../checkpoint",
        "/log/inventory/tile/0/0", "/log/inventory/tile/0/002", "/log/inventory/keys/../checkpoint",
        "/log/inventory/checkpoints/2026-11-26.jsonl", "/log/inventory//checkpoint", "/log/inventory/tile/0/001.p",
    ],
)  # fmt: skip
async def test_nothing_else_is_served(web: TilesWeb, path: str) -> None:
    status, body, _ = await ask(web, path)
    assert status == 404 and b"no\n" not in body and body != b"no"


async def test_nothing_can_be_changed(web: TilesWeb) -> None:
    assert (await ask(web, "/log/inventory/checkpoint", "PUT"))[0] == 405


def test_tokens_are_in_a_file_that_others_cannot_read(tmp_path: Path) -> None:
    assert read_tokens(None) == []
    file = tmp_path / "tokens"
    with pytest.raises(Misconfigured, match="cannot be read"):
        read_tokens(file)
    file.write_text(f"{TOKEN}\n\n")
    file.chmod(0o644)
    with pytest.raises(Misconfigured, match="chmod 600"):
        read_tokens(file)
    file.chmod(0o600)
    assert read_tokens(file) == [TOKEN]
    file.write_text("short\n")
    with pytest.raises(Misconfigured, match="fewer than 16"):
        read_tokens(file)
