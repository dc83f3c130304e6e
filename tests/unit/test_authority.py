"""Roles that are granted: how it is decided, what a grant lets somebody do, and which role may send which command."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.clinic.authority import ByRoster
from services.clinic.contract import RecordAccess, clinic
from services.clinic.contract import Role as ClinicRole
from services.clinic.practitioner import Practitioner, Roster
from services.distribution.contract import distribution
from services.inventory import authority as of_inventory
from services.inventory.contract import (
    DispatchTransfer,
    GrantRole,
    InventoryError,
    IssueStock,
    NoteDispatch,
    ReceiveStock,
    RegisterItem,
    RevokeRole,
    Role,
    inventory,
)
from services.signers import SIGNERS
from services.treasury import authority as of_treasury
from services.treasury.contract import ApproveExpense, treasury
from shared.authority import EVERYBODY, Acting, ByGrants, Grants, authorities
from shared.command import CommandMeta
from shared.contract import Contract
from shared.decider import Context
from shared.erasing import Erasing
from shared.errors import Forbidden, Rejected
from shared.manager import Manager
from shared.outbox import NOTE_REFUSAL
from shared.rights import Rights

NOW = datetime(2026, 11, 26, 9, 30, tzinfo=UTC)
SOON = NOW + timedelta(hours=1)
DECIDER = of_inventory.authority
E = InventoryError
ADMIN, STEWARD, VOLUNTEER = Role.ADMINISTRATOR, Role.STEWARD, Role.VOLUNTEER
CONTRACTS = (inventory, distribution, treasury, clinic)
ERASURES = ("NoteObstacles", "ErasePerson", "AcknowledgeErasure")
COMMANDS = [spec.cls for spec in inventory.commands.values()]


class Story:
    """The grants of inventory, told command by command; every event keeps the command's fields and every invariant."""

    def __init__(self) -> None:
        self.state = Grants()

    def do(self, command: Any, actor: str = "noor", at: datetime = NOW, roles: Any = None) -> Any:
        before = msgspec.msgpack.encode(self.state)
        spec = inventory.command_of(command)
        assert inventory.parse(spec.name, msgspec.json.encode(command)) == command
        try:
            event = DECIDER.decide(command, self.state, Context(at, actor, roles=roles))
        finally:
            assert msgspec.msgpack.encode(self.state) == before
        if event is not None:
            assert type(event) in spec.makes
            assert all(getattr(event, name) == getattr(command, name) for name in ("actor", "role", "reason"))
            self.state = DECIDER.evolve(self.state, msgspec.json.decode(msgspec.json.encode(event), type=type(event)))
            assert DECIDER.check(self.state) == []
            assert msgspec.msgpack.decode(msgspec.msgpack.encode(self.state), type=Grants) == self.state
        return event

    def refused(self, command: Any, code: InventoryError, **more: Any) -> Rejected:
        with pytest.raises(Rejected) as refusal:
            self.do(command, **more)
        assert refusal.value.code == code
        return refusal.value


def grant(actor: str, role: Role, **more: Any) -> GrantRole:
    return GrantRole(actor=actor, role=role, **more)


def revoke(actor: str, role: Role) -> RevokeRole:
    return RevokeRole(actor=actor, role=role)


@pytest.fixture
def begun() -> Story:
    """noor administrates, ada is a steward."""
    story = Story()
    story.do(grant("noor", ADMIN), roles=frozenset({"administrator"}))
    story.do(grant("ada", STEWARD))
    return story


# -- deciding ---------------------------------------------------------------------------------------------------------


def test_the_first_administrator_is_named_by_a_token_that_carries_the_role() -> None:
    story = Story()
    for role in (STEWARD, VOLUNTEER):
        story.refused(grant("noor", role), E.ADMINISTRATOR_REQUIRED)
    story.refused(grant("noor", ADMIN), E.ADMINISTRATOR_REQUIRED, roles=frozenset({"steward"}))
    story.refused(grant("noor", ADMIN), E.ADMINISTRATOR_REQUIRED, roles=frozenset())
    story.refused(grant("noor", ADMIN, until=SOON), E.ADMINISTRATOR_REQUIRED)
    story.refused(revoke("noor", ADMIN), E.ADMINISTRATOR_REQUIRED)
    story.refused(grant(EVERYBODY, ADMIN), E.NOT_FOR_EVERYBODY)
    assert story.do(grant("noor", ADMIN), roles=frozenset({"administrator"})).granted_by == "noor"
    story.refused(grant("eve", ADMIN), E.ADMINISTRATOR_REQUIRED, actor="eve", roles=frozenset({"administrator"}))


