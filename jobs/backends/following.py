"""Following a stream of events that may be cut at any time, for as long as we live."""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod

from jobs.backends.base import Notify

log = logging.getLogger(__name__)

SHORTEST, LONGEST = 0.1, 5.0
"""seconds between two tries to follow again"""


class Follower(ABC):
    """A daemon thread around `follow()`, which is called again whenever it ends."""

    def __init__(self, name: str, *, cut_by: tuple[type[Exception], ...]) -> None:
        self._name = name
        self._cut_by = cut_by
        self._stopping = threading.Event()

    @abstractmethod
    def follow(self, notify: Notify) -> None:
        """Tell what happens until the stream is cut; may raise what is in `cut_by`."""

    @abstractmethod
    def interrupt(self) -> None:
        """Make a follow() in another thread end soon."""

    @property
    def is_stopping(self) -> bool:
        return self._stopping.is_set()

    def start(self, notify: Notify) -> None:
        threading.Thread(target=self._run, args=(notify,), name=self._name, daemon=True).start()

    def stop(self) -> None:
        self._stopping.set()
        self.interrupt()

    def _run(self, notify: Notify) -> None:
        pause = SHORTEST
        while not self.is_stopping:
            began = time.monotonic()
            try:
                self.follow(notify)
            except self._cut_by as error:
                log.debug("%s: %s", self._name, error)
            held = time.monotonic() - began > LONGEST
            pause = SHORTEST if held else min(2 * pause, LONGEST)
            self._stopping.wait(pause)
