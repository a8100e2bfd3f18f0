"""How large Tasks are: measured by worker steps after a Run, an upload or a removal, and once a day.

No request ever walks a Task's folders. A walk has a time and a number of entries at most; what lies
beyond them is not counted, and then the figure never shrinks. A Task is measured again at the
earliest after twenty times as long as the last walk took, so that a Task of a million files whose
Runs end each second keeps the worker busy for a twentieth of its time.
"""

from __future__ import annotations

import logging
import time
from datetime import timedelta

from django.core.cache import cache
from django.db.models import F, Q, Sum
from django.db.models.functions import Greatest
from django.utils import timezone

from files import storage
from files.datasets import measure
from jobs.models import Run, Task, TaskCopy

log = logging.getLogger(__name__)

SECONDS = 60.0
MOST = 5_000_000
"""of one walk, and entries"""
REST, RESTS = 5.0, 20.0
"""seconds between two walks of a Task at least, and times the last walk's own"""
DAILY = timedelta(days=1)
AT_ONCE = 100
"""Tasks of one hourly step"""


def measure_task(public_id: str) -> float:
    """Measure one Task. Returns 0; or, if that was done a moment ago, in how many seconds to come back
    (0 too if somebody else comes back anyway). Raises StorageAway."""
    resting = f"rcluster:measured:{public_id}"
    if not cache.add(resting, REST, timeout=REST):
        pause = float(cache.get(resting) or REST)
        again = cache.add(f"rcluster:measure-again:{public_id}", 1, timeout=pause)
        return pause if again else 0.0
    began = time.monotonic()
    if task := Task.objects.filter(public_id=public_id, purge_began_at__isnull=True).first():
        _measure(task)
    pause = max(REST, RESTS * (time.monotonic() - began))
    cache.set(resting, pause, timeout=pause)
    return 0.0


def measure_due(*, seconds: float) -> int:
    """Measure Tasks that were never measured, or were used since and not for a day; returns how many."""
    until = time.monotonic() + seconds
    before = timezone.now() - DAILY
    due = Task.objects.filter(
        Q(storage_measured_at__isnull=True)
        | Q(storage_measured_at__lt=before, used_at__gt=F("storage_measured_at") - DAILY),
        purge_began_at__isnull=True,
    )
    count = 0
    for task in due.order_by(F("storage_measured_at").asc(nulls_first=True))[:AT_ONCE]:
        if time.monotonic() > until:
            break
        _measure(task)
        count += 1
    return count


def _measure(task: Task) -> None:
    storage.check_present()
    try:
        path = f"working_dir/{task.public_id}"
        found = measure(path, seconds=SECONDS, most=MOST, ours=True)
    except FileNotFoundError:
        found = None
    except OSError as error:
        log.warning("Task %s can't be measured: %s", task.public_id, error)
        return
    logs = Run.objects.filter(task=task).aggregate(sum=Sum("log_size"))["sum"] or 0
    used = logs + (found.size if found else 0)
    at_least = Greatest(F("storage_used"), used) if found and found.in_part else used
    if TaskCopy.objects.filter(task=task).exists():
        # What is still on its way into it is counted already (jobs/services/copying.py).
        at_least = Greatest(F("storage_used"), used)
    Task.objects.filter(pk=task.pk).update(
        storage_used=at_least, storage_measured_at=timezone.now()
    )
