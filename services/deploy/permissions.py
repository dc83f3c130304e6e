"""Who may do what in NATS: one user a process, each with the subjects that its work needs and no others.

`commons init` writes them into the server's configuration (secrets.py), and the tests try as every user what is not
here. No user may update, delete or purge a stream of the ledger; whoever must makes an administrator, for the while.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from shared.credentials import Credentials
from shared.halt import BUCKET as AUDIT
from shared.keybucket import bucket_name
from shared.positions import BUCKET as POSITIONS
from shared.store import stream_name

OPEN: Final = ("inventory", "distribution", "treasury")
"""The services whose events the common read models, and the people at the common desk, may read."""
CLINIC: Final = "clinic"
SERVICES: Final = (*OPEN, CLINIC)

_STEPS: Final[Mapping[str, tuple[str, ...]]] = {
    "distribution": ("issue-stock", "release-reservation", "reserve-stock", "reverse-movement", "set-apart"),
    "clinic": ("issue-stock", "release-reservation", "reserve-stock", "reverse-movement"),
}
"""The commands that process managers of other services send to inventory, whose stream they follow."""


@dataclass(frozen=True)
class User:
    """One user, and the subjects that it may publish to and subscribe to beside its own inboxes."""

    name: str
    publish: tuple[str, ...]
    subscribe: tuple[str, ...] = ()


# -- what a work needs ------------------------------------------------------------------------------------------------


def _reads(stream: str) -> list[str]:
    """To read a stream from any of its messages on, by a consumer that lasts no longer than the reader."""
    return [f"$JS.API.STREAM.INFO.{stream}", *_consumes(stream, ">")]


def _consumes(stream: str, which: str) -> list[str]:
    return [
        f"$JS.API.CONSUMER.CREATE.{stream}.{which}", f"$JS.API.CONSUMER.INFO.{stream}.*",
        f"$JS.API.CONSUMER.MSG.NEXT.{stream}.*", f"$JS.API.CONSUMER.DELETE.{stream}.*",
    ]  # fmt: skip


def _erasures(service: str) -> list[str]:
    """To read of a stream who is erased, and no more."""
    return _consumes(stream_name(service), f"*.ledger.{service}.erasure.>")


def _looks_up(stream: str) -> list[str]:
    """To read single messages and aggregates."""
    return [f"$JS.API.STREAM.MSG.GET.{stream}", f"$JS.API.DIRECT.GET.{stream}", f"$JS.API.DIRECT.GET.{stream}.>"]


def _watches(bucket: str) -> list[str]:
    """To read all of a bucket: its stream is pushed, by a consumer that the server names, at the reader's pace."""
    return [*_reads(bucket), f"$JS.API.CONSUMER.CREATE.{bucket}", *_looks_up(bucket), f"$JS.FC.{bucket}.>"]


def _reads_keys(service: str) -> list[str]:
    return _watches(f"KV_{bucket_name(service)}")


def _keeps_keys(service: str) -> list[str]:
    """To write them too, and to erase what was written over."""
    bucket = bucket_name(service)
    return [*_reads_keys(service), f"$KV.{bucket}.>", f"$JS.API.STREAM.MSG.DELETE.KV_{bucket}"]


def _hears_keys(service: str) -> str:
    return f"$KV.{bucket_name(service)}.>"


def _keeps_snapshots(service: str) -> list[str]:
    """To write and read its snapshots. The object store takes an old one away by purging its chunks."""
    bucket = f"snapshots-{service}"
    return [*_watches(f"OBJ_{bucket}"), f"$O.{bucket}.>", f"$JS.API.STREAM.PURGE.OBJ_{bucket}"]


def _keeps_positions(service: str) -> list[str]:
    stream = f"KV_{POSITIONS}"
    return [f"$JS.API.STREAM.INFO.{stream}", *_looks_up(stream), f"$KV.{POSITIONS}.{service}.>"]


_LOOKS_AT_HALT: Final = (f"$JS.API.STREAM.MSG.GET.KV_{AUDIT}",)
_HEARS_HALT: Final = f"$KV.{AUDIT}.halt"
_HALTS: Final = (f"$JS.API.STREAM.INFO.KV_{AUDIT}", *_LOOKS_AT_HALT, _HEARS_HALT)

_LEADS: Final = "leader.{}.*"
"""Where the instances of a service agree on which of them works."""

_ANSWERS: Final = ("_INBOX.>",)
"""To answer whoever asks. An inbox is known to its owner and to who was asked. (`allow_responses` would be narrower,
but the server then remembers the reply subject of every message that it delivers, and those of a stream all have one.)
"""


# -- who does it ------------------------------------------------------------------------------------------------------


