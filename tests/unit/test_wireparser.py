"""The parser of the NATS wire: whatever the pieces, the same messages; whatever the garbage, one clear error."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.wireparser import MAX_LINE, Control, Message, Parser, WireError

HEADERS = b"NATS/1.0\r\nContent-Type: application/json\r\n\r\n"


def delivery(sequence: int, payload: bytes, *, headers: bytes = b"", domain: bool = False) -> bytes:
    ack = f"INVENTORY.reader.1.{sequence}.{sequence}.1700000000000000{sequence:03}.7"
    reply = f"$JS.ACK.hub.ACCOUNT.{ack}.x7Rt" if domain else f"$JS.ACK.{ack}"
    sizes = f"{len(headers)} {len(headers) + len(payload)}" if headers else f"{len(payload)}"
    operation = "HMSG" if headers else "MSG"
    line = f"{operation} ledger.inventory.stock.rice-{sequence} 1 {reply} {sizes}\r\n"
    return line.encode() + headers + payload + b"\r\n"


CONVERSATION = (
    b'INFO {"server_name":"a","tls_required":false}\r\n'
    + delivery(1, b"one")
    + b"PING\r\n"
    + delivery(2, b'{"two":"\r\nMSG a 1 3\r\n"}', headers=HEADERS)
    + b"HMSG _INBOX.a.pull.1 1 81 81\r\n"
    + b"NATS/1.0 408 Request Timeout\r\nNats-Pending-Messages: 3\r\nNats-Pending-Bytes: 9\r\n\r\n\r\n"
    + delivery(3, b"", domain=True)
    + b"MSG _INBOX.a.api.0 2 2\r\n{}\r\n"
    + b"-ERR 'Stale Connection'\r\n"
    + b"PONG\r\n"
)


def parse(pieces: list[bytes]) -> tuple[list[Message], list[Control]]:
    parser = Parser()
    messages: list[Message] = []
    controls: list[Control] = []
    for piece in pieces:
        some_messages, some_controls = parser.feed(piece)
        messages += some_messages
        controls += some_controls
    return messages, controls


def test_a_conversation_is_read_whole() -> None:
    messages, controls = parse([CONVERSATION])
    assert [(m.sequence, m.subject, m.payload, m.pending) for m in messages] == [
        (1, "ledger.inventory.stock.rice-1", b"one", 7),
        (2, "ledger.inventory.stock.rice-2", b'{"two":"\r\nMSG a 1 3\r\n"}', 7),
        (3, "ledger.inventory.stock.rice-3", b"", 7),
    ]
    assert messages[2].time_ns == 1_700_000_000_000_000_003
    assert [c.operation for c in controls] == ["INFO", "PING", "MSG", "MSG", "-ERR", "PONG"]
    assert controls[2].status == 408
    assert controls[3] == Control("MSG", b"{}", "_INBOX.a.api.0", 0, b"")


def test_headers_are_kept_only_when_asked_for() -> None:
    wire = delivery(1, b"one", headers=HEADERS)
    assert Parser().feed(wire)[0][0].headers == b""
    assert Parser(keep_headers=True).feed(wire)[0][0].headers == HEADERS


def test_a_cut_at_any_byte_changes_nothing() -> None:
    for cut in range(len(CONVERSATION) + 1):
        assert parse([CONVERSATION[:cut], CONVERSATION[cut:]]) == parse([CONVERSATION])


@given(st.lists(st.integers(0, len(CONVERSATION)), max_size=12))
@example(list(range(len(CONVERSATION))))
def test_cuts_anywhere_change_nothing(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(CONVERSATION)]
    pieces = [CONVERSATION[a:b] for a, b in itertools.pairwise(edges)]
    assert parse(pieces) == parse([CONVERSATION])


@pytest.mark.parametrize(
    "garbage",
    [
        b"HTTP/1.1 400 Bad Request\r\n",
        b"\r\n",
        b"MSG\r\n",
        b"MSG a\r\n",
        b"MSG a 1 -1\r\n\r\n",
        b"MSG a 1 many\r\n\r\n",
        b"MSG a 1 99999999999999999999\r\n",
        b"HMSG a 1 $JS.ACK.S.c.1.1.1.1.1 9 4\r\nNATS/1.0\r\n",
        b"HMSG a 1 $JS.ACK.S.c.1.1.1.1.1 -4 4\r\nNATS/1.0\r\n",
        b"MSG a\xff 1 $JS.ACK.S.c.1.1.1.1.1 2\r\n{}\r\n",
        b"MSG a 1 $JS.ACK.S.c.1.one.1.1.1 2\r\n{}\r\n",
        b"MSG a 1 $JS.ACK.S 2\r\n{}\r\n",
        b"MSG a 1 $JS.ACK.S.c.1.1.1.1.1 2\r\n{} and more\r\n",
        b"x" * (MAX_LINE + 2),
        b"INFO " + b"x" * MAX_LINE + b"\r\n",
    ],
)
def test_garbage_is_one_clear_error(garbage: bytes) -> None:
    with pytest.raises(WireError, match=r"NATS server|does not end"):
        parse([garbage])
    with pytest.raises(WireError):
        parse([garbage[i : i + 1] for i in range(len(garbage))] if len(garbage) < 200 else [garbage[:90], garbage[90:]])


@given(st.binary(max_size=300), st.integers(0, len(CONVERSATION)))
def test_any_bytes_are_read_or_refused(noise: bytes, at: int) -> None:
    try:
        parse([CONVERSATION[:at] + noise + CONVERSATION[at:]])
    except WireError as error:
        assert str(error)  # noqa: PT017  (it may be refused or not)
