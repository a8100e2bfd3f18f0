"""Processes that outlive us: told apart from later ones of the same number, watched by pidfd."""

from __future__ import annotations

import logging
import os
import select
import signal
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from jobs.backends.base import Notify

log = logging.getLogger(__name__)

_GONE = {"Z", "X", "x"}


def boot_id() -> str:
    """Changes with every start of the machine, and with it every process number's meaning."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


@dataclass(frozen=True)
class Process:
    """One process for ever: the number alone is used again."""

    pid: int
    start: int
    """clock ticks since boot"""
    boot: str

    def is_alive(self) -> bool:
        """Zombies are dead: their work is done, only nobody has asked for their status."""
        if self.boot != boot_id():
            return False
        state, start = _stat(self.pid)
        return start == self.start and state not in _GONE

    def open(self) -> int | None:
        """A pidfd that can only ever mean this process; None if it is gone."""
        try:
            fd = os.pidfd_open(self.pid)
        except (ProcessLookupError, ValueError):
            return None
        if self.is_alive():
            return fd
        os.close(fd)
        return None

    def send(self, number: signal.Signals) -> bool:
        """False if it is gone."""
        fd = self.open()
        if fd is None:
            return False
        try:
            signal.pidfd_send_signal(fd, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(fd)
        return True


def process(pid: int) -> Process | None:
    """The process that has this number now."""
    state, start = _stat(pid)
    return Process(pid, start, boot_id()) if state else None


def _stat(pid: int) -> tuple[str, int]:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return "", 0
    # The name, in brackets, may itself hold spaces and brackets.
    fields = text[text.rindex(")") + 2 :].split()
    return fields[0], int(fields[19])


def reap(pid: int) -> None:
    """Let go of an ended child of ours; nothing happens for a living one or somebody else's."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


class EndWatch:
    """A thread that says which of many processes ended."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._epoll.register(self._wake, select.EPOLLIN)
        self._watched: dict[int, tuple[str, int]] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    def start(self, notify: Notify) -> None:
        self._thread = threading.Thread(
            target=self._run, args=(notify,), name="process-ends", daemon=True
        )
        self._thread.start()

    def add(self, handle: str, who: Process) -> bool:
        """False if it is gone already."""
        fd = who.open()
        if fd is None:
            return False
        with self._lock:
            if self._closed:
                os.close(fd)
                return True
            self._watched[fd] = (handle, who.pid)
            self._epoll.register(fd, select.EPOLLIN)
        return True

    def stop(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
        if self._thread is not None:
            os.eventfd_write(self._wake, 1)
            self._thread.join()
        for fd in (*self._watched, self._wake):
            os.close(fd)
        self._watched.clear()
        self._epoll.close()

    def _run(self, notify: Notify) -> None:
        while not self._closed:
            for fd, _ in self._epoll.poll():
                if fd == self._wake:
                    continue
                with self._lock:
                    handle, pid = self._watched.pop(fd)
                    self._epoll.unregister(fd)
                    os.close(fd)
                reap(pid)
                try:
                    notify(handle)
                except Exception:
                    # Whoever listens must not end the watch for all others; the pass sees it too.
                    log.exception("Telling that %s ended failed", handle)
