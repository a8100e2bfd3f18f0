"""The portal's registration with a real Mesos: what people are told, and a framework that is removed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from deploy.mesos.lab import Lab
from tests.client import Client
from tests.mesos.portal import mesos_portal
from tests.portal import Portal
from tests.waiting import until

pytestmark = [pytest.mark.mesos, pytest.mark.docker, pytest.mark.timeout(300)]

TICKS = "for i in $(seq 600); do echo tick $i; sleep 1; done"
ONCE = "test -e /output/begun && exit 0; touch /output/begun; sleep 600"
FLAGS = {"executor_registration_timeout": "2mins"}


@pytest.fixture(scope="module")
def both(r_image: str) -> Iterator[tuple[Lab, Portal]]:
    with mesos_portal(agents=2, agent_flags=FLAGS) as found:
        yield found


@pytest.fixture
def client(both: tuple[Lab, Portal]) -> Iterator[Client]:
    client = Client(both[1].url, both[1].token())
    yield client
    client.close()


def mesos(client: Client) -> dict[str, Any]:
    found: dict[str, Any] = client.cluster()["mesos"]
    return found


def test_the_cluster_tells_of_the_master_and_of_what_to_change(
    both: tuple[Lab, Portal], client: Client
) -> None:
    lab, _ = both
    until(lambda: mesos(client)["agents"] == 2, "both agents", seconds=30)
    told = mesos(client)
    assert told["master"] == lab.master
    assert told["version"] == "1.11.0"
    assert told["registered"]
    assert told["explanation"] == ""
    assert told["framework_id"] == lab.state("/frameworks")["frameworks"][0]["id"]

    def advised() -> bool:
        return all("executor_registration_timeout is 2 min, shorter than the 30 min" in
                   each["advice"] for each in client.cluster()["machines"])  # fmt: skip

    until(advised, "the advice", seconds=30)


def test_a_master_that_is_away_and_back(both: tuple[Lab, Portal], client: Client) -> None:
    lab, _ = both
    before = mesos(client)["framework_id"]
    lab.kill("master")
    until(lambda: not mesos(client)["registered"], "word that it is away", seconds=30)
    told = mesos(client)
    assert told["explanation"]
    assert told["master"] == lab.master
    assert told["version"] == "1.11.0"
    lab.start("master")
    until(lambda: mesos(client)["registered"], "the registration", seconds=60)
    assert mesos(client)["framework_id"] == before
    assert mesos(client)["explanation"] == ""


def test_a_removed_framework_registers_anew_on_an_administrators_word_alone(
    both: tuple[Lab, Portal], client: Client
) -> None:
    lab, portal = both
    until(lambda: mesos(client)["registered"], "the registration", seconds=60)
    framework = mesos(client)["framework_id"]
    task = client.create_task("Removed")
    small = {"cpus": 0.5, "memory": 256 * 1024**2}
    lost = client.command(task, TICKS, **small)
    again = client.command(task, ONCE, retry_if_lost=True, **small)
    until(lambda: client.run(lost)["state"] == "running", "it to run", seconds=60)
    until(lambda: client.run(again)["state"] == "running", "the other to run", seconds=60)
    until(lambda: b"tick 2" in client.log(lost), "some output")

    begun = len(portal.log("backend"))
    answer = requests.post(f"{lab.url}/teardown", data={"frameworkId": framework}, timeout=10)
    assert answer.ok, answer.text
    until(lambda: mesos(client)["removed_at"], "word of the removal", seconds=30)
    assert not mesos(client)["registered"]
    assert "removed" in mesos(client)["explanation"]

    # It is said where somebody looks, it is not acted on, and nothing spins meanwhile.
    waits = client.command(task, "echo after", **small)
    until(lambda: "register anew" in client.run(waits)["explanation"], "why it waits", seconds=30)
    told = until(
        lambda: client.run(lost) if "register anew" in client.run(lost)["explanation"] else None,
        "why there is no word",
        seconds=30,
    )
    assert told
    assert told["state"] == "running"
    assert "goes on as far as we know" not in told["explanation"]
    early = client.http.post("/cluster/register-anew")
    assert early.status_code == 400
    assert "try again in" in early.text
    old = portal.kill("backend")
    portal.wait_restarted("backend", old)

    before: list[str] = []

    def accepted() -> bool:
        before.append(portal.log("backend")[begun:])
        return bool(client.http.post("/cluster/register-anew").is_success)

    until(accepted, "the time to register anew", seconds=30, every=0.5)
    written = before[-1]
    assert written.count("Mesos says: Framework has been removed") == 1
    assert written.count("Subscribed") == 0
    assert client.run(lost)["state"] == "running"

    assert client.wait_for_end(waits)["state"] == "succeeded"
    told = client.wait_for_end(lost)
    assert (told["state"], told["reason"]) == ("failed", "node_lost")
    told = client.wait_for_end(again)
    assert (told["state"], told["attempt"]) == ("succeeded", 2)
    assert mesos(client)["registered"]
    assert mesos(client)["framework_id"] != framework
    assert client.http.post("/cluster/register-anew").status_code == 400
