"""Practitioners: who works here, in which roles, and until when a licence is valid."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given as given_steps
from hypothesis import settings
from hypothesis import strategies as st

from services.clinic.contract import (
    ROSTER,
    AddPractitioner,
    ChangeLicence,
    ClinicError,
    Licence,
    LicenceChanged,
    PractitionerAdded,
    PractitionerRemoved,
    RemovePractitioner,
    Role,
)
from services.clinic.practitioner import Practitioner, Roster, in_role, licensed, valid_on
from shared.decider import Context, Ref
from shared.errors import Invalid, Rejected
from shared.persons import is_among
from tests.support.clinic import at, book, given, ines, lind, osei, practitioner, rui, tam, varga

E = ClinicError
SINCE, UNTIL = date(2020, 1, 1), date(2026, 11, 20)
LICENCE = Licence(title="MD", valid_from=SINCE, valid_until=UNTIL)


def change(*roles: Role, licence: Licence | None = LICENCE) -> ChangeLicence:
    return ChangeLicence(practitioner="osei", roles=roles or (Role.CLINICIAN,), licence=licence)


def acting_as(*roles: Role, licence: Licence | None = None, actor: str = "osei") -> Context:
    roster = Roster({"osei": Practitioner(list(roles), licence)})
    return Context(at(9), actor, states={Ref("practitioner", ROSTER): roster})


def refusal(does: Any, *told: Any) -> Rejected:
    with pytest.raises(Rejected) as found:
        does(*told)
    assert found.value.detail.endswith(".")
    return found.value


def test_somebody_is_added_once_and_their_licence_changed() -> None:
    added = given().when(osei).then(PractitionerAdded, roles=(Role.CLINICIAN,))
    added.when(osei, actor="osei").then_rejected(E.ALREADY_EXISTS, practitioner="osei")
    two = added.when(varga, actor="osei").then(PractitionerAdded)
    changed = two.when(change(), actor="varga").then(LicenceChanged, licence=LICENCE)
    changed.when(change(), actor="varga").then_nothing()
    lost = changed.when(change(licence=None), actor="varga").then(LicenceChanged, licence=None)
    lost.when(change(Role.TRAINEE, licence=None), actor="varga").then(LicenceChanged, roles=(Role.TRAINEE,))
    given().when(change()).then_rejected(E.UNKNOWN_PRACTITIONER, practitioner="osei")
    two.when(replace(change(), practitioner="nobody"), actor="osei").then_rejected(
        E.UNKNOWN_PRACTITIONER, practitioner="nobody"
    )


def test_the_first_who_works_here_is_a_clinician_whoever_adds_them() -> None:
    for one in (tam, lind, rui, ines):
        given().when(one, actor="anybody").then_rejected(E.WRONG_ROLE)
    for actor in ("anybody", "osei", "an import of 2026"):
        given().when(osei, actor=actor).then(PractitionerAdded)


def test_from_then_on_clinicians_say_who_works_here_and_nobody_else() -> None:
    everybody = given(osei, varga, lind, tam, rui, ines)
    kim = practitioner("kim", Role.CLINICIAN)
    for actor in ("osei", "varga"):
        everybody.when(kim, actor=actor).then(PractitionerAdded)
    for command in (kim, change()):
        for actor in ("lind", "tam", "rui", "ines"):
            everybody.when(command, actor=actor).then_rejected(E.WRONG_ROLE)
        everybody.when(command, actor="anybody").then_rejected(E.UNKNOWN_PRACTITIONER)
    changed = everybody.when(replace(change(Role.TRAINEE), practitioner="varga"), actor="osei").then_event()
    changed.when(kim, actor="varga").then_rejected(E.WRONG_ROLE)


def test_nobody_gives_themselves_a_licence_under_whichever_spelling() -> None:
    both, again = given(osei, varga), practitioner("Osei", Role.PHARMACIST)
    both.when(change(), actor="osei").then_rejected(E.SECOND_PERSON_REQUIRED, practitioner="osei")
    both.when(again, actor="osei").then_rejected(E.SECOND_PERSON_REQUIRED, practitioner="Osei")


def test_who_is_taken_off_the_roster_acts_here_no_more_until_they_are_added_again() -> None:
    there = given(osei, varga, tam)
    left = there.when(RemovePractitioner(practitioner="varga"), actor="osei").then(PractitionerRemoved)
    left.when(RemovePractitioner(practitioner="varga"), actor="osei").then_nothing()
    for command in (change(), RemovePractitioner(practitioner="tam")):
        left.when(command, actor="varga").then_rejected(E.UNKNOWN_PRACTITIONER, practitioner="varga")
    left.when(replace(change(), practitioner="varga"), actor="osei").then_rejected(E.UNKNOWN_PRACTITIONER)
    left.when(book(clinician="varga"), actor="osei").then_rejected(E.UNKNOWN_PRACTITIONER, practitioner="varga")
    back = left.when(varga, actor="osei").then(PractitionerAdded)
    back.when(RemovePractitioner(practitioner="tam"), actor="varga").then(PractitionerRemoved)
    assert back.state("practitioner", ROSTER).find("varga").number == 5


def test_only_another_clinician_takes_somebody_off_the_roster_so_that_one_always_stays() -> None:
    there, leave = given(osei, tam), RemovePractitioner
    for spelt, code in (("osei", E.SECOND_PERSON_REQUIRED), ("Osei", E.UNKNOWN_PRACTITIONER)):
        there.when(leave(practitioner=spelt), actor="osei").then_rejected(code, practitioner=spelt)
    there.when(leave(practitioner="osei"), actor="tam").then_rejected(E.WRONG_ROLE)
    for whom in ("osei", "nobody"):
        there.when(leave(practitioner=whom), actor="eve").then_rejected(E.UNKNOWN_PRACTITIONER, practitioner="eve")
    there.when(leave(practitioner="nobody"), actor="osei").then_rejected(E.UNKNOWN_PRACTITIONER, practitioner="nobody")


_IDS = st.sampled_from(("osei", "Osei", "varga", "tam"))
_ROLES = st.sampled_from(((Role.CLINICIAN,), (Role.CLINICIAN, Role.AUDITOR), (Role.TRAINEE,)))
_STEPS = st.tuples(
    st.one_of(
        st.builds(lambda id, roles: practitioner(id, *roles), _IDS, _ROLES),
        st.builds(lambda id, roles: ChangeLicence(practitioner=id, roles=roles), _IDS, _ROLES),
        st.builds(RemovePractitioner, practitioner=_IDS),
    ),
    _IDS,
)


@settings(max_examples=150, deadline=None)
@given_steps(st.lists(_STEPS, min_size=5, max_size=30))
def test_whoever_comes_and_goes_a_clinician_stays_and_nobody_had_a_hand_in_their_own(
    steps: list[tuple[Any, str]],
) -> None:
    there = given(osei, varga)
    roles: dict[str, tuple[Role, ...]] = {"osei": (Role.CLINICIAN,), "varga": (Role.CLINICIAN,)}
    for command, actor in steps:
        found = there.when(command, actor=actor)
        if found.event is None:
            continue
        assert not is_among(actor, [command.practitioner])
        assert Role.CLINICIAN in roles[actor]
        roles[command.practitioner] = getattr(found.event, "roles", ())
        there = found.then_event()
        again = there.when(command, actor=actor)
        again.then_rejected(E.ALREADY_EXISTS) if command.__class__ is AddPractitioner else again.then_nothing()
        roster = there.state("practitioner", ROSTER)
        assert {id: tuple(one.roles) for id, one in roster.people.items()} == roles
        assert any(Role.CLINICIAN in held for held in roles.values())


def test_a_licence_ends_after_it_begins() -> None:
    backwards = replace(LICENCE, valid_until=date(2019, 12, 31))
    given().when(replace(osei, licence=backwards)).then_rejected(E.INVALID_RANGE)
    given(osei, varga).when(change(licence=backwards), actor="varga").then_rejected(E.INVALID_RANGE)
    given(osei, varga).when(change(licence=replace(LICENCE, valid_until=SINCE)), actor="varga").then_event()


def test_a_licence_is_valid_on_its_first_and_its_last_day() -> None:
    assert [valid_on(LICENCE, day) for day in (date(2019, 12, 31), SINCE, UNTIL, date(2026, 11, 21))] == [
        False, True, True, False,
    ]  # fmt: skip
    assert valid_on(replace(LICENCE, valid_until=None), date(2199, 1, 1))


def test_the_first_role_that_is_wanted_is_found_and_others_are_refused() -> None:
    both = acting_as(Role.TRAINEE, Role.CLINICIAN)
    assert in_role(both, (Role.CLINICIAN, Role.TRAINEE), "sign a note") is Role.CLINICIAN
    wrong = refusal(in_role, acting_as(Role.AUDITOR), (Role.CLINICIAN, Role.FRONT_DESK), "sign a note")
    assert wrong.code == E.WRONG_ROLE
    assert wrong.detail == "osei cannot sign a note: only a clinician or the front desk may."


@pytest.mark.parametrize("actor", ["sam", "import of 2026", "clinic/api"])
def test_who_was_never_added_is_nobody_here(actor: str) -> None:
    assert refusal(in_role, acting_as(Role.CLINICIAN, actor=actor), tuple(Role), "look").code == E.UNKNOWN_PRACTITIONER


@pytest.mark.parametrize(
    ("licence", "day", "valid"),
    [(None, 20, False), (LICENCE, 20, True), (LICENCE, 21, False), (replace(LICENCE, valid_until=None), 21, True)],
)
def test_a_deed_that_needs_a_licence_needs_one_on_its_day(licence: Licence | None, day: int, valid: bool) -> None:
    context = acting_as(Role.PHARMACIST, licence=licence)
    told = (context, (Role.CLINICIAN, Role.PHARMACIST), "verify", at(9, day=day))
    if valid:
        assert licensed(*told) is Role.PHARMACIST
    else:
        assert refusal(licensed, *told).code == E.NOT_LICENSED


def test_nobody_is_added_without_a_role() -> None:
    with pytest.raises(Invalid):
        given().when(practitioner("kim"))
