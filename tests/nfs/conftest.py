"""The lab, for the tests that ask for it by `-m nfs`: they need root and minutes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nfs.lab import AS_USER, GUEST_FILES, PYTHON, Conversation, Guest, Lab


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "nfs: needs root and the three machines of tests/nfs")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "nfs" in config.option.markexpr:
        return
    ours = [item for item in items if item.get_closest_marker("nfs")]
    config.hook.pytest_deselected(items=ours)
    items[:] = [item for item in items if item not in ours]


@pytest.fixture(scope="session")
def lab(runner_build: Path) -> Iterator[Lab]:
    if os.geteuid() != 0:
        pytest.fail("The machines of tests/nfs need root.")
    with (
        tempfile.TemporaryDirectory(prefix="rcluster-nfs-", dir="/var/tmp") as work,
        Lab(Path(work)) as lab,
    ):
        for guest in (lab.writer, lab.reader):
            guest.mount()
        yield lab


def _machine(guest: Guest, *arguments: str) -> Iterator[Conversation]:
    command = [*AS_USER, PYTHON, "-B", f"{GUEST_FILES}/machine.py", *arguments]
    with guest.talk(*command, timeout=200) as machine:
        assert machine.answer() == {"ready": True}
        yield machine


@pytest.fixture(scope="session")
def portal(lab: Lab) -> Iterator[Conversation]:
    """The portal's code on the reader's machine."""
    yield from _machine(lab.reader, "portal")


@pytest.fixture(scope="session")
def node(lab: Lab) -> Iterator[Conversation]:
    """A machine of the pool: the writer's."""
    yield from _machine(lab.writer)
