"""Who else may use a Task: members, leaving, giving it away, and finding the people to name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import Q

from accounts.audit import Action
from accounts.models import User
from jobs import notify
from jobs.models import Role, Task, TaskMember
from jobs.services import quota
from jobs.services.refused import Refused
from jobs.services.rights import MOST_MEMBERS, must_manage
from jobs.services.tasks import tell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from django.db.models import Manager

    from files.models import DatasetMember

SHORTEST_QUERY = 2
"""characters of a name before people are suggested"""
MOST_FOUND = 8


def share_task(*, user: User, task: Task, person: User, role: str) -> TaskMember:
    """Make somebody a member, or change what a member may do."""
    must_manage(user, task)
    if role not in Role.values:
        raise Refused("Choose “viewer” or “editor”.", field="role")
    name = person.get_username()
    if person.pk == task.owner_id:
        raise Refused(f"{name} owns this Task and may do everything.", field="username")
    if not person.is_active:
        raise Refused(f"The account of {name} is switched off.", field="username")
    with transaction.atomic():
        before = TaskMember.objects.filter(task=task, user=person).first()
        if before is not None and before.role == role:
            return before
        if before is None and TaskMember.objects.filter(task=task).count() >= MOST_MEMBERS:
            raise Refused(f"A Task has at most {MOST_MEMBERS} members.")
        # Somebody may have shared it with the same person just now.
        member, _ = TaskMember.objects.update_or_create(
            task=task,
            user=person,
            defaults={"role": role},
            create_defaults={"role": role, "added_by": user},
        )
        if before is None:
            tell(user, Action.TASK_SHARED, task, f"With {name}, as {role}.")
        else:
            detail = f"{name} is {role} instead of {Role(before.role).value}."
            tell(user, Action.TASK_ROLE_CHANGED, task, detail)
        _tell_sockets([person.pk], task)
    return member


def unshare_task(*, user: User, task: Task, person: User) -> None:
    """Take the Task back from a member, who may also leave by themselves. Safe to repeat."""
    leaves = user.pk == person.pk
    if not leaves:
        must_manage(user, task)
    elif task.owner_id == user.pk:
        raise Refused("You own this Task: give it to somebody else first, or delete it.")
    with transaction.atomic():
        if not TaskMember.objects.filter(task=task, user=person).delete()[0]:
            return
        if leaves:
            tell(user, Action.TASK_LEFT, task)
        else:
            tell(user, Action.TASK_UNSHARED, task, f"From {person.get_username()}.")
        _tell_sockets([person.pk], task)


def transfer_task(*, user: User, task: Task, person: User) -> Task:
    """Give the Task to another owner. Who owned it stays as an editor, and may leave."""
    must_manage(user, task)
    name, before = person.get_username(), task.owner
    if person.pk == task.owner_id:
        raise Refused(f"{name} owns this Task already.", field="to")
    if not person.is_active:
        raise Refused(f"The account of {name} is switched off.", field="to")
    left = quota.room_left(person)
    if left is not None and task.storage_used > left:
        raise Refused(
            f"{name} has no room for it: ask them to make some, or your administrator for more.",
            field="to",
        )
    with transaction.atomic():
        if not Task.objects.filter(pk=task.pk, owner=before).update(owner=person):
            raise Refused("This Task was given to somebody else just now. Reload the page.")
        TaskMember.objects.filter(task=task, user=person).delete()
        TaskMember.objects.update_or_create(
            task=task, user=before, defaults={"role": Role.EDITOR, "added_by": user}
        )
        task.owner = person
        tell(user, Action.TASK_TRANSFERRED, task, f"From {before.get_username()} to {name}.")
        _tell_sockets([before.pk, person.pk], task)
    return task


def person_named(username: str, *, field: str = "username") -> User:
    """Who is called so exactly, or has exactly this e-mail address. Raises Refused, of that field."""
    asked = username.strip()
    usable = asked.isprintable() and len(asked) <= 254
    found = User.objects.filter(username=asked, is_active=True).first() if usable else None
    if found is None and usable and "@" in asked:
        several = list(User.objects.filter(email__iexact=asked, is_active=True)[:2])
        found = several[0] if len(several) == 1 else None
    if found is None:
        told = f"There is nobody called “{asked}” here." if usable and asked else "Name a person."
        raise Refused(f"{told} Give a user name or an e-mail address.", field=field)
    return found


def leaving(
    user: User,
    username: str,
    members: Manager[TaskMember] | Manager[DatasetMember],
    must_manage: Callable[[], None],
) -> User | None:
    """Who is taken out of a Task or Dataset: `user` may name themselves; who names another must manage
    it, and the other be one of its members (whose account may be switched off by now). Else None."""
    if username == user.get_username():
        return user
    must_manage()
    member = members.filter(user__username=username.replace("\0", "")).first()
    return None if member is None else member.user


def find_people(user: User, asked: str) -> list[User]:
    """At most eight people whose user name or name begins so, or whose e-mail address it is.

    Nobody is found by less than two characters, or by part of an address: what an asker learns is
    what the pages of a team show anyway (docs/decisions/0016).
    """
    asked = asked.strip()
    if len(asked) < SHORTEST_QUERY or len(asked) > 150 or not asked.isprintable():
        return []
    begins = (
        Q(username__istartswith=asked)
        | Q(first_name__istartswith=asked)
        | Q(last_name__istartswith=asked)
    )
    people = User.objects.filter(begins | Q(email__iexact=asked), is_active=True)
    return list(people.exclude(pk=user.pk).order_by("username")[:MOST_FOUND])


def who_may_see(task: Task) -> set[int]:
    """Primary keys of the owner and the members."""
    members = TaskMember.objects.filter(task=task).values_list("user", flat=True)
    return {task.owner_id, *members}


def _tell_sockets(people: Iterable[int], task: Task) -> None:
    told = sorted(people)
    transaction.on_commit(lambda: notify.access_changed(told, task.public_id))
