"""JetStream as the event store: a stream's configuration, one aggregate's events, and what the stream ends with."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from shared.connection import api_of, until_denied
from shared.contract import Contract
from shared.decider import Ref
from shared.errors import Corrupt, Denied, Halted, Misconfigured, OutcomeUnknown
from shared.event import Recorded, decode
from shared.message import MAX_PAYLOAD

REQUIRED: Final[dict[str, Any]] = {
    "retention": "limits",
    "storage": "file",
    "discard": "new",
    "max_msgs": -1,
    "max_bytes": -1,
    "max_age": 0,
    "max_msgs_per_subject": -1,
    "max_msg_size": -1,
    "deny_delete": True,
    "deny_purge": True,
    "allow_direct": True,
    "allow_atomic": True,
}
"""What the ledger asks of its stream: nothing ages, nothing is thrown away, nothing can be deleted or purged."""

FORBIDDEN: Final = (
    "allow_rollup_hdrs", "allow_msg_ttl", "allow_msg_schedules", "allow_msg_counter", "no_ack", "sealed", "mirror",
    "sources", "republish", "subject_transform", "subject_delete_marker_ttl", "discard_new_per_subject",
)  # fmt: skip
"""Settings that would let a message vanish, change, or go unacknowledged (some of them switch purging on unsaid)."""

MIN_PAYLOAD: Final = 64 << 10
"""Bytes of a message that the server must take: an event of 60,000, and its headers."""

_PAGE: Final = 1000
_PAGE_BYTES: Final = 8 << 20
_TIMEOUT: Final = 10.0

_STREAM_NOT_FOUND: Final = 10059
_MESSAGE_NOT_FOUND: Final = 10037


def stream_name(service: str) -> str:
    return service.upper()


class EventStore:
    """The stream of one service.

    Reads are by aggregate and come straight from the server; writing is the committer's work.
    """

    def __init__(self, nc: Client, contract: Contract, *, replicas: int = 1) -> None:
        self.nc = nc
        self.contract = contract
        self.stream = stream_name(contract.service)
        self.replicas = replicas
        self.highest_seen = 0
        """The highest sequence that was read, or that the stream was seen to end with."""
        self._replies: dict[str, asyncio.Queue[Msg | Denied | None]] = {}
        self._inbox: str | None = None
        self._inbox_ready = asyncio.Lock()
        self._token = 0

    def subject(self, ref: Ref) -> str:
        """The one exact subject of an aggregate: `ledger.<service>.<category>.<id>`."""
        return f"ledger.{self.contract.service}.{ref.category}.{ref.id}"

    # -- the stream's configuration -------------------------------------------------------------------------------

    async def ensure(self, monitoring_url: str | None) -> None:
        """Create the stream if it is not there, and refuse to go on unless it is as the ledger needs it.

        `monitoring_url` is the server's HTTP monitoring address, where it says whether it syncs every write to disk.
        Raises Misconfigured, naming each setting that differs.
        """
        subjects = [f"ledger.{self.contract.service}.>"]
        found = await self._api(f"STREAM.INFO.{self.stream}")
        if found.get("error", {}).get("err_code") == _STREAM_NOT_FOUND:
            wanted = {**REQUIRED, "name": self.stream, "subjects": subjects, "num_replicas": self.replicas}
            found = await self._api(f"STREAM.CREATE.{self.stream}", wanted)
        if "error" in found:
            raise Misconfigured(f"The server would not give the stream {self.stream}: {found['error']['description']}.")
        config = found["config"]
        wrong = [
            f"{key} is {config.get(key)!r}, not {value!r}"
            for key, value in REQUIRED.items()
            if config.get(key) != value
        ]
        wrong += [f"{key} is set" for key in FORBIDDEN if config.get(key)]
        if config.get("persist_mode") not in (None, "", "default"):
            wrong.append(f"persist_mode is {config['persist_mode']!r}, which acknowledges before writing")
        if config.get("subjects") != subjects:
            wrong.append(f"subjects are {config.get('subjects')}, not {subjects}")
        needed, what = (MAX_PAYLOAD, "bulk commands") if self.contract.bulk else (MIN_PAYLOAD, "events")
        if self.nc.max_payload < needed:
            wrong.append(f"the server's max_payload is {self.nc.max_payload:,} bytes, and {what} need {needed:,}")
        if config.get("num_replicas", 1) < self.replicas:
            wrong.append(f"{config.get('num_replicas', 1)} server holds it, not {self.replicas}: see docs/scaling.md")
        if wrong:
            raise Misconfigured(
                f"The stream {self.stream} is not safe for a ledger: {'; '.join(wrong)}. "
                "Nothing was written. Find out who changed it, then set it back (nats stream edit).",
                stream=self.stream, differences=wrong,
            )  # fmt: skip
        await assert_sync_always(monitoring_url)

    async def last_sequence(self) -> int:
        """The stream's last sequence; 0 when it is empty, or not there (any more)."""
        info = await self._api(f"STREAM.INFO.{self.stream}")
        if info.get("error", {}).get("err_code") == _STREAM_NOT_FOUND:
            return 0
        if "error" in info:
            raise OutcomeUnknown(f"The stream {self.stream} did not answer: {info['error']['description']}.")
        last = int(info["state"]["last_seq"])
        self.highest_seen = max(self.highest_seen, last)
        return last

    # -- one aggregate --------------------------------------------------------------------------------------------

    async def page(
        self, ref: Ref, *, after: int = 0, size: int = _PAGE, max_bytes: int = _PAGE_BYTES
    ) -> tuple[list[Recorded], int]:
        """An aggregate's next events behind a stream sequence, and how many follow them.

        At most `size`, and about `max_bytes` of them, but always one. Uses the server's batched direct get (ADR-31),
        which needs no consumer.
        """
        wanted = {"seq": after + 1, "next_by_subj": self.subject(ref), "batch": size, "max_bytes": max_bytes}
        messages = await self._collect(wanted)
        left = int((messages[-1].headers or {}).get("Nats-Num-Pending", "0")) if messages else 0
        return [self._recorded(m) for m in messages], left

    async def head(self, ref: Ref) -> int:
        """The stream sequence of an aggregate's last event as the stream's leader has it; 0 when it has none."""
        return await self.head_of(self.subject(ref))

    async def head_of(self, subject: str) -> int:
        """The same by subject."""
        answer = await self._api(f"STREAM.MSG.GET.{self.stream}", {"last_by_subj": subject})
        if "error" in answer:
            if answer["error"].get("err_code") == _MESSAGE_NOT_FOUND:
                return 0
            raise OutcomeUnknown(f"The stream {self.stream} did not answer: {answer['error']['description']}.")
        return int(answer["message"]["seq"])

    async def heads(self, subjects: list[str]) -> dict[str, int]:
        """The last sequence of each of up to 1,000 subjects; subjects without events are left out.

        Any replica may answer, and one that is behind names an older event.
        """
        messages = await self._collect({"multi_last": subjects, "batch": len(subjects)})
        return {m.headers["Nats-Subject"]: int(m.headers["Nats-Sequence"]) for m in messages if m.headers}

    async def at(self, sequence: int) -> Recorded | None:
        """The event at a stream sequence, or None when there is none."""
        reply = await self._ask(f"{api_of(self.nc)}.DIRECT.GET.{self.stream}", json.dumps({"seq": sequence}).encode())
        status = (reply.headers or {}).get("Status")
        if status == "404":
            return None
        if status is not None:
            raise self._unread(reply)
        return self._recorded(reply)

    async def stored(self, sequence: int) -> Recorded:
        """The event at a stream sequence that an event was stored at. Raises Halted when it is gone."""
        recorded = await self.at(sequence)
        if recorded is None:
            raise Halted(
                f"The event at sequence {sequence} of {self.stream} is gone. Run `commons verify`.",
                stream=self.stream, sequence=sequence,
            )  # fmt: skip
        return recorded

    async def position_at(self, moment: datetime) -> int:
        """The sequence of the last event that was recorded up to a moment; 0 when there was none.

        It is found by halving, for the stream is in the order in which its events were recorded. Where a clock was set
        back it is one of the places at which the events' time passes the moment. Raises Halted when an event is gone.
        """
        before, after = 0, await self.last_sequence() + 1
        while after - before > 1:
            middle = (before + after) // 2
            if (await self.stored(middle)).recorded_at <= moment:
                before = middle
            else:
                after = middle
        return before

    def _recorded(self, message: Msg) -> Recorded:
        headers = message.headers or {}
        sequence = int(headers["Nats-Sequence"])
        self.highest_seen = max(self.highest_seen, sequence)
        return decode(
            message.data, stream=self.stream, sequence=sequence,
            subject=headers["Nats-Subject"], contract=self.contract,
        )  # fmt: skip

    async def _collect(self, request: dict[str, Any]) -> list[Msg]:
        """All replies of one batched direct get, up to the one that marks the end (status 204), or 404 for none."""
        body = json.dumps(request).encode()
        messages: list[Msg] = []
        async with self._asked(f"{api_of(self.nc)}.DIRECT.GET.{self.stream}", body) as reply:
            while True:
                message = await reply()
                status = (message.headers or {}).get("Status")
                if status is None:
                    messages.append(message)
                elif status in ("204", "404"):
                    return messages
                else:
                    raise self._unread(message)

    def _unread(self, message: Msg) -> OutcomeUnknown:
        headers = message.headers or {}
        return OutcomeUnknown(
            f"The stream {self.stream} would not be read: {headers.get('Status')} {headers.get('Description', '')}."
        )

    # -- requests -------------------------------------------------------------------------------------------------

    def connection_changed(self) -> None:
        """The connection was lost, and with it the replies to all that was asked: nobody waits for them any more."""
        for queue in self._replies.values():
            queue.put_nowait(None)

    async def _ask(self, subject: str, body: bytes) -> Msg:
        async with self._asked(subject, body) as reply:
            return await reply()

    @asynccontextmanager
    async def _asked(self, subject: str, body: bytes) -> AsyncIterator[Callable[[], Awaitable[Msg]]]:
        """Send a request; the context's value waits for the next reply. Raises OutcomeUnknown when none comes."""
        token, replies = await self._listen()

        async def reply() -> Msg:
            try:
                message = await asyncio.wait_for(replies.get(), _TIMEOUT)
            except TimeoutError:
                raise OutcomeUnknown(f"The stream {self.stream} did not answer within {_TIMEOUT:.0f} s.") from None
            if isinstance(message, Denied):
                raise message
            if message is None:
                raise OutcomeUnknown("The connection to the NATS server was lost before it answered.")
            return message

        try:
            with until_denied(self.nc, subject, replies.put_nowait):
                await self.nc.publish(subject, body, reply=f"{self._inbox}.{token}")
                yield reply
        except nats.errors.Error as error:
            raise OutcomeUnknown(f"The NATS server cannot be reached: {type(error).__name__}.") from error
        finally:
            del self._replies[token]

    async def _listen(self) -> tuple[str, asyncio.Queue[Msg | Denied | None]]:
        """One subscription for all replies of this store; a token in the reply subject tells them apart."""
        async with self._inbox_ready:
            if self._inbox is None:
                inbox = self.nc.new_inbox()

                async def deliver(message: Msg) -> None:
                    queue = self._replies.get(message.subject.rpartition(".")[2])
                    if queue is not None:
                        queue.put_nowait(message)

                await self.nc.subscribe(f"{inbox}.*", cb=deliver, pending_msgs_limit=-1, pending_bytes_limit=-1)
                self._inbox = inbox
        self._token += 1
        token = str(self._token)
        queue: asyncio.Queue[Msg | Denied | None] = asyncio.Queue()
        self._replies[token] = queue
        return token, queue

    async def _api(self, call: str, request: dict[str, Any] | None = None) -> dict[str, Any]:
        body = b"" if request is None else json.dumps(request).encode()
        reply = await self._ask(f"{api_of(self.nc)}.{call}", body)
        if (reply.headers or {}).get("Status") == "503":
            raise Misconfigured(
                "The NATS server has no JetStream, or this account may not use it. Start it with JetStream on."
            )
        answer: dict[str, Any] = json.loads(reply.data)
        return answer


