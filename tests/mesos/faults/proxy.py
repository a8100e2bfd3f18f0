"""The connection between portal and master, as a thing that can be broken."""

from __future__ import annotations

import enum
import socket
import struct
import threading
from contextlib import suppress

_BUFFER = 65536


class Way(enum.Enum):
    OPEN = "open"
    CUT = "cut"
    """Connections are reset, new ones refused."""
    SILENT = "silent"
    """Nothing comes through any more, and nobody says so."""


class Proxy:
    """Listens on loopback and passes on to `target` (host:port).

    What was silenced once stays so for good, as behind a firewall that forgot a connection; only
    new connections work again after `resume()`.
    """

    def __init__(self, target: str, port: int = 0) -> None:
        host, _, target_port = target.rpartition(":")
        self._target = host, int(target_port)
        self._lock = threading.Lock()
        self._way = Way.OPEN
        self._sockets: set[socket.socket] = set()
        self._silenced: set[socket.socket] = set()
        self.accepted = 0
        """connections so far, also refused or silent ones that were seen"""
        self._listener = _listen(port)
        self.port = int(self._listener.getsockname()[1])
        self._closed = False
        self._serve(self._listener)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def cut(self) -> None:
        with self._lock:
            self._way = Way.CUT
            _shut(self._listener)
            for each in self._sockets:
                _reset(each)
            self._sockets.clear()

    def silence(self) -> None:
        with self._lock:
            self._way = Way.SILENT
            self._silenced |= self._sockets

    def resume(self) -> None:
        with self._lock:
            was, self._way = self._way, Way.OPEN
            if was is Way.CUT:
                self._listener = _listen(self.port)
                self._serve(self._listener)

    def close(self) -> None:
        self._closed = True
        self.cut()

    def _serve(self, listener: socket.socket) -> None:
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            self.accepted += 1
            try:
                far = socket.create_connection(self._target, timeout=5)
            except OSError:
                _reset(near)
                continue
            far.settimeout(None)
            with self._lock:
                if self._way is Way.CUT:
                    _reset(near)
                    _reset(far)
                    return
                pair = {near, far}
                self._sockets |= pair
                if self._way is Way.SILENT:
                    self._silenced |= pair
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(_BUFFER):
                if source in self._silenced:
                    # Swallowed; what comes after it piles up at the sender.
                    return
                sink.sendall(data)
        if source not in self._silenced:
            with suppress(OSError):
                sink.shutdown(socket.SHUT_WR)


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(64)
    return listener


def _shut(listener: socket.socket) -> None:
    # Who waits in accept() is woken by this, not by close().
    with suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def _reset(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
