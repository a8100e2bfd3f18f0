"""The last word on each of our Mesos tasks, and the receipts that Mesos still waits for. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from jobs.backends.base import ContainerStatus, Life

Json = Mapping[str, Any]

FORGOTTEN = 20_000
"""handles of which we remember that they are over and done with"""
OVER = frozenset({Life.ENDED, Life.GONE})


@dataclass(frozen=True)
class Word:
    status: ContainerStatus
    node: str
    raw: Json
    """as Mesos sent it: an acknowledgement repeats parts of it"""


class Words:
    """Not thread-safe: its owner holds a lock."""

    def __init__(self) -> None:
        self._last: dict[str, Word] = {}
        self._due: dict[str, Json] = {}
        """receipt -> the update that it is for"""
        self._since_connected: set[str] = set()
        self._unknown: set[str] = set()
        """asked for without a machine, and unknown to Mesos"""
        self._forgotten: dict[str, None] = {}
        """oldest first"""

    def hear(self, status: ContainerStatus, raw: Json) -> bool:
        """Note an update or an answer. False: it changes nothing that was known."""
        handle = status.handle
        self._since_connected.add(handle)
        self._unknown.discard(handle)
        if status.receipt:
            self._due[status.receipt] = raw
        if self.is_forgotten(handle):
            return False
        known = self._last.get(handle)
        if known is not None and known.status.life is Life.ENDED and status.life is not Life.ENDED:
            # An end stays an end, whatever a late answer says.
            return False
        if known is not None and status.started_at is None:
            # Only the first word of a start has its time.
            status = replace(status, started_at=known.status.started_at)
        node = raw.get("agent_id", {}).get("value", "") or (known.node if known else "")
        self._last[handle] = Word(status, node, raw)
        return known is None or known.status != status

    def unknown(self, handle: str) -> None:
        """Mesos knows no such task. It says so of one on an unreachable machine too, if it was not
        told which: only one of which we never heard is unknown for certain."""
        self._since_connected.add(handle)
        self._unknown.add(handle)

    def is_unknown(self, handle: str) -> bool:
        return handle in self._unknown

    def is_forgotten(self, handle: str) -> bool:
        """Its end was dealt with: what Mesos repeats of it is no news."""
        return handle in self._forgotten

    def put(self, status: ContainerStatus) -> None:
        """More is known of what was heard: what its executor said."""
        known = self._last.get(status.handle)
        if known is not None:
            self._last[status.handle] = Word(status, known.node, known.raw)

    def get(self, handle: str) -> ContainerStatus | None:
        """None: no word, ever."""
        word = self._last.get(handle)
        return None if word is None else word.status

    def node(self, handle: str) -> str:
        word = self._last.get(handle)
        return word.node if word else ""

    def all(self) -> dict[str, ContainerStatus]:
        return {handle: word.status for handle, word in self._last.items()}

    def due(self, receipt: str) -> Json | None:
        """The update that `receipt` acknowledges, once; None if it was or never came."""
        return self._due.pop(receipt, None)

    def forget(self, handle: str) -> None:
        """Drop an ended one; a living one stays."""
        word = self._last.get(handle)
        if word is not None and word.status.life in OVER:
            del self._last[handle]
            self._since_connected.discard(handle)
            self._forgotten[handle] = None
            if len(self._forgotten) > FORGOTTEN:
                del self._forgotten[next(iter(self._forgotten))]

    def unhear(self, handle: str) -> None:
        """It was asked for too early: what was said of it holds no more once it is launched."""
        self._last.pop(handle, None)
        self._since_connected.discard(handle)

    def launched(self, handle: str, node: str) -> None:
        """It was handed to Mesos, which has said nothing yet."""
        staging = ContainerStatus(handle, Life.STAGING)
        self._last.setdefault(handle, Word(staging, node, {}))

    def taken_over(self) -> None:
        """Another process dealt with everything meanwhile: what we know may be over and done with."""
        self._last.clear()
        self._due.clear()
        self.connected()

    def connected(self) -> None:
        """A new connection: what is known is from before. Receipts stay due: they are the same."""
        self._since_connected.clear()
        self._unknown.clear()

    def silent(self, handles: Collection[str]) -> list[str]:
        """Those of `handles` of which nothing was heard on this connection."""
        return [handle for handle in handles if handle not in self._since_connected]
