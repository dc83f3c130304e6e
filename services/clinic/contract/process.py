"""Commands and events of `process`: steps of process managers that were refused. The aggregate's id is the step's id.

A process manager sends a command because of an event, and sends it until it is answered. When the answer is a refusal,
sending it again would not help: it is recorded here, shows up as a review item, and is closed by a person who has
looked into it.

    NoteRefusal   -> process   ProcessStepRefused: sent by the process manager itself
    ResolveStep   -> process   ProcessStepResolved: somebody did what was needed, or found that nothing was; a clinician
                               or a pharmacist says so, or the process manager that saw it done
"""

from __future__ import annotations

from services.clinic.contract.base import Id, Moment, Note, command, event
from shared.manager import StepRefusal


@event(category="process")
class ProcessStepRefused(StepRefusal):
    """A step of a process manager was refused, and is not sent again. It waits for a person."""

    occurred_at: Moment


@command(category="process", aggregate="step", makes=(ProcessStepRefused,))
class NoteRefusal(StepRefusal):
    """Record that a step was refused; sent by the process manager."""


@event(category="process")
class ProcessStepResolved:
    """A refused step needs nobody any more; `note` says what was done instead."""

    step: Id
    note: Note
    occurred_at: Moment


@command(category="process", aggregate="step", makes=(ProcessStepResolved,))
class ResolveStep:
    """Close a refused step, having done by hand what it was meant to do, or having found it needless; a clinician or a
    pharmacist does."""

    step: Id
    note: Note
    occurred_at: Moment | None = None


__all__ = ["NoteRefusal", "ProcessStepRefused", "ProcessStepResolved", "ResolveStep"]
