"""Commands and events of `authority`: who may act in which role. The aggregate's id is `roles`: there is one of it.

What every service says of it, and how it is decided, is in shared/authority.py. Which role may send which command
stands in rights.py.
"""

from __future__ import annotations

from enum import StrEnum

from services.distribution.contract.base import command, event
from shared import authority
from shared.authority import CATEGORY, authority_id


class Role(StrEnum):
    """In which roles people act in distribution; who holds several acts in the first that may."""

    ADMINISTRATOR = "administrator"
    COORDINATOR = "coordinator"
    VOLUNTEER = "volunteer"


@event(category=CATEGORY)
class RoleGranted(authority.Granted):
    """Somebody may act in a role from now on, until a moment or for good; `*` is everybody whose token carries it."""

    role: Role


@command(category=CATEGORY, aggregate=authority_id, makes=(RoleGranted,))
class GrantRole(authority.Grant):
    """Give somebody a role. An administrator does, and nobody to themselves; while there is none, whoever's token
    carries the role of administrator names the first."""

    role: Role


@event(category=CATEGORY)
class RoleRevoked(authority.Revoked):
    """Somebody may act in a role no more; what they did stays."""

    role: Role


@command(category=CATEGORY, aggregate=authority_id, makes=(RoleRevoked,))
class RevokeRole(authority.Revoke):
    """Take a role from somebody, at once. The last administrator stays one."""

    role: Role


__all__ = ["GrantRole", "RevokeRole", "Role", "RoleGranted", "RoleRevoked"]
