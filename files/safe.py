"""The one way to files below a folder that scripts write to.

Whatever a script can write is hostile: links that lead elsewhere, FIFOs that hang a reader,
names that change between a look and an open. So every path is walked component by component
from an open directory handle, no link is ever followed, only regular files are opened, and
what is written appears under its name in one rename.

Hard links need no guard: a script can link only files of its own user on the same mount, and its
only writable mounts are this Task's areas, so what it links it could already read.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from files.conditions import Changed, Condition
from files.entries import Entry as Entry
from files.entries import entry_of
from files.paths import MAX_PATH as MAX_PATH
from files.paths import UnsafePath as UnsafePath
from files.paths import components as components
from files.paths import new_components
from files.removal import TEMPORARY, remove_tree
from files.renaming import rename_new
from files.sparse import Piece, write_all
from files.unmodified import changed_since
from files.walking import open_below

MAX_ENTRIES = 10_000
"""Entries of one folder that entries() reads unless told otherwise."""

_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LIST = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: opening a FIFO returns at once, and fstat then tells that it is one.
_FILE = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FILE


class FileTooLarge(Exception):
    """More bytes than the limit. Nothing was kept. `str(error)` is a sentence for people."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"The file is larger than the limit of {limit} bytes.")
        self.limit = limit


class SafeFolder:
    """A folder whose own path is ours and everything below it may be hostile. With `root` the path
    is ours only as far as that: below it, too, no link is followed.

    Paths are relative, with "/" between names; "" is the folder itself. Every method raises
    UnsafePath for a path that must not be used or leads over a link, FileNotFoundError for one
    that isn't there, and other OSErrors (no space left, for instance) as they come.
    What a process of root makes belongs to the owner of the folder.
    """

    def __init__(self, path: Path, *, root: Path | None = None) -> None:
        self.path = path
        self._root = root or path

    def open_fd(self, relative: str, flags: int) -> int:
        """A descriptor of the regular file, for the caller to close. O_CREAT makes no folders."""
        *above, name = self._at_least_one(relative, new=bool(flags & os.O_CREAT))
        truncate = bool(flags & os.O_TRUNC)
        with self._folder(above) as folder:
            try:
                fd = os.open(name, (flags & ~os.O_TRUNC) | _FILE, 0o644, dir_fd=folder)
            except OSError as error:
                raise self._told(error, folder, name) from None
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise UnsafePath(f"{name} is not a regular file.")
            if flags & os.O_CREAT and os.fstat(fd).st_uid == os.geteuid():
                self._own(fd)
            if truncate:
                os.ftruncate(fd, 0)
            os.set_blocking(fd, True)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def open_read(self, relative: str) -> BinaryIO:
        """The regular file, for reading. It may grow or shrink meanwhile, or be sparse and huge."""
        return os.fdopen(self.open_fd(relative, os.O_RDONLY), "rb")

    def read(self, relative: str, *, limit: int) -> bytes:
        """The whole file. Raises FileTooLarge beyond `limit` bytes, having read no more."""
        with self.open_read(relative) as file:
            content = file.read(limit + 1)
        if len(content) > limit:
            raise FileTooLarge(limit)
        return content

    def write(self, relative: str, chunks: Iterable[Piece], *, limit: int) -> int:
        """Put the bytes under the name; returns how many. See put()."""
        return self.put(relative, chunks, limit=limit).st_size

    def put(
        self,
        relative: str,
        chunks: Iterable[Piece],
        *,
        limit: int,
        condition: Condition | None = None,
        grows: Callable[[int], None] | None = None,
    ) -> os.stat_result:
        """Put the bytes under the name at once and for good, or not at all; returns what is there now.

        Makes the folders above. Replaces a regular file and keeps its permissions; anything else
        in the way is UnsafePath. On the disk (fsync) when this returns. The condition is asked
        before the first chunk and again at the end; of several writers with the same condition
        one gets through (on network storage that has no locks of folders, nearly always). `grows` is
        told by how many bytes the folder grows when all have arrived, and may raise instead.
        """
        *above, name = self._at_least_one(relative, new=True)
        with self._folder(above, make=True) as folder:
            mode = self._replaceable(folder, name, condition)
            temporary = TEMPORARY + secrets.token_hex(8)
            fd = os.open(temporary, _NEW, 0o600, dir_fd=folder)
            try:
                try:
                    if not write_all(fd, chunks, limit):
                        raise FileTooLarge(limit)
                    os.fchmod(fd, mode)
                    self._own(fd)
                    os.fsync(fd)
                    written = os.fstat(fd)
                finally:
                    os.close(fd)
                with self._one_writer():
                    self._replaceable(folder, name, condition)
                    if grows is not None:
                        # In here, or two that replace the same file would both take its bytes off.
                        grows(written.st_size - _size(folder, name))
                    os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(temporary, dir_fd=folder)
                raise
        return written

    def entries(self, relative: str = "", *, limit: int = MAX_ENTRIES) -> list[Entry]:
        """What the folder holds, folders first, then by name; at most `limit` of them, whichever
        come first on the disk. Files that are still being uploaded are left out."""
        found: list[Entry] = []
        for entry in self.scan(relative):
            if len(found) == limit:
                break
            found.append(entry)
        return sorted(found, key=lambda entry: (entry.kind != "folder", entry.name.casefold()))

    def scan(self, relative: str = "") -> Iterator[Entry]:
        """The same one at a time, in the order of the disk, however many there are."""
        with self._folder(components(relative), flags=_LIST) as folder, os.scandir(folder) as names:
            for item in names:
                if item.name.startswith(TEMPORARY):
                    continue
                try:
                    status = item.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                yield self._listed(relative, item.name, status)

    def entry(self, relative: str) -> Entry:
        """What is there; a link is an Entry of kind "other", whatever it points at."""
        parts = components(relative)
        if not parts:
            with self._folder([]) as folder:
                return entry_of("", "", os.fstat(folder))
        *above, name = parts
        with self._folder(above) as folder:
            return entry_of(name, relative, os.stat(name, dir_fd=folder, follow_symlinks=False))

    def make_folder(self, relative: str) -> None:
        """Make the folder and those above it; one that exists already is fine."""
        with self._folder(self._at_least_one(relative, new=True), make=True):
            pass

    def remove(
        self,
        relative: str,
        *,
        condition: Condition | None = None,
        since: int | None = None,
        seconds: float | None = None,
    ) -> str:
        """Remove the file, the link itself, or the folder with all that it holds.

        Raises OSError (ENOTEMPTY) when a running script keeps writing into it, and Changed, or what
        the condition raises, if it, or anything below it, was written after the second `since`.
        Returns ""; or, if `seconds` were too few, the path of the hidden folder that is left.
        """
        *above, name = self._at_least_one(relative)
        with self._folder(above) as folder:
            if since is not None and changed_since(folder, name, since):
                raise Changed(f"{name} was changed meanwhile: it is kept.")
            if condition is not None:
                with self._one_writer():
                    found = os.stat(name, dir_fd=folder, follow_symlinks=False)
                    condition(found)
                    if not stat.S_ISDIR(found.st_mode):
                        os.unlink(name, dir_fd=folder)
                        return ""
            left = remove_tree(folder, name, seconds=seconds)
        return "/".join([*above, left]) if left else ""

    def move(
        self, source: str, target: str, *, to: SafeFolder | None = None, replace: bool = False
    ) -> None:
        """Rename a file or folder, also into another SafeFolder of the same storage.

        Makes the folders above. Raises FileExistsError if there is something at the target;
        with `replace` only if that is not a file, or the source isn't.
        """
        *source_above, source_name = self._at_least_one(source)
        *target_above, target_name = self._at_least_one(target, new=True)
        # Before folders are made for it: one into itself, and what isn't there.
        if (to is None or to.path == self.path) and f"{target}/".startswith(f"{source}/"):
            if source == target:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)
            raise UnsafePath("A folder can't be moved into itself.")
        with self._folder(source_above) as old:
            found = os.stat(source_name, dir_fd=old, follow_symlinks=False).st_mode
            if not (stat.S_ISREG(found) or stat.S_ISDIR(found)):
                raise UnsafePath(f"{source_name} is not a file or folder.")
            with (to or self)._folder(target_above, make=True) as new:
                if replace and stat.S_ISREG(found):
                    self._rename_over(old, source_name, new, target_name)
                    return
                try:
                    rename_new(old, source_name, new, target_name)
                except OSError as error:
                    if error.errno == errno.EINVAL:
                        raise UnsafePath("A folder can't be moved into itself.") from None
                    raise

    @staticmethod
    def _rename_over(old: int, source: str, new: int, target: str) -> None:
        """A file over a file. rename() itself refuses a folder; what else is there is kept."""
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISREG(os.stat(target, dir_fd=new, follow_symlinks=False).st_mode):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)
        os.rename(source, target, src_dir_fd=old, dst_dir_fd=new)

    # How it is walked.

    @contextlib.contextmanager
    def _folder(
        self, parts: list[str], *, make: bool = False, flags: int = _FOLDER
    ) -> Iterator[int]:
        """A handle on the folder at `parts`, reached without following a link."""
        last = len(parts)
        fd = self._open(_FOLDER if last else flags)
        try:
            for number, part in enumerate(parts, 1):
                wanted = flags if number == last else _FOLDER
                try:
                    below = os.open(part, wanted, dir_fd=fd)
                except FileNotFoundError:
                    if not make:
                        raise
                    below = self._make(fd, part)
                except OSError as error:
                    raise self._told(error, fd, part) from None
                os.close(fd)
                fd = below
            yield fd
        finally:
            os.close(fd)

    def _open(self, flags: int) -> int:
        if self._root == self.path:
            return os.open(self.path, flags)
        try:
            return open_below(self._root, self.path.relative_to(self._root).parts, flags)
        except NotADirectoryError:
            raise UnsafePath(
                "There is a link on the way to this folder: links are not followed."
            ) from None

    def _make(self, folder: int, name: str) -> int:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o755, dir_fd=folder)
        try:
            fd = os.open(name, _LIST, dir_fd=folder)
        except OSError as error:
            raise self._told(error, folder, name) from None
        try:
            self._own(fd)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _own(self, fd: int) -> None:
        """Root gives what it made to the owner of the folder; others own it anyway."""
        if os.geteuid() == 0:
            ours = self.path.stat(follow_symlinks=False)
            os.fchown(fd, ours.st_uid, ours.st_gid)

    @contextlib.contextmanager
    def _one_writer(self) -> Iterator[None]:
        """Between the last look at what is there and the rename no other writer of ours comes in.

        The lock is on the folder above our own: a script can't reach that, so it can't hold it.
        """
        fd = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX)
            except OSError as error:
                # NFS locks no folder that is open for reading.
                if error.errno not in (errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP):
                    raise
            yield
        finally:
            os.close(fd)

    @staticmethod
    def _replaceable(folder: int, name: str, condition: Condition | None) -> int:
        """The permissions for a new file of that name. UnsafePath if another thing is there."""
        try:
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            if condition is not None:
                condition(None)
            return 0o644
        if not stat.S_ISREG(found.st_mode):
            raise UnsafePath(f"{name} is a folder, a link or a special file: remove it first.")
        if condition is not None:
            condition(found)
        return (stat.S_IMODE(found.st_mode) & 0o777) | 0o600

    @staticmethod
    def _told(error: OSError, folder: int, name: str) -> Exception:
        """The kernel's refusal of one component, in our words."""
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.ENOTDIR, errno.ENODEV):
            try:
                found = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
            except FileNotFoundError:
                return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
            if stat.S_ISLNK(found):
                return UnsafePath(f"{name} is a link; links are not followed.")
            if stat.S_ISDIR(found):
                return UnsafePath(f"{name} is a folder.")
            if error.errno == errno.ENOTDIR:
                return UnsafePath(f"{name} is not a folder.")
            return UnsafePath(f"{name} is not a regular file.")
        return error

    @staticmethod
    def _listed(relative: str, name: str, status: os.stat_result) -> Entry:
        shown = os.fsencode(name).decode(errors="replace")
        entry = entry_of(shown, f"{relative}/{shown}" if relative else shown, status)
        if shown == name:
            return entry
        return Entry(entry.name, entry.path, "other", 0, entry.modified_at)

    @staticmethod
    def _at_least_one(relative: str, *, new: bool = False) -> list[str]:
        parts = new_components(relative) if new else components(relative)
        if not parts:
            raise UnsafePath("Name a file or folder.")
        return parts


def _size(folder: int, name: str) -> int:
    """Bytes of the file of that name; 0 if there is none."""
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False).st_size
    except FileNotFoundError:
        return 0
