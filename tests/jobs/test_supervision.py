"""Supervision on the real local backend: from the queue to the end, and through what goes wrong."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from jobs import attempts, services, site
from jobs.backends.base import Backend, BackendUnavailable
from jobs.models import Machine, Run, Site, Task
from jobs.services import RunRequest
from jobs.states import Reason, RunState
from jobs.supervision import observing, supervisor
from jobs.supervision.supervisor import Supervisor
from tests.factories import make_environment, make_user
from tests.jobs.supervising import end, log, reach, submit
from tests.waiting import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.local]


class Unreachable:
    """A real backend behind a line that can be cut: every call then says that nobody answers."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.error: Exception | None = None

    def __getattr__(self, name: str) -> Any:
        if self.error is not None and name not in ("name", "capabilities", "close", "watch"):
            raise self.error
        return getattr(self._backend, name)


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch, runner_build: Path) -> Unreachable:
    monkeypatch.setattr(settings, "RCLUSTER_RUNNER_DIR", runner_build)
    monkeypatch.setattr(settings, "RCLUSTER_CPUS", 2.0)
    site.store_backend("local")
    line = Unreachable(site.backend_for("local"))
    monkeypatch.setattr(site, "backend_for", lambda name: line)
    monkeypatch.setattr(supervisor, "RECONCILE_EVERY", 0.2)
    monkeypatch.setattr(observing, "START_GRACE", 0.5)
    return line


@pytest.fixture
def task(line: Unreachable) -> Task:
    make_environment("r-local", uses_image=False, is_default=True)
    return services.create_task(user=make_user("ada"), name="Rivers")


@pytest.fixture
def supervision(line: Unreachable, task: Task) -> Iterator[Supervisor]:
    running = Supervisor()
    running.start()
    yield running
    for run in Run.objects.active():
        services.cancel(user=run.submitted_by, run=run)
    running.wake()
    until(lambda: not Run.objects.active().exists(), "all Runs to end", seconds=40)
    running.stop()


def test_a_run_goes_from_the_queue_to_its_end(supervision: Supervisor, task: Task) -> None:
    run = end(submit(task, "echo hello; echo file > /output/out.txt"))
    assert (run.state, run.reason, run.exit_code, run.attempt) == (RunState.SUCCEEDED, "", 0, 1)
    assert log(run) == b"hello\n"
    assert run.log_size == 6
    assert run.started_at is not None
    assert [event.state for event in run.timeline.all()] in (
        ["queued", "starting", "running", "succeeded"],
        ["queued", "starting", "succeeded"],
    )
    again = end(
        services.submit(
            user=task.owner,
            task=task,
            request=RunRequest(kind="command", command="cat /output/out.txt"),
        )
    )
    assert log(again) == b"file\n"


def test_a_script_runs_as_submitted_with_arguments_variables_and_stdin(
    supervision: Supervisor, task: Task
) -> None:
    from files import storage

    script = (
        b'cat(commandArgs(TRUE), Sys.getenv("COLOUR"), readLines(file("stdin")), getwd(), sep="|")'
    )
    storage.area(task.public_id, "code").write("a b.R", [script], limit=10_000)
    run = services.submit(
        user=task.owner,
        task=task,
        request=RunRequest(
            kind="script",
            script_path="a b.R",
            arguments=["x y", "$HOME"],
            variables={"COLOUR": "blau"},
            stdin="one\ntwo\n",
        ),
    )
    assert end(run).state == RunState.SUCCEEDED, run.explanation
    assert log(run) == b"x y|$HOME|blau|one|two|/code"


@pytest.mark.parametrize(
    ("command", "reason", "words"),
    [
        ("exit 3", Reason.EXIT_CODE, "exit status 3"),
        ("Rscript -e 'stop(\"no such river\")'", Reason.EXIT_CODE, "Error: no such river"),
        ("Rscript -e 'x <- ('", Reason.EXIT_CODE, "Error: unexpected end of input"),
        ("no-such-program", Reason.EXIT_CODE, "no-such-program: not found"),
        ("kill -SEGV $$", Reason.KILLED, "SIGSEGV"),
        ("sleep 60", Reason.TIME_LIMIT, "time limit of 1 s"),
    ],
)
def test_every_bad_end_has_its_reason_and_sentence(
    supervision: Supervisor, task: Task, command: str, reason: Reason, words: str
) -> None:
    run = end(submit(task, command, time_limit=1 if reason is Reason.TIME_LIMIT else 60))
    assert (run.state, run.reason) == (RunState.FAILED, reason)
    assert words in run.explanation


@pytest.mark.skipif(os.geteuid() != 0, reason="memory is limited by cgroup only for root")
def test_a_run_that_outgrows_its_memory_says_so(supervision: Supervisor, task: Task) -> None:
    run = end(submit(task, "Rscript -e 'x <- numeric(1e9); x[] <- 1'", memory=128 * 1024**2))
    assert (run.state, run.reason) == (RunState.FAILED, Reason.OUT_OF_MEMORY)
    assert "128 MB" in run.explanation


def test_a_running_run_is_cancelled_when_its_end_is_seen(
    supervision: Supervisor, task: Task
) -> None:
    run = reach(
        submit(task, "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.1; done"),
        RunState.RUNNING,
    )
    until(lambda: log(run) == b"up\n", "its first line")
    services.cancel(user=task.owner, run=run)
    end(run)
    assert (run.state, run.reason, run.explanation) == (
        RunState.CANCELLED,
        Reason.CANCELLED,
        "Cancelled by ada.",
    )
    assert log(run).endswith(b"bye\n")


