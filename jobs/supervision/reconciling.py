"""The database and the engine agree again, whatever was missed; what nobody knows is swept."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from django.utils import timezone

from jobs.backends.base import (
    Backend,
    BackendUnavailable,
    ContainerStatus,
    Life,
    RegistrationRemoved,
)
from jobs.models import Machine, Run
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
        losses = _losses(backend)
        settling = [run for run in rows if run.handle not in launching]
        try:
            containers = backend.containers({run.handle: run.node for run in settling})
        except BackendUnavailable as error:
            for run in settling:
                if _is_lost(run, losses):
                    _declared_lost(run, losses[run.machine])
                else:
                    _no_word(run, error)
            return
        for run in settling:
            status = containers.get(run.handle)
            silent = status is None or status.life is Life.UNREACHABLE
            if silent and _is_lost(run, losses):
                _declared_lost(run, losses[run.machine])
            else:
                self._settle(run, status, backend)
        self._sweep(backend, containers, known={run.handle for run in rows})

    def _settle(self, run: Run, status: ContainerStatus | None, backend: Backend) -> None:
        try:
            if status is None:
                observing.missing(run, backend)
                return
            observing.observe(run, status, backend, remove=self._remove)
            backend.settled(status)
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
                sweep(backend, containers[handle])
            except BackendUnavailable as error:
                log.info("%s is swept later: %s", handle, error)


def sweep(backend: Backend, status: ContainerStatus) -> None:
    """End or remove a container that no active Run owns. Raises BackendUnavailable."""
    if status.life in (Life.RUNNING, Life.STAGING):
        log.warning("%s belongs to no active Run: killed", status.handle)
        backend.kill(status.handle)
    elif status.life is not Life.UNREACHABLE:
        backend.remove(status.handle)
    backend.settled(status)


def _no_word(run: Run, error: BackendUnavailable) -> None:
    """Cannot tell is not gone: nothing moves, but the page says so."""
    if run.state != RunState.RUNNING:
        return
    if isinstance(error, RegistrationRemoved):
        explain(run, Reason.UNREACHABLE, str(error))
    elif run.reason != Reason.UNREACHABLE:
        since = f"{timezone.localtime():%Y-%m-%d %H:%M:%S}"
        sentence = f"No word since {since}: {error} The Run goes on as far as we know."
        explain(run, Reason.UNREACHABLE, sentence)


# What an administrator says of machines.


def _losses(backend: Backend) -> dict[str, Machine]:
    declared = Machine.objects.filter(backend=backend.name, lost_at__isnull=False)
    return {machine.name: machine for machine in declared.select_related("lost_by")}


def _is_lost(run: Run, losses: Mapping[str, Machine]) -> bool:
    """Was its machine declared lost after it was placed there?"""
    machine = losses.get(run.machine)
    return bool(machine and machine.lost_at and run.placed_at and run.placed_at < machine.lost_at)


def _declared_lost(run: Run, machine: Machine) -> None:
    by = machine.lost_by.get_username() if machine.lost_by else "An administrator"
    try:
        observing.is_gone(run, f"{by} declared the machine lost.")
    except OSError as error:
        log.warning("Run %s: its loss waits for the storage: %s", run.public_id, error)
