"""QUEUED -> STARTING: free room goes to the Runs that are next; the others are told why they wait."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta

from django.db.models import Sum
from django.utils import timezone

from jobs import attempts, queue
from jobs.backends.base import Backend, BackendUnavailable
from jobs.models import Run
from jobs.services import script_name
from jobs.states import Reason, RunState
from jobs.transitions import advance, explain

log = logging.getLogger(__name__)

AT_ONCE = 500
"""waiting Runs looked at in one pass"""
RETRY_AFTER = timedelta(seconds=15)
"""until a Run is tried again after its registry or storage failed it"""


def schedule(backend: Backend, launch: Callable[[Run], None]) -> None:
    """Place what fits on `backend` and hand it to `launch` (which returns at once)."""
    waiting = (
        Run.objects.waiting().select_related("task", "environment").order_by("-priority", "id")
    )
    now = timezone.now()
    ready = [run for run in waiting[:AT_ONCE] if run.not_before is None or run.not_before <= now]
    if not ready:
        return
    try:
        rooms = _rooms(backend)
    except BackendUnavailable as error:
        for run in ready:
            explain(run, Reason.BACKEND_UNAVAILABLE, f"Waiting: {error}")
        return
    suited = [run for run in ready if run.environment.uses_image == backend.capabilities.images]
    plan = queue.plan((queue.Need(run.pk, float(run.cpus), run.memory) for run in suited), rooms)
    for run in ready:
        if run.pk in plan.placements:
            if _place(run, backend, plan.placements[run.pk]):
                launch(run)
        elif run.pk in plan.waits:
            explain(run, plan.waits[run.pk].reason, plan.waits[run.pk].explanation)
        else:
            explain(run, Reason.BACKEND_UNAVAILABLE, _unsuited(run, backend))


def _rooms(backend: Backend) -> list[queue.Room]:
    """What the machines offer, less what active Runs hold there."""
    held = {
        row["machine"]: (float(row["cpus_held"]), row["memory_held"])
        for row in Run.objects.active()
        .filter(backend=backend.name)
        .order_by()
        .values("machine")
        .annotate(cpus_held=Sum("cpus"), memory_held=Sum("memory"))
    }
    rooms = []
    for offer in backend.offers():
        cpus, memory = held.get(offer.machine, (0.0, 0))
        free = max(0.0, offer.cpus - cpus), max(0, offer.memory - memory)
        rooms.append(queue.Room(offer.machine, offer.cpus, offer.memory, *free))
    return rooms


def _unsuited(run: Run, backend: Backend) -> str:
    needs = "an image" if run.environment.uses_image else "the R of a machine"
    return (
        f"The environment “{run.environment.name}” needs {needs}, which the backend “{backend.name}” "
        "does not offer. Cancel it and run it in another environment."
    )


def _place(run: Run, backend: Backend, machine: str) -> bool:
    """Write the attempt's folder with its permit, then say STARTING. False: it stays in the queue."""
    try:
        attempts.prepare(
            run.public_id,
            run.attempt + 1,
            script_name=script_name(run),
            script_text=run.script_text,
            stdin=run.stdin,
        )
    except OSError as error:
        log.warning("Run %s: no attempt folder: %s", run.public_id, error)
        explain(
            run,
            Reason.STORAGE_UNAVAILABLE,
            f"Waiting: the storage refuses new files ({error.strerror}).",
        )
        Run.objects.filter(pk=run.pk, state=RunState.QUEUED).update(
            not_before=timezone.now() + RETRY_AFTER
        )
        return False
    return advance(
        run,
        RunState.STARTING,
        since={RunState.QUEUED},
        reason=Reason.LAUNCHING,
        next_attempt=True,
        backend=backend.name,
        machine=machine,
        placed_at=timezone.now(),
        not_before=None,
    )
