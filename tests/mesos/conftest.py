"""Labs of the tests' own: real masters and agents, each on ports of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.mesos.lab import Lab
from tests.home import HOME
from tests.mesos.framework import Framework

BUSYBOX = "127.0.0.1:9/rcluster-test/busybox:1"


@pytest.fixture(scope="module")
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """Three agents; agent1 has an attribute. Leave it as it was found: running."""
    name = request.module.__name__.rpartition(".")[2]
    with make_lab(f"lab-of-{name}", attributes={"agent1": {"disk": "ssd"}}).running() as lab:
        yield lab


@pytest.fixture
def framework(lab: Lab) -> Iterator[Framework]:
    with Framework(lab.master) as framework:
        yield framework


@pytest.fixture(scope="session")
def busybox() -> str:
    """A small image in the engine that answers; Docker tasks are skipped nowhere."""
    deploy = Path(__file__).parent.parent.parent / "deploy"
    for command in (
        [str(deploy / "environments" / "docker_engine.sh")],
        [str(deploy / "mesos" / "lab" / "image.sh"), BUSYBOX],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return BUSYBOX


def make_lab(name: str, *, agents: int = 3, **options: Any) -> Lab:
    return Lab(Path(HOME) / name, Lab.free_port(agents), agents=agents, **options)
