"""Quick commands: who is one, that they start whatever else runs and waits, and what holds them."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs import services
from jobs.backends.base import BackendUnavailable, Capabilities, Offer, memory_to_offer
from jobs.capacity import machines
from jobs.models import Lane, Run, RunKind, Task, UserLimits, UserUsage
from jobs.more_memory import more_memory
from jobs.quick import WAITING_EACH, quick_lane
from jobs.services import Refused, RunRequest
from jobs.states import Reason, RunState
from jobs.supervision import line, usage
from tests.factories import make_environment, make_run, make_task
from tests.jobs.placing import (
    GB,
    Machines,
    active_run,
    note_machine,
    schedule,
    told,
    waiting_runs,
)

MB = 1024**2
db = pytest.mark.django_db


# Who is quick.


@pytest.fixture
def task() -> Task:
    make_environment()
    return services.create_task(user=make_task().owner, name="Rivers", cpus=2, memory=4 * GB)


def submit(task: Task, **request: Any) -> Run:
    request = {"kind": RunKind.COMMAND, "command": "ls", **request}
    return services.submit(user=task.owner, task=task, request=RunRequest(**request))


def share(run: Run) -> tuple[str, float, int, int]:
    run.refresh_from_db()
    return run.lane, float(run.cpus), run.memory, run.time_limit


QUICK = ("quick", 0.1, 256 * MB, 300)
USUAL = ("queue", 2.0, 4 * GB, 24 * 3600)


@db
@pytest.mark.parametrize(
    ("request_", "gets"),
    [
        ({}, QUICK),
        ({"lane": "quick"}, QUICK),
        ({"lane": "queue"}, USUAL),
        ({"cpus": 1}, ("queue", 1.0, *USUAL[2:])),
        ({"memory": 64 * MB}, ("queue", 2.0, 64 * MB, USUAL[3])),
        ({"time_limit": 10}, (*USUAL[:3], 10)),
        ({"lane": "quick", "cpus": 0.05, "time_limit": 10}, ("quick", 0.05, 256 * MB, 10)),
        ({"kind": "script", "command": "", "script_path": "a.R", "script_text": ""}, USUAL),
    ],
)
def test_a_command_that_asks_for_nothing_is_quick(
    task: Task, request_: dict[str, Any], gets: tuple[str, float, int, int]
) -> None:
    assert share(submit(task, **request_)) == gets


@db
@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({"lane": "quick", "cpus": 0.2}, "cpus"),
        ({"lane": "quick", "memory": 257 * MB}, "memory"),
        ({"lane": "quick", "time_limit": 301}, "time_limit"),
        ({"lane": "quick", "time_limit": 0}, "time_limit"),
        ({"lane": "slow"}, "lane"),
        ({"lane": "quick", "kind": "script", "command": "", "script_path": "a.R"}, "lane"),
    ],
)
@override_settings(RCLUSTER_TIME_LIMIT=0)
def test_too_much_for_the_lane_is_refused_by_name(
    task: Task, request_: dict[str, Any], field: str
) -> None:
    with pytest.raises(Refused) as refused:
        submit(task, **request_)
    assert refused.value.field == field


@db
@override_settings(RCLUSTER_QUICK_AT_ONCE=0)
def test_a_site_without_the_lane_sends_commands_through_the_queue(task: Task) -> None:
    assert share(submit(task)) == USUAL
    with pytest.raises(Refused, match="no quick commands here"):
        submit(task, lane="quick")


@db
@override_settings(RCLUSTER_TIME_LIMIT=60)
def test_the_sites_longest_time_holds_for_them_too() -> None:
    assert quick_lane().time_limit == 60


@db
def test_a_flood_of_commands_overflows_into_the_queue(task: Task) -> None:
    waiting_runs(make_task(task.owner), WAITING_EACH, lane=Lane.QUICK)
    assert share(submit(task)) == USUAL
    with pytest.raises(Refused, match=f"You have {WAITING_EACH} quick commands waiting"):
        submit(task, lane="quick")
    other = services.create_task(user=make_task().owner, name="Other")
    assert share(submit(other)) == QUICK


@db
def test_limits_of_the_queue_hold_no_command_back_but_nothing_at_all_does(task: Task) -> None:
    limits = UserLimits.objects.create(
        user=task.owner, max_running=1, max_queued=1, max_cpus=1, max_memory=GB
    )
    waiting_runs(make_task(task.owner), 1)
    assert share(submit(task)) == QUICK
    with pytest.raises(Refused, match="You have 1 Run waiting"):
        submit(task, cpus=1, memory=GB)
    limits.max_running = 0
    limits.save()
    with pytest.raises(Refused, match="0 Runs"):
        submit(task)


@db
def test_again_in_the_queue_gets_what_the_task_usually_has(task: Task) -> None:
    run = submit(task)
    again = services.run_again(user=task.owner, run=run)
    assert share(again) == QUICK
    assert share(services.run_again(user=task.owner, run=run, lane="queue")) == USUAL
    more = services.run_again(user=task.owner, run=run, memory=GB)
    assert share(more) == ("queue", 2.0, GB, USUAL[3])
    assert share(services.run_again(user=task.owner, run=more, cpus=1)) == (
        "queue",
        1.0,
        GB,
        USUAL[3],
    )
    assert share(services.run_again(user=task.owner, run=more, lane="quick")) == QUICK


@db
def test_one_that_ran_out_of_memory_is_offered_what_its_task_has(task: Task) -> None:
    run = make_run(
        task,
        state=RunState.FAILED,
        kind=RunKind.COMMAND,
        lane=Lane.QUICK,
        reason=Reason.OUT_OF_MEMORY,
        cpus="0.1",
        memory=256 * MB,
    )
    offered = more_memory(user=task.owner, run=run)
    assert offered is not None
    assert (offered.memory, offered.sentence) == (4 * GB, "")
    UserLimits.objects.create(user=task.owner, max_memory=GB)
    offered = more_memory(user=task.owner, run=run)
    assert offered is not None
    assert offered.memory == GB
    assert offered.sentence == "The Task's usual memory is 4 GB; your limit is 1 GB."


# What one person may hold in memory.


@db
def test_a_limit_of_memory_is_kept_and_a_single_run_beyond_it_is_refused(
    vm: Machines, task: Task
) -> None:
    UserLimits.objects.create(user=task.owner, max_memory=2 * GB)
    with pytest.raises(Refused, match="Your limit is 2 GB at a time") as refused:
        submit(task, memory=3 * GB, cpus=1)
    assert refused.value.field == "memory"
    runs = waiting_runs(task, 3)
    assert [run.pk for run in schedule(vm)] == [run.pk for run in runs[:2]]
    assert told(runs[2]).startswith("Your limit is 2 GB at a time")


# Placing.


def full(vm: Machines, waiting: int = 0) -> Task:
    """Somebody's long Runs hold all of it, and more of them wait."""
    task = make_task()
    active_run(task, cpus=4, memory=8 * GB)
    waiting_runs(task, waiting)
    return task


