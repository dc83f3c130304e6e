"""Faults for the containers of a deployment that is at work, and what must be true after each."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from docker.errors import APIError
from docker.models.containers import Container

from tests.support import eventids, load
from tests.support.acknowledged import Answered, Answers, Events, Fulfilment, unfulfilled, wrong
from tests.support.compose import SERVICES, Stack, json_of

Kind = Literal["kill", "pause", "restart", "disconnect", "move", "roll", "fill"]

PATIENCE: Final = 480.0
"""Seconds within which a deployment must be well again: far more than it takes, as a machine may have other work."""
MEMORY: Final = 0.8
"""The share of its limit that a container may use after a fault."""
_BLOCK_BYTES: Final = 4096
_SQUATTERS: Final = 20
_FREE: Final = "import shutil; print(shutil.disk_usage('/data').free)"
_BALLAST: Final = """
import shutil
with open("/data/ballast", "wb") as ballast:
    ballast.write(bytes(shutil.disk_usage("/data").free - 300_000))
"""


@dataclass(frozen=True)
class Fault:
    """What is done, and to whom at the same moment; a pause and a disconnection last `seconds`."""

    kind: Kind
    victims: tuple[str, ...]
    seconds: float = 0.0

    def __str__(self) -> str:
        who = "all" if len(self.victims) == len(SERVICES) else "+".join(self.victims)
        return f"{self.kind} {who}"


@dataclass(frozen=True)
class Recovery:
    """Seconds after the fault (after its end, if it lasted) until every service answered commands again, and until
    everything was well: `commons status` had nothing to say, and whatever it does not ask was ready."""

    fault: str
    answered: float
    well: float


class UnderLoad:
    """A deployment whose services are sent commands all the time, and a desk from which it is looked at."""

    def __init__(self, stack: Stack, options: load.Options, recoveries: list[Recovery]) -> None:
        self.stack = stack
        self.recoveries = recoveries
        self._services = options.services
        stack.start_beside("desk", "clinic-operator", "sleep", "infinity")
        # Whoever is killed from outside is brought back by the engine; who was stopped with its own commands is not.
        stack.keep_beside("reaper", pid_mode="host", user="0", network_mode="none")
        self._load = stack.start_beside(
            "load", "clinic-operator", "python", "-c", Path(load.__file__).read_text(), json.dumps(asdict(options))
        )
        self.answers = Answers(self._load.logs(stream=True, follow=True, stdout=True, stderr=False))
        self.answers.wait_for(self._services, 0, PATIENCE)

    def finish(self) -> None:
        """End the load: every caller is answered first, or this fails."""
        if not self.answers.ended:
            self._load.stop(timeout=90)
        self.answers.join(30)
        assert self.answers.ended, "the load did not end by itself"
        assert not self.answers.errors(), self.answers.errors()[:5]

    # -- doing harm ---------------------------------------------------------------------------------------------------

    def inflict(self, fault: Fault) -> None:
        """The fault, from its first to its last moment, and what must be true afterwards."""
        before = _started(self.stack)
        began = getattr(self, f"_{fault.kind}")(fault)
        answered = self.answers.wait_for(self._services, began, PATIENCE) - began
        self._until_well(fault)
        self.recoveries.append(Recovery(str(fault), round(max(0.0, answered), 1), round(time.time() - began, 1)))
        may_start = fault.victims if fault.kind in ("kill", "restart", "roll", "fill") else ()
        self.check(before, may_start)

    def _kill(self, fault: Fault) -> float:
        pids = [str(self.stack.container(one).attrs["State"]["Pid"]) for one in fault.victims]
        code = "import os, sys\nfor pid in sys.argv[1:]: os.kill(int(pid), 9)"
        said = self.stack.execute("reaper", "python", "-c", code, *pids)
        assert said.code == 0, said.text
        return time.time()

    def _pause(self, fault: Fault) -> float:
        containers = [self.stack.container(one) for one in fault.victims]
        for one in containers:
            _pause(one)
        time.sleep(fault.seconds)
        for one in containers:
            one.unpause()
        return time.time()

    def _restart(self, fault: Fault) -> float:
        containers = [self.stack.container(one) for one in fault.victims]
        began = time.time()
        _at_once(lambda one=one: one.restart(timeout=60) for one in containers)
        return began

    def _disconnect(self, fault: Fault) -> float:
        """Those that are given back first take the addresses of others, where several were taken away."""
        cut = [(self._network(one), one, self.stack.container(one)) for one in fault.victims]
        for network, _, container in cut:
            network.disconnect(container)
        time.sleep(fault.seconds)
        for network, service, container in reversed(cut):
            network.connect(container, aliases=[service])
        return time.time()

    def _move(self, fault: Fault) -> float:
        """It comes back under another address, and nobody is at the one that it had: no reset tells its peers so."""
        cut = [(self._network(one), one, self.stack.container(one)) for one in fault.victims]
        had = {service: self._address(network, service) for network, service, _ in cut}
        for network, _, container in cut:
            network.disconnect(container)
        squatters = list(self._squatters({network.name: network for network, _, _ in cut}, set(had.values())))
        for network, service, container in cut:
            network.connect(container, aliases=[service])
        self.stack.remove_beside(*squatters)
        for network, service, _ in cut:
            assert self._address(network, service) != had[service], "the engine gave it the same address again"
        return time.time()

    def _squatters(self, networks: dict[str, Any], wanted: set[str]) -> Iterator[str]:
        """Containers that take addresses until they have all that are wanted: the engine gives the lowest free one."""
        for number in range(_SQUATTERS):
            for name in networks:
                yield (squatter := f"squatter-{name}-{number}")
                container = self.stack.keep_beside(squatter, network=name)
                container.reload()
                wanted.discard(container.attrs["NetworkSettings"]["Networks"][name]["IPAddress"])
            if not wanted:
                return

    def _fill(self, fault: Fault) -> float:
        """The volume fills up under the load until nothing can be written; then there is room again, and NATS is
        restarted, as the guide says."""
        said = self.stack.execute("holder", "python", "-c", _BALLAST)
        assert said.code == 0, said.text
        deadline = time.monotonic() + PATIENCE
        while int(self.stack.execute("holder", "python", "-c", _FREE).text) >= _BLOCK_BYTES:
            assert time.monotonic() < deadline, "the load does not fill the volume"
            time.sleep(0.2)
        time.sleep(fault.seconds)
        self.verify()  # reading goes on
        assert self.stack.execute("holder", "rm", "/data/ballast").code == 0
        return self._restart(fault)

    def _address(self, network: Any, service: str) -> str:
        networks = self.stack.container(service).attrs["NetworkSettings"]["Networks"]
        return str(networks[network.name]["IPAddress"])

    def _network(self, service: str) -> Any:
        name = "outside" if service == "witness" else "ledger"
        return self.stack.engine.networks.get(f"{self.stack.project}_{name}")

    def _roll(self, fault: Fault) -> float:
        """Another image, whose name the stack has already."""
        began = time.time()
        self.stack.run("up", "-d", "--no-deps", *fault.victims)
        return began

    # -- looking ------------------------------------------------------------------------------------------------------

    def _until_well(self, fault: Fault) -> None:
        deadline = time.monotonic() + PATIENCE
        while (problems := self._problems()) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert not problems, f"{PATIENCE:.0f} s after {fault}: {problems}\n{self.stack.logs(*fault.victims)}"

    def _problems(self) -> list[str]:
        said = self.stack.execute("desk", "commons", "status", "--json")
        try:
            status = json_of(said)
        except (ValueError, IndexError):
            return [said.text[-500:]]
        problems: list[str] = status.get("problems") or ([] if status.get("ok") else [said.text[-500:]])
        for service, path in (("fhir", "/readyz"), ("auditor", "/readyz"), ("witness", "/healthz")):
            ready = self.stack.execute(service, "python", "-I", "/app/services/deploy/healthy.py", path)
            if ready.code:
                problems.append(f"{service}: {ready.text[-300:]}")
        return problems

    def check(self, before: dict[tuple[str, str], str], may_start: Iterable[str]) -> None:
        """Nothing acknowledged is lost or doubled, nor what process managers do because of it, the ledger is whole, and
        nobody fell over that was left alone."""
        acknowledged = self.answers.all()
        with ThreadPoolExecutor() as threads:
            reading, verifying = threads.submit(self._read), threads.submit(self.verify)
            events, fulfilment = reading.result()
            lost = wrong(acknowledged, events)
            assert not lost, lost[:5]
            verifying.result()
        self._until_fulfilled(acknowledged, fulfilment)
        assert not self.answers.errors(), self.answers.errors()[:5]
        after = _started(self.stack)
        started = {service for (service, number), at in after.items() if before.get((service, number)) != at}
        started -= set(may_start)
        assert not started, f"started again by themselves: {started}\n{self.stack.logs(*started)}"
        for name, (used, limit) in memory(self.stack).items():
            assert used < MEMORY * limit, f"{name} uses {used >> 20} MB of {limit >> 20}"

    def _until_fulfilled(self, acknowledged: Iterable[Answered], fulfilment: Fulfilment) -> None:
        """Of the orders that were confirmed a moment ago, the goods may be on their way still."""
        deadline = time.monotonic() + PATIENCE
        while (wanting := unfulfilled(acknowledged, fulfilment)) and time.monotonic() < deadline:
            time.sleep(0.5)
            fulfilment = self._read()[1]
        assert not wanting, wanting[:5]

    def events(self) -> Events:
        """The id of every event of the ledger."""
        return self._read()[0]

    def _read(self) -> tuple[Events, Fulfilment]:
        said = self.stack.execute("desk", "python", "-c", Path(eventids.__file__).read_text())
        assert said.code == 0, said.text[-2000:]
        found: dict[str, dict[int, str]] = defaultdict(dict)
        fulfilment = Fulfilment()
        for line in said.text.splitlines():
            service, sequence, event, *more = line.split()
            found[service][int(sequence)] = event
            fulfilment.take(event, more)
        return found, fulfilment

    def verify(self) -> None:
        """Every check there is: chains, aggregates, and each read model against a fresh fold of the streams."""
        said = self.stack.execute("desk", "commons", "verify", "--json")
        report = json_of(said)
        assert report["ok"] and said.code == 0, report["first_problem"]
        assert any(check["name"].startswith("read model") for check in report["checks"])


def memory(stack: Stack) -> dict[str, tuple[int, int]]:
    """What each container uses, and its limit, in bytes: without what the kernel may take back at once."""
    found = {}
    for name, container in stack.running().items():
        assert not container.attrs["State"]["OOMKilled"], name
        told = container.stats(stream=False, one_shot=True)["memory_stats"]
        cached = told["stats"].get("total_inactive_file", told["stats"].get("inactive_file", 0))
        found[name] = (told["usage"] - cached, container.attrs["HostConfig"]["Memory"])
    return found


@contextmanager
def under_load(stack: Stack, options: load.Options, recoveries: list[Recovery]) -> Iterator[UnderLoad]:
    """A deployment at work; the load ends with the block, and its last answers are looked at like all others."""
    try:
        one = UnderLoad(stack, options, recoveries)
        yield one
        one.finish()
        one.check(_started(stack), ())
    finally:
        stack.remove_beside("load", "desk", "reaper")


def _started(stack: Stack) -> dict[tuple[str, str], str]:
    """When each container was started last, by its service and number."""
    return {one: told["State"]["StartedAt"] for one, told in stack.replicas().items()}


def _pause(container: Container) -> None:
    """A busy kernel does not always freeze all processes of a container at the first try."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            container.pause()
        except APIError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
        else:
            return


def _at_once(calls: Iterable[Callable[[], object]]) -> None:
    with ThreadPoolExecutor(len(SERVICES)) as threads:
        for done in [threads.submit(call) for call in calls]:
            done.result()


def keep(recoveries: Iterable[Recovery], path: Path) -> None:
    """Write the recoveries as JSON, for the bench and for people."""
    path.parent.mkdir(parents=True, exist_ok=True)
    told = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "recoveries": [asdict(one) for one in recoveries]}
    path.write_text(json.dumps(told, indent=2) + "\n")


def table(recoveries: Iterable[Recovery]) -> str:
    """The recoveries for a screen."""
    lines = [f"{'fault':<44} {'answered':>9} {'all well':>9}"]
    lines += [f"{one.fault:<44} {one.answered:>7.1f} s {one.well:>7.1f} s" for one in recoveries]
    return "\n".join(lines)


__all__ = ["Fault", "Kind", "Recovery", "UnderLoad", "keep", "table", "under_load"]
