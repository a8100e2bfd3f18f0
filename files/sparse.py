"""Files with holes: how they are read and written so that what was never written takes no room."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Hole:
    """So many bytes of a file that were never written and read as zeros."""

    size: int

    def __len__(self) -> int:
        return self.size


Piece = bytes | Hole


def pieces(fd: int, most: int) -> Iterator[Piece]:
    """The content of the open file, at most so many bytes at a time. It ends where the file ended
    when it was begun: one may grow as fast as it is read."""
    size, at = os.fstat(fd).st_size, 0
    while at < size:
        data = min(_seek(fd, at, os.SEEK_DATA, size), size)
        if data > at:
            yield Hole(data - at)
            at = data
        end = min(_seek(fd, at, os.SEEK_HOLE, size), size)
        while at < end:
            piece = os.pread(fd, min(most, end - at), at)
            if not piece:
                return
            at += len(piece)
            yield piece


def _seek(fd: int, at: int, whence: int, size: int) -> int:
    """Where data, or a hole, begins at or after `at`."""
    try:
        return os.lseek(fd, at, whence)
    except OSError as error:
        if error.errno == errno.ENXIO:  # Nothing but a hole to its end, which may be nearer by now.
            return max(at, min(size, os.fstat(fd).st_size))
        if error.errno in (errno.EINVAL, errno.EOPNOTSUPP):  # A storage that knows no holes.
            return at if whence == os.SEEK_DATA else size
        raise


def write_all(fd: int, chunks: Iterable[Piece], limit: int) -> bool:
    """Write all; False: stopped before a byte was written beyond the limit."""
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > limit:
            return False
        if isinstance(chunk, Hole):
            os.ftruncate(fd, size)
            os.lseek(fd, size, os.SEEK_SET)
            continue
        view = memoryview(chunk)
        while view:
            view = view[os.write(fd, view) :]
    return True
