"""Stops large request bodies at the door, before Django spools them to disk.

Under ASGI Django writes every body to a temporary file before any view, sign-in or limit is
looked at: without this anybody could fill the disk, and a refused upload would first be sent
whole. Small bodies stay in memory and pass untouched.
"""

from __future__ import annotations

import io
import json
import shutil
import tempfile
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from importlib import import_module
from typing import Any

from channels.db import database_sync_to_async
from django.conf import settings
from django.contrib.auth import get_user
from django.core.handlers.asgi import ASGIRequest
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied

from accounts.authentication import user_of
from accounts.models import Scope

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

HEADROOM = 64 * 1024**2
"""bytes of the disk that an upload leaves free: a full disk also stops Run logs"""
LOOK_EVERY = 64 * 1024**2
"""bytes of a body between two looks at the disk: several may come at once"""
UPLOADS = ("/api/v1/tasks/", "/api/v1/datasets/")
"""Where large bodies are welcome, by PUT."""


class UploadGate:
    """ASGI middleware for HTTP: who may send how much. Around everything else."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        length = _announced(scope) if scope["type"] == "http" else 0
        small = settings.FILE_UPLOAD_MAX_MEMORY_SIZE
        if length is not None and length <= small:
            await self._application(scope, receive, send)
            return
        refusal = await _refusal(scope, length)
        if refusal is not None:
            await _answer(send, *refusal)
            return
        limit = settings.RCLUSTER_UPLOAD_LIMIT if _is_upload(scope) else small
        metered = _Meter(receive, send, limit)
        await self._application(scope, metered.receive, metered.send)
        if metered.exceeded:
            await _answer(send, *(_full() if metered.full else _too_large(limit)))


class _Meter:
    """Counts a body whose length was not announced; past the limit the application sees its
    client gone, and what it would still say is dropped."""

    def __init__(self, receive: Receive, send: Send, limit: int) -> None:
        self._receive = receive
        self._send = send
        self._left = limit
        self._unlooked = 0
        self.exceeded = False
        self.full = False

    async def receive(self) -> Message:
        message = await self._receive()
        length = len(message.get("body", b""))
        self._left -= length
        self._unlooked += length
        if self._unlooked > LOOK_EVERY:
            self._unlooked = 0
            self.full = _free() < HEADROOM
        if self._left < 0 or self.full:
            self.exceeded = True
            return {"type": "http.disconnect"}
        return message

    async def send(self, message: Message) -> None:
        if not self.exceeded:
            await self._send(message)


def _announced(scope: MutableMapping[str, Any]) -> int | None:
    """The body's length in bytes; None if it is sent in chunks of unknown number."""
    headers = dict(scope["headers"])
    if b"transfer-encoding" in headers:
        return None
    try:
        return int(headers.get(b"content-length", b"0"))
    except ValueError:
        return None


def _is_upload(scope: MutableMapping[str, Any]) -> bool:
    return bool(scope["method"] == "PUT" and scope["path"].startswith(UPLOADS))


async def _refusal(
    scope: MutableMapping[str, Any], length: int | None
) -> tuple[HTTPStatus, str] | None:
    """Why this large body is not welcome; None if it is."""
    if not _is_upload(scope):
        if length is None:
            return None
        return _too_large(settings.FILE_UPLOAD_MAX_MEMORY_SIZE)
    refused: tuple[HTTPStatus, str] | None = await database_sync_to_async(_stranger)(scope)
    if refused is not None:
        return refused
    if length is None:
        return None
    if length > settings.RCLUSTER_UPLOAD_LIMIT:
        return _too_large(settings.RCLUSTER_UPLOAD_LIMIT)
    return _full() if length + HEADROOM > _free() else None


def _free() -> int:
    return shutil.disk_usage(tempfile.gettempdir()).free


def _full() -> tuple[HTTPStatus, str]:
    return (
        HTTPStatus.INSUFFICIENT_STORAGE,
        "The portal's disk for uploads is full: try again later, or tell your administrator.",
    )


def _stranger(scope: MutableMapping[str, Any]) -> tuple[HTTPStatus, str] | None:
    """Why this sender's files are not welcome; None if they are. The view checks rights and CSRF later."""
    request = ASGIRequest(scope, io.BytesIO())
    engine = import_module(settings.SESSION_ENGINE)
    request.session = engine.SessionStore(request.COOKIES.get(settings.SESSION_COOKIE_NAME))
    request.user = get_user(request)
    try:
        known = user_of(request, Scope.FILES).is_authenticated
    except AuthenticationFailed as error:
        return HTTPStatus.UNAUTHORIZED, str(error.detail)
    except PermissionDenied as error:
        return HTTPStatus.FORBIDDEN, str(error.detail)
    if known:
        return None
    return HTTPStatus.UNAUTHORIZED, "Sign in, or send a token: Authorization: Bearer rct_..."


def _too_large(limit: int) -> tuple[HTTPStatus, str]:
    return (
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"The request's body is larger than the limit of {limit} bytes.",
    )


async def _answer(send: Send, status: HTTPStatus, detail: str) -> None:
    body = json.dumps(
        {"type": "about:blank", "title": status.phrase, "status": status, "detail": detail}
    ).encode()
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
        # What is left of the body is not read.
        (b"connection", b"close"),
    ]
    if status == HTTPStatus.UNAUTHORIZED:
        headers.append((b"www-authenticate", b'Bearer realm="R-Cluster"'))
    await send({"type": "http.response.start", "status": status.value, "headers": headers})
    await send({"type": "http.response.body", "body": body})
