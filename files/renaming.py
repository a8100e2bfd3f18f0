"""Renaming that never replaces: renameat2 with RENAME_NOREPLACE, which Python does not offer."""

from __future__ import annotations

import ctypes
import errno
import os
import stat

_NOREPLACE = 1
_libc = ctypes.CDLL(None, use_errno=True)


def rename_new(folder: int, name: str, target_folder: int, target: str) -> None:
    """Rename `name` in one open folder to `target` in another, in one step of the kernel.

    No link is followed. Raises FileExistsError if there is something at the target, whenever it
    came there, and other OSErrors as they come (EINVAL: a folder into itself).
    """
    done = _libc.renameat2(
        folder, os.fsencode(name), target_folder, os.fsencode(target), _NOREPLACE
    )
    if done == 0:
        return
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS):
        # Network storage knows no flags; EINVAL may also be a folder moved into itself.
        _without_flags(folder, name, target_folder, target)
        return
    raise OSError(number, os.strerror(number), target)


def _without_flags(folder: int, name: str, target_folder: int, target: str) -> None:
    """link() never replaces anything. A folder can only take the place of an empty folder that came
    there after the look."""
    if stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
        os.link(name, target, src_dir_fd=folder, dst_dir_fd=target_folder, follow_symlinks=False)
        os.unlink(name, dir_fd=folder)
        return
    try:
        os.stat(target, dir_fd=target_folder, follow_symlinks=False)
    except FileNotFoundError:
        os.rename(name, target, src_dir_fd=folder, dst_dir_fd=target_folder)
    else:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)
