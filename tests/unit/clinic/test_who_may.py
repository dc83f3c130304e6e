"""Who may send the clinic a command at all: who is on its roster, in the roles that their token carries."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.clinic.contract import (
    AddPractitioner,
    ClinicError,
    ImmunizationGiven,
    MedicationAdministered,
    MedicationDispensed,
    NoteRefusal,
    PractitionerAdded,
    PrescriptionSigned,
    ProcessStepRefused,
    ProcessStepResolved,
    RemovePractitioner,
    ResolveStep,
    Role,
    clinic,
)
from shared.errors import Forbidden
from tests.support.clinic import CLINIC, given, osei, practitioner, sent, tam
from tests.support.golden import command_of
from tests.support.pharmacy import given as after
from tests.support.pharmacy import prescribed, signed
from tests.support.sentences import NOW, Given
from tests.unit.clinic.test_administrations import WARD, given_now, vaccinated
from tests.unit.clinic.test_dispensings import READY, hand_over

E = ClinicError
ALL = tuple(str(role) for role in Role)
LATE = NOW - timedelta(days=2)


def of_people() -> list[Any]:
    """Each command that people may send: as it is, as a fact, and long after it happened, where it can be said so."""
    made = []
    assert clinic.rights is not None
    for spec in clinic.commands.values():
        if clinic.rights.senders(spec.cls)[0]:
            command = command_of(spec.cls)
            made += [
                pytest.param(replace(command, **said), id=f"{spec.name}{''.join(said)}")
                for said in ({}, {"fact": True}, {"occurred_at": LATE})
                if all(hasattr(command, name) for name in said)
            ]
    return made


def forbidden(there: Given, command: Any, actor: str, *roles: str, **more: Any) -> Forbidden:
    with pytest.raises(Forbidden) as refusal:
        sent(there, command, actor, *roles, **more)
    assert refusal.value.detail.endswith(".")
    return refusal.value


@pytest.mark.parametrize("command", of_people())
def test_who_is_not_on_the_roster_sends_nothing_whatever_their_token_carries(command: Any) -> None:
    there = given(*CLINIC)
    left = there.when(RemovePractitioner(practitioner="tam"), actor="osei").then_event()
    for roles in ((), ALL):
        sent(there, command, "eve", *roles).then_rejected(E.UNKNOWN_PRACTITIONER, practitioner="eve")
        sent(left, command, "tam", *roles).then_rejected(E.UNKNOWN_PRACTITIONER, practitioner="tam")


@pytest.mark.parametrize("command", of_people())
def test_a_token_that_carries_none_of_ones_roles_sends_nothing(command: Any) -> None:
    there = given(*CLINIC)
    for roles in ((), ("auditor", "trainee")):
        refusal = forbidden(there, command, "osei", *roles)
        assert refusal.facts == {
            "actor": "osei", "command": type(command).__name__, "needs": ["clinician"], "granted": ["clinician"],
        }  # fmt: skip
        assert "the token carries no such role" in refusal.detail


def test_the_first_of_all_is_added_by_whoevers_token_carries_that_role() -> None:
    sent(given(), osei, "eve", "clinician").then(PractitionerAdded)
    for roles in ((), ("auditor",)):
        refusal = forbidden(given(), osei, "eve", *roles)
        assert (refusal.facts["needs"], refusal.facts["granted"]) == (["clinician"], [])
    sent(given(), tam, "eve", *ALL).then_rejected(E.WRONG_ROLE)
    for spec in clinic.commands.values():
        if spec.cls is not AddPractitioner and clinic.rights and clinic.rights.senders(spec.cls)[0]:
            sent(given(), command_of(spec.cls), "eve", *ALL).then_rejected(E.UNKNOWN_PRACTITIONER)


@pytest.mark.parametrize("said", [{"fact": True}, {"occurred_at": LATE}], ids=["fact", "late"])
def test_what_has_happened_is_taken_of_who_works_here_and_of_nobody_else(said: dict[str, Any]) -> None:
    ward, counter = after(*WARD), after(*READY)
    for there, command, made in (
        (ward, given_now(**said), MedicationAdministered), (ward, vaccinated(**said), ImmunizationGiven),
        (counter, hand_over(**said), MedicationDispensed),
    ):  # fmt: skip
        for roles in ((), ALL):
            sent(there, command, "eve", *roles).then_rejected(E.UNKNOWN_PRACTITIONER)
        told = sent(there, command, "rui", *ALL)
        told.then(made)  # by somebody whose role it is not: recorded, and looked at
        assert E.WRONG_ROLE in told.event.breaches and E.UNKNOWN_PRACTITIONER not in told.event.breaches
        sent(there, command, "sam", *ALL).then(made)


def test_what_processes_send_no_person_does_whatever_their_role() -> None:
    command = command_of(NoteRefusal)
    refusal = forbidden(given(*CLINIC), command, "osei", *ALL)
    assert (refusal.facts["needs"], refusal.facts["granted"]) == ([], ["clinician"])


# -- in which role ----------------------------------------------------------------------------------------------------


def test_a_mandate_that_names_a_role_is_one_of_theirs_and_they_act_in_no_other() -> None:
    kim = practitioner("kim", Role.CLINICIAN, Role.TRAINEE)
    there = given(*CLINIC, kim, prescribed())
    sent(there, signed(), "kim", *ALL, mandate="clinician").then(PrescriptionSigned)
    sent(there, signed(), "kim", *ALL).then(PrescriptionSigned)
    sent(there, signed(), "kim", *ALL, mandate="board/2026-11").then(PrescriptionSigned)
    sent(there, signed(), "kim", *ALL, mandate="trainee").then_rejected(E.WRONG_ROLE)
    for mandate in ("king", "pharmacist"):
        refusal = forbidden(there, signed(), "kim", *ALL, mandate=mandate)
        assert f"not as {mandate}" in refusal.detail
        assert refusal.facts["granted"] == ["clinician", "trainee"]
    carried = forbidden(there, signed(), "kim", "trainee", mandate="clinician")
    assert "the token does not carry clinician" in carried.detail


def test_roles_count_as_far_as_the_token_carries_them() -> None:
    there = given(*CLINIC, practitioner("kim", Role.CLINICIAN, Role.TRAINEE), prescribed())
    sent(there, signed(), "kim", "trainee").then_rejected(E.WRONG_ROLE)
    sent(there, signed(), "kim", "clinician").then(PrescriptionSigned)


# -- refused steps ----------------------------------------------------------------------------------------------------

REFUSED = ProcessStepRefused(
    step="st-1", manager="dispensing", cause="e-1", service="inventory", command="ReleaseReservation",
    target="stock/amox:store", code="UNKNOWN_RESERVATION", detail="There is none.", occurred_at=NOW,
)  # fmt: skip
RESOLVE = ResolveStep(step="st-1", note="Put it back by hand.")


def test_a_clinician_or_a_pharmacist_closes_a_refused_step_or_the_process_that_saw_it_done() -> None:
    there = given(*CLINIC, REFUSED)
    for who in ("osei", "lind"):
        sent(there, RESOLVE, who, *ALL).then(ProcessStepResolved)
    for who in ("tam", "rui", "ines"):
        sent(there, RESOLVE, who, *ALL).then_rejected(E.WRONG_ROLE, actor=who)
    sent(there, RESOLVE, "dispensing", authtype="process").then(ProcessStepResolved)
    sent(given(*CLINIC), RESOLVE, "osei", *ALL).then_rejected(E.UNKNOWN_STEP)
    sent(given(*CLINIC), RESOLVE, "rui", *ALL).then_rejected(E.WRONG_ROLE)
