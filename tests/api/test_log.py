"""The Run log over HTTP: byte for byte, from anywhere, to the end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from channels.db import database_sync_to_async
from django.contrib.sessions.models import Session
from django.test import AsyncClient, Client

from accounts.models import ApiToken, User
from files.safe import SafeFolder
from jobs import allowing, attempts, runlog, services, watching
from jobs.models import Role, Run, Task
from jobs.states import ACTIVE, RunState
from jobs.transitions import advance
from rcluster_site.handler import Handler
from tests.factories import PASSWORD, make_run, make_token, make_user
from tests.waiting import until

CONTENT = bytes(range(256)) * 20 + b"\x1b[31mred\x1b[0m 10%\r100%\r\n\xff\xfe"


def write_log(run: Run, content: bytes, attempt: int = 1) -> None:
    folder = attempts.folder(run.public_id, attempt)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log").open("ab") as file:
        file.write(content)


@pytest.fixture
def run(task: Task) -> Run:
    run = make_run(task, state=RunState.SUCCEEDED)
    write_log(run, CONTENT)
    return run


def body(response: Any) -> bytes:
    return b"".join(response.streaming_content) if response.streaming else bytes(response.content)


def test_byte_for_byte(api: Client, run: Run) -> None:
    response = api.get(f"/api/v1/runs/{run.public_id}/log")
    assert response.status_code == 200
    assert body(response) == CONTENT
    for name, value in {
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Length": str(len(CONTENT)),
        "X-RCluster-Attempt": "1",
        "X-RCluster-Offset": "0",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, no-store",
    }.items():
        assert response.headers[name] == value
    assert response.headers["Content-Disposition"].startswith("attachment")
    assert response.headers["Content-Security-Policy"].startswith("sandbox;")


@pytest.mark.parametrize("offset", [0, 1, 5119, len(CONTENT) - 1, len(CONTENT)])
def test_from_an_offset(api: Client, run: Run, offset: int) -> None:
    response = api.get(f"/api/v1/runs/{run.public_id}/log?offset={offset}")
    assert (response.status_code, body(response)) == (200, CONTENT[offset:])
    assert response.headers["X-RCluster-Offset"] == str(offset)


def test_ranges(api: Client, run: Run) -> None:
    address = f"/api/v1/runs/{run.public_id}/log"
    response = api.get(address, headers={"Range": "bytes=-4"})
    assert (response.status_code, body(response)) == (206, CONTENT[-4:])
    size = len(CONTENT)
    assert response.headers["Content-Range"] == f"bytes {size - 4}-{size - 1}/{size}"
    assert response.headers["X-RCluster-Offset"] == str(size - 4)
    for beyond in (
        api.get(address, headers={"Range": f"bytes={size}-"}),
        api.get(f"{address}?offset={size + 1}"),
    ):
        assert beyond.status_code == 416
        assert beyond.headers["Content-Range"] == f"bytes */{size}"
        assert beyond.json()["detail"] == f"The log has {size} bytes so far."
    head = api.head(address)
    assert (head.headers["Content-Length"], body(head)) == (str(size), b"")


@pytest.mark.parametrize("query", ["offset=-1", "offset=x", "attempt=1.5", "offset=" + "9" * 30])
def test_nonsense_is_refused(api: Client, run: Run, query: str) -> None:
    response = api.get(f"/api/v1/runs/{run.public_id}/log?{query}")
    assert response.status_code == 400
    assert list(response.json()["errors"]) == [query.partition("=")[0]]


def test_attempts(api: Client, task: Task) -> None:
    run = make_run(task, state=RunState.SUCCEEDED, attempt=2)
    write_log(run, b"first", 1)
    write_log(run, b"second", 2)
    address = f"/api/v1/runs/{run.public_id}/log"
    assert body(api.get(address)) == b"second"
    first = api.get(f"{address}?attempt=1")
    assert (body(first), first.headers["X-RCluster-Attempt"]) == (b"first", "1")
    assert api.get(f"{address}?attempt=3").status_code == 404


def test_a_run_that_waits_has_an_empty_log(api: Client, task: Task) -> None:
    response = api.get(f"/api/v1/runs/{make_run(task).public_id}/log")
    assert (response.status_code, body(response)) == (200, b"")
    assert response.headers["X-RCluster-Attempt"] == "0"


def test_a_log_that_was_replaced_by_a_link_is_empty(api: Client, run: Run) -> None:
    log = attempts.folder(run.public_id, 1) / "log"
    log.unlink()
    log.symlink_to("/etc/passwd")
    assert body(api.get(f"/api/v1/runs/{run.public_id}/log")) == b""
    assert SafeFolder(log.parent).entry("log").kind == "other"


def test_storage_that_does_not_answer(
    api: Client, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(runlog, "size", fails)
    response = api.get(f"/api/v1/runs/{run.public_id}/log")
    assert response.status_code == 503
    assert "Input/output error" in response.json()["detail"]


@pytest.fixture
async def ask(transactional_db: None, owner: User) -> Callable[[str], Awaitable[Any]]:
    """GET through the asynchronous handler, as under a real server."""
    bearer = {"Authorization": f"Bearer {await database_sync_to_async(make_token)(owner)}"}
    return lambda address: AsyncClient().get(f"/api/v1/{address}", headers=bearer)


async def whole(response: Any) -> bytes:
    return b"".join([chunk async for chunk in response.streaming_content])


@pytest.mark.timeout(30)
async def test_following_ends_with_the_run_and_misses_no_byte(
    ask: Callable[[str], Awaitable[Any]], task: Task
) -> None:
    run = await database_sync_to_async(make_run)(task, state=RunState.RUNNING)
    write_log(run, b"before\n")
    response = await ask(f"runs/{run.public_id}/log?follow=1&offset=3")
    assert response.headers["X-RCluster-Offset"] == "3"
    assert "Content-Length" not in response.headers
    seen = b""
    number = 0
    async for chunk in response.streaming_content:
        seen += chunk
        if number < 20:
            number += 1
            write_log(run, b"line %d\n" % number)
        elif number == 20:
            number += 1
            write_log(run, b"the end")
            assert await database_sync_to_async(advance)(run, RunState.SUCCEEDED, since=ACTIVE)
    expected = b"before\n" + b"".join(b"line %d\n" % n for n in range(1, 21)) + b"the end"
    assert seen == expected[3:]


@pytest.mark.timeout(30)
async def test_following_a_finished_run_or_an_earlier_attempt_ends_at_once(
    ask: Callable[[str], Awaitable[Any]], task: Task
) -> None:
    run = await database_sync_to_async(make_run)(task, state=RunState.RUNNING, attempt=2)
    write_log(run, b"first", 1)
    earlier = await ask(f"runs/{run.public_id}/log?follow=1&attempt=1")
    assert await whole(earlier) == b"first"
    over = await database_sync_to_async(make_run)(task, state=RunState.SUCCEEDED)
    write_log(over, CONTENT)
    ended = await ask(f"runs/{over.public_id}/log?follow=1")
    assert await whole(ended) == CONTENT


async def test_following_with_a_session_and_not_without(
    transactional_db: None, task: Task, owner: User
) -> None:
    run = await database_sync_to_async(make_run)(task, state=RunState.SUCCEEDED)
    write_log(run, b"log")
    address = f"/api/v1/runs/{run.public_id}/log?follow=1"
    nobody = await AsyncClient().get(address)
    assert nobody.status_code == 401
    signed_in = AsyncClient()
    assert await database_sync_to_async(signed_in.login)(username="owner", password=PASSWORD)
    response = await signed_in.get(address)
    assert await whole(response) == b"log"


@pytest.mark.timeout(30)
async def test_a_client_that_goes_away_ends_the_following(
    transactional_db: None, task: Task, owner: User
) -> None:
    """The whole ASGI application, as a server calls it: nothing watches the Run afterwards."""
    run = await database_sync_to_async(make_run)(task, state=RunState.RUNNING)
    write_log(run, b"something")
    token = await database_sync_to_async(make_token)(owner)
    got = asyncio.Event()
    gone = asyncio.Event()
    asked = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, Any]:
        if asked:
            return asked.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if message.get("body") == b"something":
            got.set()

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "path": f"/api/v1/runs/{run.public_id}/log",
        "query_string": b"follow=1",
        "headers": [(b"host", b"localhost"), (b"authorization", f"Bearer {token}".encode())],
    }
    served = asyncio.create_task(Handler()(scope, receive, send))  # type: ignore[arg-type]
    async with asyncio.timeout(20):
        await got.wait()
        watchers = watching._by_loop[asyncio.get_running_loop()]
        assert run.public_id in watchers
        gone.set()
        await served
        await asyncio.to_thread(
            until, lambda: run.public_id not in watchers, "the watcher to be given up"
        )


@pytest.mark.timeout(30)
@pytest.mark.parametrize("by", ["token", "session"])
@pytest.mark.parametrize("end", ["credential", "membership"])
async def test_following_ends_with_the_right_to_it(
    transactional_db: None, task: Task, monkeypatch: pytest.MonkeyPatch, by: str, end: str
) -> None:
    """A script may follow for days: by then its token is revoked, or the Task taken back."""
    monkeypatch.setattr(allowing, "LOOK_EVERY", 0.05)
    run = await database_sync_to_async(make_run)(task, state=RunState.RUNNING)
    write_log(run, b"so far")
    member = await database_sync_to_async(make_user)("member")
    share = {"user": task.owner, "task": task, "person": member}
    await database_sync_to_async(services.share_task)(**share, role=Role.VIEWER)
    client = AsyncClient()
    if by == "token":
        token = await database_sync_to_async(make_token)(member)
    else:
        token = ""
        assert await database_sync_to_async(client.login)(username="member", password=PASSWORD)
    headers = {"Authorization": f"Bearer {token}"} if by == "token" else {}
    address = f"/api/v1/runs/{run.public_id}/log?follow=1"
    response: Any = await client.get(address, headers=headers)
    body = aiter(response.streaming_content)
    assert await anext(body) == b"so far"
    if end == "membership":
        await database_sync_to_async(services.unshare_task)(**share)
    elif by == "token":
        await ApiToken.objects.filter(user=member).adelete()
    else:
        await Session.objects.all().adelete()
    assert await anext(body, None) is None
