"""Duplicating a Task: its settings, code and input, not its output and not its Runs.

The copy is a Task at once. Its files come over in slices: the first within the request that asks,
which is all for most Tasks; the rest in a worker step, slice by slice, with its progress in a
TaskCopy row that everybody who sees the Task can read. Nothing runs in it before all is there.
A file is there whole or not at all, and one that is there is not copied again: so a slice may be
repeated, and one that was killed costs a minute.

What is to come counts as the owner's from the moment that the row is made, or several copies would
each find the room that is there for one: the larger of the row's two numbers of bytes is part of
Task.storage_used for as long as the row exists.
"""

from __future__ import annotations

import errno
import logging
import shutil
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from accounts.audit import Action
from files import sparse, storage
from files.datasets import measure
from files.models import Dataset
from files.safe import Entry, FileTooLarge, SafeFolder, UnsafePath
from files.sparse import Piece
from jobs import notify, space
from jobs.models import Task, TaskCopy
from jobs.services import checks, quota
from jobs.services.copy_words import left_out_words as left_out_words
from jobs.services.copy_words import words as words
from jobs.services.granting import named
from jobs.services.refused import Refused
from jobs.services.rights import must_edit
from jobs.services.tasks import make_folders, tell

if TYPE_CHECKING:
    from accounts.models import User

log = logging.getLogger(__name__)

AREAS = ("code", "input")
AT_ONCE_SECONDS = 1.0
"""of the first slice, which the person waits for"""
AT_ONCE_FILE = 16 * 1024**2
"""bytes of the largest file that the first slice takes"""
STALE = timedelta(seconds=60)
"""without a sign of its step a copy is taken up by another"""
TELL_EVERY = 1.0
"""seconds between two notes of the progress"""
MOST_ENTRIES = 1_000_000
CHUNK = 1024**2
LOOK_EVERY = 16 * CHUNK
"""bytes between two looks at how much of the storage is free"""


class _SourceGone(Exception):
    """There is nothing to copy from any more."""


class _TimeOver(Exception):
    """The slice has had its time."""


def duplicate_task(
    *, user: User, task: Task, name: str = "", left_out: list[str] | None = None
) -> Task:
    """A new Task of `user` with the settings, code and input of one that they may see.

    What is not copied by the return comes later: see TaskCopy. Datasets that the person may not use
    are left out, and so are links, special files and what the portal may not read: `left_out` gets
    the paths of those that were met by the return ("code/link", "data/rivers").
    """
    needed = _size(task, seconds=AT_ONCE_SECONDS / 2)
    if needed is not None:
        quota.refuse_beyond(user, needed)
    elif told := quota.over_quota(user):
        raise Refused(told)
    _refuse_if_full()
    new = Task(
        owner=user,
        name=checks.task_name(name or f"Copy of {task.name}"[:200]),
        description=task.description,
        environment=task.environment,
        cpus=task.cpus,
        memory=task.memory,
        time_limit=task.time_limit,
        storage_used=needed or 0,
    )
    make_folders(new)
    with transaction.atomic():
        new.save()
        usable = list(Dataset.objects.visible_to(user).filter(tasks=task).order_by("name"))
        new.datasets.set(usable)
        # Not for the worker before this slice is over.
        TaskCopy.objects.create(
            task=new, source=task, bytes_total=needed, heard_at=timezone.now() + STALE
        )
    try:
        # Once more, now that all who ask at this moment have counted theirs.
        quota.refuse_if_over(user)
    except Refused:
        new.delete()
        shutil.rmtree(storage.task_dir(new.public_id), ignore_errors=True)
        raise
    told = f"As “{new.name}” ({new.public_id})."
    if usable:
        told += f" With the Datasets {named(usable)}."
    tell(user, Action.TASK_DUPLICATED, task, told)
    missed: list[str] = [] if left_out is None else left_out
    names = (
        task.datasets.exclude(pk__in=[each.pk for each in usable])
        .order_by("name")
        .values_list("name", flat=True)
    )
    missed += [f"data/{each}" for each in names]
    if not _slice(new, seconds=AT_ONCE_SECONDS, largest=AT_ONCE_FILE, missed=missed):
        notify.copy(new.public_id)
    return new


