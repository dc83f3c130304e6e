"""Erasure of a person: the words that every contract with personal data has for it, and how it is decided.

    RequestErasure    one person asks, with a reason                -> ErasureRequested
    NoteObstacles     the service says what still needs the data    -> ObstaclesNoted      (sent by erasing.py)
    ApproveErasure    a second person agrees; access is locked      -> ErasureApproved, due after the set delay
    HoldErasure       a legal hold: nothing is erased while it is   -> ErasureHeld; LiftErasureHold -> ErasureHoldLifted
    CancelErasure     it is not to be, as long as it is not done    -> ErasureCancelled
    ErasePerson       it is due, and nothing stands against it      -> PersonErased        (sent by erasing.py)
    AcknowledgeErasure  the key is destroyed, in both places        -> ErasureAcknowledged (sent by erasing.py)

The aggregate `erasure` has the id `<kind>:<person>`, as `household:h-12`; `<kind>/<person>` owns the key. Every event
says how far the erasure has come after it (`stage`), so that the last one alone tells who is locked and who is erased
to whoever opens a sealed text, and to a vault that is loaded out of an older copy (forgetting.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import Field

from shared.contract import Contract, fields_of, value
from shared.decider import Context, Decider, Ref
from shared.errors import Rejected
from shared.moments import TOLERANCE
from shared.persons import is_among
from shared.settings import Settings
from shared.types import Date, Id, Moment, Note, Text

CATEGORY: Final = "erasure"

# -- words ------------------------------------------------------------------------------------------------------------


class Stage(StrEnum):
    """How far the erasure of a person has come. From `approved` on nobody is shown what was sealed of them."""

    NONE = "none"
    REQUESTED = "requested"
    APPROVED = "approved"
    ERASED = "erased"


@value
class Obstacle:
    """What still needs a person's data: `what` it is (open orders, open dues), and some of `which` they are.

    With `last`, records that are kept name them on that day last, and it stands until the years of keeping are over.
    """

    what: Text
    which: tuple[Text, ...] = ()
    last: Date | None = None


@value
class About:
    """Whose erasure it is: `kind` is what they are here (household, party, donor), `person` their id."""

    kind: Id
    person: Id


def erasure_id(thing: About) -> str:
    """The aggregate of a person's erasure. Neither part can hold a colon."""
    return f"{thing.kind}:{thing.person}"


@value
class Request(About):
    reason: Note


@value
class NoteCheck(About):
    obstacles: Annotated[tuple[Obstacle, ...], Field(max_length=20)] = ()


@value
class Approve(About):
    pass


@value
class Hold(About):
    reason: Note


@value
class LiftHold(About):
    reason: Note


@value
class Cancel(About):
    reason: Note


@value
class Erase(About):
    pass


@value
class Acknowledge(About):
    pass


@value
class Happened(About):
    """What every event of an erasure says: how far it has come with it, and when."""

    stage: Stage
    occurred_at: Moment


@value
class Requested(Happened):
    reason: Note
    requested_by: str


@value
class Checked(Happened):
    obstacles: tuple[Obstacle, ...] = ()


@value
class Approved(Happened):
    approved_by: str
    due_at: Moment


@value
class Held(Happened):
    reason: Note


@value
class HoldLifted(Happened):
    reason: Note


@value
class Cancelled(Happened):
    reason: Note


@value
class Erased(Happened):
    pass


@value
class Acknowledged(Happened):
    pass


REFUSALS: Final = (
    "NOT_REQUESTED", "NOT_CHECKED", "SECOND_PERSON_REQUIRED", "ERASURE_HELD", "STILL_NEEDED", "NOT_APPROVED",
    "NOT_YET_DUE", "KEY_NOT_DESTROYED", "ALREADY_ERASED", "NOT_A_PERSON",
)  # fmt: skip
"""Codes that the refusals of a service with erasures have, in whatever order."""


