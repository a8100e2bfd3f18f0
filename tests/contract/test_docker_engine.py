"""An engine that is away, silent, or comes back; and what it refuses."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from jobs.backends.base import BackendUnavailable, LaunchFailed, Life, Mount
from jobs.backends.docker import DockerBackend
from jobs.backends.registry import probe_docker
from tests.waiting import until

from .attempt import Lab
from .conftest import MakeSite
from .registry import Images, docker

pytestmark = pytest.mark.docker


def backend_at(address: str) -> DockerBackend:
    return DockerBackend(base_url=address, installation="nobody", runner=Path("/none"))


def all_questions_fail(backend: DockerBackend, within: float) -> None:
    questions = (
        backend.offers,
        backend.containers,
        lambda: backend.status("rcluster-x-1"),
        lambda: backend.stop("rcluster-x-1", grace=1),
        lambda: backend.kill("rcluster-x-1"),
    )
    for ask in questions:
        began = time.monotonic()
        with pytest.raises(BackendUnavailable, match="does not answer"):
            ask()
        assert time.monotonic() - began < within


def test_no_engine(place: Path) -> None:
    backend = backend_at(f"unix://{place}/none.sock")
    all_questions_fail(backend, within=1)
    health = backend.health()
    assert not health.ok
    assert "does not answer" in health.sentence
    assert not probe_docker(f"unix://{place}/none.sock").ok


def test_an_engine_that_is_silent(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(place / "silent.sock"))
        silent.listen(20)
        all_questions_fail(backend_at(f"unix://{place}/silent.sock"), within=4)


def test_a_folder_that_is_missing(docker_lab: Lab) -> None:
    attempt = docker_lab.attempt(
        ["/bin/true"], mounts=[Mount(docker_lab.root / "missing", "/input")]
    )
    with pytest.raises(LaunchFailed, match="missing"):
        attempt.launch()
    assert not (docker_lab.root / "missing").exists()


def test_a_start_that_the_engine_refuses(docker_lab: Lab, place: Path) -> None:
    """No runner at its place: the container is created, but can't be started."""
    (place / "runner").write_text("not a program")
    backend = DockerBackend(
        base_url="unix:///var/run/docker.sock", installation=place.name, runner=place / "runner"
    )
    attempt = replace(docker_lab.attempt(["/bin/true"]), backend=backend)
    for _ in range(2):
        with pytest.raises(LaunchFailed, match="permission denied"):
            attempt.launch()
    status = attempt.status()
    assert status.life is Life.CREATED
    assert "permission denied" in status.error
    backend.close()


def test_a_created_container_is_started(docker_lab: Lab) -> None:
    """As if we had died between creating and starting."""
    attempt = docker_lab.attempt(["/bin/echo", "hi"])
    label = f"rcluster.installation={docker_lab.root.parent.name}"
    docker("create", "--name", attempt.handle, "--label", label, docker_lab.image, "/bin/true")
    assert attempt.status().life is Life.CREATED
    attempt.launch()
    assert attempt.ended().exit_code == 0


def test_a_name_that_belongs_to_somebody_else(docker_lab: Lab) -> None:
    attempt = docker_lab.attempt(["/bin/echo", "hi"])
    docker("create", "--name", attempt.handle, docker_lab.image, "/bin/true")
    with pytest.raises(LaunchFailed, match="Another portal"):
        attempt.launch()


@dataclass
class PrivateEngine:
    """A second engine, in a network of its own: on the machine's it would delete docker0."""

    folder: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"unix://{self.folder}/docker.sock"

    def start(self) -> None:
        command = ["unshare", "--net", "dockerd", "--live-restore", "--iptables=false"]
        command += [f"--host={self.address}", f"--data-root={self.folder}/data"]
        command += [f"--exec-root={self.folder}/exec", f"--pidfile={self.folder}/pid"]
        with (self.folder / "dockerd.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        until(lambda: probe_docker(self.address).ok, "the private engine", seconds=30)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
            self.process = None

    def clean(self) -> None:
        self.stop()
        for mount in reversed(Path("/proc/self/mounts").read_text().split("\n")):
            target = mount.split(" ")[1] if mount else ""
            if target.startswith(f"{self.folder}/"):
                subprocess.run(["umount", "-l", target], check=True)
        shutil.rmtree(self.folder)


@pytest.fixture
def private_engine() -> Iterator[PrivateEngine]:
    # Short: a Unix socket's path has room for 107 bytes.
    folder = Path(f"/tmp/rc-engine-{os.getpid()}")
    folder.mkdir(mode=0o755)
    engine = PrivateEngine(folder)
    try:
        engine.start()
        yield engine
    finally:
        engine.clean()


@pytest.mark.slow
def test_an_engine_that_goes_and_comes_back(
    make_site: MakeSite, place: Path, private_engine: PrivateEngine, images: Images
) -> None:
    site = make_site("docker")
    site = replace(site, config=replace(site.config, docker_host=private_engine.address))
    images.make("rcluster-test/waits:1", "unused")
    archive = str(place / "waits.tar")
    docker("save", "-o", archive, "rcluster-test/waits:1")
    docker("--host", private_engine.address, "load", "-q", "-i", archive)
    backend = site.backend()
    told: list[str] = []
    backend.watch(told.append)
    image = backend.resolve(
        "rcluster-test/waits:1", pull="never", on_phase=lambda phase, text: None, timeout=5
    )
    lab = Lab(backend, place / "runs", image, 12345, 12345, site.backend)
    attempt = lab.attempt(["/hello"], workdir="/", image=image)
    attempt.launch()
    until(lambda: attempt.handle in told, "word of the end")
    assert attempt.ended().exit_code == 0

    private_engine.stop()
    with pytest.raises(BackendUnavailable):
        backend.containers()
    told.clear()
    private_engine.start()
    assert attempt.status().exit_code == 0
    until(lambda: attempt.handle in told, "word of the ended, from the new engine")
    again = lab.attempt(["/hello"], workdir="/", image=image)
    again.launch()
    until(lambda: again.handle in told, "word of an end after the engine came back")
    lab.clean()
    backend.close()


@pytest.fixture
def images(place: Path, r_image: str) -> Iterator[Images]:
    made = Images(place)
    yield made
    made.clean()
