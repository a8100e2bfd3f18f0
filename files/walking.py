"""Through folders that somebody may change meanwhile: to one below another, and to all below one.

No link is ever followed: neither on the way down nor on the way back up.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

_PATH = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LIST = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_Same = tuple[int, int]
"""tells a folder from all others"""


def open_below(root: Path, parts: Sequence[str], flags: int) -> int:
    """A handle on the folder at `parts` below `root`, for the caller to close.

    `root` itself may be a link. Raises NotADirectoryError for a link on the way, and other OSErrors.
    """
    fd = os.open(root, _PATH & ~os.O_NOFOLLOW if parts else flags & ~os.O_NOFOLLOW)
    try:
        for number, part in enumerate(parts, 1):
            below = os.open(part, flags if number == len(parts) else _PATH, dir_fd=fd)
            os.close(fd)
            fd = below
    except BaseException:
        os.close(fd)
        raise
    return fd


def walk(top: int, look: Callable[[int], list[str]], missed: Callable[[OSError], None]) -> None:
    """look() at the open folder `top` and at every folder below that look() itself names.

    `look` gets a handle, which is closed afterwards, and returns the names of folders to enter;
    what it raises ends the walk. `missed` is told why one could not be entered, or returned to.
    Three handles and a few calls a folder at any depth: the way back is "..", which is believed only
    if it is the folder that we came from.
    """
    fd = os.dup(top)
    path: list[tuple[str, _Same]] = []
    try:
        waiting = [look(fd)]
        while True:
            if waiting[-1]:
                name = waiting[-1].pop()
                try:
                    below = os.open(name, _LIST, dir_fd=fd)
                except OSError as error:
                    missed(error)
                    continue
                os.close(fd)
                fd = below
                path.append((name, _which(fd)))
                waiting.append(look(fd))
            elif path:
                waiting.pop()
                path.pop()
                try:
                    above = _back(fd, top, path)
                except OSError as error:
                    # Moved away while we were below it: what waits in it is not found again.
                    missed(error)
                    waiting[-1].clear()
                    continue
                os.close(fd)
                fd = above
            else:
                return
    finally:
        os.close(fd)


def _which(fd: int) -> _Same:
    found = os.fstat(fd)
    return found.st_dev, found.st_ino


def _back(fd: int, top: int, path: Sequence[tuple[str, _Same]]) -> int:
    """A handle on the folder at `path` below `top`, which most likely is the one above `fd`."""
    if not path:
        return os.dup(top)
    try:
        above = os.open("..", _PATH, dir_fd=fd)
    except OSError:
        pass  # Its rights were taken away.
    else:
        if _which(above) == path[-1][1]:
            return above
        os.close(above)
    above = os.dup(top)
    try:
        for name, _ in path:
            below = os.open(name, _PATH, dir_fd=above)
            os.close(above)
            above = below
        if _which(above) != path[-1][1]:
            raise NotADirectoryError
    except BaseException:
        os.close(above)
        raise
    return above
