"""The folders of Datasets: making, registering in place, measuring, taking away.

A Dataset's own folder is data/<name>. One that was registered in place lies anywhere else below
the storage, belongs to whoever filled it, and is never written to or removed from here.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import stat
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from files import storage
from files.models import Dataset
from files.removal import TEMPORARY, is_abandoned, remove_tree, unlocked
from files.safe import SafeFolder, UnsafePath, components
from files.walking import open_below, walk

log = logging.getLogger(__name__)

TOP = "data"
OURS = frozenset({"working_dir", "runs", "bin"})
"""folders of the storage that are the portal's own, where no Dataset may lie"""
GONE = f"{TEMPORARY}gone-"
"""how the folder of a Dataset is called from the moment that its row is no more"""
LONGEST_PATH = 500
"""characters of one that was registered, as Dataset.path keeps them"""
MOST_LOCKED = 20
"""folders within each other that a script locked and that are looked into all the same"""

_PATH = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LIST = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LOOK = stat.S_IRUSR | stat.S_IXUSR


class NotRegistrable(ValueError):
    """This folder can't be a Dataset. `str(error)` is a sentence for people."""


@dataclass(frozen=True)
class Measured:
    size: int
    """bytes of the regular files, one with several names counted once"""
    files: int
    in_part: bool
    """There is more than could be counted in time."""
    unread: bool
    """There are folders that could not be read."""


def path_of(dataset: Dataset) -> str:
    """Below the storage, with "/" between names."""
    return dataset.path or f"{TOP}/{dataset.name}"


def folder_of(dataset: Dataset) -> SafeFolder:
    root = storage.storage_root()
    return SafeFolder(root / path_of(dataset), root=root)


def make_folder(name: str) -> None:
    """The folder of a new Dataset. Raises FileExistsError if there is something already, and other
    OSErrors, StorageAway included."""
    storage.check_present()
    top = storage.storage_root() / TOP
    storage.own(top, 0o755)
    if os.path.lexists(top / name):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
    storage.own(top / name, 0o755)


def remove_new_folder(name: str) -> None:
    """Take back what make_folder() made, if nothing was put there since."""
    with contextlib.suppress(OSError):
        (storage.storage_root() / TOP / name).rmdir()


def is_there(path: str) -> bool:
    """Whether a path below the storage is a folder, reached without a link. Raises StorageAway where
    "no" could mean that the storage is not mounted."""
    try:
        with _opened(path, _PATH):
            return True
    except (FileNotFoundError, NotADirectoryError, UnsafePath):
        storage.check_present()
        return False


def registrable(path: str, others: Iterable[Dataset]) -> str:
    """The path of an existing folder below the storage as a Dataset keeps it.

    `path` may also be absolute. Raises NotRegistrable, StorageAway.
    """
    root = str(storage.storage_root())
    if path == root or path.startswith(f"{root}/"):
        path = path[len(root) :].lstrip("/")
    path = path.rstrip("/")
    try:
        parts = components(path)
    except UnsafePath as error:
        raise NotRegistrable(f"{error} The folder must lie below {root}.") from None
    if not parts or path == TOP:
        raise NotRegistrable(f"Name a folder below {root}, not all of it.")
    if parts[0] in OURS or any(part.startswith(TEMPORARY) for part in parts):
        raise NotRegistrable(f"{parts[0]}/ is the portal's own: a Dataset can't lie there.")
    for other in others:
        theirs = path_of(other)
        if f"{path}/".startswith(f"{theirs}/"):
            raise NotRegistrable(f"That folder is already part of the Dataset {other.name}.")
        if f"{theirs}/".startswith(f"{path}/"):
            raise NotRegistrable(f"The Dataset {other.name} lies inside that folder.")
    if len(path) > LONGEST_PATH:
        raise NotRegistrable("The path is too long.")
    storage.check_present()
    try:
        with _opened(path, _LIST):
            return path
    except FileNotFoundError:
        raise NotRegistrable(f"There is no folder {path} on the storage.") from None
    except PermissionError:
        raise NotRegistrable(
            f"The portal may not read {path}: change its rights, or those of a folder above it."
        ) from None
    except NotADirectoryError:
        raise NotRegistrable(
            f"{path} is not a folder, or there is a link on the way to it: links are not followed."
        ) from None


