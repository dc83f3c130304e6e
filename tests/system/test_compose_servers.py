"""Three NATS servers: one of them is lost, nothing acknowledged with it, and the others go on.

COMMONS_FAULTS=all has each come back under another address as well.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.support.compose import ROOT, Stack
from tests.support.compose import stack as another
from tests.support.faults import Fault, Recovery, UnderLoad, under_load
from tests.support.load import Options

CLUSTER = ROOT / "infra" / "compose.cluster.yml"

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(1200)]

KINDS = ("kill", "move") if os.environ.get("COMMONS_FAULTS") == "all" else ("kill",)
SERVERS = ("nats", "nats-2", "nats-3")


@pytest.fixture(scope="module")
def cluster(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory, recoveries: list[Recovery]
) -> Iterator[UnderLoad]:  # fmt: skip
    secrets = tmp_path_factory.mktemp("cluster") / "secrets"
    stack.stop()
    with (
        another(secrets, files=[CLUSTER], build=False) as one,
        under_load(one, Options(pace=0.8), recoveries) as at_work,
    ):
        yield at_work


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_server_is_lost_and_nothing_else(cluster: UnderLoad, kind: str, server: str) -> None:
    cluster.inflict(Fault(kind, (server,)))