def test_runs_wait_for_room_and_say_so(supervision: Supervisor, task: Task) -> None:
    first = reach(submit(task, "sleep 60", cpus=2), RunState.RUNNING)
    second = submit(task, "echo next", cpus=1)
    until(lambda: Run.objects.get(pk=second.pk).reason == Reason.NO_ROOM, "an explanation")
    assert "Needs 1 CPU and 256 MB; 0 CPUs" in Run.objects.get(pk=second.pk).explanation
    services.cancel(user=task.owner, run=first)
    assert end(second).state == RunState.SUCCEEDED


def test_an_engine_that_does_not_answer_moves_nothing(
    supervision: Supervisor, task: Task, line: Unreachable
) -> None:
    run = reach(
        submit(task, "while [ ! -e /code/go ]; do sleep 0.05; done; echo done"), RunState.RUNNING
    )
    line.error = BackendUnavailable("The engine does not answer.")
    waiting = submit(task, "echo later")
    until(
        lambda: Run.objects.get(pk=waiting.pk).reason == Reason.BACKEND_UNAVAILABLE,
        "the waiting Run to say why",
    )
    until(
        lambda: Run.objects.get(pk=run.pk).reason == Reason.UNREACHABLE, "the running Run to say so"
    )
    (settings.RCLUSTER_STORAGE / "working_dir" / task.public_id / "code" / "go").touch()
    until(lambda: log(run) == b"done\n", "the script to go on by itself")
    run.refresh_from_db()
    assert run.state == RunState.RUNNING
    line.error = None
    assert end(run).state == RunState.SUCCEEDED
    assert end(waiting).state == RunState.SUCCEEDED


def test_a_start_that_came_to_nothing_is_made_again_and_does_its_work_once(
    supervision: Supervisor, task: Task, line: Unreachable, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []
    launch = line.launch

    def vanish_once(spec: Any) -> None:
        started.append(spec.handle)
        if len(started) == 1:
            raise BackendUnavailable("The engine went away in the middle.")
        launch(spec)

    monkeypatch.setattr(line, "launch", vanish_once, raising=False)
    run = end(submit(task, "echo once >> /output/count"))
    assert (run.state, run.attempt) == (RunState.SUCCEEDED, 2)
    count = settings.RCLUSTER_STORAGE / "working_dir" / task.public_id / "output" / "count"
    assert count.read_text() == "once\n"
    assert not attempts.folder(run.public_id, 1).exists()


def test_a_container_that_is_gone_for_certain_is_lost(supervision: Supervisor, task: Task) -> None:
    run = reach(submit(task, "sleep 60"), RunState.RUNNING)
    backend = site.backend_for("local")
    backend.kill(run.handle)
    backend.remove(run.handle)
    end(run)
    assert (run.state, run.reason) in {
        (RunState.FAILED, Reason.NODE_LOST),
        (RunState.FAILED, Reason.KILLED),
    }


def _has_printed(run: Run, text: bytes) -> bool:
    return log(run) == text


def test_a_lost_run_is_repeated_only_where_its_owner_allowed_it(
    supervision: Supervisor, task: Task
) -> None:
    """Whoever killed the runner itself left no word of the end: as after the loss of a machine."""
    command = "echo x >> /output/{0}; echo up; [ $(wc -l < /output/{0}) -ge 2 ] || sleep 60"
    once = submit(task, command.format("once"))
    again = submit(task, command.format("again"), retry_if_lost=True)
    for run in (once, again):
        reach(run, RunState.RUNNING)
        until(partial(_has_printed, run, b"up\n"), "its work to be done")
        record = attempts.folder(run.public_id, 1) / "exit"
        os.kill(json.loads(record.read_bytes())["pid"], signal.SIGKILL)
    end(once)
    assert (once.state, once.reason, once.attempt) == (RunState.FAILED, Reason.KILLED, 1)
    end(again)
    assert (again.state, again.attempt) == (RunState.SUCCEEDED, 2)


def test_a_new_supervisor_takes_up_what_the_last_one_left(line: Unreachable, task: Task) -> None:
    first = Supervisor()
    first.start()
    run = reach(
        submit(task, "while [ ! -e /code/go ]; do sleep 0.05; done; echo done"), RunState.RUNNING
    )
    first.stop()
    second = Supervisor()
    second.start()
    (settings.RCLUSTER_STORAGE / "working_dir" / task.public_id / "code" / "go").touch()
    assert end(run).state == RunState.SUCCEEDED
    second.stop()


def test_only_one_of_two_supervisors_works(supervision: Supervisor, task: Task) -> None:
    end(submit(task, "true"))
    idle = Supervisor()
    idle.run_pass()
    assert idle._backends == {}


def test_containers_that_nobody_knows_are_swept(supervision: Supervisor, task: Task) -> None:
    run = reach(submit(task, "sleep 60"), RunState.RUNNING)
    Run.objects.filter(pk=run.pk).update(
        state=RunState.FAILED, reason=Reason.NODE_LOST, finished_at=timezone.now()
    )
    backend = site.backend_for("local")
    until(lambda: backend.status(run.handle) is None, "the stranger to be gone")


def test_machines_are_noted_for_pages_and_refusals(supervision: Supervisor, task: Task) -> None:
    until(Machine.objects.exists, "the first word of this machine")
    machine = Machine.objects.get()
    assert (machine.backend, machine.cpus) == ("local", Decimal(2))
    with pytest.raises(services.Refused):
        submit(task, "true", cpus=3)


def test_the_site_remembers_its_backend() -> None:
    assert shutil.which("bwrap")
    assert site.choose_backend("docker") == "docker"
    Site.load()
    Site.objects.update(backend="local")
    assert site.choose_backend("auto") == "local"
    with pytest.raises(site.UnknownBackend):
        site.choose_backend("slurm")
