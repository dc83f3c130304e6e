"""What is opened of a chart, and for whom: the one table that every screen and the FHIR server look at.

| part | front desk | trainee | clinician | pharmacist | auditor |
| --- | --- | --- | --- | --- | --- |
| identity: name, birth date, sex, identifiers | yes | yes | yes | yes | |
| contact: how to reach somebody | yes | yes | yes | | |
| appointments, with what they are for | yes | yes | yes | | |
| allergies, medicines, vitals | | yes | yes | yes | |
| problems, results, notes, immunizations, encounters, referrals, consents, disclosures | | yes | yes | | |
| access_log: who read the record, when, in which role and what for | yes | | yes | | yes |
| reviews: what somebody has to look at | | | yes | yes | yes |
| broken_glass: who broke a glass, why, and what was found | | | yes | | yes |

Medicines are prescriptions, what a patient reports to take, dispensings and administrations; the item and the lot that
somebody got say which medicine it is, and are of it. Who saw a record is the patient's right to know: the front desk,
where they ask, tells them, and so do a clinician and an auditor; to whom something was given, they tell likewise. What
waits for a review is shown to who closes reviews. Who is in several roles sees what each of them opens. Breaking the
glass opens all of it to anybody who works here, with a reason, and is looked into. Other ids, times, kinds and
quantities are clear to who may read the clinic's read models at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from services.clinic.contract import Role

PARTS: Final = (
    "identity", "contact", "appointments", "allergies", "medicines", "vitals", "problems", "results", "notes",
    "immunizations", "encounters", "referrals", "consents", "disclosures", "access_log", "reviews", "broken_glass",
)  # fmt: skip
"""Parts of a record, as an access names them."""

_DESK: Final = frozenset({"identity", "contact", "appointments", "access_log"})
_PHARMACY: Final = frozenset({"identity", "allergies", "medicines", "vitals", "reviews"})
_CHART: Final = frozenset(PARTS) - {"access_log", "reviews", "broken_glass"}

OPENED: Final[Mapping[Role, frozenset[str]]] = {
    Role.CLINICIAN: frozenset(PARTS), Role.TRAINEE: _CHART, Role.PHARMACIST: _PHARMACY, Role.FRONT_DESK: _DESK,
    Role.AUDITOR: frozenset({"access_log", "reviews", "broken_glass"}),
}  # fmt: skip
"""What each role opens, the one that opens most first."""

PART_OF: Final[Mapping[str, str]] = {
    "patient": "identity", "appointment": "appointments", "allergy": "allergies", "no_known_allergy": "allergies",
    "prescription": "medicines", "reported_medication": "medicines", "dispensing": "medicines",
    "administration": "medicines", "vitals": "vitals", "problem": "problems", "result": "results", "note": "notes",
    "immunization": "immunizations", "encounter": "encounters", "referral": "referrals", "consent": "consents",
}  # fmt: skip
"""The part that a kind of entry in a chart belongs to."""


TOLD: Final[Mapping[Role, str]] = {
    Role.CLINICIAN: "a clinician", Role.TRAINEE: "a trainee", Role.PHARMACIST: "a pharmacist",
    Role.FRONT_DESK: "the front desk", Role.AUDITOR: "an auditor",
}  # fmt: skip
"""A role in a sentence."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What somebody sees: `role` is the one in which they look, None of who does not work here."""

    role: Role | None
    parts: frozenset[str]
    break_glass: bool = False

    @property
    def told(self) -> str:
        """In which role they look, in a sentence."""
        return "nobody who works here" if self.role is None else TOLD[self.role]

    def kinds(self) -> list[str]:
        """The kinds of entries that are opened for them."""
        return [kind for kind, part in PART_OF.items() if part in self.parts]


def sight(roles: Iterable[str], *, break_glass: bool = False) -> Sight:
    """What somebody in these roles sees."""
    held = [role for role in OPENED if role in {Role(one) for one in roles}]
    if not held:
        return Sight(None, frozenset())
    own: frozenset[str] = frozenset().union(*(OPENED[role] for role in held))
    if break_glass:
        return Sight(held[0], frozenset(PARTS), break_glass=True)
    return Sight(held[0], own)
