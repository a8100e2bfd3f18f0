"""Requested cancels, carried to the containers, more firmly as time goes by."""

from __future__ import annotations

import logging
import time

from django.conf import settings
from django.utils import timezone

from jobs import attempts
from jobs.attempts import Permit
from jobs.backends.base import Backend, BackendUnavailable
from jobs.models import Run
from jobs.states import Reason, RunState
from jobs.supervision.launching import cancelled_unstarted
from jobs.transitions import explain

log = logging.getLogger(__name__)

AGAIN_AFTER = 5.0
"""seconds until TERM is sent again"""
PATIENCE = 10.0
"""seconds beyond the grace until the engine is told to kill"""


class Canceller:
    def __init__(self) -> None:
        self._asked: dict[str, float] = {}
        """handle -> when we last asked it to stop"""

    def press(self, run: Run, backend: Backend) -> None:
        """Bring a cancel one step further. The state moves only when the end is seen."""
        try:
            if run.state == RunState.STARTING and _revoked(run):
                # Nothing ran and nothing will, whether the engine answers or not; a container that
                # is there already exits by itself, and is swept.
                cancelled_unstarted(run)
            else:
                self._stop(run, backend)
        except BackendUnavailable as error:
            if run.reason != Reason.UNREACHABLE:
                explain(run, Reason.BACKEND_UNAVAILABLE, f"Stopping: {error}")
        except OSError as error:
            log.warning("Run %s: cancelling waits for the storage: %s", run.public_id, error)

    def forget_all_but(self, handles: set[str]) -> None:
        self._asked = {handle: at for handle, at in self._asked.items() if handle in handles}

    def _stop(self, run: Run, backend: Backend) -> None:
        now = time.monotonic()
        if now - self._asked.get(run.handle, float("-inf")) < AGAIN_AFTER:
            return
        self._asked[run.handle] = now
        assert run.cancel_requested_at is not None  # noqa: S101 - only such Runs are pressed
        waited = (timezone.now() - run.cancel_requested_at).total_seconds()
        if waited > settings.RCLUSTER_GRACE + PATIENCE:
            backend.kill(run.handle)
        else:
            backend.stop(run.handle, grace=settings.RCLUSTER_GRACE)


def _revoked(run: Run) -> bool:
    return attempts.revoke(run.public_id, run.attempt) is Permit.REVOKED
