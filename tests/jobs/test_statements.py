"""What each step of supervision costs in SQL: fixed numbers, whatever else there is in the database.

Placing is counted in test_scheduling.py, submitting in test_services.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs import attempts, services, site
from jobs.backends.base import (
    Backend,
    BackendUnavailable,
    Capabilities,
    ContainerSpec,
    ContainerStatus,
    Life,
    MachineReport,
    Offer,
)
from jobs.models import Machine, Run, RunEvent, Site, Task
from jobs.states import Reason, RunState
from jobs.supervision import launching, observing
from jobs.supervision.cancelling import Canceller
from jobs.supervision.reconciling import Reconciler
from jobs.supervision.supervisor import Supervisor
from tests.factories import make_run, make_task

pytestmark = pytest.mark.django_db


class Engine:
    """Answers as an engine would, at once. Only what is asked of the database is looked at here."""

    name = "local"
    capabilities = Capabilities(images=False, memory="cgroup", network="none")

    def __init__(self) -> None:
        self.there: dict[str, ContainerStatus] = {}
        self.error: BackendUnavailable | None = None

    def runs(self, run: Run, life: Life = Life.RUNNING, **more: Any) -> ContainerStatus:
        self.there[run.handle] = ContainerStatus(run.handle, life, **more)
        return self.there[run.handle]

    def status(self, handle: str) -> ContainerStatus | None:
        return self.there.get(handle)

    def containers(self, known: Mapping[str, str] | None = None) -> dict[str, ContainerStatus]:
        if self.error:
            raise self.error
        return dict(self.there)

    def offers(self) -> list[Offer]:
        return [Offer("here", 4.0, 2**33)]

    def machines(self) -> list[MachineReport]:
        return [MachineReport("here", 4.0, 2**33)]

    def resolve(self, image: str, **options: Any) -> str:
        return ""

    def launch(self, spec: ContainerSpec) -> None: ...
    def stop(self, handle: str, *, grace: float) -> None: ...
    def kill(self, handle: str) -> None: ...
    def remove(self, handle: str) -> None: ...
    def settled(self, status: ContainerStatus) -> None: ...
    def watch(self, notify: Callable[[str], None]) -> None: ...
    def close(self) -> None: ...


@pytest.fixture
def engine() -> Engine:
    Site.load()
    return Engine()


def as_backend(engine: Engine) -> Backend:
    return engine  # type: ignore[return-value]


@contextmanager
def counted() -> Iterator[list[str]]:
    """The statements meanwhile, without those that only open and close transactions."""
    found: list[str] = []
    with CaptureQueriesContext(connection) as captured:
        yield found
    found += [
        query["sql"] for query in captured if not query["sql"].startswith(("SAVEPOINT", "RELEASE"))
    ]


def run_of(task: Task, state: RunState, **fields: Any) -> Run:
    fields.setdefault("number", Run.objects.count() + 1)
    run = make_run(task, state=state, **fields)
    if state is RunState.STARTING:
        attempts.prepare(run.public_id, 1, script_name="main.R", script_text="", stdin=None)
    return Run.objects.as_supervised().get(pk=run.pk)


def busy_portal(engine: Engine) -> None:
    """Others run and wait, and much has ended, in the same Task and elsewhere."""
    task = Task.objects.first() or make_task()
    for each in (task, make_task()):
        for state in (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED, RunState.QUEUED):
            for _ in range(10):
                make_run(each, state=state, number=Run.objects.count() + 1)
        for _ in range(10):
            engine.runs(run_of(each, RunState.RUNNING))
    events = [
        RunEvent(run=run, attempt=1, state=RunState.RUNNING)
        for run in Run.objects.all()
        for _ in range(5)
    ]
    RunEvent.objects.bulk_create(events)
    connection.queries_log.clear()


Step = Callable[[Engine, Task], Callable[[], object]]


def starts(engine: Engine, task: Task) -> Callable[[], object]:
    run = run_of(task, RunState.STARTING)
    status = engine.runs(run)
    return lambda: observing.observe(run, status, as_backend(engine), remove=_keep)


def goes_on(engine: Engine, task: Task) -> Callable[[], object]:
    run = run_of(task, RunState.RUNNING)
    status = engine.runs(run)
    return lambda: observing.observe(run, status, as_backend(engine), remove=_keep)


def ends(engine: Engine, task: Task) -> Callable[[], object]:
    run = run_of(task, RunState.RUNNING)
    status = engine.runs(run, Life.ENDED, exit_code=0)
    return lambda: observing.observe(run, status, as_backend(engine), remove=_keep)


def never_starts(engine: Engine, task: Task) -> Callable[[], object]:
    run = run_of(task, RunState.STARTING)
    return lambda: observing.never_started(run, as_backend(engine))


def is_lost(engine: Engine, task: Task) -> Callable[[], object]:
    run = run_of(task, RunState.RUNNING)
    return lambda: observing.missing(run, as_backend(engine))


def is_cancelled_while_it_waits(engine: Engine, task: Task) -> Callable[[], object]:
    run = run_of(task, RunState.QUEUED)
    return lambda: services.cancel(user=task.owner, run=run)


def is_cancelled_while_it_runs(engine: Engine, task: Task) -> Callable[[], object]:
    run = run_of(task, RunState.RUNNING)
    return lambda: services.cancel(user=task.owner, run=run)


def is_pressed_to_stop(engine: Engine, task: Task) -> Callable[[], object]:
    asked = {"cancel_requested_at": timezone.now(), "cancel_requested_by": task.owner}
    run = run_of(task, RunState.RUNNING, **asked)
    return lambda: Canceller().press(run, as_backend(engine))


def is_stopped_before_it_starts(engine: Engine, task: Task) -> Callable[[], object]:
    asked = {"cancel_requested_at": timezone.now(), "cancel_requested_by": task.owner}
    run = run_of(task, RunState.STARTING, **asked)
    return lambda: Canceller().press(run, as_backend(engine))


def placed(task: Task) -> Run:
    """As scheduling hands it over."""
    run = run_of(task, RunState.STARTING)
    return Run.objects.select_related("task", "environment").get(pk=run.pk)


def is_pulled(engine: Engine, task: Task) -> Callable[[], object]:
    run = placed(task)
    return lambda: launching.pull(run, as_backend(engine))


def is_launched(engine: Engine, task: Task) -> Callable[[], object]:
    run = placed(task)
    return lambda: launching.start(run, as_backend(engine))


def _keep(backend: Backend, handle: str) -> None: ...


@pytest.mark.parametrize(
    ("step", "statements"),
    [
        (starts, 2),
        (goes_on, 0),
        (ends, 2),
        (never_starts, 2),
        (is_lost, 2),
        (is_cancelled_while_it_waits, 5),
        (is_cancelled_while_it_runs, 4),
        (is_pressed_to_stop, 0),
        (is_stopped_before_it_starts, 2),
        (is_pulled, 1),
        (is_launched, 2),
    ],
)
def test_a_step_of_one_run_costs_the_same_whatever_else_there_is(
    engine: Engine, step: Step, statements: int
) -> None:
    task = make_task()
    alone = step(engine, task)
    with counted() as before:
        alone()
    busy_portal(engine)
    crowded = step(engine, task)
    with counted() as after:
        crowded()
    assert len(after) == len(before) == statements, "\n".join(after)


def test_reconciling_costs_the_same_for_one_run_and_for_many(engine: Engine) -> None:
    reconciler = Reconciler(under_way=frozenset, remove=_keep)

    def reconcile() -> list[str]:
        with counted() as statements:
            reconciler.reconcile(as_backend(engine))
        return statements

    engine.runs(run_of(make_task(), RunState.RUNNING))
    assert len(reconcile()) == 2
    busy_portal(engine)
    assert len(found := reconcile()) == 2, "\n".join(found)
    for number in range(5):
        engine.there[f"rcluster-stranger{number}-1"] = ContainerStatus(
            f"rcluster-stranger{number}-1", Life.ENDED
        )
    reconcile()
    assert len(found := reconcile()) == 3, "\n".join(found)


def test_an_engine_that_stays_away_is_told_once(engine: Engine) -> None:
    reconciler = Reconciler(under_way=frozenset, remove=_keep)
    busy_portal(engine)
    engine.error = BackendUnavailable("The engine does not answer.")
    reconciler.reconcile(as_backend(engine))
    assert Run.objects.filter(reason=Reason.UNREACHABLE).count() == 20
    with counted() as statements:
        reconciler.reconcile(as_backend(engine))
    assert len(statements) == 2, "\n".join(statements)


def test_a_pass_with_nothing_to_do_costs_the_same_whatever_runs_and_has_ended(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole of it: the lease, cancels, the queue, reconciling, the machines."""
    monkeypatch.setattr(site, "backend_for", lambda name: engine)
    Site.objects.update(backend="local")
    supervisor = Supervisor()

    def cost() -> int:
        supervisor._next_reconcile = supervisor._next_machines = 0.0  # All of it is due.
        with counted() as statements:
            supervisor.run_pass()
        return len(statements)

    make_task()
    cost()  # takes the lease, makes the backend, notes the machine
    idle = cost()
    busy_portal(engine)
    Run.objects.waiting().delete()
    assert cost() == idle <= 9
    assert Machine.objects.count() == 1
    supervisor.stop()