def copy_on(task_id: str, *, seconds: float) -> bool:
    """One more slice of the copy into the Task with this public id, if nobody else is at it.

    True: there is more to do now.
    """
    free = Q(heard_at__isnull=True) | Q(heard_at__lt=timezone.now() - STALE)
    mine = TaskCopy.objects.filter(free, task__public_id=task_id, problem="")
    if (
        not TaskCopy.objects.filter(pk__in=list(mine.values_list("pk", flat=True)))
        .filter(free)
        .update(heard_at=timezone.now())
    ):
        return False
    task = Task.objects.get(public_id=task_id)
    return not _slice(task, seconds=seconds, largest=None)


def unattended() -> list[str]:
    """Public ids of the Tasks whose copies nobody is at."""
    free = Q(heard_at__isnull=True) | Q(heard_at__lt=timezone.now() - STALE)
    found = TaskCopy.objects.filter(free, problem="", task__deleted_at__isnull=True)
    return list(found.values_list("task__public_id", flat=True)[:20])


def give_up_copy(*, user: User, task: Task) -> None:
    """Use the Task with the files that are there."""
    must_edit(user, task)
    if (row := TaskCopy.objects.filter(task=task).first()) is not None:
        _over(task, row, reserved=_reserved(row))


def try_copy_again(*, user: User, task: Task) -> None:
    """After what stopped the copy was put right."""
    must_edit(user, task)
    if TaskCopy.objects.filter(task=task).exclude(problem="").update(problem="", heard_at=None):
        notify.copy(task.public_id)


def _slice(
    task: Task, *, seconds: float, largest: int | None, missed: list[str] | None = None
) -> bool:
    """Copy for about so long, and no file larger than `largest`. True: nothing is left to do.
    `missed` gets what can't be copied.

    The row is ours; it is free again when this returns, and gone when all is there.
    """
    row = TaskCopy.objects.select_related("source").filter(task=task).first()
    if row is None:
        return True
    copying = _Copying(task, row, seconds, largest, [] if missed is None else missed)
    try:
        copied = copying.run()
    except _TimeOver:
        copied = False
    except storage.StorageAway:
        log.warning("The copy of Task %s waits: the storage is away", task.public_id)
        TaskCopy.objects.filter(pk=row.pk).update(heard_at=timezone.now())
        return True
    except (_SourceGone, Refused, OSError) as error:
        return _stopped(row, error)
    except Exception as error:
        log.exception("The copy into Task %s failed in an unforeseen way", task.public_id)
        return _stopped(row, error)
    if not copied:
        TaskCopy.objects.filter(pk=row.pk).update(heard_at=None)
        return False
    _over(task, row, reserved=copying.reserved)
    return True


def _reserved(row: TaskCopy) -> int:
    """Bytes that count as the owner's because of it."""
    return max(row.bytes_total or 0, row.bytes_done)


def _over(task: Task, row: TaskCopy, *, reserved: int) -> None:
    """The row goes; what was reserved and is not there counts no more."""
    if TaskCopy.objects.filter(pk=row.pk).delete()[0]:
        quota.grew(task, row.bytes_done - reserved)


def _refuse_if_full() -> None:
    try:
        told = space.no_room(storage.storage_root())
    except OSError:
        return  # Whoever writes next finds out what is the matter, and says so.
    if told:
        raise Refused(told)


def _stopped(row: TaskCopy, error: Exception) -> bool:
    if isinstance(error, OSError):
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        told = "The storage is full." if full else f"A file can't be copied: {error.strerror}."
    elif isinstance(error, _SourceGone):
        told = "The Task that it is copied from was deleted before all files were there."
    elif isinstance(error, Refused):
        told = str(error)
    else:
        told = "Something unforeseen happened: tell your administrator, who finds it in the portal's log."
    TaskCopy.objects.filter(pk=row.pk).update(problem=told[:500], heard_at=None)
    return True


