"""Refused steps of process managers: each waits for a person, once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from services.clinic import refusals
from services.clinic.contract import (
    ClinicError,
    NoteRefusal,
    ProcessStepRefused,
    ProcessStepResolved,
    ResolveStep,
    clinic,
)
from shared.contract import fields_of
from shared.decider import Context, Decider
from shared.errors import Rejected


@dataclass
class ProcessStep:
    """Whether a step was refused, and whether somebody has dealt with it."""

    refused: bool = False
    resolved: bool = False


def evolve(step: ProcessStep, event: ProcessStepRefused | ProcessStepResolved) -> ProcessStep:
    match event:
        case ProcessStepRefused():
            step.refused = True
        case ProcessStepResolved():
            step.resolved = True
    return step


def decide(
    command: NoteRefusal | ResolveStep, step: ProcessStep, context: Context
) -> ProcessStepRefused | ProcessStepResolved | None:
    match command:
        case NoteRefusal():
            return None if step.refused else ProcessStepRefused(**dict(fields_of(command)), occurred_at=context.now)
        case ResolveStep():
            at = refusals.when(command.occurred_at, context)
            if not step.refused:
                raise Rejected(
                    ClinicError.UNKNOWN_STEP,
                    f"No step {command.step} of a process was refused. Look it up among the review items.",
                    step=command.step,
                )
            if step.resolved:
                return None
            return ProcessStepResolved(step=command.step, note=command.note, occurred_at=at)


def check(step: ProcessStep) -> list[str]:
    return ["a step was resolved without having been refused"] if step.resolved and not step.refused else []


process: Final = Decider(clinic, "process", ProcessStep, ProcessStep, decide, evolve, check)
