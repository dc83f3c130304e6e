"""Every user of a deployment tries what it may not do, is refused at once, and is told what it was refused."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import nats
import pytest

from services.commands.contracts import CONTRACTS
from services.deploy.migrate import make_streams
from services.deploy.permissions import users
from services.deploy.secrets import prepare
from services.inventory.contract import inventory
from services.local.nats import NatsServer
from shared import halt
from shared.client import CommandClient
from shared.connection import LedgerClient, connect
from shared.errors import Denied, Misconfigured
from shared.keybucket import KeyBucket
from shared.leading import Leadership
from shared.positions import KvPositions
from shared.store import EventStore
from shared.wire import StreamReader
from shared.wireconnection import connect as connect_wire
from shared.wireconnection import denied
from shared.writer import Writer
from tests.support.deployment import Deployment, deployed
from tests.support.kiosk import TakeTicket
from tests.support.ledger import ledger, until

USERS = [user.name for user in users()]
SERVICES = ("inventory", "distribution", "treasury", "clinic")
OPERATORS = ("operator", "clinic-operator")
BUCKETS = ["KV_AUDIT", "KV_PROCESSES", *(f"KV_keys-{s}" for s in SERVICES), *(f"OBJ_snapshots-{s}" for s in SERVICES)]
STREAMS = [service.upper() for service in SERVICES]

READERS = {
    "INVENTORY": {
        "inventory", "distribution", "clinic", "projections", "clinic-projections", "auditor", "restorer", *OPERATORS
    },
    "DISTRIBUTION": {"distribution", "projections", "auditor", "restorer", *OPERATORS},
    "TREASURY": {"treasury", "projections", "auditor", "restorer", *OPERATORS},
    "CLINIC": {"clinic", "clinic-projections", "auditor", "restorer", "clinic-operator"},
}  # fmt: skip
"""Who may read a stream. Written here a second time, so that nobody gains a right without a test being changed."""

KEY_WRITERS = {service: {service, "keeper"} for service in SERVICES} | {"clinic": {"clinic", "clinic-keeper"}}
KEY_READERS = {
    "inventory": {*KEY_WRITERS["inventory"], *OPERATORS},
    "distribution": {*KEY_WRITERS["distribution"], "projections", *OPERATORS},
    "treasury": {*KEY_WRITERS["treasury"], *OPERATORS},
    "clinic": {*KEY_WRITERS["clinic"], "clinic-projections", "fhir", "clinic-operator"},
}

WHO_IS_ERASED = {
    "INVENTORY": {"keeper"}, "DISTRIBUTION": {"keeper"}, "TREASURY": {"keeper"}, "CLINIC": {"fhir", "clinic-keeper"}
}  # fmt: skip
"""Who reads of a stream who is erased, and nothing else."""

HOW_FAR = {stream: {"migrate", "clinic-keeper" if stream == "CLINIC" else "keeper"} for stream in STREAMS}
"""Who may know of a stream, beside its readers, how it is configured and how far it goes."""

SENDERS = {
    "inventory": {*OPERATORS},
    "distribution": {*OPERATORS},
    "treasury": {*OPERATORS},
    "clinic": {"clinic-operator"},
}
"""Who may send any command; process managers send a few, which are named."""


def forbidden(user: str) -> Iterable[str]:
    """Subjects that a user may not publish to."""
    for service, stream in zip(SERVICES, STREAMS, strict=True):
        if user not in (service, "restorer"):
            yield f"ledger.{service}.stock.x"
        if user not in KEY_WRITERS[service]:
            yield f"$KV.keys-{service}.donor/x"
            yield f"JS.API.STREAM.MSG.DELETE.KV_keys-{service}"
        if user != service:
            yield f"$O.snapshots-{service}.C.x"
            yield f"JS.API.STREAM.PURGE.OBJ_snapshots-{service}"
            yield f"$KV.PROCESSES.{service}.{stream}.erasing"
            yield from (f"leader.{service}.ask", f"leader.{service}.news")
        if user not in READERS[stream]:
            yield from (f"JS.API.STREAM.MSG.GET.{stream}", f"JS.API.DIRECT.GET.{stream}")
            yield f"JS.API.DIRECT.GET.{stream}.ledger.{service}.stock.x"
            yield from (f"JS.API.CONSUMER.CREATE.{stream}", f"JS.API.CONSUMER.CREATE.{stream}.mine")
            yield f"JS.API.CONSUMER.CREATE.{stream}.mine.ledger.{service}.stock.>"
            yield f"JS.API.CONSUMER.DURABLE.CREATE.{stream}.mine"
            if user not in HOW_FAR[stream]:
                yield f"JS.API.STREAM.INFO.{stream}"
            if user not in WHO_IS_ERASED[stream]:
                yield f"JS.API.CONSUMER.MSG.NEXT.{stream}.theirs"
        if user not in KEY_READERS[service]:
            yield from (f"JS.API.STREAM.MSG.GET.KV_keys-{service}", f"JS.API.DIRECT.GET.KV_keys-{service}.x")
            yield f"JS.API.CONSUMER.CREATE.KV_keys-{service}"
        if user not in SENDERS[service]:
            yield from (f"command.{service}.request-erasure", f"command.{service}.approve-erasure")
    for stream in (*STREAMS, *BUCKETS):
        yield from (f"JS.API.STREAM.UPDATE.{stream}", f"JS.API.STREAM.DELETE.{stream}")
        yield from (f"JS.API.STREAM.SNAPSHOT.{stream}", f"JS.API.STREAM.RESTORE.{stream}")
        if not stream.startswith("OBJ_"):
            yield f"JS.API.STREAM.PURGE.{stream}"
        if not stream.startswith("KV_keys-"):
            yield f"JS.API.STREAM.MSG.DELETE.{stream}"
        if user != "migrate":
            yield f"JS.API.STREAM.CREATE.{stream}"
    if user != "migrate":
        yield "JS.API.STREAM.CREATE.MINE"
    if user not in (*OPERATORS, "auditor", "restorer"):
        yield "$KV.AUDIT.halt"
    if user != "auditor":
        yield "$KV.AUDIT.checkpoint.inventory"
    yield from (
        "$SYS.REQ.SERVER.PING",
        "JS.API.ACCOUNT.PURGE.X",
        "JS.API.SERVER.REMOVE",
        "JS.API.STREAM.LIST",
        "JS.API.STREAM.NAMES",
        "anything",
    )


def unheard(user: str, others: str) -> Iterable[str]:
    """Subjects that a user may not subscribe to; `others` is another user's inboxes."""
    yield from (">", "*.>", "ledger.>", "command.>", "$KV.>", "$JS.API.>", "$SYS.>", "_INBOX.>", "_INBOX.*.>", others)
    for service in SERVICES:
        if user != service:
            yield from (f"ledger.{service}.>", f"command.{service}.*", f"ledger.{service}.stock.x")
            yield f"leader.{service}.ask"
        if user not in KEY_READERS[service] or user in OPERATORS:
            yield f"$KV.keys-{service}.>"


