"""Who may do what in NATS: one user a process, each with what its work needs and no more.

Each stream is in an account of its own, in which nobody logs in. Each user is in an account of its own, which has no
streams, and imports the subjects that it may publish to and hear: of a stream's account to write and read it, of
another user's to send it commands. The server answers through such an import under a name of its own, so an answer
never lands on a subject that the asker chose; and whatever the body of a consumer says, it delivers within the account
of its one stream, which takes nothing from its own consumers (docs/decisions/0035-accounts.md).

The same subjects are the user's permissions, so that what it may not do is refused by name. `commons init` writes all
of it into the server's configuration (secrets.py), and the tests try as every user what is not here. No user may
update, delete or purge a stream of the ledger.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from shared.credentials import API, IMPORTED_API, Credentials
from shared.halt import BUCKET as AUDIT
from shared.keybucket import bucket_name
from shared.positions import BUCKET as POSITIONS
from shared.store import stream_name

READERS: Final = "readers.conf"
"""A file of the operator's own beside the configuration, for accounts of consumers from outside (docs/consuming.md)."""

OPEN: Final = ("inventory", "distribution", "treasury")
"""The services whose events the common read models, and the people at the common desk, may read."""
CLINIC: Final = "clinic"
SERVICES: Final = (*OPEN, CLINIC)

_STEPS: Final[Mapping[str, tuple[str, ...]]] = {
    "distribution": ("issue-stock", "release-reservation", "reserve-stock", "reverse-movement", "set-apart"),
    "clinic": ("issue-stock", "release-reservation", "reserve-stock", "reverse-movement"),
}
"""The commands that process managers of other services send to inventory, whose stream they follow."""

_PROCESSES: Final = (*SERVICES, "projections", "clinic-projections", "fhir", "auditor")
"""The users that answer on `status.<name>`."""

_FORGOTTEN: Final[Mapping[str, str]] = {"DIRECT.GET": "10s", "CONSUMER.MSG.NEXT": "60s"}
"""Requests with several answers, and how long after the last one the server forgets whom they are for: a direct get
is answered at once, a pull that waits has a heartbeat every five seconds."""


@dataclass(frozen=True)
class Right:
    """To publish to a subject, or to hear it; `account` is who exports it, "" when it is the user's own.

    `exported` is the subject in that account, where it has another name.
    """

    subject: str
    account: str = ""
    exported: str = ""
    forgotten: str = ""
    """Of a request with several answers: how long after the last one the server forgets whom they are for."""


@dataclass(frozen=True)
class User:
    """One user, and what it may publish to and subscribe to beside its own inboxes."""

    name: str
    publishes: tuple[Right, ...]
    hears: tuple[Right, ...] = ()

    @property
    def publish(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(right.subject for right in self.publishes))

    @property
    def subscribe(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(right.subject for right in self.hears))


# -- what a work needs ------------------------------------------------------------------------------------------------


def _api(call: str, stream: str, rest: str = "") -> Right:
    subject = f"{call}.{stream}{rest}"
    return Right(f"{IMPORTED_API}.{subject}", stream, f"{API}.{subject}", _FORGOTTEN.get(call, ""))


def _reads(stream: str) -> list[Right]:
    """To read a stream from any of its messages on, by a consumer that lasts no longer than the reader."""
    return [_api("STREAM.INFO", stream), *_consumes(stream, ">")]


def _consumes(stream: str, which: str) -> list[Right]:
    return [
        _api("CONSUMER.CREATE", stream, f".{which}"), _api("CONSUMER.INFO", stream, ".*"),
        _api("CONSUMER.MSG.NEXT", stream, ".*"), _api("CONSUMER.DELETE", stream, ".*"),
    ]  # fmt: skip


def _erasures(service: str) -> list[Right]:
    """To read of a stream who is erased, and no more."""
    return _consumes(stream_name(service), f"*.ledger.{service}.erasure.>")


def _looks_up(stream: str) -> list[Right]:
    """To read single messages and aggregates."""
    return [_api("STREAM.MSG.GET", stream), _api("DIRECT.GET", stream), _api("DIRECT.GET", stream, ".>")]


def _reads_keys(service: str) -> list[Right]:
    stream = f"KV_{bucket_name(service)}"
    return [*_reads(stream), *_looks_up(stream)]


def _writes(service: str) -> Right:
    return Right(f"ledger.{service}.>", stream_name(service))


