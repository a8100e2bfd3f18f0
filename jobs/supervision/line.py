"""The line as supervision reads it from the database."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Count, F, FloatField, Q, Window
from django.db.models.functions import Cast, RowNumber

from jobs import constraints, queue
from jobs.backends.base import Backend
from jobs.models import Environment, Lane, Run, RunQuerySet

FEW = 8
"""so many waiting Runs are read whole, with one statement: nobody waits for the queue's own work"""
DEPTH = 500
"""waiting Runs of one person that a pass looks at; at least the last of queue.LEVELS"""
QUICK_AT_ONCE = 1000
"""quick commands that a pass looks at, the oldest: nobody has more than a few that wait"""
FOREVER = 10 * 365 * 24 * 3600.0
"""counts as the time limit of a Run that has none, so that the oldest is expected to end first"""


@dataclass
class Waiting:
    """The line as read from the database."""

    needs: list[queue.Need] = field(default_factory=list)
    told: dict[int, int | None] = field(default_factory=dict)
    """key -> Run.ahead"""
    runs: dict[int, Run] | None = None
    """the rows themselves where they are few"""
    suited: list[int] = field(default_factory=list)
    unsuited: list[Environment] = field(default_factory=list)
    complete: bool = True
    """nobody has more than DEPTH Runs waiting"""


@dataclass
class Quick:
    """The quick commands that wait: never many, and read whole."""

    needs: list[queue.Need] = field(default_factory=list)
    runs: dict[int, Run] = field(default_factory=dict)


def read(backend: Backend, now: datetime) -> tuple[Quick, Waiting | None]:
    """The Runs that could start on `backend` now, were there room.

    None for those in line: they are many, and `read_many()` takes its time. Nobody who typed a
    command shall wait for that.
    """
    rows = list(_whole(Run.objects.waiting())[: FEW + 1])
    if len(rows) > FEW:
        quick = _whole(Run.objects.waiting().filter(lane=Lane.QUICK))
        return _quick(quick.order_by("pk")[:QUICK_AT_ONCE], backend, now), None
    in_line = [run for run in rows if run.lane != Lane.QUICK]
    quick_rows = [run for run in rows if run.lane == Lane.QUICK]
    return _quick(quick_rows, backend, now), _few(in_line, backend, now)


def _whole(runs: RunQuerySet) -> RunQuerySet:
    return runs.select_related("task", "environment").order_by()


def _quick(runs: Iterable[Run], backend: Backend, now: datetime) -> Quick:
    found = Quick()
    for run in runs:
        # What does not suit is told so with the others that don't.
        if run.environment.uses_image == backend.capabilities.images and _is_due(run, now):
            found.needs.append(_need(run))
            found.runs[run.pk] = run
    return found


def _few(runs: Iterable[Run], backend: Backend, now: datetime) -> Waiting:
    whole: dict[int, Run] = {}
    waiting = Waiting(runs=whole)
    for run in runs:
        if run.environment.uses_image != backend.capabilities.images:
            waiting.unsuited.append(run.environment)
        elif _is_due(run, now):
            waiting.needs.append(_need(run))
            waiting.told[run.pk] = run.ahead
            whole[run.pk] = run
    return waiting


def _is_due(run: Run, now: datetime) -> bool:
    return run.not_before is None or run.not_before <= now


def _need(run: Run) -> queue.Need:
    wants = {"cpus": float(run.cpus), "memory": run.memory}
    on = constraints.stored(run.constraints)
    lasts = run.time_limit or FOREVER
    return queue.Need(run.pk, wants, run.submitted_by_id, run.priority, lasts, on)


def read_many(backend: Backend, now: datetime) -> Waiting:
    """Of each person the first DEPTH, without touching the rows: index run_line has it all."""
    waiting = Waiting()
    queued = Run.objects.waiting().order_by().values("environment")
    counts = dict(queued.annotate(runs=Count("pk")).values_list("environment", "runs"))
    for environment in Environment.objects.filter(pk__in=counts):
        if environment.uses_image == backend.capabilities.images:
            waiting.suited.append(environment.pk)
        else:
            waiting.unsuited.append(environment)
    runs = ready(waiting, now)
    if sum(counts.values()) > DEPTH:
        waiting.complete = False
        order = (F("priority").desc(), F("id").asc())
        nth = Window(RowNumber(), partition_by=F("submitted_by"), order_by=order)
        runs = runs.annotate(nth=nth).filter(nth__lte=DEPTH)
    rows = runs.values_list(
        "pk",
        "submitted_by",
        "priority",
        # As a number at once: making Decimals would take half of the pass.
        Cast("cpus", FloatField()),
        "memory",
        "time_limit",
        "ahead",
    )
    shared: dict[tuple[float, int], dict[str, float]] = {}
    for key, user, priority, cpus, memory, time_limit, ahead in rows.iterator(2000):
        wants = shared.get((cpus, memory))
        if wants is None:
            wants = shared[cpus, memory] = {"cpus": cpus, "memory": memory}
        lasts = time_limit or FOREVER
        waiting.needs.append(queue.Need(key, wants, user, priority, lasts))
        waiting.told[key] = ahead
    _add_constraints(waiting)
    return waiting


def _add_constraints(waiting: Waiting) -> None:
    """A small index finds the Runs that have any; the rows of the others stay untouched.

    After the line, so that no Run is in it whose constraints came too late to be seen.
    """
    # In order: it is what leads SQLite to that index, also where it has no statistics.
    rows = Run.objects.waiting().exclude(constraints="").order_by("pk")
    if not waiting.complete:
        rows = rows.filter(pk__lte=max((need.key for need in waiting.needs), default=0))
    found = rows.values_list("pk", "constraints").iterator(2000)
    on = {key: constraints.stored(kept) for key, kept in found}
    if on:
        waiting.needs = [
            need._replace(on=on[need.key]) if need.key in on else need for need in waiting.needs
        ]


def ready(waiting: Waiting, now: datetime) -> RunQuerySet:
    """Those that may start now and that the backend can run."""
    due = Run.objects.waiting().filter(lane=Lane.QUEUE).order_by()
    due = due.filter(Q(not_before__isnull=True) | Q(not_before__lte=now))
    # Only where it changes anything: it would lead SQLite away from the index that has it all.
    return due.filter(environment__in=waiting.suited) if waiting.unsuited else due
