"""Who may send which command of the clinic: process managers, and the FHIR API, by name; people by the roster.

A practitioner's roles and licence are the roster's (practitioner.py): who is not on it sends nothing, but for adding
the first, and what a role lets somebody do is decided with each command. What is listed in `_ALONE` no person sends.
"""

from __future__ import annotations

import services.clinic.contract.access as access
import services.clinic.contract.administration as administration
import services.clinic.contract.dispensing as dispensing
import services.clinic.contract.encounter as encounter
import services.clinic.contract.erasure as erasure
import services.clinic.contract.formulary as formulary
import services.clinic.contract.medication as medication
import services.clinic.contract.patient as patient
import services.clinic.contract.practitioner as practitioner
import services.clinic.contract.prescription as prescription
import services.clinic.contract.process as process
import services.clinic.contract.referral as referral
import services.clinic.contract.schedule as schedule
from services.clinic.contract.base import Role, clinic
from shared.rights import Rights

_PROCESSES: dict[str, tuple[type, ...]] = {
    "dispensing": (
        prescription.AllotSupply, prescription.ReturnSupply, medication.ClaimFill, medication.ReleaseFill,
        dispensing.RecheckDispensing, dispensing.NoteAlert, dispensing.NoteSetAside, dispensing.RefuseDispensing,
        dispensing.UnpickDispensing, patient.NoteMerge, process.ResolveStep, process.NoteRefusal,
    ),
    "supply": (
        dispensing.NoteSetAside, dispensing.NoteFreed, dispensing.NoteIssued, administration.NoteDrawn,
        formulary.NoteItem, formulary.NoteRecall, process.NoteRefusal,
    ),
    "erasing": (erasure.NoteObstacles, erasure.ErasePerson, erasure.AcknowledgeErasure, process.NoteRefusal),
    "fhir": (access.RecordAccess,),
}  # fmt: skip

_ALONE = frozenset({
    prescription.AllotSupply, prescription.ReturnSupply, medication.ClaimFill, medication.ReleaseFill,
    dispensing.NoteAlert, dispensing.NoteSetAside, dispensing.NoteFreed, dispensing.NoteIssued,
    administration.NoteDrawn, formulary.NoteItem, formulary.NoteRecall, patient.NoteMerge, process.NoteRefusal,
    erasure.NoteObstacles, erasure.ErasePerson, erasure.AcknowledgeErasure,
})  # fmt: skip
"""What processes alone may send."""

# The others declare no command that is listed above, and have to be known here all the same.
_DECLARED = (encounter, practitioner, referral, schedule)

_PEOPLE = tuple(spec.cls for spec in clinic.commands.values() if spec.cls not in _ALONE)

RIGHTS = Rights(clinic, Role, dict.fromkeys(Role, _PEOPLE), _PROCESSES, outside=("fhir",))

__all__ = ["RIGHTS"]
