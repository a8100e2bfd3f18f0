"""A folder as one zip file, made while it is sent: nothing of it is ever whole in memory or on disk.

The standard library writes zips to a stream that can't go back, with ZIP64 where a size needs it
and names in UTF-8; this module feeds it and hands on what it has written (decision 0015).

Links, devices and whatever can't be read are left out, and a text file at the end of the zip says
which, so that a copy is never silently less than the folder.
"""

from __future__ import annotations

import asyncio
import io
import os
import re
import sys
import threading
import time
import weakref
import zipfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from pathlib import PurePosixPath

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse

from files.safe import Entry, SafeFolder, UnsafePath
from files.serving import contain

CHUNK = 512 * 1024
"""bytes read from a file at a time"""
MAX_FILES = 200_000
"""A zip's table of contents is kept until its end: about 1 kB a file."""
MAX_NAMES = 32 * 1024**2
"""bytes in memory of all names of one zip: a path may be 4,000 long"""
GATHER, GATHER_SECONDS = 256 * 1024, 0.02
"""bytes, and seconds, of one turn in a thread: many small files take few turns, a large one does not
hold a thread for long"""
AT_ONCE = 2
"""zips of one person that are being made"""
NAMED = 1000
"""entries left out that are named; of the rest only the number is said"""
LEFT_OUT = "left out of this zip.txt"

# Packed already: packing them again costs time and wins nothing.
_PACKED = re.compile(
    r"\.(7z|bz2|docx|feather|gif|gz|jpe?g|mp4|parquet|pdf|png|pptx|qs|rda|rdata|rds|tgz|webp|xlsx|xz|zip|zst)",
    re.IGNORECASE,
)
_threads = ThreadPoolExecutor(4, thread_name_prefix="zips")
_under_way: Counter[int] = Counter()
_counting = threading.Lock()


class TooManyZips(Exception):
    """The person has as many under way as one may. `str(error)` is a sentence for people."""


class _Pipe(io.RawIOBase):
    """Takes what the zip's writer writes until drain() hands it on."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes | bytearray | memoryview) -> int:  # type: ignore[override]
        self._waiting += data
        return len(data)

    def drain(self) -> bytes:
        data = bytes(self._waiting)
        self._waiting.clear()
        return data

    def drained(self) -> Iterator[bytes]:
        """All of it in pieces."""
        for at in range(0, len(self._waiting), CHUNK):
            yield bytes(self._waiting[at : at + CHUNK])
        self._waiting.clear()


class _LeftOut:
    """What is not in the zip, and why."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._count = 0

    def add(self, name: str, why: str) -> None:
        self._count += 1
        if len(self._lines) < NAMED:
            # A name with a line break must not pass for two.
            self._lines.append(f"{ascii(name) if not name.isprintable() else name}: {why}\n")

    def text(self) -> str:
        more = self._count - len(self._lines)
        rest = f"and {more} more\n" if more else ""
        return "".join(self._lines) + rest


def zipped(
    folder: SafeFolder, path: str, *, top: str, only: Collection[str] = ()
) -> Generator[bytes]:
    """The bytes of a zip of the folder at `path`, which lies in it under the name `top`.

    `only`: names in that folder, if not all are wanted. What is being written meanwhile is in it as
    far as it was written when its turn came. Raises as SafeFolder.entry does, before the first byte.
    """
    if folder.entry(path).kind != "folder":
        raise UnsafePath("Only a folder can be had as a zip.")
    return _zip(folder, path, top, frozenset(only))


def _zip(folder: SafeFolder, path: str, top: str, only: frozenset[str]) -> Generator[bytes]:
    pipe = _Pipe()
    left_out = _LeftOut()
    room = MAX_NAMES
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for entry, name in _walk(folder, path, top, only, left_out):
            room -= sys.getsizeof(name)
            if len(archive.filelist) >= MAX_FILES or room < 0:
                most = f"{MAX_FILES} files" if room >= 0 else f"{MAX_NAMES} bytes of names"
                left_out.add(name, f"only {most} fit into one zip; take folders of it")
                break
            try:
                yield from _added(archive, pipe, folder, entry, name)
            except FileNotFoundError:
                left_out.add(name, "it went away meanwhile")
            except (OSError, UnsafePath) as error:
                left_out.add(name, getattr(error, "strerror", None) or str(error))
            # A folder, too, or the pipe would keep all of them.
            yield pipe.drain()
        if told := left_out.text():
            archive.writestr(f"{top}/{LEFT_OUT}", told)
        yield pipe.drain()
    yield from pipe.drained()


