"""STARTING -> RUNNING, or back to the queue, or failed. Launches run in threads: a pull takes minutes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from django.conf import settings
from django.db import connection
from django.utils import timezone

from jobs import attempts
from jobs.attempts import Permit
from jobs.backends.base import (
    Backend,
    BackendUnavailable,
    CommandNotFound,
    ImageNotFound,
    LaunchFailed,
    Phase,
    RegistryUnavailable,
    RoomGone,
)
from jobs.models import Lane, Run
from jobs.services.granting import why_not_started
from jobs.states import ACTIVE, Reason, RunState
from jobs.supervision.scheduling import RETRY_AFTER
from jobs.supervision.spec import spec_of
from jobs.transitions import advance, explain

log = logging.getLogger(__name__)

AT_ONCE = 8
QUICK_AT_ONCE = 4
"""A launch may pull for minutes: it must hold up neither quick commands nor the removing of ended
containers."""
RETRY_LATER = timedelta(minutes=5)
"""the longest pause between two tries of a Run whose registry is away"""


class Launcher:
    """The launches under way in this process."""

    def __init__(self, *, may_launch: Callable[[], bool], done: Callable[[Run], None]) -> None:
        self._may_launch = may_launch
        self._done = done
        self._launches = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="launch")
        self._quick = ThreadPoolExecutor(QUICK_AT_ONCE, thread_name_prefix="quick")
        self._removals = ThreadPoolExecutor(1, thread_name_prefix="remove")
        self._under_way: set[str] = set()
        self._lock = threading.Lock()

    def submit(self, run: Run, backend: Backend) -> None:
        """Launch in the background; `done(run)` is called afterwards, whatever came of it."""
        with self._lock:
            self._under_way.add(run.handle)
        pool = self._quick if run.lane == Lane.QUICK else self._launches
        try:
            pool.submit(self._work, run, backend)
        except RuntimeError:
            # Closed meanwhile: the next process's reconcile takes it up.
            self._over(run)

    def under_way(self) -> frozenset[str]:
        """Handles whose launch has not come to anything yet."""
        with self._lock:
            return frozenset(self._under_way)

    def remove_later(self, backend: Backend, handle: str) -> None:
        """Remove an ended container off the path; if that fails, reconcile sweeps it."""
        self._removals.submit(_remove, backend, handle)

    def close(self) -> None:
        """Wait for launches that have begun, drop those that have not: reconcile takes them up."""
        for pool in (self._launches, self._quick, self._removals):
            pool.shutdown(wait=True, cancel_futures=True)

    def _work(self, run: Run, backend: Backend) -> None:
        try:
            # The pull may outlive our lease: then another process looks after this Run.
            if (not backend.capabilities.images or pull(run, backend)) and self._may_launch():
                start(run, backend)
        except Exception:
            # The Run stays STARTING; reconcile finds out what became of it.
            log.exception("Launching %s failed in an unforeseen way", run.handle)
        finally:
            self._over(run)
            # Kept for a minute for this thread's next launch, unless it broke.
            connection.close_if_unusable_or_obsolete()

    def _over(self, run: Run) -> None:
        with self._lock:
            self._under_way.discard(run.handle)
        self._done(run)


def pull(run: Run, backend: Backend) -> bool:
    """Resolve the image, pulling it if need be, and note what it is. False: it won't be started now."""
    try:
        run.image_digest = _resolve(run, backend)
    except RegistryUnavailable as error:
        back_to_queue(run, Reason.REGISTRY_UNAVAILABLE, f"Waiting: {error}", wait=True)
    except BackendUnavailable as error:
        explain(run, Reason.BACKEND_UNAVAILABLE, f"Starting: {error}")
    except ImageNotFound as error:
        _give_up(run, backend, Reason.IMAGE_NOT_FOUND, str(error))
    else:
        Run.objects.filter(pk=run.pk, attempt=run.attempt).update(image_digest=run.image_digest)
        if run.reason == Reason.PULLING:
            explain(run, Reason.LAUNCHING, "", noted=True)
        # Cancelled during the pull: nothing to start.
        return attempts.permit(run.public_id, run.attempt) is Permit.OPEN
    return False