def _keeps_keys(service: str) -> list[Right]:
    """To write them too, and to erase what was written over."""
    stream = f"KV_{bucket_name(service)}"
    return [*_reads_keys(service), _hears_keys(service), _api("STREAM.MSG.DELETE", stream)]


def _hears_keys(service: str) -> Right:
    return Right(f"$KV.{bucket_name(service)}.>", f"KV_{bucket_name(service)}")


def _keeps_snapshots(service: str) -> list[Right]:
    """To write and read its snapshots. The object store takes an old one away by purging its chunks."""
    bucket = f"snapshots-{service}"
    stream = f"OBJ_{bucket}"
    return [*_reads(stream), *_looks_up(stream), Right(f"$O.{bucket}.>", stream), _api("STREAM.PURGE", stream)]


def _keeps_positions(service: str) -> list[Right]:
    stream = f"KV_{POSITIONS}"
    return [_api("STREAM.INFO", stream), *_looks_up(stream), Right(f"$KV.{POSITIONS}.{service}.>", stream)]


_AUDIT_STREAM: Final = f"KV_{AUDIT}"
_LOOKS_AT_HALT: Final = _api("STREAM.MSG.GET", _AUDIT_STREAM)
_HEARS_HALT: Final = Right(f"$KV.{AUDIT}.halt", _AUDIT_STREAM)
_HALTS: Final = (_api("STREAM.INFO", _AUDIT_STREAM), _LOOKS_AT_HALT, _HEARS_HALT)

_LEADS: Final = "leader.{}.*"
"""Where the instances of a service, which are one user, agree on which of them works."""

_ANSWERS: Final = Right("_R_.>")
"""To answer whoever asks: the name that the server gives, in the account of who is asked, to an asker's inbox."""


# -- who does it ------------------------------------------------------------------------------------------------------


def _answers(name: str) -> Right:
    return Right(f"status.{name}")


def _service(service: str) -> User:
    stream = stream_name(service)
    leads = Right(_LEADS.format(service))
    publishes = [
        _ANSWERS, _writes(service), *_reads(stream), *_looks_up(stream), *_keeps_keys(service),
        *_keeps_snapshots(service), *_keeps_positions(service), _LOOKS_AT_HALT, leads,
    ]  # fmt: skip
    if steps := _STEPS.get(service):
        publishes += _reads(stream_name("inventory"))
        publishes += [Right(f"command.inventory.{step}", "inventory") for step in steps]
    # Of its events it hears what its own account writes, which through an import would come twice.
    hears = (Right(f"command.{service}.*"), _answers(service), Right(_writes(service).subject), _hears_keys(service))
    return User(service, tuple(publishes), (*hears, _HEARS_HALT, leads))


def _projections() -> User:
    streams = [right for service in OPEN for right in _reads(stream_name(service))]
    return User(
        "projections", (_ANSWERS, *streams, *_reads_keys("distribution")),
        (_answers("projections"), _hears_keys("distribution")),
    )  # fmt: skip


def _clinic_projections() -> User:
    streams = [*_reads(stream_name(CLINIC)), *_reads(stream_name("inventory"))]
    return User(
        "clinic-projections", (_ANSWERS, *streams, *_reads_keys(CLINIC)),
        (_answers("clinic-projections"), _hears_keys(CLINIC)),
    )  # fmt: skip


def _fhir() -> User:
    """Reads keys, and of the stream who is erased alone; charts are in PostgreSQL."""
    records = Right("command.clinic.record-access", CLINIC)
    return User("fhir", (_ANSWERS, *_erasures(CLINIC), *_reads_keys(CLINIC), records), (_answers("fhir"),))


def _auditor() -> User:
    streams = [
        right for service in SERVICES for right in (*_reads(stream_name(service)), *_looks_up(stream_name(service)))
    ]
    checkpoints = Right(f"$KV.{AUDIT}.checkpoint.*", _AUDIT_STREAM)
    return User("auditor", (_ANSWERS, *streams, *_HALTS, checkpoints), (_answers("auditor"), _HEARS_HALT))


def _operator(name: str, services: Iterable[str]) -> User:
    """Sends commands, and reads the streams and the keys of some services; lifts a halt."""
    publishes = [Right(f"status.{process}", process) for process in _PROCESSES]
    publishes += [*_HALTS, *_consumes(_AUDIT_STREAM, ">")]
    for service in services:
        stream = stream_name(service)
        publishes += [
            Right(f"command.{service}.*", service), *_reads(stream), *_looks_up(stream), *_reads_keys(service)
        ]  # fmt: skip
    return User(name, tuple(publishes))


