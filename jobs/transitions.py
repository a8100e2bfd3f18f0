"""advance(): the only writer of a Run's state.

One conditional UPDATE decides who moves a Run; zero rows means that another got there first,
and that is fine. The timeline is written in the same transaction, the news goes out on commit.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db import transaction
from django.utils import timezone

from jobs import notify
from jobs.models import Run, RunEvent
from jobs.states import FINAL, MOVES, Reason, RunState


class IllegalMove(ValueError):
    """The code asked for a move that states.MOVES does not know: a defect of ours."""


def advance(
    run: Run,
    to: RunState,
    *,
    since: Collection[RunState],
    reason: Reason = Reason.NONE,
    explanation: str = "",
    next_attempt: bool = False,
    **fields: Any,
) -> bool:
    """Move `run` to `to` if it is still the attempt that we know, in one of the states `since`.

    `fields` are written in the same statement. `next_attempt` counts the attempt up (a new start).
    True: moved, and `run` has what was written. False: another got there first, or a cancel was
    requested and `to` is on the way to a start; nothing was written.
    """
    for state in since:
        if (state, to) not in MOVES:
            raise IllegalMove(f"{state} -> {to}")
    now = timezone.now()
    changes: dict[str, Any] = {"state": to, "reason": reason, "explanation": explanation, **fields}
    if to in FINAL:
        # Clocks differ between machines; an end before the beginning would be refused.
        changes["finished_at"] = max(now, run.created_at)
    if next_attempt:
        changes["attempt"] = run.attempt + 1
    with transaction.atomic():
        rows = Run.objects.filter(pk=run.pk, attempt=run.attempt, state__in=since)
        if to in (RunState.QUEUED, RunState.STARTING):
            # Whoever asked for its end must not see it start, or start again.
            rows = rows.filter(cancel_requested_at__isnull=True)
        if not rows.update(**changes):
            return False
        for name, value in changes.items():
            setattr(run, name, value)
        record(run, at=now)
    return True


def record(run: Run, *, at: Any = None) -> None:
    """Add the Run's present state to its timeline and tell its watchers once that is committed."""
    RunEvent.objects.create(
        run=run,
        at=at or timezone.now(),
        attempt=run.attempt,
        state=run.state,
        reason=run.reason,
        explanation=run.explanation,
    )
    transaction.on_commit(lambda: notify.run_changed(run))


def explain(run: Run, reason: Reason, explanation: str, *, noted: bool = False) -> bool:
    """Say why the Run is where it is, without moving it. Writes only when the sentence is new.

    `noted`: its timeline keeps the moment, too.
    """
    if (run.reason, run.explanation) == (reason, explanation):
        return False
    with transaction.atomic():
        written = Run.objects.filter(pk=run.pk, attempt=run.attempt, state=run.state).update(
            reason=reason, explanation=explanation
        )
        if written:
            run.reason, run.explanation = reason, explanation
            if noted:
                record(run)
            else:
                transaction.on_commit(lambda: notify.run_changed(run))
    return bool(written)
