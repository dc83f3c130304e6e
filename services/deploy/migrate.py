"""What is made once for each new version, before the services start: streams, buckets, tables, the roles' passwords.

Services may then do without the right to make a stream.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import asyncpg
import nats.errors
import nats.js.errors
from nats.aio.client import Client

from services.deploy.secrets import ROLES, SUPERUSER
from shared import database, halt
from shared.connection import jetstream
from shared.contract import Contract
from shared.errors import Busy, Misconfigured
from shared.keybucket import KeyBucket
from shared.migrations import Migration, migrate_database
from shared.positions import KvPositions
from shared.snapshot import Snapshots
from shared.store import EventStore

_HEX = re.compile(r"[0-9a-f]{16,128}")


async def make_streams(
    nc: Client, contracts: Iterable[Contract], monitoring_url: str | None, replicas: int,
    known: Mapping[str, int] | None = None,
) -> None:  # fmt: skip
    """Make every stream and bucket that is not there, and check those that are.

    `known` are sequences up to which somebody has read streams before. Raises Misconfigured, Busy, and StreamsGone,
    before anything is made, when one of those is not there.
    """
    contracts = list(contracts)
    try:
        await _look_for(nc, known or {})
        for contract in contracts:
            await EventStore(nc, contract, replicas=replicas).ensure(monitoring_url)
            await Snapshots.open(nc, contract.service, replicas=replicas)
            await KvPositions.open(nc, contract.service, replicas=replicas)
            if contract.personal:
                await KeyBucket.open(nc, contract.service, replicas=replicas)
        await halt.make_bucket(nc, replicas=replicas)
    except (nats.errors.Error, nats.js.errors.APIError, OSError, TimeoutError) as error:
        raise Busy(f"The streams could not be made: {str(error) or type(error).__name__}. Run it again.") from error


async def _look_for(nc: Client, known: Mapping[str, int]) -> None:
    gone = {}
    for stream, sequence in known.items():
        try:
            await jetstream(nc).stream_info(stream)
        except nats.js.errors.NotFoundError:
            if sequence:
                gone[stream] = sequence
    if gone:
        raise StreamsGone(gone)


class StreamsGone(Misconfigured):
    """Streams that were read before are not there. To make them would destroy those that NATS could not decrypt: it
    takes the folder of a stream away whose creation fails (seen with 2.15.1)."""

    def __init__(self, gone: Mapping[str, int]) -> None:
        told = ", ".join(f"{stream} up to {sequence:,}" for stream, sequence in gone.items())
        super().__init__(
            f"NATS does not have what was read of it before: {told}. Its volume is another, or its encryption key is "
            "(its log says so). Put back what is wrong; nothing was made. To begin empty on purpose, as before a "
            "restore: --anew.",
            streams=dict(gone),
        )


async def known_streams(database_url: str) -> dict[str, int]:
    """Up to where the read models have read each stream. Raises Misconfigured when the database does not answer."""
    try:
        connection = await database.connect(database_url, timeout=30)
        try:
            rows = await connection.fetch("SELECT stream, max(sequence) AS sequence FROM commons.checkpoint GROUP BY 1")
        finally:
            await connection.close()
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise Misconfigured(f"The database could not be asked what was read before: {error}.") from error
    return {row["stream"]: int(row["sequence"]) for row in rows}


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