@pytest.fixture
async def deployment(tmp_path: Path) -> AsyncIterator[Deployment]:
    async with deployed(tmp_path) as one:
        yield one


async def refused(nc: LedgerClient, subject: str) -> str | None:
    """Ask; what is wrong with the refusal, if anything is."""
    try:
        await nc.request(subject, b"{}", timeout=30)
    except Denied as error:
        right = error.facts["subject"] == subject and subject in error.detail
        return None if right else f"{subject}: refused as {error.detail}"
    except Exception as error:  # noqa: BLE001 - whatever else it is, a time-out for one, is what this looks for
        return f"{subject}: {type(error).__name__} {error}"
    return f"{subject}: answered"


@pytest.mark.parametrize("user", USERS)
async def test_what_is_not_its_work_is_refused_at_once_and_by_name(deployment: Deployment, user: str) -> None:
    async with deployment.client(user) as nc:
        wrong = await asyncio.gather(*(refused(nc, subject) for subject in forbidden(user)))
    assert [one for one in wrong if one] == []


@pytest.mark.parametrize("user", USERS)
async def test_what_is_not_for_it_cannot_be_heard(deployment: Deployment, user: str) -> None:
    other = "operator" if user != "operator" else "clinic"
    heard = []
    async with deployment.client(user) as nc:
        for subject in unheard(user, f"{deployment.credentials(other).inbox}.>"):
            await nc.subscribe(subject)
            try:
                await nc.flush()
                heard.append(subject)
            except Denied as error:
                assert error.facts["action"] == "subscribe to"  # noqa: PT017 - one of many
    assert heard == []


