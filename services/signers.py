"""Who signs on their own account: services whose process managers send commands to others, and the FHIR API."""

from __future__ import annotations

from typing import Final, NamedTuple

from shared.actorkeys import Authtype


class Signer(NamedTuple):
    """As what a process acts, and under which names, when it sends a command to a service."""

    authtype: Authtype
    actors: tuple[str, ...]


SIGNERS: Final[dict[str, Signer]] = {
    "distribution": Signer("process", ("fulfilling",)),
    "clinic": Signer("process", ("dispensing", "supply")),
    "fhir": Signer("service", ("fhir",)),
}
"""By the name of the process, which has a key that signs for these actors alone."""
