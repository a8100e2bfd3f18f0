"""Deleting a Task: into the bin, out again, and after its grace for good.

What goes for good are the Task's folders, the folders and rows of its Runs with their timelines,
its members, and the Task itself. What stays: what the Runs count in their submitters' fair share
(UserUsage; nothing goes before it is counted) and the audit log, whose last entry says how much went.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts.audit import Action
from files import storage
from files.removal import remove_tree
from jobs import notify
from jobs.models import Run, Task
from jobs.queue import size
from jobs.queue.words import runs as so_many_runs
from jobs.services.refused import Refused
from jobs.services.rights import must_manage
from jobs.services.runs import cancel
from jobs.services.sharing import who_may_see
from jobs.services.tasks import tell
from jobs.supervision.usage import charge

if TYPE_CHECKING:
    from accounts.models import User

log = logging.getLogger(__name__)

RUNS_AT_ONCE = 200
"""Runs whose folders and rows go in one transaction"""
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


class StillGoing(Refused):
    """Runs of the Task wait or run. `count` of them; delete_task(cancel_runs=True) cancels them."""

    def __init__(self, count: int) -> None:
        are = "is" if count == 1 else "are"
        super().__init__(
            f"{so_many_runs(count)} of this Task {are} not over. Cancel {'it' if count == 1 else 'them'}"
            ", or wait for the end, before you delete the Task."
        )
        self.count = count


def grace() -> timedelta:
    """How long a deleted Task or Dataset can be restored."""
    return timedelta(days=settings.RCLUSTER_BIN_DAYS)


def going_on(task: Task) -> QuerySet[Run]:
    """Runs whose end nobody has asked for."""
    return Run.objects.filter(task=task, cancel_requested_at__isnull=True).unfinished()


def delete_task(*, user: User, task: Task, cancel_runs: bool = False) -> Task:
    """Into the bin: nobody sees it, nothing runs in it, and until the grace is over it can be restored.

    Raises StillGoing while Runs go on whose end was not asked for, unless they are to be cancelled.
    """
    must_manage(user, task)
    if cancel_runs:
        for run in going_on(task).select_related("task"):
            cancel(user=user, run=run)
    with transaction.atomic():
        # First the row: whoever submits at this moment waits for it, and then sees the bin.
        kept = Task.objects.filter(pk=task.pk, deleted_at__isnull=True)
        if kept.update(deleted_at=timezone.now(), deleted_by=user):
            if count := going_on(task).count():
                raise StillGoing(count)
            tell(user, Action.TASK_DELETED, task)
            _tell_sockets(task)
    task.refresh_from_db(fields=["deleted_at", "deleted_by"])
    return task


def restore_task(*, user: User, task: Task) -> Task:
    """Out of the bin, as it was: files, Runs, members. One that isn't in it stays as it is."""
    must_manage(user, task)
    with transaction.atomic():
        if not Task.objects.filter(pk=task.pk, purge_began_at__isnull=True).exists():
            raise Refused("It is too late: this Task is being removed.")
        binned = Task.objects.filter(
            pk=task.pk, deleted_at__isnull=False, purge_began_at__isnull=True
        )
        if binned.update(deleted_at=None, deleted_by=None):
            tell(user, Action.TASK_RESTORED, task)
            _tell_sockets(task)
    task.deleted_at = task.deleted_by = None
    return task


def purge_task(*, user: User, task: Task) -> None:
    """Don't wait for the end of the grace: a Task in the bin goes for good now. There is no way back."""
    must_manage(user, task)
    with transaction.atomic():
        binned = Task.objects.filter(
            pk=task.pk, deleted_at__isnull=False, purge_began_at__isnull=True
        )
        if binned.update(purge_began_at=timezone.now()):
            tell(user, Action.TASK_PURGED, task, "Without waiting for the end of its grace.")
            transaction.on_commit(notify.sweep)


def sweep(*, seconds: float) -> bool:
    """Remove Tasks for good whose grace is over, or whose owner would not wait, for about so many
    seconds; True: there is more to do. Safe to repeat, also at the same time and after a crash:
    files go before the rows that name them. What the storage refuses is tried again next time.

    Raises StorageAway, having removed nothing: what is out of sight is not gone.
    """
    storage.check_present()
    until = time.monotonic() + seconds
    now = timezone.now()
    due = Task.objects.filter(
        Q(deleted_at__lt=now - grace()) | Q(purge_began_at__isnull=False), deleted_at__isnull=False
    )
    while _uncounted(due) and charge(timezone.now()):
        if time.monotonic() > until:
            return True
    begun = False
    for task in due.select_related("owner").order_by("deleted_at"):
        if begun and time.monotonic() > until:
            return True
        runs = Run.objects.filter(task=task)
        if runs.unfinished().exists() or runs.filter(charge_due=True).exists():
            # It goes when its Runs have ended and are counted.
            continue
        unclaimed = Task.objects.filter(pk=task.pk, deleted_at__isnull=False)
        if not unclaimed.update(purge_began_at=task.purge_began_at or now):
            continue
        begun = True
        try:
            if not _remove(task, until):
                return True
        except OSError as error:
            log.warning("The Task %s can't be removed now: %s", task.public_id, error)
    return False


def _uncounted(tasks: QuerySet[Task]) -> bool:
    """Whether ended Runs of these Tasks are still to be counted. Supervision counts only while more
    than one person waits, which may be never."""
    runs = Run.objects.filter(charge_due=True, finished_at__isnull=False)
    return runs.filter(task__in=tasks).exists()


def _remove(task: Task, until: float) -> bool:
    """Files first, then rows. False: the time was over before all was gone."""
    storage.check_present()
    _remove_folder(storage.task_dir(task.public_id))
    removed = 0
    while True:
        runs = list(Run.objects.filter(task=task).order_by("pk").only("public_id")[:RUNS_AT_ONCE])
        if not runs:
            break
        if removed and time.monotonic() > until:
            return False
        storage.check_present()
        for run in runs:
            _remove_folder(storage.storage_root() / "runs" / run.public_id)
        with transaction.atomic():
            Run.objects.filter(pk__in=[run.pk for run in runs]).delete()
        removed += len(runs)
    with transaction.atomic():
        if Task.objects.filter(pk=task.pk, purge_began_at__isnull=False).delete()[0]:
            detail = (
                f"Of {task.owner.get_username()}: {so_many_runs(task.last_run_number)}, "
                f"{size(task.storage_used)}."
            )
            tell(None, Action.TASK_PURGED, task, detail)
    return True


def _remove_folder(path: Path) -> None:
    """One of our own folders with all that scripts left in it. One that isn't there is fine."""
    with contextlib.suppress(FileNotFoundError):
        above = os.open(path.parent, _FOLDER)
        try:
            remove_tree(above, path.name)
        finally:
            os.close(above)


def _tell_sockets(task: Task) -> None:
    people: Iterable[int] = who_may_see(task)
    transaction.on_commit(lambda: notify.access_changed(people, task.public_id))
