"""Quick commands and Datasets on a real Mesos whose CPUs are all held by long Runs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from typing import Any

import pytest

from deploy.mesos.lab import Lab
from tests.client import Client, Piece
from tests.mesos.portal import mesos_portal
from tests.portal import Portal
from tests.waiting import until

pytestmark = [pytest.mark.mesos, pytest.mark.docker, pytest.mark.timeout(300)]

MB = 1024**2
MEMORY = 2560
"""MB of each agent: a fifth of it are two places"""
COMMANDS = 512 * MB
GATE = "while [ ! -e /input/gate ]; do sleep 0.2; done; echo went"
FIRST_BYTE = 6.0
"""seconds from the request to the first byte on a busy machine with two cores, of which Docker takes
most; without room of their own it would be the length of the long Runs"""


@pytest.fixture(scope="module")
def both(r_image: str) -> Iterator[tuple[Lab, Portal]]:
    with mesos_portal(agents=2, cpus=1.0, mem=MEMORY) as found:
        yield found


@pytest.fixture(scope="module")
def client(both: tuple[Lab, Portal]) -> Iterator[Client]:
    client = Client(both[1].url, both[1].token())
    yield client
    client.close()


@pytest.fixture(scope="module")
def full(client: Client) -> Iterator[list[str]]:
    """The long Runs that hold every CPU and all memory that is for the line; another one waits."""
    until(lambda: client.cluster()["total"]["machines"] == 2, "both agents", seconds=30)
    task = client.create_task("Long Runs")
    all_of_it = {"cpus": 1, "memory": MEMORY * MB - COMMANDS}
    runs = [client.command(task, "sleep 1000", **all_of_it) for _ in range(3)]
    for run in runs[:2]:
        until(lambda run=run: client.run(run)["state"] == "running", "a long Run", seconds=60)  # type: ignore[misc]
    yield runs
    for run in runs:
        client.cancel(run)
    for run in runs:
        client.wait_for_end(run)


@pytest.fixture
def task(client: Client, full: list[str]) -> str:
    return client.create_task("Quick")


def first_byte(client: Client, task: str, command: str) -> float:
    """Seconds from the request until something of it is printed."""
    began = time.monotonic()
    for each in client.follow(client.command(task, command)):
        if isinstance(each, Piece) and each.data:
            return time.monotonic() - began
    raise AssertionError("It printed nothing.")


def ended(client: Client, run: str) -> dict[str, Any]:
    return client.wait_for_end(run, seconds=90)


def test_ls_does_not_wait_for_runs_that_hold_all_cpus(
    client: Client, task: str, full: list[str]
) -> None:
    client.put_file(task, "input/rivers.csv", b"1,2\n")
    took = [first_byte(client, task, "ls /input") for _ in range(5)]
    assert statistics.median(took) < FIRST_BYTE, took
    run = client.command(task, "cat /input/rivers.csv")
    found = ended(client, run)
    assert (found["state"], found["lane"]) == ("succeeded", "quick")
    assert client.log(run) == b"1,2\n"
    assert [client.run(each)["state"] for each in full] == ["running", "running", "queued"]


def test_several_at_once_and_the_next_as_soon_as_one_ends(client: Client, task: str) -> None:
    runs = [client.command(task, GATE) for _ in range(4)]

    def running() -> int:
        return sum(client.run(run)["state"] == "running" for run in runs)

    until(lambda: running() == 3, "three of them to run", seconds=60)
    told = until(lambda: client.run(runs[3])["explanation"], "why the fourth waits")
    assert told is not None
    assert told.startswith("You have 3 quick commands running")
    client.put_file(task, "input/gate", b"")
    for run in runs:
        assert ended(client, run)["state"] == "succeeded"
        assert client.log(run) == b"went\n"


def test_a_command_gets_a_tenth_of_a_cpu_and_no_more_memory_than_its_place_has(
    client: Client, task: str
) -> None:
    busy = client.command(task, "timeout 4 sh -c 'while :; do :; done'; echo over")
    large = client.command(task, "echo go; tail /dev/zero")
    found = ended(client, busy)
    assert (found["cpus"], found["memory"], found["time_limit"]) == (0.1, 256 * MB, 300)
    assert 0 < found["cpu_seconds"] < 1.0
    found = ended(client, large)
    assert (found["state"], found["reason"]) == ("failed", "out_of_memory")
    assert client.log(large).startswith(b"go\n")


def test_a_command_beyond_its_time_is_ended(client: Client, task: str) -> None:
    run = client.command(task, "echo go; sleep 600", lane="quick", time_limit=2)
    found = ended(client, run)
    assert (found["state"], found["reason"]) == ("failed", "time_limit")


def test_no_more_than_what_is_left_to_the_line_is_promised_to_a_run(
    client: Client, task: str
) -> None:
    refused = client.http.post(
        f"/tasks/{task}/runs",
        json={"kind": "command", "command": "ls", "cpus": 1, "memory": MEMORY * MB - COMMANDS + 1},
    )
    assert refused.status_code == 400
    assert "ask for at most" in refused.text
    machine = client.cluster()["machines"][0]
    assert machine["memory"] == MEMORY * MB - COMMANDS


# Datasets.

TRY = """
cat /data/rivers/a.csv
for each in 'touch /data/rivers/new' 'rm /data/rivers/a.csv' 'chmod 777 /data/rivers/a.csv'; do
  $each 2>/dev/null && echo "could $each"
