"""Stops large request bodies at the door, before Django spools them to disk.

Under ASGI Django writes every body to a temporary file before any view, sign-in or limit is
looked at: without this anybody could fill the disk, and a refused upload would first be sent
whole. Small bodies stay in memory and pass untouched.
"""

from __future__ import annotations

import asyncio
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

from accounts import origins
from accounts.authentication import user_of
from accounts.models import Scope, User

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]
Answer = tuple[HTTPStatus, str]
Welcome = Callable[[User, str, int | None], Answer | None]
"""Why this person's upload to this path, of so many bytes (None: it does not say), is not wanted."""

HEADROOM = 64 * 1024**2
"""bytes of the disk that an upload leaves free: a full disk also stops Run logs"""
LOOK_EVERY = 64 * 1024**2
"""bytes of a body between two looks at the disk: several may come at once"""
PATIENCE, PIECE = 60.0, 64 * 1024
"""seconds in which so many bytes more must come: one that stands still keeps what came on the disk"""
UPLOADS = ("/api/v1/tasks/", "/api/v1/datasets/")
"""Where large bodies are welcome, by PUT."""


class UploadGate:
    """ASGI middleware for HTTP: who may send how much. Around everything else.

    `welcome` is asked whether somebody may upload there before a byte is stored. Reads the database.
    """

    def __init__(self, application: Application, welcome: Welcome) -> None:
        self._application = application
        self._welcome = welcome

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        length = _announced(scope) if scope["type"] == "http" else 0
        small = settings.FILE_UPLOAD_MAX_MEMORY_SIZE
        if length is not None and length <= small:
            await self._application(scope, receive, send)
            return
        refusal = await _refusal(scope, length, self._welcome)
        if refusal is not None:
            await _answer(send, *refusal)
            return
        limit = settings.RCLUSTER_UPLOAD_LIMIT if _is_upload(scope) else small
        metered = _Meter(receive, send, limit)
        await self._application(scope, metered.receive, metered.send)
        if metered.refusal is not None:
            await _answer(send, *metered.refusal)


class _Meter:
    """Counts a body while it comes; if it is too much, or stands still, the application sees its
    client gone, and what it would still say is dropped."""

    def __init__(self, receive: Receive, send: Send, limit: int) -> None:
        self._receive = receive
        self._send = send
        self._limit = limit
        self._size = 0
        self._unlooked = 0
        self._piece = 0
        self._deadline: float | None = asyncio.get_running_loop().time() + PATIENCE
        """None: all is there"""
        self.refusal: Answer | None = None
        """why the rest was not read"""

    async def receive(self) -> Message:
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            self.refusal = _stands_still()
        else:
            self._count(message)
            if self.refusal is None:
                return message
        return {"type": "http.disconnect"}

    def _count(self, message: Message) -> None:
        length = len(message.get("body", b""))
        self._size += length
        self._unlooked += length
        self._piece += length
        if not message.get("more_body", False):
            self._deadline = None
        elif self._piece >= PIECE:
            self._piece = 0
            self._deadline = asyncio.get_running_loop().time() + PATIENCE
        if self._size > self._limit:
            self.refusal = _too_large(self._limit)
        elif self._unlooked > LOOK_EVERY:
            self._unlooked = 0
            if _free() < HEADROOM:
                self.refusal = _full()

    async def send(self, message: Message) -> None:
        if self.refusal is None:
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
    scope: MutableMapping[str, Any], length: int | None, welcome: Welcome
) -> Answer | None:
    """Why this large body is not welcome; None if it is."""
    if not _is_upload(scope):
        if length is None:
            return None
        return _too_large(settings.FILE_UPLOAD_MAX_MEMORY_SIZE)
    refused: Answer | None = await database_sync_to_async(_unwanted)(scope, length, welcome)
    if refused is not None or length is None:
        return refused
    return _full() if length + HEADROOM > _free() else None


def _free() -> int:
    return shutil.disk_usage(tempfile.gettempdir()).free


def _full() -> Answer:
    return (
        HTTPStatus.INSUFFICIENT_STORAGE,
        "The portal's disk for uploads is full: try again later, or tell your administrator.",
    )


def _stands_still() -> Answer:
    return (HTTPStatus.REQUEST_TIMEOUT, "The upload came to a standstill: send it again.")


def _unwanted(
    scope: MutableMapping[str, Any], length: int | None, welcome: Welcome
) -> Answer | None:
    """Why this sender's file is not welcome; None if it is. The view asks again, and for CSRF."""
    request = ASGIRequest(scope, io.BytesIO())
    engine = import_module(settings.SESSION_ENGINE)
    request.session = engine.SessionStore(request.COOKIES.get(settings.SESSION_COOKIE_NAME))
    request.user = get_user(request)
    try:
        # No middleware has seen this request yet.
        with origins.coming("page", origins.address_of(request)):
            user = user_of(request, Scope.FILES)
    except AuthenticationFailed as error:
        return HTTPStatus.UNAUTHORIZED, str(error.detail)
    except PermissionDenied as error:
        return HTTPStatus.FORBIDDEN, str(error.detail)
    if not isinstance(user, User):
        return HTTPStatus.UNAUTHORIZED, "Sign in, or send a token: Authorization: Bearer rct_..."
    if length is not None and length > settings.RCLUSTER_UPLOAD_LIMIT:
        return _too_large(settings.RCLUSTER_UPLOAD_LIMIT)
    return welcome(user, str(scope["path"]), length)


def _too_large(limit: int) -> Answer:
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
