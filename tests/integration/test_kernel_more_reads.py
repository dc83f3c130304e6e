"""A decision may read an aggregate that it learns of only while it decides, from the state of another."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pytest

from services.local.nats import NatsServer
from shared.contract import Contract
from shared.decider import Context, Decider, Ref
from shared.errors import LedgerError, Rejected
from shared.types import Id, Quantity
from tests.support.ledger import event_of, ledger

signposts = Contract("signposts")


class SignpostError(StrEnum):
    NOWHERE = "NOWHERE"


@signposts.event(category="post")
class PostSet:
    """A post points to another, or to itself, and stands so high."""

    post: Id
    next: Id
    height: Quantity


@signposts.command(category="post", aggregate="post", makes=(PostSet,))
class SetPost:
    """Set a post up."""

    post: Id
    next: Id
    height: Quantity


@signposts.event(category="walk")
class Walked:
    """Somebody followed the posts from one on; `heights` are those that they saw."""

    walk: Id
    start: Id
    steps: Quantity
    heights: tuple[int, ...]


@signposts.command(category="walk", aggregate="walk", makes=(Walked,))
class Walk:
    """Follow the posts, so many of them."""

    walk: Id
    start: Id
    steps: Quantity


signposts.freeze()


@dataclass
class Post:
    next: str = ""
    height: int = 0


@dataclass
class Walks:
    walks: int = 0


def _set(state: Post, event: PostSet) -> Post:
    state.next, state.height = event.next, event.height
    return state


def _decide_post(command: SetPost, state: Post, context: Context) -> PostSet | None:
    if (state.next, state.height) == (command.next, command.height):
        return None
    return PostSet(post=command.post, next=command.next, height=command.height)


def _decide_walk(command: Walk, state: Walks, context: Context) -> Walked:
    heights, at = [], command.start
    for _ in range(command.steps):
        post: Post = context.read("post", at)
        if not post.height:
            raise Rejected(SignpostError.NOWHERE, f"There is no post {at}.")
        heights.append(post.height)
        at = post.next
    return Walked(walk=command.walk, start=command.start, steps=command.steps, heights=tuple(heights))


def _walked(state: Walks, event: Walked) -> Walks:
    state.walks += 1
    return state


def _sound(_: Any) -> list[str]:
    return []


def _first(command: Walk) -> Iterable[Ref]:
    return (Ref("post", command.start),)


DECIDERS = (
    Decider(signposts, "post", Post, Post, _decide_post, _set, _sound),
    Decider(signposts, "walk", Walks, Walks, _decide_walk, _walked, _sound, _first),
)


async def test_what_a_decision_learns_of_is_read_for_it(nats_server: NatsServer) -> None:
    async with ledger(nats_server, contract=signposts, deciders=DECIDERS) as one:
        for number in range(10):
            await one.send(SetPost(post=f"p{number}", next=f"p{number + 1}", height=number + 1), f"set {number}")
        seen = event_of(await one.send(Walk(walk="w", start="p0", steps=10), "walk"), signposts)
        assert seen.heights == tuple(range(1, 11))
        with pytest.raises(Rejected, match="no post p10"):
            await one.send(Walk(walk="w", start="p0", steps=11), "too far")
    async with ledger(nats_server, contract=signposts, deciders=DECIDERS) as again:  # nothing is in memory now
        again_seen = event_of(await again.send(Walk(walk="w", start="p3", steps=5), "again"), signposts)
        assert again_seen.heights == (4, 5, 6, 7, 8)
        assert (await again.send(Walk(walk="w", start="p0", steps=10), "walk")).repeated


async def test_it_is_read_as_it_is_after_all_that_was_decided_before(nats_server: NatsServer) -> None:
    """What was sent before to the aggregate that is learned of is seen; those to one aggregate keep their order."""
    async with ledger(nats_server, contract=signposts, deciders=DECIDERS) as one:
        await one.send(SetPost(post="a", next="b", height=1), "a")
        answers = []
        for number in range(2, 40):
            answers.append(one.start(SetPost(post="b", next="a", height=number), f"b{number}"))
            answers.append(one.start(Walk(walk="w", start="a", steps=2), f"w{number}"))
        walked = [event_of(answer, signposts) for answer in await asyncio.gather(*answers)]
        heights = [event.heights[1] for event in walked if isinstance(event, Walked)]
        assert heights == sorted(heights)
        assert heights[-1] == 39


async def test_a_decision_that_reads_without_an_end_is_refused_and_stops_nobody(nats_server: NatsServer) -> None:
    async with ledger(nats_server, contract=signposts, deciders=DECIDERS) as one:
        for number in range(100):
            await one.send(SetPost(post=f"p{number}", next=f"p{(number + 1) % 100}", height=1), f"set {number}")
        with pytest.raises(LedgerError, match="an error of its own"):
            await one.send(Walk(walk="w", start="p0", steps=80), "too many")
        seen = event_of(await one.send(Walk(walk="w", start="p0", steps=60), "fine"), signposts)
        assert len(seen.heights) == 60
