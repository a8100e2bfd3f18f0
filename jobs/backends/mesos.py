"""The connection to a Mesos master. The only module that imports pymesos.

pymesos 0.3.15 is used for its subscription: the stream of events, redirects to the leading master,
ZooKeeper. What it does badly is put right here (docs/decisions/0008-pymesos.md): it ends the whole
process when its thread fails, drops calls silently while disconnected, never notices a connection
on which nothing comes any more, waits for a call's answer for as long as it would for a master,
forces GPU offers on us, and spins when it is refused.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from http.client import HTTPConnection, HTTPException
from typing import Any, Protocol

from jobs.backends import http_parser
from jobs.backends.base import BackendUnavailable

log = logging.getLogger(__name__)


def _import_pymesos() -> tuple[Any, Any]:
    """pymesos wants http-parser, which does not compile on Python 3.11, and the process's SIGINT."""
    package = type(sys)("http_parser")
    package.http = http_parser  # type: ignore[attr-defined]
    sys.modules.setdefault("http_parser", package)
    sys.modules.setdefault("http_parser.http", http_parser)
    real = signal.signal
    # Its handler would be set at import, which only the main thread may do, and serves only what
    # is taken out below.
    signal.signal = lambda number, handler: signal.getsignal(number)  # type: ignore[assignment]
    try:
        import pymesos  # noqa: TID251 - this is the module that may
        from pymesos import process  # noqa: TID251
    finally:
        signal.signal = real
    words = logging.getLogger("pymesos")
    words.handlers.clear()
    words.setLevel(logging.WARNING)
    process.thread = _NoInterrupt
    return pymesos, process


class _NoInterrupt:
    """In place of the module `_thread`: a failed connection is no reason to end the process."""

    @staticmethod
    def interrupt_main() -> None:
        log.debug("The thread of pymesos ended")


pymesos, process = _import_pymesos()

LONGEST_PAUSE = 5.0
"""seconds between two tries to reach a master"""
FOR_EVER = 10 * 365 * 86400
HEARTBEATS_MISSED = 2
SUBSCRIBE_WITHIN = 15.0
"""seconds for the master's answer to a try to subscribe"""
CALL_WITHIN = 5.0
"""seconds for the master's answer to a call; without one the connection counts as dead"""
FAILED_OVER = "failed over"
REMOVED = ("removed", "completed framework")


class Listener(Protocol):
    """Told from the connection's own thread; must return soon."""

    def subscribed(self, framework_id: str) -> None: ...
    def disconnected(self) -> None: ...
    def offered(self, offers: list[dict[str, Any]]) -> None: ...
    def rescinded(self, offer_id: str) -> None: ...
    def updated(self, status: dict[str, Any]) -> None: ...
    def agent_failed(self, node: str) -> None: ...
    def refused(self, sentence: str, *, removed: bool) -> None: ...


