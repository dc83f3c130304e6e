"""Refused steps of process managers, as every service decides about them: each waits for a person, once.

    process: Final = refused_steps(inventory, InventoryError.UNKNOWN_STEP, when)

The contract declares the words (manager.py): NoteRefusal and ResolveStep, ProcessStepRefused and ProcessStepResolved.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from shared.contract import Contract, fields_of
from shared.decider import Context, Decider
from shared.errors import Rejected
from shared.manager import STEP_REFUSED, STEP_RESOLVED, StepRefusal


@dataclass
class ProcessStep:
    """Whether a step was refused, and whether somebody has dealt with it."""

    refused: bool = False
    resolved: bool = False


def evolve(step: ProcessStep, event: Any) -> ProcessStep:
    if isinstance(event, StepRefusal):
        step.refused = True
    else:
        step.resolved = True
    return step


def check(step: ProcessStep) -> list[str]:
    return ["a step was resolved without having been refused"] if step.resolved and not step.refused else []


def refused_steps(
    contract: Contract, unknown: StrEnum, when: Callable[[datetime | None, Context], datetime],
    entitled: Callable[[Context], object] | None = None,
) -> Decider[ProcessStep]:  # fmt: skip
    """The decider of a service's refused steps. `unknown` is the code for a step that was not refused, `when` says when
    somebody dealt with one, as the service's other decisions do. `entitled` refuses who may not close one; a process
    manager, which saw that it was done, is not asked."""

    def decide(command: Any, step: ProcessStep, context: Context) -> Any:
        if isinstance(command, StepRefusal):
            if step.refused:
                return None
            return contract.events[STEP_REFUSED].cls(**dict(fields_of(command)), occurred_at=context.now)
        at = when(command.occurred_at, context)
        if entitled is not None and context.authtype != "process":
            entitled(context)
        if not step.refused:
            raise Rejected(
                unknown,
                f"No step {command.step} of a process was refused. Look it up among the review items.",
                step=command.step,
            )
        if step.resolved:
            return None
        return contract.events[STEP_RESOLVED].cls(step=command.step, note=command.note, occurred_at=at)

    return Decider(contract, "process", ProcessStep, ProcessStep, decide, evolve, check)
