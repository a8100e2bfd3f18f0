"""What a backend says of a container -> where its Run is. Safe to repeat, in any order."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from django.conf import settings
from django.utils import timezone

from jobs import attempts
from jobs.attempts import Permit
from jobs.backends.base import Backend, ContainerStatus, Life
from jobs.backends.exit_record import ExitRecord
from jobs.endings import NEVER_RAN, Facts, conclude, duration
from jobs.models import Lane, Run
from jobs.states import ACTIVE, Reason, RunState
from jobs.supervision.launching import back_to_queue
from jobs.supervision.spec import command_of
from jobs.transitions import advance, explain

START_GRACE = 15.0
"""seconds that a launch may take to become visible before it counts as never started"""
DEADLINE_GRACE = 30.0
"""seconds beyond limit and grace that the runner is given to end a Run before the engine does"""
LAUNCHES = 3
"""starts on machines of a cluster until a launch that fails is the Run's own failure"""

Remove = Callable[[Backend, str], None]


def observe(run: Run, status: ContainerStatus, backend: Backend, *, remove: Remove) -> None:
    """Move the Run to where its container is. Raises BackendUnavailable, OSError: nothing moved."""
    match status.life:
        case Life.RUNNING:
            _runs(run, status, backend)
        case Life.ENDED:
            _finish(run, status, backend, remove)
        case Life.UNREACHABLE:
            _no_word(run, status, backend)
        case Life.GONE:
            is_gone(run, status.sentence)
        case Life.STAGING if run.state == RunState.STARTING:
            if overdue(run, settings.RCLUSTER_PULL_TIMEOUT):
                never_started(run, backend)
            else:
                explain(run, Reason.LAUNCHING, f"Starting on {run.machine}.")
        case Life.CREATED if run.state == RunState.STARTING and overdue(run, START_GRACE):
            never_started(run, backend)


def _runs(run: Run, status: ContainerStatus, backend: Backend) -> None:
    if run.state == RunState.STARTING:
        started = _moment(status.started_at) or timezone.now()
        advance(run, RunState.RUNNING, since={RunState.STARTING}, started_at=started)
        return
    if run.reason in (Reason.UNREACHABLE, Reason.BACKEND_UNAVAILABLE):
        explain(run, Reason.NONE, "")
    _enforce_deadline(run, backend)


def _no_word(run: Run, status: ContainerStatus, backend: Backend) -> None:
    """Its machine is silent: one that runs stays as it is, one that did not start is started anew."""
    if run.state == RunState.STARTING:
        never_started(run, backend)
    elif run.reason != Reason.UNREACHABLE:
        sentence = f"{status.sentence} The Run goes on as far as we know."
        explain(run, Reason.UNREACHABLE, sentence.strip())


def is_gone(run: Run, why: str) -> None:
    """Positive word that its container is no more: back to the queue if it never began."""
    sentence = f"{why} It starts again.".strip()
    # A single mishap costs no time; what happens again and again gets rarer.
    if not back_to_queue(run, Reason.NEVER_STARTED, sentence, wait=run.attempt > 2):
        _gone(run, why)


def missing(run: Run, backend: Backend) -> None:
    """The engine answers and its list has no container of this Run."""
    if run.state == RunState.STARTING:
        if overdue(run, START_GRACE):
            never_started(run, backend)
    elif backend.status(run.handle) is None:
        _gone(run)


def never_started(run: Run, backend: Backend) -> None:
    """Back to the queue if the permit can be revoked; otherwise it did start, and is lost if it is gone."""
    # A script that forges this, where it can reach the permit, shall not do so every second.
    wait = run.state == RunState.RUNNING
    sentence = "The last start came to nothing; it starts again."
    if back_to_queue(run, Reason.NEVER_STARTED, sentence, wait=wait):
        backend.remove(run.handle)
    elif backend.status(run.handle) is None:
        _gone(run)


def overdue(run: Run, grace: float) -> bool:
    """Was it placed longer than `grace` seconds ago?"""
    return run.placed_at is None or (timezone.now() - run.placed_at).total_seconds() > grace


def _enforce_deadline(run: Run, backend: Backend) -> None:
    """The runner ends a Run at its limit; this is for a runner that can't."""
    ran_for = (timezone.now() - run.started_at).total_seconds() if run.started_at else 0.0
    if _is_far_over(run, ran_for):
        backend.kill(run.handle)


def _is_far_over(run: Run, ran_for: float) -> bool:
    return 0 < run.time_limit < ran_for - settings.RCLUSTER_GRACE - DEADLINE_GRACE


