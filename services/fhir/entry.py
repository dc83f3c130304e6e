"""What the mapping is made from: one entry of a chart, opened for whoever reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from services.clinic.contract import Handed, Order

Resource = dict[str, Any]
"""A FHIR resource, or an element of one, as its JSON: numbers are int or Decimal, never float."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that a chart says, as the read model has it.

    `kind` decides what `content` is and what stands clear beside it (see each file of this package):

    | kind | content | clear |
    | --- | --- | --- |
    | patient | Demographics | imported_from, merged_into |
    | allergy | Allergy | status: active, refuted |
    | no_known_allergy | None | category |
    | problem | Problem | |
    | appointment | the reason, a text | clinician, starts_at, minutes, status: booked, checked_in, no_show, cancelled |
    | encounter | Visit | clinician, appointment, kind, imported_from, ended_at |
    | vitals | tuple of Vital | recorded_by, corrected_by |
    | result | Result | corrected_by |
    | prescription | Order | status: active, completed, stopped; imported_from, signed_by, signed_at, valid_until,
      dispensed: how much was handed out |
    | dispensing | Dispensed | prescription, item, quantity, unit, lots, days_supply, status, verified_by |
    | administration | Given | item, quantity, lot, location, given_by, reversed |
    | immunization | Immunization | lot, imported_from, given_by, reversed |
    | practitioner | the name, a text | active: whether they work there still; roles, licence, identifiers |

    `content` is None when there is none, and when it is not shown to who reads. `erased` says that its key is gone, or
    about to be. `changed_at` is when what it says was changed last, None when that is not known; `revision` counts what
    was said of the entry, and is 0 when it is not known.
    """

    kind: str
    id: str
    patient: str
    encounter: str | None = None
    content: Any = None
    clear: Mapping[str, Any] = field(default_factory=dict)
    occurred_at: datetime
    recorded_at: datetime
    changed_at: datetime | None = None
    revision: int = 0
    erased: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispensed:
    """What a dispensing says: to whom it was handed, once it was, and the order that it filled."""

    handed: Handed | None = None
    order: Order | None = None


class NotShown(Exception):
    """An entry is no resource for this reader: what R4 demands of it is not opened, or cannot be written as R4."""
