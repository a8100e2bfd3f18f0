"""One Docker engine: the connections to it, its images, its events. With docker.py the only modules
that import `docker`.
"""

from __future__ import annotations

import math
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import docker  # noqa: TID251 - this is one of the two modules that may
import requests.exceptions
from docker import auth, errors  # noqa: TID251
from docker.types import CancellableStream  # noqa: TID251
from docker.utils.json_stream import json_stream  # noqa: TID251

from jobs.backends.base import BackendUnavailable, ContainerStatus, Life, Notify
from jobs.backends.following import Follower
from jobs.backends.images import Refused, place, split_reference
from jobs.backends.logins import Logins

LOOK_TIMEOUT = 3
"""seconds for a question; a stopped engine is noticed within it"""
ACT_TIMEOUT = 30
"""seconds for creating and starting, which a busy disk can make slow"""

BELIEVED_FOR = 1.0
"""seconds that an answer is taken as word that the engine is there"""

Containers = Callable[[], dict[str, ContainerStatus]]


class Engine:
    """The connections to one Docker engine, kept open and renewed when the engine was away."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._clients: dict[int, docker.APIClient] = {}
        self._lock = threading.Lock()
        self._answered_at = -math.inf

    @contextmanager
    def __call__(self, doing: str, timeout: int = LOOK_TIMEOUT) -> Iterator[docker.APIClient]:
        """A client for one request. What is no answer becomes BackendUnavailable; the engine's
        refusals (APIError) pass through."""
        try:
            self._knock()
            yield self._client(timeout)
            self._answered_at = time.monotonic()
        except errors.APIError:
            raise
        except (requests.exceptions.RequestException, errors.DockerException, OSError) as error:
            self.close()
            raise BackendUnavailable(
                f"The Docker engine does not answer ({doing}: {_cause(error)})."
            ) from error

    def answered_lately(self) -> bool:
        """It was there a moment ago, and nothing was heard since that it is not."""
        return time.monotonic() - self._answered_at < BELIEVED_FOR

    def doubt(self) -> None:
        """It may be gone: the next question is asked in earnest."""
        self._answered_at = -math.inf

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
        """Of all connections: the next question opens new ones."""
        self.doubt()
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


def words_of(error: errors.APIError) -> str:
    return str(error.explanation or error)


@contextmanager
def no_refusal() -> Iterator[None]:
    """Where the engine has no reason to refuse, a refusal says nothing about the container."""
    try:
        yield
    except errors.APIError as error:
        raise BackendUnavailable(
            f"The Docker engine could not answer: {words_of(error)}"
        ) from error


class Images:
    """images.ImageStore over one engine and the registries that it reaches."""

    def __init__(self, engine: Engine, logins: Logins) -> None:
        self._engine = engine
        self._logins = logins

    def _login(self, image: str) -> dict[str, str]:
        """For the engine to use in our name. Empty: none, and what docker.py may find is none of ours."""
        host = place(image)[0]
        found = self._logins.of(host)
        if found is None:
            return {}
        if found.identity_token:
            return {"identitytoken": found.identity_token, "serveraddress": host}
        return {"username": found.username, "password": found.password, "serveraddress": host}

    def local(self, image: str) -> tuple[str, list[str]] | None:
        with self._engine("image") as client, no_refusal():
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
                found = client.inspect_distribution(image, self._login(image))  # type: ignore[no-untyped-call]
                return str(found["Descriptor"]["digest"])
        except errors.APIError as error:
            raise Refused(words_of(error)) from error
        except BackendUnavailable as error:
            # Who is silent, the engine or the registry behind it? This raises if it is the engine.
            with self._engine("health") as client, no_refusal():
                client.ping()
            raise Refused("no answer in time") from error

    def pull(self, image: str, *, timeout: float) -> Iterator[dict[str, Any]]:
        """The engine's progress messages; the pull is called off when the deadline passes."""
        repository, tag, digest = split_reference(image)
        with self._engine("pulling", ACT_TIMEOUT) as client:
            header = auth.encode_header(self._login(image))
            # Not client.pull(): its stream can neither time out nor be called off.
            try:
                response = client.post(
                    f"{client.base_url}/v{client.api_version}/images/create",
                    params={"fromImage": repository, "tag": digest or tag},
                    headers={"X-Registry-Auth": header},
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


class Events(Follower):
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
        # Nobody ends it but an engine that stops.
        self._engine.doubt()
