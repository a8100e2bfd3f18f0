"""What people can do, and what is refused with a reason."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from files import storage
from jobs import services, transitions
from jobs.models import Machine, Run, Site, Task
from jobs.services import Refused, RunRequest
from jobs.states import Reason, RunState
from tests.factories import make_environment, make_run, make_task, make_user

pytestmark = pytest.mark.django_db

GB = 1024**3


@pytest.fixture
def task() -> Task:
    Site.load()
    make_environment()
    return services.create_task(user=make_user(), name="  River   flow ")


def write(task: Task, path: str, content: bytes) -> None:
    storage.area(task.public_id, "code").write(path, [content], limit=GB)


def command(**more: Any) -> RunRequest:
    return RunRequest(kind="command", command="ls", **more)


def test_a_new_task_has_its_folders_and_a_tidy_name(task: Task) -> None:
    assert task.name == "River flow"
    assert [storage.area(task.public_id, area).entries() for area in storage.AREAS] == [[], [], []]


def test_a_run_keeps_the_script_as_it_was_when_it_was_asked_for(task: Task) -> None:
    write(task, "fit.R", b"cat(1)")
    run = services.submit(
        user=task.owner, task=task, request=RunRequest(kind="script", script_path="fit.R")
    )
    write(task, "fit.R", b"cat(2)")
    run.refresh_from_db()
    assert (run.state, run.reason, run.script_text, run.number) == (
        RunState.QUEUED,
        Reason.SUBMITTED,
        "cat(1)",
        1,
    )
    again = services.run_again(user=task.owner, run=run)
    assert (again.script_text, again.number, again.repeats) == ("cat(1)", 2, run)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (RunRequest(kind="script", script_path="no.R"), "script_path"),
        (RunRequest(kind="script", script_path="../../etc/passwd"), "script_path"),
        (RunRequest(kind="script", script_path=""), "script_path"),
        (RunRequest(kind="script", script_path="a.R", command="ls"), "command"),
        (RunRequest(kind="command", command="  "), "command"),
        (RunRequest(kind="command", command="ls\0"), "command"),
        (RunRequest(kind="nonsense"), "kind"),
        (command(cpus=0), "cpus"),
        (command(memory=1), "memory"),
        (command(time_limit=10**9), "time_limit"),
        (command(time_limit=0), "time_limit"),
        (command(variables={"1A": "x"}), "variables"),
        (command(variables={"LD_PRELOAD": "x"}), "variables"),
        (command(stdin="x" * (services.STDIN_LIMIT + 1)), "stdin"),
        (command(arguments=["\ud800"]), "arguments"),
    ],
)
def test_bad_requests_are_refused_and_change_nothing(
    task: Task, request_: RunRequest, field: str
) -> None:
    with pytest.raises(Refused) as refused:
        services.submit(user=task.owner, task=task, request=request_)
    assert refused.value.field == field
    assert not Run.objects.exists()
    task.refresh_from_db()
    assert task.last_run_number == 0


def test_what_no_machine_could_hold_is_refused_naming_the_largest(task: Task) -> None:
    site = Site.load()
    Machine.objects.create(
        name="m1", backend=site.backend, cpus=4, memory=8 * GB, heard_at=timezone.now()
    )
    with pytest.raises(Refused, match=r"at most 4 CPUs and 8 GB"):
        services.submit(user=task.owner, task=task, request=command(memory=9 * GB))
    services.submit(user=task.owner, task=task, request=command(memory=8 * GB, cpus=Decimal(4)))


def test_a_waiting_run_is_cancelled_at_once_and_only_once(task: Task) -> None:
    run = services.submit(user=task.owner, task=task, request=command())
    services.cancel(user=task.owner, run=run)
    assert (run.state, run.reason) == (RunState.CANCELLED, Reason.CANCELLED)
    finished = run.finished_at
    services.cancel(user=make_user(staff=True), run=run)
    run.refresh_from_db()
    assert run.finished_at == finished
    assert run.cancel_requested_by == task.owner


def test_a_cancel_finds_a_run_that_went_back_to_the_queue_meanwhile(task: Task) -> None:
    run = services.submit(user=task.owner, task=task, request=command())
    seen_before = Run.objects.get(pk=run.pk)
    transitions.advance(
        run, RunState.STARTING, since={RunState.QUEUED}, next_attempt=True, backend="local"
    )
    transitions.advance(run, RunState.QUEUED, since={RunState.STARTING})
    services.cancel(user=task.owner, run=seen_before)
    run.refresh_from_db()
    assert (run.state, run.reason) == (RunState.CANCELLED, Reason.CANCELLED)


def test_a_running_run_is_only_asked_to_stop() -> None:
    run = make_run(state=RunState.RUNNING)
    services.cancel(user=run.task.owner, run=run)
    assert run.state == RunState.RUNNING
    assert run.is_cancelling


def test_strangers_see_nothing_and_staff_see_all() -> None:
    run = make_run()
    stranger, staff = make_user(), make_user(staff=True)
    assert not Run.objects.visible_to(stranger).exists()
    assert not Task.objects.visible_to(stranger).exists()
    assert Run.objects.visible_to(run.task.owner).get() == run
    assert Run.objects.visible_to(staff).get() == run


def test_submitting_costs_a_constant_number_of_statements(
    task: Task, django_assert_max_num_queries: Any, django_capture_on_commit_callbacks: Any
) -> None:
    for _ in range(3):
        make_run(make_task(task.owner))
    with django_assert_max_num_queries(14):
        services.submit(user=task.owner, task=task, request=command())