def _finish(run: Run, status: ContainerStatus, backend: Backend, remove: Remove) -> None:
    unknown = status.exit_code is None and not status.error and not status.out_of_memory
    claimed = attempts.permit(run.public_id, run.attempt) is Permit.TAKEN
    if status.error and not claimed and _may_try_elsewhere(run, backend):
        sentence = f"It could not be started on {run.machine}: {status.error} It is tried again."
        if back_to_queue(run, Reason.NEVER_STARTED, sentence):
            remove(backend, run.handle)
            return
    if not (claimed or status.error) and (
        status.exit_code == NEVER_RAN or (unknown and run.state == RunState.STARTING)
    ):
        # Also of one that we took for RUNNING: its runner gave the permit back.
        never_started(run, backend)
        return
    if unknown and run.retry_if_lost:
        # The machine or its engine went away with it, and nobody knows more.
        _gone(run)
        remove(backend, run.handle)
        return
    record = attempts.read_record(run.public_id, run.attempt)
    record = record if record is not None and record.ended else None
    started = run.started_at or _moment(status.started_at) or run.placed_at
    ending = conclude(_facts(run, status, record, started, claimed))
    moved = advance(
        run,
        ending.state,
        since=ACTIVE,
        reason=ending.reason,
        explanation=ending.explanation,
        started_at=started,
        exit_code=status.exit_code,
        log_size=attempts.log_size(run.public_id, run.attempt),
        log_dropped=record.log_dropped if record else 0,
        peak_memory=_peak(run, status, record),
        cpu_seconds=record.cpu_seconds if record else None,
    )
    if moved:
        remove(backend, run.handle)


def _may_try_elsewhere(run: Run, backend: Backend) -> bool:
    """Where there are many machines, one that can start nothing shall not fail everybody's Runs."""
    return not backend.capabilities.launch_is_start and run.attempt < LAUNCHES


def _peak(run: Run, status: ContainerStatus, record: ExitRecord | None) -> int | None:
    """Most memory at a time, never more than the limit: the record may be forged."""
    known = status.peak_memory
    if known is None and record is not None:
        known = record.peak_memory or record.peak_rss
    return None if known is None else min(known, run.memory)


def _facts(
    run: Run,
    status: ContainerStatus,
    record: ExitRecord | None,
    started: datetime | None,
    claimed: bool,
) -> Facts:
    ran_for = (timezone.now() - started).total_seconds() if started else 0.0
    return Facts(
        exit_code=status.exit_code,
        out_of_memory=status.out_of_memory,
        memory=run.memory,
        time_limit=run.time_limit,
        quick=run.lane == Lane.QUICK,
        is_check=run.task.is_hidden,
        claimed=claimed,
        # The script could forge the record: a time limit also needs the time to have passed. Long
        # after it, it was we who killed a Run whose runner could not.
        timed_out=bool(record and record.timed_out and 0 < run.time_limit <= ran_for + 1)
        or _is_far_over(run, ran_for),
        exec_errno=record.exec_errno if record else 0,
        log_errno=record.log_errno if record else 0,
        terminated_by=record.terminated_by if record else None,
        cancelled_by=run.cancelled_by,
        program=command_of(run)[0],
        environment=run.environment.name,
        error=status.error,
        log_tail=attempts.log_tail(run.public_id, run.attempt),
        peak_memory=_peak(run, status, record),
    )


def _gone(run: Run, why: str = "") -> None:
    """Positive word that the container is no more, and none of how it ended. `why`: a sentence."""
    because = f" {why}" if why else ""
    log_size = attempts.log_size(run.public_id, run.attempt)
    if run.cancel_requested_by is not None:
        advance(
            run,
            RunState.CANCELLED,
            since=ACTIVE,
            reason=Reason.CANCELLED,
            explanation=f"Cancelled by {run.cancelled_by}.",
            log_size=log_size,
        )
    elif run.retry_if_lost:
        advance(
            run,
            RunState.QUEUED,
            since=ACTIVE,
            reason=Reason.NODE_LOST_RETRY,
            explanation=f"Its container on {run.machine} is gone; it starts again, as its owner allowed.{because}",
            machine="",
            placed_at=None,
            started_at=None,
        )
    else:
        ran = (timezone.now() - run.started_at).total_seconds() if run.started_at else 0
        advance(
            run,
            RunState.FAILED,
            since=ACTIVE,
            reason=Reason.NODE_LOST,
            explanation=f"Its container on {run.machine} was gone after {duration(ran)}, "
            f"with no word of its end.{because}",
            log_size=log_size,
        )


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, tz=UTC)