def _service(service: str) -> User:
    stream = stream_name(service)
    publish = [
        *_ANSWERS, f"ledger.{service}.>", *_reads(stream), *_looks_up(stream), *_keeps_keys(service),
        *_keeps_snapshots(service), *_keeps_positions(service), *_LOOKS_AT_HALT, _LEADS.format(service),
    ]  # fmt: skip
    if steps := _STEPS.get(service):
        publish += [*_reads(stream_name("inventory")), *(f"command.inventory.{step}" for step in steps)]
    subscribe = [
        f"command.{service}.*", f"status.{service}", f"ledger.{service}.>", _hears_keys(service), _HEARS_HALT,
        _LEADS.format(service),
    ]  # fmt: skip
    return User(service, tuple(publish), tuple(subscribe))


def _projections() -> User:
    streams = [subject for service in OPEN for subject in _reads(stream_name(service))]
    return User(
        "projections", (*_ANSWERS, *streams, *_reads_keys("distribution")),
        ("status.projections", _hears_keys("distribution")),
    )  # fmt: skip


def _clinic_projections() -> User:
    streams = [*_reads(stream_name(CLINIC)), *_reads(stream_name("inventory"))]
    return User(
        "clinic-projections", (*_ANSWERS, *streams, *_reads_keys(CLINIC)),
        ("status.clinic-projections", _hears_keys(CLINIC)),
    )  # fmt: skip


def _fhir() -> User:
    """Reads keys, and of the stream who is erased alone; charts are in PostgreSQL."""
    return User(
        "fhir", (*_ANSWERS, *_erasures(CLINIC), *_reads_keys(CLINIC), "command.clinic.record-access"), ("status.fhir",)
    )  # fmt: skip


def _auditor() -> User:
    streams = [
        subject for service in SERVICES for subject in (*_reads(stream_name(service)), *_looks_up(stream_name(service)))
    ]
    return User(
        "auditor", (*_ANSWERS, *streams, *_HALTS, f"$KV.{AUDIT}.checkpoint.*"), ("status.auditor", _HEARS_HALT)
    )  # fmt: skip


def _operator(name: str, services: Iterable[str]) -> User:
    """Sends commands, and reads the streams and the keys of some services; lifts a halt."""
    publish = ["status.*", "$JS.API.STREAM.LIST", *_HALTS, *_watches(f"KV_{AUDIT}")]
    for service in services:
        stream = stream_name(service)
        publish += [f"command.{service}.*", *_reads(stream), *_looks_up(stream), *_reads_keys(service)]
    return User(name, tuple(dict.fromkeys(publish)))


def _keeper(name: str, services: Sequence[str]) -> User:
    """Copies, rotates and restores the keys of some services; who is erased stands in the streams."""
    publish = ["$JS.API.STREAM.LIST"]
    for service in services:
        publish += [*_keeps_keys(service), *_erasures(service)]
    return User(name, tuple(publish), tuple(map(_hears_keys, services)))


def _restorer() -> User:
    """Puts a copy of the ledger back, while everybody else is halted."""
    publish = ["$JS.API.STREAM.LIST", *_HALTS, *_watches(f"KV_{AUDIT}")]
    for service in SERVICES:
        stream = stream_name(service)
        publish += [f"ledger.{service}.>", *_reads(stream), *_looks_up(stream)]
    return User("restorer", tuple(dict.fromkeys(publish)))


def _migrate() -> User:
    """Makes streams and buckets, and never changes one: it runs once for each new version, and ends."""
    return User("migrate", ("$JS.API.STREAM.CREATE.*", "$JS.API.STREAM.INFO.*", "$JS.API.INFO"))


def users() -> tuple[User, ...]:
    """All of them."""
    return (
        *map(_service, SERVICES), _projections(), _clinic_projections(), _fhir(), _auditor(),
        _operator("operator", OPEN), _operator("clinic-operator", SERVICES),
        _keeper("keeper", OPEN), _keeper("clinic-keeper", (CLINIC,)), _restorer(), _migrate(),
    )  # fmt: skip


def configuration(known: Mapping[str, Credentials]) -> str:
    """The server's `authorization` block for users of these names: their public keys and what they may do."""
    lines = [
        "# Written by `commons init`: who may do what. Public keys alone; no secret is in it.",
        "authorization {",
        "  users = [",
    ]
    for user in users():
        credentials = known[user.name]
        may_hear = (f"{credentials.inbox}.>", *user.subscribe)
        lines += [
            f"    {{ # {user.name}",
            f"      nkey: {credentials.public}",
            "      permissions {",
            f"        publish {{ allow: {_list(user.publish)} }}",
            f"        subscribe {{ allow: {_list(may_hear)} }}",
            "      }",
            "    }",
        ]
    return "\n".join([*lines, "  ]", "}", ""])


def _list(subjects: Iterable[str]) -> str:
    return "[" + ", ".join(map(json.dumps, dict.fromkeys(subjects))) + "]"
