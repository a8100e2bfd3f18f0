"""Offers in hand, given back and taken, and launches that come to nothing: on real machines."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deploy.mesos.lab import Lab
from jobs.backends.base import BackendUnavailable, ContainerStatus, Life, Offer
from jobs.backends.mesos_backend import MesosBackend
from tests.mesos.backend import Site, calls, outstanding
from tests.mesos.conftest import make_lab
from tests.waiting import until

pytestmark = [pytest.mark.mesos, pytest.mark.docker]

REPOSITORY = Path(__file__).resolve().parents[2]
OVER = (Life.ENDED, Life.GONE)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Which every user can reach, with the runner in it."""
    made = Path(tempfile.mkdtemp(prefix="mesos-offers-"))
    made.chmod(0o755)
    build = ["make", "-s", "-C", str(REPOSITORY / "runner"), f"OUT={made}"]
    subprocess.run([*build, f"{made}/rcluster-run"], check=True, timeout=120)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def site(folder: Path) -> Site:
    return Site(folder)


@pytest.fixture
def backend(site: Site, lab: Lab) -> Iterator[MesosBackend]:
    with site.backend(lab.master) as made:
        yield made


def offers(backend: MesosBackend, machines: int = 3, *, seconds: float = 20.0) -> list[Offer]:
    """Once so many machines have something free."""
    found: list[Offer] = []

    def there() -> bool:
        try:
            found[:] = [each for each in backend.offers() if each.free_cpus]
        except BackendUnavailable:
            return False
        return len(found) >= machines

    until(there, f"offers of {machines} machines", seconds=seconds, every=0.2)
    return found


def end(backend: MesosBackend, handle: str) -> ContainerStatus:
    last: list[ContainerStatus] = []

    def over() -> bool:
        status = backend.status(handle)
        last[:] = [status] if status else []
        if status and status.life not in OVER:
            # As supervision does; else the next word waits for ever.
            backend.settled(status)
        return bool(status and status.life in OVER)

    until(over, f"the end of {handle}", seconds=60, every=0.1)
    return last[0]


def test_nothing_waits_and_something_does(backend: MesosBackend, lab: Lab) -> None:
    offers(backend)
    until(lambda: outstanding(lab) == 0, "all offers to be given back", seconds=20, every=0.2)
    # Nor does Mesos offer them again while nobody asks.
    end_at = time.monotonic() + 4
    while time.monotonic() < end_at:
        assert outstanding(lab) == 0
        time.sleep(0.1)
    began = time.monotonic()
    assert {each.free_cpus for each in offers(backend)} == {lab.options.cpus}
    assert time.monotonic() - began < 3
    assert outstanding(lab) >= 3


def test_launches_that_come_together_share_one_accept(
    backend: MesosBackend, site: Site, lab: Lab, busybox: str
) -> None:
    node = offers(backend)[0].node
    before = calls(lab, "accept")
    specs = [site.spec(busybox, node, "true") for _ in range(4)]
    with ThreadPoolExecutor(len(specs)) as pool:
        list(pool.map(backend.launch, specs))
    assert 1 <= calls(lab, "accept") - before < len(specs)
    for spec in specs:
        status = end(backend, spec.handle)
        assert (status.life, status.exit_code) == (Life.ENDED, 0)
        backend.remove(spec.handle)


def test_a_stale_offer_costs_a_retry(
    backend: MesosBackend, site: Site, lab: Lab, busybox: str
) -> None:
    """Given back behind our back, as one whose rescinding is still on its way to us."""
    node = offers(backend)[0].node
    stale = [{"value": each} for each in backend._book.of(node)]
    assert backend._link.connection is not None
    backend._link.connection.call(
        "DECLINE", {"offer_ids": stale, "filters": {"refuse_seconds": 0.1}}
    )
    first = site.spec(busybox, node, "true")
    backend.launch(first)
    status = end(backend, first.handle)
    assert status.life is Life.GONE, status
    assert "offer" in status.sentence
    backend.remove(first.handle)
    # Supervision starts the next attempt, under another handle.
    offers(backend)
    again = site.spec(busybox, node, "true")
    backend.launch(again)
    assert end(backend, again.handle).exit_code == 0
    backend.remove(again.handle)


def test_what_belongs_to_other_roles_is_left_alone(site: Site) -> None:
    shared = "cpus(theirs):3;cpus:1;mem(theirs):2048;mem:512;disk:1024"
    lab = make_lab("roles", agents=1, agent_flags={"resources": shared})
    with lab.running(), site.backend(lab.master) as backend:
        (offer,) = offers(backend, 1)
        assert (offer.free_cpus, offer.free_memory) == (1.0, 512 * 1024**2)


def test_docker_s_own_words_and_a_machine_that_is_set_aside(
    backend: MesosBackend, site: Site, busybox: str
) -> None:
    machine = offers(backend)[0]
    for _ in range(3):
        spec = site.spec(busybox, machine.node, "true")
        shutil.rmtree(site.folder / spec.handle / "code")  # Its mount can't be made.
        offers(backend)
        backend.launch(spec)
        status = end(backend, spec.handle)
        assert status.life is Life.ENDED
        # From the stderr of the agent's sandbox.
        assert "bind source path does not exist" in status.error, status
        backend.remove(spec.handle)
    reports = {each.node: each for each in backend.machines()}
    assert reports[machine.node].note.startswith("Set aside for 10 min: the last 3 launches")
    assert "bind source path does not exist" in reports[machine.node].note
    assert machine.node not in {each.node for each in backend.offers()}
    assert len(offers(backend, 2)) == 2


def test_an_image_that_cannot_be_had(backend: MesosBackend, site: Site) -> None:
    node = offers(backend)[0].node
    spec = site.spec("127.0.0.1:9/rcluster-test/missing:1", node, "true")
    backend.launch(spec)
    status = end(backend, spec.handle)
    assert status.life is Life.GONE
    assert "could not pull its image" in status.sentence
    backend.remove(spec.handle)