def commands(task: Task, count: int, **fields: Any) -> list[Run]:
    more = {"lane": Lane.QUICK, "cpus": "0.1", "memory": 256 * MB, "time_limit": 300}
    return waiting_runs(task, count, **(more | fields))


@db
@pytest.mark.parametrize("waiting", [0, 3, line.FEW + 1])
def test_a_command_starts_on_a_full_machine_whatever_waits(vm: Machines, waiting: int) -> None:
    task = full(vm, waiting)
    (run,) = commands(task, 1)
    assert schedule(vm) == [run]
    run.refresh_from_db()
    assert (run.state, run.machine) == (RunState.STARTING, "vm")


@db
def test_commands_take_nothing_from_the_others_and_count_for_nothing(vm: Machines) -> None:
    task, machine = make_task(), note_machine("vm")
    running = [active_run(task, lane=Lane.QUICK, cpus="0.1", memory=256 * MB) for _ in range(2)]
    large = waiting_runs(task, 1, cpus=4, memory=8 * GB)[0]
    UserLimits.objects.create(user=task.owner, max_running=1, max_cpus=4)
    assert machines("local")[0].free_cpus == machine.cpus
    assert schedule(vm) == [large]
    Run.objects.filter(pk=running[0].pk).update(
        state=RunState.SUCCEEDED, finished_at=timezone.now()
    )
    (command,) = commands(task, 1)
    schedule(vm)
    command.refresh_from_db()
    assert command.charge_due is False
    usage.charge(timezone.now())
    assert not UserUsage.objects.exists()


