"""The `mesos` backend: Docker containers on the machines of a Mesos cluster.

Whoever holds the lease of supervision holds the one connection (mesos.py). What Mesos says comes in
on the connection's thread and is only noted there; a thread of our own spends the offers. Offers and
words are guarded by one lock, and no call to the master is made under it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import replace
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
    RegistrationRemoved,
)
from jobs.backends.exit_record import read_record
from jobs.backends.mesos import Connection
from jobs.backends.mesos_accepting import LAUNCH_WITHIN, Acceptor, Batch, Wish
from jobs.backends.mesos_advice import Advisor
from jobs.backends.mesos_notes import (
    FRAMEWORK,
    REMOVED,
    FactsKeeper,
    MasterFacts,
    Removal,
    as_note,
    removal,
)
from jobs.backends.mesos_offers import UNITS, Amount, OfferBook
from jobs.backends.mesos_operator import Operator
from jobs.backends.mesos_settings import MesosSettings
from jobs.backends.mesos_status import (
    is_settled_by_record,
    may_be_refusal,
    read,
    while_unwatched,
    with_record,
    with_refusal,
)
from jobs.backends.mesos_tasks import task_info
from jobs.backends.mesos_troubles import Troubles
from jobs.backends.mesos_words import OVER, Words
from jobs.backends.processors import Processors
from jobs.backends.registries import Registries
from jobs.backends.variables import site_proxies

log = logging.getLogger(__name__)

CONNECT_WITHIN = 3.0
ANSWER_WITHIN = 1.0
"""seconds to wait for the master's word before "cannot tell" """
ASK_ALL_EVERY = 120.0
"""seconds between two reconciliations of everything"""
ASK_AGAIN = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""seconds until those of which there is no word are asked for again"""
FRESH = 30.0
"""seconds of a new connection in which a task may be known to Mesos and not yet to us"""


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
    ) -> None:
        self._settings = settings
        self._installation = installation
        self._runner = runner
        self._notes = notes
        self._attempt_dir = attempt_dir
        self._registries = Registries(settings.registry_auth)
        self._processors = Processors(here=False)
        self._proxies = site_proxies()
        self._operator: Operator | None = None
        self._advisor: Advisor | None = None
        self._facts = FactsKeeper(notes, time.time)
        self._version = (0.0, "")
        """of the master, and the connection on which it was asked"""
        self._connection: Connection | None = None
        self._changed = threading.Condition()
        self._book = OfferBook(settings.role)
        self._words = Words()
        self._troubles = Troubles()
        self._acceptor = Acceptor(self._book, self._changed, self._send, self._is_aside, self._keep)
        self._framework_id = ""
        self._connected_at = 0.0
        """0: not subscribed"""
        self._revived = False
        """offers were asked for, and none has come yet"""
        self._sizes: dict[str, MachineReport] = {}
        """node -> what the master last said of it"""
        self._asked_all = 0.0
        self._ask_next = 0.0
        self._asks = 0
        self._notify: Notify = lambda handle: None
        self._looking = ThreadPoolExecutor(2, thread_name_prefix="mesos-stderr")
        self._closed = False

    # The connection.

    def _connect(self) -> Connection:
        """The connection, made at first use. Raises BackendUnavailable where it can't be made."""
        if removed := removal(self._notes.get(REMOVED)):
            raise RegistrationRemoved(str(removed))
        with self._changed:
            if self._connection is None:
                self._framework_id = self._notes.get(FRAMEWORK)
                credential = self._settings.credential()
                self._operator = Operator(credential)
                self._advisor = Advisor(
                    self._operator.flags, pull_timeout=self._settings.pull_timeout
                )
                self._connection = Connection(
                    self._settings.masters,
                    lambda: self._settings.framework(self._framework_id),
                    self,
                    credential,
                )
                self._acceptor.start()
            connection = self._connection
        if connection.stands_down and not self._closed:
            # Another took over meanwhile; that we are asked means that it is our turn again. Or we
            # were removed, and an administrator wants us registered anew.
            framework_id = self._notes.get(FRAMEWORK)
            with self._changed:
                self._framework_id = framework_id
                self._words.taken_over()
            connection.resume()
        if not connection.connected:
            connection.keep()
        return connection

    def _subscribed_connection(self) -> Connection:
        """Raises BackendUnavailable if there is no subscription within CONNECT_WITHIN."""
        connection = self._connect()
        with self._changed:
            here = self._changed.wait_for(lambda: self._connected_at > 0, CONNECT_WITHIN)
            framework_id = self._framework_id
        if not here:
            raise BackendUnavailable(connection.trouble or "The Mesos master does not answer.")
        if self._notes.get(FRAMEWORK) != framework_id:
            # Before anything is launched under it: another process must find its tasks again.
            self._notes.put(FRAMEWORK, framework_id)
        return connection

    def watch(self, notify: Notify) -> None:
        self._notify = notify
        with self._changed:
            ended = [handle for handle, known in self._words.all().items() if known.life in OVER]
        for handle in ended:
            notify(handle)

    def _keep(self) -> None:
        """By the acceptor's thread, twice a second: a dead connection is made anew."""
        if self._connection is not None and not self._closed:
            self._connection.keep()

    def close(self) -> None:
        """Leave everything as it is: another process goes on with it."""
        self._closed = True
        self._acceptor.stop()
        if self._connection is not None:
            self._connection.close()
        if self._advisor is not None:
            self._advisor.close()
        if self._operator is not None:
            self._operator.close()
        self._looking.shutdown(wait=False, cancel_futures=True)

    # Told by the connection, on its thread.

    def subscribed(self, framework_id: str) -> None:
        with self._changed:
            self._framework_id = framework_id
            self._book.clear()
            self._words.connected()
            self._connected_at = time.monotonic()
            self._asked_all, self._ask_next, self._asks = 0.0, 0.0, 0
            self._acceptor.subscribed(here=True)
            self._changed.notify_all()
        log.info("Subscribed to Mesos as framework %s", framework_id)
        self._notify("")

    def disconnected(self) -> None:
        with self._changed:
            self._connected_at = 0.0
            self._book.clear()
            self._acceptor.subscribed(here=False)
            self._changed.notify_all()

    def offered(self, offers: list[dict[str, Any]]) -> None:
        now = time.monotonic()
        with self._changed:
            first, self._revived = self._revived, False
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
        self._sizes.pop(node, None)
        self._notify("")

    def refused(self, sentence: str, *, removed: bool) -> None:
        with self._changed:
            # First of all nothing may take us for subscribed, and note the old id once more.
            self._connected_at = 0.0
        if removed:
            self._notes.put(REMOVED, as_note(Removal(sentence, time.time())))
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
            self._changed.notify_all()
        if status.receipt and (over or status.life is Life.STAGING):
            # What was settled comes once more, or it moves nothing: there is nothing to commit.
            self._acknowledge(status.receipt)
        if news and status.life is Life.ENDED:
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
                status = self._words_put(said)
            if status.error:
                with self._changed:
                    self._troubles.failed(node, status.error, time.monotonic())
        except OSError as error:
            log.info("%s: its record can't be read now: %s", status.handle, error)
        finally:
            self._notify(status.handle)

    def _words_put(self, status: ContainerStatus) -> ContainerStatus:
        with self._changed:
            self._words.put(status)
        return status

    def _executor_said(self, handle: str, node: str) -> str:
        with self._changed:
            agent = self._book.agents.get(node)
        if agent is None or self._operator is None:
            return ""
        return self._operator.stderr(agent.address, self._framework_id, handle)

    # The machines.

    def _is_aside(self, node: str) -> bool:
        return bool(self._troubles.note(node, time.monotonic()))

    def health(self) -> Health:
        try:
            connection = self._connect()
            operator = self._operator
            master = connection.master
            if not master or operator is None:
                return Health(ok=False, sentence=connection.trouble or "No Mesos master leads.")
            version = operator.version(master)
        except BackendUnavailable as error:
            return Health(ok=False, sentence=str(error))
        return Health(ok=True, sentence=f"Mesos {version} answers at {master}.", version=version)

    def machines(self) -> list[MachineReport]:
        try:
            reports = self._ask_machines()
        except BackendUnavailable as error:
            self._note_master(str(error), 0)
            raise
        self._note_master("", sum(report.present for report in reports))
        return reports

    def _ask_machines(self) -> list[MachineReport]:
        connection = self._subscribed_connection()
        assert self._operator is not None and self._advisor is not None  # noqa: S101 - made with it
        now = time.monotonic()
        reports = []
        for each in self._operator.agents(connection.master):
            report = each.report
            with self._changed:
                aside = self._troubles.note(report.node, now)
            advice = (
                self._advisor.advice(report.node, each.address, each.registered)
                if report.present
                else ""
            )
            reports.append(replace(report, note=report.note or aside, advice=advice))
        self._sizes = {report.node: report for report in reports}
        self._advisor.keep_only(set(self._sizes))
        return reports

    def _note_master(self, trouble: str, agents: int) -> None:
        """For pages, which may not ask Mesos."""
        connection, operator = self._connection, self._operator
        with self._changed:
            since, framework_id = self._connected_at, self._framework_id
        master = connection.master if connection is not None else ""
        if since and operator is not None and self._version[0] != since:
            try:
                self._version = since, operator.version(master)
            except BackendUnavailable as error:
                trouble = trouble or str(error)
        version = self._version[1] if since else ""
        here = since > 0
        self._facts.tell(MasterFacts(master, version, framework_id, here, trouble, agents))

    def offers(self) -> list[Offer]:
        """Of each machine its size and what of it we hold as offers. Asking means that Runs wait."""
        connection = self._subscribed_connection()
        if not self._sizes:
            self.machines()
        with self._changed:
            revive = self._revived = self._acceptor.wanted()
        if revive:
            connection.call("REVIVE")
            with self._changed:
                self._changed.wait_for(lambda: len(self._book) > 0, ANSWER_WITHIN / 2)
        now = time.monotonic()
        open_ones = {node for node, size in self._sizes.items() if size.present and not size.note}
        with self._changed:
            return [
                self._offer(node)
                for node in open_ones.union(self._book.nodes())
                if not self._troubles.note(node, now)
            ]

    def _offer(self, node: str) -> Offer:
        free, size, agent = (
            self._book.free(node),
            self._sizes.get(node),
            self._book.agents.get(node),
        )
        cpus = max(free.cpus / UNITS, size.cpus if size else 0.0)
        memory = max(free.memory, size.memory if size else 0)
        # Either the master has listed it, or it has made an offer.
        name = size.name if size else agent.name if agent else node
        attributes = size.attributes if size else agent.attributes if agent else {}
        return Offer(name, cpus, memory, node, attributes, free.cpus / UNITS, free.memory)

    def resolve(self, image: str, *, pull: str, on_phase: OnPhase, timeout: float) -> str:
        """With "always" the digest that the tag stands for now; machines pull what they miss."""
        return self._registries.resolve(image, pull=pull, timeout=timeout)

    # Containers.

    def launch(self, spec: ContainerSpec) -> None:
        self._subscribed_connection()
        if self._is_known(spec):
            return
        amount = Amount.asked(spec.cpus, spec.memory)
        wish = Wish(spec.handle, spec.node, amount, self._task(spec))
        with self._changed:
            self._acceptor.add(wish)
        try:
            wish.done.result(timeout=LAUNCH_WITHIN + 2 * CONNECT_WITHIN)
        except FutureTimeout:
            raise BackendUnavailable("The Mesos master does not take launches.") from None

    def _is_known(self, spec: ContainerSpec) -> bool:
        with self._changed:
            if self._acceptor.was_launched(spec.handle) or self._words.get(spec.handle) is not None:
                return True
            fresh = time.monotonic() - self._connected_at < FRESH
        if not fresh:
            return False
        # Another process may have launched it just before we took over.
        self._ask({spec.handle: spec.node})
        self._await_words([spec.handle])
        with self._changed:
            status = self._words.get(spec.handle)
            if status is not None and status.life is Life.GONE:
                self._words.unhear(spec.handle)
                return False
        return status is not None

    def _send(self, batch: Batch) -> None:
        """One ACCEPT, or DECLINE, or SUPPRESS: called by the acceptor's thread."""
        connection = self._connection
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
        with self._changed:
            known, forgotten = self._words.get(handle), self._words.is_forgotten(handle)
        if forgotten:
            return None
        connection = self._connection
        ours = connection is not None and not connection.stands_down
        if ours and known is not None and known.life in OVER:
            return self._with_record(known)
        self._subscribed_connection()
        with self._changed:
            silent = bool(self._words.silent([handle]))
            asked = silent and not self._acceptor.was_launched(handle)
        if asked:
            self._ask({handle: self._words.node(handle)})
            self._await_words([handle])
        with self._changed:
            found, unknown = self._words.get(handle), self._words.is_unknown(handle)
        if found is None and not unknown:
            raise BackendUnavailable("Mesos has not told yet what became of it.")
        return None if found is None else self._with_record(found)

    def containers(self, known: Mapping[str, str] | None = None) -> dict[str, ContainerStatus]:
        self._subscribed_connection()
        known = known or {}
        self._reconcile(known)
        with self._changed:
            found = {
                handle: status
                for handle, status in self._words.all().items()
                if status.life is not Life.GONE or handle in known
            }
            silent = self._words.silent(known)
        for handle in silent:
            if handle not in found or found[handle].life not in OVER:
                found[handle] = ContainerStatus(
                    handle, Life.UNREACHABLE, sentence="Mesos has not told of it since we asked."
                )
        return {handle: self._with_record(status) for handle, status in found.items()}

    def _reconcile(self, known: Mapping[str, str]) -> None:
        """Ask for everything now and then, for those of which there is no word more often."""
        now = time.monotonic()
        with self._changed:
            everything = not self._asked_all or now - self._asked_all > ASK_ALL_EVERY
            silent = self._words.silent(known)
            due = bool(silent) and now >= self._ask_next
            if everything:
                self._asked_all = now
            if due or everything:
                self._ask_next = now + ASK_AGAIN[min(self._asks, len(ASK_AGAIN) - 1)]
                self._asks += 1
            if not silent:
                self._asks = 0
        if everything:
            self._ask({})
            if known:
                self._ask(known)
        elif due:
            self._ask({handle: known[handle] for handle in silent})
        if everything or due:
            self._await_words(list(known))

    def _ask(self, tasks: Mapping[str, str]) -> None:
        """Explicit reconciliation of `tasks` (handle -> node); of none: implicit, all there are."""
        assert self._connection is not None  # noqa: S101 - asked only when subscribed
        asked = []
        for handle, node in tasks.items():
            task: dict[str, Any] = {"task_id": {"value": handle}}
            if node:
                task["agent_id"] = {"value": node}
            asked.append(task)
        self._connection.call("RECONCILE", {"tasks": asked})

    def _await_words(self, handles: Collection[str]) -> None:
        with self._changed:
            self._changed.wait_for(
                lambda: not self._words.silent(handles) or not self._connected_at, ANSWER_WITHIN
            )

    def _with_record(self, status: ContainerStatus) -> ContainerStatus:
        """An end, with what the runner noted of memory: the Docker containerizer does not tell."""
        # Only the first word of a start has its time: the record has it too.
        began = status.life is Life.RUNNING and status.started_at is None
        if not began and not is_settled_by_record(status):
            return status
        try:
            record = read_record(self._attempt_dir(status.handle))
        except OSError as error:
            raise BackendUnavailable(f"The storage does not answer: {error.strerror}.") from error
        if began and record is not None:
            status = replace(status, started_at=record.started_at)
            self._words_put(status)
        return while_unwatched(with_record(status, record), record, time.time())

    def settled(self, status: ContainerStatus) -> None:
        if status.receipt:
            self._acknowledge(status.receipt)

    def _acknowledge(self, receipt: str) -> None:
        with self._changed:
            raw = self._words.due(receipt)
            connection = self._connection
        if raw is None or connection is None:
            return
        try:
            body = {"task_id": raw["task_id"], "agent_id": raw["agent_id"], "uuid": raw["uuid"]}
            connection.call("ACKNOWLEDGE", body)
        except BackendUnavailable:
            # It comes again until it is acknowledged.
            log.debug("Not acknowledged yet: %s", raw["task_id"]["value"])

    def stop(self, handle: str, *, grace: float) -> None:
        """The task's own kill policy has the grace."""
        self._kill(handle, None)

    def kill(self, handle: str) -> None:
        self._kill(handle, 0.0)

    def _kill(self, handle: str, grace: float | None) -> None:
        connection = self._subscribed_connection()
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
