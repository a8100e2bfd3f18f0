"""A script's view of a portal in tests and benchmarks: the HTTP API and the WebSocket, with a token."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import httpx
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.waiting import until

FINAL = {"succeeded", "failed", "cancelled"}


@dataclass(frozen=True)
class Piece:
    """Log bytes as they came through the socket."""

    offset: int
    data: bytes


class Client:
    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self.headers = {"Authorization": f"Bearer {token}"}
        self.http = httpx.Client(base_url=f"{url}/api/v1", headers=self.headers, timeout=60)

    def close(self) -> None:
        self.http.close()

    def create_task(self, name: str = "Test", **settings: Any) -> str:
        return str(self._json(self.http.post("/tasks", json={"name": name, **settings}))["id"])

    def put_file(self, task: str, path: str, content: bytes) -> None:
        self.http.put(f"/tasks/{task}/files/{path}", content=content).raise_for_status()

    def file(self, task: str, path: str) -> bytes:
        return self.http.get(f"/tasks/{task}/files/{path}").raise_for_status().content

    def submit(self, task: str, **request: Any) -> str:
        return str(self._json(self.http.post(f"/tasks/{task}/runs", json=request))["id"])

    def command(self, task: str, command: str, **request: Any) -> str:
        return self.submit(task, kind="command", command=command, **request)

    def run(self, run: str) -> dict[str, Any]:
        return self._json(self.http.get(f"/runs/{run}"))

    def cluster(self) -> dict[str, Any]:
        return self._json(self.http.get("/cluster"))

    def drain(self, machine: str) -> None:
        self.http.post(f"/cluster/machines/{machine}/drain").raise_for_status()

    def undrain(self, machine: str) -> None:
        self.http.post(f"/cluster/machines/{machine}/undrain").raise_for_status()

    def cancel(self, run: str) -> None:
        self.http.post(f"/runs/{run}/cancel").raise_for_status()

    def log(self, run: str) -> bytes:
        return self.http.get(f"/runs/{run}/log").raise_for_status().content

    def wait_for_end(self, run: str, *, seconds: float = 60) -> dict[str, Any]:
        def ended() -> dict[str, Any] | None:
            found = self.run(run)
            return found if found["state"] in FINAL else None

        return until(ended, f"the end of run {run}", seconds=seconds) or {}

    def socket(
        self, run: str, *, attempt: int = 0, offset: int = 0
    ) -> AbstractContextManager[ClientConnection]:
        address = self.url.replace("http", "ws", 1)
        query = f"?attempt={attempt}&offset={offset}" if attempt or offset else ""
        return connect(
            f"{address}/ws/runs/{run}/{query}",
            additional_headers=self.headers,
            compression=None,
            max_size=None,
        )

    def follow(
        self, run: str, *, attempt: int = 0, offset: int = 0
    ) -> Iterator[Piece | dict[str, Any]]:
        """Pieces of the log and events, until the server closes the socket after the end."""
        with self.socket(run, attempt=attempt, offset=offset) as socket:
            yield from frames(socket)

    @staticmethod
    def _json(response: httpx.Response) -> dict[str, Any]:
        assert response.is_success, f"{response.status_code}: {response.text}"
        found: dict[str, Any] = response.json()
        return found


def frames(socket: ClientConnection) -> Iterator[Piece | dict[str, Any]]:
    while True:
        try:
            frame = socket.recv(timeout=60)
        except ConnectionClosed:
            return
        if isinstance(frame, bytes):
            yield Piece(struct.unpack(">Q", frame[:8])[0], frame[8:])
        else:
            yield json.loads(frame)
