"""STARTING -> RUNNING, or back to the queue, or failed. Launches run in threads: a pull takes minutes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from django.conf import settings
from django.db import close_old_connections
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
)
from jobs.models import Run
from jobs.states import Reason, RunState
from jobs.supervision.scheduling import RETRY_AFTER
from jobs.supervision.spec import spec_of
from jobs.transitions import advance, explain

log = logging.getLogger(__name__)

AT_ONCE = 8


class Launcher:
    """The launches under way in this process."""

    def __init__(self, *, may_launch: Callable[[], bool], done: Callable[[str], None]) -> None:
        self._may_launch = may_launch
        self._done = done
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="launch")
        self._under_way: set[str] = set()
        self._lock = threading.Lock()

    def submit(self, run: Run, backend: Backend) -> None:
        """Launch in the background; `done(handle)` is called afterwards, whatever came of it."""
        with self._lock:
            self._under_way.add(run.handle)
        self._pool.submit(self._work, run, backend)

    def is_launching(self, run: Run) -> bool:
        with self._lock:
            return run.handle in self._under_way

    def remove_later(self, backend: Backend, handle: str) -> None:
        """Remove an ended container off the path; if that fails, reconcile sweeps it."""
        self._pool.submit(_remove, backend, handle)

    def close(self) -> None:
        """Wait for launches that have begun, drop those that have not: reconcile takes them up."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _work(self, run: Run, backend: Backend) -> None:
        handle = run.handle
        try:
            close_old_connections()
            if self._may_launch():
                launch(run, backend, may_launch=self._may_launch)
        except Exception:
            # The Run stays STARTING; reconcile finds out what became of it.
            log.exception("Launching %s failed in an unforeseen way", handle)
        finally:
            with self._lock:
                self._under_way.discard(handle)
            self._done(handle)
            close_old_connections()


def launch(run: Run, backend: Backend, *, may_launch: Callable[[], bool]) -> None:
    """Resolve the image, start the container, and say RUNNING once it does."""
    try:
        if backend.capabilities.images:
            run.image_digest = _resolve(run, backend)
            Run.objects.filter(pk=run.pk, attempt=run.attempt).update(image_digest=run.image_digest)
            if not may_launch():
                return  # The pull outlived our lease: another process looks after this Run now.
        backend.launch(spec_of(run))
    except RegistryUnavailable as error:
        back_to_queue(run, Reason.REGISTRY_UNAVAILABLE, f"Waiting: {error}", wait=True)
    except BackendUnavailable as error:
        # It may or may not have started: reconcile decides when the engine answers again.
        explain(run, Reason.BACKEND_UNAVAILABLE, f"Starting: {error}")
    except ImageNotFound as error:
        _give_up(run, backend, Reason.IMAGE_NOT_FOUND, str(error))
    except CommandNotFound as error:
        _give_up(run, backend, Reason.COMMAND_NOT_FOUND, str(error))
    except LaunchFailed as error:
        _give_up(run, backend, Reason.LAUNCH_ERROR, str(error))
    else:
        advance(run, RunState.RUNNING, since={RunState.STARTING}, started_at=timezone.now())


def back_to_queue(run: Run, reason: Reason, explanation: str, *, wait: bool = False) -> bool:
    """STARTING -> QUEUED (CANCELLED if that was asked for), once the permit is revoked for certain.

    False: a container took the permit, so the Run did start. Raises OSError if the storage is away.
    """
    if attempts.revoke(run.public_id, run.attempt) is Permit.TAKEN:
        return False
    run.refresh_from_db(fields=["cancel_requested_at", "cancel_requested_by"])
    if run.cancel_requested_by is not None:
        cancelled_unstarted(run)
        return True
    advance(
        run,
        RunState.QUEUED,
        since={RunState.STARTING},
        reason=reason,
        explanation=explanation,
        machine="",
        placed_at=None,
        not_before=timezone.now() + RETRY_AFTER if wait else None,
    )
    return True


def cancelled_unstarted(run: Run) -> None:
    """STARTING -> CANCELLED: the permit was revoked, so nothing ran and nothing will."""
    by = run.cancel_requested_by.get_username() if run.cancel_requested_by else "somebody"
    advance(
        run,
        RunState.CANCELLED,
        since={RunState.STARTING},
        reason=Reason.CANCELLED,
        explanation=f"Cancelled by {by} before it started.",
    )


def _resolve(run: Run, backend: Backend) -> str:
    def on_phase(phase: Phase, sentence: str) -> None:
        explain(run, Reason.PULLING if phase is Phase.PULLING else Reason.LAUNCHING, sentence)

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