# -- how long ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Terms:
    """What an operator has set: how long after its approval an erasure is carried out, and how many years, from the
    end of the year, a service's records keep whom they name."""

    delay: timedelta = timedelta(days=30)
    years: int = 10

    @classmethod
    def of(cls, settings: Settings, years: int) -> Terms:
        """The terms of a service whose records are kept for so many years."""
        return cls(timedelta(days=settings.erasure_delay_days), years)

    def until(self, obstacle: Obstacle) -> date | None:
        """The last day on which an obstacle stands; None when only an event ends it."""
        return None if obstacle.last is None else date(obstacle.last.year + self.years, 12, 31)

    def standing(self, obstacles: Iterable[Obstacle], on: date) -> list[Obstacle]:
        """The obstacles that stand on a day."""
        return [one for one in obstacles if (until := self.until(one)) is None or on <= until]

    def told(self, obstacle: Obstacle) -> str:
        """An obstacle in words."""
        until = self.until(obstacle)
        if until is not None:
            return f"{obstacle.what} (last on {obstacle.last}), kept for {self.years} years, until {until}"
        return f"{obstacle.what}: {', '.join(obstacle.which)}" if obstacle.which else obstacle.what


AS_SET_FIRST: Final = Terms()
"""The terms of an operator who has set nothing."""


# -- deciding ---------------------------------------------------------------------------------------------------------


@dataclass
class Erasure:
    """The erasure of one person. `obstacles` is None until the service has looked, once for each request."""

    stage: Stage = Stage.NONE
    requested_by: str = ""
    obstacles: list[Obstacle] | None = None
    held: bool = False
    due_at: datetime | None = None
    acknowledged: bool = False


def evolve(erasure: Erasure, event: Happened) -> Erasure:
    erasure.stage = event.stage
    match event:
        case Requested():
            erasure.requested_by, erasure.obstacles = event.requested_by, None
        case Checked():
            erasure.obstacles = list(event.obstacles)
        case Approved():
            erasure.due_at = event.due_at
        case Held():
            erasure.held = True
        case HoldLifted():
            erasure.held = False
        case Cancelled():
            erasure.due_at = None
        case Acknowledged():
            erasure.acknowledged = True
    return erasure


def check(erasure: Erasure) -> list[str]:
    broken = []
    if (erasure.stage in (Stage.APPROVED, Stage.ERASED)) != (erasure.due_at is not None):
        broken.append("an erasure is due that nobody approved, or approved and never due")
    if erasure.acknowledged and erasure.stage is not Stage.ERASED:
        broken.append("a key was destroyed of somebody who is not erased")
    return broken


@dataclass(frozen=True)
class Kind:
    """What a person may be in a service: whether an aggregate of that category is one, and the refusal if not."""

    known: Callable[[Any], bool]
    unknown: StrEnum


def _anybody(_: Context) -> None:
    """Nobody is refused."""


