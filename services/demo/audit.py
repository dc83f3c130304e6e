"""The demo's Sunday: two other chapters have watched the ledger's logs all week, and an auditor takes a copy home."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.demo.stage import CONTRACTS, DemoFailed, Stage

CHAPTERS: Final = ("north", "south")
"""Who runs a witness; in life on a machine of their own."""

_SECONDS: Final = 60


@dataclass(frozen=True)
class Watched:
    """The witnesses of the week: the file that names them for the auditor, and each one's folder and public key."""

    policy: Path
    folders: dict[str, Path]
    keys: dict[str, str]


@contextmanager
def witnesses(folder: Path) -> Iterator[Watched]:
    """Two witnesses as processes of their own, until the block ends."""
    folders = {name: folder / f"witness-{name}" for name in CHAPTERS}
    with ExitStack() as stack:
        said = {name: stack.enter_context(_witness(name, place)) for name, place in folders.items()}
        policy = folder / "witnesses"
        policy.write_text("".join(f"witness {name} {one['key']} {one['url']}\n" for name, one in said.items()))
        yield Watched(policy, folders, {name: one["key"] for name, one in said.items()})


@contextmanager
def _witness(name: str, folder: Path) -> Iterator[dict[str, str]]:
    command = [sys.executable, "-m", "services.cli", "witness", "--folder", str(folder), "--port", "0", "--json"]
    process = subprocess.Popen(  # noqa: S603 - our own command
        [*command, "--name", f"{name}.example/witness"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise DemoFailed(f"The witness of {name} did not come up.")
        yield json.loads(line)
    finally:
        process.terminate()
        process.wait()


def introduce(stage: Stage, watched: Watched) -> None:
    """Give the witnesses the public keys of the logs, once the auditor has made them."""
    keys = [stage.data / "tiles" / contract.service / "keys" / "log.vkey" for contract in CONTRACTS]
    deadline = time.monotonic() + _SECONDS
    while not all(key.exists() for key in keys):
        if time.monotonic() > deadline:
            raise DemoFailed(f"The auditor did not begin. See {stage.data / 'logs' / 'auditor.log'}.")
        time.sleep(0.05)
    for folder in watched.folders.values():
        logs = [part for key in keys for part in ("--log", str(key))]
        stage.commons("witness", "--folder", str(folder), *logs, "--show", quietly=True)


def show(stage: Stage, watched: Watched, folder: Path) -> None:
    """A copy is taken, checked with nothing but public keys, and a donor gets a receipt that proves itself."""
    stage.heading("Sunday: an auditor, who trusts nobody")
    stage.say(
        "All week the auditor's process signed the size and the root of every stream, once a second while there\n"
        "were events. Two other chapters cosigned each checkpoint that continued the one before, and would have\n"
        "refused any other. This is what the one in the north has seen:"
    )
    _cosigned(stage)
    stage.commons("witness", "--folder", str(watched.folders["north"]), "--show")
    stage.say("\nThe auditor takes a copy of everything home; what is personal in it stays encrypted.")
    copy = folder / "copy"
    stage.commons("export", "ledger", str(copy))
    stage.stop()
    stage.say(
        "\nThe ledger is stopped now. The copy is checked by itself: with no network, no database and nothing taken\n"
        "on trust but the public keys that the auditor was given beforehand."
    )
    keys = folder / "keys"
    keys.mkdir()
    trusted: list[str] = []
    for contract in CONTRACTS:
        key = keys / f"{contract.service}.vkey"
        key.write_bytes((stage.data / "tiles" / contract.service / "keys" / "log.vkey").read_bytes())
        trusted += ["--log-key", str(key)]
    for name, text in watched.keys.items():
        (keys / f"{name}.vkey").write_text(f"{text}\n")
        trusted += ["--witness-key", str(keys / f"{name}.vkey")]
    trusted += ["--witnesses", str(len(watched.keys))]
    stage.commons("verify", str(copy), *trusted)
    stage.say(
        "\nWhoever caused an event can have a receipt: one file that proves, without the ledger, that it is in it."
    )
    receipt = folder / "donation.tlog-proof"
    stage.commons("receipt", "INVENTORY:20", "--tiles", str(copy), "--output", str(receipt))
    stage.commons("verify-receipt", str(receipt), *trusted)


def _cosigned(stage: Stage) -> None:
    """Wait until both witnesses have cosigned what there is."""
    deadline = time.monotonic() + _SECONDS
    while not all(_signatures(stage, contract.service) > len(CHAPTERS) for contract in CONTRACTS):
        if time.monotonic() > deadline:
            raise DemoFailed("The witnesses did not cosign. `commons status` says why.")
        time.sleep(0.1)


def _signatures(stage: Stage, service: str) -> int:
    """How many signatures the newest checkpoint of a log has: its own, and the witnesses'."""
    checkpoint = stage.data / "tiles" / service / "checkpoint"
    return checkpoint.read_text(encoding="utf-8").count("\n— ") if checkpoint.exists() else 0
