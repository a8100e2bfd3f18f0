"""Free space of the storage: noted for the pages, and a reason to start nothing while it is low."""

from __future__ import annotations

import logging
import os
import time
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from pathlib import Path

from django.utils import timezone

from files import storage
from jobs import space
from jobs.models import Site
from jobs.states import Reason
from jobs.supervision.explaining import Hold

log = logging.getLogger(__name__)

LOOK_EVERY = 10.0
LOOK_EVERY_LOW = 2.0
"""seconds; while nothing starts, somebody waits for each look"""
ANSWER_WITHIN = 0.5
"""seconds that a pass waits for the storage; a later one takes the answer when it comes"""


class SpaceWatch:
    """Looks every few seconds. The storage may hang for hours: that costs one thread and no pass."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="space")
        self._looking: Future[tuple[int, int]] | None = None
        self._next = 0.0
        self.hold: Hold | None = None
        """why no Run may start; by the last look that was answered"""

    def look(self) -> None:
        """Note what is free, if that is due and the storage answers."""
        if self._looking is None:
            if time.monotonic() < self._next:
                return
            self._looking = self._threads.submit(_space, self._root)
            patience = ANSWER_WITHIN
        else:
            patience = 0.0
        try:
            total, free = self._looking.result(patience)
        except NotYet:
            return  # Still looking.
        except OSError as error:
            # Away, or not ours: the launches themselves find that out and say so.
            log.warning("The storage's free space is not known: %s", error)
        else:
            self._note(total, free)
        self._looking = None
        self._next = time.monotonic() + (LOOK_EVERY_LOW if self.hold else LOOK_EVERY)

    def close(self) -> None:
        """Without waiting for a storage that hangs."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _note(self, total: int, free: int) -> None:
        was_low = self.hold is not None
        if space.is_low(free=free, total=total):
            self.hold = Hold(Reason.STORAGE_LOW, space.waiting_for_space(total=total))
        else:
            self.hold = None
        if was_low != (self.hold is not None):
            log.warning("The storage has %d of %d bytes free", free, total)
        Site.objects.filter(pk=1).update(
            storage_total=total, storage_free=free, storage_noted_at=timezone.now()
        )


def _space(root: Path) -> tuple[int, int]:
    """Bytes in all and free for us. An empty mount point is not the storage."""
    storage.check_present()
    found = os.statvfs(root)
    return found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize
