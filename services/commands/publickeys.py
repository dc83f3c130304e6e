"""The options by which an auditor says whose signatures count: public keys, as texts or as files that hold one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from services.auditor.notes import BadKey, Kind, Verifier
from services.auditor.opened import Keys
from services.commands.door import Usage

_MAX_KEY: Final = 4096

LogKey = Annotated[
    list[str] | None,
    typer.Option(
        "--log-key", metavar="VKEY", help="A log's public key, or a file with it. Once for each log.",
        show_default=False,
    ),
]  # fmt: skip
WitnessKey = Annotated[
    list[str] | None,
    typer.Option(
        "--witness-key", metavar="VKEY", help="A witness's public key, or a file with it. Once for each witness.",
        show_default=False,
    ),
]  # fmt: skip
Needed = Annotated[
    int | None,
    typer.Option(
        "--witnesses", min=0, show_default=False,
        help="How many of the witnesses must have cosigned; all whose keys are given, if left out.",
    ),
]  # fmt: skip


def keys_of(logs: Iterable[str] | None, witnesses: Sequence[str] | None, needed: int | None) -> Keys:
    """The keys that were given. Raises Usage for one that is none, and for witnesses that cannot be counted."""
    keys = Keys(
        tuple(_key("--log-key", each, Kind.ED25519) for each in logs or ()),
        tuple(_key("--witness-key", each, Kind.COSIGNATURE) for each in witnesses or ()),
        len(witnesses or ()) if needed is None else needed,
    )
    names: dict[bytes, str] = {}
    for key in keys.witnesses:
        if key.public in names:
            raise Usage(
                f"--witness-key: {names[key.public]} and {key.name} are one key, so one witness. Give each key once."
            )
        names[key.public] = key.name
    if keys.needed and not keys.witnesses:
        raise Usage(
            f"{keys.needed} witnesses are asked for, and no key of one was given: those in a copy are of whoever made "
            "it. Give --witness-key for each."
        )
    if keys.needed > len(keys.witnesses):
        raise Usage(
            f"{keys.needed} witnesses are asked for, and {len(keys.witnesses)} keys were given: give one for each."
        )
    return keys


def _key(option: str, given: str, kind: Kind) -> Verifier:
    text = given
    if "+" not in given:
        try:
            text = Path(given).read_bytes()[:_MAX_KEY].decode().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise Usage(f"{option} takes a public key (NAME+ID+BASE64), or a file with one: {error}.") from error
    try:
        key = Verifier.parse(text)
    except BadKey as error:
        raise Usage(f"{option}: {error.detail}", option=option) from error
    if key.kind is not kind:
        other = "--witness-key" if kind is Kind.ED25519 else "--log-key"
        raise Usage(f"{option}: the key of {key.name} is of type {key.kind:#04x}. Perhaps {other} was meant.")
    return key