class Connection:
    """One subscription, renewed whenever it is lost. `masters`: host:port each, or one zk:// address."""

    def __init__(
        self,
        masters: tuple[str, ...],
        framework: Callable[[], dict[str, Any]],
        listener: Listener,
        credential: tuple[str, str] | None,
    ) -> None:
        self._masters = masters
        self._turn = 0
        self._framework = framework
        self._listener = listener
        self._credential = credential
        self._lock = threading.RLock()
        self._driver: _Driver | None = None
        self._heard = 0.0
        self._heartbeat = 15.0
        self._not_before = 0.0
        self._pause = 0.5
        self._doubted: _Driver | None = None
        """whose calls are not answered: its subscription is dead, too"""
        self._abandoned: _Driver | None = None
        """whose master is gone, and there are others"""
        self.trouble = ""
        """why there is no connection, as a sentence"""

    def keep(self) -> None:
        """Connect if there is no connection, and again if it is dead. Called every second or so."""
        with self._lock:
            now = time.monotonic()
            driver = self._driver
            if driver is not None and driver.aborted:
                self._note_abort()
                self._drop()
            elif driver is not None and driver.connected and self._is_silent(now):
                log.warning("No heartbeat from the Mesos master: connecting again")
                self.trouble = "The Mesos master has fallen silent."
                self._drop()
            elif driver is not None and driver.waits_since < now - SUBSCRIBE_WITHIN:
                self.trouble = "The Mesos master does not answer."
                self._turn += 1
                self._drop()
            elif driver is not None and driver is self._abandoned:
                self._turn += 1
                self._drop()
            elif driver is not None and driver is self._doubted:
                log.warning("No answer from the Mesos master: connecting again")
                self.trouble = "The Mesos master does not answer."
                self._drop()
            if self._driver is None and now >= self._not_before:
                self._pause = min(self._pause * 2, LONGEST_PAUSE)
                self._not_before = now + self._pause
                self._connect()

    def _is_silent(self, now: float) -> bool:
        return now - self._heard > HEARTBEATS_MISSED * self._heartbeat

    def _connect(self) -> None:
        master = self._masters[self._turn % len(self._masters)]
        driver = _Driver(self, self._framework(), master, self._credential)
        try:
            driver.start()
        except Exception as error:  # noqa: BLE001
            # Whatever it was (a name that can't be resolved, ZooKeeper away): tried again later.
            log.warning("Mesos can't be reached at %s: %s", master, error)
            self.trouble = f"Mesos can't be reached at {master}."
            driver.stop(failover=True)
        else:
            self._driver = driver

    def _note_abort(self) -> None:
        error = process._exc_info[1] if process._exc_info else None
        process._exc_info = None
        text = str(error or "")
        if "HTTP 401" in text or "HTTP 403" in text:
            self.trouble = (
                "Mesos refuses the portal's principal or secret: "
                "see RCLUSTER_MESOS_PRINCIPAL and RCLUSTER_MESOS_SECRET_FILE."
            )
            self._pause = LONGEST_PAUSE
        elif text:
            self.trouble = f"Mesos refuses the portal: {text[:300]}"
        log.warning("The connection to Mesos failed: %s", text or "closed")

    def _drop(self) -> None:
        driver, self._driver = self._driver, None
        if driver is not None:
            driver.silence()
            driver.stop(failover=True)
            self._listener.disconnected()

    def close(self) -> None:
        """Let go; the framework and its tasks stay as they are until its failover timeout."""
        with self._lock:
            self._not_before = float("inf")
            self._drop()

    def resume(self) -> None:
        with self._lock:
            self._not_before, self._pause = 0.0, 0.5

    @property
    def stands_down(self) -> bool:
        return self._not_before == float("inf")

    @property
    def connected(self) -> bool:
        driver = self._driver
        return driver is not None and driver.subscribed and driver.connected

    @property
    def master(self) -> str:
        """host:port of the leading master, as far as we know."""
        driver = self._driver
        known = driver.master if driver is not None else None
        first = self._masters[self._turn % len(self._masters)]
        return str(known or ("" if first.startswith("zk://") else first))

    def call(self, kind: str, body: Mapping[str, Any] | None = None) -> None:
        """Send one call of the scheduler API. Raises BackendUnavailable: nothing is known of it."""
        driver = self._driver
        if driver is None or not driver.connected:
            raise BackendUnavailable(self.trouble or "The Mesos master does not answer.")
        try:
            driver.call(kind, body)
        except (OSError, HTTPException, RuntimeError) as error:
            log.warning("Mesos did not take %s: %s", kind, str(error)[:500])
            if isinstance(error, TimeoutError):
                self._doubted = driver
            raise BackendUnavailable(f"The Mesos master does not take calls ({kind}).") from error

    # From the driver's thread.

    def heard(self) -> None:
        self._heard = time.monotonic()

    def on_subscribed(self, framework_id: str, heartbeat: float) -> None:
        self.heard()
        self._heartbeat = heartbeat
        self._pause = 0.5
        self.trouble = ""
        self._listener.subscribed(framework_id)

    def on_closed(self, driver: _Driver) -> None:
        """The connection was lost or never made; pymesos tries again by itself."""
        self.trouble = self.trouble or "The Mesos master does not answer."
        self._listener.disconnected()
        listed = self._masters[self._turn % len(self._masters)]
        if not listed.startswith("zk://") and (len(self._masters) > 1 or driver.master != listed):
            # It may never come back: the next of the list knows who leads.
            self._abandoned = driver

    def on_error(self, message: str) -> None:
        lower = message.lower()
        removed = any(word in lower for word in REMOVED)
        log.error("Mesos says: %s", message)
        self.trouble = f"Mesos ended the portal's registration: {message}"
        # Noted first: who finds that we stand down and no note takes it for his turn.
        self._listener.refused(message, removed=removed)
        if removed or FAILED_OVER in lower:
            self._not_before = float("inf")

    @property
    def listener(self) -> Listener:
        return self._listener


