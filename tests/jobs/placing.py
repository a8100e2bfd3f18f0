"""What tests of placing share: machines on which nothing is ever launched, and Runs by the dozen."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from jobs.backends.base import Backend, BackendUnavailable, Capabilities, Offer
from jobs.models import Machine, Run, Task
from jobs.states import RunState
from jobs.supervision import scheduling
from tests.factories import make_environment, make_run

GB = 1024**3


class Machines:
    """What scheduling asks of a backend: only offers. Nothing is ever launched on it."""

    name = "local"
    capabilities = Capabilities(images=False, memory="cgroup", network="none")

    def __init__(self, *offers: Offer) -> None:
        self.there = offers
        self.error: BackendUnavailable | None = None

    def offers(self) -> list[Offer]:
        if self.error:
            raise self.error
        return list(self.there)


def schedule(backend: Machines, **options: Any) -> list[Run]:
    launched: list[Run] = []
    as_backend: Backend = backend  # type: ignore[assignment]
    scheduling.schedule(as_backend, launched.append, **options)
    return launched


def note_machine(name: str, **fields: Any) -> Machine:
    """As supervision notes it for the pages."""
    fields = {"cpus": 4, "memory": 8 * GB, "heard_at": timezone.now(), **fields}
    return Machine.objects.create(name=name, backend="local", **fields)


def waiting_runs(task: Task, count: int, **fields: Any) -> list[Run]:
    """Many at once, in order."""
    first = Run.objects.count() + 1
    environment = make_environment()
    request = {"kind": "command", "command": "ls", "cpus": 1, "memory": GB, "time_limit": 60}
    rows = [
        Run(
            task=task,
            number=first + at,
            submitted_by=task.owner,
            **{"environment": environment, **request, **fields},
        )
        for at in range(count)
    ]
    return Run.objects.bulk_create(rows, batch_size=500)


def active_run(task: Task, **fields: Any) -> Run:
    fields.setdefault("machine", "vm")
    fields.setdefault("number", Run.objects.count() + 1)
    return make_run(task, state=RunState.RUNNING, **fields)


def told(run: Run) -> str:
    run.refresh_from_db()
    return run.explanation
