"""The NATS client protocol as it arrives: bytes in, messages and control operations out.

https://docs.nats.io/reference/reference-protocols/nats-protocol . One pass over the bytes, nothing awaited, no object
made for a message beyond the message itself: that is where the pace of shared/wire.py comes from.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from shared.errors import LedgerError

DELIVERIES: Final = b"1"
"""The subscription under which a consumer's messages arrive."""

MAX_LINE: Final = 65_536
"""Of a control line, in bytes. The longest that a server sends is INFO with the addresses of a large cluster."""

MAX_PAYLOAD: Final = 64 << 20
"""Of one message, in bytes: the most that a NATS server can be set to accept."""


class WireError(LedgerError):
    """What came over the connection is not the NATS protocol; the connection is of no further use."""

    status = 502
    code = "WIRE"


class Message(msgspec.Struct, gc=False):
    """One message of a stream. `time_ns` is when the server stored it, in nanoseconds since 1970, UTC.

    `pending` is how many more the consumer had waiting when this one was sent; `delivery` numbers what the consumer
    sent, from 1; `headers` stay empty unless they were asked for.
    """

    sequence: int
    subject: str
    time_ns: int
    payload: bytes
    pending: int = 0
    delivery: int = 0
    headers: bytes = b""


class Control(NamedTuple):
    """Anything that is not a message of the stream: `operation` is INFO, PING, PONG, -ERR or MSG.

    A MSG is a request, a reply or a status; `subject` is where it was sent, `status` its three digits, or 0 without
    one, `reply` where its answer is to go. What is no UTF-8 is escaped in a subject, and in a reply by surrogates.
    """

    operation: str
    payload: bytes = b""
    subject: str = ""
    status: int = 0
    headers: bytes = b""
    reply: str = ""


class Parser:
    """Takes the bytes of one connection in pieces of any size; `feed` returns what they complete."""

    def __init__(self, *, keep_headers: bool = False) -> None:
        self._keep_headers = keep_headers
        self._rest: list[bytes] = []
        self._have = 0
        self._need = 0  # no use in looking before so many bytes are here

    def feed(self, data: bytes) -> tuple[list[Message], list[Control]]:
        """Raises WireError on the first byte that cannot belong to the protocol."""
        if self._rest:
            self._rest.append(data)
            self._have += len(data)
            if self._have < self._need:
                return [], []
            data = b"".join(self._rest)
            self._rest.clear()
        messages: list[Message] = []
        controls: list[Control] = []
        try:
            done, self._need = self._parse(data, messages, controls)
        except (ValueError, IndexError) as error:  # UnicodeDecodeError is a ValueError
            raise WireError(f"The NATS server sent a line that is not its protocol: {error}.") from error
        if done < len(data):
            self._rest.append(data[done:])
            self._have = len(data) - done
        return messages, controls

    def _parse(self, data: bytes, messages: list[Message], controls: list[Control]) -> tuple[int, int]:
        """Parse what is whole. Returns how far it came, and how many bytes from there the next operation needs."""
        position, length = 0, len(data)
        find, startswith = data.find, data.startswith
        while position < length:
            end = find(b"\r\n", position, position + MAX_LINE)
            if end < 0:
                if length - position >= MAX_LINE:
                    raise WireError(f"The NATS server sent a control line of more than {MAX_LINE:,} bytes.")
                return position, 0
            start = end + 2
            if startswith(b"HMSG ", position):
                words = data[position:end].split(b" ")
                headers, size = int(words[-2]), int(words[-1])
            elif startswith(b"MSG ", position):
                words = data[position:end].split(b" ")
                headers, size = 0, int(words[-1])
            else:
                controls.append(_operation(data[position:end]))
                position = start
                continue
            if not 0 <= headers <= size <= MAX_PAYLOAD:
                raise WireError(
                    f"The NATS server announced a message of impossible size: {_shown(data[position:end])}."
                )
            finish = start + size
            if finish + 2 > length:
                return position, finish + 2 - position
            if not startswith(b"\r\n", finish):
                raise WireError(f"A message does not end where it was said to: {_shown(data[position:end])}.")
            with_headers = headers > 0
            if words[2] == DELIVERIES and len(words) == (6 if with_headers else 5):
                # $JS.ACK.<stream>.<consumer>.<delivered>.<sequence>.<delivery>.<time>.<pending>, or with the
                # domain and the account after ACK, and a random token at the end.
                token = words[3].split(b".")
                at = 5 if len(token) == 9 else 7
                messages.append(
                    Message(
                        int(token[at]), words[1].decode(), int(token[at + 2]), data[start + headers : finish],
                        int(token[at + 3]), int(token[at + 1]),
                        data[start : start + headers] if self._keep_headers else b"",
                    )
                )  # fmt: skip
            else:
                head = data[start : start + headers]
                status = int(head[9:12]) if head[9:12].isdigit() else 0
                reply = words[3].decode("utf-8", "surrogateescape") if len(words) == (6 if with_headers else 5) else ""
                subject = words[1].decode("utf-8", "backslashreplace")
                controls.append(Control("MSG", data[start + headers : finish], subject, status, head, reply))
            position = finish + 2
        return position, 0


def _operation(line: bytes) -> Control:
    word, _, rest = line.partition(b" ")
    if word in (b"INFO", b"PING", b"PONG", b"-ERR"):
        return Control(word.decode(), rest)
    if word == b"+OK":
        return Control("PONG")  # sent only in verbose mode, which is never asked for; means as little
    raise WireError(f"The NATS server sent a line that is not its protocol: {_shown(line)}.")


def _shown(line: bytes) -> str:
    return repr(line[:80])[1:]
