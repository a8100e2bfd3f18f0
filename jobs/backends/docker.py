"""The `docker` backend: containers of the Docker engine.

The runner is process 1 of each container; the engine's word about its end is the truth.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import docker  # noqa: TID251 - this is one of the two modules that may
from docker import errors  # noqa: TID251

from jobs.backends.base import (
    BackendUnavailable,
    Capabilities,
    ContainerSpec,
    ContainerStatus,
    Health,
    ImageNotFound,
    LaunchFailed,
    Life,
    MachineReport,
    Notify,
    Offer,
    OnPhase,
    memory_to_offer,
    reports_of,
)
from jobs.backends.docker_engine import (
    ACT_TIMEOUT,
    Engine,
    Events,
    Images,
    no_refusal,
    words_of,
)
from jobs.backends.docker_json import (
    LABEL_INSTALLATION,
    LIVES,
    NETWORK,
    create_body,
    is_half_started,
    read_status,
)
from jobs.backends.images import resolve_image
from jobs.backends.logins import Logins
from jobs.backends.processors import Processors
from jobs.backends.variables import site_proxies

CAPACITY_KEPT = 30.0
MISSED_MOUNT = ("bind source path does not exist", "error mounting")
STORAGE_ATTEMPTS = 3
"""of a Run, until a folder that the engine can't see is the Run's own failure"""


def _was_away(spec: ContainerSpec, error: errors.APIError) -> bool:
    """The engine missed a folder that we see: the storage may have come back in between. An engine
    that never sees it has its say in the end."""
    missed = any(words in words_of(error) for words in MISSED_MOUNT)
    return (
        missed
        and spec.attempt < STORAGE_ATTEMPTS
        and all(each.source.exists() for each in spec.mounts)
    )


class DockerBackend:
    """One Docker engine. A launch is two short requests on an open connection."""

    name = "docker"
    capabilities = Capabilities(images=True, memory="cgroup", network="full")

    def __init__(
        self,
        *,
        base_url: str,
        installation: str,
        runner: Path,
        cpus: float | None = None,
        memory: int | None = None,
        set_aside: int = 0,
        registry_auth: Path | None = None,
    ) -> None:
        """`registry_auth`: a Docker config.json with logins, with which the engine pulls."""
        self._engine = Engine(base_url)
        self._logins = Logins(registry_auth)
        self._installation = installation
        self._runner = runner
        self._cpus = cpus
        self._memory = memory
        self._set_aside = set_aside
        self._proxies = site_proxies()
        self._processors = Processors()
        self._capacity: tuple[float, Offer] | None = None
        self._seen: dict[str, ContainerStatus] = {}
        self._half_started: set[str] = set()
        """ids of containers whose end the engine will never tell"""
        self._watch = Events(self._engine, self._filters(), self.containers)

    def _filters(self) -> dict[str, str]:
        return {"label": f"{LABEL_INSTALLATION}={self._installation}"}

    # The machine.

    def health(self) -> Health:
        try:
            with self._engine("health") as client:
                version = client.version()
                info = client.info()
        except BackendUnavailable as error:
            return Health(
                ok=False, sentence=f"{error} Start it, for example: systemctl start docker"
            )
        except errors.APIError as error:
            return Health(ok=False, sentence=f"The Docker engine refuses: {words_of(error)}")
        live_restore = bool(info.get("LiveRestoreEnabled"))
        notes = []
        if not live_restore:
            notes.append(
                "The Docker engine runs without live-restore: restarting it ends all Runs. "
                'Set "live-restore": true in /etc/docker/daemon.json.'
            )
        if not info.get("MemoryLimit") or not info.get("CpuCfsQuota"):
            notes.append("The Docker engine can't limit memory or CPU here (no cgroup controller).")
        name = str(version.get("Version", ""))
        return Health(
            ok=True,
            sentence=f"Docker engine {name} answers.",
            version=name,
            notes=tuple(notes),
            live_restore=live_restore,
        )

    def offers(self) -> list[Offer]:
        kept = self._capacity
        is_fresh = kept is not None and time.monotonic() - kept[0] < CAPACITY_KEPT
        if kept is not None and is_fresh and self._engine.answered_lately():
            return [kept[1]]
        with self._engine("capacity") as client, no_refusal():
            if kept is not None and is_fresh:
                client.ping()
                return [kept[1]]
            info = client.info()
        cpus, memory = float(info["NCPU"]), int(info["MemTotal"])
        offer = Offer(
            machine=str(info["Name"]),
            cpus=self._cpus if self._cpus else cpus,
            memory=self._memory or memory_to_offer(memory, self._set_aside),
        )
        self._capacity = (time.monotonic(), offer)
        return [offer]

    def machines(self) -> list[MachineReport]:
        return reports_of(self.offers())

    def resolve(self, image: str, *, pull: str, on_phase: OnPhase, timeout: float) -> str:
        return resolve_image(
            Images(self._engine, self._logins), image, pull=pull, on_phase=on_phase, timeout=timeout
        )

    # Containers.

    def launch(self, spec: ContainerSpec) -> None:
        spec = self._processors.shown(spec)
        body = create_body(
            spec, installation=self._installation, runner=self._runner, proxies=self._proxies
        )
        with self._engine("starting", ACT_TIMEOUT) as client:
            try:
                if not self._create(client, body, spec.handle):
                    return
                self._start(client, spec.handle)
            except errors.ImageNotFound as error:
                raise ImageNotFound(
                    f"The image {spec.image} is not on this machine any more."
                ) from error
            except errors.APIError as error:
                if not spec.attempt_dir.is_dir() or _was_away(spec, error):
                    raise BackendUnavailable("The storage is away: is it mounted?") from error
                raise LaunchFailed(
                    f"Docker can't start the container: {words_of(error)}"
                ) from error

    def _start(self, client: docker.APIClient, handle: str) -> None:
        try:
            client.start(handle)
        except errors.APIError as error:
            if f"network {NETWORK} not found" not in words_of(error):
                raise
            self._make_network(client)
            client.start(handle)

    def _make_network(self, client: docker.APIClient) -> None:
        """Once per engine. Two that do it at once: the second is told that it is there."""
        options = {"com.docker.network.bridge.enable_icc": "false"}
        try:
            client.create_network(NETWORK, driver="bridge", options=options, check_duplicate=True)
        except errors.APIError as error:
            if error.status_code != 409:
                raise

    def _create(self, client: docker.APIClient, body: dict[str, Any], handle: str) -> bool:
        """Is there now a container of this name that was not started yet?"""
        try:
            client.create_container_from_config(body, handle)  # type: ignore[no-untyped-call]
        except errors.APIError as error:
            if error.status_code != 409:
                raise
            found = client.inspect_container(handle)
            if (found["Config"].get("Labels") or {}).get(LABEL_INSTALLATION) != self._installation:
                raise LaunchFailed(
                    f"Another portal has a container named {handle} already."
                ) from error
            return bool(found["State"]["Status"] == "created")
        return True

    def status(self, handle: str) -> ContainerStatus | None:
        with self._engine("status") as client, no_refusal():
            try:
                found = client.inspect_container(handle)
            except errors.NotFound:
                return None
        if is_half_started(found["State"]):
            self._half_started.add(found["Id"])
        return read_status(handle, found)

    def containers(self, known: Mapping[str, str] | None = None) -> dict[str, ContainerStatus]:
        with self._engine("list") as client, no_refusal():
            listed = client.containers(all=True, filters=self._filters())
        seen: dict[str, ContainerStatus] = {}
        result: dict[str, ContainerStatus] = {}
        for each in listed:
            handle = each["Names"][0].removeprefix("/")
            life = LIVES.get(each["State"], Life.RUNNING)
            # The list says neither exit code nor times: asked for once per change of life.
            told: ContainerStatus | None = self._seen.get(each["Id"])
            if told is None or told.life is not life:
                told = self.status(handle)
            if told is None:
                continue
            result[handle] = told
            if life is not Life.CREATED and each["Id"] not in self._half_started:
                seen[each["Id"]] = told
        self._seen = seen
        self._half_started &= {each["Id"] for each in listed}
        return result

    def settled(self, status: ContainerStatus) -> None:
        """The engine keeps an ended container until it is removed."""

    def stop(self, handle: str, *, grace: float) -> None:
        """The runner got its grace at launch; `grace` is for backends whose runner did not."""
        self._signal(handle, "SIGTERM")

    def kill(self, handle: str) -> None:
        self._signal(handle, "SIGKILL")

    def _signal(self, handle: str, signal: str) -> None:
        with self._engine("stopping") as client, no_refusal():
            try:
                client.kill(handle, signal)
            except errors.APIError as error:
                # 404: unknown; 409: not running. Both mean that there is nothing left to stop.
                if error.status_code not in (404, 409):
                    raise

    def remove(self, handle: str) -> None:
        with self._engine("removing", ACT_TIMEOUT) as client, no_refusal():
            try:
                client.remove_container(handle, v=True)
            except errors.APIError as error:
                # 404: gone; 409: being removed already, or it runs after all: left alone.
                if error.status_code not in (404, 409):
                    raise
                if error.status_code == 409:
                    self._remove_half_started(client, handle)

    def _remove_half_started(self, client: docker.APIClient, handle: str) -> None:
        with suppress(errors.NotFound):
            if is_half_started(client.inspect_container(handle)["State"]):
                client.remove_container(handle, v=True, force=True)

    def watch(self, notify: Notify) -> None:
        self._watch.start(notify)

    def close(self) -> None:
        self._watch.stop()
        self._engine.close()
