"""Who may do what in a Task. Rows that somebody may not even see are never reached: see visible_to()."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.models import Role, Task, TaskMember
from jobs.services.refused import Refused

if TYPE_CHECKING:
    from accounts.models import User

MOST_MEMBERS = 200
"""of a Task, and of a Dataset"""


class Forbidden(Refused):
    """This person may see it, but not do that. The message says whom to ask."""


def staff_only(user: User, to: str = "do this") -> None:
    """What only administrators may do. One who was switched off meanwhile is none. Raises Forbidden."""
    if not (user.is_active and user.is_staff):
        raise Forbidden(f"Only administrators may {to}.")


def role_of(user: User, task: Task) -> Role | None:
    """The person's role as a member; None for the owner and staff, who may do everything.

    For Tasks that the person may see: a stranger counts as a viewer, who may change nothing.
    """
    if user.is_staff or task.owner_id == user.pk:
        return None
    member = TaskMember.objects.filter(task=task, user_id=user.pk).first()
    return Role.VIEWER if member is None else Role(member.role)


def may_edit(user: User, task: Task) -> bool:
    return role_of(user, task) in (None, Role.EDITOR)


def may_manage(user: User, task: Task) -> bool:
    return role_of(user, task) is None


def must_edit(user: User, task: Task) -> None:
    """Change files and settings, run, cancel. Raises Forbidden."""
    if not may_edit(user, task):
        raise Forbidden(
            f"You may look at this Task, not change it. Ask {task.owner.get_username()} to make you an editor."
        )


def must_manage(user: User, task: Task) -> None:
    """Share, publish, transfer, delete. Raises Forbidden."""
    if not may_manage(user, task):
        raise Forbidden(f"Only the owner can do that: ask {task.owner.get_username()}.")
