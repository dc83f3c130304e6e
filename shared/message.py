"""A command on the wire: a CloudEvents JSON object as a NATS request, and the answer to it.

The subject is `command.<service>.<command-name>`. The answer is one JSON object: `status` is accepted, unchanged or
refused; with accepted comes the event, with refused a problem document (RFC 9457), and with the first two the stream
and sequence at which a read model shows the command's effect. A bulk command is answered with the result of each of its
elements instead of an event.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from shared.actorkeys import Authtype
from shared.command import Answer, BulkAnswer, CommandMeta
from shared.contract import kebab
from shared.errors import Invalid, LedgerError, TooLarge, as_problem
from shared.types import COMMAND_ID_PATTERN

MAX_COMMAND_BYTES: Final = 1 << 20
"""A larger request is refused before it is parsed; no decision of 60,000 bytes needs one."""

MAX_PAYLOAD: Final = 4 << 20
"""What the server's max_payload has to be where there are bulk commands: one of them, and its headers."""

MAX_BULK_BYTES: Final = MAX_PAYLOAD - (4 << 10)
"""The same of a bulk command, which is cut into several decisions."""

# msgspec searches with Python's re, where `$` would let a line break through at the end.
_Name = Annotated[str, Meta(pattern=r"^[^\x00-\x20\x7f-\x9f]{1,128}\Z")]
_Line = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f-\x9f]{0,256}\Z")]
_CommandId = Annotated[str, Meta(pattern=COMMAND_ID_PATTERN.removesuffix("$") + r"\Z")]
_TraceParent = Annotated[str, Meta(pattern=r"^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\Z")]


class CommandMessage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The members of a command's JSON object. `id` is the caller's own name for it, the same at every retry."""

    specversion: Literal["1.0"]
    id: _CommandId
    source: _Line
    type: _Line
    authid: _Name
    authtype: Authtype = "user"
    mandate: _Line | None = None
    correlationid: _Name | None = None
    causationid: _Name | None = None
    subject: _Line | None = None
    time: _Line | None = None
    datacontenttype: Literal["application/json"] = "application/json"
    dataschema: _Line | None = None
    traceparent: _TraceParent | None = None
    data: msgspec.Raw

    @property
    def meta(self) -> CommandMeta:
        return CommandMeta(
            id=self.id, actor=self.authid, authtype=self.authtype, mandate=self.mandate,
            correlation_id=self.correlationid, causation_id=self.causationid, traceparent=self.traceparent,
        )  # fmt: skip


class _Twice(ValueError):
    """A name stands twice in one JSON object."""


def _once(members: list[tuple[str, Any]]) -> None:
    seen: set[str] = set()
    for name, _ in members:
        if name in seen:
            raise _Twice(f"{name[:80]!r} stands twice in one object")
        seen.add(name)


_decoder: Final = msgspec.json.Decoder(CommandMessage)
_decode_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_pairs: Final = json.JSONDecoder(object_pairs_hook=_once)
_encode: Final = msgspec.json.Encoder().encode
_WHITE: Final = b" \t\r\n"


def look_for_twice(raw: bytes) -> None:
    """Raise ValueError when a name stands twice in any object of a JSON text."""
    _pairs.decode(raw.decode())


def members_once(raw: bytes) -> dict[str, msgspec.Raw]:
    """The members of a JSON object, none of which stands twice; what is inside them is not looked at.

    Raises ValueError. At the speed of msgspec: of two members it keeps one, and then the text made of them is another.
    """
    members = _decode_members(raw)
    if not same_text(raw, _encode(members)):
        look_for_twice(raw)
    return members


def same_text(one: bytes, other: bytes) -> bool:
    """Whether two JSON texts are the same but for white space. White space inside of strings is left out as well, which
    changes neither how many members there are nor where one ends, so a member more always shows."""
    return one == other or one.translate(None, _WHITE) == other.translate(None, _WHITE)


def command_subject(service: str, name: str) -> str:
    return f"command.{service}.{kebab(name) if name[:1].isupper() else name}"


def parse_command(
    raw: bytes, expected_type: str, *, bulk: bool = False, known: Callable[[CommandMessage], None] = lambda _: None
) -> CommandMessage:
    """Read a command's envelope. Raises Invalid or TooLarge, saying which member is wrong.

    Of a `bulk` command, whether its data names a member twice is left to the cutting. `known` is told who sends before
    the dearer half of the work; what it raises is raised.
    """
    limit = MAX_BULK_BYTES if bulk else MAX_COMMAND_BYTES
    if len(raw) > limit:
        raise TooLarge(
            f"The command is {len(raw):,} bytes; at most {limit:,} are taken. Cut it into several.",
            bytes=len(raw), limit=limit,
        )  # fmt: skip
    try:
        message = _decoder.decode(raw)
        known(message)
        # Of two members of one name JSON's readers take either, so one would decide on what another never saw
        # (RFC 7493 section 2.3). No fast parser tells: this one takes some 5 µs.
        if bulk:
            members_once(raw)
        else:
            look_for_twice(raw)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise Invalid(
            f"The request is not a command: {error}. Send a CloudEvents 1.0 JSON object with specversion, id, source, "
            "type, authid and data.",
        ) from error
    if message.type != expected_type:
        raise Invalid(f"The request's type is {message.type!r}, but its subject takes {expected_type!r}.", field="type")
    return message


def encode_answer(answer: Answer) -> bytes:
    """The answer's bytes; the event's own bytes stand in it unchanged."""
    head = f'{{"status":"{answer.status}","stream":"{answer.stream}","sequence":{answer.sequence}'.encode()
    if answer.repeated:
        head += b',"repeated":true'
    return head + b"}" if answer.event is None else head + b',"event":' + answer.event + b"}"


def encode_bulk_answer(answer: BulkAnswer) -> bytes:
    """The bytes of the answer to a bulk command: what became of each element, in order, and of how many."""
    made: dict[str, Any] = {"status": answer.status, "stream": answer.stream, "sequence": answer.sequence}
    if answer.repeated:
        made["repeated"] = True
    return _encode(made | {"results": answer.results, "counts": answer.counts})


def encode_refusal(error: BaseException) -> bytes:
    return _encode({"status": "refused", "problem": as_problem(error)})


class Refused(LedgerError):
    """A service refused a command; the problem document is its own."""

    def __init__(self, problem: dict[str, Any]) -> None:
        super().__init__(str(problem.get("detail", "The command was refused.")))
        self._problem = problem
        self.code = str(problem.get("code", "UNKNOWN"))
        self.status = int(problem.get("status", 500))

    def problem(self) -> dict[str, Any]:
        return self._problem


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """An answer as a client reads it."""

    status: str
    stream: str = ""
    sequence: int = 0
    repeated: bool = False
    event: dict[str, Any] | None = None
    results: list[dict[str, Any]] | None = None
    """Of a bulk command: what became of each element, in order."""
    counts: dict[str, int] | None = None
    """How many of the results are of each kind."""
    problem: dict[str, Any] | None = None


decode_reply: Final = msgspec.json.Decoder(Reply).decode
