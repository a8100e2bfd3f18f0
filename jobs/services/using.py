"""Who uses a Dataset: what somebody may see by name, the rest only as a number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobs.models import Run, Task
from jobs.services.granting import runs_on

if TYPE_CHECKING:
    from accounts.models import User
    from files.models import Dataset

NAMED = 50
"""Tasks, and Runs, that are named at most"""


@dataclass(frozen=True)
class Use:
    tasks: list[Task]
    """that name it and that the person may see"""
    other_tasks: int
    runs: list[Run]
    """that wait, start or run with it and that the person may see"""
    other_runs: int


def use_of(*, user: User, dataset: Dataset) -> Use:
    """Costs four statements, whatever there is."""
    naming = Task.objects.filter(datasets=dataset, deleted_at__isnull=True)
    using = runs_on(dataset)
    shown = Task.objects.visible_to(user).filter(datasets=dataset)
    tasks = list(shown.select_related("owner").order_by("-used_at")[:NAMED])
    seen = using.filter(pk__in=Run.objects.visible_to(user).unfinished().values("pk"))
    runs = list(seen.select_related("task").defer("script_text", "stdin").order_by("-id")[:NAMED])
    return Use(tasks, naming.count() - len(tasks), runs, using.count() - len(runs))
