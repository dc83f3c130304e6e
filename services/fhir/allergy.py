"""AllergyIntolerance: what somebody does not tolerate, or that they were asked and no allergy is known.

https://hl7.org/fhir/R4/allergyintolerance.html
That nothing is known is said of one kind of substance at a time here, so each kind has the SNOMED CT code that says
just that: 716186003, no known allergy at all, would claim more than was asked. Read, 716186003 stands for every kind.

How sure an allergy is goes out as somebody said it, and not at all when nobody did, or in a word that R4 has not. R4
asks for a clinical status (ait-1): it is active when nobody said otherwise, for it stands here, and inactive once
refuted.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Final

from services.clinic.contract import (
    URIS,
    Allergy,
    AllergyCategory,
    AllergyStatus,
    CodeSystem,
    Coding,
    Severity,
    Verification,
)
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
    read_when,
    reference,
    wording,
)

TYPE: Final = "AllergyIntolerance"

NONE_KNOWN: Final[Mapping[AllergyCategory, tuple[str, str]]] = {
    AllergyCategory.MEDICATION: ("409137002", "No known drug allergy (situation)"),
    AllergyCategory.FOOD: ("429625007", "No known food allergy (situation)"),
    AllergyCategory.ENVIRONMENT: ("428607008", "No known environmental allergy (situation)"),
}
"""Of biologics there is no such code: that none is known is said in words."""

ALL_KINDS: Final = "716186003"
_BIOLOGIC: Final = "No known allergy to biologics"
_ASKED: Final[Mapping[str, tuple[AllergyCategory, ...]]] = {ALL_KINDS: tuple(AllergyCategory)} | {
    code: (category,) for category, (code, _) in NONE_KNOWN.items()
}
_OTHER_NONE: Final = frozenset({"716184000", "716220001", "1003774007", "716183006"})
"""No known latex, animal, Hevea brasiliensis or nut allergy: narrower than any kind here."""

_SURE: Final = frozenset({Verification.UNCONFIRMED, Verification.CONFIRMED})
"""Of the words here those that R4 has; `presumed` came later."""

_CLINICAL: Final = f"{TERMINOLOGY}/allergyintolerance-clinical"
_VERIFICATION: Final = f"{TERMINOLOGY}/allergyintolerance-verification"
_PREFER: Final = (CodeSystem.RXNORM, CodeSystem.SNOMED, CodeSystem.ATC)


def allergy(entry: Entry) -> Resource:
    if entry.kind == "no_known_allergy":
        return _none_known(entry)
    if not isinstance(entry.content, Allergy):
        raise NotShown("the substance")
    said: Allergy = entry.content
    clinical, sure = said.clinical_status or AllergyStatus.ACTIVE, said.verification
    verified = sure.value if sure in _SURE and sure is not None else None
    if entry.clear.get("status") == "refuted":
        clinical, verified = AllergyStatus.INACTIVE, "refuted"
    return begun(entry, TYPE) | present(
        clinicalStatus=coded(_CLINICAL, clinical.value),
        verificationStatus=coded(_VERIFICATION, verified) if verified else None,
        type="intolerance" if said.intolerance else "allergy",
        category=[said.category.value],
        code=concept(said.substance),
        patient=reference("Patient", entry.patient),
        onsetDateTime=day(said.since),
        recordedDate=instant(entry.occurred_at),
        note=[{"text": said.note}] if said.note else None,
        reaction=_reaction(said),
    )


def _reaction(said: Allergy) -> list[Resource]:
    if said.reaction is None and said.severity is None:
        return []
    manifestation = concept(said.reaction) or {"text": "Not stated"}  # R4 asks for one
    return [present(manifestation=[manifestation], severity=said.severity.value if said.severity else None)]


def _none_known(entry: Entry) -> Resource:
    category = AllergyCategory(entry.clear["category"])
    known = NONE_KNOWN.get(category)
    code = {"text": _BIOLOGIC} if known is None else coded(URIS[CodeSystem.SNOMED], *known) | {"text": known[1]}
    return begun(entry, TYPE) | present(
        clinicalStatus=coded(_CLINICAL, "active"), category=[category.value], code=code,
        patient=reference("Patient", entry.patient), recordedDate=instant(entry.occurred_at),
    )  # fmt: skip


# -- reading ----------------------------------------------------------------------------------------------------------


def none_known(node: Node) -> tuple[AllergyCategory, ...] | None:
    """The kinds of which none is known, if that is what the resource says; None of an allergy."""
    code = node._data.get("code") or {}
    codes = [each.get("code") for each in code.get("coding") or () if each.get("system") == URIS[CodeSystem.SNOMED]]
    for one in codes:
        if one in _OTHER_NONE:
            raise NotTaken("that no allergy to one substance is known says nothing of a whole kind")
        if one in _ASKED:
            _asked(node)
            node.skip(
                "code", "category", "type", "criticality", "recorder", "asserter", "recordedDate", "onsetDateTime"
            )
            return _ASKED[one]
    if not codes and code.get("text") == _BIOLOGIC:
        node.skip("code", "category")
        _asked(node)
        return (AllergyCategory.BIOLOGIC,)
    return None


def read_allergy(node: Node) -> Allergy:
    """An allergy. What has no field of its own here and matters is put into the note."""
    verification, clinical = _statuses(node)
    if clinical in (AllergyStatus.INACTIVE, AllergyStatus.RESOLVED):
        node.note("clinicalStatus", f"is {clinical}: taken as that, and as standing until somebody refutes it")
    substance = node.node("code")
    found = read_concept(substance, _PREFER)
    if found is None:
        raise Unusable("it does not say to what")
    since, known_since = _since(node)
    reaction, severity, others = _reactions(node)
    critical = node.string("criticality")
    words = wording(substance, found)
    return Allergy(
        substance=found,
        category=_category(node, found),
        intolerance=node.string("type") == "intolerance",
        reaction=reaction,
        severity=severity,
        since=since,
        note=paragraph(
            *(each.string("text") for each in node.nodes("note")),
            f"{words}." if words else None,
            known_since,
            f"Criticality: {critical}." if critical in ("high", "unable-to-assess") else None,
            others,
        ),
        verification=verification,
        clinical_status=clinical,
    )


def _statuses(node: Node) -> tuple[Verification | None, AllergyStatus | None]:
    """How sure it is, and whether it lasts, as far as it says. Raises NotTaken when it does not stand at all."""
    verified, clinical = code_of(node.node("verificationStatus")), code_of(node.node("clinicalStatus"))
    if verified == "entered-in-error":
        raise NotTaken("it was entered in error")
    if verified == "refuted":
        raise NotTaken("it was refuted")
    sure, lasts = member(Verification, verified), member(AllergyStatus, clinical)
    for name, said, known in (("verificationStatus", verified, sure), ("clinicalStatus", clinical, lasts)):
        if said is not None and known is None:
            node.note(name, "is none that is known here: left out")
    return sure, lasts


def _asked(node: Node) -> None:
    """That no allergy is known has no status here. Raises NotTaken when it does not hold any more."""
    sure, lasts = _statuses(node)
    if lasts in (AllergyStatus.INACTIVE, AllergyStatus.RESOLVED):
        raise NotTaken("that no allergy is known does not hold any more there")
    if sure in (Verification.UNCONFIRMED, Verification.PRESUMED):
        node.note("verificationStatus", f"is {sure}: that no allergy is known is taken without it")


def _category(node: Node, substance: Coding) -> AllergyCategory:
    found = [one for text in node.texts("category") if (one := member(AllergyCategory, text))]
    if len(found) > 1:
        node.note("category", "has several kinds: the first is taken, or medication if that is among them")
    if AllergyCategory.MEDICATION in found:
        return AllergyCategory.MEDICATION
    if found:
        return found[0]
    drug = substance.system in (CodeSystem.RXNORM, CodeSystem.ATC)
    if not drug:
        node.note("category", "is missing: taken as medication, which is compared with most")
    return AllergyCategory.MEDICATION


def _since(node: Node) -> tuple[date | None, str | None]:
    when = read_when(node, "onsetDateTime")
    if when is not None:
        return when.day, None if when.day else f"Since {when.text}."
    text = node.text("onsetString")
    return None, f"Since: {text}." if text else None


def _reactions(node: Node) -> tuple[Coding | None, Severity | None, str | None]:
    """The first reaction's first manifestation, its severity, and the others in words."""
    first: Coding | None = None
    worst: Severity | None = None
    others = []
    for reaction in node.nodes("reaction"):
        severity = reaction.string("severity")
        text = paragraph(*(each.string("text") for each in reaction.nodes("note")), reaction.string("description"))
        for manifestation in reaction.nodes("manifestation"):
            found = read_concept(manifestation, (CodeSystem.SNOMED,))
            if found is None:
                continue
            if first is None:
                first, worst = found, member(Severity, severity)
            else:
                others.append(f"{found.display} ({severity})" if severity else found.display)
        if text:
            others.append(text)
    return first, worst, f"Also: {'; '.join(others)}." if others else None
