"""When supervision looks: what is heard is never lost, and nothing makes it look in vain."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jobs import site
from jobs.backends.base import Life
from jobs.models import Run, Site, Task
from jobs.states import RunState
from jobs.supervision.supervisor import Supervisor
from tests.factories import make_task

from .test_statements import Engine, run_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    engine = Engine()
    monkeypatch.setattr(site, "backend_for", lambda name: engine)
    Site.load()
    Site.objects.update(backend="local")
    return engine


@pytest.fixture
def task() -> Task:
    return make_task()


@pytest.fixture
def supervisor(engine: Engine) -> Iterator[Supervisor]:
    idle = Supervisor()
    idle.run_pass()
    assert not wakes(idle)
    yield idle
    idle.stop()


def wakes(supervisor: Supervisor) -> bool:
    """Would it make a pass now? Asking takes the wish away, as a pass does."""
    wanted = supervisor._wake.is_set()
    supervisor._wake.clear()
    return wanted


def being_launched(supervisor: Supervisor, task: Task) -> Run:
    run = run_of(task, RunState.STARTING)
    supervisor._launcher._under_way.add(run.handle)
    return run


def launched(supervisor: Supervisor, run: Run, state: RunState = RunState.RUNNING) -> None:
    run.state = state
    run.save(update_fields=["state"])
    supervisor._launcher._over(run)


def test_an_end_during_the_launch_is_seen_after_it(
    supervisor: Supervisor, engine: Engine, task: Task
) -> None:
    run = being_launched(supervisor, task)
    engine.runs(run, Life.ENDED, exit_code=0)
    supervisor._heard_of("local", run.handle)
    assert not wakes(supervisor), "its launch is not over: nobody would look"
    supervisor.run_pass()  # for some other reason
    run.refresh_from_db()
    assert run.state == RunState.STARTING
    launched(supervisor, run)
    assert wakes(supervisor)
    supervisor.run_pass()
    run.refresh_from_db()
    assert run.state == RunState.SUCCEEDED


def test_a_launch_that_ends_in_the_middle_of_a_pass_is_heard_of(
    supervisor: Supervisor, engine: Engine, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = being_launched(supervisor, task)
    engine.runs(run, Life.ENDED, exit_code=0)
    supervisor._heard_of("local", run.handle)
    look = supervisor._launcher.under_way

    def look_and_be_late() -> frozenset[str]:
        found = look()
        if run.handle in found:
            launched(supervisor, run)
        return found

    monkeypatch.setattr(supervisor._launcher, "under_way", look_and_be_late)
    supervisor._observe_heard()
    assert wakes(supervisor)
    supervisor.run_pass()
    run.refresh_from_db()
    assert run.state == RunState.SUCCEEDED


@pytest.mark.parametrize(
    ("state", "look"),
    [(RunState.RUNNING, False), (RunState.STARTING, True), (RunState.QUEUED, True)],
)
def test_only_a_launch_that_left_a_question_makes_a_pass(
    supervisor: Supervisor, task: Task, state: RunState, look: bool
) -> None:
    launched(supervisor, being_launched(supervisor, task), state)
    assert wakes(supervisor) is look


def test_those_who_wait_are_told_twice_a_second_at_most(
    supervisor: Supervisor, engine: Engine, task: Task
) -> None:
    first, second = (run_of(task, RunState.QUEUED, cpus=64) for _ in range(2))
    supervisor._next_words = 0.0
    supervisor.run_pass()
    second.refresh_from_db()
    assert second.ahead == 1
    Run.objects.filter(pk=first.pk).delete()
    supervisor.run_pass()
    second.refresh_from_db()
    assert second.ahead == 1
    supervisor._next_words = 0.0
    supervisor.run_pass()
    second.refresh_from_db()
    assert second.ahead == 0
