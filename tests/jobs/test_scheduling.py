"""The scheduling pass on real rows: who is placed, what the others are told, what it costs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from jobs import attempts, queue, services
from jobs.backends.base import BackendUnavailable, Offer
from jobs.models import Run, Task, UserLimits, UserUsage
from jobs.states import Reason, RunState
from jobs.supervision import explaining, line, usage
from tests.factories import make_environment, make_run, make_task
from tests.jobs.placing import GB, Machines, active_run, schedule, told, waiting_runs

pytestmark = pytest.mark.django_db


def test_places_the_oldest_and_tells_the_next_why_it_waits(vm: Machines) -> None:
    task = make_task()
    runs = waiting_runs(task, 6)
    assert [run.pk for run in schedule(vm)] == [run.pk for run in runs[:4]]
    runs[0].refresh_from_db()
    assert (runs[0].state, runs[0].machine, runs[0].ahead) == (RunState.STARTING, "vm", None)
    assert attempts.permit(runs[0].public_id, 1) is attempts.Permit.OPEN
    assert told(runs[4]) == "Needs 1 CPU and 1 GB; 0 CPUs and 4 GB are free."
    assert told(runs[5]) == "Needs 1 CPU and 1 GB; 0 CPUs and 4 GB are free; 1 Run ahead."
    assert (runs[5].reason, runs[5].ahead) == (Reason.NO_ROOM, 1)
    assert schedule(vm) == []
    Run.objects.filter(pk=runs[0].pk).update(state=RunState.SUCCEEDED, finished_at=timezone.now())
    assert schedule(vm) == [runs[4]]
    assert (told(runs[4]), runs[4].ahead) == ("", None)


@pytest.mark.parametrize("flood", [5, 600])
def test_a_flood_does_not_keep_another_person_waiting(vm: Machines, flood: int) -> None:
    waiting_runs(make_task(), flood)
    mine = waiting_runs(make_task(), 2)
    assert {run.pk for run in schedule(vm)} >= {run.pk for run in mine}


def test_whoever_used_much_lately_goes_after_others(vm: Machines) -> None:
    vm.there = (Offer("vm", 1.0, 8 * GB),)
    ada, bob = make_task(), make_task()
    now = timezone.now()
    UserUsage.objects.create(user=ada.owner, cpus=3.0, memory=GB, at=now - timedelta(days=1))
    waiting_runs(ada, 1)
    mine = waiting_runs(bob, 1)
    assert [run.pk for run in schedule(vm)] == [mine[0].pk]


def test_what_runs_now_counts_too(vm: Machines) -> None:
    ada, bob = make_task(), make_task()
    active_run(ada, cpus=3, memory=GB)
    waiting_runs(ada, 1)
    mine = waiting_runs(bob, 1)
    assert [run.pk for run in schedule(vm)] == [mine[0].pk]


@pytest.mark.parametrize("more", [0, line.FEW])
def test_limits_hold_and_are_explained(vm: Machines, more: int) -> None:
    task = make_task()
    UserLimits.objects.create(user=None, max_running=1)
    active_run(task, cpus=1, memory=GB)
    run = waiting_runs(task, 1 + more)[0]
    assert schedule(vm) == []
    assert told(run) == "You have 1 Run running, which is your limit."
    UserLimits.objects.create(user=task.owner, max_running=3, max_cpus=2)
    assert [placed.pk for placed in schedule(vm)] == [run.pk]


def test_far_back_everybody_is_told_a_bound_that_is_true(
    vm: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explaining, "TOLD_AT_ONCE", 300)
    task = make_task()
    active_run(task, cpus=4, memory=GB)
    runs = waiting_runs(task, 700)
    for _ in range(3):
        schedule(vm)
    rows = dict(Run.objects.waiting().values_list("pk", "explanation"))
    assert "19 Runs ahead" in rows[runs[19].pk]
    assert rows[runs[20].pk] == queue.behind(20)
    assert rows[runs[250].pk] == queue.behind(200)
    assert rows[runs[699].pk] == queue.behind(500)
    # Others come first now: whoever was told an exact place is told better.
    waiting_runs(task, 600, priority=1)
    for _ in range(3):
        schedule(vm)
    assert told(runs[0]) == queue.behind(500)
    assert told(runs[250]) == queue.behind(200), "still true: left alone"
    # And when those ahead are gone, it learns its place again.
    Run.objects.waiting().filter(priority=1).update(
        state=RunState.CANCELLED, finished_at=timezone.now()
    )
    schedule(vm)
    assert told(runs[0]) == "Needs 1 CPU and 1 GB; 0 CPUs and 7 GB are free."
    Run.objects.filter(pk__in=[run.pk for run in runs[:400]]).update(
        state=RunState.CANCELLED, finished_at=timezone.now()
    )
    schedule(vm)
    assert told(runs[699]) == queue.behind(200), "500 ahead is no longer true"


def test_what_is_untrue_is_replaced_before_the_news_is_told(
    vm: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explaining, "TOLD_AT_ONCE", queue.NEAR)
    task = make_task()
    active_run(task, cpus=4, memory=GB)
    runs = waiting_runs(task, 30)
    schedule(vm)
    waiting_runs(make_task(), 300, priority=1)
    schedule(vm)
    assert {told(run) for run in runs[: queue.NEAR]} == {queue.behind(200)}


def test_a_pass_costs_the_same_statements_whatever_waits(vm: Machines) -> None:
    ada, bob = make_task(), make_task()
    active_run(ada, cpus=4, memory=GB)

    def cost() -> int:
        schedule(vm)  # tells what is new
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert schedule(vm) == []
        return len(captured)

    waiting_runs(ada, 5)
    waiting_runs(bob, 5)
    few = cost()
    waiting_runs(ada, 200)
    waiting_runs(bob, 200)
    assert cost() == few <= 12


def test_telling_many_costs_few_statements(vm: Machines) -> None:
    task = make_task()
    active_run(task, cpus=4, memory=GB)
    waiting_runs(task, 600)
    with CaptureQueriesContext(connection) as captured:
        schedule(vm)
    assert len(captured) <= 40


def test_one_run_alone_costs_few_statements(vm: Machines) -> None:
    waiting_runs(make_task(), 1)
    with CaptureQueriesContext(connection) as captured:
        assert len(schedule(vm)) == 1
    reads = [query for query in captured if query["sql"].startswith("SELECT")]
    assert len(reads) <= 4


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="reads SQLite's plan")
def test_the_line_is_read_from_its_index_alone() -> None:
    sql, params = (
        line.ready(line.Waiting(), timezone.now())
        .values_list("pk", "submitted_by", "priority", "cpus", "memory", "time_limit", "ahead")
        .query.sql_with_params()
    )
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}", params)
        assert "COVERING INDEX run_line" in str(cursor.fetchall())


def test_an_engine_that_is_away_is_what_they_wait_for(vm: Machines) -> None:
    vm.error = BackendUnavailable("The engine does not answer.")
    run = waiting_runs(make_task(), 1)[0]
    assert schedule(vm) == []
    assert told(run) == "Waiting: The engine does not answer."
    assert run.reason == Reason.BACKEND_UNAVAILABLE
    vm.error = None
    assert len(schedule(vm)) == 1


@pytest.mark.parametrize("more", [0, line.FEW])
def test_runs_for_another_kind_of_backend_say_so_and_hold_nobody_up(
    vm: Machines, more: int
) -> None:
    other = make_environment("tidy", uses_image=True, name="Tidy R")
    task = make_task()
    stuck = waiting_runs(task, 1 + more, environment=other)
    fine = waiting_runs(task, 1)
    assert [run.pk for run in schedule(vm)] == [fine[0].pk]
    assert "“Tidy R” needs an image" in told(stuck[-1])


@pytest.mark.parametrize("more", [0, line.FEW])
def test_a_storage_that_refuses_keeps_it_in_the_queue_for_a_while(
    vm: Machines, monkeypatch: pytest.MonkeyPatch, more: int
) -> None:
    def refuse(*args: object, **more: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(attempts, "prepare", refuse)
    task = make_task()
    run = waiting_runs(task, 1)[0]
    waiting_runs(task, more, cpus=64)
    assert schedule(vm) == []
    assert told(run) == "Waiting: the storage refuses new files (No space left on device)."
    monkeypatch.undo()
    assert schedule(vm) == []
    Run.objects.update(not_before=timezone.now())
    assert schedule(vm) == [run]


@pytest.mark.parametrize("more", [0, line.FEW])
def test_a_cancel_in_the_middle_of_a_pass_is_not_overwritten(
    vm: Machines, monkeypatch: pytest.MonkeyPatch, more: int
) -> None:
    task = make_task()
    active_run(task, cpus=4, memory=GB)
    run = waiting_runs(task, 1 + more)[0]

    def cancel_first(*args: Any, **options: Any) -> None:
        services.cancel(user=task.owner, run=Run.objects.get(pk=run.pk))
        explaining.explain_waits(*args, **options)

    monkeypatch.setattr("jobs.supervision.scheduling.explain_waits", cancel_first)
    schedule(vm)
    assert told(run).startswith("Cancelled by")


# What was used lately.


def ended(task: Task, *, lasted: timedelta, ago: timedelta = timedelta(0)) -> Run:
    now = timezone.now()
    return make_run(
        task,
        state=RunState.SUCCEEDED,
        number=Run.objects.count() + 1,
        charge_due=True,
        cpus=2,
        memory=GB,
        created_at=now - ago - lasted,
        placed_at=now - ago - lasted,
        started_at=now - ago - lasted,
        finished_at=now - ago,
    )


def test_an_ended_run_is_counted_once_and_fades() -> None:
    task = make_task()
    ended(task, lasted=timedelta(days=1))
    ended(task, lasted=timedelta(days=1), ago=timedelta(days=1))
    now = timezone.now()
    usage.charge(now)
    usage.charge(now)
    found = UserUsage.objects.get()
    assert found.cpus == pytest.approx(2 * 0.5 + 2 * 0.5 * 0.5, rel=1e-3)
    assert found.memory == pytest.approx(0.75 * GB, rel=1e-3)
    ended(task, lasted=timedelta(days=1))
    usage.charge(now + timedelta(days=1))
    assert UserUsage.objects.get().cpus == pytest.approx(1.5 / 2 + 1 / 2, rel=1e-3)


def test_passes_count_what_was_placed_and_has_ended(vm: Machines) -> None:
    ada, bob = make_task(), make_task()
    waiting_runs(ada, 1)
    run = schedule(vm)[0]
    long_ago = timezone.now() - timedelta(days=2)
    Run.objects.filter(pk=run.pk).update(
        state=RunState.SUCCEEDED,
        created_at=long_ago,
        placed_at=long_ago,
        finished_at=timezone.now(),
    )
    waiting_runs(ada, 5)
    waiting_runs(bob, 5)
    schedule(vm)
    assert UserUsage.objects.get().user == ada.owner
    assert UserUsage.objects.get().cpus == pytest.approx(0.75, rel=1e-3)


@given(st.floats(0, 1e8), st.floats(0, 1e8))
def test_a_run_never_counts_more_than_while_it_ran(lasted: float, ago: float) -> None:
    assert 0 <= usage.used(lasted, ago) <= 1
    assert usage.used(lasted, ago + usage.HALF_LIFE) == pytest.approx(usage.used(lasted, ago) / 2)
