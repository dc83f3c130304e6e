"""Who may act in which role: the words that contracts have for it, how it is decided, and what it lets somebody do.

    GrantRole   an administrator gives somebody a role, until a moment or for good -> RoleGranted
    RevokeRole  and takes it back                                                  -> RoleRevoked

All grants of a service are one aggregate, `authority/roles`, in its own stream, so that it is known who came first:
while there is no administrator, whoever's token carries that role names the first. From then on administrators grant,
and nobody to themselves; the last one stays. A grant is known by the number of its event in the aggregate, and stands
in the events that were decided under it, as their `mandate`: `steward#7`.

A role granted to everybody (`*`) is held by everyone whose token carries it, but for who granted it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final, NamedTuple, Protocol

from pydantic import Field

from shared.command import CommandMeta
from shared.contract import Contract, fields_of, value
from shared.decider import Context, Decider, Ref
from shared.errors import Forbidden, Rejected
from shared.persons import is_among
from shared.rights import ADMINISTRATOR, Rights
from shared.types import Moment, Note, shaped

CATEGORY: Final = "authority"
ALL: Final = Ref(CATEGORY, "roles")
"""The one aggregate."""

EVERYBODY: Final = "*"

# -- words ------------------------------------------------------------------------------------------------------------

_NAME: Final = shaped(r"^[^\x00-\x20\x7f-\x9f]{1,128}$", "a name has no blanks, and at most 128 characters")
ActorName = Annotated[str, Field(pattern=_NAME, max_length=128)]


def authority_id(_: Any) -> str:
    return ALL.id


@value
class Grant:
    actor: ActorName
    role: str
    until: Moment | None = None
    reason: Note | None = None


@value
class Revoke:
    actor: ActorName
    role: str
    reason: Note | None = None


@value
class Granted:
    actor: str
    role: str
    until: Moment | None = None
    reason: str | None = None
    granted_by: str
    occurred_at: Moment


@value
class Revoked:
    actor: str
    role: str
    reason: str | None = None
    occurred_at: Moment


REFUSALS: Final = (
    "ADMINISTRATOR_REQUIRED", "SELF_GRANT", "LAST_ADMINISTRATOR", "NOT_FOR_EVERYBODY", "GRANT_ENDED",
)  # fmt: skip
"""Codes that the refusals of a service with grants have, in whatever order."""


# -- deciding ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Held:
    """One grant: its number, until when it stands, and who gave it."""

    number: int
    until: datetime | None
    by: str

    def stands(self, now: datetime) -> bool:
        return self.until is None or now < self.until


@dataclass
class Grants:
    """What is granted in one service, by actor and role; `count` numbers the grants."""

    count: int = 0
    held: dict[str, dict[str, Held]] = field(default_factory=dict)

    def find(self, actor: str, role: str, now: datetime) -> Held | None:
        """The grant under which somebody may act in a role now: their own, or everybody's."""
        own = self.held.get(actor, {}).get(role)
        if own is not None and own.stands(now):
            return own
        all_ = self.held.get(EVERYBODY, {}).get(role)
        return all_ if all_ is not None and all_.stands(now) and not is_among(actor, [all_.by]) else None

    def administrators(self) -> list[str]:
        """Those who administrate for good."""
        return [
            name for name, roles in self.held.items()
            if (held := roles.get(ADMINISTRATOR)) is not None and held.until is None
        ]  # fmt: skip


def evolve(grants: Grants, event: Granted | Revoked) -> Grants:
    grants.count += 1
    if isinstance(event, Granted):
        made = Held(grants.count, event.until, event.granted_by)
        grants.held.setdefault(event.actor, {})[str(event.role)] = made
    else:
        roles = grants.held.get(event.actor, {})
        roles.pop(str(event.role), None)
        if not roles:
            grants.held.pop(event.actor, None)
    return grants


def check(grants: Grants) -> list[str]:
    broken = []
    if grants.count and not grants.administrators():
        broken.append("roles are granted, and nobody may grant or revoke one")
    if ADMINISTRATOR in grants.held.get(EVERYBODY, {}):
        broken.append("everybody is an administrator")
    return broken


@dataclass(frozen=True)
class _Decisions:
    """The decisions on the grants of one service."""

    refusals: type[StrEnum]
    granted: Callable[..., Any]
    revoked: Callable[..., Any]

    def decide(self, command: Grant | Revoke, grants: Grants, context: Context) -> Any:
        self._entitled(command, grants, context)
        if isinstance(command, Grant):
            return self._grant(command, grants, context)
        return self._revoke(command, grants, context)

    def _entitled(self, command: Grant | Revoke, grants: Grants, context: Context) -> None:
        """Refuse who is no administrator; where there is none yet, who does not name the first."""
        claims = context.roles is None or ADMINISTRATOR in context.roles
        if not grants.administrators():
            if isinstance(command, Grant) and command.role == ADMINISTRATOR and command.until is None and claims:
                return
            raise self._no(
                "ADMINISTRATOR_REQUIRED", command, "There is no administrator yet. Grant that role first, for good, by "
                "a token that carries it.",
            )  # fmt: skip
        if not claims or grants.find(context.actor, ADMINISTRATOR, context.now) is None:
            raise self._no(
                "ADMINISTRATOR_REQUIRED", command,
                f"{context.actor} is no administrator{'' if claims else ' by their token'}. Ask one of: "
                f"{', '.join(sorted(grants.administrators())[:5])}.",
            )  # fmt: skip

    def _grant(self, command: Grant, grants: Grants, context: Context) -> Any:
        before = grants.held.get(command.actor, {}).get(str(command.role))
        if before is not None and before.until == command.until and before.stands(context.now):
            return None
        if command.actor == EVERYBODY and command.role == ADMINISTRATOR:
            raise self._no("NOT_FOR_EVERYBODY", command, "Not everybody can be an administrator. Name one.")
        if grants.count and is_among(context.actor, [command.actor]):
            raise self._no("SELF_GRANT", command, "Nobody grants themselves a role. Let another administrator do it.")
        if command.until is not None and command.until <= context.now:
            raise self._no("GRANT_ENDED", command, f"{command.until:%Y-%m-%d %H:%M} UTC is over. Name a later moment.")
        if command.role == ADMINISTRATOR and command.until is not None:
            self._not_the_last(command, grants)
        return self.granted(**dict(fields_of(command)), granted_by=context.actor, occurred_at=context.now)

    def _revoke(self, command: Revoke, grants: Grants, context: Context) -> Any:
        if str(command.role) not in grants.held.get(command.actor, {}):
            return None
        if command.role == ADMINISTRATOR:
            self._not_the_last(command, grants)
        return self.revoked(**dict(fields_of(command)), occurred_at=context.now)

    def _not_the_last(self, command: Grant | Revoke, grants: Grants) -> None:
        if grants.administrators() == [command.actor]:
            raise self._no(
                "LAST_ADMINISTRATOR",
                command,
                f"{command.actor} is the last administrator. Grant that to another first.",
            )

    def _no(self, code: str, command: Grant | Revoke, what: str) -> Rejected:
        return Rejected(self.refusals[code], what, actor=command.actor, role=str(command.role))


