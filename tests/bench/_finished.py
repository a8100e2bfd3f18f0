"""A past for a portal: finished Runs with their timelines, and their folders on the storage."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import dj_database_url

if TYPE_CHECKING:
    from jobs.models import Environment, Run, RunEvent, Task

TASKS, USERS = 100, 20
AT_A_TIME = 5000
SCRIPT = "x <- rnorm(100)\nprint(summary(x))\n" * 40
DAYS = 180.0
MEMORY = 1024**3


def fill(database: str, storage: Path, count: int) -> None:
    """`count` finished Runs of 20 people over half a year, in 100 Tasks of which the portal's newest
    is one. Of a Run's folder only the names are made: what lies in it costs later Runs nothing. May be
    called again, for more Runs of the same people."""
    from django.db import connections

    from jobs.models import Environment, Run, RunEvent

    luck = random.Random(count)
    with _connected(database) as alias:
        tasks = _tasks(alias)
        environment = Environment.objects.using(alias).latest("id")
        before = max(task.last_run_number for task in tasks)
        for first in range(0, count, AT_A_TIME):
            numbers = range(first, min(first + AT_A_TIME, count))
            runs = [
                _run(tasks[at % TASKS], before + at // TASKS + 1, environment, luck)
                for at in numbers
            ]
            Run.objects.using(alias).bulk_create(runs, batch_size=1000)
            events = [event for run in runs for event in _timeline(run)]
            RunEvent.objects.using(alias).bulk_create(events, batch_size=2000)
            for run in runs:
                (storage / "runs" / run.public_id / "1").mkdir(parents=True)
        for task in tasks:
            task.last_run_number = before + count // TASKS + 1
            task.save(update_fields=["last_run_number"])
        with connections[alias].cursor() as cursor:
            # As the server's own housekeeping leaves it.
            cursor.execute("VACUUM ANALYZE")


def _tasks(alias: str) -> list[Task]:
    """The newest one of the portal, and others of people who do nothing now."""
    from accounts.models import User
    from jobs.models import Task

    former = Task.objects.using(alias).filter(name__startswith="Former ").order_by("id")
    if former:
        newest = Task.objects.using(alias).filter(pk__lt=former[0].pk).latest("id")
        return [newest, *former]
    newest = Task.objects.using(alias).latest("id")
    people = [User(username=f"former-{number}", password="!") for number in range(USERS - 1)]
    User.objects.using(alias).bulk_create(people)
    owners = [newest.owner, *people]
    others = [Task(owner=owners[at % USERS], name=f"Former {at}") for at in range(TASKS - 1)]
    return [newest, *Task.objects.using(alias).bulk_create(others)]


def _run(task: Task, number: int, environment: Environment, luck: random.Random) -> Run:
    from django.utils import timezone

    from jobs.models import Run, RunKind
    from jobs.states import Reason, RunState

    created: datetime = timezone.now() - timedelta(days=0.1 + luck.random() * DAYS)
    began = created + timedelta(seconds=luck.random() * 600)
    failed = luck.random() < 0.1
    return Run(
        task=task,
        number=number,
        submitted_by_id=task.owner_id,
        environment=environment,
        kind=RunKind.SCRIPT,
        script_path="main.R",
        script_text=SCRIPT,
        arguments=["--seed", str(number)],
        cpus=luck.choice((1, 2, 4)),
        memory=MEMORY,
        time_limit=24 * 3600,
        state=RunState.FAILED if failed else RunState.SUCCEEDED,
        reason=Reason.EXIT_CODE if failed else Reason.NONE,
        explanation="Ended with exit status 1. Error: object 'y' not found" if failed else "",
        attempt=1,
        backend="local",
        machine="here",
        created_at=created,
        placed_at=began,
        started_at=began + timedelta(seconds=1),
        finished_at=began + timedelta(seconds=1 + luck.expovariate(1 / 900)),
        exit_code=1 if failed else 0,
        log_size=luck.randrange(100, 100_000),
        peak_memory=luck.randrange(MEMORY),
        cpu_seconds=luck.random() * 900,
    )


def _timeline(run: Run) -> list[RunEvent]:
    from jobs.models import RunEvent
    from jobs.states import Reason, RunState

    moments = (
        (run.created_at, RunState.QUEUED, Reason.SUBMITTED, ""),
        (run.placed_at, RunState.STARTING, Reason.LAUNCHING, ""),
        (run.started_at, RunState.RUNNING, Reason.NONE, ""),
        (run.finished_at, run.state, run.reason, run.explanation),
    )
    return [
        RunEvent(run=run, at=at, attempt=1, state=state, reason=reason, explanation=explanation)
        for at, state, reason, explanation in moments
        if at is not None
    ]


@contextmanager
def _connected(database: str) -> Iterator[str]:
    """An alias for another portal's database, for as long as the block lasts."""
    from django.db import connections

    alias = f"past-{os.urandom(4).hex()}"
    usual = connections.databases["default"]
    connections.databases[alias] = {**usual, "OPTIONS": {}, **dj_database_url.parse(database)}
    try:
        yield alias
    finally:
        connections[alias].close()
        del connections[alias]
        del connections.databases[alias]
