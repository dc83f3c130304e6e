"""What is done about a dispensing, in few words."""

from __future__ import annotations

from typing import Any

from services.clinic.contract import (
    Alert,
    AlertKind,
    Check,
    Dispense,
    Handed,
    NoteAlert,
    Override,
    OverrideAlert,
    RefuseDispensing,
    VerifyDispensing,
)
from shared.heldvalue import read
from tests.support.sentences import opened


def alert(kind: str, id: str = "d", patient: str = "ben") -> NoteAlert:
    return NoteAlert(dispensing=id, patient=patient, content=Alert(kind=AlertKind(kind), detail="Look."))


def override(kind: str, id: str = "d", patient: str = "ben") -> OverrideAlert:
    content = Override(alert=AlertKind(kind), reason="It is needed.")
    return OverrideAlert(dispensing=id, patient=patient, content=content)


def verify(id: str = "d", patient: str = "ben") -> VerifyDispensing:
    return VerifyDispensing(dispensing=id, patient=patient)


def hand_over(id: str = "d", patient: str = "ben", **more: Any) -> Dispense:
    facts = {"content": Handed(recipient="Ben himself"), "label_printed": True, **more}
    return Dispense(dispensing=id, patient=patient, **facts)


def refuse(id: str = "d", patient: str = "ben") -> RefuseDispensing:
    return RefuseDispensing(dispensing=id, patient=patient, reason="Not today.")


def kinds(check: Any) -> list[str]:
    """The alerts of a check, by kind; one that is sealed is opened."""
    if isinstance(check, str):
        text = opened(check)
        assert text is not None
        check = read(text, Check)
    return [str(one.kind) for one in check.alerts]