done
ls -A /data/rivers
"""


def use(client: Client, task: str, name: str) -> None:
    client.http.patch(f"/tasks/{task}", json={"datasets": [name]}).raise_for_status()


@pytest.fixture
def dataset(client: Client, request: pytest.FixtureRequest) -> Iterator[str]:
    """Address of a Dataset with one file; in the bin afterwards."""
    made = client.http.post("/datasets", json={"name": request.param}).raise_for_status()
    address = made.headers["Location"].removeprefix("/api/v1")
    client.http.put(f"{address}/files/a.csv", content=b"1,2\n").raise_for_status()
    yield address
    client.http.delete(address)


@pytest.mark.parametrize("dataset", ["rivers"], indirect=True)
def test_a_dataset_is_read_on_an_agent_and_not_written_to(
    client: Client, task: str, dataset: str
) -> None:
    use(client, task, "rivers")
    run = client.command(task, TRY)
    assert ended(client, run)["state"] == "succeeded", client.log(run)
    assert client.log(run).decode().split() == ["1,2", "a.csv"]
    assert client.http.get(f"{dataset}/files/a.csv").content == b"1,2\n"


@pytest.mark.parametrize("dataset", ["lakes"], indirect=True)
def test_a_dataset_that_is_taken_back_before_the_start_is_not_mounted(
    client: Client, both: tuple[Lab, Portal], full: list[str], dataset: str
) -> None:
    _, portal = both
    client.http.post("/manage/people", json={"username": "bert"}).raise_for_status()
    token = portal.manage("issue_token", "--user", "bert", "--name", "rivers").strip()
    bert = Client(portal.url, token)
    member = f"{dataset}/members/bert"
    client.http.put(member, json={"role": "reader"}).raise_for_status()
    task = bert.create_task("Borrowed")
    use(bert, task, "lakes")
    before = [bert.command(task, GATE) for _ in range(3)]
    run = bert.command(task, "cat /data/lakes/a.csv")
    for each in before:
        until(lambda each=each: bert.run(each)["state"] == "running", "those before", seconds=60)  # type: ignore[misc]
    assert bert.run(run)["state"] == "queued"
    client.http.delete(member).raise_for_status()
    bert.put_file(task, "input/gate", b"")
    found = ended(bert, run)
    assert (found["state"], found["reason"]) == ("failed", "dataset_unavailable")
    assert "You may not use the Dataset lakes" in found["explanation"]
    assert bert.log(run) == b""
    bert.close()
