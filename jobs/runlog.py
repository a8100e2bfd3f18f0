"""The one way to a Run log: the bytes of one attempt, addressed by offset.

Nothing here or above it changes a byte. A file is opened anew at each look: on NFS a kept
handle shows stale sizes.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from files import storage
from files.safe import SafeFolder, UnsafePath
from jobs import attempts

CHUNK = 1024 * 1024
"""bytes read at a time"""
ANSWER_WITHIN = 3.0
"""seconds that a look may take until the storage is said not to answer"""

_threads = ThreadPoolExecutor(8, thread_name_prefix="runlog")
"""Apart from every other pool: while the server of a hard mount is away, all of these hang."""
_REMOTE = (
    frozenset({"nfs", "nfs4", "cifs", "smb3", "ceph", "lustre", "gpfs", "beegfs", "pvfs2"})
    | {"panfs", "afs", "kafs", "9p", "virtiofs", "gfs2", "ocfs2", "vboxsf", "hostfs"}
)  # fmt: skip
"""file systems, as the kernel names them, that another machine may write to"""


class StorageSilent(OSError):
    """The storage has not answered for ANSWER_WITHIN; it still may, and then all goes on."""

    def __init__(self) -> None:
        super().__init__(errno.ETIMEDOUT, "The storage does not answer.")


@dataclass(frozen=True)
class Pace:
    """Seconds between looks at a log that grew lately, and at a quiet one."""

    fast: float
    slow: float


LOCAL_PACE = Pace(0.015, 0.05)
REMOTE_PACE = Pace(0.1, 0.1)
"""Each look is several requests to the file server, and the runner gathers for 100 ms anyway."""


@dataclass(frozen=True)
class Look:
    """One look at a log: how large it is now, and some of what it holds."""

    size: int
    offset: int
    """where `data` begins"""
    data: bytes
    pace: Pace = LOCAL_PACE
    """how soon it is worth looking again"""


def look(
    run: str, attempt: int, offset: int, *, limit: int = CHUNK, tail: int | None = None
) -> Look:
    """Open, size, read up to `limit` bytes from `offset` on, close. A log not there yet is empty.

    With `tail`, no more than the last `tail` bytes are read: `offset` moves up if it lies before.
    Raises OSError when the storage fails. Blocks, on a hard mount whose server is away for as long
    as that lasts: in an event loop use LogReader.
    """
    if attempt < 1:
        return Look(0, 0, b"")
    try:
        with SafeFolder(attempts.folder(run, attempt)).open_read("log") as file:
            size = os.fstat(file.fileno()).st_size
            if tail is not None:
                offset = max(offset, size - tail)
            wanted = min(limit, size - offset)
            data = os.pread(file.fileno(), wanted, offset) if wanted > 0 else b""
            return Look(size, offset, data, _pace(file.fileno()))
    except (FileNotFoundError, PermissionError, UnsafePath):
        # A log that can't be seen is not an empty one.
        storage.check_present()
        return Look(0, 0, b"")


def size(run: str, attempt: int) -> int:
    """Bytes printed so far."""
    return look(run, attempt, 0, limit=0).size


def read(run: str, attempt: int, offset: int, limit: int = CHUNK) -> bytes:
    """Up to `limit` bytes from `offset` on; b"" at the end."""
    return look(run, attempt, offset, limit=limit).data


class LogReader:
    """Looks for one caller in an event loop, one look at a time, each with a deadline.

    A thread can't be called back from a file server that is away. So a look that was given up is
    waited for, again with the deadline, before there is another: a reader never holds two threads.
    """

    def __init__(self) -> None:
        self._pending: asyncio.Future[Look] | None = None

    async def look(
        self, run: str, attempt: int, offset: int, *, limit: int = CHUNK, tail: int | None = None
    ) -> Look:
        """As the function look(). Raises StorageSilent instead of waiting any longer."""
        if self._pending is not None:
            # What it brings may be of another attempt, or from long ago: only that it ends counts.
            await self._within_deadline(self._pending)
        return await self._within_deadline(
            self._in_thread(lambda: look(run, attempt, offset, limit=limit, tail=tail))
        )

    def _in_thread(self, function: Callable[[], Look]) -> asyncio.Future[Look]:
        self._pending = asyncio.get_running_loop().run_in_executor(_threads, function)
        # Its failure is nobody's concern once the caller has gone.
        self._pending.add_done_callback(lambda done: done.cancelled() or done.exception())
        return self._pending

    async def _within_deadline(self, pending: asyncio.Future[Look]) -> Look:
        done, _ = await asyncio.wait([pending], timeout=ANSWER_WITHIN)
        if not done:
            raise StorageSilent
        self._pending = None
        return pending.result()


def _pace(fd: int) -> Pace:
    """By the kind of mount that the open file lies on. Asks the kernel only, never the storage."""
    try:
        about = Path(f"/proc/self/fdinfo/{fd}").read_text().split()
        mount = about[about.index("mnt_id:") + 1]
        return REMOTE_PACE if _is_remote(mount, os.fstat(fd).st_dev) else LOCAL_PACE
    except (OSError, ValueError):
        # A kernel that won't say: the pace that is right everywhere.
        return REMOTE_PACE


@functools.lru_cache(maxsize=16)
def _is_remote(mount: str, _device: int) -> bool:
    """Cached with the device, because the kernel gives a mount's number to a later one."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        # number, parent, device, root, mount point, options, optional fields, "-", type, ...
        head, _, tail = line.partition(" - ")
        if head.split()[0] == mount:
            kind = tail.split()[0]
            return kind in _REMOTE or kind.startswith("fuse")
    return False