def test_administrators_grant_and_nobody_to_themselves(begun: Story) -> None:
    begun.refused(grant("ben", STEWARD), E.ADMINISTRATOR_REQUIRED, actor="ada")
    begun.refused(grant("ben", STEWARD), E.ADMINISTRATOR_REQUIRED, roles=frozenset({"steward"}))
    for spelt in ("noor", "Noor", "ＮＯＯＲ"):
        begun.refused(grant(spelt, STEWARD), E.SELF_GRANT)
    assert begun.do(grant("noor", ADMIN)) is None  # which she is already
    assert begun.do(grant("ben", ADMIN))
    assert begun.do(grant("noor", STEWARD), actor="ben")
    assert begun.do(grant("noor", STEWARD), actor="ben") is None
    assert begun.do(grant("noor", STEWARD, until=SOON), actor="ben").until == SOON
    assert begun.do(grant("noor", STEWARD), actor="ben").until is None
    begun.refused(grant("cy", STEWARD, until=NOW), E.GRANT_ENDED)
    assert begun.do(grant("cy", STEWARD, until=SOON)).until == SOON
    assert begun.do(grant("cy", STEWARD, until=SOON)) is None
    begun.refused(grant("cy", STEWARD, until=SOON), E.GRANT_ENDED, at=SOON)  # they hold nothing any more


def test_the_last_administrator_stays(begun: Story) -> None:
    begun.refused(revoke("noor", ADMIN), E.LAST_ADMINISTRATOR)
    begun.do(grant("ben", ADMIN, until=SOON))
    begun.refused(revoke("noor", ADMIN), E.LAST_ADMINISTRATOR)  # the other is one for an hour
    begun.refused(grant("noor", ADMIN, until=SOON), E.LAST_ADMINISTRATOR, actor="ben")
    begun.do(grant("ben", ADMIN))
    assert begun.do(revoke("noor", ADMIN))
    assert begun.do(revoke("noor", ADMIN), actor="ben") is None
    begun.refused(grant("cy", STEWARD), E.ADMINISTRATOR_REQUIRED, actor="noor")


def test_an_administrator_for_a_while_is_none_afterwards(begun: Story) -> None:
    begun.do(grant("ben", ADMIN, until=SOON))
    assert begun.do(grant("cy", STEWARD), actor="ben", at=SOON - timedelta(seconds=1))
    begun.refused(grant("di", STEWARD), E.ADMINISTRATOR_REQUIRED, actor="ben", at=SOON)


_ACTORS = st.sampled_from(["noor", "Noor", "ada", "ben", EVERYBODY])
_STEPS = st.one_of(
    st.tuples(
        st.builds(
            GrantRole, actor=_ACTORS, role=st.sampled_from(Role), until=st.sampled_from([None, SOON, NOW]),
        ),
        _ACTORS,
    ),
    st.tuples(st.builds(RevokeRole, actor=_ACTORS, role=st.sampled_from(Role)), _ACTORS),
)  # fmt: skip


@settings(max_examples=60)
@given(st.lists(_STEPS, max_size=25))
def test_whatever_is_granted_somebody_administrates_and_nobody_by_their_own_hand(steps: list[tuple[Any, str]]) -> None:
    story = Story()
    for number, (command, actor) in enumerate(steps):
        at = NOW + timedelta(minutes=5 * number)
        ruling = story.state.find(actor, "administrator", at) is not None
        empty = not story.state.count
        try:
            event = story.do(command, actor=actor, at=at)
        except Rejected:
            continue
        assert ruling or empty
        if event is not None and not empty and isinstance(command, GrantRole):
            assert command.actor.casefold() != actor.casefold()
        assert not story.state.count or story.state.administrators()


def test_a_service_says_all_refusals_that_there_are() -> None:
    with pytest.raises(TypeError, match="SELF_GRANT"):
        authorities(inventory, StrEnum("Some", {"ADMINISTRATOR_REQUIRED": "ADMINISTRATOR_REQUIRED"}))


# -- what it lets somebody do -----------------------------------------------------------------------------------------

RECEIVE = ReceiveStock(item="rice", location="store", source="donation", lines=())  # type: ignore[arg-type]
REGISTER = RegisterItem(item="rice", name="Rice", unit="each")  # type: ignore[arg-type]