class _Copying:
    """One slice over all files, in order; those that are there already only count."""

    def __init__(
        self, task: Task, row: TaskCopy, seconds: float, largest: int | None, missed: list[str]
    ) -> None:
        self._task = task
        self._missed = missed
        self._row = row
        self._until = time.monotonic() + seconds
        self._largest = largest
        self._told = time.monotonic()
        self._looked_at = 0
        self._left_some = False
        self._area = ""
        self._before = row.bytes_done
        self.reserved = _reserved(row)

    def run(self) -> bool:
        """True: all is there. Raises _TimeOver, _SourceGone, Refused (quota, space), OSError."""
        source = self._row.source
        if source is None or source.purge_began_at is not None:
            raise _SourceGone
        storage.check_present()
        if self._row.bytes_total is None:
            self._row.bytes_total = _size(source, seconds=30.0)
            if self._row.bytes_total is not None:
                quota.refuse_beyond(self._task.owner, self._row.bytes_total - self.reserved)
        self._row.bytes_done = self._row.files_done = 0
        self._tell()
        for area in AREAS:
            self._area = area
            self._all(
                storage.area(source.public_id, area), storage.area(self._task.public_id, area)
            )
        self._tell()
        return not self._left_some

    def _all(self, source: SafeFolder, target: SafeFolder) -> None:
        waiting = [""]
        while waiting:
            path = waiting.pop()
            try:
                if path and not self._folder_there(target, path):
                    continue
                entries = source.entries(path, limit=MOST_ENTRIES)
            except FileNotFoundError:
                # Gone meanwhile: as if it had not been there.
                continue
            except (UnsafePath, PermissionError):
                self._miss(path)
                continue
            for entry in entries:
                if entry.kind == "folder":
                    waiting.append(entry.path)
                elif entry.kind == "file":
                    self._file(source, target, entry)
                else:
                    self._miss(entry.path)

    def _folder_there(self, target: SafeFolder, path: str) -> bool:
        """Make it if it is missing. Raises _TimeOver."""
        try:
            kind = target.entry(path).kind
        except FileNotFoundError:
            self._in_time()
            target.make_folder(path)
            return True
        if kind != "folder":
            self._miss(path)
        return kind == "folder"

    def _file(self, source: SafeFolder, target: SafeFolder, entry: Entry) -> None:
        try:
            there = target.entry(entry.path)
        except FileNotFoundError:
            there = None
        except (UnsafePath, PermissionError):
            self._miss(entry.path)
            return
        if there is not None:
            if there.kind != "file":
                self._miss(entry.path)
                return
            self._row.bytes_done += there.size
        elif self._largest is not None and entry.size > self._largest:
            self._left_some = True
            return
        else:
            self._in_time()
            try:
                with source.open_read(entry.path) as file:
                    target.write(entry.path, self._pieces(file.fileno()), limit=2**62)
            except FileNotFoundError:
                return
            except (UnsafePath, PermissionError, FileTooLarge):
                self._miss(entry.path)
                return
        self._row.files_done += 1

    def _miss(self, path: str) -> None:
        self._missed.append(f"{self._area}/{path}" if path else self._area)

    def _in_time(self) -> None:
        if time.monotonic() > self._until:
            self._tell()
            raise _TimeOver

    def _pieces(self, fd: int) -> Iterator[Piece]:
        for piece in sparse.pieces(fd, CHUNK):
            self._row.bytes_done += len(piece)
            if isinstance(piece, bytes):
                self._look_at_room(len(piece))
            if time.monotonic() > self._told + TELL_EVERY:
                self._tell()
            yield piece

    def _look_at_room(self, count: int) -> None:
        """Other people's Runs write their logs there."""
        self._looked_at -= count
        if self._looked_at < 0:
            self._looked_at = LOOK_EVERY
            _refuse_if_full()

    def _tell(self) -> None:
        """The progress, and the sign that somebody is at it. Raises Refused (quota)."""
        self._told = time.monotonic()
        row = self._row
        done = max(row.bytes_done, self._before)
        alive = TaskCopy.objects.filter(pk=row.pk).update(
            bytes_total=row.bytes_total,
            bytes_done=done,
            files_done=row.files_done,
            heard_at=timezone.now(),
        )
        if not alive:
            # Given up, or its Task went for good.
            raise _TimeOver
        more = max(row.bytes_total or 0, done) - self.reserved
        if more > 0:
            quota.reserve(self._task, more)
            self.reserved += more
        quota.refuse_if_over(self._task.owner)


def _size(task: Task, *, seconds: float) -> int | None:
    """Bytes of what is to be copied; None if that takes longer to find out."""
    total = 0
    for area in AREAS:
        try:
            found = measure(
                f"working_dir/{task.public_id}/{area}", seconds=seconds, most=MOST_ENTRIES
            )
        except FileNotFoundError:
            continue
        except OSError as error:
            raise Refused(f"The Task's files can't be read: {error.strerror}.") from error
        if found.in_part:
            return None
        total += found.size
    return total