@dataclass(frozen=True)
class _Decisions:
    """The decisions on erasures of one service."""

    contract: Contract
    refusals: type[StrEnum]
    kinds: Mapping[str, Kind]
    terms: Terms
    entitled: Callable[[Context], object]
    makes: dict[type, type] = field(default_factory=dict)

    def __post_init__(self) -> None:
        missing = [name for name in REFUSALS if name not in self.refusals.__members__]
        if missing:
            raise TypeError(f"{self.refusals.__name__} lacks refusals of erasures: {missing}")
        for spec in self.contract.events.values():
            if spec.category == CATEGORY:
                self.makes[spec.cls.__bases__[0]] = spec.cls

    def reads(self, command: About) -> Iterable[Ref]:
        asks = isinstance(command, Request | Hold) and command.kind in self.kinds
        return (Ref(command.kind, command.person),) if asks else ()

    def decide(self, command: About, erasure: Erasure, context: Context) -> Happened | None:
        if not isinstance(command, NoteCheck | Erase | Acknowledge):  # which the service sends itself
            self.entitled(context)
        if isinstance(command, Acknowledge):
            return self._acknowledge(command, erasure, context)
        if erasure.stage is Stage.ERASED:
            if isinstance(command, Erase | NoteCheck):
                return None
            raise self._no("ALREADY_ERASED", command, "was erased. Nothing more can be decided about it.")
        match command:
            case Request():
                if erasure.stage is not Stage.NONE:
                    return None
                self._is_known(command, context)
                return self._made(Requested, command, Stage.REQUESTED, context, requested_by=context.actor)
            case NoteCheck():
                if erasure.stage is Stage.NONE or erasure.obstacles == list(command.obstacles):
                    return None
                return self._made(Checked, command, erasure.stage, context)
            case Hold():
                if erasure.held:
                    return None
                self._is_known(command, context)
                return self._made(Held, command, erasure.stage, context)
            case LiftHold():
                return self._made(HoldLifted, command, erasure.stage, context) if erasure.held else None
            case Cancel():
                if erasure.stage is Stage.NONE:
                    return None
                return self._made(Cancelled, command, Stage.NONE, context)
            case Approve():
                return self._approve(command, erasure, context)
            case Erase():
                return self._erase(command, erasure, context)
        raise AssertionError(command)

    def _approve(self, command: Approve, erasure: Erasure, context: Context) -> Happened | None:
        if erasure.stage is Stage.APPROVED:
            return None
        if erasure.stage is Stage.NONE:
            raise self._no("NOT_REQUESTED", command, "is not asked to be erased. Ask for it first, with a reason.")
        if is_among(context.actor, [erasure.requested_by]):
            raise self._no(
                "SECOND_PERSON_REQUIRED", command,
                f"was asked to be erased by {context.actor}, who cannot approve it too. Let a second person look.",
            )  # fmt: skip
        self._nothing_against(command, erasure, context)
        return self._made(
            Approved, command, Stage.APPROVED, context, approved_by=context.actor,
            due_at=context.now + self.terms.delay,
        )  # fmt: skip

    def _erase(self, command: Erase, erasure: Erasure, context: Context) -> Happened:
        if erasure.stage is not Stage.APPROVED or erasure.due_at is None:
            raise self._no("NOT_APPROVED", command, "is not approved to be erased. Let a second person approve it.")
        if context.now < erasure.due_at - TOLERANCE:
            raise self._no(
                "NOT_YET_DUE", command, f"is erased at {erasure.due_at:%Y-%m-%d %H:%M} UTC, and until then it can be "
                "cancelled.", due_at=erasure.due_at.isoformat(),
            )  # fmt: skip
        self._nothing_against(command, erasure, context)
        return self._made(Erased, command, Stage.ERASED, context)

    def _acknowledge(self, command: Acknowledge, erasure: Erasure, context: Context) -> Happened | None:
        if erasure.acknowledged:
            return None
        if erasure.stage is not Stage.ERASED or not context.erased(f"{command.kind}/{command.person}"):
            raise self._no("KEY_NOT_DESTROYED", command, "still has a key. The service destroys it when it is due.")
        return self._made(Acknowledged, command, Stage.ERASED, context)

    def _nothing_against(self, command: About, erasure: Erasure, context: Context) -> None:
        """Refuse while a hold stands, or something needs the data still."""
        if erasure.held:
            raise self._no("ERASURE_HELD", command, "is under a legal hold. It is erased only after that is lifted.")
        if erasure.obstacles is None:
            raise self._no("NOT_CHECKED", command, "is still being looked up. Ask again in a moment.")
        standing = self.terms.standing(erasure.obstacles, context.now.date())
        if standing:
            told = "; ".join(map(self.terms.told, standing))
            raise self._no(
                "STILL_NEEDED", command, f"is still needed: {told}. Settle that first, or cancel the request.",
                obstacles=[one.what for one in standing],
            )  # fmt: skip

    def _is_known(self, command: About, context: Context) -> None:
        kind = self.kinds.get(command.kind)
        if kind is None:
            raise self._no(
                "NOT_A_PERSON", command, f"is not somebody {self.contract.service} knows. A person here is a "
                f"{' or a '.join(self.kinds)}.",
            )  # fmt: skip
        if not kind.known(context.read(command.kind, command.person)):
            raise Rejected(
                kind.unknown, f"There is no {command.kind} {command.person}. Check the id.", person=command.person
            )

    def _made(self, kind: type[Happened], command: About, stage: Stage, context: Context, **more: Any) -> Happened:
        made: Happened = self.makes[kind](**dict(fields_of(command)), stage=stage, occurred_at=context.now, **more)
        return made

    def _no(self, code: str, command: About, what: str, **facts: Any) -> Rejected:
        return Rejected(
            self.refusals[code], f"The {command.kind} {command.person} {what}", person=command.person, **facts
        )


def erasures(
    contract: Contract, refusals: type[StrEnum], kinds: Mapping[str, Kind], terms: Terms = AS_SET_FIRST,
    entitled: Callable[[Context], object] = _anybody,
) -> Decider[Erasure]:  # fmt: skip
    """The decider of a service's erasures, for persons of these kinds, each named as its aggregate is.

    `entitled` refuses who may neither ask for one nor decide on it, where a service knows who works for it.
    """
    own = _Decisions(contract, refusals, kinds, terms, entitled)
    return Decider(contract, CATEGORY, Erasure, Erasure, own.decide, evolve, check, own.reads)
