"""The `mesos` backend: Docker containers on the machines of a Mesos cluster.

    mesos_link.py      the one connection (mesos.py), held by whoever holds the lease of supervision
    mesos_machines.py  machines and offers
    mesos_asking.py    what became of tasks, and asking where there is no word
    here               launching and ending, and what comes in

What Mesos says comes in on the connection's thread and is only noted there; a thread of our own
(mesos_accepting.py) spends the offers. Offers and words are guarded by one lock, and no call to the
master is made under it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path
from typing import Any

from jobs.backends.base import (
    BackendUnavailable,
    Capabilities,
    ContainerSpec,
    ContainerStatus,
    Health,
    Life,
    MachineReport,
    Notes,
    Notify,
    Offer,
    OnPhase,
)
from jobs.backends.exit_record import read_record
from jobs.backends.mesos_accepting import LAUNCH_WITHIN, Acceptor, Batch, Wish
from jobs.backends.mesos_asking import Asking
from jobs.backends.mesos_link import CONNECT_WITHIN, Link
from jobs.backends.mesos_machines import Machines
from jobs.backends.mesos_offers import Amount, OfferBook
from jobs.backends.mesos_settings import MesosSettings
from jobs.backends.mesos_status import may_be_refusal, read, with_refusal
from jobs.backends.mesos_tasks import task_info
from jobs.backends.mesos_troubles import Troubles
from jobs.backends.mesos_words import OVER, Words
from jobs.backends.processors import Processors
from jobs.backends.registries import Registries
from jobs.backends.variables import site_proxies

log = logging.getLogger(__name__)


class MesosBackend:
    name = "mesos"
    capabilities = Capabilities(
        images=True, memory="cgroup", network="full", launch_is_start=False, lends=False
    )

    def __init__(
        self,
        *,
        settings: MesosSettings,
        installation: str,
        runner: Path,
        notes: Notes,
        attempt_dir: Callable[[str], Path],
        set_aside: int = 0,
    ) -> None:
        """`set_aside`: bytes of each machine for quick commands, at most a fifth of its memory."""
        self._settings = settings
        self._installation = installation
        self._runner = runner
        self._attempt_dir = attempt_dir
        self._registries = Registries(settings.registry_auth)
        self._processors = Processors(here=False)
        self._proxies = site_proxies()
        self._notify: Notify = lambda handle: None
        self._looking = ThreadPoolExecutor(2, thread_name_prefix="mesos-stderr")
        self._changed = changed = threading.Condition()
        self._book = OfferBook(settings.role)
        self._words = Words()
        self._troubles = Troubles()
        self._acceptor = Acceptor(self._book, changed, self._send, self._is_aside, self._keep)
        self._link = Link(
            settings,
            notes,
            changed,
            self,
            opened=self._acceptor.start,
            taken_over=self._words.taken_over,
        )
        self._machines = Machines(
            self._link,
            self._book,
            self._troubles,
            self._acceptor,
            changed,
            notes=notes,
            pull_timeout=settings.pull_timeout,
            set_aside=set_aside,
        )
        self._asking = Asking(
            self._link,
            self._words,
            changed,
            was_launched=self._acceptor.was_launched,
            attempt_dir=attempt_dir,
        )

    def watch(self, notify: Notify) -> None:
        self._notify = notify
        with self._changed:
            ended = [handle for handle, known in self._words.all().items() if known.life in OVER]
        for handle in ended:
            notify(handle)

    def close(self) -> None:
        """Leave everything as it is: another process goes on with it."""
        self._acceptor.stop()
        self._link.close()
        self._machines.close()
        self._looking.shutdown(wait=False, cancel_futures=True)

    # Called by the acceptor's thread.

    def _keep(self) -> None:
        """Twice a second."""
        self._link.keep()

    def _is_aside(self, node: str) -> bool:
        return bool(self._troubles.note(node, time.monotonic()))

    def _send(self, batch: Batch) -> None:
        """One ACCEPT, or DECLINE, or SUPPRESS."""
        connection = self._link.connection
        if connection is None:
            raise BackendUnavailable("There is no connection to Mesos.")
        filters = {"refuse_seconds": batch.refuse}
        offer_ids = [{"value": each} for each in batch.offer_ids]
        if batch.suppress:
            connection.call("SUPPRESS")
        elif batch.launches:
            tasks = [{**wish.task, "resources": given} for wish, given in batch.launches]
            with self._changed:
                for wish, _ in batch.launches:
                    self._words.launched(wish.handle, wish.node)
            operation = {"type": "LAUNCH", "launch": {"task_infos": tasks}}
            connection.call(
                "ACCEPT", {"offer_ids": offer_ids, "operations": [operation], "filters": filters}
            )
        else:
            connection.call("DECLINE", {"offer_ids": offer_ids, "filters": filters})

    # Told by the connection, on its thread.

    def subscribed(self, framework_id: str) -> None:
        with self._changed:
            self._link.begin(framework_id)
            self._book.clear()
            self._words.connected()
            self._asking.start_afresh()
            self._acceptor.subscribed(here=True)
            self._changed.notify_all()
        log.info("Subscribed to Mesos as framework %s", framework_id)
        self._notify("")

    def disconnected(self) -> None:
        with self._changed:
            self._link.end()
            self._book.clear()
            self._acceptor.subscribed(here=False)
            self._changed.notify_all()

    def offered(self, offers: list[dict[str, Any]]) -> None:
        now = time.monotonic()
        with self._changed:
            first = self._machines.first_offers()
            for offer in offers:
                self._book.add(offer, now)
            self._changed.notify_all()
        if first:
            log.info("First offers since Mesos was asked for some: %.6f", time.time())
        self._notify("")

    def rescinded(self, offer_id: str) -> None:
        with self._changed:
            self._book.drop(offer_id)

    def agent_failed(self, node: str) -> None:
        log.warning("Mesos lost its agent %s", node)
        self._machines.forget(node)
        self._notify("")

    def refused(self, sentence: str, *, removed: bool) -> None:
        with self._changed:
            # First of all nothing may take us for subscribed, and note the old id once more.
            self._link.end()
        if removed:
            self._link.note_removal(sentence)
            self._notify("")

    def updated(self, raw: dict[str, Any]) -> None:
        status = read(raw)
        if status is None:
            self._unread(raw)
            return
        node = str(raw.get("agent_id", {}).get("value", ""))
        with self._changed:
            news = self._words.hear(status, raw)
            over = self._words.is_forgotten(status.handle)
            self._acceptor.heard(status.handle)
            if news and status.life is Life.RUNNING:
                self._troubles.went_well(node)
            ended = news and status.life is Life.ENDED
            if ended:
                self._asking.looks(status.handle, under_way=True)
            self._changed.notify_all()
        if status.receipt and (over or status.life is Life.STAGING):
            # What was settled comes once more, or it moves nothing: there is nothing to commit.
            self._asking.acknowledge(status.receipt)
        if ended:
            self._looking.submit(self._look_closer, status, node)
        else:
            self._notify(status.handle)

    def _unread(self, raw: Mapping[str, Any]) -> None:
        """It says nothing of its own, but for one that we asked for and nobody knows."""
        if raw.get("state") == "TASK_UNKNOWN":
            with self._changed:
                self._words.unknown(raw["task_id"]["value"])
                self._changed.notify_all()

    def _look_closer(self, status: ContainerStatus, node: str) -> None:
        """Add what the executor said on its own stderr, if it was the launch that failed."""
        try:
            if may_be_refusal(status, read_record(self._attempt_dir(status.handle))):
                said = with_refusal(status, self._executor_said(status.handle, node))
                with self._changed:
                    self._words.put(said)
                status = said
            if status.error:
                with self._changed:
                    self._troubles.failed(node, status.error, time.monotonic())
        except OSError as error:
            log.info("%s: its record can't be read now: %s", status.handle, error)
        finally:
            with self._changed:
                self._asking.looks(status.handle, under_way=False)
            self._notify(status.handle)

    def _executor_said(self, handle: str, node: str) -> str:
        with self._changed:
            agent = self._book.agents.get(node)
            framework_id = self._link.framework_id
        if agent is None:
            return ""
        return self._link.operator.stderr(agent.address, framework_id, handle)

    # What the backend is asked.

    def health(self) -> Health:
        return self._machines.health()

    def machines(self) -> list[MachineReport]:
        return self._machines.reports()

    def offers(self) -> list[Offer]:
        return self._machines.offers()

    def resolve(self, image: str, *, pull: str, on_phase: OnPhase, timeout: float) -> str:
        """With "always" the digest that the tag stands for now; machines pull what they miss."""
        return self._registries.resolve(image, pull=pull, timeout=timeout)

    def launch(self, spec: ContainerSpec) -> None:
        self._link.subscribed()
        if self._asking.knows(spec.handle, spec.node):
            return
        amount = Amount.asked(0.0 if spec.cpus_lent else spec.cpus, spec.memory)
        wish = Wish(spec.handle, spec.node, amount, self._task(spec))
        with self._changed:
            self._acceptor.add(wish)
        try:
            wish.done.result(timeout=LAUNCH_WITHIN + 2 * CONNECT_WITHIN)
        except FutureTimeout:
            raise BackendUnavailable("The Mesos master does not take launches.") from None

    def _task(self, spec: ContainerSpec) -> dict[str, Any]:
        return task_info(
            self._processors.shown(spec),
            agent_id=spec.node,
            installation=self._installation,
            runner=self._runner,
            proxies=self._proxies,
            role=self._settings.role,
            network=self._settings.network,
            resources=(),
        )

    def status(self, handle: str) -> ContainerStatus | None:
        return self._asking.status(handle)

    def containers(self, known: Mapping[str, str] | None = None) -> dict[str, ContainerStatus]:
        return self._asking.all(known or {})

    def settled(self, status: ContainerStatus) -> None:
        if status.receipt:
            self._asking.acknowledge(status.receipt)

    def stop(self, handle: str, *, grace: float) -> None:
        """The task's own kill policy has the grace."""
        self._kill(handle, None)

    def kill(self, handle: str) -> None:
        self._kill(handle, 0.0)

    def _kill(self, handle: str, grace: float | None) -> None:
        connection = self._link.subscribed()
        with self._changed:
            status, node = self._words.get(handle), self._words.node(handle)
        if status is None or status.life in OVER:
            return
        body: dict[str, Any] = {"task_id": {"value": handle}}
        if node:
            body["agent_id"] = {"value": node}
        if grace is not None:
            body["kill_policy"] = {"grace_period": {"nanoseconds": round(grace * 1e9)}}
        connection.call("KILL", body)

    def remove(self, handle: str) -> None:
        """Mesos removes the container itself; a due receipt is given, and it is forgotten here."""
        with self._changed:
            status = self._words.get(handle)
        if status is not None and status.life in OVER:
            self.settled(status)
            with self._changed:
                self._words.forget(handle)
