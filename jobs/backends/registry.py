"""Backends by name. Each is imported only when asked for: `local` needs no Docker client."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from jobs.backends.base import Backend, Health, Notes
from jobs.backends.mesos_settings import MesosSettings
from jobs.backends.shared_runner import publish_runner


class NoSuchBackendError(ValueError):
    """There is no backend of that name; the message lists those there are."""


@dataclass(frozen=True)
class BackendConfig:
    """Plain values from the settings, the same for every backend; each takes what it needs."""

    installation: str
    """Labels our containers, so that two portals can share a machine or an engine."""
    machine: str
    """This machine's name on the pages, where the backend has no better word."""
    runner_dir: Path
    """Folder of rcluster-run and rcluster-enter."""
    state_dir: Path
    """A folder for backends' own notes, on a local disk that survives a restart of the portal.
    The account that runs scripts must be able to reach what lies below it."""
    docker_host: str = "unix:///var/run/docker.sock"
    cpus: float | None = None
    """None: all of the machine's"""
    memory: int | None = None
    """bytes; None: nine tenths of the machine's, less some of `set_aside`"""
    set_aside: int = 0
    """bytes of each machine that quick commands may hold together beside what is offered"""
    registry_auth: Path | None = None
    """a Docker config.json with logins to registries"""
    mesos: MesosSettings = field(default_factory=MesosSettings)
    notes: Notes | None = None
    """where a backend keeps what must outlive processes and machines"""
    attempt_dir: Callable[[str], Path] | None = None
    """handle -> the folder of its attempt on storage"""
    shared_dir: Path | None = None
    """a folder on shared storage, the same path on every machine, for what machines need of ours"""


def make_backend(name: str, *, config: BackendConfig) -> Backend:
    """A backend that talks to nobody yet. Raises NoSuchBackendError."""
    try:
        make = _MAKERS[name]
    except KeyError:
        known = ", ".join(sorted(_MAKERS))
        raise NoSuchBackendError(f"There is no backend {name!r}: choose {known}.") from None
    return make(config)


def probe_docker(docker_host: str) -> Health:
    """Does a Docker engine answer there? Never raises."""
    from jobs.backends.docker import DockerBackend

    backend = DockerBackend(base_url=docker_host, installation="", runner=Path())
    try:
        return backend.health()
    finally:
        backend.close()


def _docker(config: BackendConfig) -> Backend:
    from jobs.backends.docker import DockerBackend

    return DockerBackend(
        base_url=config.docker_host,
        installation=config.installation,
        runner=config.runner_dir / "rcluster-run",
        cpus=config.cpus,
        memory=config.memory,
        set_aside=config.set_aside,
        registry_auth=config.registry_auth,
    )


def _local(config: BackendConfig) -> Backend:
    from jobs.backends.local import LocalBackend

    return LocalBackend(
        state_dir=config.state_dir / "local",
        runner_dir=config.runner_dir,
        installation=config.installation,
        cpus=config.cpus,
        memory=config.memory,
        set_aside=config.set_aside,
        machine=config.machine,
    )


def _mesos(config: BackendConfig) -> Backend:
    from jobs.backends.mesos_backend import MesosBackend

    if config.notes is None or config.attempt_dir is None or config.shared_dir is None:
        raise ValueError("The mesos backend needs notes, attempt_dir and shared_dir.")
    return MesosBackend(
        settings=config.mesos,
        installation=config.installation,
        runner=publish_runner(config.runner_dir / "rcluster-run", config.shared_dir),
        notes=config.notes,
        attempt_dir=config.attempt_dir,
        set_aside=config.set_aside,
    )


_MAKERS: dict[str, Callable[[BackendConfig], Backend]] = {
    "docker": _docker,
    "local": _local,
    "mesos": _mesos,
}
