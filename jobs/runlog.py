"""The one way to a Run log: the bytes of one attempt, addressed by offset.

Nothing here or above it changes a byte. A file is opened anew at each look: on NFS a kept
handle shows stale sizes.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from files.safe import SafeFolder, UnsafePath
from jobs import attempts

CHUNK = 256 * 1024
"""bytes read at a time"""


@dataclass(frozen=True)
class Look:
    """One look at a log: how large it is now, and some of what it holds."""

    size: int
    offset: int
    """where `data` begins"""
    data: bytes


def look(
    run: str, attempt: int, offset: int, *, limit: int = CHUNK, tail: int | None = None
) -> Look:
    """Open, size, read up to `limit` bytes from `offset` on, close. A log not there yet is empty.

    With `tail`, no more than the last `tail` bytes are read: `offset` moves up if it lies before.
    Raises OSError when the storage fails. Blocks: call it in a thread.
    """
    if attempt < 1:
        return Look(0, 0, b"")
    try:
        with SafeFolder(attempts.folder(run, attempt)).open_read("log") as file:
            size = os.fstat(file.fileno()).st_size
            if tail is not None:
                offset = max(offset, size - tail)
            wanted = min(limit, size - offset)
            data = os.pread(file.fileno(), wanted, offset) if wanted > 0 else b""
            return Look(size, offset, data)
    except (FileNotFoundError, UnsafePath):
        return Look(0, 0, b"")


def size(run: str, attempt: int) -> int:
    """Bytes printed so far."""
    return look(run, attempt, 0, limit=0).size


def read(run: str, attempt: int, offset: int, limit: int = CHUNK) -> bytes:
    """Up to `limit` bytes from `offset` on; b"" at the end."""
    return look(run, attempt, offset, limit=limit).data