def chain(events: list[Recorded], *, revision: int, previous: str) -> tuple[int, str]:
    """Check that events continue a chain, and return its new last revision and hash.

    Raises Corrupt at the first event whose revision or `prevhash` does not follow.
    """
    for event in events:
        if event.revision != revision + 1 or event.envelope.prevhash != previous:
            raise Corrupt(
                f"The chain of {event.subject} breaks at sequence {event.sequence} of {event.stream}: revision "
                f"{event.revision} should be {revision + 1} and name {previous[:12]}… as its predecessor. The "
                "aggregate takes no more commands. Run `commons verify` and compare with a backup.",
                stream=event.stream, sequence=event.sequence, subject=event.subject,
            )  # fmt: skip
        revision, previous = event.revision, event.hash
    return revision, previous


async def assert_sync_always(monitoring_url: str | None, fetch: Callable[[str], bytes] | None = None) -> None:
    """Refuse to go on unless the server writes every acknowledged message through to disk.

    Of a cluster the addresses of all servers are given, with commas between: an event is acknowledged by most of them,
    so most have to say so, and none the contrary. Raises Misconfigured when that is not so.
    """
    if monitoring_url is None:
        raise Misconfigured(
            "Whether the NATS server syncs every write is not known, because no monitoring address was given. "
            "Set NATS_MONITORING_URL, for example http://127.0.0.1:8222, and `http: 127.0.0.1:8222` in its file."
        )
    urls = [f"{one.strip().rstrip('/')}/jsz" for one in monitoring_url.split(",") if one.strip()]
    configs = await asyncio.gather(*(_jetstream_config(url, fetch or _fetch) for url in urls))
    silent = [found for found in configs if isinstance(found, str)]
    if len(silent) * 2 >= len(urls):
        raise Misconfigured("; ".join(silent))
    for url, config in zip(urls, configs, strict=True):
        if not isinstance(config, str) and not config.get("sync_always"):
            where = f" ({url})" if len(urls) > 1 else ""
            raise Misconfigured(
                f"The NATS server{where} does not sync every write to disk, so acknowledged events could be lost. Set "
                "`sync_interval: always` in the server's `jetstream` block.",
                sync_interval=config.get("sync_interval"),
            )


async def _jetstream_config(url: str, fetch: Callable[[str], bytes]) -> dict[str, Any] | str:
    """What a server says of its JetStream, or a sentence that it does not."""
    try:
        config: dict[str, Any] = json.loads(await asyncio.to_thread(fetch, url)).get("config") or {}
        return config
    except (OSError, ValueError, AttributeError, urllib.error.URLError) as error:
        return f"The NATS server's monitoring address {url} did not answer: {error}."


def _fetch(url: str) -> bytes:
    if not url.startswith(("http://", "https://")):
        raise ValueError("a monitoring address begins with http:// or https://")
    with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - the scheme was checked above
        body: bytes = answer.read(1 << 20)
        return body
