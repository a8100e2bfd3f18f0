"""What became of our Mesos tasks: the words that came, and asking where there are none."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from jobs.backends.base import BackendUnavailable, ContainerStatus, Life
from jobs.backends.exit_record import read_record
from jobs.backends.mesos_link import Link
from jobs.backends.mesos_status import is_settled_by_record, while_unwatched, with_record
from jobs.backends.mesos_words import OVER, Words

log = logging.getLogger(__name__)

ANSWER_WITHIN = 1.0
"""seconds to wait for the master's word before "cannot tell" """
ASK_ALL_EVERY = 120.0
"""seconds between two reconciliations of everything"""
ASK_AGAIN = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""seconds until those of which there is no word are asked for again"""
LOOKED_WITHIN = 3.0
"""seconds that an end waits for a closer look at it: at its machine, which may not answer"""
FRESH = 30.0
"""seconds of a new connection in which a task may be known to Mesos and not yet to us"""


class Asking:
    """`changed` guards `words` and when what was asked; it is told of every word that comes."""

    def __init__(
        self,
        link: Link,
        words: Words,
        changed: threading.Condition,
        *,
        was_launched: Callable[[str], bool],
        attempt_dir: Callable[[str], Path],
    ) -> None:
        """`was_launched`: sent to Mesos, or about to be, and nothing heard of it yet."""
        self._link = link
        self._words = words
        self._changed = changed
        self._was_launched = was_launched
        self._attempt_dir = attempt_dir
        self._asked_all = 0.0
        self._ask_next = 0.0
        self._asks = 0
        self._looks: set[str] = set()
        """handles of ends that are being looked at more closely"""

    def start_afresh(self) -> None:
        """A new connection: everything is asked for again. Called under `changed`."""
        self._asked_all, self._ask_next, self._asks = 0.0, 0.0, 0

    def looks(self, handle: str, *, under_way: bool) -> None:
        """Nobody is told of an end while it is looked at. Called under `changed`."""
        if under_way:
            self._looks.add(handle)
        else:
            self._looks.discard(handle)
            self._changed.notify_all()

    def knows(self, handle: str, node: str) -> bool:
        """Whether it was launched before, perhaps by another process."""
        with self._changed:
            if self._was_launched(handle) or self._words.get(handle) is not None:
                return True
            fresh = time.monotonic() - self._link.since < FRESH
        if not fresh:
            return False
        # Another process may have launched it just before we took over.
        self._ask({handle: node})
        self._await_words([handle])
        with self._changed:
            status = self._words.get(handle)
            if status is not None and status.life is Life.GONE:
                self._words.unhear(handle)
                return False
        return status is not None

    def status(self, handle: str) -> ContainerStatus | None:
        with self._changed:
            self._await_looks({handle})
            known, forgotten = self._words.get(handle), self._words.is_forgotten(handle)
        if forgotten:
            return None
        if self._link.is_ours and known is not None and known.life in OVER:
            return self._with_record(known)
        self._link.subscribed()
        with self._changed:
            silent = bool(self._words.silent([handle]))
            asked = silent and not self._was_launched(handle)
        if asked:
            self._ask({handle: self._words.node(handle)})
            self._await_words([handle])
        with self._changed:
            found, unknown = self._words.get(handle), self._words.is_unknown(handle)
        if found is None and not unknown:
            raise BackendUnavailable("Mesos has not told yet what became of it.")
        return None if found is None else self._with_record(found)

    def all(self, known: Mapping[str, str]) -> dict[str, ContainerStatus]:
        """`known`: handle -> node of those that there should be."""
        self._link.subscribed()
        self._reconcile(known)
        with self._changed:
            self._await_looks(set(self._words.all()))
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
        assert self._link.connection is not None  # noqa: S101 - asked only when subscribed
        asked = []
        for handle, node in tasks.items():
            task: dict[str, Any] = {"task_id": {"value": handle}}
            if node:
                task["agent_id"] = {"value": node}
            asked.append(task)
        self._link.connection.call("RECONCILE", {"tasks": asked})

    def _await_words(self, handles: Collection[str]) -> None:
        with self._changed:
            self._changed.wait_for(
                lambda: not self._words.silent(handles) or not self._link.since, ANSWER_WITHIN
            )

    def _await_looks(self, handles: set[str]) -> None:
        """Called under `changed`, which is let go meanwhile."""
        self._changed.wait_for(lambda: self._looks.isdisjoint(handles), LOOKED_WITHIN)

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
            with self._changed:
                self._words.put(status)
        return while_unwatched(with_record(status, record), record, time.time())

    def acknowledge(self, receipt: str) -> None:
        """Mesos need not repeat this word. While it can't be told, it does."""
        with self._changed:
            raw = self._words.due(receipt)
            connection = self._link.connection
        if raw is None or connection is None:
            return
        try:
            body = {"task_id": raw["task_id"], "agent_id": raw["agent_id"], "uuid": raw["uuid"]}
            connection.call("ACKNOWLEDGE", body)
        except BackendUnavailable:
            # It comes again until it is acknowledged.
            log.debug("Not acknowledged yet: %s", raw["task_id"]["value"])
