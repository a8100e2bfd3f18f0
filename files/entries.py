"""What lies in a folder, as it was when looked at."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from files.conditions import etag_of


@dataclass(frozen=True)
class Entry:
    """A file or folder as it was when looked at; links are never looked through."""

    name: str
    """The last component; "" for the folder itself. One that is not UTF-8 is shown with � in it,
    and its kind is "other": only the folder above can be removed."""
    path: str
    """Relative to the SafeFolder, with "/" between components."""
    kind: Literal["file", "folder", "other"]
    """"other" (a link, a FIFO, a socket, a device) can be removed and nothing else."""
    size: int
    """bytes; 0 for folders"""
    modified_at: datetime
    """UTC"""
    etag: str | None = None
    """of a file"""


def _when(seconds: float) -> datetime:
    """A script may set any time on a file, also one that a datetime can't hold."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return datetime.fromtimestamp(0, UTC)


def entry_of(name: str, path: str, found: os.stat_result) -> Entry:
    """The Entry of what was found; `path` relative to the SafeFolder."""
    kind: Literal["file", "folder", "other"] = "other"
    if stat.S_ISREG(found.st_mode):
        kind = "file"
    elif stat.S_ISDIR(found.st_mode):
        kind = "folder"
    size = found.st_size if kind == "file" else 0
    etag = etag_of(found) if kind == "file" else None
    return Entry(name, path, kind, size, _when(found.st_mtime), etag)
