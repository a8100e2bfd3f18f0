"""Requested cancels, carried to the containers, more firmly as time goes by."""

from __future__ import annotations

import logging
import time

from django.conf import settings

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
        self._heard: dict[str, float] = {}
        """handle -> when the engine first took that from us. A portal that was away since the request
        was made has asked nobody yet: the command still has its whole grace before it."""

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
        for times in (self._asked, self._heard):
            for handle in times.keys() - handles:
                del times[handle]

    def _stop(self, run: Run, backend: Backend) -> None:
        now = time.monotonic()
        if now - self._asked.get(run.handle, float("-inf")) < AGAIN_AFTER:
            return
        self._asked[run.handle] = now
        if now - self._heard.get(run.handle, now) > settings.RCLUSTER_GRACE + PATIENCE:
            backend.kill(run.handle)
        else:
            backend.stop(run.handle, grace=settings.RCLUSTER_GRACE)
            self._heard.setdefault(run.handle, now)


def _revoked(run: Run) -> bool:
    return attempts.revoke(run.public_id, run.attempt) is Permit.REVOKED
