"""A service that knows its actors: it takes the commands of those who show who they are, and refuses others clearly."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import nats
import nats.errors
import pytest
from nats.aio.client import Client

from services.local.nats import NatsServer
from shared.actorkeys import rotate_issuer
from shared.actors import Held, Signed, Verifier
from shared.actortoken import HEADER, Signer
from shared.client import CommandClient
from shared.errors import OutcomeUnknown
from shared.message import Refused
from shared.rights import Rights
from shared.service import Service
from shared.settings import Settings
from tests.support import actors
from tests.support.actors import Keys, keys_in, wrong_tokens
from tests.support.kiosk import DECIDERS, kiosk


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    server = NatsServer(tmp_path_factory.mktemp("nats"))
    asyncio.run(server.start())
    yield server
    asyncio.run(server.stop())


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return keys_in(tmp_path)


@pytest.fixture
async def nc(server: NatsServer, keys: Keys) -> AsyncIterator[Client]:
    """A client of a running service, whose clock stands at the tokens' moment when it is asked for."""
    verifier = Verifier(keys.public, service="kiosk", chapter="local", clock=lambda: CLOCK[0] or time.time())
    settings = Settings(NATS_URL=server.url, NATS_MONITORING_URL=server.monitor_url)
    service = Service(kiosk, DECIDERS, settings, verifier=verifier)
    await service.start()
    client = await nats.connect(server.url)
    yield client
    CLOCK[0] = 0.0
    await client.close()
    await service.stop()


CLOCK = [0.0]
COMMAND = "command.kiosk.take-ticket"


def body(id: str, **more: Any) -> bytes:
    envelope = {
        "specversion": "1.0", "id": id, "source": "/test", "type": "commons.kiosk.take-ticket", "authid": "ada",
        "data": {"counter": "north", "holder": "Ann"},
    } | more  # fmt: skip
    return json.dumps(envelope).encode()


async def asked(nc: Client, raw: bytes, token: str | None) -> dict[str, Any]:
    headers = None if token is None else {HEADER: token}
    found: dict[str, Any] = json.loads((await nc.request(COMMAND, raw, timeout=5, headers=headers)).data)
    return found


async def length(nc: Client) -> int:
    return (await nc.jetstream().stream_info("KIOSK")).state.messages


async def test_each_wrong_token_is_refused_and_leaves_nothing(
    nc: Client, keys: Keys, capfd: pytest.CaptureFixture[str]
) -> None:
    CLOCK[0] = float(actors.NOW)
    before, wrong = await length(nc), wrong_tokens(keys)
    for number, (name, (token, reason)) in enumerate(wrong.items()):
        reply = await asked(nc, body(f"wrong-{number}"), token)
        problem = reply["problem"]
        assert (reply["status"], problem["code"], problem["status"]) == ("refused", "UNAUTHENTICATED", 401), name
        assert problem["reason"] in (reason, "other_audience"), name  # they are of inventory
    assert await length(nc) == before
    said = "".join(capfd.readouterr())
    assert not [name for name, (token, _) in wrong.items() if token and len(token) > 20 and token in said]


async def test_who_acts_is_taken_from_the_token_alone(nc: Client, keys: Keys) -> None:
    token = keys.signer().token("ada", ["kiosk"])
    taken = await asked(nc, body("mine"), token)
    assert (taken["status"], taken["event"]["authid"], taken["event"]["authtype"]) == ("accepted", "ada", "user")
    before = await length(nc)
    for more in ({"authid": "eve"}, {"authtype": "process"}, {"authtype": "service"}):
        reply = await asked(nc, body("theirs", **more), token)
        assert (reply["problem"]["code"], reply["problem"]["reason"]) == ("UNAUTHENTICATED", "other_actor"), more
    assert await length(nc) == before
    stored = await nc.jetstream().get_last_msg("KIOSK", "ledger.kiosk.counter.north")
    assert HEADER not in (stored.headers or {}) and token.encode() not in (stored.data or b"")


