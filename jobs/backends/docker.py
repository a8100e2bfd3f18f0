"""The `docker` backend: containers of the Docker engine. The only module that imports `docker`.

The runner is process 1 of each container; the engine's word about its end is the truth.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import docker  # noqa: TID251 - this is the module that may
import requests.exceptions
from docker import auth, errors  # noqa: TID251
from docker.types import CancellableStream  # noqa: TID251
from docker.utils.json_stream import json_stream  # noqa: TID251

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
from jobs.backends.docker_json import (
    LABEL_INSTALLATION,
    LIVES,
    NETWORK,
    create_body,
    is_half_started,
    read_status,
)
from jobs.backends.following import Follower
from jobs.backends.images import Refused, resolve_image, split_reference
from jobs.backends.processors import Processors
from jobs.backends.variables import site_proxies

log = logging.getLogger(__name__)

LOOK_TIMEOUT = 3
"""seconds for a question; a stopped engine is noticed within it"""
ACT_TIMEOUT = 30
"""seconds for creating and starting, which a busy disk can make slow"""
CAPACITY_KEPT = 30.0
MISSED_MOUNT = ("bind source path does not exist", "error mounting")
STORAGE_ATTEMPTS = 3
"""of a Run, until a folder that the engine can't see is the Run's own failure"""

Containers = Callable[[], dict[str, ContainerStatus]]


class Engine:
    """The connections to one Docker engine, kept open and renewed when the engine was away."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._clients: dict[int, docker.APIClient] = {}
        self._lock = threading.Lock()

    @contextmanager
    def __call__(self, doing: str, timeout: int = LOOK_TIMEOUT) -> Iterator[docker.APIClient]:
        """A client for one request. What is no answer becomes BackendUnavailable; the engine's
        refusals (APIError) pass through."""
        try:
            self._knock()
            yield self._client(timeout)
        except errors.APIError:
            raise
        except (requests.exceptions.RequestException, errors.DockerException, OSError) as error:
            self.close()
            raise BackendUnavailable(
                f"The Docker engine does not answer ({doing}: {_cause(error)})."
            ) from error

    def _knock(self) -> None:
        """Is somebody at the socket? The client finds out too, but leaves its own socket open."""
        scheme, _, path = self._base_url.partition("://")
        if scheme == "unix":
            with socket.socket(socket.AF_UNIX) as knocking:
                knocking.settimeout(LOOK_TIMEOUT)
                knocking.connect(path)

    def _client(self, timeout: int) -> docker.APIClient:
        with self._lock:
            known = dict(self._clients)
        if timeout in known:
            return known[timeout]
        # Asked anew whenever the engine was away: it may come back as another version. Not under
        # the lock: when the engine hangs, every thread waits for itself only.
        version = next((each.api_version for each in known.values()), None) or self._version()
        client = docker.APIClient(base_url=self._base_url, version=version, timeout=timeout)
        # Neither proxies nor .netrc concern the engine, and looking for them costs time.
        client.trust_env = False
        with self._lock:
            return self._clients.setdefault(timeout, client)

    def _version(self) -> str:
        client = docker.APIClient(base_url=self._base_url, version="auto", timeout=LOOK_TIMEOUT)
        try:
            return str(client.api_version)
        finally:
            client.close()

    def close(self) -> None:
        with self._lock:
            clients = list(self._clients.values())
            self._clients.clear()
        for client in clients:
            client.close()


def _cause(error: Exception) -> str:
    text = str(error)
    for known in ("Connection refused", "No such file or directory", "Permission denied"):
        if known in text:
            return known.lower()
    return "no answer in time" if "timed out" in text else text[:200]


def _was_away(spec: ContainerSpec, error: errors.APIError) -> bool:
    """The engine missed a folder that we see: the storage may have come back in between. An engine
    that never sees it has its say in the end."""
    missed = any(words in _words(error) for words in MISSED_MOUNT)
    return (
        missed
        and spec.attempt < STORAGE_ATTEMPTS
        and all(each.source.exists() for each in spec.mounts)
    )


