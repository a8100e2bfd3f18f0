"""The machines of a Mesos cluster: what the master lists, and what of them we hold as offers."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace

from jobs.backends.base import BackendUnavailable, Health, MachineReport, Notes, Offer
from jobs.backends.mesos_accepting import Acceptor
from jobs.backends.mesos_advice import Advisor
from jobs.backends.mesos_link import Link
from jobs.backends.mesos_notes import FactsKeeper, MasterFacts
from jobs.backends.mesos_offers import UNITS, OfferBook
from jobs.backends.mesos_operator import Listed
from jobs.backends.mesos_troubles import Troubles

log = logging.getLogger(__name__)

OFFERED_WITHIN = 0.5
"""seconds that asking for offers waits for the first of them"""


class Machines:
    """Under `changed`: the offers in `book`, which machines are set aside, and what is noted here."""

    def __init__(
        self,
        link: Link,
        book: OfferBook,
        troubles: Troubles,
        acceptor: Acceptor,
        changed: threading.Condition,
        *,
        notes: Notes,
        pull_timeout: float,
        set_aside: int,
    ) -> None:
        """`set_aside`: bytes of each machine for quick commands, at most a fifth of its memory."""
        self._link = link
        self._book = book
        self._troubles = troubles
        self._acceptor = acceptor
        self._changed = changed
        self._set_aside = set_aside
        self._facts = FactsKeeper(notes, time.time)
        self._advisor = Advisor(lambda agent: link.operator.flags(agent), pull_timeout=pull_timeout)
        self._version = (0.0, "")
        """of the master, and the connection on which it was asked"""
        self._sizes: dict[str, MachineReport] = {}
        """node -> what the master last said of it"""
        self._revived = False
        """offers were asked for, and none has come yet"""

    def close(self) -> None:
        self._advisor.close()

    def health(self) -> Health:
        try:
            connection = self._link.open()
            master = connection.master
            if not master:
                return Health(ok=False, sentence=connection.trouble or "No Mesos master leads.")
            version = self._link.operator.version(master)
        except BackendUnavailable as error:
            return Health(ok=False, sentence=str(error))
        return Health(ok=True, sentence=f"Mesos {version} answers at {master}.", version=version)

    def reports(self) -> list[MachineReport]:
        """Of every machine; and a note about the master, for pages, which may not ask Mesos."""
        try:
            reports = self._ask()
        except BackendUnavailable as error:
            self._note_master(str(error), 0)
            raise
        self._note_master("", sum(report.present for report in reports))
        return reports

    def _ask(self) -> list[MachineReport]:
        connection = self._link.subscribed()
        listed = self._link.operator.agents(connection.master)
        self._sizes = {each.report.node: each.report for each in listed}
        self._advisor.keep_only(set(self._sizes))
        return [self._as_shown(each) for each in listed]

    def _as_shown(self, listed: Listed) -> MachineReport:
        report = listed.report
        with self._changed:
            aside = self._troubles.note(report.node, time.monotonic())
        advice = ""
        if report.present:
            advice = self._advisor.advice(report.node, listed.address, listed.registered)
        kept, free = self._for_commands(report.memory), report.free_memory
        return replace(
            report,
            memory=report.memory - kept,
            free_memory=None if free is None else max(0, free - kept),
            note=report.note or aside,
            advice=advice,
        )

    def _note_master(self, trouble: str, agents: int) -> None:
        connection = self._link.connection
        with self._changed:
            since, framework_id = self._link.since, self._link.framework_id
        master = connection.master if connection is not None else ""
        if since and self._version[0] != since:
            try:
                self._version = since, self._link.operator.version(master)
            except BackendUnavailable as error:
                trouble = trouble or str(error)
        version = self._version[1] if since else ""
        here = since > 0
        self._facts.tell(MasterFacts(master, version, framework_id, here, trouble, agents))

    def offers(self) -> list[Offer]:
        """Of each machine its size and what of it we hold as offers. Asking means that Runs wait."""
        connection = self._link.subscribed()
        if not self._sizes:
            self.reports()
        with self._changed:
            revive = self._revived = self._acceptor.wanted()
        if revive:
            connection.call("REVIVE")
            with self._changed:
                self._changed.wait_for(lambda: len(self._book) > 0, OFFERED_WITHIN)
        now = time.monotonic()
        open_ones = {node for node, size in self._sizes.items() if size.present and not size.note}
        with self._changed:
            return [
                self._offer(node)
                for node in open_ones.union(self._book.nodes())
                if not self._troubles.note(node, now)
            ]

    def _offer(self, node: str) -> Offer:
        size, agent = self._sizes.get(node), self._book.agents.get(node)
        free = self._book.free(node)
        cpus = max(free.cpus / UNITS, size.cpus if size else 0.0)
        memory = max(free.memory, size.memory if size else 0)
        kept = self._for_commands(memory)
        # Either the master has listed it, or it has made an offer.
        return Offer(
            machine=size.name if size else agent.name if agent else node,
            cpus=cpus,
            memory=memory - kept,
            node=node,
            attributes=size.attributes if size else agent.attributes if agent else {},
            free_cpus=free.cpus / UNITS,
            free_memory=free.memory,
            set_aside=kept,
        )

    def _for_commands(self, memory: int) -> int:
        """Bytes that are set aside of a machine with so many."""
        return min(self._set_aside, memory // 5)

    # Told by the connection, through its listener.

    def first_offers(self) -> bool:
        """Whether these are the first since we asked. Called under `changed`."""
        first, self._revived = self._revived, False
        return first

    def forget(self, node: str) -> None:
        self._sizes.pop(node, None)
