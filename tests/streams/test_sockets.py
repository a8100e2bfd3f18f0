"""Who may open which socket, on a real ASGI server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.client import Client
from tests.portal import Portal

pytestmark = [pytest.mark.local, pytest.mark.slow]


@pytest.fixture(scope="module")
def client(portal: Portal) -> Iterator[Client]:
    client = Client(portal.url, portal.token("sockets"))
    yield client
    client.close()


@pytest.fixture(scope="module")
def stranger(portal: Portal) -> str:
    """The token of somebody who is no administrator."""
    portal.manage(
        "shell",
        "-c",
        "from accounts.models import User; User.objects.get_or_create(username='stranger')",
    )
    return portal.manage("issue_token", "--user", "stranger", "--name", "sockets").strip()


def close_code(url: str, **headers: str) -> int:
    with connect(url, additional_headers=headers) as socket:
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=10)
        assert closed.value.rcvd is not None
        return closed.value.rcvd.code


def test_another_persons_run_does_not_exist(portal: Portal, client: Client, stranger: str) -> None:
    run = client.command(client.create_task("Mine"), "echo secret")
    address = f"{portal.url.replace('http', 'ws', 1)}/ws/runs/{run}/"
    assert close_code(address, Authorization=f"Bearer {stranger}") == 4404
    assert close_code(address, Origin=portal.url) == 4401
    assert close_code(address, Authorization="Bearer rct_wrong") == 4401
    assert close_code(address + "?offset=-1", **client.headers) == 4400
    unknown = f"{portal.url.replace('http', 'ws', 1)}/ws/runs/{'0' * 16}/"
    assert close_code(unknown, **client.headers) == 4404


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://localhost:1", "https://localhost", "null", ""]
)
def test_a_foreign_page_gets_no_socket(portal: Portal, origin: str) -> None:
    """Another port of the same host is another page: cookies would come along."""
    with pytest.raises(InvalidStatus) as refused:
        connect(
            f"{portal.url.replace('http', 'ws', 1)}/ws/events/",
            additional_headers={"Origin": origin},
        ).__enter__()
    assert refused.value.response.status_code == 403


def test_changes_of_my_runs_are_told_and_strangers_hear_nothing(
    portal: Portal, client: Client, stranger: str
) -> None:
    address = f"{portal.url.replace('http', 'ws', 1)}/ws/events/"
    with (
        connect(address, additional_headers=client.headers) as mine,
        connect(address, additional_headers={"Authorization": f"Bearer {stranger}"}) as theirs,
    ):
        task = client.create_task("Events")
        run = client.command(task, "true")
        states: list[str] = []
        while "succeeded" not in states:
            event = json.loads(mine.recv(timeout=20))
            assert event["type"] == "run"
            if event["run"] == run:  # earlier tests' Runs may be ending just now
                assert event["task"] == task
                states.append(event["state"])
        assert states[0] == "queued"
        with closing(Client(portal.url, stranger)) as other:
            own = other.command(other.create_task("Theirs"), "true")
            heard: list[tuple[str, str]] = []
            while (own, "succeeded") not in heard:
                event = json.loads(theirs.recv(timeout=20))
                heard.append((event["run"], event["state"]))
        assert run not in {each for each, _ in heard}
