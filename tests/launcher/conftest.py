"""Homes for launcher tests: below /tmp, where the ordinary user can enter."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.portal.place import Place
from tests.portal import free_port


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path, because Unix sockets go into it, and open to every user."""
    path = Path(tempfile.mkdtemp(prefix="rc-", dir=os.environ.get("RCLUSTER_TEST_TMP", "/tmp")))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def make_place(folder: Path) -> Callable[..., Place]:
    """Place of a portal in `folder`/home on a free port; keywords are more settings."""

    def make(**settings: str) -> Place:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("RCLUSTER_")}
        ours = {"RCLUSTER_HOME": str(folder / "home"), "RCLUSTER_PORT": str(free_port())}
        return Place.of({**kept, **ours, **settings})

    return make