@pytest.mark.parametrize("outside", [(), ("fulfilling",)])
async def test_a_process_of_a_name_that_this_service_has_within_is_not_taken_from_outside(
    nc: Client, keys: Keys, monkeypatch: pytest.MonkeyPatch, outside: tuple[str, ...]
) -> None:
    """Its key is another service's, whose manager has the same name."""
    commands = [spec.cls for spec in kiosk.commands.values()]
    monkeypatch.setattr(kiosk, "rights", Rights(kiosk, StrEnum("None", []), {}, {"fulfilling": commands}, outside))
    token = Signer.from_file(keys.process, "local").token("fulfilling", ["kiosk"], authtype="process")
    before = await length(nc)
    own = {"authid": "fulfilling", "authtype": "process"}
    reply = await asked(nc, body(f"named-{len(outside)}", **own), token)
    if outside:
        assert (reply["status"], reply["event"]["authid"]) == ("accepted", "fulfilling")
    else:
        assert (reply["problem"]["code"], await length(nc)) == ("FORBIDDEN", before)


async def test_whoever_does_not_show_themselves_learns_nothing_of_the_service(nc: Client) -> None:
    for raw in (b"", b"{", body("x"), b"\xff" * 3000):
        assert (await asked(nc, raw, None))["problem"]["reason"] == "missing"
    reply = json.loads((await nc.request("command.kiosk.no-such", b"{}", timeout=5)).data)
    assert reply["problem"]["reason"] == "missing"


async def test_a_refusal_of_a_second_request_is_no_answer_to_the_first(
    nc: Client, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command was recorded, its answer was lost, and by then the sender's token is over."""
    before, request = await length(nc), nc.request

    async def lose_the_answer(*arguments: Any, **more: Any) -> Any:
        await request(*arguments, **more)
        token.write_text(keys.signer().token("cleo", ["kiosk"], now=1_000))
        monkeypatch.setattr(nc, "request", request)
        raise nats.errors.TimeoutError

    token = keys.folder / "cleo"
    token.touch(mode=0o600)
    token.write_text(keys.signer().token("cleo", ["kiosk"]))
    client = CommandClient(nc, actor="cleo", tokens=Held(token), patience=3)
    monkeypatch.setattr(nc, "request", lose_the_answer)
    with pytest.raises(OutcomeUnknown, match="under the same id"):
        await client.send("kiosk", "TakeTicket", {"counter": "west", "holder": "Cleo"}, id="lost")
    assert await length(nc) == before + 1
    again = CommandClient(nc, actor="cleo", tokens=Signed(keys.signer()))
    assert (await again.send("kiosk", "TakeTicket", {"counter": "west", "holder": "Cleo"}, id="lost")).repeated
    assert await length(nc) == before + 1


async def test_a_client_shows_itself_and_goes_on_through_a_rotation(nc: Client, keys: Keys) -> None:
    def client() -> CommandClient:
        return CommandClient(nc, actor="ben", tokens=Signed(keys.signer()), patience=3)

    before, data = client(), {"counter": "south", "holder": "Ben"}
    assert (await before.send("kiosk", "TakeTicket", data)).status == "accepted"
    rotate_issuer(keys.issuer, keys.public, lasts=3600)
    assert (await client().send("kiosk", "TakeTicket", data)).status == "accepted"
    assert (await before.send("kiosk", "TakeTicket", data)).status == "accepted"
    rotate_issuer(keys.issuer, keys.public, lasts=3600, at_once=True)
    assert (await client().send("kiosk", "TakeTicket", data)).status == "accepted"
    with pytest.raises(Refused) as refused:
        await before.send("kiosk", "TakeTicket", data)
    assert refused.value.problem()["reason"] == "unknown_key"
    with pytest.raises(Refused, match="does not show"):
        await CommandClient(nc, actor="ben", patience=1).send("kiosk", "TakeTicket", data)