@db
def test_so_many_at_a_time_and_one_person_never_has_all(vm: Machines) -> None:
    ada, bob = full(vm), make_task()
    hers = commands(ada, 5)
    assert [run.pk for run in schedule(vm)] == [run.pk for run in hers[:3]]
    assert told(hers[3]) == (
        "You have 3 quick commands running, which is all that one person may have at a time."
    )
    assert told(hers[4]).endswith("; 1 Run of yours ahead.")
    his = commands(bob, 2)
    assert [run.pk for run in schedule(vm)] == [his[0].pk]
    assert told(his[1]) == "All 4 places for quick commands are taken."
    assert (his[1].reason, his[1].ahead) == (Reason.NO_ROOM, 0)
    Run.objects.filter(pk=hers[0].pk).update(state=RunState.SUCCEEDED, finished_at=timezone.now())
    assert [run.pk for run in schedule(vm)] == [his[1].pk]


class Cluster(Machines):
    """One that counts every byte, as Mesos does."""

    capabilities = Capabilities(
        images=False, memory="cgroup", network="none", launch_is_start=False, lends=False
    )


def machine(name: str, *, free: int, cpus: float = 0.0, aside: int = 512 * MB) -> Offer:
    """Of 4 CPUs and 8 GB, with so much free of it and of what is set aside."""
    return Offer(name, 4.0, 8 * GB - aside, free_cpus=cpus, free_memory=free, set_aside=aside)


@db
def test_on_a_cluster_they_have_memory_of_their_own_and_borrow_cpus() -> None:
    task = make_task()
    active_run(task, machine="m1", cpus=4, memory=7 * GB + 512 * MB)
    vm = Cluster(machine("m1", free=512 * MB))
    large, small = (
        waiting_runs(task, 1, memory=4 * GB)[0],
        waiting_runs(task, 1, memory=128 * MB)[0],
    )
    first, second, third = commands(task, 3)
    # Nothing else takes what is theirs, and of three there is room for two.
    assert [run.pk for run in schedule(vm)] == [first.pk, second.pk]
    assert told(third) == "No machine has 256 MB free; it is first at what ends next."
    assert told(large).startswith("Needs 1 CPU and 4 GB; ")
    assert told(small).startswith("Needs 1 CPU and 128 MB; ")
    vm.there = (machine("m1", free=0),)
    assert schedule(vm) == []
    vm.there = (machine("m1", free=256 * MB),)
    Run.objects.filter(pk=first.pk).update(state=RunState.SUCCEEDED, finished_at=timezone.now())
    assert [run.pk for run in schedule(vm)] == [third.pk]


@db
@pytest.mark.parametrize("running", [0, 1, 2, 3])
def test_what_is_theirs_stays_theirs_whoever_holds_it(running: int) -> None:
    """Of 8 GB others hold 1 GB, and 512 MB are set aside: the line has the rest, however many run."""
    task = make_task()
    for _ in range(running):
        active_run(task, machine="m1", lane=Lane.QUICK, cpus="0.1", memory=256 * MB)
    beyond = max(0, running - 2) * 256 * MB
    vm = Cluster(machine("m1", free=7 * GB - running * 256 * MB, cpus=4.0))
    fits, too_large = 7 * GB - 512 * MB - beyond, 7 * GB - 511 * MB - beyond
    run = waiting_runs(task, 1, memory=too_large)[0]
    assert schedule(vm) == []
    Run.objects.filter(pk=run.pk).update(memory=fits)
    assert [each.pk for each in schedule(vm)] == [run.pk]


