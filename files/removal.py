"""Removing a tree that a script made, however deep, wide or locked, while the script still runs."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator
from pathlib import Path

TEMPORARY = ".rcluster-"
"""How names begin that are ours while something is written or removed; listings leave them out."""

_PATH = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LIST = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_TRIES = 10
_OURS = re.compile(rf"{re.escape(TEMPORARY)}[0-9a-f]{{16}}")
ABANDONED_AFTER = 24 * 3600.0
"""seconds after which nobody writes or removes under such a name any more: whoever did was killed"""


class _OutOfTime(Exception):
    pass


def remove_tree(parent: int, name: str, *, seconds: float | None = None) -> str:
    """Remove `name` in the open folder `parent`: a file, a link itself, or a folder and all below.

    A folder first gets a hidden name, so that it is gone for everybody at once. Folders in it are
    then moved up beside each other and emptied one at a time: two open handles and no recursion
    at any depth. No link is followed. Raises OSError (ENOTEMPTY) if something keeps writing there.

    Returns "" when all is gone; after so many seconds the hidden name of what is left, to be
    removed later.
    """
    until = None if seconds is None else time.monotonic() + seconds
    if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
        os.unlink(name, dir_fd=parent)
        return ""
    hidden = _hide(parent, name, parent)
    top = os.open(hidden, _LIST, dir_fd=parent)
    try:
        for _ in range(_TRIES):
            pending = _strip(top, top, until)
            while pending:
                _dismantle(top, pending.pop(), pending, until)
            with contextlib.suppress(FileNotFoundError):
                try:
                    os.rmdir(hidden, dir_fd=parent)
                except OSError as error:
                    if error.errno != errno.ENOTEMPTY:
                        raise
                    continue
            return ""
        raise OSError(errno.ENOTEMPTY, "Something still writes into the folder", name)
    except _OutOfTime:
        return hidden
    finally:
        os.close(top)


def is_abandoned(name: str, status: os.stat_result) -> bool:
    """What an upload or a removal left behind that was killed. A script can give its own things such
    a name and time, and then loses these, nothing else: remove_tree() follows no link."""
    return bool(_OURS.fullmatch(name)) and status.st_mtime < time.time() - ABANDONED_AFTER


@contextlib.contextmanager
def unlocked(folder: int, name: str) -> Iterator[int]:
    """The folder `name` in `folder`, open, with all rights for its owner as long as the block lasts.
    Raises PermissionError where it is somebody else's."""
    handle = os.open(name, _PATH, dir_fd=folder)
    try:
        mode = stat.S_IMODE(os.fstat(handle).st_mode)
        # A handle opened with O_PATH can be given rights only through /proc.
        Path(f"/proc/self/fd/{handle}").chmod(mode | 0o700)
        try:
            fd = os.open(".", _LIST, dir_fd=handle)
            try:
                yield fd
            finally:
                os.close(fd)
        finally:
            Path(f"/proc/self/fd/{handle}").chmod(mode)
    finally:
        os.close(handle)


def _dismantle(top: int, name: str, pending: list[str], until: float | None) -> None:
    """Empty and remove a folder directly in `top`; folders in it join `pending`."""
    try:
        _unlock(top, name)
        fd = os.open(name, _LIST, dir_fd=top)
    except FileNotFoundError:
        return
    except NotADirectoryError:
        os.unlink(name, dir_fd=top)
        return
    try:
        pending.extend(_strip(fd, top, until))
    finally:
        os.close(fd)
    try:
        os.rmdir(name, dir_fd=top)
    except FileNotFoundError:
        pass
    except OSError as error:
        if error.errno != errno.ENOTEMPTY:
            raise
        # Something was added meanwhile: the caller's next try finds it.


def _strip(folder: int, top: int, until: float | None) -> list[str]:
    """Remove the files in `folder`, move its folders up into `top`; returns their names there."""
    moved = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if until is not None and time.monotonic() > until:
                raise _OutOfTime
            with contextlib.suppress(FileNotFoundError):
                if not entry.is_dir(follow_symlinks=False):
                    os.unlink(entry.name, dir_fd=folder)
                elif folder == top:
                    moved.append(entry.name)
                else:
                    moved.append(_hide(folder, entry.name, top))
    return moved


def _hide(folder: int, name: str, target: int) -> str:
    """Give a folder a new, unguessable name in `target`, and its owner all rights on it."""
    _unlock(folder, name)
    hidden = TEMPORARY + secrets.token_hex(8)
    os.rename(name, hidden, src_dir_fd=folder, dst_dir_fd=target)
    return hidden


def _unlock(folder: int, name: str) -> None:
    """A script may have taken away its own rights on a folder (chmod 0); removing needs them."""
    try:
        fd = os.open(name, _PATH, dir_fd=folder)
    except NotADirectoryError:
        return
    try:
        # A handle opened with O_PATH can be given rights only through /proc.
        Path(f"/proc/self/fd/{fd}").chmod(0o700)
    finally:
        os.close(fd)
