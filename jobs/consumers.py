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
from redis.exceptions import RedisError
from rest_framework.exceptions import AuthenticationFailed

from accounts.authentication import token_of
from accounts.models import Scope, User
from jobs import notify, watching
from jobs.events import Bytes, End, Event, as_json
from jobs.models import Run, Task, shared_with

NO_SUCH_RUN, NOT_SIGNED_IN, BAD_REQUEST, NOT_ALLOWED = 4404, 4401, 4400, 4403
TRY_AGAIN = 1011
"""close codes: ours, and the standard's for an error of the server"""
log = logging.getLogger(__name__)


class RunConsumer(AsyncWebsocketConsumer):  # type: ignore[misc] # Channels has no types
    """/ws/runs/<run>/?attempt=A&offset=N: state, log bytes, the end; see jobs/events.py.

    With &skip=1 a client that can't keep up is moved near the end; without, it gets every byte.
    """

    _pump: asyncio.Task[None] | None = None
    _group = ""

    async def connect(self) -> None:
        await self.accept()
        user = await _person(self.scope)
        if user is None or not user.is_authenticated:
            await self.close(NOT_ALLOWED if user is None else NOT_SIGNED_IN)
            return
        query = parse_qs(self.scope["query_string"].decode("ascii", "replace"))
        try:
            attempt, offset, skip = (_whole(query, name) for name in ("attempt", "offset", "skip"))
        except ValueError:
            await self.close(BAD_REQUEST)
            return
        run = self.scope["url_route"]["kwargs"]["run"]
        self._user, self._run = user.pk, run
        # Before the look: what is taken away in between is told.
        self._group = notify.access_group(user.pk)
        try:
            async with asyncio.timeout(notify.PATIENCE):
                await self.channel_layer.group_add(self._group, self.channel_name)
        except (RedisError, OSError) as error:
            # The log needs no Redis; who loses the Run meanwhile loses it with the next connection.
            log.warning("No news for a socket of Run %s: %s", run, error)
        if not await database_sync_to_async(self._may_see)():
            await self.close(NO_SUCH_RUN)
            return
        self._pump = asyncio.create_task(self._send_events(run, attempt, offset, skip=skip > 0))

    async def access_changed(self, message: dict[str, Any]) -> None:
        """What the person may see is another: this Run still?"""
        if not await database_sync_to_async(self._may_see)():
            if self._pump is not None:
                self._pump.cancel()
            await self.close(NO_SUCH_RUN)

    def _may_see(self) -> bool:
        user = _known(self._user)
        return user is not None and (
            Run.objects.visible_to(user).filter(public_id=self._run).exists()
        )

    async def disconnect(self, code: int) -> None:
        if self._group:
            with contextlib.suppress(RedisError, OSError):
                await self.channel_layer.group_discard(self._group, self.channel_name)
        if self._pump is not None:
            self._pump.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._pump

    async def _send_events(self, run: str, attempt: int, offset: int, *, skip: bool) -> None:
        try:
            following = watching.follow(run, attempt=attempt, offset=offset, skip=skip)
            async with aclosing(following) as events:
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
    """/ws/events/: one line for every change of a Run in the person's own Tasks and in those shared with
    them, and one when it is other Tasks that they may see; so that lists stay fresh."""

    async def connect(self) -> None:
        user = await _person(self.scope)
        self._groups: set[str] = set()
        if user is None or not user.is_authenticated:
            await self.accept()
            await self.close(NOT_ALLOWED if user is None else NOT_SIGNED_IN)
            return
        self._user = user.pk
        # Before the client is told that it is connected: it would miss what happens in between.
        await self._join({notify.access_group(user.pk)})
        wanted = await database_sync_to_async(self._wanted)()
        if wanted is not None:
            await self._join(wanted)
        await self.accept()
        if wanted is None:
            await self.close(NOT_SIGNED_IN)

    async def disconnect(self, code: int) -> None:
        await self._join(set())

    async def run_changed(self, message: dict[str, Any]) -> None:
        await self.send_json({**message, "type": "run"})

    async def access_changed(self, message: dict[str, Any]) -> None:
        wanted = await database_sync_to_async(self._wanted)()
        if wanted is None:
            await self.close(NOT_SIGNED_IN)
            return
        await self._join(wanted)
        await self.send_json({"type": "access", "task": message["task"]})

    def _wanted(self) -> set[str] | None:
        """The groups whose news are this person's; None: there is no such person any more."""
        user = _known(self._user)
        if user is None:
            return None
        shared = Task.objects.filter(pk__in=shared_with(user), deleted_at__isnull=True)
        tasks = {notify.task_group(each) for each in shared.values_list("public_id", flat=True)}
        return tasks | {notify.access_group(user.pk), notify.user_group(user.pk)}

    async def _join(self, wanted: set[str]) -> None:
        """Be in these groups and in no others."""
        for group in self._groups - wanted:
            await self.channel_layer.group_discard(group, self.channel_name)
        for group in wanted - self._groups:
            await self.channel_layer.group_add(group, self.channel_name)
        self._groups = wanted


def _known(pk: int) -> User | None:
    """The person as they are now, if they may still sign in."""
    return User.objects.filter(pk=pk, is_active=True).first()


async def _person(scope: dict[str, Any]) -> Any:
    """Who opened the socket, by token (a script) or by session (a page); None: by a token that may not
    look."""
    header = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
    if not header:
        return scope["user"]
    try:
        token = await database_sync_to_async(token_of)(header)
    except AuthenticationFailed:
        return AnonymousUser()
    if token is None:
        return AnonymousUser()
    return token.user if token.allows(Scope.READ) else None


def _whole(query: dict[str, list[str]], name: str) -> int:
    value = int(query.get(name, ["0"])[0])
    if not 0 <= value < 2**63:
        raise ValueError(name)
    return value
