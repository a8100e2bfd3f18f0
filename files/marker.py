"""The file that tells the storage from the empty folder that it is mounted on. Pure: no Django.

    <RCLUSTER_STORAGE>/.rcluster-storage     made by ./rcluster up, looked at before anything is
                                             written to the storage or believed to be missing there

What somebody put into the mount point while the storage was away can't have it: `up` marks a
folder only once.
"""

from __future__ import annotations

import os
from pathlib import Path

NAME = ".rcluster-storage"
_TEXT = (
    "This is the storage of an R-Cluster portal. A folder without this file is taken for the empty\n"
    "mount point of a storage that is away, and nothing runs until it is back: leave it here.\n"
)


def is_marked(root: Path) -> bool:
    """False also if the storage can't be seen at all. Blocks while a file server keeps silent."""
    return (root / NAME).is_file()


def mark(root: Path) -> None:
    """As ourselves: root may have no rights on a file server. Safe to repeat. Raises OSError."""
    new = root / f"{NAME}.{os.getpid()}"
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(fd, "w") as file:
        file.write(_TEXT)
        # Whatever the umask: everybody who can enter the storage may know it.
        os.fchmod(fd, 0o644)
    new.replace(root / NAME)
