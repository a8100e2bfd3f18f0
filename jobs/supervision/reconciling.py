"""The database and the engine agree again, whatever was missed; what nobody knows is swept."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping

from django.utils import timezone

from jobs.backends.base import Backend, BackendUnavailable, ContainerStatus, Life
from jobs.models import Run
from jobs.states import Reason, RunState
from jobs.supervision import observing
from jobs.transitions import explain

log = logging.getLogger(__name__)


class Reconciler:
    def __init__(
        self, *, under_way: Callable[[], frozenset[str]], remove: observing.Remove
    ) -> None:
        self._under_way = under_way
        self._remove = remove
        self._strangers: dict[str, set[str]] = {}
        """per backend: handles that no active Run owned at the last look"""

    def reconcile(self, backend: Backend) -> None:
        """Compare every active Run with the engine's own list."""
        # Launches first, then rows, then the engine's list: whatever is active in the rows and was
        # not being launched before must be in the later list, or is gone.
        launching = self._under_way()
        rows = list(Run.objects.active().filter(backend=backend.name).as_supervised())
        try:
            containers = backend.containers({run.handle: run.node for run in rows})
        except BackendUnavailable as error:
            _no_word(rows, error)
            return
        for run in rows:
            if run.handle not in launching:
                self._settle(run, containers.get(run.handle), backend)
        self._sweep(backend, containers, known={run.handle for run in rows})

    def _settle(self, run: Run, status: ContainerStatus | None, backend: Backend) -> None:
        try:
            if status is None:
                observing.missing(run, backend)
                return
            if run.reason in (Reason.UNREACHABLE, Reason.BACKEND_UNAVAILABLE):
                explain(run, Reason.NONE, "")
            observing.observe(run, status, backend, remove=self._remove)
        except (BackendUnavailable, OSError) as error:
            log.warning("Run %s can't be reconciled now: %s", run.public_id, error)
        except Exception:
            # One Run that we can't deal with must not keep us from the others.
            log.exception("Reconciling Run %s failed", run.public_id)

    def _sweep(
        self, backend: Backend, containers: Mapping[str, ContainerStatus], *, known: set[str]
    ) -> None:
        """End and remove containers without an active Run, once seen twice: rows may be newer than ours."""
        strangers = set(containers) - known
        settled = strangers & self._strangers.get(backend.name, set())
        self._strangers[backend.name] = strangers
        if not settled:
            return
        active = {run.handle for run in Run.objects.active().only("public_id", "attempt")}
        for handle in settled - active:
            try:
                if containers[handle].life is Life.RUNNING:
                    log.warning("%s belongs to no active Run: killed", handle)
                    backend.kill(handle)
                else:
                    backend.remove(handle)
            except BackendUnavailable as error:
                log.info("%s is swept later: %s", handle, error)


def _no_word(rows: Iterable[Run], error: BackendUnavailable) -> None:
    """Cannot tell is not gone: nothing moves, but the page says so."""
    for run in rows:
        if run.state == RunState.RUNNING and run.reason != Reason.UNREACHABLE:
            since = f"{timezone.localtime():%Y-%m-%d %H:%M:%S}"
            sentence = f"No word since {since}: {error} The Run goes on as far as we know."
            explain(run, Reason.UNREACHABLE, sentence)
