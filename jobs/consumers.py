"""WebSockets: one Run with its log, and the changes of all Runs that a person may see."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from contextlib import aclosing
from typing import Any
from urllib.parse import parse_qs

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer, AsyncWebsocketConsumer
from django.contrib.auth.models import AnonymousUser
from rest_framework.exceptions import AuthenticationFailed

from accounts.authentication import token_of
from jobs import notify, watching
from jobs.events import Bytes, End, Event, as_json
from jobs.models import Run

NO_SUCH_RUN, NOT_SIGNED_IN, BAD_REQUEST = 4404, 4401, 4400
TRY_AGAIN = 1011
"""close codes: ours, and the standard's for an error of the server"""
log = logging.getLogger(__name__)


class RunConsumer(AsyncWebsocketConsumer):  # type: ignore[misc] # Channels has no types
    """/ws/runs/<run>/?attempt=A&offset=N: state, log bytes, the end; see jobs/events.py."""

    _pump: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        await self.accept()
        user = await _person(self.scope)
        if not user.is_authenticated:
            await self.close(NOT_SIGNED_IN)
            return
        query = parse_qs(self.scope["query_string"].decode("ascii", "replace"))
        try:
            attempt, offset = (_whole(query, name) for name in ("attempt", "offset"))
        except ValueError:
            await self.close(BAD_REQUEST)
            return
        run = self.scope["url_route"]["kwargs"]["run"]
        if not await database_sync_to_async(
            Run.objects.visible_to(user).filter(public_id=run).exists
        )():
            await self.close(NO_SUCH_RUN)
            return
        self._pump = asyncio.create_task(self._send_events(run, attempt, offset))

    async def disconnect(self, code: int) -> None:
        if self._pump is not None:
            self._pump.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._pump

    async def _send_events(self, run: str, attempt: int, offset: int) -> None:
        try:
            async with aclosing(watching.follow(run, attempt=attempt, offset=offset)) as events:
                async for event in events:
                    await self._send_event(event)
        except Run.DoesNotExist:
            await self.close(NO_SUCH_RUN)
        except Exception:
            # Whatever it was, the page must not wait for ever: it connects anew where it stopped.
            log.exception("Following Run %s failed", run)
            await self.close(TRY_AGAIN)

    async def _send_event(self, event: Event) -> None:
        if isinstance(event, Bytes):
            await self.send(bytes_data=event.frame())
            return
        await self.send(text_data=await AsyncJsonWebsocketConsumer.encode_json(as_json(event)))
        if isinstance(event, End):
            await self.close(1000)


class EventsConsumer(AsyncJsonWebsocketConsumer):  # type: ignore[misc] # Channels has no types
    """/ws/events/: one line for every change of a Run that the person may see, so that lists stay fresh."""

    async def connect(self) -> None:
        user = await _person(self.scope)
        if not user.is_authenticated:
            await self.accept()
            await self.close(NOT_SIGNED_IN)
            return
        # Before the client is told that it is connected: it would miss what happens in between.
        self._group = notify.user_group(user.pk)
        await self.channel_layer.group_add(self._group, self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        if hasattr(self, "_group"):
            await self.channel_layer.group_discard(self._group, self.channel_name)

    async def run_changed(self, message: dict[str, Any]) -> None:
        await self.send_json({**message, "type": "run"})


async def _person(scope: dict[str, Any]) -> Any:
    """Who opened the socket, by token (a script) or by session (a page)."""
    header = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
    if not header:
        return scope["user"]
    try:
        token = await database_sync_to_async(token_of)(header)
    except AuthenticationFailed:
        return AnonymousUser()
    return AnonymousUser() if token is None else token.user


def _whole(query: dict[str, list[str]], name: str) -> int:
    value = int(query.get(name, ["0"])[0])
    if not 0 <= value < 2**63:
        raise ValueError(name)
    return value
