"""Publishing a Task's output at an address that needs no sign-in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction

from accounts import audit
from accounts.audit import Action
from accounts.ids import new_public_id
from jobs.models import Site, Task
from jobs.services.rights import must_manage

if TYPE_CHECKING:
    from accounts.models import User


def publish(*, user: User, task: Task) -> Task:
    """Everybody who knows the address may read output/ from now on, whatever it will hold.

    A Task that is published already keeps its address; each time it is published anew it gets
    another one, so that an old link never comes back to life. Raises Forbidden.
    """
    must_manage(user, task)
    with transaction.atomic():
        new = Task.objects.filter(pk=task.pk, published_id__isnull=True)
        if new.update(published_id=new_public_id()):
            audit.note(user, Action.TASK_PUBLISHED, subject=task.name, subject_id=task.public_id)
    task.refresh_from_db(fields=["published_id"])
    return task


def unpublish(*, user: User, task: Task) -> Task:
    """The address answers 404 from now on. Raises Forbidden."""
    must_manage(user, task)
    with transaction.atomic():
        published = Task.objects.filter(pk=task.pk, published_id__isnull=False)
        if published.update(published_id=None):
            audit.note(user, Action.TASK_UNPUBLISHED, subject=task.name, subject_id=task.public_id)
    task.published_id = None
    return task


def first_published_id(published: bool | None) -> str | None:
    """What a new Task starts with. None: as the site has it."""
    if published is None:
        published = Site.load().publishes_by_default
    return new_public_id() if published else None
