"""The few calls of the HTTP API that the demo makes, with nothing but the standard library."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from deploy.portal.problem import Problem

PIECE = 64 * 1024


class Api:
    """Speaks to the portal as the owner of a token. Raises Problem for every refusal."""

    def __init__(self, probe: str, host_name: str, token: str) -> None:
        self._probe = probe
        self._headers = {"Host": host_name, "Authorization": f"Bearer {token}"}

    def get(self, path: str) -> dict[str, Any]:
        return self._json("GET", path)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._json("POST", path, body)

    def delete(self, path: str) -> None:
        self._answer("DELETE", path).close()

    def upload(self, path: str, file: Path) -> None:
        with file.open("rb") as content:
            length = {"Content-Length": str(file.stat().st_size)}
            self._answer("PUT", path, content, length).close()

    def stream(self, path: str) -> Iterator[bytes]:
        """The bytes as they come, until the portal ends the answer."""
        connection = self._answer("GET", path, timeout=None)
        while piece := connection.response.read1(PIECE):
            yield piece
        connection.close()

    def _json(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        content = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        answer = self._answer(method, path, content, headers)
        try:
            found = json.loads(answer.response.read())
        finally:
            answer.close()
        if not isinstance(found, dict):
            raise Problem(f"{method} {path} did not answer with an object.")
        return found

    def _answer(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        timeout: float | None = 60.0,
    ) -> _Answer:
        connection = http.client.HTTPConnection(self._probe, timeout=timeout)
        try:
            connection.request(
                method, quote(path, safe="/?&="), body, {**self._headers, **(headers or {})}
            )
            response = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise Problem(f"{method} {path} failed: {error}") from error
        answer = _Answer(connection, response)
        if response.status >= 400:
            words = response.read(2000).decode(errors="replace")
            answer.close()
            raise Problem(f"{method} {path} was answered with {response.status}: {words}")
        return answer


class _Answer:
    def __init__(
        self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse
    ) -> None:
        self._connection = connection
        self.response = response

    def close(self) -> None:
        self._connection.close()
