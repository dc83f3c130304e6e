"""The permissions name what the code does: here, the commands that one service's process managers send to another."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

from services.deploy.permissions import CLINIC, OPEN, SERVICES, users
from services.inventory.contract import inventory
from services.projections.registry import CLINIC as CLINIC_MODELS
from services.projections.registry import TOGETHER
from services.signers import SIGNERS
from shared.manager import Manager
from shared.store import stream_name


@pytest.mark.parametrize("service", SERVICES)
def test_process_managers_may_send_what_they_send_and_nothing_else(service: str) -> None:
    package = importlib.import_module(f"services.{service}.processes")
    modules = [
        importlib.import_module(f"{package.__name__}.{one.name}") for one in pkgutil.iter_modules(package.__path__)
    ]
    named = {value for module in modules for value in vars(module).values() if isinstance(value, type)}
    sent = {
        f"command.inventory.{spec.subject_token}"
        for spec in inventory.commands.values()
        if spec.cls in named and service != "inventory"
    }
    (user,) = [one for one in users() if one.name == service]
    assert {one for one in user.publish if one.startswith("command.")} == sent


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_signs_for_its_managers_that_send_to_others_and_for_nobody_else(service: str) -> None:
    package = importlib.import_module(f"services.{service}.processes")
    senders = set()
    for one in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{one.name}")
        classes = [value for value in vars(module).values() if isinstance(value, type)]
        if service != "inventory" and any(spec.cls in classes for spec in inventory.commands.values()):
            senders |= {value.name for value in classes if issubclass(value, Manager) and value is not Manager}
    authtype, actors = SIGNERS.get(service, ("process", ()))
    assert (authtype, set(actors)) == ("process", senders)


@pytest.mark.parametrize(("user", "models"), [("projections", TOGETHER), ("clinic-projections", CLINIC_MODELS)])
def test_projections_may_read_the_streams_that_they_fold_and_no_other(user: str, models: tuple[object, ...]) -> None:
    folded = {stream for model in models for stream in model.streams}  # type: ignore[attr-defined]
    (found,) = [one for one in users() if one.name == user]
    read = {name for name in map(stream_name, SERVICES) if f"JS.API.STREAM.INFO.{name}" in found.publish}
    assert read == folded


def test_the_common_desk_sees_nothing_of_the_clinic() -> None:
    (desk,) = [one for one in users() if one.name == "operator"]
    asked = [one for one in (*desk.publish, *desk.subscribe) if not one.startswith("status.")]  # how a process is
    assert not [one for one in asked if CLINIC in one or stream_name(CLINIC) in one]
    assert CLINIC not in OPEN
