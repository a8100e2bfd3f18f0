"""What waits meets offers; the rest is given back, and Mesos is told when nothing waits."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from jobs.backends import mesos_accepting
from jobs.backends.base import BackendUnavailable, RoomGone
from jobs.backends.mesos_accepting import Acceptor, Batch, Wish
from jobs.backends.mesos_offers import Amount, OfferBook
from tests.jobs_backends.test_mesos_offers import offer, resource
from tests.waiting import until


class Desk:
    """An acceptor with a book of offers, and a master that only notes what it is sent."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.book = OfferBook("*")
        self.sent: list[Batch] = []
        self.aside: set[str] = set()
        self.error: BackendUnavailable | None = None
        self.acceptor = Acceptor(
            self.book, self.changed, self._send, self.aside.__contains__, lambda: None
        )
        with self.changed:
            self.acceptor.subscribed(here=True)
        self.acceptor.start()

    def _send(self, batch: Batch) -> None:
        if self.error:
            raise self.error
        self.sent.append(batch)

    def offers(self, number: int, cpus: float, node: str = "n1", *, now: float = 1e12) -> None:
        with self.changed:
            self.book.add(
                offer(number, resource("cpus", cpus), resource("mem", 1000.0), node=node), now
            )
            self.changed.notify_all()

    def wishes(self, *handles: str, node: str = "n1", cpus: int = 1000) -> list[Future[None]]:
        made = [Wish(handle, node, Amount(cpus, 1000), {"name": handle}) for handle in handles]
        with self.changed:
            for wish in made:
                self.acceptor.add(wish)
        return [wish.done for wish in made]

    @property
    def accepted(self) -> list[list[str]]:
        return [
            [wish.handle for wish, _ in batch.launches] for batch in self.sent if batch.launches
        ]


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk()
    yield made
    made.acceptor.stop()


def test_launches_that_come_together_share_one_accept(desk: Desk) -> None:
    desk.offers(1, 4.0)
    for done in desk.wishes("a", "b", "c"):
        done.result(timeout=5)
    assert desk.accepted == [["a", "b", "c"]]
    assert desk.sent[0].refuse == 0, "what is left is to be offered again at once"


def test_a_launch_waits_for_an_offer_of_its_own_machine(desk: Desk) -> None:
    desk.offers(1, 4.0, node="n2")
    (done,) = desk.wishes("a", node="n1")
    desk.offers(2, 0.5, node="n1")
    assert not done.done()
    desk.offers(3, 0.5, node="n1")
    done.result(timeout=5)
    assert sorted(desk.sent[0].offer_ids) == ["o2", "o3"]


def test_room_that_never_comes_is_told_and_costs_no_offer(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mesos_accepting, "LAUNCH_WITHIN", 0.2)
    (done,) = desk.wishes("a")
    with pytest.raises(RoomGone, match="placed again"):
        done.result(timeout=5)
    assert desk.accepted == []


def test_a_master_that_does_not_take_it_leaves_it_open_what_became_of_it(desk: Desk) -> None:
    desk.error = BackendUnavailable("Away.")
    desk.offers(1, 4.0)
    (done,) = desk.wishes("a")
    with pytest.raises(BackendUnavailable, match="Away"):
        done.result(timeout=5)


def test_nothing_waits(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Offers go back for long, and no more are asked for until somebody asks again."""
    desk.offers(1, 4.0)
    monkeypatch.setattr(mesos_accepting, "IDLE_AFTER", 0.0)
    until(lambda: len(desk.sent) >= 2, "DECLINE and SUPPRESS")
    declined, suppressed = desk.sent[:2]
    assert (declined.offer_ids, declined.refuse) == (["o1"], mesos_accepting.REFUSE_LONG)
    assert suppressed.suppress
    with desk.changed:
        assert desk.acceptor.wanted(), "Mesos must be told first"
        assert not desk.acceptor.wanted()


def test_what_nobody_fits_into_is_given_back_for_a_moment(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with desk.changed:
        desk.acceptor.wanted()
    monkeypatch.setattr(mesos_accepting, "HOLD", 0.0)
    desk.offers(1, 0.1, now=0.0)
    until(lambda: desk.sent, "DECLINE")
    assert (desk.sent[0].offer_ids, desk.sent[0].refuse) == (["o1"], 2.0)


def test_a_machine_that_is_set_aside_is_not_offered_again_soon(desk: Desk) -> None:
    desk.aside.add("n1")
    with desk.changed:
        desk.acceptor.wanted()
    desk.offers(1, 4.0)
    until(lambda: desk.sent, "DECLINE")
    assert (desk.sent[0].offer_ids, desk.sent[0].refuse) == (["o1"], 600.0)


def test_stopping_launches_nothing_more(desk: Desk) -> None:
    (done,) = desk.wishes("a")
    desk.acceptor.stop()
    with pytest.raises(RoomGone):
        done.result(timeout=5)
