"""What a stream of JetStream holds, read once through a consumer that is pulled from, and the buckets of the ledger.

The client library reads buckets by having them pushed. A consumer that pushes can be told to push to any subject, so
no user of a deployment gets what it pushes (docs/decisions/0035-accounts.md).
"""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator
from typing import Final

import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, DiscardPolicy, StorageType, StreamConfig
from nats.js.kv import KeyValue

from shared.connection import api_of, jetstream

OPERATION: Final = "KV-Operation"
"""The header of an entry of a bucket that deletes what was there."""

_BATCH: Final = 500
_BATCH_BYTES: Final = 8 << 20
_SECONDS: Final = 10.0
_FORGOTTEN_SECONDS: Final = 30.0


async def held(nc: Client, stream: str, *, subject: str | None = None, last: bool = False) -> AsyncIterator[Msg]:
    """Each message that a stream holds at the moment it is asked, or those of a subject, which may have wildcards, in
    order; with `last`, the last of each subject that it stands for.

    Raises NATS's own errors: NotFoundError when there is no such stream.
    """
    js, name = jetstream(nc), f"held-{secrets.token_hex(8)}"
    policy = DeliverPolicy.LAST_PER_SUBJECT if last else DeliverPolicy.ALL
    config = ConsumerConfig(
        name=name, deliver_policy=policy, ack_policy=AckPolicy.NONE, filter_subject=subject,
        inactive_threshold=_FORGOTTEN_SECONDS, mem_storage=True, num_replicas=1,
    )  # fmt: skip
    waiting = (await js.add_consumer(stream, config)).num_pending or 0
    try:
        if waiting:
            reader = await js.pull_subscribe_bind(consumer=name, stream=stream)
            try:
                while waiting:  # as many as there were; what is stored meanwhile is for the next
                    for message in await reader.fetch(min(_BATCH, waiting), timeout=_SECONDS):
                        waiting -= 1
                        yield message
            finally:
                await reader.unsubscribe()
    finally:
        # Its deletion is not waited for: were it lost, the server lets go of what nobody asks.
        await nc.publish(f"{api_of(nc)}.CONSUMER.DELETE.{stream}.{name}")


async def of_subject(nc: Client, stream: str, subject: str) -> list[Msg]:
    """The messages of one subject, got directly, which needs no consumer: for what is a few messages, read often.

    Raises NATS's own errors, and ValueError when the stream does not give them.
    """
    inbox, start, found = nc.new_inbox(), 1, []
    answers = await nc.subscribe(inbox)
    try:
        while True:
            wanted = {"seq": start, "next_by_subj": subject, "batch": _BATCH, "max_bytes": _BATCH_BYTES}
            await nc.publish(f"{api_of(nc)}.DIRECT.GET.{stream}", json.dumps(wanted).encode(), reply=inbox)
            while "Status" not in (headers := (answer := await answers.next_msg(_SECONDS)).headers or {}):
                found.append(answer)
                start = int(headers["Nats-Sequence"]) + 1
            if headers["Status"] not in ("204", "404"):
                raise ValueError(f"{headers['Status']} {headers.get('Description', '')}")
            if int(headers.get("Nats-Num-Pending", "0")) == 0:
                return found
    finally:
        await answers.unsubscribe()


async def bucket(nc: Client, name: str, *, history: int, replicas: int) -> KeyValue:
    """A bucket of entries, made if it is not there. Raises NATS's own errors.

    As a client makes one, but that no entry can take others away with it (`allow_rollup_hdrs`).
    """
    js = jetstream(nc)
    try:
        return await js.key_value(name)
    except nats.js.errors.BucketNotFoundError:
        config = StreamConfig(
            name=f"KV_{name}", subjects=[f"$KV.{name}.>"], storage=StorageType.FILE, num_replicas=replicas,
            max_msgs_per_subject=history, discard=DiscardPolicy.NEW, allow_direct=True, deny_delete=True,
        )  # fmt: skip
        await js.add_stream(config)
        return await js.key_value(name)
