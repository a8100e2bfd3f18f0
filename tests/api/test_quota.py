"""Uploads and the quota of whoever owns the Task, however the bytes come."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Iterator
from typing import Any

import pytest
from channels.db import database_sync_to_async
from django.test import Client

from accounts.models import User
from files import storage
from jobs.api import file_views as files
from jobs.models import Task, UserLimits
from rcluster_site.handler import Handler
from tests.factories import make_token


@pytest.mark.django_db(transaction=True)
async def test_an_upload_that_does_not_say_its_length_meets_the_same_quota(
    task: Task, owner: User
) -> None:
    """In chunks, as a server hands it on: how much it is, is known when it is there."""
    await UserLimits.objects.acreate(user=owner, max_storage=5000)
    token = await database_sync_to_async(make_token)(owner)
    for name, count, status in (("one", 3000, 201), ("two", 3000, 507), ("two", 2000, 201)):
        assert await _send_in_chunks(task, name, count, token) == status
        kept = {each.name: each.size for each in storage.area(task.public_id, "input").entries()}
        assert kept.get(name) == (count if status == 201 else None)
        await task.arefresh_from_db()
        assert task.storage_used == sum(kept.values())


async def _send_in_chunks(task: Task, name: str, count: int, token: str) -> int:
    parts = [{"type": "http.request", "body": b"x" * (count // 2)} for _ in range(2)]
    asked: list[dict[str, Any]] = [
        {**parts[0], "more_body": True},
        {**parts[1], "more_body": False},
    ]
    told: list[int] = []
    stays: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

    async def receive() -> dict[str, Any]:
        return asked.pop(0) if asked else await stays

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            told.append(message["status"])

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "PUT",
        "path": f"/api/v1/tasks/{task.public_id}/files/input/{name}",
        "query_string": b"",
        "headers": [
            (b"host", b"localhost"),
            (b"authorization", f"Bearer {token}".encode()),
            (b"content-type", b"application/octet-stream"),
            (b"transfer-encoding", b"chunked"),
        ],
    }
    await Handler()(scope, receive, send)  # type: ignore[arg-type]
    return told[0]


def test_uploads_side_by_side_pass_no_quota(
    api: Client, task: Task, owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second comes and goes while the first, which had room when it began, is under way."""
    UserLimits.objects.create(user=owner, max_storage=5000)
    chunks = files._chunks
    address = f"/api/v1/tasks/{task.public_id}/files/input/"

    def upload(name: str) -> int:
        content_type = "application/octet-stream"
        return api.put(address + name, b"x" * 3000, content_type=content_type).status_code

    def slow(request: Any) -> Iterator[bytes]:
        monkeypatch.setattr(files, "_chunks", chunks)
        yield from chunks(request)
        assert upload("fast") == 201

    monkeypatch.setattr(files, "_chunks", slow)
    assert upload("slow") == 507
    task.refresh_from_db()
    assert task.storage_used == 3000
    assert [each.name for each in storage.area(task.public_id, "input").entries()] == ["fast"]


def test_what_did_not_get_its_name_is_not_counted(
    api: Client, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "rename", full)
    address = f"/api/v1/tasks/{task.public_id}/files/input/a"
    answer = api.put(address, b"x" * 3000, content_type="application/octet-stream")
    assert answer.status_code == 507
    task.refresh_from_db()
    assert task.storage_used == 0
