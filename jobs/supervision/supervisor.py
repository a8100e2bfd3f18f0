"""The timer, the lease and the order of a pass."""

from __future__ import annotations

import logging
import threading
import time
from functools import partial

from django.db import DatabaseError, close_old_connections

from files.storage import storage_root
from jobs import services, site
from jobs.backends.base import Backend, BackendError
from jobs.lease import LeaseKeeper
from jobs.models import Run, Site
from jobs.states import RunState
from jobs.supervision import observing
from jobs.supervision.cancelling import Canceller
from jobs.supervision.launching import Launcher
from jobs.supervision.noting import note_machines
from jobs.supervision.reconciling import Reconciler, sweep
from jobs.supervision.scheduling import schedule
from jobs.supervision.space import SpaceWatch

log = logging.getLogger(__name__)

PASS_EVERY = 1.0
RECONCILE_EVERY = 5.0
MACHINES_EVERY = 5.0
WORDS_EVERY = 1.0
"""seconds; what waits moves up with every placement, and nobody reads that fast"""


class Supervisor:
    """One process's supervision. `start()` runs it in threads of its own until `stop()`."""

    def __init__(self) -> None:
        self._lease = LeaseKeeper("supervision")
        self._backends: dict[str, Backend] = {}
        self._launcher = Launcher(may_launch=self._lease.still_ours, done=self._launched)
        self._canceller = Canceller()
        self._space = SpaceWatch(storage_root())
        self._reconciler = Reconciler(
            under_way=self._launcher.under_way, remove=self._launcher.remove_later
        )
        self._heard: dict[str, str] = {}
        """handle -> its backend, of those that something may have happened to since the last pass"""
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._next_reconcile = 0.0
        self._next_machines = 0.0
        self._next_words = 0.0
        self._thread = threading.Thread(target=self._loop, name="supervision", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Make a pass now instead of within a second. Any thread."""
        self._wake.set()

    def stop(self) -> None:
        """Stop looking and give the lease back; Runs go on."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)
        if self._thread.is_alive():
            # In the middle of something long: it begins nothing more, and the lease runs out by itself.
            self._lease.close()
            return
        self._launcher.close()
        self._space.close()
        for backend in self._backends.values():
            backend.close()
        self._lease.close()
        self._lease.release()

    def _loop(self) -> None:
        while not self._stopping.is_set():
            try:
                close_old_connections()
                self.run_pass()
            except DatabaseError:
                log.exception("The database does not answer; trying again")
            except Exception:
                # Whatever it was must not end supervision: the next pass starts from the database again.
                log.exception("A pass failed; the next one starts afresh")
            self._wake.wait(PASS_EVERY)
            self._wake.clear()
        close_old_connections()

    def run_pass(self) -> None:
        """Everything once, in the order that frees room before giving it away."""
        if not self._lease.hold():
            self._let_go()
            return
        current = self._current()
        self._observe_heard()
        self._press_cancels()
        if current is not None:
            tell = time.monotonic() >= self._next_words
            self._space.look()
            schedule(
                current,
                lambda run: self._launcher.submit(run, current),
                may_place=self._lease.still_ours,
                launching=self._launcher.under_way(),
                tell=tell,
                hold=self._space.hold,
            )
            if tell:
                self._next_words = time.monotonic() + WORDS_EVERY
        now = time.monotonic()
        if now >= self._next_reconcile:
            self._next_reconcile = now + RECONCILE_EVERY
            for name in self._in_use():
                try:
                    self._reconciler.reconcile(self._backend(name))
                except Exception:
                    # Neither must one backend keep us from the others.
                    log.exception("Reconciling %s failed; trying again", name)
        if current is not None and now >= self._next_machines:
            self._next_machines = now + MACHINES_EVERY
            note_machines(current)

    def _let_go(self) -> None:
        """Another process supervises: a connection of ours would be in its way."""
        for backend in self._backends.values():
            backend.close()
        self._backends.clear()

    def _current(self) -> Backend | None:
        """The backend that new Runs start on; None before the first set-up."""
        name = Site.load().backend
        return self._backend(name) if name else None

    def _backend(self, name: str) -> Backend:
        if name not in self._backends:
            backend = site.backend_for(name)
            backend.watch(partial(self._heard_of, name))
            self._backends[name] = backend
        return self._backends[name]

    def _in_use(self) -> set[str]:
        """Those of active Runs, and those we hold already: they may have containers to sweep."""
        return set(
            Run.objects.active().order_by().values_list("backend", flat=True).distinct()
        ) | set(self._backends)

    def _heard_of(self, backend: str, handle: str) -> None:
        """Something may have happened to `handle`; "": there may be new room."""
        if handle:
            with self._lock:
                self._heard[handle] = backend
            if handle in self._launcher.under_way():
                return  # _launched() wakes: until then nobody would look at it.
        self.wake()

    def _launched(self, run: Run) -> None:
        """Its launch is over. One that runs, and that nothing was heard of, needs no look."""
        with self._lock:
            heard = run.handle in self._heard
        if heard or run.state != RunState.RUNNING:
            self._heard_of(run.backend, run.handle)

    def _observe_heard(self) -> None:
        with self._lock:
            heard, self._heard = self._heard, {}
        if not heard:
            return
        runs = Run.objects.active().filter(public_id__in=[_run_of(handle) for handle in heard])
        # Before the rows are read. What is being launched is put back until that is over.
        launching = self._launcher.under_way()
        active = {run.handle: run for run in runs.as_supervised()}
        for handle, backend in heard.items():
            if handle in launching:
                self._heard_of(backend, handle)
            elif handle in active:
                self._observe(active[handle])
            else:
                self._settle_stranger(handle, backend)

    def _settle_stranger(self, handle: str, name: str) -> None:
        """Word of a container without an active Run: its end is known, or it has no business to be."""
        try:
            backend = self._backend(name)
            status = backend.status(handle)
            if status is not None and status.receipt:
                sweep(backend, status)
        except BackendError as error:
            log.info("%s is swept later: %s", handle, error)

    def _observe(self, run: Run) -> None:
        try:
            backend = self._backend(run.backend)
            status = backend.status(run.handle)
            if status is not None:
                observing.observe(run, status, backend, remove=self._launcher.remove_later)
                backend.settled(status)
        except (BackendError, OSError) as error:
            log.warning("Run %s can't be observed now: %s", run.public_id, error)
        except Exception:
            # One Run that we can't deal with must not keep us from the others.
            log.exception("Observing Run %s failed", run.public_id)

    def _press_cancels(self) -> None:
        asked = Run.objects.unfinished().filter(cancel_requested_at__isnull=False)
        # Nearly always there are none, and this is asked in every pass.
        runs = list(asked.as_supervised()) if asked.exists() else []
        for run in runs:
            try:
                # Still waiting: a cancel that was cut off between its flag and its move.
                if not services.cancel_waiting(run):
                    self._canceller.press(run, self._backend(run.backend))
            except Exception:
                # As above.
                log.exception("Cancelling Run %s failed; trying again", run.public_id)
        self._canceller.forget_all_but({run.handle for run in runs})


def _run_of(handle: str) -> str:
    """The Run's id in `rcluster-<run>-<attempt>`; "" in a foreign name."""
    parts = handle.split("-")
    return parts[1] if len(parts) == 3 else ""
