"""What of somebody's goes on and what ended last, at a cost that no number of old Runs adds to."""

from __future__ import annotations

from django.db.models import F, OuterRef, Subquery

from accounts.models import User
from jobs.models import Lane, Run, RunQuerySet, Task


def going_on_for(user: User) -> RunQuerySet:
    """Runs that are not over, in the Tasks that the person owns or is a member of."""
    # By the Tasks' keys: behind a join with Tasks SQLite finds no index, and reads all Runs.
    keys = Task.objects.of(user).order_by().values("pk")
    return _as_listed().filter(task__in=keys).unfinished().order_by("-id")


def ended_last_for(user: User, count: int) -> list[Run]:
    """The newest `count` endings in these Tasks, quick commands left out: whoever types `ls` ten times
    still wants to see how the Run of six hours ended.

    No index has the Runs of several Tasks in the order of their ends, so a database would read and
    sort all of them. But they lie in the `count` Tasks in which one ended last, and there among the
    newest `count` of each.
    """
    ended = Run.objects.finished().filter(task=OuterRef("pk"), lane=Lane.QUEUE)
    ended = ended.order_by("-finished_at")
    newest = F("ended").desc(nulls_last=True)
    tasks = Task.objects.of(user).annotate(ended=Subquery(ended.values("finished_at")[:1]))
    keys = tasks.order_by(newest).values("pk")[:count]
    nth = {f"ended_{at}": Subquery(ended.values("pk")[at : at + 1]) for at in range(count)}
    rows = Task.objects.filter(pk__in=keys).order_by().annotate(**nth).values_list(*nth)
    found = [key for row in rows for key in row if key is not None]
    return list(_as_listed().filter(pk__in=found).order_by("-finished_at", "-id")[:count])


def _as_listed() -> RunQuerySet:
    return Run.objects.select_related("task").defer("script_text", "stdin")
