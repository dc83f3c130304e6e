"""Steady load on every service, for a container of the ledger's own image: `python -c SOURCE OPTIONS`.

Each acknowledgement is a line of JSON on the standard output, which the engine keeps, whatever becomes of this process.
A command that was not answered is sent again under its own id for as long as it takes, as any careful client does; one
that is acknowledged was answered. SIGTERM ends it: callers get their last answer first.

It imports nothing but the ledger, so that its source can be given to any container that has it.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from nats.aio.client import Client

from services.commands.common import roles_of
from services.commands.contracts import CONTRACTS
from shared.actors import Signed
from shared.actortoken import Signer
from shared.authority import EVERYBODY
from shared.client import CommandClient
from shared.connection import connect
from shared.errors import LedgerError, OutcomeUnknown
from shared.message import Refused
from shared.rights import ADMINISTRATOR
from shared.settings import load

AGAIN = ("BUSY", "RATE_LIMITED", "OUTCOME_UNKNOWN", "HALTED", "STREAM_LOST")
"""Refusals that say to send the same again; any other of status 500 and above is an error of the service's."""

ITEMS = 8
STAFF = (("osei", "clinician"), ("rui", "front_desk"))
Command = tuple[str, str, dict[str, Any]]
"""Actor, name and data."""


@dataclass(frozen=True)
class Options:
    """`callers` a service, people of their own; each waits `pace` seconds between an answer and the next command.

    `run` makes ids different from those of another run on the same ledger. It ends by itself after `seconds`.
    """

    services: tuple[str, ...] = ("inventory", "distribution", "treasury", "clinic")
    callers: int = 2
    pace: float = 0.1
    run: str = "load"
    seconds: float | None = None


# -- what is sent -----------------------------------------------------------------------------------------------------


def opening(service: str) -> Iterator[Command]:
    """What the commands of a service stand on."""
    if service == "inventory":
        yield "ada", "OpenLocation", {"location": "load-store", "name": "Store", "kind": "store"}
        for number in range(ITEMS):
            yield "ada", "RegisterItem", {"item": f"load-{number}", "name": "Beans", "unit": "each"}
            lines = [{"lot": "L0", "quantity": 100_000}]
            yield "ada", "ReceiveStock", {**_place(number), "source": "donation", "lines": lines}
    elif service == "distribution":
        now = datetime.now(UTC)
        hours = {"starts_at": f"{now:%Y-%m-%dT%H:%M:%SZ}", "ends_at": f"{now + timedelta(days=6):%Y-%m-%dT%H:%M:%SZ}"}
        yield "ada", "OpenProgramme", {"programme": "load-boxes", "name": "Boxes", "kind": "box"}
        yield "ada", "SetLimit", {"programme": "load-boxes", "times": 1, "every": "year"}
        day = {"session": "load-day", "programme": "load-boxes", "site": "load-store", "name": "The day", **hours}
        yield "ada", "ScheduleSession", day
        yield "ada", "OpenSession", {"session": "load-day"}
    elif service == "treasury":
        book = {"book": "load"}
        yield "ada", "OpenBook", {**book, "name": "Load", "unit": "EUR", "starts": "2026-01-01"}
        for account, kind in (("net", "net_assets"), ("bank", "asset"), ("store", "asset")):
            yield "ada", "OpenAccount", {**book, "account": account, "name": account, "kind": kind}
        yield "ada", "OpenFund", {**book, "fund": "general", "name": "General", "net_assets": "net"}
    elif service == "clinic":
        for who, role in STAFF:
            licence = {"title": role, "valid_from": "2020-01-01"} if role == "clinician" else None
            data = {"practitioner": who, "name": who, "roles": [role]} | ({"licence": licence} if licence else {})
            yield "osei", "AddPractitioner", data


def commands(service: str, who: str) -> Iterator[Command]:
    """One caller's commands, without an end. Names and the like are sealed; orders have their goods set aside."""
    number = 0
    while True:
        number += 1
        one = f"{who}-{number}"
        if service == "inventory":
            yield who, *_goods(number, one)
        elif service == "distribution":
            household = {"household": one}
            yield who, "RegisterHousehold", {**household, "name": f"Household {one}", "size": 2}
            lines = [{"item": f"load-{number % ITEMS}", "quantity": 1}]
            yield who, "PlaceOrder", {"order": one, **household, "session": "load-day", "lines": lines}
            yield who, "ConfirmOrder", {"order": one}
        elif service == "treasury":
            if number % 5 == 0:
                yield who, "RegisterParty", {"party": one, "name": f"Party {one}"}
            sides = [[{"account": account, "amount": 150, "unit": "EUR"}] for account in ("store", "bank")]
            yield who, "PostEntry", {"book": "load", "entry": one, "debits": sides[0], "credits": sides[1]}
        else:
            yield "rui", "RegisterPatient", {"patient": one, "content": {"family": f"Family {one}", "given": ["A"]}}
            yield "osei", "OpenEncounter", {"encounter": one, "patient": one, "clinician": "osei"}


