"""The agent's v1 executor HTTP API, as JSON: calls, and the stream of events (RecordIO in chunks).

Needs the standard library only: these files run under the system's Python, as any user.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from typing import Any

Json = dict[str, Any]
UNITS = {
    "ns": 1e-9,
    "us": 1e-6,
    "ms": 1e-3,
    "secs": 1.0,
    "mins": 60.0,
    "hrs": 3600.0,
    "days": 86400.0,
    "weeks": 604800.0,
}


def seconds(text: str | None, default: float) -> float:
    """A duration as Mesos writes it: "5secs" is 5.0."""
    for unit in sorted(UNITS, key=len, reverse=True):
        if text and text.endswith(unit):
            return float(text.removesuffix(unit)) * UNITS[unit]
    return default


class Agent:
    """The agent that started this executor. Methods raise OSError when it is away."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._ids = {
            "framework_id": {"value": variables["MESOS_FRAMEWORK_ID"]},
            "executor_id": {"value": variables["MESOS_EXECUTOR_ID"]},
        }
        actor, address = variables["MESOS_SLAVE_PID"].split("@")
        host, port = address.rsplit(":", 1)
        self._address = (host, int(port))
        self._path = f"/{actor}/api/v1/executor"
        self._token = variables.get("MESOS_EXECUTOR_AUTHENTICATION_TOKEN")
        self._stream: socket.socket | None = None
        self._chunks = b""
        """Arrived, and not a whole chunk yet."""
        self._records = b""
        """Out of chunks, and not a whole record yet."""

    @property
    def stream(self) -> socket.socket | None:
        """Readable when `receive()` has something; None while not subscribed."""
        return self._stream

    def call(self, call: Json) -> None:
        sock, _ = self._post(call, keep=False)
        sock.close()

    def subscribe(self, tasks: list[Json], updates: list[Json]) -> None:
        """Begin the stream of events. `tasks`, `updates`: what no acknowledgement came for."""
        waiting = {
            "unacknowledged_tasks": tasks,
            "unacknowledged_updates": [{"status": status} for status in updates],
        }
        self._stream, self._chunks = self._post(
            {"type": "SUBSCRIBE", "subscribe": waiting}, keep=True
        )
        self._records = b""

    def receive(self, *, read: bool) -> list[Json]:
        """Events that have arrived whole; `stream` is None afterwards if the agent hung up."""
        if read and self._stream is not None:
            try:
                got = self._stream.recv(65536)
            except OSError:
                got = b""
            self._chunks += got
            if not got:
                self._stream.close()
                self._stream = None
        return list(self._events())

    def _events(self) -> Iterator[Json]:
        while b"\r\n" in self._chunks:
            line, rest = self._chunks.split(b"\r\n", 1)
            size = int(line, 16)
            if len(rest) < size + 2:
                break
            self._records += rest[:size]
            self._chunks = rest[size + 2 :]
        while b"\n" in self._records:
            line, rest = self._records.split(b"\n", 1)
            size = int(line)
            if len(rest) < size:
                break
            self._records = rest[size:]
            yield json.loads(rest[:size])

    def _post(self, call: Json, *, keep: bool) -> tuple[socket.socket, bytes]:
        body = json.dumps(call | self._ids).encode()
        lines = [
            f"POST {self._path} HTTP/1.1",
            f"Host: {self._address[0]}",
            "Content-Type: application/json",
            "Accept: application/json",
            f"Connection: {'keep-alive' if keep else 'close'}",
            f"Content-Length: {len(body)}",
        ]
        if self._token:
            lines.append(f"Authorization: Bearer {self._token}")
        sock = socket.create_connection(self._address, timeout=10)
        try:
            sock.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
            answer = b""
            while b"\r\n\r\n" not in answer:
                got = sock.recv(65536)
                if not got:
                    raise OSError("the agent closed the connection")
                answer += got
            head, rest = answer.split(b"\r\n\r\n", 1)
            if head.split()[1] not in (b"200", b"202"):
                raise OSError(f"the agent says {head.splitlines()[0]!r} {rest!r}")
        except OSError:
            sock.close()
            raise
        return sock, rest
