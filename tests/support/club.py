"""A small synthetic service with personal data for the tests of the vault: members who join and move."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from services.local.nats import NatsServer
from shared.command import Answer, CommandMeta
from shared.contract import Contract, value
from shared.decider import Context, Decider
from shared.errors import Rejected
from shared.event import Recorded, decode
from shared.masterkeys import add_to_file
from shared.personal import PersonalText, Sealed
from shared.service import Service
from shared.settings import Settings
from shared.types import Id, Text
from shared.vault import KeyNotHere

club = Contract("club")


class ClubError(StrEnum):
    ALREADY_IN = "ALREADY_IN"


@value
class Visit:
    """A visit by somebody the member knows."""

    day: Text
    guest: Annotated[PersonalText | None, Sealed(of="member")] = None


@club.event(category="member")
class MemberJoined:
    """Somebody joined; `mark` finds others of the same name."""

    member: Id
    name: Annotated[str, Sealed(of="member")]
    contact: Annotated[str | None, Sealed(of="member")] = None
    visits: tuple[Visit, ...] = ()
    mark: Text | None = None


@club.command(category="member", aggregate="member", makes=(MemberJoined,))
class Join:
    """Join the club; whoever is in is refused."""

    member: Id
    name: Text
    contact: Text | None = None
    visits: tuple[Visit, ...] = ()


@club.event(category="member")
class MemberNamed:
    """A member has another name from now on."""

    member: Id
    name: Annotated[str, Sealed(of="member")]


@club.command(category="member", aggregate="member", makes=(MemberNamed,))
class Name:
    """Name a member anew."""

    member: Id
    name: Text


@club.event(category="locker")
class LockerGiven:
    """A member has a locker, or a guest whom nobody knows."""

    locker: Id
    member: Id | None = None


@club.command(category="locker", aggregate="locker", makes=(LockerGiven,))
class GiveLocker:
    """Give a locker to a member, or to a guest."""

    locker: Id
    member: Id | None = None


@club.event(category="locker")
class LockerTaken:
    """A locker was taken back, and why."""

    locker: Id
    why: Annotated[str, Sealed(of="member", remark=True)]
    member: Id | None = None


@club.command(category="locker", aggregate="locker", makes=(LockerTaken,))
class TakeLocker:
    """Take a locker back: it knows whose it is."""

    locker: Id
    why: Text


club.freeze()


@dataclass
class Member:
    names: list[str] = field(default_factory=list)
    mark: str | None = None


def _decide(command: Any, state: Member, context: Context) -> Any:
    match command:
        case Join():
            if state.names:
                raise Rejected(ClubError.ALREADY_IN, f"{command.member} is a member already.")
            return MemberJoined(
                member=command.member, name=command.name, contact=command.contact, visits=command.visits,
                mark=context.blind("name", command.name),
            )  # fmt: skip
        case Name():
            return MemberNamed(member=command.member, name=command.name)
    raise AssertionError(command)


def _evolve(state: Member, event: Any) -> Member:
    state.names.append(event.name)
    state.mark = getattr(event, "mark", state.mark)
    return state


def _check(state: Member) -> list[str]:
    return [f"{name} stands there for all to read" for name in state.names if not name.startswith("sealed:")]


@dataclass
class Locker:
    member: str | None = None


def _decide_locker(command: Any, state: Locker, _: Context) -> Any:
    if isinstance(command, GiveLocker):
        return LockerGiven(locker=command.locker, member=command.member)
    return LockerTaken(locker=command.locker, why=command.why, member=state.member)


def _evolve_locker(state: Locker, event: Any) -> Locker:
    state.member = event.member
    return state


lockers: Decider[Locker] = Decider(club, "locker", Locker, Locker, _decide_locker, _evolve_locker, lambda _: [])
members: Decider[Member] = Decider(club, "member", Member, Member, _decide, _evolve, _check)


@dataclass
class Place:
    """Where a club keeps its keys."""

    folder: Path
    server: NatsServer
    snapshot_every: int = 1000

    @property
    def masters(self) -> Path:
        return self.folder / "master.key"

    @property
    def keyring(self) -> Path:
        return self.folder / "keyring"

    @property
    def file(self) -> Path:
        return self.keyring / "club" / "keys"

    def settings(self) -> Settings:
        if not self.masters.exists():
            add_to_file(self.masters)
        return Settings(
            nats_url=self.server.url, nats_monitoring_url=self.server.monitor_url, master_key_file=self.masters,
            keyring=self.keyring, snapshot_every=self.snapshot_every,
        )  # fmt: skip


class Club(Service):
    """The service, with a shorter way to send to it."""

    async def send(self, command: Any, id: str, actor: str = "sam") -> Answer:
        return await self.handler.handle(command, CommandMeta(id=id, actor=actor))

    async def recorded(self, answer: Answer) -> Recorded:
        found = await self.store.at(answer.sequence)
        assert found is not None
        return found

    def opened(self, text: str) -> str | None:
        assert self.handler.vault is not None
        try:
            return self.handler.vault.unseal(text)
        except KeyNotHere:
            return None


@asynccontextmanager
async def running(place: Place) -> AsyncIterator[Club]:
    service = Club(club, [members, lockers], place.settings())
    await service.start()
    try:
        yield service
    finally:
        await service.stop()


def event_of(answer: Answer) -> Any:
    assert answer.event is not None
    return decode(answer.event, contract=club).data
