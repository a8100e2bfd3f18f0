"""Does a Docker engine answer? The launcher needs no more of it (jobs/backends/docker.py does)."""

from __future__ import annotations

import http.client
import socket
from urllib.parse import quote, urlsplit

PATIENCE = 2.0
"""seconds"""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, patience: float) -> None:
        super().__init__("localhost", timeout=patience)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def answers(address: str) -> bool:
    """`address` as in RCLUSTER_DOCKER_HOST: unix:///path or tcp://host:port."""
    return _status(address, "/_ping") == 200


def has_image(address: str, image: str) -> bool:
    return _status(address, f"/images/{quote(image)}/json") == 200


def can_pull(address: str, image: str) -> bool:
    """The engine reaches the image's registry, and that has it for us. Nothing is downloaded."""
    return _status(address, f"/distribution/{quote(image)}/json", patience=20.0) == 200


def _status(address: str, path: str, *, patience: float = PATIENCE) -> int:
    """The engine's HTTP status; 0 when it does not answer."""
    parts = urlsplit(address)
    connection: http.client.HTTPConnection
    if parts.scheme == "unix":
        connection = _UnixConnection(parts.path, patience)
    else:
        connection = http.client.HTTPConnection(
            parts.hostname or "localhost", parts.port or 2375, timeout=patience
        )
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()
