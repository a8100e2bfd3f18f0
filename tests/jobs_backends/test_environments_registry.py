"""Environments with a real registry: from a tag to what a Run really had, through every change."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from files import storage
from jobs import services, site
from jobs.models import Environment, EnvironmentState, Run, Task
from jobs.services import RunRequest
from jobs.services.environments import managed_environments, newer_image
from jobs.states import Reason, RunState
from jobs.supervision.supervisor import Supervisor
from tests.contract.registry import Registry
from tests.factories import make_environment, make_user
from tests.jobs.supervising import end, log, reach
from tests.jobs_backends.fake_r import FakeR, SlowLine
from tests.waiting import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.docker, pytest.mark.slow]


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    made = Registry(tmp_path)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def images(tmp_path: Path, r_image: str) -> Iterator[FakeR]:
    made = FakeR(tmp_path)
    yield made
    made.clean()


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch, r_image: str, runner_build: Path) -> Task:
    """Somebody's, with the portal on the docker backend."""
    monkeypatch.setattr(settings, "RCLUSTER_RUNNER_DIR", runner_build)
    for module in ("scheduling", "launching"):
        monkeypatch.setattr(f"jobs.supervision.{module}.RETRY_AFTER", timedelta(seconds=1))
    site.store_backend("docker")
    make_environment("r", image=r_image, is_default=True, pull_policy="never")
    task = services.create_task(user=make_user("ada"), name="Rivers")
    code = storage.area(task.public_id, "code")
    for name in ("main.R", "wait.R"):
        code.write(name, [b"# what an Rscript of ours makes of it\n"], limit=100)
    return task


@pytest.fixture
def supervision(task: Task) -> Iterator[Supervisor]:
    running = Supervisor()
    running.start()
    yield running
    root = make_user("cleaner", staff=True)
    for run in Run.objects.unfinished():
        services.cancel(user=root, run=run)
    running.wake()
    until(lambda: not Run.objects.unfinished().exists(), "all Runs to end", seconds=40)
    running.stop()


def add(image: str, **fields: Any) -> Environment:
    root = make_user("root", staff=True)
    return services.add_environment(user=root, name="Team R", image=image, **fields)


def checked(environment: Environment) -> Environment:
    """When its present check has ended."""
    run = managed_environments().get(pk=environment.pk).check_run
    assert run is not None
    end(run)
    return managed_environments().get(pk=environment.pk)


def start(task: Task, environment: Environment, script: str = "main.R") -> Run:
    request = RunRequest(
        kind="script", script_path=script, environment=environment, cpus=0.5, memory=2**28
    )
    return services.submit(user=task.owner, task=task, request=request)


def test_the_next_run_has_the_newest_and_a_running_one_keeps_its_own(
    supervision: Supervisor, task: Task, registry: Registry, images: FakeR
) -> None:
    name = f"{registry.name}/team/r:4"
    first = images.push(name, "one")
    environment = checked(add(name))
    assert environment.state is EnvironmentState.READY
    assert environment.tested_digest == first
    long = reach(start(task, environment, "wait.R"), RunState.RUNNING)

    second = images.push(name, "two")
    assert second != first
    short = end(start(task, environment))
    assert (short.state, short.image_digest, log(short)) == (
        RunState.SUCCEEDED,
        second,
        b"two begins\ntwo ends\n",
    )
    newer = newer_image(environment)
    assert newer is not None
    assert (newer.digest, newer.run) == (second, short)

    long.refresh_from_db()
    assert (long.state, long.image_digest, log(long)) == (RunState.RUNNING, first, b"one begins\n")
    storage.area(task.public_id, "code").write("go", [b""], limit=1)
    assert end(long).state == RunState.SUCCEEDED
    assert log(long) == b"one begins\none ends\n"

    services.check_environment(
        user=environment.check_run.submitted_by,  # type: ignore[union-attr]
        environment=environment,
    )
    environment = checked(environment)
    assert environment.tested_digest == second
    assert newer_image(environment) is None


def test_a_registry_that_is_down_is_waited_for_by_runs_and_by_checks(
    supervision: Supervisor, task: Task, registry: Registry, images: FakeR
) -> None:
    name = f"{registry.name}/team/r:4"
    images.push(name, "one")
    registry.stop()
    environment = add(name)
    check = environment.check_run
    assert check is not None

    def waits(run: Run) -> bool:
        run.refresh_from_db()
        return (run.state, run.reason) == (RunState.QUEUED, Reason.REGISTRY_UNAVAILABLE)

    until(lambda: waits(check), "the check to wait for the registry")
    assert f"The registry of {name} does not answer" in check.explanation
    assert managed_environments().get(pk=environment.pk).state is EnvironmentState.CHECKING
    registry.start()
    environment = checked(environment)
    assert environment.state is EnvironmentState.READY

    registry.stop()
    run = start(task, environment)
    until(lambda: waits(run), "the Run to wait for the registry")
    assert f"The registry of {name} does not answer" in run.explanation
    registry.start()
    assert end(run).state == RunState.SUCCEEDED


def test_how_far_a_pull_is_can_be_seen(
    supervision: Supervisor, registry: Registry, images: FakeR
) -> None:
    images.ballast = 16 * 10**6
    images.push(f"{registry.name}/team/r:4", "heavy")
    line = SlowLine(registry.port, rate=2e6)
    environment = add(f"{line.name}/team/r:4")
    run = environment.check_run
    assert run is not None
    seen: list[tuple[int, int]] = []

    def ended() -> bool:
        run.refresh_from_db()
        told = re.search(r": (\d+) of (\d+) MB", run.explanation)
        if told and run.reason == Reason.PULLING:
            far = (int(told[1]), int(told[2]))
            if not seen or seen[-1] != far:
                seen.append(far)
            if len(seen) >= 2:
                line.hurry()
        return run.is_final

    until(ended, "the check", seconds=40)
    line.close()
    assert run.state == RunState.SUCCEEDED, run.explanation
    assert len(seen) >= 2, seen
    assert seen == sorted(seen)
    assert all(total == 16 for _, total in seen)


def test_a_package_that_is_missing_closes_it_and_says_so(
    supervision: Supervisor, r_image: str
) -> None:
    environment = checked(add(r_image, pull_policy="never", packages=["stats", "nosuchpackage"]))
    assert environment.state is EnvironmentState.FAILED
    run = environment.check_run
    assert run is not None
    assert "there is no package called ‘nosuchpackage’" in run.explanation
    printed = log(run).decode()
    assert re.search(r"^stats +\d", printed, re.MULTILINE)
    assert "nosuchpackage        failed" in printed
    root = run.submitted_by
    services.change_environment(user=root, environment=environment, packages=["stats", "parallel"])
    environment = checked(environment)
    assert environment.state is EnvironmentState.READY
    assert environment.tested_digest.startswith("sha256:")


def test_an_image_that_the_registry_has_not(supervision: Supervisor, registry: Registry) -> None:
    environment = checked(add(f"{registry.name}/team/no-such:1"))
    assert environment.state is EnvironmentState.FAILED
    assert environment.check_run is not None
    assert environment.check_run.reason == Reason.IMAGE_NOT_FOUND