def _words(error: errors.APIError) -> str:
    return str(error.explanation or error)


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
    ) -> None:
        self._engine = Engine(base_url)
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
        self._watch = _Events(self._engine, self._filters(), self.containers)

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
            return Health(ok=False, sentence=f"The Docker engine refuses: {_words(error)}")
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
        with self._engine("capacity") as client, _no_refusal():
            if kept is not None and time.monotonic() - kept[0] < CAPACITY_KEPT:
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
            _Images(self._engine), image, pull=pull, on_phase=on_phase, timeout=timeout
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
                raise LaunchFailed(f"Docker can't start the container: {_words(error)}") from error

    def _start(self, client: docker.APIClient, handle: str) -> None:
        try:
            client.start(handle)
        except errors.APIError as error:
            if f"network {NETWORK} not found" not in _words(error):
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
        with self._engine("status") as client, _no_refusal():
            try:
                found = client.inspect_container(handle)
            except errors.NotFound:
                return None
        if is_half_started(found["State"]):
            self._half_started.add(found["Id"])
        return read_status(handle, found)

    def containers(self, known: Mapping[str, str] | None = None) -> dict[str, ContainerStatus]:
        with self._engine("list") as client, _no_refusal():
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
        with self._engine("stopping") as client, _no_refusal():
            try:
                client.kill(handle, signal)
            except errors.APIError as error:
                # 404: unknown; 409: not running. Both mean that there is nothing left to stop.
                if error.status_code not in (404, 409):
                    raise

    def remove(self, handle: str) -> None:
        with self._engine("removing", ACT_TIMEOUT) as client, _no_refusal():
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


@contextmanager
def _no_refusal() -> Iterator[None]:
    """Where the engine has no reason to refuse, a refusal says nothing about the container."""
    try:
        yield
    except errors.APIError as error:
        raise BackendUnavailable(f"The Docker engine could not answer: {_words(error)}") from error


class _Images:
    """images.ImageStore over one engine and the registries that it reaches."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def local(self, image: str) -> tuple[str, list[str]] | None:
        with self._engine("image") as client, _no_refusal():
            try:
                found = client.inspect_image(image)  # type: ignore[no-untyped-call]
            except errors.NotFound:
                return None
            except errors.APIError as error:
                if error.status_code == 400:
                    return None
                raise
        return str(found["Id"]), list(found.get("RepoDigests") or ())

    def remote_digest(self, image: str) -> str:
        try:
            with self._engine("registry", ACT_TIMEOUT) as client:
                found = client.inspect_distribution(image)  # type: ignore[no-untyped-call]
                return str(found["Descriptor"]["digest"])
        except errors.APIError as error:
            raise Refused(_words(error)) from error
        except BackendUnavailable as error:
            # Who is silent, the engine or the registry behind it? This raises if it is the engine.
            with self._engine("health") as client, _no_refusal():
                client.ping()
            raise Refused("no answer in time") from error

    def pull(self, image: str, *, timeout: float) -> Iterator[dict[str, Any]]:
        """The engine's progress messages; the pull is called off when the deadline passes."""
        repository, tag, digest = split_reference(image)
        with self._engine("pulling", ACT_TIMEOUT) as client:
            header = auth.get_config_header(client, auth.resolve_repository_name(repository)[0])
            # Not client.pull(): its stream can neither time out nor be called off.
            try:
                response = client.post(
                    f"{client.base_url}/v{client.api_version}/images/create",
                    params={"fromImage": repository, "tag": digest or tag},
                    headers={"X-Registry-Auth": header} if header else {},
                    stream=True,
                    timeout=(LOOK_TIMEOUT, timeout),
                )
            except requests.exceptions.ReadTimeout:
                return
            if not response.ok:
                raise Refused(str(response.json().get("message", response.reason)))
            stream = CancellableStream(
                json_stream(response.iter_content(chunk_size=None)), response
            )
            deadline = threading.Timer(timeout, stream.close)
            deadline.daemon = True
            deadline.start()
            try:
                yield from stream
            finally:
                deadline.cancel()
                response.close()


class _Events(Follower):
    """The engine's event stream, followed in a thread that survives the engine."""

    def __init__(self, engine: Engine, filters: dict[str, str], containers: Containers) -> None:
        super().__init__("docker-events", cut_by=(BackendUnavailable, errors.APIError))
        self._engine = engine
        self._filters = {**filters, "type": "container", "event": "die"}
        self._containers = containers
        self._stream: CancellableStream[dict[str, Any]] | None = None

    def interrupt(self) -> None:
        stream = self._stream
        if stream is not None:
            with suppress(OSError, AttributeError):  # it may be closing by itself at this moment
                stream.close()

    def follow(self, notify: Notify) -> None:
        with self._engine("events") as client:
            self._stream = client.events(filters=self._filters, decode=True)
            if self.is_stopping:
                self.interrupt()
            # What ended while nobody listened.
            for handle, status in self._containers().items():
                if status.life is Life.ENDED:
                    notify(handle)
            for event in self._stream:
                notify(event["Actor"]["Attributes"]["name"])
