"""Which image is launched: pull policies, a registry that is down, denies, or is slow."""

from __future__ import annotations

import base64
import json
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.backends.base import ImageNotFound, Phase, RegistryUnavailable
from jobs.backends.docker import DockerBackend

from .attempt import Lab
from .registry import Images, Registry, docker

pytestmark = pytest.mark.docker

SECRET = "$2b$04$0KUnNHsjqwaNIo7rMnXVB.nRfcUB.6I6ceTVeIOA8jnH6GeclbFe6"
"""of the password "secret" """


@pytest.fixture
def registry(place: Path) -> Iterator[Registry]:
    made = Registry(place)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def images(place: Path, r_image: str) -> Iterator[Images]:
    made = Images(place)
    yield made
    made.clean()


def resolve(lab: Lab, image: str, pull: str, *, timeout: float = 30) -> tuple[str, list[str]]:
    told: list[str] = []

    def on_phase(phase: Phase, sentence: str) -> None:
        assert phase is Phase.PULLING
        told.append(sentence)

    return lab.backend.resolve(image, pull=pull, on_phase=on_phase, timeout=timeout), told


def test_always_the_newest(docker_lab: Lab, registry: Registry, images: Images) -> None:
    name = f"{registry.name}/team/hello:1"
    first = images.push(name, "first")
    found, told = resolve(docker_lab, name, "always")
    assert found == first
    assert told[0] == f"Pulling {name}"
    assert resolve(docker_lab, name, "always") == (first, []), "it is there: nothing is pulled"
    assert docker_lab.run(["/hello"], image=found, workdir="/").log() == b"first\n"

    second = images.push(name, "second")
    found, told = resolve(docker_lab, name, "always")
    assert found == second != first
    assert told
    assert docker_lab.run(["/hello"], image=found, workdir="/").log() == b"second\n"


def test_missing_pulls_once(docker_lab: Lab, registry: Registry, images: Images) -> None:
    name = f"{registry.name}/team/hello:1"
    first = images.push(name, "first")
    assert resolve(docker_lab, name, "missing")[0] == first
    registry.stop()
    assert resolve(docker_lab, name, "missing") == (first, [])


def test_a_registry_that_is_down(docker_lab: Lab, registry: Registry, images: Images) -> None:
    name = f"{registry.name}/team/hello:1"
    first = images.push(name, "first")
    registry.stop()
    for pull in ("always", "missing"):
        with pytest.raises(RegistryUnavailable, match="does not answer"):
            resolve(docker_lab, name, pull)
    registry.start()
    assert resolve(docker_lab, name, "always")[0] == first
    registry.stop()
    with pytest.raises(RegistryUnavailable):
        resolve(docker_lab, name, "always")


def test_an_unknown_image(docker_lab: Lab, registry: Registry) -> None:
    for pull in ("always", "missing"):
        with pytest.raises(ImageNotFound, match="no image"):
            resolve(docker_lab, f"{registry.name}/team/unknown:1", pull)
    with pytest.raises(ImageNotFound):
        resolve(docker_lab, "Not A Name", "always")


def test_a_registry_that_needs_a_login(
    docker_lab: Lab, registry: Registry, images: Images, place: Path
) -> None:
    """Whose it is, is in a Docker config.json, which is read anew for each question."""
    first = images.push(f"{registry.name}/team/hello:1", "first")
    registry.stop()
    (place / "htpasswd").write_text(f"portal:{SECRET}\n")
    registry.more = f"auth: {{htpasswd: {{realm: here, path: '{place}/htpasswd'}}}}\n"
    registry.start()
    config = place / "logins.json"
    backend = DockerBackend(
        base_url="unix:///var/run/docker.sock",
        installation=place.name,
        runner=place / "runner",
        registry_auth=config,
    )
    name = f"{registry.name}/team/hello:1"
    lab = replace(docker_lab, backend=backend)
    for word in ("", "wrong"):
        if word:
            write_login(config, registry.name, word)
        for pull in ("always", "missing"):
            with pytest.raises(ImageNotFound, match="needs a login"):
                resolve(lab, name, pull)
    write_login(config, registry.name, "secret")
    assert resolve(lab, name, "missing")[0] == first
    docker("rmi", "--force", first)
    assert resolve(lab, name, "always")[0] == first
    backend.close()


def write_login(config: Path, registry: str, password: str) -> None:
    pair = base64.b64encode(f"portal:{password}".encode()).decode()
    config.write_text(json.dumps({"auths": {registry: {"auth": pair}}}))


def test_without_a_registry(docker_lab: Lab, images: Images) -> None:
    image = images.make("rcluster-test/here:1", "built")
    assert resolve(docker_lab, "rcluster-test/here:1", "never") == (image, [])
    assert resolve(docker_lab, image, "always") == (image, []), "an id names one image for ever"
    with pytest.raises(ImageNotFound, match="forbids"):
        resolve(docker_lab, "rcluster-test/not-here:1", "never")


def test_launching_an_image_that_is_gone(docker_lab: Lab) -> None:
    attempt = docker_lab.attempt(["/hello"], image="sha256:" + "0" * 64)
    with pytest.raises(ImageNotFound):
        attempt.launch()
    assert docker_lab.backend.status(attempt.handle) is None


def test_a_program_that_the_image_lacks(docker_lab: Lab, images: Images, place: Path) -> None:
    image = images.make("rcluster-test/no-r:1", "built")
    attempt = docker_lab.run(["Rscript", "-e", "1"], image=image)
    assert attempt.status().exit_code == 127
    assert attempt.record()["exec_errno"] == 2
    assert b"Rscript" in attempt.log()


def test_pulling_has_a_deadline(docker_lab: Lab) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        name = f"127.0.0.1:{silent.getsockname()[1]}/team/hello:1"
        began = time.monotonic()
        with pytest.raises(RegistryUnavailable, match="longer than 1 s"):
            resolve(docker_lab, name, "missing", timeout=1)
        assert time.monotonic() - began < 5
