"""Supervision on the real Docker engine: what only images and an engine of its own can do wrong."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import timezone

from jobs import services, site
from jobs.models import Environment, Run, Task
from jobs.services import RunRequest
from jobs.states import Reason, RunState
from jobs.supervision import observing, supervisor
from jobs.supervision.supervisor import Supervisor
from tests.factories import make_environment, make_user
from tests.jobs.relay import Relay
from tests.jobs.supervising import end, log, reach, submit
from tests.waiting import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.docker, pytest.mark.slow]


@pytest.fixture
def line(tmp_path: Path, r_image: str) -> Iterator[Relay]:
    relay = Relay(tmp_path / "engine.sock", settings.RCLUSTER_DOCKER_HOST.removeprefix("unix://"))
    relay.up()
    yield relay
    relay.down()


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch, line: Relay, r_image: str, runner_build: Path) -> Task:
    monkeypatch.setattr(settings, "RCLUSTER_DOCKER_HOST", f"unix://{line.path}")
    monkeypatch.setattr(settings, "RCLUSTER_RUNNER_DIR", runner_build)
    monkeypatch.setattr(supervisor, "RECONCILE_EVERY", 0.5)
    monkeypatch.setattr(observing, "START_GRACE", 2.0)
    for module in ("scheduling", "launching"):
        monkeypatch.setattr(f"jobs.supervision.{module}.RETRY_AFTER", timedelta(seconds=1))
    site.store_backend("docker")
    make_environment("r", image=r_image, is_default=True, pull_policy="never")
    return services.create_task(user=make_user("ada"), name="Rivers")


@pytest.fixture
def supervision(task: Task, line: Relay) -> Iterator[Supervisor]:
    running = Supervisor()
    running.start()
    yield running
    for run in Run.objects.active():
        services.cancel(user=run.submitted_by, run=run)
    running.wake()
    until(lambda: not Run.objects.active().exists(), "all Runs to end", seconds=40)
    running.stop()


def in_environment(task: Task, image: str, *, pull: str) -> RunRequest:
    environment = Environment.objects.create(
        slug="other", name="Other", image=image, pull_policy=pull, ready_at=timezone.now()
    )
    return RunRequest(
        kind="command", command="echo hello", environment=environment, cpus=0.5, memory=2**28
    )


def test_a_run_records_the_image_that_it_ran_in(supervision: Supervisor, task: Task) -> None:
    run = end(submit(task, "Rscript -e 'cat(R.version$language)'"))
    assert (run.state, run.explanation) == (RunState.SUCCEEDED, "")
    assert log(run) == b"R"
    assert run.image_digest.startswith("sha256:")


@pytest.mark.parametrize(
    ("command", "reason", "words"),
    [
        ("exit 3", Reason.EXIT_CODE, "exit status 3"),
        ("Rscript -e 'x <- ('", Reason.EXIT_CODE, "Error: unexpected end of input"),
        (
            "Rscript -e 'read.csv(\"/input/no.csv\")'",
            Reason.EXIT_CODE,
            "cannot open the connection",
        ),
        ("Rscript -e 'x <- numeric(1e9); x[] <- 1'", Reason.OUT_OF_MEMORY, "256 MB were"),
        (
            "Rscript -e 'x <- numeric(1e9); x[] <- 1' & wait; true",
            Reason.OUT_OF_MEMORY,
            "One of its processes",
        ),
        ("sleep 60", Reason.TIME_LIMIT, "1 s"),
    ],
)
def test_every_bad_end_has_its_reason_and_sentence(
    supervision: Supervisor, task: Task, command: str, reason: Reason, words: str
) -> None:
    run = end(submit(task, command, time_limit=1 if reason is Reason.TIME_LIMIT else 60))
    assert (run.state, run.reason) == (RunState.FAILED, reason), run.explanation
    assert words in run.explanation


def test_an_image_that_is_not_there_fails_the_run(supervision: Supervisor, task: Task) -> None:
    request = in_environment(task, "rcluster/no-such-image:1", pull="never")
    run = end(services.submit(user=task.owner, task=task, request=request))
    assert (run.state, run.reason) == (RunState.FAILED, Reason.IMAGE_NOT_FOUND)
    assert "rcluster/no-such-image:1" in run.explanation


def test_a_registry_that_is_down_keeps_the_run_waiting(supervision: Supervisor, task: Task) -> None:
    request = in_environment(task, "127.0.0.1:9/team/r:1", pull="always")
    run = services.submit(user=task.owner, task=task, request=request)
    until(lambda: Run.objects.get(pk=run.pk).reason == Reason.REGISTRY_UNAVAILABLE, "it to say so")
    found = Run.objects.get(pk=run.pk)
    assert found.state == RunState.QUEUED
    assert "127.0.0.1:9" in found.explanation
    services.cancel(user=task.owner, run=found)


def test_an_image_without_r_says_so(supervision: Supervisor, task: Task, tmp_path: Path) -> None:
    image = "rcluster/test-empty:1"
    archive = tmp_path / "empty.tar"
    (tmp_path / "etc").mkdir()
    subprocess.run(["tar", "-C", tmp_path, "-cf", archive, "etc"], check=True)
    subprocess.run(["docker", "import", archive, image], check=True, capture_output=True)
    from files import storage

    storage.area(task.public_id, "code").write("a.R", [b"cat(1)"], limit=100)
    request = in_environment(task, image, pull="never")
    request = RunRequest(
        kind="script", script_path="a.R", environment=request.environment, memory=2**28
    )
    run = end(services.submit(user=task.owner, task=task, request=request))
    assert (run.state, run.reason) == (RunState.FAILED, Reason.COMMAND_NOT_FOUND)
    assert "no R in the environment" in run.explanation


def test_a_stopped_engine_moves_nothing_and_its_runs_go_on(
    supervision: Supervisor, task: Task, line: Relay
) -> None:
    run = reach(
        submit(task, "while [ ! -e /code/go ]; do sleep 0.05; done; echo done"), RunState.RUNNING
    )
    line.down()
    waiting = submit(task, "echo later")
    until(
        lambda: Run.objects.get(pk=waiting.pk).reason == Reason.BACKEND_UNAVAILABLE,
        "the waiting Run to say why",
    )
    until(
        lambda: Run.objects.get(pk=run.pk).reason == Reason.UNREACHABLE, "the running Run to say so"
    )
    assert "The Docker engine does not answer" in Run.objects.get(pk=waiting.pk).explanation
    (Path(settings.RCLUSTER_STORAGE) / "working_dir" / task.public_id / "code" / "go").touch()
    until(lambda: log(run) == b"done\n", "the script to go on by itself")
    assert Run.objects.get(pk=run.pk).state == RunState.RUNNING
    line.up()
    assert end(run).state == RunState.SUCCEEDED
    assert end(waiting).state == RunState.SUCCEEDED


def test_no_container_is_left_behind(supervision: Supervisor, task: Task) -> None:
    run = end(submit(task, "true"))
    backend = site.backend_for("docker")
    until(lambda: backend.status(run.handle) is None, "the container to be removed")
    backend.close()