def _keeper(name: str, services: Sequence[str]) -> User:
    """Copies, rotates and restores the keys of some services; who is erased stands in the streams, and how far those
    go, which a copy of the ledger is compared with."""
    publishes = [right for service in services for right in (*_keeps_keys(service), *_erasures(service))]
    publishes += [_api("STREAM.INFO", stream_name(service)) for service in services]
    return User(name, tuple(publishes), tuple(map(_hears_keys, services)))


def _restorer() -> User:
    """Puts a copy of the ledger back, while everybody else is halted."""
    publishes = [*_HALTS, *_consumes(_AUDIT_STREAM, ">")]
    for service in SERVICES:
        stream = stream_name(service)
        publishes += [_writes(service), *_reads(stream), *_looks_up(stream)]
    return User("restorer", tuple(publishes))


def _migrate() -> User:
    """Makes streams and buckets, and never changes one: it runs once for each new version, and ends."""
    return User(
        "migrate",
        tuple(_api(call, stream) for stream in streams() for call in ("STREAM.CREATE", "STREAM.INFO")),
    )


def streams() -> tuple[str, ...]:
    """All streams, the buckets' among them."""
    return (
        *map(stream_name, SERVICES), *(f"KV_{bucket_name(service)}" for service in SERVICES),
        *(f"OBJ_snapshots-{service}" for service in SERVICES), f"KV_{POSITIONS}", _AUDIT_STREAM,
    )  # fmt: skip


def users() -> tuple[User, ...]:
    """All of them."""
    return (
        *map(_service, SERVICES), _projections(), _clinic_projections(), _fhir(), _auditor(),
        _operator("operator", OPEN), _operator("clinic-operator", SERVICES),
        _keeper("keeper", OPEN), _keeper("clinic-keeper", (CLINIC,)), _restorer(), _migrate(),
    )  # fmt: skip


# -- the server's configuration ---------------------------------------------------------------------------------------


def configuration(known: Mapping[str, Credentials]) -> str:
    """The server's `accounts` block: the streams' accounts, and those of users of these names by their public keys."""
    lines = ["# Written by `commons init`: who may do what. Public keys alone; no secret is in it.", "accounts {"]
    for stream in streams():
        lines += [f"  {json.dumps(stream)} {{", "    jetstream: enabled", *_exports(stream), "  }"]
    for user in users():
        credentials = known[user.name]
        inbox = f"{credentials.inbox}.>"  # instances of a service answer one another
        lines += [
            f"  {json.dumps(user.name)} {{",
            "    users = [ {",
            f"      nkey: {credentials.public}",
            "      permissions {",
            f"        publish {{ allow: {_list((inbox, *user.publish))} }}",
            f"        subscribe {{ allow: {_list((inbox, *user.subscribe))} }}",
            "      }",
            "    } ]",
            *_imports(user),
            *_exports(user.name),
            "  }",
        ]
    return "\n".join([*lines, f"  include {json.dumps(READERS)}", "}", ""])


def _exports(account: str) -> Iterator[str]:
    """What other accounts of this configuration may import of one: subjects to publish to in it, and to hear."""
    services = dict.fromkeys(right for user in users() for right in user.publishes if right.account == account)
    heard = dict.fromkeys(right for user in users() for right in user.hears if right.account == account)
    if services or heard:
        yield "    exports = ["
        for right in services:
            several = f", response_type: stream, response_threshold: {json.dumps(right.forgotten)}"
            exported = json.dumps(right.exported or right.subject)
            yield f"      {{ service: {exported}{several if right.forgotten else ''} }}"
        for right in heard:
            yield f"      {{ stream: {json.dumps(right.subject)} }}"
        yield "    ]"


def _imports(user: User) -> Iterator[str]:
    yield "    imports = ["
    for kind, rights in (("service", user.publishes), ("stream", user.hears)):
        for right in dict.fromkeys(rights):
            if right.account:
                exported = right.exported or right.subject
                source = f"{{ account: {json.dumps(right.account)}, subject: {json.dumps(exported)} }}"
                to = f", to: {json.dumps(right.subject)}" if right.exported else ""
                yield f"      {{ {kind}: {source}{to} }}"
    yield "    ]"


def _list(subjects: Iterable[str]) -> str:
    return "[" + ", ".join(map(json.dumps, dict.fromkeys(subjects))) + "]"
