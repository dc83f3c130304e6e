"""Every way in which the ledger says no, and the problem document (RFC 9457) that each becomes."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final


class LedgerError(Exception):
    """The root of the ledger's own errors.

    `code` is stable and meant for programs; `detail` is a sentence for people that says what is wrong, where, and
    what to do; `facts` are the figures behind it, and travel as members of the problem document.
    """

    status = 500
    code: str = "INTERNAL"

    def __init__(self, detail: str, **facts: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.facts = facts

    def problem(self) -> dict[str, Any]:
        """The RFC 9457 problem document, as a JSON-ready mapping."""
        slug = str(self.code).lower().replace("_", "-")
        return {
            **self.facts,
            "type": f"urn:commons:problem:{slug}",
            "title": slug.replace("-", " "),
            "status": self.status,
            "code": str(self.code),
            "detail": self.detail,
        }


class Rejected(LedgerError):
    """A decider refused a command; the ledger is unchanged.

    `code` is a member of the service's closed enum of refusals.
    """

    status = 409

    def __init__(self, code: StrEnum, detail: str, **facts: Any) -> None:
        super().__init__(detail, **facts)
        self.code = code

    def __repr__(self) -> str:
        return f"Rejected({self.code}, {self.detail!r})"


class Invalid(LedgerError):
    """A command or a file is not of the form its contract asks for."""

    status = 422
    code = "INVALID"


class UnknownCommand(Invalid):
    status = 404
    code = "UNKNOWN_COMMAND"


class TooLarge(LedgerError):
    """A command would become an event of more than 60,000 bytes."""

    status = 413
    code = "TOO_LARGE"


class Forbidden(LedgerError):
    """Who sends a command may not; `needs` are the roles that may, `granted` those that they hold."""

    status = 403
    code = "FORBIDDEN"


class CommandIdReused(LedgerError):
    """The same command id came with other content; `field` names the first field that differs."""

    status = 409
    code = "COMMAND_ID_REUSED"


class Erased(LedgerError):
    """A command would seal something new under a key that was destroyed."""

    status = 410
    code = "ERASED"


class Busy(LedgerError):
    """The ledger can take no more for now; the same command may be sent again."""

    status = 503
    code = "BUSY"


class RateLimited(Busy):
    """One sender asks for more than is taken of one; `retry_after` says in how many seconds to send it again."""

    status = 429
    code = "RATE_LIMITED"


class OutcomeUnknown(LedgerError):
    """No answer came in time. The command may have been recorded: send the same command id again to find out."""

    status = 504
    code = "OUTCOME_UNKNOWN"


class Halted(LedgerError):
    """The ledger found that it lost or changed something, and takes no writes until an operator has looked."""

    status = 503
    code = "HALTED"


class Misconfigured(LedgerError):
    """A server or a setting is not as the ledger needs it."""

    code = "MISCONFIGURED"


class Denied(Misconfigured):
    """The NATS server denies this process's user something; `action` and `subject` say what."""

    status = 403
    code = "DENIED"


class Corrupt(LedgerError):
    """Stored bytes are not what the ledger wrote: a broken chain, an event that does not decode, a gap."""

    code = "CORRUPT"


PASSING: Final = frozenset({429, 503, 504})
"""Statuses of a problem that passes by itself: too fast, busy, halted, out of reach, no answer in time."""


def undecided(error: LedgerError) -> bool:
    """Whether a command was not decided on, for a reason that is not its own: the same may be taken later."""
    return error.status >= 500 or error.status in PASSING or error.status == 401


def retry_after(error: LedgerError) -> float:
    """In how many seconds the problem asks to send a command again; 0 when it does not say."""
    seconds = error.problem().get("retry_after")
    return float(seconds) if isinstance(seconds, (int, float)) and 0 < seconds <= 3600 else 0.0


def as_problem(error: BaseException) -> Mapping[str, Any]:
    """The problem document of any exception; one that is not the ledger's own says nothing of its inside."""
    if isinstance(error, LedgerError):
        return error.problem()
    return LedgerError("The service met an error of its own; its log has the details.").problem()