@contextlib.contextmanager
def _opened(path: str, flags: int) -> Iterator[int]:
    """A handle on a folder below the storage. A link on the way is NotADirectoryError."""
    fd = open_below(storage.storage_root(), components(path), flags)
    try:
        yield fd
    finally:
        os.close(fd)


# Measuring.


def measure(path: str, *, seconds: float, most: int, ours: bool = False) -> Measured:
    """Count what lies in a folder below the storage, following no link, for at most so many seconds
    and entries. What goes or can't be read meanwhile is left out. Raises OSError if the folder
    itself can't be read.

    `ours`: it is the portal's to change. Then folders that a script locked are looked into, and what
    killed uploads and removals left behind goes.
    """
    count = _Count(time.monotonic() + seconds, most, ours)
    with _opened(path, _LIST) as fd, contextlib.suppress(_Enough):
        walk(fd, count.folder, count.missed)
    return Measured(count.size, count.files, count.in_part, count.unread)


class _Enough(Exception):
    """The time is over, or the number of entries."""


class _Count:
    def __init__(self, deadline: float, left: int, ours: bool) -> None:
        self.size = 0
        self.files = 0
        self.in_part = False
        self.unread = False
        self._ours = ours
        self._deadline = deadline
        self._left = left
        self._linked: set[tuple[int, int]] = set()
        self._unlocked = 0
        """locked folders that we are in at the moment"""

    def folder(self, fd: int) -> list[str]:
        """Count the files in it; returns the names of its folders that are to be entered. Raises _Enough."""
        below: list[str] = []
        locked: list[str] = []
        abandoned: list[str] = []
        with os.scandir(fd) as entries:
            for entry in entries:
                self._left -= 1
                if self._left < 0 or time.monotonic() > self._deadline:
                    self.in_part = True
                    raise _Enough
                try:
                    found = entry.stat(follow_symlinks=False)
                except OSError as error:
                    self.missed(error)
                    continue
                if self._ours and is_abandoned(entry.name, found):
                    abandoned.append(entry.name)
                elif stat.S_ISDIR(found.st_mode):
                    shut = self._ours and found.st_mode & _LOOK != _LOOK
                    (locked if shut else below).append(entry.name)
                elif stat.S_ISREG(found.st_mode):
                    self._file(found)
        for name in abandoned:
            with contextlib.suppress(OSError):
                remove_tree(fd, name)
        for name in locked:
            self._locked(fd, name)
        return below

    def _locked(self, fd: int, name: str) -> None:
        """One that its owner, as whom scripts run, may not look into: unlocked as long as we are in it."""
        if self._unlocked == MOST_LOCKED:
            self.unread = True
            return
        self._unlocked += 1
        try:
            with unlocked(fd, name) as below:
                walk(below, self.folder, self.missed)
        except OSError as error:
            self.missed(error)
        finally:
            self._unlocked -= 1

    def missed(self, error: OSError) -> None:
        """What went meanwhile is not missed. What can't be read is; what was moved may be counted no more."""
        if isinstance(error, PermissionError):
            self.unread = True
        elif not isinstance(error, FileNotFoundError):
            self.in_part = True

    def _file(self, found: os.stat_result) -> None:
        if found.st_nlink > 1:
            inode = (found.st_dev, found.st_ino)
            if inode in self._linked:
                return
            self._linked.add(inode)
        self.files += 1
        self.size += found.st_size


# Taking away.


def hide(dataset: Dataset) -> None:
    """Take the folder of a Dataset that goes for good out of the way, at once; clear_hidden() removes
    what is in it. A folder that was registered in place is left alone. Raises OSError."""
    if dataset.path:
        return
    top = storage.storage_root() / TOP
    storage.check_present()
    with contextlib.suppress(FileNotFoundError):
        (top / dataset.name).rename(top / f"{GONE}{dataset.public_id}")


def clear_hidden() -> None:
    """Remove what hide() took out of the way, now or before a crash. What the storage refuses is
    tried again next time. Raises StorageAway."""
    storage.check_present()
    try:
        fd = os.open(storage.storage_root() / TOP, _LIST)
    except FileNotFoundError:
        return
    try:
        for name in os.listdir(fd):  # noqa: PTH208 - of an open folder
            if name.startswith(GONE):
                try:
                    remove_tree(fd, name)
                except OSError as error:
                    log.warning("%s can't be removed now: %s", name, error)
    finally:
        os.close(fd)
