"""Duplicating a Task: its settings, code and input, not its output and not its Runs.

The copy is a Task at once. Its files come over in slices: the first within the request that asks,
which is all for most Tasks; the rest in a worker step, slice by slice, with its progress in a
TaskCopy row that everybody who sees the Task can read. Nothing runs in it before all is there.
A file is there whole or not at all, and one that is there is not copied again: so a slice may be
repeated, and one that was killed costs a minute.
"""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, BinaryIO

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from accounts.audit import Action
from files import storage
from files.datasets import measure
from files.models import Dataset
from files.safe import Entry, FileTooLarge, SafeFolder, UnsafePath
from jobs import notify
from jobs.models import Task, TaskCopy
from jobs.queue import size
from jobs.services import checks, quota
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
NAMED = 5
"""paths of what was left out that a sentence names"""
CHUNK = 1024**2


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
    new = Task(
        owner=user,
        name=checks.task_name(name or f"Copy of {task.name}"[:200]),
        description=task.description,
        environment=task.environment,
        cpus=task.cpus,
        memory=task.memory,
        time_limit=task.time_limit,
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
    TaskCopy.objects.filter(task=task).delete()
    notify.measure(task.public_id)


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
    try:
        copied = _Copying(task, row, seconds, largest, [] if missed is None else missed).run()
    except _TimeOver:
        copied = False
    except storage.StorageAway:
        log.warning("The copy of Task %s waits: the storage is away", task.public_id)
        TaskCopy.objects.filter(pk=row.pk).update(heard_at=timezone.now())
        return True
    except (_SourceGone, Refused, OSError) as error:
        return _stopped(row, error)
    if not copied:
        TaskCopy.objects.filter(pk=row.pk).update(heard_at=None)
        return False
    row.delete()
    quota.grew(task, row.bytes_done)
    return True


def _stopped(row: TaskCopy, error: Exception) -> bool:
    if isinstance(error, OSError):
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        told = "The storage is full." if full else f"A file can't be copied: {error.strerror}."
    elif isinstance(error, _SourceGone):
        told = "The Task that it is copied from was deleted before all files were there."
    else:
        told = str(error)
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
        self._left_some = False
        self._area = ""

    def run(self) -> bool:
        """True: all is there. Raises _TimeOver, _SourceGone, Refused (quota), OSError."""
        source = self._row.source
        if source is None or source.purge_began_at is not None:
            raise _SourceGone
        storage.check_present()
        if self._row.bytes_total is None:
            self._row.bytes_total = _size(source, seconds=30.0)
            if self._row.bytes_total is not None:
                quota.refuse_beyond(self._task.owner, self._row.bytes_total)
        self._row.bytes_done = self._row.files_done = 0
        for area in AREAS:
            self._area = area
            self._folder(
                storage.area(source.public_id, area), storage.area(self._task.public_id, area), ""
            )
        self._tell()
        return not self._left_some

    def _folder(self, source: SafeFolder, target: SafeFolder, path: str) -> None:
        try:
            entries = source.entries(path, limit=MOST_ENTRIES)
        except FileNotFoundError:
            # Gone meanwhile: as if it had not been there.
            return
        except (UnsafePath, PermissionError):
            self._miss(path)
            return
        for entry in entries:
            if entry.kind == "folder":
                target.make_folder(entry.path)
                self._folder(source, target, entry.path)
            elif entry.kind == "file":
                self._file(source, target, entry)
            else:
                self._miss(entry.path)

    def _file(self, source: SafeFolder, target: SafeFolder, entry: Entry) -> None:
        try:
            there = target.entry(entry.path)
        except FileNotFoundError:
            if self._largest is not None and entry.size > self._largest:
                self._left_some = True
                return
            if time.monotonic() > self._until:
                self._tell()
                raise _TimeOver from None
            try:
                with source.open_read(entry.path) as file:
                    target.write(entry.path, self._chunks(file), limit=2**62)
            except FileNotFoundError:
                return
            except (UnsafePath, PermissionError, FileTooLarge):
                self._miss(entry.path)
                return
        else:
            self._row.bytes_done += there.size
        self._row.files_done += 1

    def _miss(self, path: str) -> None:
        self._missed.append(f"{self._area}/{path}" if path else self._area)

    def _chunks(self, file: BinaryIO) -> Iterator[bytes]:
        while chunk := file.read(CHUNK):
            self._row.bytes_done += len(chunk)
            if time.monotonic() > self._told + TELL_EVERY:
                self._tell()
            yield chunk

    def _tell(self) -> None:
        """The progress, and the sign that somebody is at it."""
        self._told = time.monotonic()
        row = self._row
        alive = TaskCopy.objects.filter(pk=row.pk).update(
            bytes_total=row.bytes_total,
            bytes_done=row.bytes_done,
            files_done=row.files_done,
            heard_at=timezone.now(),
        )
        if not alive:
            # Given up, or its Task went for good.
            raise _TimeOver


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


def left_out_words(paths: Sequence[str]) -> str:
    """What a duplicate lacks, in sentences; "" if nothing."""
    if not paths:
        return ""
    shown = ", ".join(paths[:NAMED]) + (f" and {len(paths) - NAMED} more" if paths[NAMED:] else "")
    return (
        f"Not copied: {shown}. Links, special files, what the portal may not read and Datasets that "
        "you may not use are left out."
    )


def words(row: TaskCopy) -> str:
    """How far it is, in a sentence."""
    if row.problem:
        return f"Copying its files stopped. {row.problem}"
    of = f" of {size(row.bytes_total)}" if row.bytes_total is not None else ""
    return (
        f"Its files are being copied: {size(row.bytes_done)}{of} are there. Links, special files and "
        "what the portal may not read are left out."
    )