@db
def test_one_whose_room_counts_as_free_yet_is_counted_once() -> None:
    """Of 8 GB others hold 1 GB; the command's 256 MB are not taken yet."""
    task = make_task()
    starting = active_run(task, machine="m1", lane=Lane.QUICK, cpus="0.1", memory=256 * MB)
    vm = Cluster(machine("m1", free=7 * GB, cpus=4.0))
    run = waiting_runs(task, 1, memory=7 * GB - 511 * MB)[0]
    assert schedule(vm, launching=[starting.handle]) == []
    Run.objects.filter(pk=run.pk).update(memory=7 * GB - 512 * MB)
    assert [each.pk for each in schedule(vm, launching=[starting.handle])] == [run.pk]


@db
def test_what_others_hold_of_a_cluster_is_there_for_nobody() -> None:
    """Other frameworks may have taken even what we set aside."""
    task = make_task()
    vm = Cluster(machine("m1", free=200 * MB, cpus=4.0), machine("m2", free=300 * MB, cpus=4.0))
    runs = commands(task, 2)
    assert [run.pk for run in schedule(vm)] == [runs[0].pk]
    runs[0].refresh_from_db()
    assert runs[0].machine == "m2"
    small = waiting_runs(task, 1, memory=64 * MB)[0]
    assert schedule(vm, launching=[runs[0].handle]) == []
    assert told(small).endswith("the machine with most room for it has 4 CPUs and 0 kB free.")


@db
def test_machines_that_are_closed_or_lack_an_attribute_are_what_they_wait_for(vm: Machines) -> None:
    machine = note_machine("vm", drained_at=timezone.now())
    (run,) = commands(make_task(), 1)
    assert schedule(vm) == []
    assert told(run) == "vm takes no new Runs (an administrator drains it)."
    machine.delete()
    Run.objects.filter(pk=run.pk).update(constraints="disk:ssd")
    assert schedule(vm) == []
    assert told(run) == "No machine has disk:ssd now."
    vm.there = (Offer("vm", 4.0, 8 * GB, attributes={"disk": "ssd"}),)
    assert schedule(vm) == [run]


@db
@pytest.mark.parametrize("waiting", [0, line.FEW + 1])
def test_an_engine_that_is_away_is_what_they_wait_for(vm: Machines, waiting: int) -> None:
    (run,) = commands(full(vm, waiting), 1)
    vm.error = BackendUnavailable("The engine does not answer.")
    assert schedule(vm) == []
    assert told(run) == "Waiting: The engine does not answer."
    assert run.reason == Reason.BACKEND_UNAVAILABLE


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="reads SQLite's plan")
@db
def test_they_are_found_by_an_index_of_their_own_before_the_line_is_read(vm: Machines) -> None:
    task = full(vm, line.FEW + 1)
    commands(task, 1)
    with CaptureQueriesContext(connection) as captured:
        schedule(vm, tell=False)
    reads = [query["sql"] for query in captured if query["sql"].startswith("SELECT")]
    (quick,) = [at for at, sql in enumerate(reads) if "\"lane\" = 'quick'" in sql]
    assert quick == 1
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {reads[quick]}")
        assert "run_waiting_quick" in str(cursor.fetchall())


@db
def test_on_a_full_machine_the_line_is_read_only_to_tell_it(vm: Machines) -> None:
    full(vm, line.FEW + 1)
    with CaptureQueriesContext(connection) as hurried:
        assert schedule(vm, tell=False) == []
    with CaptureQueriesContext(connection) as telling:
        assert schedule(vm, tell=True) == []
    assert len(hurried) <= 5 < len(telling)


def test_memory_for_them_is_set_aside_from_a_machines_usual_share() -> None:
    assert memory_to_offer(100 * GB, GB) == 89 * GB
    assert memory_to_offer(2 * GB, GB) == memory_to_offer(2 * GB, 2 * GB) >= int(1.6 * GB)
