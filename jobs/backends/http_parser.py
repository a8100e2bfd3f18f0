"""An HTTP/1.1 response parser with the method names of PyPI's http-parser, for pymesos.

http-parser's C code does not compile on Python 3.11 and later. pymesos needs of it one class,
`http_parser.http.HttpParser`, for one thing: reading what a Mesos master answers.

One difference is meant: of a chunked body only whole chunks are handed out. Mesos sends each event
as one chunk, and pymesos appends what it gets to its buffer after every read of 4 KiB: an event of
some megabytes (offers of a large cluster) would be copied thousands of times.
"""

from __future__ import annotations

LONGEST_HEAD = 1 << 20
"""bytes of a response's head, or of the line before a chunk: more is no HTTP of Mesos'"""


class HttpParser:
    """Feed it with `execute()`; ask the others at any time."""

    def __init__(self) -> None:
        self._pending = bytearray()
        """Arrived and not parsed yet: part of a head or of the line before a chunk."""
        self._current: list[bytes] = []
        """Pieces of the chunk that has not arrived whole."""
        self._ready: list[bytes] = []
        """Body that `recv_body()` has not taken yet."""
        self._status = 0
        self._headers: dict[str, str] | None = None
        self._left: int | None = None
        """Bytes of the chunk or body to come; None: it lasts until the connection is closed."""
        self._chunked = False
        self._ends = b""
        """What is still to come of the line end after a chunk's data."""
        self._in_trailer = False
        self._done = False
        self._failed = False

    def execute(self, data: bytes, length: int) -> int:
        """Take `data[:length]`; returns `length`, or 0 once it is not HTTP."""
        if self._failed:
            return 0
        try:
            self._take(data[:length])
        except ValueError:
            self._failed = True
            return 0
        return length

    def get_errno(self) -> int:
        return int(self._failed)

    def get_status_code(self) -> int:
        """0 until the head has arrived."""
        return self._status

    def get_headers(self) -> dict[str, str]:
        """Names as in `Content-Type`, however they were written."""
        return dict(self._headers or {})

    def is_headers_complete(self) -> bool:
        return self._headers is not None

    def is_message_complete(self) -> bool:
        return self._done

    def is_chunked(self) -> bool:
        return self._chunked

    def is_partial_body(self) -> bool:
        """Is there body to take?"""
        return bool(self._ready)

    def recv_body(self) -> bytes:
        """The body that has arrived since the last call."""
        body = b"".join(self._ready)
        self._ready.clear()
        return body

    def _take(self, data: bytes) -> None:
        at = 0
        if self._headers is None:
            at = self._take_head(data)
        while at < len(data) and not self._done:
            at = self._take_chunked(data, at) if self._chunked else self._take_plain(data, at)

    def _take_head(self, data: bytes) -> int:
        """How much of `data` belonged to the head."""
        before = len(self._pending)
        self._pending += data
        # The end of the head may be split over two pieces.
        end = self._pending.find(b"\r\n\r\n", max(0, before - 3))
        if end < 0:
            if len(self._pending) > LONGEST_HEAD:
                raise ValueError("the head of the response has no end")
            return len(data)
        self._read_head(bytes(self._pending[:end]).decode("latin-1").split("\r\n"))
        self._pending.clear()
        return end + 4 - before

    def _read_head(self, lines: list[str]) -> None:
        version, status, *_ = lines[0].split(" ")
        if not version.startswith("HTTP/1."):
            raise ValueError(lines[0])
        self._status = int(status)
        headers: dict[str, str] = {}
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon:
                raise ValueError(line)
            headers[name.strip().title()] = value.strip()
        self._chunked = "chunked" in headers.get("Transfer-Encoding", "").lower()
        if self._chunked:
            self._left = 0
        elif "Content-Length" in headers:
            self._left = _whole(headers["Content-Length"], 10)
        elif self._status in (204, 304):
            self._left = 0
        self._done = self._left == 0 and not self._chunked
        self._headers = headers

    def _take_plain(self, data: bytes, at: int) -> int:
        end = len(data) if self._left is None else min(len(data), at + self._left)
        self._ready.append(data[at:end])
        if self._left is not None:
            self._left -= end - at
            self._done = self._left == 0
        return end

    def _take_chunked(self, data: bytes, at: int) -> int:
        if self._left:
            end = min(len(data), at + self._left)
            self._current.append(data[at:end])
            self._left -= end - at
            if not self._left:
                self._ready += self._current
                self._current = []
                self._ends = b"\r\n"
            return end
        if self._ends:
            if not self._ends.startswith(data[at : at + 1]):
                raise ValueError("a chunk is longer than it said")
            self._ends = self._ends[1:]
            return at + 1
        return self._take_line(data, at)

    def _take_line(self, data: bytes, at: int) -> int:
        """A chunk's size, or a line of the trailer after the last chunk."""
        end = data.find(b"\n", at)
        self._pending += data[at:] if end < 0 else data[at : end + 1]
        if end < 0:
            if len(self._pending) > LONGEST_HEAD:
                raise ValueError("the line before a chunk has no end")
            return len(data)
        line = bytes(self._pending)
        self._pending.clear()
        if not line.endswith(b"\r\n"):
            raise ValueError("a line before a chunk ends without a carriage return")
        if self._in_trailer:
            self._done = line == b"\r\n"
            return end + 1
        self._left = _whole(line.partition(b";")[0].strip().decode("latin-1"), 16)
        self._in_trailer = self._left == 0
        return end + 1


def _whole(text: str, base: int) -> int:
    """int() also takes signs, underscores and spaces, which HTTP doesn't."""
    if not text.isascii() or not text.isalnum():
        raise ValueError(text)
    return int(text, base)
