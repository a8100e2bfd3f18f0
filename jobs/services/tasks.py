"""What people can do with Tasks."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from files import storage
from jobs.models import Environment, Task
from jobs.services import checks
from jobs.services.refused import Refused
from jobs.services.rights import must_edit

if TYPE_CHECKING:
    from accounts.models import User


def create_task(
    *,
    user: User,
    name: str,
    environment: Environment | None = None,
    cpus: Decimal | float | None = None,
    memory: int | None = None,
    time_limit: int | None = None,
) -> Task:
    """A new workspace with empty folders, owned by `user`."""
    given = {"environment": environment, "cpus": cpus, "memory": memory, "time_limit": time_limit}
    task = Task(owner=user, name=checks.task_name(name))
    _set_defaults(task, {key: value for key, value in given.items() if value is not None})
    _create_folders(task)
    task.save()
    return task


def update_task(*, user: User, task: Task, **changes: Any) -> Task:
    """Rename a Task or change what its Runs usually ask for."""
    must_edit(user, task)
    if "name" in changes:
        task.name = checks.task_name(changes.pop("name"))
    _set_defaults(task, changes)
    task.save(update_fields=["name", "environment", "cpus", "memory", "time_limit"])
    return task


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


def _create_folders(task: Task) -> None:
    try:
        storage.create_task_folders(task.public_id)
    except OSError as error:
        raise Refused(
            f"The Task's folders could not be made: {error.strerror}. Tell your administrator."
        ) from error