class _Driver(pymesos.MesosSchedulerDriver):  # type: ignore[misc, name-defined]
    def __init__(
        self,
        owner: Connection,
        framework: dict[str, Any],
        master: str,
        credential: tuple[str, str] | None,
    ) -> None:
        principal, secret = credential or (None, None)
        super().__init__(
            _Silent(),
            framework,
            master,
            implicit_acknowledgements=False,
            principal=principal,
            secret=secret,
            failover=True,
            timeout=FOR_EVER,
        )
        self._owner: Connection | None = owner
        self._calling = threading.Lock()
        self._calls: tuple[str, HTTPConnection] | None = None
        """the master, and the connection on which it takes calls"""
        self.subscribed = False
        self._redirected = False
        self._tried_at = time.monotonic()

    @property
    def framework(self) -> dict[str, Any]:
        """As it is: pymesos would add GPU_RESOURCES, and Mesos offer us machines kept for GPUs."""
        return dict(self._framework)

    @property
    def waits_since(self) -> float:
        """When the present try to subscribe began; infinity while there is none under way."""
        return float("inf") if self.subscribed or self.master is None else self._tried_at

    def silence(self) -> None:
        """Tell nobody of anything any more."""
        self._owner = None

    def stop(self, failover: bool = False) -> None:
        super().stop(failover)
        # Not while a call waits for its answer: that one hangs up by itself.
        if self._calling.acquire(blocking=False):
            self._hang_up()
            self._calling.release()

    def change_master(self, master: str | None) -> None:
        # Without pymesos' question for the version, which can block for 10 s.
        super(pymesos.MesosSchedulerDriver, self).change_master(master)
        self._tried_at = time.monotonic()
        # Not at the start, when there is none yet.
        self._redirected = self.master is not None

    def _backoff(self, tries: int) -> float:
        return min(0.25 * 2.0**tries, LONGEST_PAUSE)

    def call(self, kind: str, body: Mapping[str, Any] | None) -> None:
        """Raises OSError (TimeoutError after CALL_WITHIN), HTTPException, RuntimeError.

        Nothing is sent twice: of a call that broke off nobody knows whether it was taken.
        """
        message: dict[str, Any] = {"type": kind, "framework_id": {"value": self.framework_id}}
        if body is not None:
            message[kind.lower()] = body
        with self._calling:
            master, stream = self.master, self.stream_id
            if master is None or stream is None:
                raise RuntimeError("not connected")
            connection = self._connection_to(master)
            headers = {"Content-Type": "application/json", "Mesos-Stream-Id": stream}
            if self._basic_credential:
                headers["Authorization"] = self._basic_credential
            try:
                data = json.dumps(message).encode()
                connection.request("POST", "/api/v1/scheduler", body=data, headers=headers)
                answer = connection.getresponse()
                said = answer.read()
            except (OSError, HTTPException):
                self._hang_up()
                raise
        if not 200 <= answer.status < 300:
            raise RuntimeError(f"HTTP {answer.status}: {said.decode(errors='replace')}")

    def _connection_to(self, master: str) -> HTTPConnection:
        if self._calls is None or self._calls[0] != master:
            self._hang_up()
            host, _, port = master.rpartition(":")
            self._calls = master, HTTPConnection(host, int(port), timeout=CALL_WITHIN)
        return self._calls[1]

    def _hang_up(self) -> None:
        calls, self._calls = self._calls, None
        if calls is not None:
            calls[1].close()

    def on_event(self, event: Mapping[str, Any]) -> None:
        owner = self._owner
        if owner is None:
            return
        owner.heard()
        kind = str(event.get("type", "")).lower()
        what = event.get(kind, {})
        try:
            self._tell(owner, kind, what)
        except Exception:
            # An event that we can't deal with must not end the connection: reconciliation will
            # bring it again, and an update that was not acknowledged comes again by itself.
            log.exception("Mesos' event could not be dealt with: %s", str(event)[:1000])

    def _tell(self, owner: Connection, kind: str, what: Mapping[str, Any]) -> None:
        listener = owner.listener
        if kind == "subscribed":
            self.framework_id = what["framework_id"]["value"]
            self.subscribed = True
            owner.on_subscribed(self.framework_id, what.get("heartbeat_interval_seconds", 15.0))
        elif kind == "offers":
            listener.offered(list(what.get("offers", ())))
        elif kind == "rescind":
            listener.rescinded(what["offer_id"]["value"])
        elif kind == "update":
            listener.updated(dict(what["status"]))
        elif kind == "failure" and "executor_id" not in what:
            listener.agent_failed(what["agent_id"]["value"])
        elif kind == "error":
            try:
                owner.on_error(str(what.get("message", "")))
            finally:
                # No more tries: pymesos would subscribe again in a tight loop.
                self.stop(failover=True)

    def on_close(self) -> None:
        self._tried_at = time.monotonic()
        was, self.subscribed = self.subscribed, False
        redirected, self._redirected = self._redirected, False
        owner = self._owner
        if owner is not None and redirected:
            owner.listener.disconnected()
        elif owner is not None:
            owner.on_closed(self)
            if not was:
                # A master that is recovering answers 503 at once, and pymesos asks again at once.
                time.sleep(0.2)


class _Silent(pymesos.Scheduler):  # type: ignore[misc, name-defined]
    """pymesos' own callbacks; events are taken before they get there."""
