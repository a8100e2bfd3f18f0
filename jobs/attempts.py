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
import os
import shutil
from pathlib import Path

from files import storage
from files.safe import SafeFolder, UnsafePath
from jobs.backends import exit_record
from jobs.backends.exit_record import ExitRecord

PERMIT, REVOKED, STARTED_PREFIX = "permit", "revoked", "started"


class AttemptTaken(Exception):
    """A container has taken this attempt's permit: somebody else announced and started it."""


class Permit(enum.Enum):
    """What became of an attempt's right to do work."""

    OPEN = "open"
    """A container may still take it."""
    REVOKED = "revoked"
    """None ever did work, none ever will."""
    TAKEN = "taken"
    """A runner took it: the command may have run."""


def folder(run: str, attempt: int) -> Path:
    return storage.storage_root() / "runs" / run / str(attempt)


def folder_of(handle: str) -> Path:
    """The folder of the attempt behind `rcluster-<run>-<attempt>`."""
    run, attempt = handle.split("-")[1:]
    return folder(run, int(attempt))


def prepare(
    run: str, attempt: int, *, script_name: str, script_text: str, stdin: str | None
) -> Path:
    """Make the folder of an attempt that nobody has been told of yet, with its permit.

    Safe to repeat until the attempt is announced by advance(). Raises OSError (a full disk, storage
    away), and AttemptTaken rather than touch a folder in which a container works: we may be a
    process that lost its lease and does not know it yet.
    """
    storage.check_present()
    path = folder(run, attempt)
    if path.exists():
        if revoke(run, attempt) is Permit.TAKEN and _was_started(path):
            raise AttemptTaken(f"{path} is in use")
        shutil.rmtree(path)
    storage.own(storage.storage_root() / "runs", 0o755)
    for ours in (path.parent, path, path / "script"):
        storage.own(ours, 0o700)
    _write(path / "log", b"")
    _write(path / "exit", b"\n" * exit_record.RECORD_SIZE)
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
    """Look without touching. A folder with neither permit nor revocation, or none, counts as taken."""
    try:
        names = set(os.listdir(folder(run, attempt)))  # noqa: PTH208 - also refreshes NFS's cache
    except FileNotFoundError:
        storage.check_present()
        return Permit.TAKEN
    if PERMIT in names:
        return Permit.OPEN
    return Permit.REVOKED if REVOKED in names else Permit.TAKEN


def read_record(run: str, attempt: int) -> ExitRecord | None:
    """The runner's record, or None while there is none. Nothing in it is trusted for more than a
    sentence: on some backends the script could have written it."""
    return exit_record.read_record(folder(run, attempt))


def log_tail(run: str, attempt: int, limit: int = 16 * 1024) -> bytes:
    """The last bytes of the log, for R's own error line."""
    with (
        contextlib.suppress(FileNotFoundError, PermissionError, UnsafePath),
        SafeFolder(folder(run, attempt)).open_read("log") as file,
    ):
        file.seek(max(0, os.fstat(file.fileno()).st_size - limit))
        return file.read(limit)
    return b""


def log_size(run: str, attempt: int) -> int:
    with (
        contextlib.suppress(FileNotFoundError, PermissionError, UnsafePath),
        SafeFolder(folder(run, attempt)).open_read("log") as file,
    ):
        return os.fstat(file.fileno()).st_size
    return 0


def _was_started(path: Path) -> bool:
    return any(path.glob(f"{STARTED_PREFIX}*"))


def discard(run: str, attempt: int) -> None:
    """Remove the folder of an attempt that was revoked and never claimed; any other stays."""
    path = folder(run, attempt)
    if path.exists() and permit(run, attempt) is Permit.REVOKED and not _was_started(path):
        shutil.rmtree(path)


def _write(path: Path, content: bytes) -> None:
    """Owned by the storage's owner, as whom containers write; the backend worker may be root."""
    with path.open("xb") as file:
        file.write(content)
        os.fchmod(file.fileno(), 0o600)
        if os.geteuid() == 0:
            os.fchown(file.fileno(), *storage.owner())
