"""Where a Run may go: machines with attributes, closed ones, ones that others use, and no lease."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs import attempts
from jobs.backends.base import Offer
from jobs.models import Machine, Run
from jobs.supervision import line
from tests.factories import make_task
from tests.jobs.placing import GB, Machines, active_run, note_machine, schedule, told, waiting_runs

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("more", [0, line.FEW, line.DEPTH])
def test_runs_go_only_to_machines_with_their_attributes(vm: Machines, more: int) -> None:
    plain = Offer("plain", 8.0, 64 * GB, node="S1")
    ssd = Offer("fast", 2.0, 64 * GB, node="S2", attributes={"disk": "ssd"})
    vm.there = (plain, ssd)
    task = make_task()
    picky = waiting_runs(task, 3, constraints="disk:ssd")
    nowhere = waiting_runs(task, 1, constraints="disk:tape")[0]
    waiting_runs(task, more)
    placed = {run.pk: (run.machine, run.node) for run in schedule(vm)}
    assert [placed.get(run.pk) for run in picky] == [("fast", "S2"), ("fast", "S2"), None]
    assert len(placed) == 2 + min(more, 8)
    assert told(picky[2]) == (
        "Needs 1 CPU and 1 GB on a machine with disk:ssd; fast has 0 CPUs and 62 GB free."
    )
    assert told(nowhere) == (
        "Needs 1 CPU and 1 GB on a machine with disk:tape; no machine has disk:tape now; "
        "1 Run ahead."
    )
    placed_run = Run.objects.get(pk=picky[0].pk)
    assert (placed_run.machine, placed_run.node) == ("fast", "S2")


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="reads SQLite's plan")
@pytest.mark.parametrize("more", [0, line.DEPTH])
def test_constraints_are_read_from_the_rows_that_have_any(vm: Machines, more: int) -> None:
    task = make_task()
    waiting_runs(task, line.FEW + more)
    waiting_runs(task, 1, constraints="disk:ssd", priority=1)
    with CaptureQueriesContext(connection) as captured:
        line.read_many(vm, timezone.now())  # type: ignore[arg-type]
    touching = [query["sql"] for query in captured if '"constraints" =' in query["sql"]]
    assert len(touching) == 1
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {touching[0]}")
        assert "run_waiting_constrained" in str(cursor.fetchall())


def test_a_drained_machine_gets_no_new_runs_and_is_what_they_wait_for(vm: Machines) -> None:
    machine = note_machine("vm", drained_at=timezone.now())
    run = waiting_runs(make_task(), 1)[0]
    assert schedule(vm) == []
    assert told(run) == "Needs 1 CPU and 1 GB; vm takes no new Runs (an administrator drains it)."
    Machine.objects.filter(pk=machine.pk).update(drained_at=None)
    assert schedule(vm) == [run]


def test_a_drain_of_another_backends_machine_of_that_name_changes_nothing(vm: Machines) -> None:
    note_machine("vm", drained_at=timezone.now())
    Machine.objects.update(backend="mesos")
    run = waiting_runs(make_task(), 1)[0]
    assert schedule(vm) == [run]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"note": "Launches keep failing there."}, "(Launches keep failing there)"),
        ({"present": False}, "(it does not answer)"),
        ({"drained_at": timezone.now(), "note": "It leaves."}, "(an administrator drains it)"),
    ],
)
def test_a_machine_that_is_not_offered_is_what_large_runs_wait_for(
    vm: Machines, fields: dict[str, Any], says: str
) -> None:
    note_machine("big", cpus=64, attributes={"disk": "ssd"}, **fields)
    task = make_task()
    small, large = *waiting_runs(task, 1), *waiting_runs(task, 1, cpus=32, constraints="disk:ssd")
    assert schedule(vm) == [small]
    assert told(large) == (
        f"Needs 32 CPUs and 1 GB on a machine with disk:ssd; big takes no new Runs {says}."
    )


def test_a_note_on_a_machine_that_is_offered_again_closes_nothing(vm: Machines) -> None:
    note_machine("vm", present=False, note="It left.")
    run = waiting_runs(make_task(), 1)[0]
    assert schedule(vm) == [run]


def test_what_others_use_is_not_given_away(vm: Machines) -> None:
    """On a machine of a shared cluster, also beside Runs of ours."""
    task = make_task()
    active_run(task, cpus=1, memory=GB)
    vm.there = (Offer("vm", 8.0, 8 * GB, free_cpus=2.0, free_memory=7 * GB),)
    runs = waiting_runs(task, 3)
    assert schedule(vm) == runs[:2]
    assert told(runs[2]) == "Needs 1 CPU and 1 GB; 0 CPUs and 5 GB are free."


def test_what_an_offer_does_not_know_of_yet_is_held_all_the_same(vm: Machines) -> None:
    active_run(make_task(), cpus=3, memory=GB)
    vm.there = (Offer("vm", 4.0, 8 * GB, free_cpus=4.0, free_memory=8 * GB),)
    runs = waiting_runs(make_task(), 3)
    assert schedule(vm) == runs[:1]


def test_nothing_is_placed_once_the_lease_has_run_out(vm: Machines) -> None:
    runs = waiting_runs(make_task(), 4)
    answers = iter([True, True, False])
    assert schedule(vm, may_place=lambda: next(answers)) == runs[:2]
    assert told(runs[2]) == ""
    assert not attempts.folder(runs[2].public_id, 1).exists()
