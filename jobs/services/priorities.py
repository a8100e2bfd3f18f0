"""An administrator moves a waiting Run in the line: higher priorities go before all lower ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction

from accounts import audit
from accounts.audit import Action
from jobs import notify
from jobs.models import Lane, Run
from jobs.services.refused import Refused
from jobs.services.rights import staff_only
from jobs.states import RunState

if TYPE_CHECKING:
    from accounts.models import User

LOWEST, HIGHEST = -9, 9
"""0 is usual; the checks of Environments have more than anybody can give (runs.CHECK_PRIORITY)"""


def prioritize(*, user: User, run: Run, priority: int) -> Run:
    """Only while it waits in line. Safe to repeat. A Run that is run again begins at 0."""
    staff_only(user, "change a Run's priority")
    if not LOWEST <= priority <= HIGHEST:
        raise Refused(f"Give a priority from {LOWEST} to {HIGHEST}; 0 is usual.", field="priority")
    with transaction.atomic():
        waiting = Run.objects.filter(pk=run.pk, state=RunState.QUEUED, lane=Lane.QUEUE)
        changed = waiting.exclude(priority=priority).update(priority=priority)
        if not changed and not waiting.exists():
            raise Refused(
                "Quick commands have no place in the line: they start before it."
                if run.lane == Lane.QUICK
                else "This Run does not wait any more, so its priority changes nothing."
            )
        before = run.priority
        run.refresh_from_db(fields=["priority"])
        if changed:
            audit.note(
                user,
                Action.RUN_PRIORITIZED,
                subject=f"{run.task.name} #{run.number}",
                subject_id=run.public_id,
                detail=f"{priority} instead of {before}",
            )
            transaction.on_commit(lambda: notify.run_changed(run))
            transaction.on_commit(notify.wake_supervision)
    return run
