"""The runner's exit record as backends read it (runner/README.md says what is in it)."""

from __future__ import annotations

import errno
import json
import os
import signal
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RECORD_SIZE = 1024
EXIT_TIME_LIMIT = 124
NOT_A_RECORD = frozenset(
    {
        errno.ENOENT,
        errno.ENOTDIR,
        errno.ELOOP,
        errno.ENXIO,
        errno.EISDIR,
        errno.EACCES,
        errno.ENODEV,
    }
)
"""What a hostile script can make of it: a link, a socket, a folder, a file without permissions."""


@dataclass(frozen=True)
class ExitRecord:
    """What the runner wrote: at its start (`ended` False), or of the end."""

    ended: bool
    pid: int
    pid_start: int
    """clock ticks since boot, as in /proc/<pid>/stat"""
    boot_id: str
    started_at: float | None
    ended_at: float | None
    exit_code: int | None
    """The runner's own exit status, worked out from what it recorded; None while it runs."""
    timed_out: bool
    terminated_by: int | None
    """signal that the runner was sent and passed on"""
    exec_errno: int
    log_errno: int
    log_dropped: int
    """bytes"""
    peak_memory: int | None
    """bytes, of the container as a whole; None where the runner can't see it"""
    peak_rss: int | None
    """bytes, of the largest process"""
    cpu_seconds: float | None
    oom_kills: int | None
    """processes that the kernel killed for memory; None where the runner can't see it"""

    @property
    def stopped_from_outside(self) -> bool:
        """It ended because the runner was told to end it, not by its own doing nor its time limit."""
        if self.terminated_by is None:
            return False
        return self.exit_code in (128 + self.terminated_by, 128 + signal.SIGKILL)


def read_record(attempt_dir: Path) -> ExitRecord | None:
    """None: no runner has claimed this attempt, or a script put something else in the record's place.

    Follows no link, reads no more than a record. Raises OSError where the storage does not answer.
    """
    try:
        fd = os.open(
            attempt_dir / "exit", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        )
    except OSError as error:
        if error.errno in NOT_A_RECORD:
            return None
        raise
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        text = os.read(fd, RECORD_SIZE)
    finally:
        os.close(fd)
    if text.count(b"[") + text.count(b"{") > 1:
        # Ours is flat. A script's may be so deep that reading it takes the whole stack.
        return None
    try:
        raw = json.loads(text)
    except ValueError:
        return None
    return _record(raw) if isinstance(raw, dict) else None


def _record(raw: dict[str, Any]) -> ExitRecord:
    ended = raw.get("phase") == "ended"
    return ExitRecord(
        ended=ended,
        pid=_whole(raw.get("pid")) or 0,
        pid_start=_whole(raw.get("pid_start")) or 0,
        boot_id=str(raw.get("boot_id", "")),
        started_at=_number(raw.get("started_at")),
        ended_at=_number(raw.get("ended_at")),
        exit_code=_exit_code(raw) if ended else None,
        timed_out=raw.get("timed_out") is True,
        terminated_by=_whole(raw.get("terminated_by")),
        exec_errno=_whole(raw.get("exec_errno")) or 0,
        log_errno=_whole(raw.get("log_errno")) or 0,
        log_dropped=_whole(raw.get("log_dropped")) or 0,
        peak_memory=_whole(raw.get("peak_memory_bytes")),
        peak_rss=_whole(raw.get("peak_rss_bytes")),
        cpu_seconds=_sum(_number(raw.get("user_seconds")), _number(raw.get("system_seconds"))),
        oom_kills=_whole(raw.get("oom_kills")),
    )


def _sum(*parts: float | None) -> float | None:
    known = [part for part in parts if part is not None]
    return sum(known) if known else None


def _exit_code(raw: dict[str, Any]) -> int | None:
    if raw.get("timed_out") is True:
        return EXIT_TIME_LIMIT
    signal = _whole(raw.get("signal"))
    return 128 + signal if signal else _whole(raw.get("exit_code"))


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**63:
        return None
    return float(value)


def _whole(value: object) -> int | None:
    return (
        value
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63
        else None
    )
