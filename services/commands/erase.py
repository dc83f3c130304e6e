"""`commons erase`: a person is forgotten for good, when two people agree and nothing needs their data any more."""

from __future__ import annotations

import asyncio
import uuid
from typing import Annotated, Any, Final

import typer

from services.clinic.contract import clinic
from services.commands.common import Operator, command
from services.commands.door import OK, Usage
from services.commands.render import console, emit
from services.commands.tables import print_table
from services.distribution.contract import distribution
from services.inventory.contract import inventory
from services.treasury.contract import treasury
from shared.client import CommandClient
from shared.contract import Contract
from shared.message import Refused, Reply
from shared.standings import standings

_KINDS: Final[dict[str, tuple[Contract, str]]] = {
    "distribution": (distribution, "household"), "treasury": (treasury, "party"), "inventory": (inventory, "donor"),
    "clinic": (clinic, "patient"),
}  # fmt: skip
"""The services that know people, and what a person is there."""

_LOOK_AGAIN: Final = 0.1
_LOOKS: Final = 30


@command
async def erase(
    operator: Operator,
    person: Annotated[
        str | None, typer.Argument(metavar="PERSON", help="Their id in that service.", show_default=False)
    ] = None,
    service: Annotated[
        str | None, typer.Option("--service", metavar="SERVICE", help="distribution, treasury, inventory or clinic.")
    ] = None,
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="TEXT", help="Why; it stands in clear for good, so name nobody.")
    ] = None,
    approve: Annotated[bool, typer.Option("--approve", help="Agree, as a second person.")] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="Take it back, as long as it is not done.")] = False,
    hold: Annotated[bool, typer.Option("--hold", help="Put a legal hold on it.")] = False,
    lift: Annotated[bool, typer.Option("--lift", help="Lift the legal hold.")] = False,
) -> int | None:
    """Erase a person: ask with a reason, and let a second person approve it. Without PERSON, list what is under way.

    It is refused while something needs their data, and says what: open orders, open dues, unpaid expenses, the years
    for which books and records of a declared eligibility are kept, open recalls, others that go on as a household or
    a patient, a legal hold. From the approval on nobody is shown who they were; when the set delay is over their key is
    destroyed, in every copy of the ledger at once. Ids, sizes and figures remain.

    Examples:

    commons erase h-12 --service distribution --reason "asked for it in writing"

    commons erase h-12 --service distribution --approve --as second-person
    """
    if sum((approve, cancel, hold, lift)) > 1:
        raise Usage("--approve, --cancel, --hold and --lift are one at a time.")
    if person is None:
        return await _list(operator, service)
    contract, kind = _service(service)
    about = {"kind": kind, "person": person}
    if approve:
        name = "ApproveErasure"
    else:
        name = "CancelErasure" if cancel else "HoldErasure" if hold else "LiftErasureHold" if lift else "RequestErasure"
        if reason is None:
            raise Usage("Say why, with --reason. It stands in clear for good, so name nobody in it.")
        about["reason"] = reason
    contract.parse(name, about)
    async with operator.nats() as nc:
        reply = await _sent(operator.client(nc), contract, name, about)
    event: dict[str, Any] = (reply.event or {}).get("data", {})
    if operator.as_json:
        emit({"service": contract.service, "status": reply.status, **about, **event})
        return OK
    console().print(_told(name, kind, person, reply.status, event), soft_wrap=True)
    return OK


def _service(service: str | None) -> tuple[Contract, str]:
    if service not in _KINDS:
        given = "" if service is None else f"; {service[:40]!r} knows none"
        raise Usage(f"Say which service knows them, with --service: {', '.join(_KINDS)}{given}.")
    return _KINDS[service]


async def _sent(client: CommandClient, contract: Contract, name: str, data: dict[str, str]) -> Reply:
    """Send it; an approval waits a moment for the service to have looked for what needs the person's data."""
    for left in reversed(range(_LOOKS)):
        try:
            return await client.send(contract.service, name, data, id=str(uuid.uuid4()))
        except Refused as refusal:
            if refusal.code != "NOT_CHECKED" or not left:
                raise
        await asyncio.sleep(_LOOK_AGAIN)
    raise AssertionError(name)


def _told(name: str, kind: str, person: str, status: str, event: dict[str, Any]) -> str:
    who = f"The {kind} {person}"
    if status == "unchanged":
        return f"{who}: it was so already."
    match name:
        case "RequestErasure":
            return f"{who} is asked to be erased. A second person approves it with --approve."
        case "ApproveErasure":
            due = str(event.get("due_at", ""))[:16].replace("T", " ")
            return f"{who} is shown to nobody any more, and is erased at {due} UTC. Until then --cancel takes it back."
        case "CancelErasure":
            return f"{who} is not to be erased, and is shown again."
        case "HoldErasure":
            return f"{who} is under a legal hold, and is not erased while it stands."
    return f"{who} is under no legal hold any more."


async def _list(operator: Operator, service: str | None) -> int:
    """Every erasure that was asked for and not cancelled."""
    services = list(_KINDS) if service is None else [_service(service)[0].service]
    async with operator.nats() as nc:
        rows = [
            [name, owner.partition("/")[2], owner.partition("/")[0], str(standing.stage), standing.at]
            for name in services
            for owner, standing in sorted((await standings(nc, name)).items())
            if standing.stage != "none"
        ]
    columns = ["service", "person", "kind", "stage", "since"]
    if operator.as_json:
        emit([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        print_table(columns, rows, title="Erasures", empty="Nobody is asked to be erased.")
    return OK


def register(app: typer.Typer) -> None:
    app.command("erase")(erase)
