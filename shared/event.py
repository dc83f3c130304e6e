"""The envelope: a CloudEvents 1.0 JSON object around an event's data, and the hash that chains it to the one before.

The bytes of the envelope are the ledger. They are made once, hashed, stored and never written again; everything that
an auditor needs is inside them. https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

import msgspec

from shared.contract import Contract
from shared.errors import Corrupt, TooLarge

T = TypeVar("T")

MAX_EVENT_BYTES: Final = 60_000
"""Of the whole envelope. An entry of the audit log holds at most 65,535 (C2SP tlog-tiles)."""

FIRST_PREVHASH: Final = "0" * 64
"""The predecessor of an aggregate's first event."""

NAMESPACE: Final = UUID("5c2d1d0e-9f0f-5a3b-8a55-0c4f2f6c7f11")
"""The RFC 9562 namespace of event ids."""

_NAMESPACE_BYTES: Final = NAMESPACE.bytes


class Envelope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The members of an event's JSON object, in the order in which they are written.

    `id` is the UUIDv5 of the message's subject and the command's id; `time` is when the event was recorded;
    `revision` counts the aggregate's events from 1; `prevhash` is the SHA-256 of the previous event's bytes, in hex;
    `causationid` is the id of the command, or of the event, that led to this one; `authid` is the actor and `mandate`
    the grant they acted under.
    """

    specversion: str
    id: str
    source: str
    type: str
    subject: str
    time: str
    dataschema: str
    datacontenttype: str
    revision: int
    prevhash: str
    correlationid: str
    causationid: str
    authtype: str
    authid: str
    mandate: str | None = None
    data: msgspec.Raw | Any = None


class _Read(Envelope, frozen=True, kw_only=True, gc=False):
    """The same members, the data left as bytes; `omit_defaults` plays no part in reading."""

    data: msgspec.Raw = msgspec.Raw()


_decode: Final = msgspec.json.Decoder(_Read).decode
_encode: Final = msgspec.json.Encoder().encode


def event_id(subject: str, command_id: str) -> str:
    """The id of the event that a command makes on a subject: UUIDv5 of both, so a retry names the same event."""
    # uuid.uuid5 spends most of its time building an object; this is the same digest (RFC 9562 section 5.5), formatted.
    digest = bytearray(
        hashlib.sha1(_NAMESPACE_BYTES + f"{subject} {command_id}".encode(), usedforsecurity=False).digest()[:16]
    )
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    h = digest.hex()
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


def sha256(raw: bytes) -> str:
    """The hash by which the next event of the aggregate names this one, in hex."""
    return hashlib.sha256(raw).hexdigest()


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with microseconds, always 27 characters: `2026-11-20T09:30:00.000000Z`."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="microseconds")[:26] + "Z"  # a tenth of what strftime takes


def encode(envelope: Envelope) -> bytes:
    """The bytes to store. Raises TooLarge over 60,000 bytes."""
    raw = _encode(envelope)
    if len(raw) > MAX_EVENT_BYTES:
        raise TooLarge(
            f"The event would be {len(raw):,} bytes; an event holds at most {MAX_EVENT_BYTES:,}. "
            "Cut the command into several with fewer lines each.",
            bytes=len(raw), limit=MAX_EVENT_BYTES,
        )  # fmt: skip
    return raw


def is_canonical(envelope: Envelope, raw: bytes) -> bool:
    """Whether an envelope stands in its bytes as `encode` writes it.

    Then no two readers see two events in it: no member is there twice, none is unknown, and no name is spelled in
    another way. `data` is taken as it is. Of CloudEvents' own members those that are the same in all events are so.
    """
    return envelope.specversion == "1.0" and envelope.datacontenttype == "application/json" and _encode(envelope) == raw


_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z").fullmatch


def is_timestamp(text: str) -> bool:
    """Whether a text is what `timestamp` makes of a moment."""
    try:
        return _TIME(text) is not None and datetime.fromisoformat(text) is not None
    except ValueError:
        return False


class _Once(Generic[T]):
    """A property that is computed once: functools.cached_property without the lock it takes before Python 3.12."""

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type | None = None) -> T:
        value: T = self._compute(instance)
        instance.__dict__[self._name] = value
        return value


@dataclass
class Recorded:
    """One stored event: where it stands in its stream, its envelope, its bytes, and its data when asked for.

    `subject` is the NATS subject, `ledger.<service>.<category>.<id>`. To be read only; it is not a frozen dataclass,
    because making one would take as long as decoding the envelope does.
    """

    stream: str
    sequence: int
    subject: str
    envelope: Envelope
    raw: bytes
    contract: Contract

    @_Once
    def data(self) -> Any:
        """The event as its contract's newest class. Raises Corrupt when it cannot be read, or is another's."""
        try:
            return self.contract.decode(self.envelope.type, self.envelope.data, self.envelope.subject)
        except Corrupt as error:
            raise Corrupt(
                f"Message {self.sequence} of {self.stream or 'the stream'} on {self.subject or 'an unknown subject'} "
                f"cannot be read. {error.detail}",
                stream=self.stream, sequence=self.sequence, subject=self.subject, **error.facts,
            ) from error  # fmt: skip

    @property
    def id(self) -> str:
        return self.envelope.id

    @property
    def type(self) -> str:
        return self.envelope.type

    @property
    def revision(self) -> int:
        return self.envelope.revision

    @_Once
    def recorded_at(self) -> datetime:
        return datetime.fromisoformat(self.envelope.time)

    @property
    def category(self) -> str:
        return self.envelope.subject.partition("/")[0]

    @property
    def aggregate_id(self) -> str:
        return self.envelope.subject.partition("/")[2]

    @_Once
    def hash(self) -> str:
        return sha256(self.raw)


def decode_envelope(raw: bytes) -> Envelope:
    """Read an envelope alone, its data left as bytes. Raises ValueError when the bytes are not one."""
    try:
        return _decode(raw)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def decode(raw: bytes, *, stream: str = "", sequence: int = 0, subject: str = "", contract: Contract) -> Recorded:
    """Read an envelope. Raises Corrupt, naming stream and sequence, when the bytes are not one."""
    try:
        envelope = decode_envelope(raw)
    except ValueError as error:
        raise Corrupt(
            f"Message {sequence} of {stream or 'the stream'} on {subject or 'its subject'} is not an event: {error}",
            stream=stream, sequence=sequence, subject=subject,
        ) from error  # fmt: skip
    return Recorded(stream, sequence, subject, envelope, raw, contract)
