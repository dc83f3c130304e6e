"""The volume of NATS fills up in the middle of the work: nothing acknowledged is lost."""

from __future__ import annotations

import json

import pytest

from tests.support.compose import Stack
from tests.support.compose import stack as another
from tests.support.faults import Fault, Recovery, under_load
from tests.support.load import Options

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(1200)]

SMALL_MB = 48


def test_a_full_volume_loses_nothing(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory, recoveries: list[Recovery]
) -> None:
    folder = tmp_path_factory.mktemp("full")
    small = folder / "small.yml"
    options = {"type": "tmpfs", "device": "tmpfs", "o": f"size={SMALL_MB}m"}
    small.write_text(json.dumps({"volumes": {"nats": {"driver_opts": options}}}))
    stack.stop()
    with another(folder / "secrets", files=[small], build=False) as one:
        # As long as a container has it, the volume keeps what is in it.
        mounts = {f"{one.project}_nats": {"bind": "/data", "mode": "rw"}}
        one.keep_beside("holder", user="0", network_mode="none", volumes=mounts)
        with under_load(one, Options(pace=0.1), recoveries) as at_work:
            at_work.inflict(Fault("fill", ("nats",), 5.0))
