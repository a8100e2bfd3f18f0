"""What pages and lists cost when thousands of Runs have ended: as much as with a few."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts.models import User
from jobs import recent
from jobs.models import Lane, Run, RunKind, Task
from jobs.states import Reason, RunState
from tests.factories import make_environment, make_run, make_task, make_user

pytestmark = pytest.mark.django_db

FEW, MANY = 60, 3000
STEPS = 100
"""of SQLite's machine, between two looks at it"""


@pytest.fixture
def task(anna: User) -> Task:
    """One with a Run that waits, of an administrator who has another Task and is in a third."""
    User.objects.filter(pk=anna.pk).update(is_staff=True)
    make_task(anna)
    make_task().members.create(user=anna, role="viewer", added_by=anna)
    task = make_task(anna)
    make_run(task)
    make_run(task, state=RunState.RUNNING)
    return task


def past(count: int, *, failed: bool = False) -> None:
    """So many Runs more have ended, spread over all Tasks that there are."""
    environment, now = make_environment(), timezone.now()
    tasks = list(Task.objects.all())
    rows = []
    for at in range(count):
        task = tasks[at % len(tasks)]
        task.last_run_number += 1
        ended = now - timedelta(seconds=at + 1)
        rows.append(
            Run(
                task=task,
                number=task.last_run_number,
                submitted_by_id=task.owner_id,
                environment=environment,
                kind=RunKind.COMMAND,
                command="true",
                cpus=1,
                memory=10**9,
                time_limit=60,
                state=RunState.FAILED if failed else RunState.SUCCEEDED,
                reason=Reason.EXIT_CODE if failed else Reason.NONE,
                attempt=1,
                backend="local",
                created_at=ended - timedelta(seconds=2),
                finished_at=ended,
            )
        )
    Run.objects.bulk_create(rows)
    Task.objects.bulk_update(tasks, ["last_run_number"])


@contextmanager
def worked() -> Iterator[list[int]]:
    """How many steps SQLite makes meanwhile."""
    connection.ensure_connection()
    found = [0]

    def look() -> int:
        found[0] += STEPS
        return 0

    connection.connection.set_progress_handler(look, STEPS)
    try:
        yield found
    finally:
        connection.connection.set_progress_handler(None, 0)


@pytest.mark.slow
@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="counts SQLite's steps")
@pytest.mark.parametrize(
    "address",
    [
        "/",
        "/now/",
        "/manage/now/",
        "/manage/people/",
        "/manage/people/{person}/",
        "/tasks/{task}/settings/",
        "/api/v1/runs?limit=5",
        "/api/v1/runs?state=failed&limit=5",
        "/api/v1/runs?task={task}&state=failed&limit=5",
        "/api/v1/runs?task={task}&state=cancelled&limit=5",
        "/api/v1/runs?task={task}&state=queued,running&limit=5",
    ],
)
def test_what_has_ended_long_ago_costs_nothing(
    anna: User, anna_client: Client, task: Task, address: str
) -> None:
    there = address.format(task=task.public_id, person=anna.pk)
    past(FEW, failed=True)
    assert anna_client.get(there).status_code == 200
    with worked() as few:
        anna_client.get(there)
    past(MANY)
    with worked() as many:
        anna_client.get(there)
    assert many[0] <= 1.3 * few[0] + 20 * STEPS


def test_the_newest_ends_of_all_ones_tasks(anna: User, task: Task) -> None:
    """However they are spread over them, and not those of others."""
    for _ in range(8):
        make_task(anna)
    past(70)
    past(3)
    strangers = make_task(make_user())
    make_run(strangers, state=RunState.SUCCEEDED)
    mine = Run.objects.filter(task__in=Task.objects.of(anna), finished_at__isnull=False)
    expected = list(mine.order_by("-finished_at", "-id")[:7])
    assert recent.ended_last_for(anna, 7) == expected
    Run.objects.filter(task=task, pk__in=mine).update(finished_at=timezone.now())
    assert {run.task for run in recent.ended_last_for(anna, 5)} == {task}


def test_commands_do_not_push_out_what_one_waits_for(anna: User, task: Task) -> None:
    slow = make_run(task, state=RunState.FAILED)
    for _ in range(9):
        make_run(task, state=RunState.SUCCEEDED, lane=Lane.QUICK)
    assert recent.ended_last_for(anna, 5) == [slow]


def test_what_goes_on_is_that_of_ones_tasks(anna: User, task: Task) -> None:
    binned = make_task(anna, deleted_at=timezone.now())
    for each in (binned, make_task()):
        make_run(each)
    past(20)
    assert [run.task for run in recent.going_on_for(anna)] == [task, task]
