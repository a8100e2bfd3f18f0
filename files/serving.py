"""Handing out what users made, never with the portal's own authority.

A browser shows only raster images and plain text, and only when asked to; everything else is a
download. A sandbox without scripts or our origin holds for all of it.
"""

from __future__ import annotations

import asyncio
import os
import re
import unicodedata
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import PurePosixPath
from typing import BinaryIO

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.http import content_disposition_header

from files.conditions import etag_of
from files.safe import SafeFolder

CHUNK = 512 * 1024
"""bytes read at a time"""
SANDBOX = "sandbox; default-src 'none'; img-src 'self'; style-src 'unsafe-inline'"

IMAGES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
}
TEXTS = frozenset({".txt", ".csv", ".tsv", ".log", ".r", ".rmd", ".md", ".out", ".err", ".json"})
PLAIN = "text/plain; charset=utf-8"
DOWNLOADS = {".pdf": "application/pdf", ".svg": "image/svg+xml", ".zip": "application/zip"}
"""Always downloads; the type lets an <img> show an SVG plot, where its scripts never run."""

_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})")
_threads = ThreadPoolExecutor(8, thread_name_prefix="files")


@dataclass(frozen=True)
class Part:
    """The bytes from `start` up to, not including, `end`."""

    start: int
    end: int


class UnsatisfiableRange(Exception):
    """The range lies beyond the end."""


def part_of(header: str, size: int) -> Part | None:
    """What a Range header asks for; None: everything (none, malformed, or several ranges).

    Raises UnsatisfiableRange.
    """
    match = _RANGE.fullmatch(header.replace(" ", ""))
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < start:
            return None
    if start >= size or start >= end:
        raise UnsatisfiableRange
    return Part(start, end)


Containment = Callable[[HttpResponseBase, str], None]
"""Gets the answer and the file's name; sets the type, and the headers that hold what a user made."""


def respond(
    request: HttpRequest,
    folder: SafeFolder,
    path: str,
    *,
    inline: bool = False,
    containment: Containment | None = None,
) -> HttpResponseBase:
    """The file: whole, a part (Range), or 304 where the browser has it. Raises as open_read does.

    Several ranges in one request are answered with the whole file, as RFC 9110 allows: each costs
    a seek, and nobody who reads R's output needs them.
    """
    file = folder.open_read(path)
    try:
        found = os.fstat(file.fileno())
        etag = etag_of(found)
        response = _answer(request, file, found.st_size, etag)
    except BaseException:
        file.close()
        raise
    response["ETag"] = etag
    response["Accept-Ranges"] = "bytes"
    # The portal's pages may keep it but ask each time: a Run may have written it anew.
    response["Cache-Control"] = "private, no-cache"
    name = PurePosixPath(path).name
    if containment is None:
        content_type, shown = type_of(name)
        response["Content-Type"] = content_type
        contain(response, name, inline=inline and shown)
    else:
        containment(response, name)
    if not response.streaming:
        file.close()
    return response


def type_of(name: str) -> tuple[str, bool]:
    """The Content-Type for a file name, and whether a browser may show it."""
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in IMAGES:
        return IMAGES[suffix], True
    if suffix in TEXTS:
        return PLAIN, True
    return DOWNLOADS.get(suffix, "application/octet-stream"), False


def contain(response: HttpResponseBase, name: str, *, inline: bool) -> None:
    """The headers of everything that a user made."""
    response["Content-Disposition"] = disposition(name, inline=inline)
    response["Content-Security-Policy"] = SANDBOX
    response["X-Content-Type-Options"] = "nosniff"
    response["Cross-Origin-Resource-Policy"] = "same-origin"


def disposition(name: str, *, inline: bool) -> str:
    """Content-Disposition with the name for saving, without characters that hide what it is."""
    visible = "".join("_" if unicodedata.category(each) in ("Cc", "Cf") else each for each in name)
    return content_disposition_header(not inline, visible) or "inline"


class FileBody:
    """Bytes of an open file for a response; closes it. Reads no further than `part.end`, however
    the file grows meanwhile."""

    def __init__(self, file: BinaryIO, part: Part) -> None:
        self._file = file
        self._part = part

    def read(self, offset: int) -> bytes:
        return os.pread(self._file.fileno(), min(CHUNK, self._part.end - offset), offset)

    def close(self) -> None:
        self._file.close()


class SyncBody(FileBody):
    def __iter__(self) -> Iterator[bytes]:
        offset = self._part.start
        while offset < self._part.end and (data := self.read(offset)):
            yield data
            offset += len(data)


class AsyncBody(FileBody):
    """Under ASGI Django would read a plain iterator to its end before sending a byte."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        offset = self._part.start
        try:
            while offset < self._part.end:
                data = await loop.run_in_executor(_threads, self.read, offset)
                if not data:
                    break
                yield data
                offset += len(data)
        finally:
            self.close()


def streamed(request: HttpRequest, file: BinaryIO, part: Part) -> StreamingHttpResponse:
    """The part of the file as a body that fits the server we run under."""
    body = AsyncBody if isinstance(request, ASGIRequest) else SyncBody
    response = StreamingHttpResponse(body(file, part))
    response["Content-Length"] = str(part.end - part.start)
    return response


def _answer(request: HttpRequest, file: BinaryIO, size: int, etag: str) -> HttpResponseBase:
    known = request.headers.get("If-None-Match", "")
    if etag in known or known.strip() == "*":
        return HttpResponse(status=HTTPStatus.NOT_MODIFIED)
    part = None
    if request.headers.get("If-Range", etag) == etag:
        try:
            part = part_of(request.headers.get("Range", ""), size)
        except UnsatisfiableRange:
            response = HttpResponse(status=HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            response["Content-Range"] = f"bytes */{size}"
            return response
    whole = Part(0, size)
    wanted = part or whole
    answer: HttpResponseBase
    if request.method == "HEAD":
        answer = HttpResponse()
        answer["Content-Length"] = str(wanted.end - wanted.start)
    else:
        answer = streamed(request, file, wanted)
    if part is not None:
        answer.status_code = HTTPStatus.PARTIAL_CONTENT
        answer["Content-Range"] = f"bytes {part.start}-{part.end - 1}/{size}"
    return answer
