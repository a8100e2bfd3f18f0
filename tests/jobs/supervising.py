"""What tests of supervision share: submitting, and waiting for a Run to get somewhere."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from jobs import attempts, services
from jobs.models import Run, Task
from jobs.services import RunRequest
from jobs.states import RunState
from tests.waiting import until


def submit(task: Task, command: str, **more: Any) -> Run:
    more.setdefault("memory", 256 * 1024**2)
    more.setdefault("cpus", Decimal("0.5"))
    request = RunRequest(kind="command", command=command, **more)
    return services.submit(user=task.owner, task=task, request=request)


def reach(run: Run, *states: RunState, seconds: float = 30) -> Run:
    def there() -> bool:
        run.refresh_from_db()
        return run.state in states

    until(there, f"{' or '.join(states)} (it is {run.state})", seconds=seconds)
    return run


def end(run: Run) -> Run:
    return reach(run, RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED)


def log(run: Run) -> bytes:
    return (attempts.folder(run.public_id, run.attempt) / "log").read_bytes()
