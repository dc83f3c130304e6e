"""docker-compose.yml in containers of its own, under a project name that nobody else has.

Whoever has a Docker engine can run it: Compose is that of the `docker` command, or the one that comes as a Python
package. COMMONS_IMAGE, COMMONS_BASE_IMAGE, NATS_IMAGE and POSTGRES_IMAGE name other images.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.models.containers import Container

ROOT = Path(__file__).parents[2]
UP_SECONDS = 600
"""Building the image included; what was built before is used again."""

SERVICES = (
    "nats", "postgres", "inventory", "distribution", "treasury", "clinic", "projections", "clinic-projections", "fhir",
    "auditor", "witness",
)  # fmt: skip
"""Those that run for good."""


PROJECT = os.environ.get("COMMONS_TEST_PROJECT", "commons-test")
"""What the names of all that is made here begin with."""


class NoEngine(Exception):
    """Containers cannot be had here; the text says why."""


def engine() -> docker.DockerClient:
    """The Docker engine of this machine. Raises NoEngine."""
    try:
        client = docker.from_env(timeout=300)
        client.ping()
    except DockerException as error:
        raise NoEngine(f"no Docker engine answers here: {error}") from error
    return client


def compose() -> list[str]:
    """The command of Compose, version 2 or newer. Raises NoEngine."""
    commands = [["docker", "compose"], [str(Path(sys.executable).parent / "docker-compose")], ["docker-compose"]]
    for command in commands:
        if shutil.which(command[0]) is None:
            continue
        said = subprocess.run([*command, "version", "--short"], capture_output=True, text=True, check=False)
        if said.returncode == 0 and not said.stdout.lstrip("v").startswith("1."):
            return command
    raise NoEngine("no Compose of version 2 or newer is at hand here")


@dataclass(frozen=True)
class Said:
    """What a command in a container came to."""

    code: int
    text: str


@dataclass
class Stack:
    """One deployment: Compose's command line, and its containers."""

    engine: docker.DockerClient
    project: str
    command: list[str]
    environment: dict[str, str]
    image: str
    beside: dict[str, Container] = field(default_factory=dict)
    """Containers that were started next to it, by name."""

    # -- as an operator types -----------------------------------------------------------------------------------------

    def run(self, *arguments: str, seconds: float = 300, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*self.command, *arguments], cwd=ROOT, env=self.environment, timeout=seconds, text=True, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert not check or done.returncode == 0, done.stdout[-8000:]
        return done

    def commons(self, who: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = self.run("run", "--rm", "-T", who, *arguments, check=check)
        done.stdout = "\n".join(one for one in done.stdout.splitlines() if not one.startswith(" Container "))
        return done

    def up(self, *arguments: str) -> None:
        """Bring it up, and wait until all is healthy: on a machine that has much else to do, more than once."""
        deadline = time.monotonic() + UP_SECONDS
        while (done := self.run("up", "-d", "--wait", *arguments, seconds=UP_SECONDS, check=False)).returncode:
            waiting = "is unhealthy" in done.stdout and time.monotonic() < deadline
            assert waiting, done.stdout[-4000:] + self.logs()

    def stop(self) -> None:
        """Stop it, so that another one has the machine for itself; whoever needs it again brings it up."""
        self.run("stop", "-t", "20")

    def logs(self, *services: str, lines: int = 20) -> str:
        return self.run("logs", "--tail", str(lines), *services, check=False).stdout[-12000:]

    # -- containers ---------------------------------------------------------------------------------------------------

    def containers(self) -> dict[str, dict[str, Any]]:
        """What the engine says of each container of the file, by its service; those of a tool that was run not."""
        return {service: told for (service, _), told in self.replicas().items()}

    def replicas(self) -> dict[tuple[str, str], dict[str, Any]]:
        """The same by service and number, where a service has several."""
        return {
            (one.labels["com.docker.compose.service"], one.labels["com.docker.compose.container-number"]): one.attrs
            for one in self._listed()
        }

    def container(self, service: str) -> Container:
        return next(one for one in self._listed() if one.labels["com.docker.compose.service"] == service)

    def running(self) -> dict[str, Container]:
        """All that run for good, by the name of the container."""
        return {one.name: one for one in self._listed() if one.attrs["State"]["Running"]}

    def _listed(self) -> list[Container]:
        labels = [f"com.docker.compose.project={self.project}", "com.docker.compose.oneoff=False"]
        return list(self.engine.containers.list(all=True, filters={"label": labels}, ignore_removed=True))

    def execute(self, service: str, *command: str) -> Said:
        """Run a command in a container of the file, or in one beside it; one that does not run is said as an error."""
        container = self.beside.get(service) or self.container(service)
        try:
            done = container.exec_run(list(command))
        except APIError as error:
            return Said(125, str(error))
        return Said(done.exit_code, done.output.decode(errors="replace"))

    def start_beside(self, name: str, service: str, entrypoint: str, *arguments: str) -> Container:
        """One more container as `docker compose run` makes it for a service, with another program in it."""
        made = f"{self.project}-{name}"
        self.run("run", "-d", "-T", "--no-deps", "--name", made, "--entrypoint", entrypoint, service, *arguments)
        self.beside[name] = self.engine.containers.get(made)
        return self.beside[name]

    def keep_beside(self, name: str, **settings: Any) -> Container:
        """One more container of the ledger's image, which the file does not know of, to run commands in."""
        self.beside[name] = self.engine.containers.run(
            self.image, ["sleep", "infinity"], name=f"{self.project}-{name}", detach=True, init=True,
            healthcheck={"test": ["NONE"]}, **settings,
        )  # fmt: skip
        return self.beside[name]

    @contextlib.contextmanager
    def next_image(self) -> Iterator[str]:
        """The same image under another name and with another label: what is brought up within the block uses it."""
        made = f"{self.image}-next"
        recipe = f'FROM {self.image}\nLABEL org.opencontainers.image.version="next"\n'
        self.engine.images.build(fileobj=io.BytesIO(recipe.encode()), tag=made)
        self.environment["COMMONS_IMAGE"] = made
        try:
            yield made
        finally:
            self.environment["COMMONS_IMAGE"] = self.image
            self.engine.images.remove(made, force=True)

    def remove_beside(self, *names: str) -> None:
        for name in names or tuple(self.beside):
            if (container := self.beside.pop(name, None)) is not None:
                container.remove(force=True)


@contextlib.contextmanager
def stack(
    secrets: Path, *, files: Sequence[Path] = (), environment: Mapping[str, str] | None = None, build: bool = True,
    services: Sequence[str] = (),
) -> Iterator[Stack]:  # fmt: skip
    """The deployment, up and healthy; nothing of it is left afterwards but the image. Raises NoEngine.

    `files` are laid over docker-compose.yml; of `services` only those that are named are brought up.
    """
    one = _named(secrets, files, environment or {})
    try:
        one.up(*(["--build"] if build else []), *services)
        yield one
    finally:
        one.remove_beside()
        one.run("--profile", "tools", "down", "-v", "--remove-orphans", "-t", "5", check=False)
        one.engine.close()


def build() -> None:
    """Build the image from nothing but its base. Raises NoEngine."""
    one = _named(ROOT / "secrets", (), {})
    one.run("build", "--no-cache", "init", seconds=UP_SECONDS)
    one.engine.close()


def _named(secrets: Path, files: Sequence[Path], environment: Mapping[str, str]) -> Stack:
    """A deployment that is not up yet. COMMONS_IMAGE names its image."""
    project = f"{PROJECT}-{uuid.uuid4().hex[:8]}"
    image = os.environ.get("COMMONS_IMAGE", "commons-ledger:test")
    told = {
        **os.environ, "COMMONS_SECRETS": str(secrets), "COMMONS_IMAGE": image, "DOCKER_BUILDKIT": "0",
        "COMMONS_FHIR_PORT": "0", "COMMONS_LOG_PORT": "0", "COMMONS_WITNESS_PORT": "0", **_in_clear(), **environment,
    }  # fmt: skip
    over = [part for file in ("docker-compose.yml", *map(str, files)) for part in ("-f", file)]
    return Stack(engine(), project, [*compose(), "-p", project, *over], told, image)


@functools.cache
def _in_clear() -> dict[str, str]:
    """What a PostgreSQL that was built without TLS needs."""
    image = os.environ.get("POSTGRES_IMAGE", "postgres:18")
    asked = ["sh", "-c", "ldd $(command -v postgres) | grep -c libssl || true"]
    linked = engine().containers.run(image, asked, entrypoint="", remove=True, network_mode="none")
    return {} if int(linked) else {"COMMONS_POSTGRES_SSL": "off", "COMMONS_POSTGRES_SSLMODE": "disable"}


def json_of(said: Said) -> Any:
    """The last line of what a command said, which is JSON."""
    return json.loads(said.text.strip().splitlines()[-1])


def ready() -> None:
    """Raises NoEngine, saying why, where the image cannot be built: no engine, no base image, no package index."""
    client = engine()
    base = os.environ.get("COMMONS_BASE_IMAGE", "python:3.13-slim")
    fetch = ["python", "-m", "pip", "download", "--quiet", "--no-deps", "--dest", "/tmp", "pip"]
    try:
        client.containers.run(base, fetch, remove=True)
    except DockerException as error:
        raise NoEngine(f"a container of {base} gets nothing from a package index: {error}") from error
    finally:
        client.close()


def sweep() -> None:
    """Remove what was made here, by runs that were broken off too, and the image if COMMONS_IMAGE names it."""
    client = engine()
    named = {"name": f"^{PROJECT}-"}
    for container in client.containers.list(all=True, filters={"name": f"^/{PROJECT}-"}, ignore_removed=True):
        with contextlib.suppress(NotFound):
            container.remove(force=True, v=True)
    for one in (*client.networks.list(filters=named), *client.volumes.list(filters=named)):
        try:
            one.remove()
        except APIError as error:
            print(f"{one.name} cannot be removed: {error.explanation}", file=sys.stderr)
    if image := os.environ.get("COMMONS_IMAGE"):
        for tag in (image, f"{image}-next"):
            with contextlib.suppress(ImageNotFound):
                client.images.remove(tag, force=True)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["sweep"]:
            sweep()
        case ["ready"]:
            try:
                ready()
            except NoEngine as missing:
                sys.exit(str(missing))
        case _:
            sys.exit("usage: python -m tests.support.compose ready|sweep")
