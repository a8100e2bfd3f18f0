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
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.test import AsyncClient, Client
from django.utils import timezone
from redis.exceptions import ConnectionError as RedisConnectionError

from accounts import crowds, tokens
from accounts.models import ApiToken, AuditEntry, User
from jobs import attempts, consumers, notify, services
from jobs.models import Role, Run, Task
from jobs.routing import websocket_urlpatterns
from jobs.services import people
from jobs.states import RunState
from tests.factories import make_run, make_task, make_token, make_user

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

    def __init__(self, address: str, by: dict[str, Any]) -> None:
        scope = {"type": "websocket", "path": address, "query_string": b"", "headers": []}
        super().__init__(URLRouter(websocket_urlpatterns), {**scope, **by})

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


def sign_in(user: User) -> Any:
    client = Client()
    client.force_login(user)
    return client.session


@asynccontextmanager
async def connected(address: str, by: User | str) -> AsyncIterator[Socket]:
    """By a session of that person, or by a token."""
    if isinstance(by, str):
        headers = [(b"authorization", f"Bearer {by}".encode())]
        socket = Socket(address, {"headers": headers, "client": ["192.0.2.9", 5000]})
    else:
        socket = Socket(address, {"user": by, "session": await sync_to_async(sign_in)(by)})
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


async def test_a_refused_token_is_in_the_audit_log_with_its_address(bert: User) -> None:
    await sync_to_async(cache.clear)()
    async with connected("/ws/events/", "rct_wrong") as socket:
        assert await socket.code() == 4401
    entry = await AuditEntry.objects.aget(action="token.refused")
    assert (entry.via, entry.address) == ("token", "192.0.2.9")


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
        assert await log.code() == 4401
        assert await events.code() == 4401


@pytest.mark.parametrize("by", ["token", "session"])
async def test_sockets_end_with_what_opened_them_and_others_stay(
    task: Task, bert: User, by: str
) -> None:
    """A token that is revoked, a session that is signed out: at once, with nobody asking."""
    run = await sync_to_async(make_run)(task, state=RunState.RUNNING)
    attempts.prepare(run.public_id, 1, script_name="", script_text="", stdin=None)
    await share(task, bert)
    gone, kept = [await sync_to_async(make_token)(bert) for _ in range(2)]
    address, code = f"/ws/runs/{run.public_id}/", 4401 if by == "token" else 1011
    opened_by = gone if by == "token" else bert
    async with (
        connected(address, opened_by) as log,
        connected("/ws/events/", opened_by) as events,
        connected(address, kept) as other,
    ):
        await hear(log, "state")
        await hear(other, "state")
        if by == "token":
            token = await ApiToken.objects.select_related("user").aget(
                digest=ApiToken.digest_of(gone)
            )
            await sync_to_async(tokens.revoke)(token, actor=bert)
        else:
            key = log.scope["session"].session_key
            await sync_to_async(Session.objects.filter(pk=key).delete)()
            key = events.scope["session"].session_key
            await sync_to_async(Session.objects.filter(pk=key).delete)()
        assert await log.code() == code
        assert await events.code() == code
        assert await other.is_silent()


@pytest.mark.parametrize("act", ["switch_off", "unmake_staff", "password", "expire"])
async def test_what_nobody_tells_is_found_by_looking(
    task: Task, act: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An administrator's socket on another's Run, whose right to it ends in some other way."""
    monkeypatch.setattr(consumers, "LOOK_EVERY", 0.1)
    monkeypatch.setattr(notify._publisher, "send", lambda *_: None)
    staff, boss = [await sync_to_async(make_user)(name, staff=True) for name in ("eva", "boss")]
    run = await sync_to_async(make_run)(task, state=RunState.RUNNING)
    attempts.prepare(run.public_id, 1, script_name="", script_text="", stdin=None)
    by = await sync_to_async(make_token)(staff) if act == "expire" else staff
    async with connected(f"/ws/runs/{run.public_id}/", by) as socket:
        await hear(socket, "state")
        assert await socket.is_silent()
        if act == "switch_off":
            await sync_to_async(people.switch_off)(by=boss, person=staff)
        elif act == "unmake_staff":
            await sync_to_async(people.set_staff)(by=boss, person=staff, staff=False)
        elif act == "password":
            staff.set_password("another-battery-staple")
            await sync_to_async(staff.save)()
        else:
            await ApiToken.objects.aupdate(expires_at=timezone.now())
        expected = {"unmake_staff": 4404, "password": 1011}
        assert await socket.code() == expected.get(act, 4401)


@pytest.mark.parametrize("act", ["switch_off", "unmake_staff", "hand_over"])
async def test_what_administrators_do_is_told_at_once(
    task: Task, act: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna, boss = task.owner, await sync_to_async(make_user)("boss", staff=True)
    other = await sync_to_async(make_user)("carl")
    told: list[int] = []
    monkeypatch.setattr(notify, "access_changed", lambda people, task="": told.extend(people))
    if act == "switch_off":
        await sync_to_async(people.switch_off)(by=boss, person=anna)
    elif act == "unmake_staff":
        await User.objects.filter(pk=anna.pk).aupdate(is_staff=True)
        await sync_to_async(people.set_staff)(by=boss, person=anna, staff=False)
    else:
        await sync_to_async(people.hand_over)(by=boss, person=anna, to=other)
    assert anna.pk in told
    assert (other.pk in told) is (act == "hand_over")


async def test_what_a_client_says_does_not_end_its_socket(bert: User) -> None:
    async with connected("/ws/events/", bert) as socket:
        for said in ({"text": "{"}, {"text": "[" * 10_000}, {"bytes": b"\xff"}):
            await socket.send_input({"type": "websocket.receive", **said})
        assert await socket.is_silent()


async def test_telling_of_a_change_asks_the_database_nothing(
    task: Task, bert: User, django_assert_num_queries: Any
) -> None:
    run = await sync_to_async(make_run)(task)
    await share(task, bert)

    def told() -> None:
        with django_assert_num_queries(0):
            notify.run_changed(run)

    await sync_to_async(told)()


async def test_one_person_can_have_only_so_many_open(
    task: Task, bert: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else one could take all the files that the process may open, from everybody."""
    monkeypatch.setattr(crowds, "MOST", 2)
    run = await sync_to_async(make_run)(task, state=RunState.RUNNING)
    attempts.prepare(run.public_id, 1, script_name="", script_text="", stdin=None)
    anna, address = task.owner, f"/ws/runs/{run.public_id}/"
    headers = {"Authorization": f"Bearer {await sync_to_async(make_token)(anna)}"}
    follow = f"/api/v1/runs/{run.public_id}/log?follow=1"
    async with connected(address, anna) as first, connected("/ws/events/", anna):
        await hear(first, "state")
        for there in (address, "/ws/events/"):
            async with connected(there, anna) as third:
                assert await third.code() == 1013
        assert (await AsyncClient().get(follow, headers=headers)).status_code == 429
        async with connected("/ws/events/", bert) as of_another:
            assert await of_another.is_silent()
    async with connected(address, anna) as again:
        await hear(again, "state")
    assert not crowds._open


async def test_a_socket_that_could_not_be_opened_takes_no_place(
    bert: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any) -> None:
        raise RedisConnectionError("away")

    monkeypatch.setattr(consumers.EventsConsumer, "_join", away)
    with pytest.raises(RedisConnectionError):
        async with connected("/ws/events/", bert):
            pass
    assert not crowds._open