async def test_streams_that_were_read_before_are_looked_for_with_the_rights_of_who_makes_them(
    deployment: Deployment,
) -> None:
    """As each later `up` does: migrate runs again, and the read models know of streams by then."""
    url = deployment.server.monitor_url
    async with deployment.client("migrate") as nc:
        await make_streams(nc, CONTRACTS.values(), url, 1, dict.fromkeys(STREAMS, 7))
        for stream in STREAMS:
            assert (await nc.request(f"JS.API.STREAM.INFO.{stream}", b"")).data


async def test_only_who_has_a_key_gets_in(deployment: Deployment, tmp_path: Path) -> None:
    """And who has none is told so, at once, and not that nobody is there."""
    with pytest.raises(Misconfigured, match="does not know this process's user"):
        await connect(deployment.server.url, name="nobody")
    with pytest.raises(Misconfigured, match="refused this process's user"):
        await connect_wire(deployment.server.url, None, 5, "nobody", False)


async def test_a_reader_is_told_that_it_may_not_read(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setenv("NATS_NKEY_SEED_FILE", str(deployment.seed_file("inventory")))
    async with StreamReader(deployment.server.url, "INVENTORY"):
        pass
    with pytest.raises(Denied, match=r"publish to JS.API.STREAM.INFO.CLINIC"):
        async with StreamReader(deployment.server.url, "CLINIC"):
            pass


async def test_a_writer_is_told_that_it_may_not_write(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setenv("NATS_NKEY_SEED_FILE", str(deployment.seed_file("inventory")))
    writer = Writer(deployment.server.url, name="writer")
    try:
        await writer.ensure_connected()
        assert (await writer.append(("ledger.inventory.stock.x", b"{}", 0, None)))["seq"] == 1
        for frames in (
            [("ledger.clinic.patient.x", b"{}", 0, None)],
            [("ledger.clinic.patient.x", b"{}", 0, None)] * 3,
        ):
            await writer.ensure_connected()
            with pytest.raises(Denied, match=r"publish to ledger.clinic.patient.x"):
                await (writer.append_batch(frames) if len(frames) > 1 else writer.append(frames[0]))
    finally:
        writer.close()


async def test_the_store_and_the_client_say_what_was_refused(deployment: Deployment) -> None:
    async with deployment.client("treasury") as nc:
        with pytest.raises(Denied, match=r"STREAM\.INFO\.INVENTORY"):
            await EventStore(nc, inventory).ensure(deployment.server.monitor_url)
        with pytest.raises(Denied, match=r"DIRECT\.GET\.INVENTORY"):
            await EventStore(nc, inventory).at(1)
        with pytest.raises(Denied, match=r"command\.inventory\.open-location"):
            await CommandClient(nc, actor="eve").send("inventory", "OpenLocation", {})
        with pytest.raises(Denied, match="KV_keys-clinic"):
            await KeyBucket.open(nc, "clinic")
        with pytest.raises(Denied, match=r"\$KV.AUDIT.halt|KV_AUDIT"):
            await halt.put(nc, halt.Halt(halted=True, reason="mischief", at="now", by="eve"))
        assert await halt.read(nc) is None


async def test_positions_of_two_services_are_apart(deployment: Deployment) -> None:
    """Two services have a manager `supply` that follows inventory: each has a position of its own."""
    async with deployment.client("distribution") as one, deployment.client("clinic") as other:
        distribution, clinic = await KvPositions.open(one, "distribution"), await KvPositions.open(other, "clinic")
        await distribution.save("INVENTORY.supply", 7)
        assert await clinic.load("INVENTORY.supply") == 0
        await clinic.save("INVENTORY.supply", 9)
        assert await distribution.load("INVENTORY.supply") == 7


def targets(user: str) -> list[str]:
    """Subjects that are stored, or that make the server do something, and that a user may not publish to."""
    mine = {one for one in users() if one.name == user}.pop().publish
    found = [f"ledger.{service}.stock.x" for service in SERVICES]
    found += [f"$KV.keys-{service}.x" for service in SERVICES] + [f"$O.snapshots-{service}.C.x" for service in SERVICES]
    found += ["$KV.AUDIT.halt", "$KV.AUDIT.checkpoint.clinic", "$KV.PROCESSES.clinic.INVENTORY.supply"]
    for prefix in ("$JS.API", "JS.API"):
        found += [f"{prefix}.STREAM.DELETE.{stream}" for stream in (*STREAMS, "KV_AUDIT")]
        found += [f"{prefix}.STREAM.PURGE.{stream}" for stream in (*STREAMS, "KV_keys-clinic")]
    return [one for one in found if not any(matches(pattern, one) for pattern in mine)]


def matches(pattern: str, subject: str) -> bool:
    wanted, given = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        wanted, given = wanted[:-1], given[: len(wanted) - 1]
    return len(wanted) == len(given) and all(one in ("*", two) for one, two in zip(wanted, given, strict=True))


def stored(deployment: Deployment) -> dict[str, int]:
    """How far each stream has come, as the server itself says."""
    with urllib.request.urlopen(f"{deployment.server.monitor_url}/jsz?streams=1") as answer:
        accounts = json.load(answer)["account_details"]
    return {one["name"]: one["state"]["last_seq"] for account in accounts for one in account.get("stream_detail", ())}


@pytest.fixture
async def written(deployment: Deployment) -> Deployment:
    """One with something in each service's stream and bucket of keys: what is answered has bytes to be misused."""
    for service in SERVICES:
        async with deployment.client(service) as nc:
            await nc.request(f"ledger.{service}.stock.x", b"{}", timeout=30)
            await nc.request(f"$KV.keys-{service}.x", b"{}", timeout=30)
    return deployment


@pytest.mark.parametrize("user", USERS)
async def test_the_server_is_not_made_to_write_for_somebody_by_an_answer(written: Deployment, user: str) -> None:
    """Who may ask the server anything names where the answer goes: also a subject that is stored, or obeyed."""
    before = stored(written)
    (rights,) = [one for one in users() if one.name == user]
    asked = [one for one in rights.publish if not one.startswith(("_R_", "JS.API.STREAM.PURGE"))]
    async with written.client(user) as nc:
        for target in targets(user):
            for pattern in asked:
                subject = pattern.replace(">", "ledger.x").replace("*", "x")
                body = b'{"seq":1}' if "MSG.GET" in subject or subject.rpartition(".")[2] in STREAMS else b""
                await nc.publish(subject, body, reply=target, headers={"Nats-Trace-Dest": target})
                await nc.publish(subject, body, reply=target)
        await nc.flush()
    await unharmed(written, user, before)


@pytest.mark.parametrize("user", sorted(set().union(*READERS.values(), *KEY_READERS.values())))
async def test_the_server_is_not_made_to_write_for_somebody_by_a_consumer(written: Deployment, user: str) -> None:
    """Who may read makes a consumer, whose body says where it delivers: nothing is stored or obeyed there."""
    before = stored(written)
    (rights,) = [one for one in users() if one.name == user]
    readable = [one.split(".")[4] for one in rights.publish if one.startswith("JS.API.CONSUMER.CREATE.")]
    others = [f"ledger.{service}.stock.x" for service in SERVICES] + [f"$KV.keys-{service}.x" for service in SERVICES]
    made = []
    async with written.client(user) as nc:
        for subject in (*rights.subscribe, *targets(user)):  # a consumer delivers only where it is listened to
            await nc.subscribe(subject)
        with suppress(Denied):
            await nc.flush()
        for stream in readable:
            which = f".ledger.{stream.lower()}.erasure.>" if user in WHO_IS_ERASED.get(stream, ()) else ""
            for number, target in enumerate(dict.fromkeys([*targets(user), *others])):
                name = f"c{number}"
                config = {"name": name, "deliver_subject": target, "ack_policy": "none", "filter_subject": which[1:]}
                body = {"stream_name": stream, "config": config, "action": "create"}
                subject = f"JS.API.CONSUMER.CREATE.{stream}.{name}{which}"
                answer = json.loads((await nc.request(subject, json.dumps(body).encode(), timeout=30)).data)
                made.append("error" not in answer)
        assert any(made)
    await unharmed(written, user, before)


async def unharmed(deployment: Deployment, user: str, before: dict[str, int]) -> None:
    """Nothing was stored in a stream that the user may not write to, and no stream is gone."""
    (rights,) = [one for one in users() if one.name == user]
    writable = {one.account for one in rights.publishes if not one.exported}
    await asyncio.sleep(0.2)  # what should not come, comes within milliseconds or not at all
    after = stored(deployment)
    assert after.keys() == before.keys()
    assert {name: last for name, last in after.items() if name not in writable and last != before[name]} == {}


async def test_a_consumer_from_outside_reads_its_stream_alone(tmp_path: Path) -> None:
    """Its account is the operator's own, as docs/consuming.md shows it."""
    shown = (Path(__file__).parents[2] / "docs" / "consuming.md").read_text().split("```\n")
    (example,) = [one for one in shown if one.startswith("reader {")]
    prepare(tmp_path / "secrets")
    (tmp_path / "secrets" / "nats" / "readers.conf").write_text(example)
    async with deployed(tmp_path) as one:
        async with one.client("inventory") as nc:
            await nc.request("ledger.inventory.stock.x", b"{}", timeout=30)
        nc = await nats.connect(one.server.url, user="reader", password="change-me", inbox_prefix=b"_INBOX.reader")
        reader = await nc.jetstream(prefix="JS.API").pull_subscribe(stream="INVENTORY", durable=None, subject="")
        (event,) = await reader.fetch(1)
        assert (event.subject, event.metadata.sequence.stream) == ("ledger.inventory.stock.x", 1)
        await nc.publish("JS.API.STREAM.INFO.INVENTORY", b"", reply="ledger.inventory.stock.x")
        await nc.flush()
        assert (await nc.jetstream(prefix="JS.API").stream_info("INVENTORY")).state.messages == 1
        await nc.close()


async def test_no_entry_of_a_bucket_takes_others_away(deployment: Deployment) -> None:
    """A header asks the server to purge what stands before a message: who may lift a halt could erase who did so."""
    async with deployment.client("operator") as nc:
        for reason in ("one", "two"):
            await halt.put(nc, halt.Halt(halted=True, reason=reason, at="now", by="ada"))
            await halt.lift(nc, reason=reason, by="ada", at="now")
        refused = await nc.request("$KV.AUDIT.halt", b"{}", headers={"Nats-Rollup": "all"})
        assert "rollup" in json.loads(refused.data)["error"]["description"]
        assert len(await halt.history(nc)) == 4


async def test_a_service_that_may_not_write_answers_so_and_goes_on_once_it_may(nats_server: NatsServer) -> None:
    async with ledger(nats_server, lanes=1) as one:
        writer = one.committer.writer
        append = writer.append

        async def refuse(frame: Any) -> dict[str, Any]:
            raise denied(True, frame[0])

        writer.append = refuse  # type: ignore[method-assign]
        with pytest.raises(Denied, match=r"publish to ledger\.kiosk\.counter\.door"):
            await asyncio.wait_for(one.send(TakeTicket(counter="door", holder="ada"), "t-1"), 5)
        writer.append = append  # type: ignore[method-assign]
        assert (await one.send(TakeTicket(counter="door", holder="ada"), "t-1")).sequence == 1


async def test_instances_of_a_service_hear_of_one_another(deployment: Deployment) -> None:
    """What asks who leads, and its answer, is allowed to each service among its own."""

    async def nothing() -> None: ...

    for service in SERVICES:
        async with deployment.client(service) as one, deployment.client(service) as other:
            first, second = (Leadership(nc, service, lead=nothing, rest=nothing) for nc in (one, other))
            await first.start()
            await second.start()
            assert second.leader == first.id and not second.leading
            await first.stop()
            await until(lambda second=second: second.leading)
            await second.stop()
