"""Spending offers: what waits to be launched meets the offers of its machine; the rest is given back."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from jobs.backends.base import BackendUnavailable, RoomGone
from jobs.backends.mesos_offers import Amount, OfferBook

log = logging.getLogger(__name__)

GATHER = 0.005
"""seconds: launches that come together share one ACCEPT, which spends whole offers"""
TICK = 0.5
LAUNCH_WITHIN = 8.0
"""seconds that a launch waits for an offer of its machine"""
IDLE_AFTER = 3.0
"""seconds since anybody asked for offers: nothing waits, so Mesos should send none"""
HOLD = 10.0
"""seconds that an offer is kept while Runs wait that it has no room for"""
REFUSE_BRIEFLY, REFUSE_LONG, REFUSE_ASIDE = 2.0, 3600.0, 600.0
"""seconds for which Mesos does not offer again what was declined; REVIVE ends that at once"""


@dataclass
class Wish:
    """A launch that waits for an offer of its machine."""

    handle: str
    node: str
    amount: Amount
    task: Mapping[str, Any]
    """TaskInfo without resources"""
    done: Future[None] = field(default_factory=Future)
    since: float = field(default_factory=time.monotonic)


@dataclass(frozen=True)
class Batch:
    """One call to the master: ACCEPT with tasks, DECLINE without, or SUPPRESS."""

    offer_ids: Sequence[str] = ()
    launches: Sequence[tuple[Wish, Sequence[Mapping[str, Any]]]] = ()
    """with the resources that each was given"""
    refuse: float = 0.0
    suppress: bool = False


class Acceptor:
    """A thread around `book`, which it shares with its owner under `changed`."""

    def __init__(
        self,
        book: OfferBook,
        changed: threading.Condition,
        send: Callable[[Batch], None],
        is_aside: Callable[[str], bool],
        keep: Callable[[], None],
    ) -> None:
        self._book = book
        self._changed = changed
        self._send = send
        self._is_aside = is_aside
        self._keep = keep
        self._wishes: list[Wish] = []
        self._launched: set[str] = set()
        """handles sent to Mesos of which nothing was heard yet"""
        self._asked_at = 0.0
        self._suppressed = False
        self._subscribed = False
        self._stopped = False
        self._thread = threading.Thread(target=self._serve, name="mesos-offers", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Give up what waits: it was not launched."""
        with self._changed:
            self._stopped = True
            wishes, self._wishes = self._wishes, []
            self._changed.notify_all()
        for wish in wishes:
            wish.done.set_exception(RoomGone("The portal stopped before it could start."))

    # Called under `changed`.

    def add(self, wish: Wish) -> None:
        self._wishes.append(wish)
        self._changed.notify_all()

    def was_launched(self, handle: str) -> bool:
        return handle in self._launched or any(wish.handle == handle for wish in self._wishes)

    def heard(self, handle: str) -> None:
        self._launched.discard(handle)

    def subscribed(self, *, here: bool) -> None:
        """A new subscription gets offers at once; none gets any."""
        self._subscribed, self._suppressed = here, False
        self._asked_at = time.monotonic()

    def wanted(self) -> bool:
        """Somebody asks for offers. True: Mesos must be told first."""
        self._asked_at = time.monotonic()
        revive, self._suppressed = self._suppressed, False
        return revive

    # The thread.

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopped or bool(self._wishes), TICK)
                gather = bool(self._wishes)
            self._keep()
            if gather:
                time.sleep(GATHER)
            with self._changed:
                if self._stopped:
                    return
                batches = self._match() + self._give_back() if self._subscribed else []
                late = self._late()
            for wish in late:
                wish.done.set_exception(
                    RoomGone("The room on its machine was taken or withdrawn; it is placed again.")
                )
            for batch in batches:
                self._do(batch)
            if gather and not batches:
                with self._changed:
                    # Nothing to spend: until an offer comes.
                    self._changed.wait(TICK)

    def _match(self) -> list[Batch]:
        batches = []
        for node in {wish.node for wish in self._wishes}:
            wishes = [wish for wish in self._wishes if wish.node == node]
            offer_ids, given = self._book.take(node, [wish.amount for wish in wishes])
            launches = [
                (wish, resources)
                for wish, resources in zip(wishes, given, strict=True)
                if resources is not None
            ]
            if launches:
                batches.append(Batch(offer_ids, launches))
                spent = {wish.handle for wish, _ in launches}
                self._launched |= spent
                self._wishes = [wish for wish in self._wishes if wish.handle not in spent]
        return batches

    def _give_back(self) -> list[Batch]:
        if self._wishes:
            return []
        now = time.monotonic()
        if now - self._asked_at > IDLE_AFTER:
            batches = [] if not self._book else [self._decline(float("inf"), REFUSE_LONG)]
            if not self._suppressed:
                self._suppressed = True
                log.info("Nothing waits: Mesos is asked to send no offers")
                batches.append(Batch(suppress=True))
            return batches
        aside = [node for node in self._book.nodes() if self._is_aside(node)]
        batches = [Batch(self._spend(node), refuse=REFUSE_ASIDE) for node in aside]
        if self._book.older_than(now - HOLD):
            batches.append(self._decline(now - HOLD, REFUSE_BRIEFLY))
        return batches

    def _decline(self, older_than: float, refuse: float) -> Batch:
        offer_ids = self._book.older_than(older_than)
        for offer_id in offer_ids:
            self._book.drop(offer_id)
        return Batch(offer_ids, refuse=refuse)

    def _spend(self, node: str) -> list[str]:
        offer_ids = self._book.of(node)
        for offer_id in offer_ids:
            self._book.drop(offer_id)
        return offer_ids

    def _late(self) -> list[Wish]:
        limit = time.monotonic() - LAUNCH_WITHIN
        late = [wish for wish in self._wishes if wish.since < limit]
        self._wishes = [wish for wish in self._wishes if wish.since >= limit]
        return late

    def _do(self, batch: Batch) -> None:
        try:
            self._send(batch)
        except BackendUnavailable as error:
            # Whether Mesos got it is not known; what becomes of the tasks is asked later.
            for wish, _ in batch.launches:
                wish.done.set_exception(error)
        else:
            for wish, _ in batch.launches:
                wish.done.set_result(None)
