"""`commons keys`: the keyrings, under whose keys personal data is sealed, and the key that signs who acts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from services.commands.common import Operator, command
from services.commands.door import OK, REFUSED, Usage, new_group
from services.commands.render import console, emit
from services.commands.tables import print_table
from services.local.keys import Keys
from shared import keycare
from shared.actorkeys import PublicKey, read_private, read_public, rotate_issuer
from shared.actorkeys import retire as retire_keys
from shared.actortoken import LEEWAY, MAX_SECONDS
from shared.errors import Invalid, Misconfigured
from shared.masterkeys import MasterKeys, add_to_file
from shared.vault import Vault

_LOOK_AGAIN_SECONDS: Final = 1.0

CopyFile = Annotated[Path, typer.Argument(metavar="FILE", help="The copy.", show_default=False)]

OfServices = Annotated[
    list[str] | None,
    typer.Option(
        "--service", metavar="SERVICE", envvar="COMMONS_KEYRINGS",
        help="The keyrings of this service alone; may be given again. All of them without it.", show_default=False,
    ),
]  # fmt: skip


@command
async def status(operator: Operator, service: OfServices = None) -> int | None:
    """How the keyrings stand: owners, those who were erased, the master key, and whether both places have everything.

    Exits with 1 when a place lacks something: the service writes it there at its next start.

    Example: commons keys status
    """
    keys = _keys(operator)
    masters = keys.masters()
    async with operator.nats() as nc:
        services = await keycare.services_with_keys(nc, keys.keyring, service or ())
        found = [await keycare.standing(nc, keys.keyring, one) for one in services]
        if any(map(_lacks, found)):  # a key that is being made stands in one place first: only what stays is lacking
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
            found = [await keycare.standing(nc, keys.keyring, one) for one in services]
    current = None if masters is None else masters.current
    lacking = any(map(_lacks, found))
    unknown = sorted({name for one in found for name in one.masters} - set(masters.names if masters else ()))
    if operator.as_json:
        emit({"master": current, "unknown_masters": unknown, "services": [asdict(one) for one in found]})
        return REFUSED if lacking or unknown else OK
    rows = [
        [
            one.service, one.owners, one.erased, ", ".join(f"{name}: {n:,}" for name, n in one.masters.items()),
            one.lacking_in_file, one.lacking_in_bucket,
        ]
        for one in found
    ]  # fmt: skip
    columns = ["service", "owners", "erased", "keys under", "file lacks", "bucket lacks"]
    print_table(columns, rows, title="Keyrings", empty="No service has a keyring yet.")
    console().print(f"The current master key is {current}." if current else "No master key is at hand.")
    if unknown:
        console().print(f"Not at hand: {', '.join(unknown)}. What is under it cannot be read here.", style="yellow")
    return REFUSED if lacking or unknown else OK


def _lacks(standing: keycare.Standing) -> bool:
    return bool(standing.lacking_in_file or standing.lacking_in_bucket)


@command
async def backup(operator: Operator, file: CopyFile, service: OfServices = None) -> int | None:
    """Copy every keyring into a new file. It is of use with the master key alone, so keep the two apart.

    Example: commons keys backup /mnt/other/keys-2026-11-20
    """
    async with operator.nats() as nc:
        counts = await keycare.backup(nc, _keys(operator).keyring, file, service or ())
    _tell(operator, counts, f"Copied to {file}")
    return OK


@command
async def restore(operator: Operator, file: CopyFile) -> int | None:
    """Add what a copy holds to the keyrings, erasures first: who was erased since, or before, stays erased.

    Start the services again afterwards, so that they read the keys.

    Example: commons keys restore /mnt/other/keys-2026-11-20
    """
    if not file.is_file():
        raise Usage(f"{file} does not exist.", file=str(file))
    keys = _keys(operator)
    async with operator.nats() as nc:
        counts = await keycare.restore(nc, keys.keyring, file, _masters(keys))
    _tell(operator, counts, "Added or changed")
    return OK


@command
async def rotate(operator: Operator, service: OfServices = None) -> int | None:
    """Make a new master key and wrap every key under it; what is sealed stays as it is, and readable.

    A rotation that was broken off is finished, without another new master key. The old one stays in the file until you
    take its line out: copies of the keyrings made before need it.

    Example: commons keys rotate
    """
    keys = _keys(operator)
    file = keys.master_file
    if file is None:
        raise Usage(
            "The master key comes from COMMONS_MASTER_KEY. Put it into a file as `name:base64` under a new line of the "
            "same form, and name the file in COMMONS_MASTER_KEY_FILE; then run this again."
        )
    read = _masters(keys)
    async with operator.nats() as nc:
        services = await keycare.services_with_keys(nc, keys.keyring, service or ())
        if all([set((await keycare.standing(nc, keys.keyring, s)).masters) <= {read().current} for s in services]):
            add_to_file(file)
        counts = await keycare.rewrap(nc, keys.keyring, services, read)
    _tell(operator, counts, f"Now under {read().current} in {file}")
    return OK


@command
async def erase(
    operator: Operator,
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="The service that knows them, such as inventory.")],
    owner: Annotated[str, typer.Argument(metavar="OWNER", help="Whose key: donor/donor-11.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do it: it cannot be undone.")] = False,
) -> int | None:
    """Destroy an owner's key for good: nobody can read any more what was sealed under it, in no copy of the ledger.

    Copies of the keyring made before still hold the key. Restoring one does not bring it back; destroy them even so.

    Example: commons keys erase inventory donor/donor-11 --yes
    """
    keys = _keys(operator)
    async with operator.nats() as nc:
        await keycare.services_with_keys(nc, keys.keyring, [service])
        vault = await Vault.open(nc, service, _masters(keys), keys.keyring)
        try:
            if not vault.knows(owner):
                raise Invalid(f"{service} has no key of {owner[:80]!r}. An owner is written like donor/donor-11.")
            if not yes:
                raise Usage(f"What {service} knows of {owner} would be erased for good. Say so with --yes.")
            await vault.destroy(owner)
        finally:
            await vault.close()
    if operator.as_json:
        emit({"service": service, "erased": owner})
    else:
        console().print(f"Erased: {owner} of {service}.")
    return OK


@command
async def issuer(
    operator: Operator,
    rotate: Annotated[bool, typer.Option("--rotate", help="Make a new key, which signs from now on.")] = False,
    at_once: Annotated[
        bool, typer.Option("--at-once", help="With --rotate: what the old one signed counts no more. It was stolen.")
    ] = False,
    retire: Annotated[bool, typer.Option("--retire", help="Take out the old ones whose time is over.")] = False,
    key: Annotated[Path | None, typer.Option("--key", metavar="FILE", help="The issuer's key.")] = None,
    public: Annotated[Path | None, typer.Option("--public", metavar="FILE", help="The actors' public keys.")] = None,
) -> int | None:
    """The key that signs who acts: which one does, and until when older ones still count. Services need no restart.

    After --rotate the old one counts for as long as a token may last, seven days, so nobody needs a new token at once.
    Without --key and --public the files are those of `commons up`, or that COMMONS_ACTOR_ISSUER_KEY and
    COMMONS_ACTOR_KEYS name.

    Example: commons keys issuer --rotate
    """
    own = key or operator.issuer_key
    known = public or operator.public_actors
    if at_once and not rotate:
        raise Usage("--at-once is said of --rotate: which key should sign instead?")
    over: list[PublicKey] = []
    try:
        if rotate:
            read_private(own)  # an error in its place costs nothing
            rotate_issuer(own, known, lasts=MAX_SECONDS + LEEWAY, at_once=at_once)
        if rotate or retire:
            over = retire_keys(known)
        signs = read_private(own).thumbprint()
    except OSError as error:
        raise Misconfigured(f"{error.filename or known} cannot be written: {error.strerror}.") from error
    keys = [one for one in read_public(known).values() if one.is_issuer]
    if operator.as_json:
        emit({"signs": signs, "keys": [one.written() for one in keys], "retired": [one.kid for one in over]})
        return OK
    rows = [[one.kid, "signs" if one.kid == signs else "", _until(one)] for one in keys]
    print_table(["key", "", "counts until"], rows, title="The issuer's keys", empty="None is known to the services.")
    if over:
        console().print(f"Taken out: {', '.join(one.kid for one in over)}.")
    if signs not in {one.kid for one in keys}:
        console().print(f"{signs}, which signs, is not known to the services: run `commons init`.", style="yellow")
        return REFUSED
    return OK


def _until(key: PublicKey) -> str:
    return "" if key.until is None else f"{datetime.fromtimestamp(key.until, UTC):%Y-%m-%d %H:%M} UTC"


def _keys(operator: Operator) -> Keys:
    return Keys(operator.folder.absolute() / "keys")


def _masters(keys: Keys) -> Callable[[], MasterKeys]:
    def read() -> MasterKeys:
        found = keys.masters()
        if found is None:
            raise Misconfigured(f"There is no master key: neither {keys.master} nor COMMONS_MASTER_KEY_FILE.")
        return found

    return read


def _tell(operator: Operator, counts: dict[str, int], what: str) -> None:
    if operator.as_json:
        emit(counts)
        return
    told = ", ".join(f"{count:,} of {service}" for service, count in counts.items()) or "nothing"
    console().print(f"{what}: {told}.", soft_wrap=True)


def register(app: typer.Typer) -> None:
    group = new_group(
        "The keys under which personal data is sealed: how they stand, copies, a new master key, erasure; and the key "
        "that signs who acts."
    )
    for function in (status, backup, restore, rotate, erase, issuer):
        group.command(function.__name__)(function)
    app.add_typer(group, name="keys")
