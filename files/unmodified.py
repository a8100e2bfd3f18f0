"""Whether something changed since somebody saw it: for removing what others may be writing into."""

from __future__ import annotations

import os
import stat
import time

from files.walking import walk

SECONDS, MOST = 5.0, 1_000_000
"""of one look, and entries; what lies beyond them nobody waits for"""

_LIST = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class _Enough(Exception):
    """It is known, or the time is over."""


def changed_since(folder: int, name: str, moment: int) -> bool:
    """Whether `name` in the open folder, or anything below it, was written after that second."""
    found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if _newer(found, moment):
        return True
    if not stat.S_ISDIR(found.st_mode):
        return False
    try:
        fd = os.open(name, _LIST, dir_fd=folder)
    except PermissionError:
        return False
    look = _Look(moment)
    try:
        walk(fd, look.folder, lambda error: None)
    except _Enough:
        pass
    finally:
        os.close(fd)
    return look.found


class _Look:
    def __init__(self, moment: int) -> None:
        self.found = False
        self._moment = moment
        self._until = time.monotonic() + SECONDS
        self._left = MOST

    def folder(self, fd: int) -> list[str]:
        below = []
        with os.scandir(fd) as entries:
            for entry in entries:
                self._left -= 1
                if self._left < 0 or time.monotonic() > self._until:
                    raise _Enough
                try:
                    found = entry.stat(follow_symlinks=False)
                except OSError:
                    continue
                if _newer(found, self._moment):
                    self.found = True
                    raise _Enough
                if stat.S_ISDIR(found.st_mode):
                    below.append(entry.name)
        return below


def _newer(found: os.stat_result, moment: int) -> bool:
    """A script may set a time that is still to come; not the one when it did so."""
    return int(min(found.st_mtime, found.st_ctime)) > moment
