"""How much of the storage somebody fills, and what they may still put there.

A person's share counts all that they own: Tasks (their folders and logs), in the archive and in the
bin too, and the Datasets whose files were uploaded. A folder registered in place was there before
the portal and is the administrator's. Sizes are those last measured (jobs/measuring.py)
plus what was uploaded since, so a question costs three short queries, however many files there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import F, Sum
from django.db.models.functions import Greatest

from files.models import Dataset
from jobs import notify
from jobs.models import Task, UserLimits
from jobs.queue import size
from jobs.services.refused import Refused

if TYPE_CHECKING:
    from accounts.models import User

NEAR = 0.9
"""of the quota: from here on a page warns"""


@dataclass(frozen=True)
class Storage:
    """What somebody fills, in bytes."""

    used: int
    quota: int | None
    """None: no limit"""

    @property
    def left(self) -> int | None:
        """bytes, never below 0; None: no limit"""
        return None if self.quota is None else max(0, self.quota - self.used)

    @property
    def is_over(self) -> bool:
        return self.quota is not None and self.used >= self.quota

    @property
    def is_near(self) -> bool:
        """Nearly full, or full."""
        return self.quota is not None and self.used >= NEAR * self.quota

    @property
    def percent(self) -> int:
        """0 to 100; 0 without a limit"""
        return min(100, round(100 * self.used / self.quota)) if self.quota else 0

    @property
    def words(self) -> str:
        """3.1 of 10 GB"""
        if self.quota is None:
            return size(self.used)
        used, quota = size(self.used), size(self.quota)
        number, _, unit = used.partition(" ")
        return f"{number} of {quota}" if quota.endswith(f" {unit}") else f"{used} of {quota}"


def storage_of(user: User) -> Storage:
    """What the person fills now."""
    return _filled(user, UserLimits.of(user).max_storage)


def room_left(user: User) -> int | None:
    """Bytes that the person may still add; None: as many as the storage takes."""
    limited = _limited(user)
    return limited.left if limited else None


def over_quota(user: User, *, asked_by: User | None = None) -> str:
    """Why nothing more may be written into what the person owns, in a sentence; "" if it may.

    `asked_by`: who is told so, if that is another (an editor of the Task).
    """
    limited = _limited(user)
    return _full(limited, user, asked_by) if limited and limited.is_over else ""


def refuse_beyond(user: User, count: int, *, asked_by: User | None = None) -> None:
    """Raises Refused unless `count` more bytes fit into what the person may fill."""
    limited = _limited(user)
    if limited is None or limited.left is None:
        return
    if limited.is_over:
        raise Refused(_full(limited, user, asked_by))
    if count > limited.left:
        whose = "Your storage has"
        if _is_another(user, asked_by):
            whose = f"The storage of {user.get_username()}, who owns this, has"
        raise Refused(
            f"{whose} {size(limited.left)} left and this needs {size(count)}. Remove files or Tasks "
            "that are no longer needed and empty the bin, or ask your administrator for more."
        )


def refuse_if_over(user: User, *, asked_by: User | None = None) -> None:
    """For bytes that are counted already: raises Refused if the person now fills more than they may."""
    limited = _limited(user)
    if limited is not None and limited.quota is not None and limited.used > limited.quota:
        raise Refused(_full(limited, user, asked_by))


def _limited(user: User) -> Storage | None:
    """None, after one query, for those without a quota."""
    quota = UserLimits.of(user).max_storage
    return None if quota is None else _filled(user, quota)


def _filled(user: User, quota: int | None) -> Storage:
    tasks = Task.objects.filter(owner_id=user.pk).aggregate(sum=Sum("storage_used"))["sum"]
    uploaded = Dataset.objects.filter(owner_id=user.pk, path="")
    datasets = uploaded.aggregate(sum=Sum("size"))["sum"]
    return Storage((tasks or 0) + (datasets or 0), quota)


def _full(storage: Storage, user: User, asked_by: User | None) -> str:
    if _is_another(user, asked_by):
        name = user.get_username()
        return f"The storage of {name}, who owns this, is full. Remove files, or tell {name}."
    return (
        f"Your storage is full: {storage.words} are used. Remove files or Tasks that you no longer "
        "need and empty the bin, or ask your administrator for more."
    )


def _is_another(user: User, asked_by: User | None) -> bool:
    return asked_by is not None and asked_by.pk != user.pk


def reserve(task: Task, count: int) -> None:
    """Count `count` bytes more, or fewer, as the Task's."""
    if count:
        used = Greatest(F("storage_used") + count, 0)
        Task.objects.filter(pk=task.pk).update(storage_used=used)


def grew(task: Task, count: int) -> None:
    """`count` bytes were written into the Task: counted at once, and measured soon."""
    reserve(task, count)
    notify.measure(task.public_id)
