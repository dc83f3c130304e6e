"""`commons status`, `projections`, `verify` and `import` over a running ledger."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import nats
import pytest

from services.local.nats import NatsServer
from services.projections.registry import PROJECTIONS
from shared.migrations import migrate_database
from tests.integration.commands.conftest import Commons, running

ITEMS = """item,name,unit,net_weight_g,gtin,minimum
pasta,Pasta 500 g,each,500,,20
lentils,Lentils,g,,,1000
bad,Bad,pounds,,,
"""
RECEIPTS = """delivery;received_at;location;source;item;quantity;lot;date;date_kind
D1;2026-11-02T09:00:00Z;main;donation;pasta;48;P1;2027-05-01;best_before
D1;2026-11-02T09:00:00Z;main;donation;4006381333931;10;R8;2027-11-25;expiry
D2;2026-11-02T09:00:00Z;main;donation;nobody-knows;10;;;
"""


def test_the_clinics_read_models_are_folded_by_the_role_that_owns_them(commons: Commons) -> None:
    """They log in as it: the process could not become anybody else."""

    async def logins() -> set[tuple[str, bool]]:
        connection = await asyncpg.connect(commons.described["database_url"])
        try:
            rows = await connection.fetch("SELECT application_name, usename FROM pg_stat_activity")
        finally:
            await connection.close()
        return {
            (row["usename"], row["application_name"].startswith("projection clinic_"))
            for row in rows if row["application_name"].startswith("projection ")
        }  # fmt: skip

    assert asyncio.run(logins()) == {("commons", False), ("commons_clinic", True)}


def test_a_ledger_that_runs_is_well(commons: Commons) -> None:
    done = commons("status")
    assert (done.code, "All is well" in done.out) == (0, True), done.out
    told = commons("status", "--json").json
    assert told["ok"]
    assert {service["name"]: service["state"] for service in told["services"]} == {
        "inventory": "ready", "distribution": "ready", "treasury": "ready", "projections": "ready",
        "clinic": "ready", "clinic-projections": "ready", "fhir": "ready", "auditor": "ready",
    }  # fmt: skip
    assert {stream["name"]: stream["differences"] for stream in told["streams"]} == {
        "CLINIC": [], "DISTRIBUTION": [], "INVENTORY": [], "TREASURY": [],
    }  # fmt: skip
    assert {manager["failure"] for manager in told["managers"]} == {None}


def test_servers_without_services_are_not_well(nats_server: NatsServer, database_url: str, tmp_path: Path) -> None:
    asyncio.run(migrate_database(database_url))
    done = Commons(tmp_path)("status", "--nats-url", nats_server.url, "--database-url", database_url)
    assert done.code == 1
    assert "inventory is not running" in done.out
    assert "There is no stream INVENTORY" in done.out
    assert Commons(tmp_path)("status").code == 3


def test_a_stream_that_is_not_safe_is_named(nats_server: NatsServer, database_url: str, tmp_path: Path) -> None:
    async def unsafe() -> None:
        nc = await nats.connect(nats_server.url)
        await nc.jetstream().add_stream(name="INVENTORY", subjects=["ledger.inventory.>"])
        await nc.close()

    asyncio.run(unsafe())
    asyncio.run(migrate_database(database_url))
    told = Commons(tmp_path)("status", "--json", "--nats-url", nats_server.url, "--database-url", database_url).json
    assert not told["ok"]
    assert any("deny_purge" in problem for problem in told["problems"])


def test_read_models_are_listed_and_rebuilt(commons: Commons) -> None:
    before = {p["name"]: p["generation"] for p in commons("projections", "list", "--json").json["projections"]}
    assert commons("projections", "list").code == 0
    made = commons("projections", "rebuild", "movements", "--json")
    assert (made.code, made.json["live"]) == (0, True)
    after = {p["name"]: p["generation"] for p in commons("projections", "list", "--json").json["projections"]}
    assert after == before | {"movements": made.json["generation"]}
    assert after["movements"] > before["movements"]
    assert commons("projections", "rebuild", "nothing").code == 2
    assert commons("projections", "parked", "--json").json == []
    assert commons("projections", "retry", "movements", "1").code == 1
    assert commons("projections", "skip", "movements", "1", "--reason", " ").code == 1
    assert commons("projections", "skip", "movements", "1").code == 2


def test_a_whole_ledger_verifies(commons: Commons) -> None:
    done = commons("verify")
    assert (done.code, "The ledger is whole" in done.out) == (0, True), done.out
    told = commons("verify", "--streams-only", "--json").json
    assert told["ok"]
    streams = ("INVENTORY", "DISTRIBUTION", "TREASURY", "CLINIC")
    checked = {check["name"] for check in told["checks"]}
    always = {f"{stream}: {what}" for stream in streams for what in ("chain", "aggregates")}
    assert always <= checked <= always | {f"{stream}: log" for stream in streams}


def test_the_auditors_logs_give_receipts_and_verify_by_themselves(commons: Commons, tmp_path: Path) -> None:
    sequence = commons.send("RegisterItem", "--item", "proven", "--name", "Proven", "--unit", "each")["sequence"]
    file, logs = tmp_path / "proven.tlog-proof", commons.data / "tiles"
    made = commons("receipt", f"INVENTORY:{sequence}", "--output", str(file), "--json")
    assert (made.code, made.json["about"]) == (0, "item/proven"), made.out
    key = logs / "inventory" / "keys" / "log.vkey"
    held = commons("verify-receipt", str(file), "--log-key", str(key), "--json")
    assert (held.code, held.json["sequence"], held.json["id"]) == (0, sequence, made.json["id"]), held.out
    told = commons("verify", str(logs), "--log-key", str(key), "--json").json
    found = {check["name"]: check for check in told["checks"]}
    assert found["inventory: root"]["count"] >= sequence and found["inventory: root"]["problem"] is None, told
    log = next(
        one for one in commons("verify", "--streams-only", "--json").json["checks"] if one["name"] == "INVENTORY: log"
    )
    assert log["problem"] is None and log["count"] >= sequence


def test_read_models_are_replayed_beside_the_live_ones(commons: Commons) -> None:
    sequence = commons.send("RegisterItem", "--item", "before-replay", "--name", "Before", "--unit", "each")["sequence"]
    moment = datetime.now(UTC).isoformat()
    after = commons.send("RegisterItem", "--item", "after-replay", "--name", "After", "--unit", "each")["sequence"]
    commons("show", "items", "--at-least", str(after))
    done = commons("replay", "catalogue")
    assert (done.code, "Equal to the live read model" in done.out) == (0, True), done
    assert "-c 'TABLE replay_catalogue_1." in done.out
    assert commons.described["database_url"] not in done.out, "the password is in no output"
    then = commons("replay", "catalogue", "--until", moment, "--json").json
    by_number = commons("replay", "catalogue", "--until", f"INVENTORY:{sequence}", "--json").json
    assert then["ok"]
    (one,), (other,) = then["replays"], by_number["replays"]
    assert one["positions"] == other["positions"] == {"INVENTORY": sequence}
    assert [t["digest"] for t in one["tables"]] == [t["digest"] for t in other["tables"]]
    assert one["tables"][0]["extra"] == 1
    everything = commons("replay", "--all", "--drop", "--json")
    assert (everything.code, everything.json["ok"]) == (0, True), everything
    assert {r["model"] for r in everything.json["replays"] if r["level"]} == set(PROJECTIONS)
    listed = commons("replay", "--list", "--json").json["replays"]
    assert [r["schema"] for r in listed] == [f"replay_catalogue_{n}" for n in (1, 2, 3)]
    assert "replay_catalogue_2" in commons("replay", "--list").out
    for found in listed:
        assert commons("replay", "--remove", found["schema"]).code == 0
    assert commons("replay", "--list", "--json").json["replays"] == []
    for arguments, said in (
        (["--remove", "replay_catalogue_1"], "no replay"),
        (["catalogue", "--until", f"{datetime.now(UTC):%Y-%m-%d}"], "yet to come"),
        (["catalogue", "--until", "2020-01-01"], "first event of INVENTORY was recorded at"),
        (["catalogue", "--until", "999999"], "there is no event 999,999"),
        (["--all", "--until", "2020-01-01"], "had nothing to show"),
    ):
        refused = commons("replay", *arguments)
        assert (refused.code, said in refused.err) == (1, True), refused


def test_a_row_changed_by_hand_is_named_by_a_replay(commons: Commons) -> None:
    async def change(name: str) -> None:
        connection = await asyncpg.connect(commons.described["database_url"])
        try:
            await connection.execute("UPDATE read.locations SET name = $1 WHERE location = 'main'", name)
        finally:
            await connection.close()

    asyncio.run(change("Elsewhere"))
    try:
        done = commons("replay", "catalogue", "--drop")
        assert (done.code, "in the row location=main, name is 'Elsewhere'" in done.out) == (1, True), done
    finally:
        asyncio.run(change("Main store"))


def test_items_and_receipts_are_imported_once(commons: Commons, tmp_path: Path) -> None:
    items, receipts = tmp_path / "items.csv", tmp_path / "receipts.csv"
    items.write_text(ITEMS)
    receipts.write_text(RECEIPTS)
    before = commons.last()
    tried = commons("import", "items", str(items), "--dry-run", "--json")
    assert (tried.code, tried.json["valid"], tried.json["refused"]) == (1, 2, 1)
    assert commons.last() == before
    first = commons("import", "items", str(items))
    assert first.code == 1
    assert "2 new" in first.out
    assert "pounds" in first.out
    again = commons("import", "items", str(items), "--json").json
    assert (again["new"], again["unchanged"]) == (0, 2)
    commons("show", "items", "--at-least", str(commons.last()))
    brought = commons("import", "receipts", str(receipts), "--json").json
    assert (brought["new"], brought["refused"]) == (2, 1)
    assert [refusal["line"] for refusal in brought["refusals"]] == [4]
    again = commons("import", "receipts", str(receipts), "--json").json
    assert (again["new"], again["unchanged"]) == (0, 2)


def test_recalls_are_matched_by_barcode_and_the_rest_is_for_a_person(commons: Commons, tmp_path: Path) -> None:
    notice = {
        "recall_number": "F-0001-2027", "recalling_firm": "A mill", "classification": "Class II",
        "product_type": "Food", "report_date": "20261101", "reason_for_recall": "Undeclared milk",
        "product_description": "Rice 1 kg, UPC 4006381333931", "code_info": "Lot R9",
    }  # fmt: skip
    other = notice | {"recall_number": "F-0002-2027", "product_description": "Something else", "code_info": "all"}
    file = tmp_path / "recalls.json"
    file.write_text(json.dumps({"results": [notice, other]}))
    report = commons("import", "recalls", str(file), "--json")
    assert (report.code, report.json["new"], report.json["for_a_person"]) == (0, 1, 1), report.out
    last = commons.last()
    rows = commons("show", "recalls", "F-0001-2027", "--at-least", str(last), "--json").json["rows"]
    assert [(row["item"], row["classification"]) for row in rows] == [("rice", "II")]


@pytest.mark.parametrize("kind", ["items", "receipts", "recalls"])
@pytest.mark.parametrize("raw", [b"", b"\xff\xfe", b'{"results": [', b"a;b;c\n1;2", b"name\x00"])
def test_a_file_that_cannot_be_read_is_refused_whole(commons: Commons, tmp_path: Path, kind: str, raw: bytes) -> None:
    file = tmp_path / "broken"
    file.write_bytes(raw)
    before = commons.last()
    done = commons("import", kind, str(file))
    assert (done.code, done.out) == (1, ""), done
    assert "broken" in done.err
    assert commons.last() == before
    assert commons("import", kind, str(tmp_path / "nothing")).code == 2


def test_a_poison_event_is_listed_and_skipped(tmp_path: Path) -> None:
    with running(tmp_path) as commons:
        commons.send("RegisterItem", "--item", "rice", "--name", "Rice", "--unit", "each", "--wait", "catalogue")
        event = json.loads(commons("tail", "--last", "1", "--json").out)
        event["data"] = {"item": "rice", "occurred_at": "not a moment"}

        async def poison() -> int:
            nc = await nats.connect(commons.described["nats_url"])
            stored = await nc.jetstream().publish("ledger.inventory.item.poison", json.dumps(event).encode())
            await nc.close()
            return stored.seq

        at = str(asyncio.run(poison()))
        commons("show", "items", "--at-least", at)
        done = commons("status")
        assert (done.code, "set 1 event(s) aside" in done.out) == (1, True), done.out
        parked = commons("projections", "parked", "catalogue", "--json").json
        assert [(one["sequence"], one["status"]) for one in parked] == [(int(at), "parked")]
        again = commons("projections", "retry", "catalogue", at)
        assert (again.code, "could not be folded" in again.err) == (1, True)
        reason = ["--reason", "recorded by a broken program"]
        assert commons("projections", "skip", "catalogue", at, *reason).code == 0
        assert commons("projections", "parked", "catalogue", "--json").json == []
        settled = commons("projections", "parked", "catalogue", "--settled", "--json").json
        assert [(one["status"], one["reason"]) for one in settled] == [("skipped", "recorded by a broken program")]
        broken = commons("verify", "--json")
        assert (broken.code, broken.json["ok"]) == (1, False)


def test_whoever_gets_no_answer_is_told_the_id_to_ask_again_under(nats_server: NatsServer, tmp_path: Path) -> None:
    command = ["send", "inventory", "RegisterItem", "--item", "rice", "--name", "Rice", "--unit", "each"]
    server = ["--nats-url", nats_server.url, "--timeout", "0.5"]
    done = Commons(tmp_path)(*command, *server, "--json")
    assert (done.code, done.json["code"]) == (3, "OUTCOME_UNKNOWN")
    assert "--id" in done.json["detail"]
    assert done.json["id"]
    done = Commons(tmp_path)(*command, *server, "--id", "rice-1")
    assert "Its id is rice-1" in done.err


def test_an_import_goes_on_when_the_service_dies_in_the_middle(commons: Commons, tmp_path: Path) -> None:
    count = 1500
    file = tmp_path / "many.csv"
    file.write_text("item,name,unit\n" + "".join(f"thing-{i},Thing {i},each\n" for i in range(count)))
    first = commons.send("RegisterItem", "--item", "before-many", "--name", "X", "--unit", "each")["sequence"]
    process = commons.process("import", "items", str(file), "--json")
    killed = commons.described["services"]["inventory"]["pid"]
    last = first
    while last == first:
        assert process.poll() is None
        streams = json.loads(commons("status", "--json").out)["streams"]
        last = next(stream["last_sequence"] for stream in streams if stream["name"] == "INVENTORY")
    os.kill(killed, signal.SIGKILL)
    out, err = process.communicate(timeout=90)
    assert process.returncode == 0, err
    report = json.loads(out)
    assert (report["new"] + report["unchanged"], report["refused"]) == (count, 0)
    told = [json.loads(line) for line in commons("tail", "--from", str(first + 1), "--json").out.splitlines()]
    registered = [event["data"]["item"] for event in told if event["subject"].startswith("item/thing-")]
    assert sorted(registered) == sorted(f"thing-{i}" for i in range(count))
