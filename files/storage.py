"""Where things lie on the shared storage, and whose they are.

.rcluster-storage                          tells it from its empty mount point, see files/marker.py
working_dir/<TaskId>/code|input|output     the areas of a Task
data/<name>                                Datasets
runs/<run>/<attempt>/                      what attempts leave, see jobs/attempts.py
"""

from __future__ import annotations

import errno
import os
import pwd
import re
from pathlib import Path

from django.conf import settings

from accounts.ids import PATTERN
from files import marker
from files.safe import SafeFolder, UnsafePath

AREAS = ("code", "input", "output")
"""The folders of a Task; in a container /code, /input and /output."""

_TASK_ID = re.compile(PATTERN)


class UnknownArea(ValueError):
    """No such area. `str(error)` is a sentence for people."""


class NoStorageOwner(OSError):
    """Root runs, and the account that should own the storage is missing; `strerror` says so."""


def storage_root() -> Path:
    return Path(settings.RCLUSTER_STORAGE)


def owner() -> tuple[int, int]:
    """uid and gid that own the storage: RCLUSTER_USER's when we are root, else our own."""
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    name = settings.RCLUSTER_USER
    try:
        account = pwd.getpwnam(name)
    except KeyError:
        raise NoStorageOwner(
            errno.ENXIO,
            f"There is no account {name} on this machine: run ./rcluster up as root, which makes "
            "it, or set RCLUSTER_USER to an account that exists.",
        ) from None
    return account.pw_uid, account.pw_gid


class StorageAway(OSError):
    """Where the storage should be there is something else, most likely an empty mount point."""


def check_present() -> None:
    """Raises StorageAway unless what `up` marked is here: what was written now would be hidden below
    the storage once it is back, and what is missing now is only out of sight."""
    if not marker.is_marked(storage_root()):
        raise StorageAway(errno.ENOENT, "the storage is not mounted")


def task_dir(task_id: str) -> Path:
    """The folder of a Task, by its public id."""
    if not _TASK_ID.fullmatch(task_id):
        raise UnsafePath("This is not the id of a Task.")
    return storage_root() / "working_dir" / task_id


def area(task_id: str, area: str) -> SafeFolder:
    """One of the Task's folders. Raises UnknownArea."""
    if area not in AREAS:
        raise UnknownArea("A Task has the folders code, input and output.")
    return SafeFolder(task_dir(task_id) / area)


def create_task_folders(task_id: str) -> None:
    """Make the Task's folders, owned by owner(), where they are missing. Safe to repeat.

    Raises OSError, StorageAway included.
    """
    check_present()
    own(storage_root() / "working_dir", 0o755)
    # Attempts are made later by a process that may be root with a narrow umask.
    own(storage_root() / "runs", 0o755)
    folder = task_dir(task_id)
    # Other accounts of the machine see nothing of a Task; containers get its areas mounted.
    own(folder, 0o700)
    for name in AREAS:
        own(folder / name, 0o755)


def own(folder: Path, mode: int) -> None:
    """Make one of our own folders (never one below an area) if it is missing, for owner()."""
    uid, gid = owner()
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir()
    except FileExistsError:
        return
    # The process's umask must not decide.
    folder.chmod(mode)
    if os.geteuid() == 0:
        os.chown(folder, uid, gid)
