"""What people can do with Tasks. Sharing is in sharing.py, deleting in bin.py, duplicating in copying.py."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from accounts import audit
from accounts.audit import Action
from files import storage
from jobs.models import Environment, Run, Task, TaskCopy, TaskQuerySet
from jobs.queue.words import runs as so_many_runs
from jobs.services import checks
from jobs.services.granting import choose_datasets, must_be_usable, named
from jobs.services.publishing import first_published_id
from jobs.services.refused import Refused
from jobs.services.rights import must_edit, must_manage

if TYPE_CHECKING:
    from accounts.models import User
    from files.models import Dataset

_TOLD = ("name", "description")
"""changes that the audit log tells of; what Runs usually ask for changes with every choice in the console"""


def create_task(
    *,
    user: User,
    name: str,
    description: str = "",
    environment: Environment | None = None,
    cpus: Decimal | float | None = None,
    memory: int | None = None,
    time_limit: int | None = None,
    datasets: Collection[Dataset] = (),
    published: bool | None = None,
) -> Task:
    """A new workspace with empty folders, owned by `user`. `published` None: as the site has it."""
    given = {"environment": environment, "cpus": cpus, "memory": memory, "time_limit": time_limit}
    task = Task(
        owner=user, name=checks.task_name(name), description=checks.description(description)
    )
    _set_defaults(task, {key: value for key, value in given.items() if value is not None})
    task.published_id = first_published_id(published)
    must_be_usable(user, datasets)
    make_folders(task)
    with transaction.atomic():
        task.save()
        task.datasets.set(datasets)
        told = ["Its output is published from its start."] if task.published_id else []
        if datasets:
            told.append(f"With the Datasets {named(datasets)}.")
        tell(user, Action.TASK_CREATED, task, " ".join(told))
    return task


def update_task(*, user: User, task: Task, **changes: Any) -> Task:
    """Rename or describe a Task, or change what its Runs usually ask for."""
    must_edit(user, task)
    datasets = changes.pop("datasets", None)
    # Only what was asked for is written: what somebody else changed since this row was read stays.
    asked = tuple(changes)
    before = {name: getattr(task, name) for name in _TOLD}
    if "name" in changes:
        task.name = checks.task_name(changes.pop("name"))
    if "description" in changes:
        task.description = checks.description(changes.pop("description"))
    _set_defaults(task, changes)
    with transaction.atomic():
        if asked:
            task.save(update_fields=asked)
        if datasets is not None:
            choose_datasets(user=user, task=task, datasets=datasets)
        if before["name"] != task.name:
            tell(user, Action.TASK_CHANGED, task, f"It was called “{before['name']}”.")
        elif before["description"] != task.description:
            tell(user, Action.TASK_CHANGED, task, "Its description.")
    return task


def archive_task(*, user: User, task: Task) -> Task:
    """Out of the way: listed apart, and nothing runs in it. Its files stay and can be read."""
    must_manage(user, task)
    with transaction.atomic():
        # First the row: whoever submits at this moment waits for it, and then sees the archive.
        archived = Task.objects.filter(pk=task.pk, archived_at__isnull=True)
        if archived.update(archived_at=timezone.now()):
            if count := Run.objects.filter(task=task).unfinished().count():
                raise Refused(
                    f"{so_many_runs(count)} of this Task {'is' if count == 1 else 'are'} not over: "
                    "cancel what is no longer needed, or archive the Task when they have ended."
                )
            tell(user, Action.TASK_ARCHIVED, task)
    task.refresh_from_db(fields=["archived_at"])
    return task


def unarchive_task(*, user: User, task: Task) -> Task:
    """Back among the others."""
    must_manage(user, task)
    with transaction.atomic():
        if Task.objects.filter(pk=task.pk, archived_at__isnull=False).update(archived_at=None):
            tell(user, Action.TASK_UNARCHIVED, task)
    task.archived_at = None
    return task


def open_for_runs(task: Task) -> TaskQuerySet:
    """The Task as a row to update, if something may run in it now; else no row."""
    copying = TaskCopy.objects.filter(task=OuterRef("pk"))
    # No join: a database that had to wait for the row looks at these conditions again.
    return Task.objects.filter(
        ~Exists(copying), pk=task.pk, deleted_at__isnull=True, archived_at__isnull=True
    )


def why_nothing_runs(task: Task) -> str:
    """Why open_for_runs() has no row, in a sentence."""
    task.refresh_from_db(fields=["deleted_at", "archived_at"])
    if task.deleted_at is not None:
        return "This Task is in the bin: restore it to run something in it."
    if task.archived_at is not None:
        return "This Task is in the archive: take it out in its settings to run something in it."
    return "The files of this Task are still being copied. It can run when they are there."


def tell(user: User | None, action: Action, task: Task, detail: str = "") -> None:
    """A line in the audit log about this Task."""
    audit.note(user, action, subject=task.name, subject_id=task.public_id, detail=detail)


def make_folders(task: Task) -> None:
    """Raises Refused if the storage does not let us."""
    try:
        storage.create_task_folders(task.public_id)
    except OSError as error:
        raise Refused(
            f"The Task's folders could not be made: {error.strerror}. Tell your administrator."
        ) from error


def _set_defaults(task: Task, changes: Mapping[str, Any]) -> None:
    for key, value in changes.items():
        if key == "environment":
            task.environment = None if value is None else checks.environment_for(value)
        elif key == "cpus":
            task.cpus = checks.cpus(value)
        elif key == "memory":
            task.memory = checks.memory(value)
        elif key == "time_limit":
            task.time_limit = checks.time_limit(value)
        else:
            raise TypeError(f"a Task has no setting {key}")
