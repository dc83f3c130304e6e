"""`commons tail` over a running ledger."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from pathlib import Path

import nats

from services.inventory.contract import inventory
from services.local.nats import NatsServer
from shared.store import EventStore
from tests.integration.commands.conftest import Commons


def sequences(out: str) -> list[int]:
    return [int(line.split()[0].replace(",", "")) for line in out.splitlines()]


def test_events_are_shown_from_the_end_from_a_sequence_and_by_what_they_are(commons: Commons) -> None:
    first = commons.send("RegisterItem", "--item", "salt", "--name", "Salt", "--unit", "g")["sequence"]
    second = commons.send("RetireItem", "--item", "salt", "--note", "no longer stocked")["sequence"]
    assert sequences(commons("tail", "--last", "1").out) == [second]
    assert sequences(commons("tail", "--from", str(first)).out) == [first, second]
    assert sequences(commons("tail", "--aggregate", "item/salt").out) == [first, second]
    assert sequences(commons("tail", "--aggregate", "salt", "--last", "1").out) == [second]
    assert sequences(commons("tail", "--aggregate", "salt", "--type", "ItemRetired", "--from", "1").out) == [second]
    assert sequences(commons("tail", "--aggregate", "salt", "--type", "item-registered").out)
    assert sequences(commons("tail", "--aggregate", "salt", "--type", "commons.inventory.item-retired.v1").out) == [
        second
    ]
    assert sequences(commons("tail", "--aggregate", "salt", "--type", "item-registered").out) == [first]
    assert commons("tail", "--last", "0").out == ""


def test_a_line_tells_the_event_and_json_gives_its_very_bytes(commons: Commons) -> None:
    sent = commons.send("RegisterItem", "--item", "sugar", "--name", "Sugar", "--unit", "g")
    line = commons("tail", "--last", "1").out
    assert "ItemRegistered" in line
    assert "sugar" in line
    assert json.loads(commons("tail", "--last", "1", "--json").out) == sent["event"]


def test_what_cannot_be_is_exit_2(commons: Commons) -> None:
    assert commons("tail", "--stream", "NOTHING").code == 2
    assert commons("tail", "--stream", "a b").code == 2
    assert commons("tail", "--from", "1", "--last", "1").code == 2
    assert commons("tail", "--from", "0").code == 2
    assert "Did you mean StockReceived?" in commons("tail", "--type", "StockRecieved").err
    assert commons("tail", "--type", "").code == 2


def test_following_shows_what_comes_and_ends_with_ctrl_c(commons: Commons) -> None:
    process = commons.process("tail", "--last", "1", "--follow", "--json")
    assert process.stdout is not None
    try:
        process.stdout.readline()  # the newest there is: from here on it follows
        sent = commons.send("RegisterItem", "--item", "honey", "--name", "Honey", "--unit", "g")
        assert json.loads(process.stdout.readline()) == sent["event"]
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "Traceback" not in err


def test_a_reader_that_goes_away_ends_it_quietly(commons: Commons) -> None:
    for number in range(3):
        commons.send("RegisterItem", "--item", f"jam-{number}", "--name", "Jam", "--unit", "each")
    for arguments in (["tail", "--from", "1", "--follow"], ["show", "items"], ["verify"]):
        process = commons.process(*arguments)
        assert process.stdout is not None
        process.stdout.close()
        if "--follow" in arguments:
            commons.send("RegisterItem", "--item", "jam-last", "--name", "Jam", "--unit", "each")
        assert process.stderr is not None
        try:
            process.wait(timeout=30)
            err = process.stderr.read()
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        assert "Traceback" not in err, err
        assert "Exception" not in err, err


def test_following_goes_on_when_the_server_was_away(nats_server: NatsServer, tmp_path: Path) -> None:
    async def publish(number: int) -> None:
        nc = await nats.connect(nats_server.url)
        await EventStore(nc, inventory).ensure(nats_server.monitor_url)
        event = {"type": "commons.inventory.item-retired.v1", "subject": f"item/a-{number}", "data": {}}
        await nc.jetstream().publish(f"ledger.inventory.item.a-{number}", json.dumps(event).encode())
        await nc.close()

    async def crash() -> None:
        await nats_server.kill()
        await nats_server.start()

    asyncio.run(publish(1))
    process = Commons(tmp_path).process("tail", "--follow", "--json", "--nats-url", nats_server.url)
    assert process.stdout is not None
    try:
        assert json.loads(process.stdout.readline())["subject"] == "item/a-1"
        asyncio.run(crash())
        asyncio.run(publish(2))
        assert json.loads(process.stdout.readline())["subject"] == "item/a-2"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "Traceback" not in err
