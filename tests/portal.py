"""A real portal for tests: its own home, a free port, all processes under the supervisor.

    def test_something(portal):            # backend local
        portal.url, portal.username, portal.password
        portal.manage("issue_token", "--user", portal.username, "--name", "x")
        portal.kill("web")                 # SIGKILL; the supervisor restarts it

`docker_portal` is the same with the docker backend. Both live as long as the test session.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deploy.portal import portal, supervisor
from deploy.portal.place import Place
from deploy.portal.progress import Progress
from tests.waiting import until

PATIENCE = 60.0
"""seconds for a process to be back"""


@dataclass
class Portal:
    place: Place
    url: str
    """without a slash at the end"""
    username: str
    password: str
    home: Path
    env: Mapping[str, str]
    """The variables that the portal was started with."""
    backend: str
    _temporary: list[Path] = field(default_factory=list)

    def manage(self, *arguments: str, as_owner: bool = True) -> str:
        """Standard output of manage.py, run with this portal's settings as its ordinary user."""
        return self.place.manage(*arguments, as_owner=as_owner)

    def token(self, name: str = "test") -> str:
        """A new API token of the first user, who is an administrator."""
        return self.manage("issue_token", "--user", self.username, "--name", name).strip()

    def process_pid(self, name: str) -> int:
        """Process id of web, worker, beat, backend or valkey; 0 while it does not run."""
        return {state.name: state.pid for state in supervisor.states(self.place)}[name]

    def kill(self, name: str) -> int:
        """SIGKILL the process, now. Returns the pid that it had."""
        pid = self.process_pid(name)
        assert pid, f"{name} does not run"
        os.kill(pid, signal.SIGKILL)
        return pid

    def wait_restarted(self, name: str, old_pid: int) -> int:
        """Wait until the supervisor runs it again. Returns the new pid."""

        def restarted() -> bool:
            found = {s.name: s for s in supervisor.states(self.place)}
            # RUNNING only comes 2 s after the start; a pid is enough.
            return found[name].pid not in {0, old_pid}

        until(restarted, f"{name} to be restarted", seconds=PATIENCE)
        return self.process_pid(name)

    def wait_ready(self) -> None:
        portal.wait_until_ready(self.place)

    def log(self, name: str) -> str:
        path = supervisor.log_path(self.place, name)
        return path.read_text(errors="replace") if path.exists() else ""

    def restart(self) -> None:
        """Stop all processes and start them again, as `down` and `up` do."""
        portal.down(self.place)
        portal.up(self.place)

    def stop(self) -> None:
        """End all processes and remove the home, if it was made for this portal."""
        portal.down(self.place)
        for folder in self._temporary:
            shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_portal(
    tmp_dir: Path | None = None,
    backend: str = "local",
    database_url: str | None = None,
    **settings: str,
) -> Portal:
    """Set up and start a portal; returns when /readyz answers 200.

    `tmp_dir` must be a folder that the ordinary user can enter (pytest's tmp_path is not, when
    root runs the tests); without it one is made below /tmp and removed by `stop()`.
    More `settings` as RCLUSTER_CPUS="2".
    """
    temporary = []
    if tmp_dir is None:
        tmp_dir = Path(
            tempfile.mkdtemp(prefix="rc-", dir=os.environ.get("RCLUSTER_TEST_TMP", "/tmp"))
        )
        tmp_dir.chmod(0o755)
        temporary.append(tmp_dir)
    variables = {k: v for k, v in os.environ.items() if not k.startswith("RCLUSTER_")}
    for name in ("RCLUSTER_USER", "RCLUSTER_DOCKER_HOST", "RCLUSTER_IMAGE"):
        if name in os.environ:
            variables[name] = os.environ[name]
    variables |= {
        "RCLUSTER_HOME": str(tmp_dir / "home"),
        "RCLUSTER_PORT": str(free_port()),
        "RCLUSTER_BACKEND": backend,
        **settings,
    }
    if database_url:
        variables["RCLUSTER_DATABASE_URL"] = database_url
    place = Place.of(variables)
    try:
        up = portal.up(place, progress=Progress())
    except BaseException:
        portal.down(place)
        for folder in temporary:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    return Portal(
        place=place,
        url=place.url,
        username=up.site.username,
        password=up.password,
        home=place.home,
        env=variables,
        backend=up.site.backend,
        _temporary=temporary,
    )


@pytest.fixture(scope="session", name="portal")
def local_portal() -> Iterator[Portal]:
    started = start_portal(backend="local")
    yield started
    started.stop()


@pytest.fixture(scope="session")
def docker_portal() -> Iterator[Portal]:
    started = start_portal(backend="docker")
    yield started
    started.stop()
