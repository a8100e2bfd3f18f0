"""Large bodies are stopped before they are stored."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, MutableMapping
from http import HTTPStatus
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.db import database_sync_to_async
from django.core.cache import cache
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.audit import Action
from accounts.models import AuditEntry, User
from files import gate
from files.gate import UploadGate, Welcome
from tests.factories import PASSWORD, make_token, make_user

pytestmark = pytest.mark.django_db(transaction=True)

UPLOAD = "/api/v1/tasks/x/files/input/y"


class Inner:
    """Reads the whole body, as Django does, and answers with its size."""

    def __init__(self) -> None:
        self.size = 0
        self.gone = False

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.gone = True
                return
            self.size += len(message["body"])
            more = message["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


@pytest.fixture(autouse=True)
def limits(settings: Settings) -> None:
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = 100
    settings.RCLUSTER_UPLOAD_LIMIT = 1000


def anywhere(user: User, path: str, length: int | None) -> None:
    """Who is known may upload wherever they like."""


async def ask(
    size: int,
    *,
    method: str = "PUT",
    path: str = UPLOAD,
    chunked: bool = False,
    welcome: Welcome = anywhere,
    stops_after: int | None = None,
    **headers: str,
) -> tuple[int, Inner, dict[str, Any]]:
    """The status, what got through, and the problem that was told."""

    async def parts() -> AsyncIterator[MutableMapping[str, Any]]:
        left = size
        while left > 10:
            if stops_after is not None and size - left >= stops_after:
                await asyncio.get_running_loop().create_future()
            left -= 10
            yield {"type": "http.request", "body": b"x" * 10, "more_body": True}
        yield {"type": "http.request", "body": b"x" * left, "more_body": False}

    sent: list[MutableMapping[str, Any]] = []
    body = parts()

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    length = ("transfer_encoding", "chunked") if chunked else ("content_length", str(size))
    inner = Inner()
    await UploadGate(inner, welcome)(
        {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": b"",
            "client": ("192.0.2.9", 5000),
            "headers": [
                (name.replace("_", "-").encode(), value.encode())
                for name, value in [length, *headers.items()]
            ],
        },
        body.__anext__,
        send,
    )
    starts = [message for message in sent if message["type"] == "http.response.start"]
    assert len(starts) == 1
    told = sent[-1]["body"]
    return starts[0]["status"], inner, json.loads(told) if told else {}


@pytest.fixture
async def token() -> str:
    text: str = await database_sync_to_async(lambda: make_token(make_user()))()
    return f"Bearer {text}"


@pytest.mark.parametrize("chunked", [False, True])
async def test_small_bodies_pass_for_everybody(chunked: bool) -> None:
    status, inner, _ = await ask(100, method="POST", path="/login/", chunked=chunked)
    assert (status, inner.size) == (200, 100)


@pytest.mark.parametrize("chunked", [False, True])
async def test_large_bodies_pass_only_as_uploads(token: str, chunked: bool) -> None:
    status, inner, _ = await ask(1000, chunked=chunked, authorization=token)
    assert (status, inner.size) == (200, 1000)
    for method, path in (("POST", UPLOAD), ("PUT", "/api/v1/me"), ("POST", "/login/")):
        status, inner, told = await ask(
            1000, method=method, path=path, chunked=chunked, authorization=token
        )
        assert (status, told["status"]) == (413, 413)
        assert inner.size <= 100


@pytest.mark.parametrize("chunked", [False, True])
async def test_uploads_end_at_the_limit(token: str, chunked: bool) -> None:
    status, inner, told = await ask(1001, chunked=chunked, authorization=token)
    assert (status, inner.gone) == (413, chunked)
    assert inner.size <= 1000
    assert "1000 bytes" in told["detail"]


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("header", [{}, {"authorization": "Bearer rct_wrong"}, {"cookie": "x=y"}])
async def test_nobody_uploads_without_signing_in(chunked: bool, header: dict[str, Any]) -> None:
    status, inner, told = await ask(1000, chunked=chunked, **header)
    assert (status, inner.size) == (401, 0)
    assert told["detail"]


async def test_a_token_that_the_gate_refuses_is_in_the_audit_log_with_its_address() -> None:
    await sync_to_async(cache.clear)()
    await ask(1000, authorization="Bearer rct_wrong")
    entry = await AuditEntry.objects.aget(action=Action.TOKEN_REFUSED)
    assert entry.address == "192.0.2.9"


async def test_a_session_may_upload(settings: Settings) -> None:
    def sign_in() -> str:
        make_user("ada")
        client = Client()
        assert client.login(username="ada", password=PASSWORD)
        return client.cookies[settings.SESSION_COOKIE_NAME].value

    key = await database_sync_to_async(sign_in)()
    status, inner, _ = await ask(1000, cookie=f"{settings.SESSION_COOKIE_NAME}={key}")
    assert (status, inner.size) == (200, 1000)


async def test_a_full_disk_is_said_before_anything_is_sent(
    token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "HEADROOM", 2**60)
    status, inner, told = await ask(1000, authorization=token)
    assert (status, inner.size) == (507, 0)
    assert "full" in told["detail"]


@pytest.mark.parametrize("chunked", [False, True])
async def test_where_an_upload_is_not_wanted_none_of_it_is_read(token: str, chunked: bool) -> None:
    asked: list[tuple[str, int | None]] = []

    def nowhere(user: User, path: str, length: int | None) -> tuple[HTTPStatus, str]:
        asked.append((path, length))
        return HTTPStatus.NOT_FOUND, "There is nothing here for you."

    status, inner, told = await ask(1000, chunked=chunked, welcome=nowhere, authorization=token)
    assert (status, inner.size, told["status"]) == (404, 0, 404)
    assert asked == [(UPLOAD, None if chunked else 1000)]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("chunked", [False, True])
async def test_an_upload_that_stands_still_is_given_up(
    token: str, chunked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has come would keep lying on the disk. One that goes on may take as long as it likes."""
    monkeypatch.setattr(gate, "PATIENCE", 0.05)
    status, inner, told = await ask(1000, chunked=chunked, stops_after=500, authorization=token)
    assert (status, inner.size, inner.gone) == (408, 500, True)
    assert "standstill" in told["detail"]
    monkeypatch.setattr(gate, "PIECE", 100)
    status, inner, _ = await ask(1000, chunked=chunked, authorization=token)
    assert (status, inner.size) == (200, 1000)
