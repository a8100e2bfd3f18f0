"""One laboratory per real backend. What is missing is made here, or the test fails: a contract
that was skipped has not been kept."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest

from deploy.mesos.lab import Lab as MesosLab
from jobs.backends.base import Backend
from jobs.backends.mesos_settings import MesosSettings
from jobs.backends.registry import BackendConfig, make_backend
from tests.conftest import R_IMAGE as IMAGE

from .attempt import FolderNotes, Lab, folder_of

REPOSITORY = Path(__file__).resolve().parents[2]
UID = GID = 12345


@dataclass(frozen=True)
class Site:
    """Where a laboratory's things are; enough to make its backend again in another process."""

    name: str
    config: BackendConfig

    def backend(self) -> Backend:
        return make_backend(self.name, config=self.config)


@pytest.fixture(scope="session")
def runner_dir() -> Iterator[Path]:
    """The runner, freshly compiled, in a folder that the ordinary user can read."""
    folder = Path(tempfile.mkdtemp(prefix="contract-runner-"))
    folder.chmod(0o755)
    subprocess.run(
        ["make", "-s", "-C", REPOSITORY / "runner", "all", f"OUT={folder}"], check=True, timeout=120
    )
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every user can reach (pytest's own are private)."""
    folder = Path(tempfile.mkdtemp(prefix="contract-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


MakeSite = Callable[[str], Site]


@pytest.fixture(scope="session")
def mesos_lab() -> Iterator[MesosLab]:
    """A real master with three agents, shared by all tests of the contract."""
    folder = Path(tempfile.mkdtemp(prefix="contract-mesos-"))
    folder.chmod(0o755)
    with MesosLab(folder, MesosLab.free_port(3), agents=3).running() as lab:
        yield lab
    shutil.rmtree(folder)


@pytest.fixture
def make_site(place: Path, runner_dir: Path, request: pytest.FixtureRequest) -> MakeSite:
    def make(name: str) -> Site:
        config = BackendConfig(
            installation=place.name,
            machine="here",
            runner_dir=runner_dir,
            state_dir=place / "state",
            notes=FolderNotes(place / "notes"),
            attempt_dir=partial(folder_of, place / "runs"),
            shared_dir=place / "bin",
        )
        if name == "mesos":
            lab: MesosLab = request.getfixturevalue("mesos_lab")
            # The framework of each test is forgotten soon after it.
            settings = MesosSettings(lab.master, failover_timeout=20.0)
            config = replace(config, mesos=settings)
        return Site(name, config)

    return make


@pytest.fixture(
    params=[
        pytest.param("docker", marks=pytest.mark.docker),
        pytest.param("local", marks=pytest.mark.local),
        pytest.param("mesos", marks=pytest.mark.mesos),
    ]
)
def site(request: pytest.FixtureRequest, make_site: MakeSite) -> Site:
    if request.param != "local":
        request.getfixturevalue("r_image")
    return make_site(request.param)


@pytest.fixture
def lab(site: Site, place: Path) -> Iterator[Lab]:
    yield from open_lab(site, place)


@pytest.fixture
def docker_lab(make_site: MakeSite, place: Path, r_image: str) -> Iterator[Lab]:
    yield from open_lab(make_site("docker"), place)


@pytest.fixture
def local_lab(make_site: MakeSite, place: Path) -> Iterator[Lab]:
    yield from open_lab(make_site("local"), place)


def open_lab(site: Site, place: Path) -> Iterator[Lab]:
    backend = site.backend()
    image = ""
    if backend.capabilities.images:
        image = backend.resolve(IMAGE, pull="never", on_phase=lambda phase, text: None, timeout=5)
    uid, gid = (UID, GID) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    lab = Lab(backend, place / "runs", image, uid, gid, site.backend)
    try:
        yield lab
    finally:
        lab.clean()
        backend.close()
    assert not list(Path("/sys/fs/cgroup").glob(f"*/rcluster-{site.config.installation}"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Real processes that run, wait and die take their time: all of this folder is slow."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("slow")