def acting(story: Story, command: Any, actor: str = "ada", at: datetime = NOW, **more: Any) -> Acting:
    return ByGrants(inventory).acting(command, CommandMeta(id="c", actor=actor, **more), story.state, at)


def forbidden(story: Story, command: Any, actor: str = "ada", **more: Any) -> Forbidden:
    with pytest.raises(Forbidden) as refusal:
        acting(story, command, actor, **more)
    assert (refusal.value.status, refusal.value.code) == (403, "FORBIDDEN")
    return refusal.value


def test_the_grant_is_named_under_which_somebody_acts(begun: Story) -> None:
    assert acting(begun, REGISTER) == Acting("steward", "steward#2")
    assert acting(begun, REGISTER, roles=frozenset({"steward", "volunteer"})) == Acting("steward", "steward#2")
    begun.do(grant("ada", VOLUNTEER))
    assert acting(begun, RECEIVE) == Acting("steward", "steward#2")
    assert acting(begun, RECEIVE, mandate="volunteer") == Acting("volunteer", "volunteer#3")
    assert acting(begun, RECEIVE, roles=frozenset({"volunteer"})) == Acting("volunteer", "volunteer#3")
    assert acting(begun, RECEIVE, mandate="council/2026-11") == Acting("council/2026-11", "steward#2 council/2026-11")
    assert acting(begun, grant("ben", STEWARD), "noor") == Acting("administrator", "administrator#1")


def test_a_role_has_to_be_granted_and_carried(begun: Story) -> None:
    nobody = forbidden(begun, REGISTER, "eve")
    assert (nobody.facts["needs"], nobody.facts["granted"]) == (["steward"], [])
    assert "commons actors grant" in nobody.detail
    assert "token does not carry" in forbidden(begun, REGISTER, roles=frozenset({"volunteer"})).detail
    assert "token does not carry" in forbidden(begun, REGISTER, roles=frozenset()).detail
    assert "not as volunteer" in forbidden(begun, REGISTER, mandate="volunteer").detail
    assert "not as king" in forbidden(begun, REGISTER, mandate="king").detail
    assert forbidden(begun, REGISTER, "noor").facts["granted"] == ["administrator"]
    begun.do(revoke("ada", STEWARD))
    forbidden(begun, REGISTER)
    begun.do(grant("ada", STEWARD, until=SOON))
    assert acting(begun, REGISTER, at=SOON - timedelta(seconds=1))
    forbidden(begun, REGISTER, at=SOON)


def test_the_roles_of_a_token_count_by_themselves_where_that_is_set_until_somebody_administrates(begun: Story) -> None:
    alone = ByGrants(inventory, from_tokens=True)
    meta = CommandMeta(id="c", actor="eve", roles=frozenset({"steward"}))
    assert alone.acting(REGISTER, meta, Grants(), NOW) == Acting("steward", "steward")
    for roles, state in ((frozenset[str](), Grants()), (frozenset({"volunteer"}), Grants()), (meta.roles, begun.state)):
        with pytest.raises(Forbidden):
            alone.acting(REGISTER, CommandMeta(id="c", actor="eve", roles=roles), state, NOW)
    with pytest.raises(Forbidden):
        ByGrants(inventory).acting(REGISTER, meta, Grants(), NOW)


def test_what_everybody_is_granted_is_held_by_all_but_who_granted_it(begun: Story) -> None:
    begun.do(grant(EVERYBODY, VOLUNTEER))
    assert acting(begun, RECEIVE, "eve").recorded == "volunteer#3"
    forbidden(begun, RECEIVE, "eve", roles=frozenset({"steward"}))
    for spelt in ("noor", "NOOR"):
        forbidden(begun, RECEIVE, spelt)
    begun.do(revoke(EVERYBODY, VOLUNTEER))
    forbidden(begun, RECEIVE, "eve")


def test_a_pharmacist_acts_as_one_where_both_may(begun: Story) -> None:
    begun.do(grant("ada", Role.PHARMACIST))
    move = DispatchTransfer.__new__(DispatchTransfer)
    assert acting(begun, move).mandate == "pharmacist"


def test_processes_send_what_the_contract_says_and_people_nothing_of_that(begun: Story) -> None:
    note = NoteDispatch.__new__(NoteDispatch)
    assert acting(begun, note, "transfers", authtype="process", mandate=None) == Acting(None, None)
    for actor, authtype in (("recalls", "process"), ("eve", "process"), ("eve", "service")):
        forbidden(begun, note, actor, authtype=authtype)
    assert "transfers alone" in forbidden(begun, note).detail
    assert acting(begun, IssueStock.__new__(IssueStock), "fulfilling", authtype="process")
    forbidden(begun, RECEIVE, "fulfilling", authtype="process")


