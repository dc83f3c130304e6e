"""Every process of the ledger, each as its own user of NATS and role of PostgreSQL, does its work with that alone."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
import time
import urllib.request
from pathlib import Path

import asyncpg
import pytest

from services.commands.common import roles_of
from services.deploy.migrate import make_tables
from services.deploy.secrets import ROLES, prepare
from services.local.postgres import DATABASE, PostgresServer
from services.local.supervisor import ServiceProcess, Supervisor
from services.local.up import SERVICES
from services.signers import SIGNERS
from shared.actors import Signed
from shared.actortoken import Signer
from shared.client import CommandClient
from shared.message import Reply
from tests.support.deployment import Deployment, deployed

_FOREIGN = ("send", "clinic", "CancelErasure", "--kind", "patient", "--person", "p", "--reason", "none")
CLINICAL = ("clinic", "clinic-projections", "fhir", "clinic-operator")


def environment(deployment: Deployment, postgres: PostgresServer, folder: Path, user: str) -> dict[str, str]:
    """What a container of docker-compose.yml is told."""
    secrets = deployment.secrets
    told = {
        "NATS_URL": deployment.server.url,
        "NATS_MONITORING_URL": deployment.server.monitor_url,
        "NATS_NKEY_SEED_FILE": str(deployment.seed_file(user)),
        "COMMONS_MASTER_KEY_FILE": str(secrets / ("clinic-keys" if user in CLINICAL else "keys") / "master.key"),
        "COMMONS_KEYRING": str(folder / f"keyring-{user}"),
        "COMMONS_SNAPSHOT_EVERY": "10",
        "COMMONS_FHIR_QUEUE": str(folder),
        "COMMONS_TILES": str(folder / "tiles"),
        "COMMONS_LOG_KEYS": str(folder / "log-keys"),
        "COMMONS_ACTOR_KEYS": str(secrets / "actors" / "actors.jwks"),
        "COMMONS_ROLES_FROM_TOKENS": "true",
    }
    if user in SIGNERS:
        told["COMMONS_ACTOR_KEY"] = str(secrets / user / "actor.jwk")
    if user.endswith("operator"):
        told["COMMONS_ACTOR_ISSUER_KEY"] = str(secrets / "issuer" / "issuer.jwk")
    if user in ROLES:
        told["DATABASE_URL"] = f"postgresql://{ROLES[user]}@127.0.0.1:{postgres.port}/postgres"
        told["PGPASSFILE"] = str(secrets / user / "pgpass")
    for name in ("COMMONS_KEYRING", "COMMONS_TILES", "COMMONS_LOG_KEYS"):
        Path(told[name]).mkdir(exist_ok=True)
    return told


async def commons(told: dict[str, str], *arguments: str) -> tuple[int, str]:
    """Run the operator's command; its exit code and what it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.cli", *arguments, env={**os.environ, **told, "NO_COLOR": "1", "COLUMNS": "200"},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, said.decode()


async def managed(postgres: PostgresServer) -> str:
    """The login that owns the database where nobody is superuser, as on a managed PostgreSQL."""
    connection = await asyncpg.connect(postgres.url)
    password = secrets.token_hex(16)
    await connection.execute(f"CREATE ROLE managed LOGIN CREATEROLE PASSWORD '{password}'")
    await connection.execute(f"ALTER DATABASE {DATABASE} OWNER TO managed")
    await connection.close()
    return f"postgresql://managed:{password}@127.0.0.1:{postgres.port}/{DATABASE}"


@pytest.mark.slow
async def test_every_process_does_its_work_with_its_rights_alone(tmp_path: Path) -> None:
    reports: list[str] = []
    prepare(tmp_path / "secrets")
    async with deployed(tmp_path) as deployment, PostgresServer(tmp_path / "postgres") as postgres:
        await make_tables(await managed(postgres), deployment.secrets / "migrate" / "roles")
        processes = [
            ServiceProcess(spec, environment=environment(deployment, postgres, tmp_path, spec.name), logs=tmp_path)
            for spec in SERVICES
        ]
        supervisor = Supervisor([processes], reports.append)
        await supervisor.start()
        try:
            await _work(deployment)
            operator = environment(deployment, postgres, tmp_path, "operator")
            for arguments, wanted in (
                (("show", "donors"), "Ada Lovelace"),
                (("show", "stock"), "rice"),
            ):
                code, said = await commons(operator, *arguments)
                assert (code, wanted in said) == (0, True), said
            deadline = time.monotonic() + 60  # read models are built at their own pace
            while "All is well" not in (found := await commons(operator, "status"))[1]:
                assert time.monotonic() < deadline, found[1]
            assert found[0] == 0
            for arguments in (("tail", "--stream", "CLINIC"), _FOREIGN):
                code, said = await commons(operator, *arguments)
                assert (code, "DENIED" in said) == (1, True), said
            everything = environment(deployment, postgres, tmp_path, "clinic-operator")
            code, said = await commons(everything, "verify")
            assert (code, "The ledger is whole" in said) == (0, True), said
        finally:
            await supervisor.stop()
    assert reports == []  # nobody had to be started again
    told = {process.name: process.log.read_text() for process in processes}
    assert {name: text for name, text in told.items() if "iolation" in text or "does not allow" in text} == {}


async def _work(deployment: Deployment) -> None:
    """Some of everything: sealed names, a process manager across services, a snapshot of a long aggregate."""
    tokens = Signed(Signer.from_file(deployment.secrets / "issuer" / "issuer.jwk", "local"), roles_of)
    async with deployment.client("clinic-operator") as nc:
        client = CommandClient(nc, actor="ada", patience=20, tokens=tokens)

        async def send(service: str, command: str, **fields: object) -> Reply:
            return await client.send(service, command, fields)

        await send("inventory", "OpenLocation", location="store", name="Store", kind="store")
        await send("inventory", "RegisterItem", item="rice", name="Rice", unit="each")
        await send("inventory", "RegisterDonor", donor="d1", name="Ada Lovelace", kind="person")
        for number in range(30):
            lines = [{"lot": f"R{number}", "quantity": 10, "date": "2030-01-01", "date_kind": "best_before"}]
            await send("inventory", "ReceiveStock", item="rice", location="store", source="donation", lines=lines)
        with urllib.request.urlopen(f"{deployment.server.monitor_url}/jsz?streams=1") as answer:
            accounts = json.load(answer)["account_details"]
        (snapshots,) = [one for one in accounts if one["name"] == "OBJ_snapshots-inventory"]
        assert snapshots["stream_detail"][0]["state"]["messages"]
        health = json.loads((await nc.request("status.inventory", b"", timeout=5)).data)
        assert health["ok"] and health["ready"]
