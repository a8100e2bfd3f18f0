"""How much space the storage has left, and when that is too little for new Runs."""

from __future__ import annotations

import os
from pathlib import Path

from django.conf import settings

from jobs.models import GIB, Site
from jobs.queue import size

LOW = GIB
LOW_PART = 0.02
"""of a storage of less than 50 GiB: a small one isn't low for ever"""


def least_free(total: int) -> int:
    """Bytes below which no Run is started, on a storage of `total` bytes; 0: never that."""
    given: int | None = settings.RCLUSTER_STORAGE_LOW
    return min(LOW, int(total * LOW_PART)) if given is None else given


def is_low(*, free: int, total: int) -> bool:
    return free < least_free(total)


def no_room(root: Path, count: int = 0) -> str:
    """Why nothing large may be written below `root` now, of which `count` bytes are about to be, in
    a sentence; "" if it may. Raises OSError."""
    found = os.statvfs(root)
    total, free = found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize
    if not is_low(free=free - count, total=total):
        return ""
    return (
        f"The storage is nearly full: {size(least_free(total))} of it are kept free. Delete files that "
        "nobody needs, or tell your administrator; then try again."
    )


def low_on_space(site: Site) -> str:
    """The sentence for every page while new Runs wait for space; "" while there is enough, or
    nothing is known yet. By what supervision last noted."""
    total, free = site.storage_total, site.storage_free
    if total is None or free is None or not is_low(free=free, total=total):
        return ""
    return (
        f"The storage is nearly full ({size(free)} of {size(total)} free): no new Run starts until "
        f"{size(least_free(total))} are free. Runs that wait keep their place. Delete files that "
        "nobody needs, or tell your administrator."
    )


def waiting_for_space(*, total: int) -> str:
    """What a waiting Run is told. It stays true while the figures change."""
    return (
        f"Waiting: the storage is nearly full. It starts by itself once {size(least_free(total))} "
        "are free."
    )
