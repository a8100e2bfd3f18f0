"""How the backend finds its master, and what it says and does when it may not or can't."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.mesos.lab import Lab
from deploy.mesos.lab.zookeeper import ZooKeeper, publish_in_zookeeper
from jobs.backends.base import BackendUnavailable
from jobs.backends.mesos_backend import MesosBackend
from jobs.backends.mesos_notes import FRAMEWORK, REMOVED
from tests.mesos.backend import Site, framework_ids, outstanding, tear_down
from tests.mesos.conftest import make_lab
from tests.mesos.faults.proxy import Proxy
from tests.waiting import until

pytestmark = pytest.mark.mesos

WATCHED = 6.0
"""seconds for which attempts are counted"""
FEW = 12
"""attempts in that time which are no spinning: one thread, longer and longer pauses"""


@pytest.fixture
def site() -> Iterator[Site]:
    folder = Path(tempfile.mkdtemp(prefix="mesos-masters-"))
    yield Site(folder)
    shutil.rmtree(folder)


@pytest.fixture
def proxy(lab: Lab) -> Iterator[Proxy]:
    made = Proxy(lab.master, Lab.free_port(0))
    yield made
    made.close()


def reaches(backend: MesosBackend, *, seconds: float = 20.0) -> None:
    def answers() -> bool:
        try:
            return len(backend.offers()) > 0
        except BackendUnavailable:
            return False

    until(answers, "the backend to reach its master", seconds=seconds, every=0.2)


def subscribed_at(lab: Lab) -> float:
    """Unix time of the latest subscription"""
    frameworks = lab.state("/frameworks")["frameworks"]
    times = [each.get("reregistered_time") or each["registered_time"] for each in frameworks]
    return float(max(times))


def refusal(backend: MesosBackend, words: str) -> str:
    """The sentence with these words, once it comes."""
    said = [""]

    def told() -> bool:
        try:
            backend.offers()
        except BackendUnavailable as error:
            said[0] = str(error)
        return words in said[0]

    until(told, f"{words!r}", seconds=20, every=0.2)
    return said[0]


def attempts_in_peace(backend: MesosBackend, proxy: Proxy) -> int:
    """Connections made while it is asked as often as supervision asks it."""
    before, end = proxy.accepted, time.monotonic() + WATCHED
    while time.monotonic() < end:
        with pytest.raises(BackendUnavailable):
            backend.offers()
        time.sleep(0.2)
    return proxy.accepted - before


def test_zookeeper_names_the_leader_and_its_successor(site: Site, tmp_path: Path) -> None:
    zookeeper = ZooKeeper(tmp_path / "zookeeper", Lab.free_port(0))
    first, second = make_lab("zk-first", agents=1), make_lab("zk-second", agents=1)
    with zookeeper.running(), first.running(), second.running():
        leader = publish_in_zookeeper(zookeeper.url(), first.master)
        with site.backend(zookeeper.url()) as backend:
            reaches(backend)
            assert first.master in backend.health().sentence
            known = framework_ids(first)
            assert known == {site.notes.get(FRAMEWORK)}

            leader.resign()
            leader = publish_in_zookeeper(zookeeper.url(), second.master)
            until(
                lambda: framework_ids(second) == known,
                "the same framework at the next leader",
                seconds=20,
                every=0.2,
            )
            reaches(backend)
            assert second.master in backend.health().sentence
            assert framework_ids(first) == set()
        leader.resign()


def test_zookeeper_is_away_at_first(site: Site, tmp_path: Path, lab: Lab) -> None:
    zookeeper = ZooKeeper(tmp_path / "zookeeper", Lab.free_port(0))
    with site.backend(zookeeper.url()) as backend:
        with pytest.raises(BackendUnavailable):
            backend.offers()
        assert not backend.health().ok
        with zookeeper.running():
            leader = publish_in_zookeeper(zookeeper.url(), lab.master)
            reaches(backend, seconds=40)
            leader.resign()


def test_the_first_of_several_masters_is_not_there(site: Site, lab: Lab) -> None:
    nobody = f"127.0.0.1:{Lab.free_port(0)}"
    with site.backend(f"{nobody},{lab.master}") as backend:
        reaches(backend)
        assert lab.master in backend.health().sentence


def test_a_master_that_is_silent_from_the_start_is_left_for_the_next(site: Site, lab: Lab) -> None:
    silent = Proxy(lab.master, Lab.free_port(0))
    silent.silence()
    try:
        with site.backend(f"{silent.address},{lab.master}") as backend:
            reaches(backend, seconds=40)
    finally:
        silent.close()


def test_a_connection_that_falls_silent_while_nothing_is_to_be_said(
    site: Site, lab: Lab, proxy: Proxy
) -> None:
    """Nobody resets it and no call could fail: only the missing heartbeats tell."""
    with site.backend(proxy.address) as backend:
        reaches(backend)
        until(lambda: outstanding(lab) == 0, "the last call", seconds=20, every=0.2)
        before = subscribed_at(lab)
        proxy.silence()
        proxy.resume()
        assert subscribed_at(lab) == before
        # Every 15 s, and two of them may be missed.
        until(lambda: subscribed_at(lab) > before, "a new subscription", seconds=50, every=0.5)
        reaches(backend)


def test_principal_and_secret(site: Site, tmp_path: Path) -> None:
    lab = make_lab("secrets", agents=1, principal="portal", secret="open sesame")
    wrong = tmp_path / "wrong"
    wrong.write_text("open barley\n")
    with lab.running():
        assert lab.secret_file is not None
        with site.backend(lab.master, principal="portal", secret_file=lab.secret_file) as backend:
            reaches(backend)
        proxy = Proxy(lab.master, Lab.free_port(0))
        try:
            with site.backend(proxy.address, principal="portal", secret_file=wrong) as backend:
                sentence = refusal(backend, "RCLUSTER_MESOS_SECRET_FILE")
                assert "principal or secret" in sentence
                assert attempts_in_peace(backend, proxy) <= FEW
                # Once it is put right, it goes on by itself.
                assert framework_ids(lab) == set()
        finally:
            proxy.close()
        with site.backend(
            lab.master, principal="portal", secret_file=tmp_path / "missing"
        ) as backend:
            assert "can't be read" in refusal(backend, "missing")
            assert "can't be read" in backend.health().sentence


def test_a_removed_framework_waits_for_an_administrator(site: Site, lab: Lab, proxy: Proxy) -> None:
    with site.backend(proxy.address) as backend:
        reaches(backend)
        old = site.notes.get(FRAMEWORK)
        assert framework_ids(lab) == {old}
        tear_down(lab, old)
        assert "removed" in refusal(backend, "An administrator can register anew")
        assert not backend.health().ok
        # pymesos opens one more connection, and sends nothing, on its way out.
        assert attempts_in_peace(backend, proxy) <= 1
    with site.backend(proxy.address) as backend:
        # Nor after a restart of the portal.
        assert attempts_in_peace(backend, proxy) == 0
        # The administrator's word (jobs/registration.py).
        site.notes.put(FRAMEWORK, "")
        site.notes.put(REMOVED, "")
        reaches(backend)
        assert framework_ids(lab) == {site.notes.get(FRAMEWORK)} != {old}


def test_a_framework_that_was_removed_while_nobody_was_there(
    site: Site, lab: Lab, proxy: Proxy
) -> None:
    with site.backend(proxy.address) as backend:
        reaches(backend)
    old = site.notes.get(FRAMEWORK)
    tear_down(lab, old)
    with site.backend(proxy.address) as backend:
        assert "removed" in refusal(backend, "An administrator can register anew")
        assert attempts_in_peace(backend, proxy) == 0
        assert site.notes.get(FRAMEWORK) == old
