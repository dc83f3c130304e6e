"""How an erasure is decided: two people, terms, holds, and what still needs the data; donors stand for all."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any

import pytest

from services.distribution.deciders import DECIDERS as DISTRIBUTION
from services.inventory.contract import InventoryError, inventory
from services.inventory.donor import Donor
from services.inventory.erasure import erasure_under
from services.treasury.deciders import DECIDERS as TREASURY
from shared.decider import Context, Ref
from shared.erasure import REFUSALS, Erasure, Kind, Obstacle, Stage, Terms, erasures
from shared.errors import Rejected

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
TERMS = Terms(delay=timedelta(days=30), years=10)
DECIDER = erasure_under(TERMS)
ANA = {"kind": "donor", "person": "ana"}


class Story:
    """One person's erasure, told command by command; every event keeps the command's fields and every invariant."""

    def __init__(self, registered: bool = True) -> None:
        self.state = Erasure()
        self.donor = Donor(registered_at=NOW if registered else None)
        self.destroyed = False

    def do(self, name: str, at: datetime = NOW, actor: str = "sam", **more: Any) -> Any:
        command = inventory.parse(name, ANA | more)
        context = Context(
            at,
            actor,
            states={Ref("donor", "ana"): self.donor},
            erased=lambda owner: self.destroyed and owner == "donor/ana",
        )
        event = DECIDER.decide(command, self.state, context)
        if event is not None:
            assert (event.kind, event.person, event.occurred_at) == ("donor", "ana", at)
            assert type(event) in inventory.command_of(command).makes
            self.state = DECIDER.evolve(self.state, event)
            assert self.state.stage is event.stage
            assert DECIDER.check(self.state) == []
        return event

    def refused(self, name: str, at: datetime = NOW, actor: str = "sam", **more: Any) -> str:
        with pytest.raises(Rejected) as refusal:
            self.do(name, at, actor, **more)
        assert refusal.value.facts["person"] == "ana"
        return str(refusal.value.code)

    def asked(self, *obstacles: Obstacle) -> Story:
        self.do("RequestErasure", reason="asked in writing")
        self.do("NoteObstacles", obstacles=[{"what": o.what, "which": o.which, "last": o.last} for o in obstacles])
        return self

    def approved(self) -> Story:
        self.asked().do("ApproveErasure", actor="kim")
        return self


def test_it_is_due_after_the_set_delay_and_not_before() -> None:
    story = Story().approved()
    assert story.state.due_at == NOW + timedelta(days=30)
    assert story.refused("ErasePerson", NOW + timedelta(days=29)) == "NOT_YET_DUE"
    assert story.do("ErasePerson", NOW + timedelta(days=30)).stage is Stage.ERASED


def test_an_approval_waits_until_it_was_looked_what_needs_the_data() -> None:
    story = Story()
    story.do("RequestErasure", reason="x")
    assert story.refused("ApproveErasure", actor="kim") == "NOT_CHECKED"


def test_each_request_is_looked_at_anew() -> None:
    story = Story().asked()
    story.do("CancelErasure", reason="a mistake")
    story.do("RequestErasure", reason="again")
    assert story.refused("ApproveErasure", actor="kim") == "NOT_CHECKED"


@pytest.mark.parametrize("spelt", ["Amina", " amina", "AMINA ", "ａｍｉｎａ"])
def test_a_second_person_is_not_the_first_one_spelt_otherwise(spelt: str) -> None:
    story = Story()
    story.do("RequestErasure", actor="amina", reason="asked in writing")
    story.do("NoteObstacles", obstacles=[])
    assert story.refused("ApproveErasure", actor=spelt) == "SECOND_PERSON_REQUIRED"
    assert story.do("ApproveErasure", actor="amina-b") is not None


def test_nobody_approves_what_they_asked_for() -> None:
    assert Story().asked().refused("ApproveErasure", actor="sam") == "SECOND_PERSON_REQUIRED"


def test_what_is_so_already_changes_nothing() -> None:
    story = Story().asked()
    assert story.do("RequestErasure", reason="other words") is None
    assert story.do("NoteObstacles") is None
    assert story.do("LiftErasureHold", reason="x") is None
    story.do("ApproveErasure", actor="kim")
    assert story.do("ApproveErasure", actor="lee") is None
    story.do("HoldErasure", reason="x")
    assert story.do("HoldErasure", reason="y") is None
    assert Story().do("CancelErasure", reason="x") is None
    assert Story().do("NoteObstacles") is None


def test_after_it_is_done_nothing_more_is_decided() -> None:
    story = Story().approved()
    story.do("ErasePerson", NOW + timedelta(days=30))
    assert story.do("ErasePerson", NOW + timedelta(days=31)) is None
    for name in ("RequestErasure", "CancelErasure", "HoldErasure", "LiftErasureHold"):
        assert story.refused(name, reason="x") == "ALREADY_ERASED"
    assert story.refused("ApproveErasure") == "ALREADY_ERASED"


def test_it_is_acknowledged_once_and_only_when_the_key_is_gone() -> None:
    story = Story().approved()
    story.destroyed = True
    assert story.refused("AcknowledgeErasure") == "KEY_NOT_DESTROYED"
    story.do("ErasePerson", NOW + timedelta(days=30))
    story.destroyed = False
    assert story.refused("AcknowledgeErasure") == "KEY_NOT_DESTROYED"
    story.destroyed = True
    assert story.do("AcknowledgeErasure").stage is Stage.ERASED
    assert story.do("AcknowledgeErasure") is None


def test_a_hold_on_somebody_whom_nobody_asked_to_erase_stands_when_somebody_does() -> None:
    story = Story()
    story.do("HoldErasure", reason="a court")
    story.asked()
    assert story.refused("ApproveErasure", actor="kim") == "ERASURE_HELD"


def test_only_whoever_is_known_is_erased_or_held() -> None:
    assert Story(registered=False).refused("RequestErasure", reason="x") == "UNKNOWN_DONOR"
    assert Story(registered=False).refused("HoldErasure", reason="x") == "UNKNOWN_DONOR"


@pytest.mark.parametrize(
    ("last", "on", "stands"),
    [
        (date(2016, 1, 1), date(2026, 12, 31), True),
        (date(2016, 12, 31), date(2026, 12, 31), True),
        (date(2016, 12, 31), date(2027, 1, 1), False),
        (date(2024, 2, 29), date(2034, 12, 31), True),
    ],
)
def test_books_are_kept_for_so_many_years_from_the_end_of_the_year(last: date, on: date, stands: bool) -> None:
    obstacle = Obstacle(what="named in the books", last=last)
    assert bool(TERMS.standing([obstacle], on)) is stands
    at = datetime(on.year, on.month, on.day, 12, tzinfo=UTC)
    story = Story().asked(obstacle)
    if stands:
        assert story.refused("ApproveErasure", at, "kim") == "STILL_NEEDED"
    else:
        story.do("ApproveErasure", at, "kim")


def test_a_refusal_says_what_needs_the_data_and_until_when() -> None:
    story = Story().asked(
        Obstacle(what="open dues", which=("d-1", "d-2")), Obstacle(what="named in the books", last=date(2026, 3, 1))
    )
    with pytest.raises(Rejected, match=r"open dues: d-1, d-2; named in the books .* until 2036-12-31"):
        story.do("ApproveErasure", actor="kim")


def test_every_service_with_personal_data_decides_erasures() -> None:
    for deciders in (DISTRIBUTION, TREASURY):
        (found,) = [one for one in deciders if one.category == "erasure"]
        assert found.state_type is Erasure


def test_a_service_whose_refusals_lack_one_of_erasures_does_not_start() -> None:
    few = StrEnum("few", {name: name for name in REFUSALS[1:]})  # type: ignore[misc]
    with pytest.raises(TypeError, match="NOT_REQUESTED"):
        erasures(inventory, few, {"donor": Kind(bool, InventoryError.UNKNOWN_DONOR)})
