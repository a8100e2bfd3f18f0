"""The folder of one attempt on shared storage: permit, log, exit record, script, stdin.

    runs/<run>/<attempt>/permit        renamed to started.<random> by the runner that may work,
                                       or to `revoked` by us so that none ever does
                         log           what was printed; only the runner writes it
                         exit          the runner's record, preallocated: a full disk can't refuse it
                         script/NAME   the script as submitted
                         stdin

A container may write here as the same user, so everything read from here is only evidence.
"""

from __future__ import annotations

import contextlib
import enum
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from files import storage
from files.safe import SafeFolder, UnsafePath

RECORD_SIZE = 1024
"""bytes of the exit record; the runner overwrites them in place"""
PERMIT, REVOKED, STARTED_PREFIX = "permit", "revoked", "started"


class Permit(enum.Enum):
    """What became of an attempt's right to do work."""

    OPEN = "open"
    """A container may still take it."""
    REVOKED = "revoked"
    """None ever did work, none ever will."""
    TAKEN = "taken"
    """A runner took it: the command may have run."""


@dataclass(frozen=True)
class Record:
    """What the runner wrote of the end (or, as far as it is known, of the start)."""

    ended: bool
    started_at: float | None
    ended_at: float | None
    exit_code: int | None
    timed_out: bool
    terminated_by: int | None
    log_dropped: int
    log_errno: int
    exec_errno: int
    peak_memory: int | None
    cpu_seconds: float | None


def folder(run: str, attempt: int) -> Path:
    return storage.storage_root() / "runs" / run / str(attempt)


def prepare(
    run: str, attempt: int, *, script_name: str, script_text: str, stdin: str | None
) -> Path:
    """Make the folder of an attempt that nobody has been told of yet, with its permit.

    Safe to repeat until the attempt is announced by advance(). Raises OSError (a full disk, storage away).
    """
    path = folder(run, attempt)
    if path.exists():
        shutil.rmtree(path)
    storage.own(storage.storage_root() / "runs", 0o755)
    for ours in (path.parent, path, path / "script"):
        storage.own(ours, 0o700)
    _write(path / "log", b"")
    _write(path / "exit", b"\n" * RECORD_SIZE)
    if script_name:
        _write(path / "script" / script_name, script_text.encode())
    if stdin is not None:
        _write(path / "stdin", stdin.encode())
    # Last: without a permit the rest does nothing.
    _write(path / PERMIT, b"")
    return path


def revoke(run: str, attempt: int) -> Permit:
    """Take the permit back. REVOKED is certain: no container of this attempt ever works.

    Raises OSError if the storage does not answer.
    """
    path = folder(run, attempt)
    try:
        (path / PERMIT).rename(path / REVOKED)
    except FileNotFoundError:
        state = permit(run, attempt)
        return Permit.TAKEN if state is Permit.OPEN else state
    return Permit.REVOKED


def permit(run: str, attempt: int) -> Permit:
    """Look without touching. A folder with neither permit nor revocation counts as taken."""
    names = set(os.listdir(folder(run, attempt)))  # noqa: PTH208 - listing also refreshes NFS's cache
    if PERMIT in names:
        return Permit.OPEN
    return Permit.REVOKED if REVOKED in names else Permit.TAKEN


def read_record(run: str, attempt: int) -> Record | None:
    """The runner's record, or None while there is none. Nothing in it is trusted for more than a sentence."""
    try:
        with SafeFolder(folder(run, attempt)).open_read("exit") as file:
            raw = json.loads(file.read(RECORD_SIZE))
    except (FileNotFoundError, UnsafePath, ValueError):
        return None
    if not isinstance(raw, dict):
        return None
    return Record(
        ended=raw.get("phase") == "ended",
        started_at=_number(raw, "started_at"),
        ended_at=_number(raw, "ended_at"),
        exit_code=_whole(raw, "exit_code"),
        timed_out=raw.get("timed_out") is True,
        terminated_by=_whole(raw, "terminated_by"),
        log_dropped=_whole(raw, "log_dropped") or 0,
        log_errno=_whole(raw, "log_errno") or 0,
        exec_errno=_whole(raw, "exec_errno") or 0,
        peak_memory=_whole(raw, "peak_memory_bytes") or _whole(raw, "peak_rss_bytes"),
        cpu_seconds=_sum(_number(raw, "user_seconds"), _number(raw, "system_seconds")),
    )


def log_tail(run: str, attempt: int, limit: int = 16 * 1024) -> bytes:
    """The last bytes of the log, for R's own error line."""
    with (
        contextlib.suppress(FileNotFoundError, UnsafePath),
        SafeFolder(folder(run, attempt)).open_read("log") as file,
    ):
        file.seek(max(0, os.fstat(file.fileno()).st_size - limit))
        return file.read(limit)
    return b""


def log_size(run: str, attempt: int) -> int:
    with (
        contextlib.suppress(FileNotFoundError, UnsafePath),
        SafeFolder(folder(run, attempt)).open_read("log") as file,
    ):
        return os.fstat(file.fileno()).st_size
    return 0


def _write(path: Path, content: bytes) -> None:
    """Owned by the storage's owner, as whom containers write; the backend worker may be root."""
    with path.open("xb") as file:
        file.write(content)
        os.fchmod(file.fileno(), 0o600)
        if os.geteuid() == 0:
            os.fchown(file.fileno(), *storage.owner())


def _number(raw: dict[str, Any], name: str) -> float | None:
    value = raw.get(name)
    return (
        float(value)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**53
        else None
    )


def _whole(raw: dict[str, Any], name: str) -> int | None:
    value = _number(raw, name)
    return None if value is None else int(value)


def _sum(*values: float | None) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
