"""Commands and events of `erasure`: a person is forgotten for good. The aggregate's id is `<kind>:<person>`.

A person here is a patient. Who works at the clinic, in whichever role, asks for it and decides on it.
What every service says of it, and how it is decided, is in shared/erasure.py.
"""

from __future__ import annotations

from services.clinic.contract.base import command, event
from shared import erasure
from shared.erasure import CATEGORY, erasure_id


@event(category=CATEGORY)
class ErasureRequested(erasure.Requested):
    """Somebody asked for a person to be erased. The reason stands in clear for good: it names nobody."""


@command(category=CATEGORY, aggregate=erasure_id, makes=(ErasureRequested,))
class RequestErasure(erasure.Request):
    """Ask for a patient to be erased; a second person approves it. Keep names out of the reason."""


@event(category=CATEGORY)
class ObstaclesNoted(erasure.Checked):
    """What still needs a person's data; nothing when `obstacles` is empty. Nobody is erased while any stands."""


@command(category=CATEGORY, aggregate=erasure_id, makes=(ObstaclesNoted,))
class NoteObstacles(erasure.NoteCheck):
    """Note what still needs a person's data; sent by the service itself."""


@event(category=CATEGORY)
class ErasureHeld(erasure.Held):
    """A legal hold stands: the person is not erased until it is lifted, whatever is approved."""


@command(category=CATEGORY, aggregate=erasure_id, makes=(ErasureHeld,))
class HoldErasure(erasure.Hold):
    """Keep a person from being erased: a court, an authority or a claim needs their data."""


@event(category=CATEGORY)
class ErasureHoldLifted(erasure.HoldLifted):
    """A legal hold stands no longer; what was approved before goes on."""


@command(category=CATEGORY, aggregate=erasure_id, makes=(ErasureHoldLifted,))
class LiftErasureHold(erasure.LiftHold):
    """Lift a legal hold."""


@event(category=CATEGORY)
class ErasureApproved(erasure.Approved):
    """A second person agreed. From now on nobody is shown what is sealed of the person; they are erased at `due_at`."""


@command(category=CATEGORY, aggregate=erasure_id, makes=(ErasureApproved,))
class ApproveErasure(erasure.Approve):
    """Agree to an erasure that another person asked for. Refused while a hold or anything else stands against it."""


@event(category=CATEGORY)
class ErasureCancelled(erasure.Cancelled):
    """The person is not to be erased after all, and is shown again."""


@command(category=CATEGORY, aggregate=erasure_id, makes=(ErasureCancelled,))
class CancelErasure(erasure.Cancel):
    """Take an erasure back, as long as it is not carried out."""


@event(category=CATEGORY)
class PersonErased(erasure.Erased):
    """The person is erased: their key is destroyed now, and nothing that was sealed under it is ever read again."""


@command(category=CATEGORY, aggregate=erasure_id, makes=(PersonErased,))
class ErasePerson(erasure.Erase):
    """Erase a person whose erasure is due; sent by the service itself."""


@event(category=CATEGORY)
class ErasureAcknowledged(erasure.Acknowledged):
    """The key is destroyed, in both places of the keyring."""


@command(category=CATEGORY, aggregate=erasure_id, makes=(ErasureAcknowledged,))
class AcknowledgeErasure(erasure.Acknowledge):
    """Record that the key is destroyed; sent by the service itself, which destroys it first."""


__all__ = [
    "AcknowledgeErasure", "ApproveErasure", "CancelErasure", "ErasePerson", "ErasureAcknowledged", "ErasureApproved",
    "ErasureCancelled", "ErasureHeld", "ErasureHoldLifted", "ErasureRequested", "HoldErasure", "LiftErasureHold",
    "NoteObstacles", "ObstaclesNoted", "PersonErased", "RequestErasure",
]  # fmt: skip
