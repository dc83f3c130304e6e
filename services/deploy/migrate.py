"""What is made once for each new version, before the services start: streams, buckets, tables, the roles' passwords.

Services may then do without the right to make a stream.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import asyncpg
import nats.errors
import nats.js.errors
from nats.aio.client import Client

from services.deploy.secrets import ROLES, SUPERUSER
from shared import halt
from shared.contract import Contract
from shared.errors import Busy, Misconfigured
from shared.keybucket import KeyBucket
from shared.migrations import Migration, migrate_database
from shared.positions import KvPositions
from shared.snapshot import Snapshots
from shared.store import EventStore

_HEX = re.compile(r"[0-9a-f]{16,128}")


async def make_streams(nc: Client, contracts: Iterable[Contract], monitoring_url: str | None, replicas: int) -> None:
    """Make every stream and bucket that is not there, and check those that are. Raises Misconfigured, Busy."""
    try:
        for contract in contracts:
            await EventStore(nc, contract, replicas=replicas).ensure(monitoring_url)
            await Snapshots.open(nc, contract.service, replicas=replicas)
            await KvPositions.open(nc, contract.service, replicas=replicas)
            if contract.personal:
                await KeyBucket.open(nc, contract.service, replicas=replicas)
        await halt.make_bucket(nc, replicas=replicas)
    except (nats.errors.Error, nats.js.errors.APIError, OSError, TimeoutError) as error:
        raise Busy(f"The streams could not be made: {str(error) or type(error).__name__}. Run it again.") from error


async def make_tables(database_url: str, passwords: Path | None) -> tuple[list[Migration], list[str]]:
    """Apply the migrations, and give the roles the passwords that a folder holds, a file each.

    Gives the migrations that were applied, and the roles. Raises Misconfigured.
    """
    applied = await migrate_database(database_url)
    roles = sorted(set(ROLES.values()) - {SUPERUSER}) if passwords is not None else []
    if passwords is None:
        return applied, roles
    connection = await asyncpg.connect(database_url, timeout=30)
    try:
        for role in roles:
            # Both are our own: a name in the code, and hexadecimal digits.
            await connection.execute(f"ALTER ROLE {role} PASSWORD '{_password(passwords / role)}'")
    except asyncpg.PostgresError as error:
        raise Misconfigured(f"The passwords of the roles could not be set: {error}.") from error
    finally:
        await connection.close()
    return applied, roles


def _password(path: Path) -> str:
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"The password in {path} cannot be read: {error}. Run `commons init`.") from error
    if not _HEX.fullmatch(text):
        raise Misconfigured(
            f"The password in {path} is not one of `commons init`: hexadecimal digits, 16 at the least."
        )
    return text