def _walk(
    folder: SafeFolder, path: str, top: str, only: frozenset[str], left_out: _LeftOut
) -> Iterator[tuple[Entry, str]]:
    """Every file and folder below, each with its name in the zip. No recursion, two handles."""
    waiting = [path]
    while waiting:
        above = waiting.pop()
        inside = above[len(path) :].strip("/")
        try:
            for entry in folder.scan(above):
                if only and above == path and entry.name not in only:
                    continue
                name = "/".join(filter(None, (top, inside, entry.name)))
                if entry.kind == "other":
                    left_out.add(name, "a link, a device, or a name that is not UTF-8")
                    continue
                if entry.kind == "folder":
                    if len(waiting) >= MAX_FILES:
                        left_out.add(name, "too many folders")
                        continue
                    waiting.append(entry.path)
                yield entry, name
        except FileNotFoundError:
            continue
        except (OSError, UnsafePath) as error:
            left_out.add(
                "/".join(filter(None, (top, inside))),
                getattr(error, "strerror", None) or str(error),
            )


def _added(
    archive: zipfile.ZipFile, pipe: _Pipe, folder: SafeFolder, entry: Entry, name: str
) -> Iterator[bytes]:
    info = zipfile.ZipInfo(name + ("/" if entry.kind == "folder" else ""), _dos(entry.modified_at))
    if entry.kind == "folder":
        info.external_attr = (0o40755 << 16) | 0x10
        archive.writestr(info, b"")
        return
    info.external_attr = 0o100644 << 16
    packed = _PACKED.fullmatch(PurePosixPath(name).suffix)
    info.compress_type = zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED
    with folder.open_read(entry.path) as file:
        # Not further than it reached when it was opened: it may grow as fast as we read.
        left = os.fstat(file.fileno()).st_size
        with archive.open(info, "w", force_zip64=left >= zipfile.ZIP64_LIMIT // 2) as target:
            while left and (data := file.read(min(CHUNK, left))):
                left -= len(data)
                target.write(data)
                yield pipe.drain()


def _dos(moment: datetime) -> tuple[int, int, int, int, int, int]:
    """A zip knows the years 1980 to 2107, and even seconds."""
    year = min(max(moment.year, 1980), 2107)
    return (year, moment.month, moment.day, moment.hour, moment.minute, moment.second)


class _ZipResponse(StreamingHttpResponse):
    over: Callable[[], object] | None = None

    def close(self) -> None:
        super().close()
        if self.over is not None:
            self.over()


def respond(
    request: HttpRequest,
    folder: SafeFolder,
    path: str,
    *,
    top: str,
    only: Collection[str] = (),
    person: int,
) -> HttpResponseBase:
    """The zip as a download of unknown length, for the person with this key. Raises TooManyZips, and
    as zipped() does."""
    chunks = zipped(folder, path, top=top, only=only)
    response: HttpResponseBase
    if request.method == "HEAD":
        response = HttpResponse()
    else:
        _begin(person)
        body = _in_threads(chunks) if isinstance(request, ASGIRequest) else chunks
        response = _ZipResponse(body)
        # Once, and also for one that nobody came to read.
        response.over = weakref.finalize(response, _end, person)
    response["Content-Type"] = "application/zip"
    response["Cache-Control"] = "private, no-store"
    contain(response, f"{top}.zip", inline=False)
    return response


def _begin(person: int) -> None:
    with _counting:
        if _under_way[person] >= AT_ONCE:
            raise TooManyZips(
                f"{AT_ONCE} zips are being made for you already: wait until one of them is here, or "
                "stop it, then try again."
            )
        _under_way[person] += 1


def _end(person: int) -> None:
    with _counting:
        _under_way[person] -= 1
        if not _under_way[person]:
            del _under_way[person]


async def _in_threads(chunks: Generator[bytes]) -> AsyncIterator[bytes]:
    """Under ASGI Django would read a plain iterator to its end before sending a byte."""
    step: Future[bytes | None] | None = None
    try:
        while True:
            step = _threads.submit(_gathered, chunks)
            data = await asyncio.wrap_future(step)
            if data is None:
                break
            if data:
                yield data
    finally:
        # A reader that went away must not leave files open; a step that still runs ends first.
        if step is None:
            chunks.close()
        else:
            step.add_done_callback(lambda _: chunks.close())


def _gathered(chunks: Iterator[bytes]) -> bytes | None:
    """What comes within one turn; None: that was all."""
    until = time.monotonic() + GATHER_SECONDS
    parts: list[bytes] = []
    size = 0
    for data in chunks:
        parts.append(data)
        size += len(data)
        if size >= GATHER or time.monotonic() > until:
            break
    return b"".join(parts) if parts else None