def authorities(contract: Contract, refusals: type[StrEnum]) -> Decider[Grants]:
    """The decider of a service's grants, whose contract declares the words above as its own."""
    missing = [name for name in REFUSALS if name not in refusals.__members__]
    if missing:
        raise TypeError(f"{refusals.__name__} lacks refusals of grants: {missing}")
    made = {
        kind: next(
            one.cls for one in contract.events.values() if one.category == CATEGORY and issubclass(one.cls, kind)
        )
        for kind in (Granted, Revoked)
    }
    own = _Decisions(refusals, made[Granted], made[Revoked])
    return Decider(contract, CATEGORY, Grants, Grants, own.decide, evolve, check)


# -- what it lets somebody do -----------------------------------------------------------------------------------------


class Acting(NamedTuple):
    """As what somebody acts: the mandate that decisions see, a role or a body's minute, and what is recorded of it."""

    mandate: str | None
    recorded: str | None


class Authority(Protocol):
    """What a handler asks before each decision."""

    ref: Ref
    """The aggregate that says who may what."""

    def acting(self, command: Any, meta: CommandMeta, state: Any, now: datetime) -> Acting:
        """As what a command's sender acts. Raises Forbidden when they may not send it."""


class ByGrants:
    """Authority by the grants of a service and the table of its contract."""

    ref = ALL

    def __init__(self, contract: Contract, *, from_tokens: bool = False) -> None:
        """With `from_tokens` the roles of a token count by themselves, as long as nothing is granted yet."""
        self._from_tokens = from_tokens
        if contract.rights is None:
            raise TypeError(f"The contract of {contract.service} does not say who may send its commands")
        self._rights: Rights = contract.rights

    def acting(self, command: Any, meta: CommandMeta, state: Grants, now: datetime) -> Acting:
        kind, said = type(command), meta.mandate
        if meta.authtype != "user":
            return by_process(self._rights, kind, meta)
        if isinstance(command, Grant | Revoke):  # whose decision says itself who may
            held = state.find(meta.actor, ADMINISTRATOR, now)
            return Acting(None, None) if held is None else Acting(ADMINISTRATOR, f"{ADMINISTRATOR}#{held.number}")
        needed = self._rights.needed[kind]
        minute = said if said is not None and "/" in said else None
        wanted = needed if said is None or minute else tuple(role for role in needed if role == said)
        for role in wanted:
            if meta.roles is None or role in meta.roles:
                if self._from_tokens and not state.count:
                    return Acting(minute or role, role if minute is None else f"{role} {minute}")
                found = state.find(meta.actor, role, now)
                if found is not None:
                    grant = f"{role}#{found.number}"
                    return Acting(minute or role, grant if minute is None else f"{grant} {minute}")
        raise self._forbidden(kind, meta, needed, state, now)

    def _forbidden(
        self, kind: type, meta: CommandMeta, needed: tuple[str, ...], state: Grants, now: datetime
    ) -> Forbidden:
        granted = [role for role in self._rights.roles if state.find(meta.actor, role, now) is not None]
        facts = {"actor": meta.actor, "command": kind.__name__, "needs": list(needed), "granted": granted}
        if not needed:
            by = " or ".join(self._rights.senders(kind)[1])
            return Forbidden(f"{kind.__name__} is sent by {by} alone, and by nobody else.", **facts)
        roles = " or ".join(needed)
        if meta.mandate is not None and "/" not in meta.mandate and meta.mandate not in needed:
            why = f"not as {meta.mandate}"
        elif not set(granted) & set(needed):
            why = (
                f"and is granted {', '.join(granted) or 'no role'}. An administrator grants one: `commons actors grant`"
            )
        else:
            why = "a role which their token does not carry. Make one that does"
        return Forbidden(f"{meta.actor} may send {kind.__name__} as {roles} alone, {why}.", **facts)


def by_process(rights: Rights, kind: type, meta: CommandMeta) -> Acting:
    """As what a process, or a service, acts, whose right is in the contract. Raises Forbidden."""
    if kind not in rights.processes.get(meta.actor, ()):
        raise Forbidden(
            f"The {meta.authtype} {meta.actor} may not send {kind.__name__}.", actor=meta.actor, command=kind.__name__
        )
    return Acting(meta.mandate, meta.mandate)
