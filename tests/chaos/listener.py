"""Somebody who looks at a Run's log from its first byte to its last, through every outage."""

from __future__ import annotations

import threading
import time
from typing import Any

from websockets.exceptions import WebSocketException

from tests.client import Client, Piece, frames

AGAIN_AFTER = 0.1
"""seconds until it connects again"""


class Listener:
    """Reads the log through the WebSocket in a thread; connects again with its attempt and offset."""

    def __init__(self, client: Client, run: str) -> None:
        self.run = run
        self.data = bytearray()
        self.end: dict[str, Any] | None = None
        self.gaps: list[str] = []
        self.cuts: list[str] = []
        """why it had to connect again"""
        self._client = client
        self._attempt = 0
        self._stopping = False
        self._thread = threading.Thread(target=self._listen, name=f"listen-{run}", daemon=True)
        self._thread.start()

    def close(self, *, within: float) -> None:
        """Wait until the end was told; after `within` seconds without it, give up."""
        self._thread.join(timeout=within)
        self._stopping = True

    def _listen(self) -> None:
        while not self._is_over():
            try:
                with self._client.socket(
                    self.run, attempt=self._attempt, offset=len(self.data)
                ) as socket:
                    for frame in frames(socket):
                        self._take(frame)
                        if self._is_over():
                            return
            except (OSError, WebSocketException) as error:
                self.cuts.append(f"{type(error).__name__} {error}")
            else:
                self.cuts.append("closed")
            time.sleep(AGAIN_AFTER)

    def _is_over(self) -> bool:
        return self._stopping or self.end is not None

    def _take(self, frame: Piece | dict[str, Any]) -> None:
        if isinstance(frame, Piece):
            if frame.offset != len(self.data):
                self.gaps.append(f"byte {frame.offset} came when {len(self.data)} were there")
            self.data += frame.data
        elif frame["type"] == "reset":
            self._attempt = int(frame["attempt"])
            self.data.clear()
        elif frame["type"] == "state":
            self._attempt = int(frame["attempt"])
        elif frame["type"] == "end":
            self.end = frame