def start(run: Run, backend: Backend) -> None:
    """Start the container, and say RUNNING once it does."""
    try:
        if no := _datasets_refused(run):
            _give_up(run, backend, Reason.DATASET_UNAVAILABLE, no)
            return
        backend.launch(spec_of(run))
    except BackendUnavailable as error:
        # It may or may not have started: reconcile decides when the engine answers again.
        explain(run, Reason.BACKEND_UNAVAILABLE, f"Starting: {error}")
    except ImageNotFound as error:
        _give_up(run, backend, Reason.IMAGE_NOT_FOUND, str(error))
    except CommandNotFound as error:
        _give_up(run, backend, Reason.COMMAND_NOT_FOUND, str(error))
    except LaunchFailed as error:
        _give_up(run, backend, Reason.LAUNCH_ERROR, str(error))
    except RoomGone as error:
        back_to_queue(run, Reason.NEVER_STARTED, str(error))
    else:
        if backend.capabilities.launch_is_start:
            advance(run, RunState.RUNNING, since={RunState.STARTING}, started_at=timezone.now())


def _datasets_refused(run: Run) -> str:
    """Why it may not have its Datasets any more; "" if it may. Raises BackendUnavailable."""
    try:
        return why_not_started(run)
    except OSError as error:
        raise BackendUnavailable(f"The storage does not answer ({error.strerror}).") from error


def back_to_queue(run: Run, reason: Reason, explanation: str, *, wait: bool = False) -> bool:
    """Back to QUEUED (CANCELLED if that was asked for), once the permit is revoked for certain.

    False: it is not; a container took the permit, or somebody else moved the Run. Raises OSError
    if the storage is away.
    """
    if attempts.revoke(run.public_id, run.attempt) is Permit.TAKEN:
        return False
    queued = advance(
        run,
        RunState.QUEUED,
        since=ACTIVE,
        reason=reason,
        explanation=explanation,
        machine="",
        node="",
        placed_at=None,
        started_at=None,
        not_before=timezone.now() + _pause(run) if wait else None,
    )
    if queued:
        attempts.discard(run.public_id, run.attempt)
        return True
    run.refresh_from_db(fields=["cancel_requested_at", "cancel_requested_by", "cancel_reason"])
    return run.cancel_requested_at is not None and cancelled_unstarted(run)


def _pause(run: Run) -> timedelta:
    """Longer after each try: 15 s, 30 s, 1 min ... 5 min."""
    pause: timedelta = RETRY_AFTER * 2 ** min(run.attempt - 1, 10)
    return min(pause, RETRY_LATER)


def cancelled_unstarted(run: Run) -> bool:
    """The permit was revoked, so nothing ran and nothing will."""
    by = run.cancelled_by or "somebody"
    return advance(
        run,
        RunState.CANCELLED,
        since=ACTIVE,
        reason=Reason.CANCELLED,
        explanation=f"Cancelled by {by} before it started.",
    )


def _resolve(run: Run, backend: Backend) -> str:
    def on_phase(phase: Phase, sentence: str) -> None:
        # The timeline keeps when a pull began and ended, not how it went on.
        begins = phase is Phase.PULLING and run.reason != Reason.PULLING
        reason = Reason.PULLING if phase is Phase.PULLING else Reason.LAUNCHING
        explain(run, reason, sentence, noted=begins)

    return backend.resolve(
        run.environment.image,
        pull=run.environment.pull_policy,
        on_phase=on_phase,
        timeout=settings.RCLUSTER_PULL_TIMEOUT,
    )


def _give_up(run: Run, backend: Backend, reason: Reason, explanation: str) -> None:
    """A launch that would fail again: no late container may work, then the Run has failed."""
    if attempts.revoke(run.public_id, run.attempt) is Permit.TAKEN:
        return  # It did start after all: observe tells.
    if advance(
        run, RunState.FAILED, since={RunState.STARTING}, reason=reason, explanation=explanation
    ):
        _remove(backend, run.handle)


def _remove(backend: Backend, handle: str) -> None:
    try:
        backend.remove(handle)
    except BackendUnavailable as error:
        log.info("%s is removed later: %s", handle, error)
