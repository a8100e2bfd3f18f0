"""What members hear of a Task: its Runs' changes from the moment that it is shared until it is taken
back, and no longer; sockets of what may not be seen any more end."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from channels.routing import URLRouter

from accounts.models import User
from jobs import attempts, notify, services
from jobs.models import Role, Run, Task
from jobs.routing import websocket_urlpatterns
from jobs.states import RunState
from tests.factories import make_run, make_task, make_user

pytestmark = pytest.mark.django_db(transaction=True)

SOON = 5.0
QUIET = 0.3
"""seconds without a word that are taken for silence; news take a few milliseconds"""


@pytest.fixture
async def task() -> Task:
    made: Task = await sync_to_async(lambda: make_task(make_user("anna")))()
    return made


@pytest.fixture
async def bert() -> User:
    made: User = await sync_to_async(make_user)("bert")
    return made


_Untyped: Any = ApplicationCommunicator  # asgiref has no types for it


class Socket(_Untyped):  # type: ignore[misc]
    """The client's end of a WebSocket of this process, signed in as somebody."""

    def __init__(self, address: str, user: User) -> None:
        scope = {"type": "websocket", "path": address, "query_string": b"", "headers": []}
        super().__init__(URLRouter(websocket_urlpatterns), {**scope, "user": user})

    async def json(self) -> Any:
        """The next text; log bytes are passed over."""
        while True:
            message = await self.receive_output(timeout=SOON)
            assert message["type"] == "websocket.send", message
            if message.get("text"):
                return json.loads(message["text"])

    async def code(self) -> int:
        """Why the server ended it."""
        while (message := await self.receive_output(timeout=SOON))["type"] != "websocket.close":
            pass
        return int(message["code"])

    async def is_silent(self) -> bool:
        return bool(await self.receive_nothing(timeout=QUIET))


@asynccontextmanager
async def connected(address: str, user: User) -> AsyncIterator[Socket]:
    socket = Socket(address, user)
    await socket.send_input({"type": "websocket.connect"})
    assert (await socket.receive_output(timeout=SOON))["type"] == "websocket.accept"
    try:
        yield socket
    finally:
        await socket.send_input({"type": "websocket.disconnect", "code": 1000})
        await socket.wait(timeout=SOON)


async def share(task: Task, person: User, role: str = Role.VIEWER) -> None:
    await sync_to_async(services.share_task)(user=task.owner, task=task, person=person, role=role)


async def change(run: Run) -> None:
    await sync_to_async(notify.run_changed)(run)


async def hear(socket: Socket, kind: str) -> Any:
    message = await socket.json()
    assert message["type"] == kind, message
    return message


async def test_a_member_hears_of_runs_from_sharing_to_taking_back(task: Task, bert: User) -> None:
    run = await sync_to_async(make_run)(task)
    async with connected("/ws/events/", bert) as socket:
        await change(run)
        assert await socket.is_silent()
        await share(task, bert)
        assert (await hear(socket, "access"))["task"] == task.public_id
        await change(run)
        assert (await hear(socket, "run"))["run"] == run.public_id
        await sync_to_async(services.unshare_task)(user=task.owner, task=task, person=bert)
        await hear(socket, "access")
        await change(run)
        assert await socket.is_silent()


async def test_who_is_a_member_already_hears_from_the_start_and_each_word_once(
    task: Task, bert: User
) -> None:
    run = await sync_to_async(make_run)(task)
    await share(task, bert)
    async with (
        connected("/ws/events/", bert) as theirs,
        connected("/ws/events/", task.owner) as mine,
    ):
        await change(run)
        for socket in (theirs, mine):
            assert (await hear(socket, "run"))["run"] == run.public_id
            assert await socket.is_silent()


async def test_after_a_transfer_both_still_hear_once(task: Task, bert: User) -> None:
    run = await sync_to_async(make_run)(task)
    anna = task.owner
    async with connected("/ws/events/", bert) as new, connected("/ws/events/", anna) as old:
        await sync_to_async(services.transfer_task)(user=anna, task=task, person=bert)
        run = await sync_to_async(Run.objects.select_related("task").get)(pk=run.pk)
        for socket in (new, old):
            await hear(socket, "access")
        await change(run)
        for socket in (new, old):
            await hear(socket, "run")
            assert await socket.is_silent()


async def test_the_log_ends_for_a_member_who_was_removed(task: Task, bert: User) -> None:
    run = await sync_to_async(make_run)(task, state=RunState.RUNNING)
    attempts.prepare(run.public_id, 1, script_name="", script_text="", stdin=None)
    await share(task, bert)
    address = f"/ws/runs/{run.public_id}/"
    async with connected(address, bert) as theirs, connected(address, task.owner) as mine:
        for socket in (theirs, mine):
            await hear(socket, "state")
        await share(task, bert, Role.EDITOR)
        assert await theirs.is_silent()
        await sync_to_async(services.unshare_task)(user=task.owner, task=task, person=bert)
        assert await theirs.code() == 4404
        assert await mine.is_silent()


async def test_the_log_of_a_task_in_the_bin_ends(task: Task) -> None:
    run = await sync_to_async(make_run)(
        task, state=RunState.RUNNING, cancel_requested_at="2026-01-01T00:00:00Z"
    )
    attempts.prepare(run.public_id, 1, script_name="", script_text="", stdin=None)
    async with connected(f"/ws/runs/{run.public_id}/", task.owner) as socket:
        await hear(socket, "state")
        await sync_to_async(services.delete_task)(user=task.owner, task=task)
        assert await socket.code() == 4404


async def test_all_sockets_of_an_account_that_is_switched_off_end(task: Task, bert: User) -> None:
    run = await sync_to_async(make_run)(task, state=RunState.RUNNING)
    attempts.prepare(run.public_id, 1, script_name="", script_text="", stdin=None)
    await share(task, bert)
    async with (
        connected(f"/ws/runs/{run.public_id}/", bert) as log,
        connected("/ws/events/", bert) as events,
    ):
        await hear(log, "state")
        bert.is_active = False
        await sync_to_async(bert.save)()
        assert await log.code() == 4404
        assert await events.code() == 4401


async def test_telling_of_a_change_asks_the_database_nothing(
    task: Task, bert: User, django_assert_num_queries: Any
) -> None:
    run = await sync_to_async(make_run)(task)
    await share(task, bert)

    def told() -> None:
        with django_assert_num_queries(0):
            notify.run_changed(run)

    await sync_to_async(told)()