def _place(number: int) -> dict[str, Any]:
    return {"item": f"load-{number % ITEMS}", "location": "load-store"}


def _goods(number: int, one: str) -> tuple[str, dict[str, Any]]:
    place = _place(number)
    match number % 5:
        case 0 | 1:
            return "ReceiveStock", place | {"source": "donation", "lines": [{"lot": f"L{number % 3}", "quantity": 3}]}
        case 2 | 3:
            return "IssueStock", place | {"purpose": "household", "lines": [{"quantity": 2}]}
        case _:
            return "ReserveStock", place | {"purpose": "household", "reservation": one, "quantity": 1}


# -- sending it -------------------------------------------------------------------------------------------------------


class Sender:
    """Sends commands until each is answered, and tells every answer."""

    def __init__(self, client_of: Callable[[str], CommandClient], tell: Callable[[dict[str, Any]], None]) -> None:
        self._client_of, self._tell = client_of, tell

    async def send(self, service: str, id: str, command: Command) -> None:
        actor, name, data = command
        asked, again = time.time(), set[str]()
        while True:
            try:
                reply = await self._client_of(actor).send(service, name, data, id=id)
            except OutcomeUnknown:
                continue
            except Refused as refusal:
                if refusal.code in AGAIN:
                    if refusal.code not in again:
                        again.add(refusal.code)
                        self._tell({"again": refusal.code, "detail": refusal.detail[:300]})
                    await asyncio.sleep(0.2)
                    continue
                told = {"refused": refusal.code, "status": refusal.status, "detail": refusal.detail[:300]}
            except LedgerError as error:
                told = {"refused": error.code, "status": 599, "detail": error.detail[:300]}
            else:
                event = None if reply.event is None else reply.event["id"]
                told = {"event": event, "sequence": reply.sequence}
            self._tell({"service": service, "id": id, "command": name, "asked": asked, "answered": time.time(), **told})
            return


async def admit(nc: Client, tokens: Signed) -> None:
    """Let everybody act in every role, unless it was granted before by whoever administrates."""
    client = CommandClient(nc, actor="noor", timeout=2.0, patience=60, tokens=tokens)
    for service in CONTRACTS:
        if "GrantRole" not in CONTRACTS[service].commands:
            continue
        for role in sorted(roles_of(service), key=lambda role: role != ADMINISTRATOR):  # who grants the others first
            who = "noor" if role == ADMINISTRATOR else EVERYBODY
            await client.send(service, "GrantRole", {"actor": who, "role": role})


async def run(options: Options) -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # standard output is for answers
    settings = load()
    assert settings.actor_issuer_key is not None, "the load needs the issuer's key: it acts for several people"
    tokens = Signed(Signer.from_file(settings.actor_issuer_key, settings.chapter), roles_of)
    nc = await connect(settings.nats_url, name="load", wait=True)
    await admit(nc, tokens)
    clients: dict[str, CommandClient] = {}

    def client_of(actor: str) -> CommandClient:
        if actor not in clients:
            clients[actor] = CommandClient(nc, actor=actor, timeout=2.0, patience=10, tokens=tokens)
        return clients[actor]

    sender = Sender(client_of, lambda told: print(json.dumps(told), flush=True))
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    for service in options.services:
        for number, command in enumerate(opening(service)):
            await sender.send(service, f"{options.run}-opening-{number}", command)

    async def caller(service: str, name: str) -> None:
        for number, command in enumerate(commands(service, name)):
            await sender.send(service, f"{name}-{number}", command)
            if stop.is_set():
                return
            await asyncio.sleep(options.pace)

    names = [(service, f"{options.run}-{one}") for service in options.services for one in range(options.callers)]
    callers = [asyncio.create_task(caller(*one)) for one in names]
    if options.seconds is not None:
        asyncio.get_running_loop().call_later(options.seconds, stop.set)
    await asyncio.gather(*callers)
    print(json.dumps({"ended": True}), flush=True)
    await nc.close()


if __name__ == "__main__":
    asyncio.run(run(Options(**json.loads(sys.argv[1]))))
