"""Condition: a diagnosis or another concern. https://hl7.org/fhir/R4/condition.html"""

from __future__ import annotations

from typing import Final

from services.clinic.contract import CodeSystem, Problem, ProblemStatus
from services.fhir.entry import Entry, NotShown, Resource
from services.fhir.reading import Node, NotTaken, Unusable, member, paragraph
from services.fhir.values import (
    TERMINOLOGY,
    begun,
    code_of,
    coded,
    concept,
    day,
    instant,
    present,
    read_concept,
    read_day,
    reference,
    wording,
)

TYPE: Final = "Condition"

_CLINICAL: Final = f"{TERMINOLOGY}/condition-clinical"
_VERIFICATION: Final = f"{TERMINOLOGY}/condition-ver-status"
_CATEGORY: Final = f"{TERMINOLOGY}/condition-category"
_ACTIVE: Final = frozenset({"active", "recurrence", "relapse"})


def condition(entry: Entry) -> Resource:
    if not isinstance(entry.content, Problem):
        raise NotShown("the problem")
    said: Problem = entry.content
    refuted = said.status is ProblemStatus.REFUTED
    ended = said.status in (ProblemStatus.REMISSION, ProblemStatus.RESOLVED)
    return begun(entry, TYPE) | present(
        clinicalStatus=None if refuted else coded(_CLINICAL, said.status.value),
        verificationStatus=coded(_VERIFICATION, "refuted" if refuted else "confirmed"),
        category=[coded(_CATEGORY, "problem-list-item", "Problem List Item")],
        code=concept(said.code),
        subject=reference("Patient", entry.patient),
        encounter=reference("Encounter", entry.encounter) if entry.encounter else None,
        onsetDateTime=day(said.since),
        # R4 forbids an end of what is active (con-4): an end that was recorded of one is told in words
        abatementDateTime=day(said.ended) if ended else None,
        recordedDate=instant(entry.occurred_at),
        note=[
            {"text": text} for text in (said.note, None if ended or not said.ended else f"Ended {said.ended}.") if text
        ],
    )


def read_condition(node: Node) -> Problem:
    """A problem. What has no field of its own here and matters is put into the note."""
    verified, clinical = code_of(node.node("verificationStatus")), code_of(node.node("clinicalStatus"))
    if verified == "entered-in-error":
        raise NotTaken("it was entered in error")
    code = node.node("code")
    found = read_concept(code, (CodeSystem.SNOMED, CodeSystem.ICD10CM, CodeSystem.ICD10))
    if found is None:
        raise Unusable("it does not say what")
    for category in node.nodes("category"):
        code_of(category)
    since, from_text = read_day(node, "onsetDateTime")
    ended, until_text = read_day(node, "abatementDateTime")
    unsure = verified if verified in ("unconfirmed", "provisional", "differential") else None
    words = wording(code, found)
    return Problem(
        code=found,
        status=_status(node, verified, clinical),
        since=since,
        ended=ended,
        note=paragraph(
            *(each.string("text") for each in node.nodes("note")),
            f"{words}." if words else None,
            f"{unsure.capitalize()}." if unsure else None,
            f"Since {from_text}." if from_text else None,
            f"Until {until_text}." if until_text else None,
        ),
    )


def _status(node: Node, verified: str | None, clinical: str | None) -> ProblemStatus:
    if verified == "refuted":
        return ProblemStatus.REFUTED
    known = member(ProblemStatus, clinical)
    if known is not None and known is not ProblemStatus.REFUTED:
        return known
    if clinical == "inactive":
        node.note("clinicalStatus", "is inactive: taken as in remission")
        return ProblemStatus.REMISSION
    if clinical not in _ACTIVE:
        node.note("clinicalStatus", "is missing: taken as active")
    return ProblemStatus.ACTIVE
