"""WebSocket clients in a process of their own, which do next to nothing: they take what comes.

    python -m tests.bench._sockets '{"url": ..., "token": ..., "run": ..., "sockets": 1}'

Prints a line `ready` when all are connected, and one JSON object when all were closed: `last` (when
the last byte came, seconds since 1970), `digests` (BLAKE2 of what each socket got) and `lags`
(seconds from the moment that a line names to its last byte, for every line on every socket, where
the lines name one: see _printer.c).
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import selectors
import socket
import struct
import sys
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

LINE = 100
"""bytes; what _printer.c prints"""
TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9
AT_ONCE = 1024 * 1024


@dataclass
class Reader:
    """One socket: frames are taken apart as they come, nothing is copied twice."""

    connection: socket.socket
    size: int
    """bytes of log that there is room for at first"""
    data: bytearray = field(init=False)
    length: int = 0
    """bytes of log so far"""
    arrivals: list[tuple[float, int]] = field(default_factory=list)
    """when how many bytes of the log were there"""
    closed: bool = False
    _head: bytearray = field(default_factory=bytearray)
    _left: int = 0
    """bytes of the present binary frame that are still to come"""

    def __post_init__(self) -> None:
        self.data = bytearray(self.size)

    def take(self) -> None:
        """What is there now, at most one piece of it."""
        if self._left:
            self._payload()
        else:
            self._header()

    def _payload(self) -> None:
        if self.length + self._left > len(self.data):
            self.data.extend(bytes(max(self._left, len(self.data))))
        with memoryview(self.data) as view:
            got = self.connection.recv_into(
                view[self.length : self.length + min(self._left, AT_ONCE)]
            )
        self._ended_early(got)
        self.length += got
        self._left -= got
        if not self._left:
            self.arrivals.append((time.time(), self.length))

    def _header(self) -> None:
        """No further than the frame's own beginning: the payload goes where it belongs."""
        wanted = self._wanted()
        more = self.connection.recv(wanted - len(self._head))
        self._ended_early(len(more))
        self._head += more
        if len(self._head) < self._wanted():
            return
        kind, length = self._head[0] & 15, self._length()
        if kind == BINARY:
            offset = struct.unpack(">Q", self._head[-8:])[0]
            assert offset == self.length, f"a gap: {offset} after {self.length}"
            self._left = length - 8
        elif kind == PING:
            self._answer(10, bytes(self._head[-length:]) if length else b"")
        elif kind == CLOSE:
            self._answer(CLOSE, bytes(self._head[-length:]) if length else b"")
            self.closed = True
        self._head.clear()

    def _wanted(self) -> int:
        """Bytes of the header as far as it is known, with the offset, or with all of a short frame."""
        head = self._head
        if len(head) < 2:
            return 2
        size = 2 + {126: 2, 127: 8}.get(head[1], 0)
        if len(head) < size:
            return size
        return size + (8 if head[0] & 15 == BINARY else self._length())

    def _length(self) -> int:
        head = self._head
        if head[1] == 126:
            return int(struct.unpack(">H", head[2:4])[0])
        return int(struct.unpack(">Q", head[2:10])[0]) if head[1] == 127 else head[1]

    def _answer(self, kind: int, payload: bytes) -> None:
        # A mask of zeros is a mask.
        self.connection.sendall(bytes((128 | kind, 128 | len(payload))) + bytes(4) + payload)

    def _ended_early(self, got: int) -> None:
        if not got:
            raise ConnectionError("the portal closed the line without a word")


def connect(url: str, token: str, run: str) -> socket.socket:
    """A WebSocket of the Run's whole log, its handshake done."""
    address = urlsplit(url)
    assert address.hostname and address.port
    connection = socket.create_connection((address.hostname, address.port), timeout=60)
    connection.sendall(
        (
            f"GET /ws/runs/{run}/ HTTP/1.1\r\nHost: {address.netloc}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
            f"{base64.b64encode(secrets.token_bytes(16)).decode()}\r\nAuthorization: Bearer {token}\r\n\r\n"
        ).encode()
    )
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += connection.recv(1)
    assert answer.startswith(b"HTTP/1.1 101"), answer
    return connection


def read_all(url: str, token: str, run: str, sockets: int, size: int) -> list[Reader]:
    """`sockets` readers of the Run, until the portal has closed each after its end."""
    readers = [Reader(connect(url, token, run), size) for _ in range(sockets)]
    print("ready", flush=True)  # noqa: T201 - how the parent learns it
    with selectors.DefaultSelector() as selector:
        for reader in readers:
            selector.register(reader.connection, selectors.EVENT_READ, reader)
        while selector.get_map():
            events = selector.select(60)
            assert events, "nothing came for a minute"
            for key, _ in events:
                key.data.take()
                if key.data.closed:
                    selector.unregister(key.fileobj)
                    key.data.connection.close()
    return readers


def lags(reader: Reader) -> list[float]:
    """Seconds from each line's own moment to the arrival of its last byte."""
    found, arrivals = [], iter(reader.arrivals)
    moment, there = next(arrivals, (0.0, 0))
    for end in range(LINE, reader.length + 1, LINE):
        while there < end:
            moment, there = next(arrivals)
        printed = float(reader.data[end - LINE : end - LINE + 17])
        if printed:
            found.append(moment - printed)
    return found


def main(asked: dict[str, Any]) -> dict[str, Any]:
    readers = read_all(
        asked["url"], asked["token"], asked["run"], asked["sockets"], asked.get("size", 65536)
    )
    return {
        "last": max(reader.arrivals[-1][0] for reader in readers),
        "frames": sum(len(reader.arrivals) for reader in readers),
        "digests": sorted({digest(reader.data[: reader.length]) for reader in readers}),
        "lags": [lag for reader in readers for lag in lags(reader)] if asked.get("lags") else [],
    }


def digest(data: bytes | bytearray) -> str:
    return hashlib.blake2b(data).hexdigest()


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))  # noqa: T201 - its answer