@pytest.mark.parametrize("name", ["NoteAlert", "AllotSupply", "ClaimFill"])
def test_what_the_clinics_managers_send_is_taken_of_nobody_else(name: str) -> None:
    command = clinic.commands[name].cls.__new__(clinic.commands[name].cls)
    roster = Roster({"osei": Practitioner([ClinicRole.CLINICIAN], None, 1)}, 1)
    for actor, authtype in (("osei", "user"), ("dispensing", "user"), ("supply", "process"), ("fhir", "service")):
        with pytest.raises(Forbidden):
            ByRoster().acting(command, CommandMeta(id="c", actor=actor, authtype=authtype), roster, NOW)  # type: ignore[arg-type]
    meta = CommandMeta(id="c", actor="dispensing", authtype="process")
    assert ByRoster().acting(command, meta, roster, NOW) == Acting(None, None)


def test_the_clinics_grant_is_the_rosters_entry() -> None:
    roster = Roster({"osei": Practitioner([ClinicRole.CLINICIAN], None, 4)}, 4)
    read = RecordAccess.__new__(RecordAccess)
    for mandate, recorded in (
        (None, "roster#4"), ("clinician", "roster#4"), ("board/2026-11", "roster#4 board/2026-11"),
    ):  # fmt: skip
        meta = CommandMeta(id="c", actor="osei", mandate=mandate)
        assert ByRoster().acting(read, meta, roster, NOW) == Acting(mandate, recorded)
    shown = CommandMeta(id="c", actor="fhir", authtype="service")
    assert ByRoster().acting(read, shown, roster, NOW).recorded is None


# -- the tables -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda one: one.service)
def test_every_command_has_somebody_who_may_send_it(contract: Contract) -> None:
    rights = contract.rights
    assert rights is not None
    for spec in contract.commands.values():
        roles, processes = rights.senders(spec.cls)
        assert roles or processes, spec.name
    with pytest.raises(TypeError, match="Nobody may send"):
        Rights(contract, Role, {}).check(contract)


def managers() -> Iterator[tuple[str, str, set[type]]]:
    """Of each process manager its service, its name, and the commands that its module speaks of."""
    for service in [one.service for one in CONTRACTS]:
        package = importlib.import_module(f"services.{service}.processes")
        for one in pkgutil.iter_modules(package.__path__):
            module = importlib.import_module(f"{package.__name__}.{one.name}")
            classes = {value for value in vars(module).values() if isinstance(value, type)}
            for manager in [v for v in classes if issubclass(v, Manager) and v.__module__ == module.__name__]:
                if issubclass(manager, Erasing):  # whose steps have these names in every contract
                    own = next(contract for contract in CONTRACTS if contract.service == service)
                    classes |= {own.commands[name].cls for name in ERASURES}
                yield service, manager.name, classes


def test_each_process_may_send_what_it_sends_and_nothing_more() -> None:
    found = list(managers())
    assert len(found) > 10
    for contract in CONTRACTS:
        assert contract.rights is not None
        sent: dict[str, set[type]] = {"fhir": {RecordAccess}} if contract is clinic else {}
        for service, name, classes in found:
            theirs = {spec.cls for spec in contract.commands.values() if spec.cls in classes}
            if service == contract.service:
                theirs.add(contract.commands[NOTE_REFUSAL].cls)
            if theirs:
                sent[name] = sent.get(name, set()) | theirs
        assert contract.rights.processes == sent, contract.service


def test_whoever_sends_from_outside_has_a_key_and_whoever_has_one_may() -> None:
    taken = {name for contract in CONTRACTS if contract.rights is not None for name in contract.rights.outside}
    assert taken == {actor for signer in SIGNERS.values() for actor in signer.actors}
    with pytest.raises(TypeError, match="nobody"):
        Rights(inventory, Role, dict.fromkeys(Role, COMMANDS), {}, ("nobody",)).check(inventory)


def test_only_some_may_approve_an_expense() -> None:
    assert treasury.rights is not None
    assert treasury.rights.senders(ApproveExpense)[0] == ("treasurer", "chair", "approver")
    assert of_treasury.authority.category == "authority"
